;; Aborts with half a megabyte of control characters.
(module
  (import "patrol:policy/diagnostics@0.1.0" "abort" (func $abort (param i32 i32)))
  (memory (export "memory") 8)
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (call $abort (i32.const 0) (i32.const 524288))
    unreachable))
