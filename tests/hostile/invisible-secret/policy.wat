;; Returns a secret of zeros.
(module
  (func (export "patrol:policy/engine@0.1.0#open-session") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (i32.store (i32.const 40) (i32.const 1024))
    (i32.store (i32.const 44) (i32.const 83))
    (i32.const 16)))
