;; Calls itself by a name that would steer a terminal.
(module
  (data (i32.const 256) "\1b[2Jgood")
  (data (i32.const 272) "1.0.0")
  (func (export "patrol:policy/about@0.1.0#describe") (result i32)
    (i32.store (i32.const 16) (i32.const 256))
    (i32.store (i32.const 20) (i32.const 8))
    (i32.store (i32.const 24) (i32.const 272))
    (i32.store (i32.const 28) (i32.const 5))
    (i32.const 16)))
