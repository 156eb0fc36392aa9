;; Blames the store, which it has not asked.
(module
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 1))
    (i32.store8 (i32.const 24) (i32.const 1))
    (i32.store8 (i32.const 32) (i32.const 0))
    (i32.const 16)))
