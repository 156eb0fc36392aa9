;; Asks for the time without end. Each call is short, so the limit on their number is what stops it.
(module
  (import "patrol:policy/clock@0.1.0" "now" (func $now (result i64)))
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (loop $again
      (drop (call $now))
      (br $again))
    unreachable))
