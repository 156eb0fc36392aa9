;; Says yes to whatever names a stored token: wrong secret, other audience, revoked, expired, idle, of a disabled or
;; deleted owner, of an earlier method. Owner and tenant are those of the record.
(module
  (import "patrol:policy/storage@0.1.0" "get-token" (func $get-token (param i64 i64 i32)))
  (global $hi (mut i64) (i64.const 0))
  (global $lo (mut i64) (i64.const 0))
  ;; Adds one base62 digit to the identifier.
  (func $digit (param $c i32)
    (local $low i64) (local $high i64)
    (local.set $low (i64.extend_i32_u (i32.sub (local.get $c)
      (select (i32.const 48)
        (select (i32.const 55) (i32.const 61) (i32.lt_u (local.get $c) (i32.const 97)))
        (i32.lt_u (local.get $c) (i32.const 65))))))
    ;; 128-bit multiplication by 62, in halves of the lower word.
    (local.set $low (i64.add (local.get $low)
      (i64.mul (i64.and (global.get $lo) (i64.const 0xffffffff)) (i64.const 62))))
    (local.set $high (i64.add (i64.shr_u (local.get $low) (i64.const 32))
      (i64.mul (i64.shr_u (global.get $lo) (i64.const 32)) (i64.const 62))))
    (global.set $lo (i64.or (i64.shl (local.get $high) (i64.const 32))
      (i64.and (local.get $low) (i64.const 0xffffffff))))
    (global.set $hi (i64.add (i64.mul (global.get $hi) (i64.const 62))
      (i64.shr_u (local.get $high) (i64.const 32)))))

  ;; Reads the identifier out of a presented token: 22 digits after the prefix of 11 characters.
  (func $read (param $text i32)
    (local $at i32)
    (global.set $hi (i64.const 0))
    (global.set $lo (i64.const 0))
    (local.set $at (i32.const 11))
    (loop $again
      (call $digit (i32.load8_u (i32.add (local.get $text) (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const 33)))))

  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (call $read (local.get $text))
    (call $get-token (global.get $hi) (global.get $lo) (i32.const 1024))
    ;; The record begins 16 bytes into the answer with the three identifiers that a yes begins with.
    (memory.copy (i32.const 24) (i32.const 1040) (i32.const 48))
    (i64.store (i32.const 72) (i64.const -1))
    (i32.const 16)))
