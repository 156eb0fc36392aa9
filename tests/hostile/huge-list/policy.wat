;; Returns a list of 2^31 tokens.
(module
  (func (export "patrol:policy/engine@0.1.0#list-tokens") (param $owner-hi i64) (param $owner-lo i64) (param $role i32) (param $actor-hi i64) (param $actor-lo i64) (result i32)
    ;; ok, list at 1024, length 2^31
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 24) (i32.const 1024))
    (i32.store (i32.const 28) (i32.const 0x80000000))
    (i32.const 16)))
