;; Grows its memory as long as it gets any, and does not take no for an answer.
(module
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (loop $again
      (drop (memory.grow (i32.const 1)))
      (br $again))
    unreachable))
