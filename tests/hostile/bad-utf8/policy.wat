;; Calls itself by a name that is no UTF-8.
(module
  (data (i32.const 256) "\ff\fe\fd")
  (func (export "patrol:policy/about@0.1.0#describe") (result i32)
    (i32.store (i32.const 16) (i32.const 256))
    (i32.store (i32.const 20) (i32.const 3))
    (i32.const 16)))
