;; Is told that the store failed, and says no: a verdict on a token that nobody looked at.
(module
  (import "patrol:policy/storage@0.1.0" "get-token" (func $get-token (param i64 i64 i32)))
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (call $get-token (i64.const 0) (i64.const 1) (i32.const 1024))
    (i32.store8 (i32.const 16) (i32.const 1))
    (i32.const 16)))
