;; Returns a list that begins inside its memory and ends outside.
(module
  (func (export "patrol:policy/engine@0.1.0#list-tokens") (param $owner-hi i64) (param $owner-lo i64) (param $role i32) (param $actor-hi i64) (param $actor-lo i64) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 24) (i32.const 65528))
    (i32.store (i32.const 28) (i32.const 1))
    (i32.const 16)))
