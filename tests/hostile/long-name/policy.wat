;; Has the store keep a method of 32 KiB.
(module
  (import "patrol:policy/storage@0.1.0" "set-auth-method"
    (func $set (param i32 i64 i64 i32 i32 i64 i32)))
  (func (export "patrol:policy/engine@0.1.0#change-auth-method")
    (param $scope i32) (param $hi i64) (param $lo i64) (param $method i32) (param $length i32)
    (param $role i32) (param $actor-hi i64) (param $actor-lo i64) (result i32)
    (call $set (local.get $scope) (local.get $hi) (local.get $lo)
      (i32.const 0) (i32.const 32768) (i64.const 0) (i32.const 16))
    unreachable))
