;; Foresees the end of fewer tokens than it was asked about.
(module
  (func (export "patrol:policy/engine@0.1.0#foresee") (param $list i32) (param $length i32) (result i32)
    (i32.store (i32.const 16) (i32.const 64))
    (i32.store (i32.const 20) (i32.sub (local.get $length) (i32.const 1)))
    (i32.const 16)))
