;; Says yes to anything, for a token, an owner and a tenant that it made up.
(module
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (i64.store (i32.const 24) (i64.const 0x1111111111111111))
    (i64.store (i32.const 32) (i64.const 0x2222222222222222))
    (i64.store (i32.const 40) (i64.const 0x3333333333333333))
    (i64.store (i32.const 48) (i64.const 0x4444444444444444))
    (i64.store (i32.const 56) (i64.const 0x5555555555555555))
    (i64.store (i32.const 64) (i64.const 0x6666666666666666))
    (i64.store (i32.const 72) (i64.const -1))
    (i32.const 16)))
