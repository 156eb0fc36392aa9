;; Says that its answer lies outside its memory.
(module
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (i32.const 0xfffffff8)))
