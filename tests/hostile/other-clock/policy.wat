;; Wants a clock that tells the time in words.
(component
  (import "patrol:policy/clock@0.1.0" (instance
    (export "now" (func (result string))))))
