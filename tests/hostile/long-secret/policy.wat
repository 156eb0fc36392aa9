;; Returns a secret that no header would carry.
(module
  (func (export "patrol:policy/engine@0.1.0#open-session") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (memory.fill (i32.const 1024) (i32.const 97) (i32.const 257))
    (i32.store (i32.const 40) (i32.const 1024))
    (i32.store (i32.const 44) (i32.const 257))
    (i32.const 16)))
