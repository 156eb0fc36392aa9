;; Asks for the time before anybody has asked anything.
(module
  (import "patrol:policy/clock@0.1.0" "now" (func $now (result i64)))
  (func $start (drop (call $now)))
  (start $start))
