;; Logs half its memory again and again.
(module
  (import "patrol:policy/diagnostics@0.1.0" "log" (func $log (param i32 i32 i32)))
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (loop $again
      (call $log (i32.const 0) (i32.const 0) (i32.const 32768))
      (br $again))
    unreachable))
