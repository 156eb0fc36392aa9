;; Shows the digest of a token in a list (R2).
(module
  (func (export "patrol:policy/engine@0.1.0#list-tokens") (param $owner-hi i64) (param $owner-lo i64) (param $role i32) (param $actor-hi i64) (param $actor-lo i64) (result i32)
    (i64.store (i32.const 120) (i64.const 1))
    (i32.store (i32.const 24) (i32.const 64))
    (i32.store (i32.const 28) (i32.const 1))
    (i32.const 16)))
