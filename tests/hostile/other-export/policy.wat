;; Describes itself with a number.
(component
  (core module $m (func (export "f") (result i32) i32.const 1))
  (core instance $i (instantiate $m))
  (func $describe (result u32) (canon lift (core func $i "f")))
  (instance $about (export "describe" (func $describe)))
  (export "patrol:policy/about@0.1.0" (instance $about)))
