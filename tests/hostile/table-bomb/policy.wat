;; Grows a table without end.
(module
  (table $table 1 funcref)
  (func (export "patrol:policy/engine@0.1.0#authenticate") (param $text i32) (param $length i32) (param $audience i32) (result i32)
    (loop $again
      (drop (table.grow $table (ref.null func) (i32.const 100)))
      (br $again))
    unreachable))
