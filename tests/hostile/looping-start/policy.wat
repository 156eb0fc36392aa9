;; Never gets as far as being asked: its start function runs when an instance is made.
(module
  (func $start (loop $again (br $again)))
  (start $start))
