;; Returns 100 tokens whose names are all the same 32 KiB: 3 MiB out of one page.
(module
  (func (export "patrol:policy/engine@0.1.0#list-tokens") (param $owner-hi i64) (param $owner-lo i64) (param $role i32) (param $actor-hi i64) (param $actor-lo i64) (result i32)
    (local $at i32)
    (local.set $at (i32.const 64))
    (loop $again
      ;; A listed token is 248 bytes; its name's pointer and length are at 224.
      (i32.store offset=224 (local.get $at) (i32.const 32768))
      (i32.store offset=228 (local.get $at) (i32.const 32768))
      (local.set $at (i32.add (local.get $at) (i32.const 248)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const 24864))))
    (i32.store (i32.const 24) (i32.const 64))
    (i32.store (i32.const 28) (i32.const 100))
    (i32.const 16)))
