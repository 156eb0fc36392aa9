;; Answers neither yes nor no: the discriminant of a result is 0 or 1.
(module
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 2))
    (i32.const 16)))
