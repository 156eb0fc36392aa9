;; Says yes until a cause that does not exist.
(module
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store8 (i32.const 80) (i32.const 10))
    (i32.const 16)))
