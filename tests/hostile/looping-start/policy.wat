;; Never gets as far as being asked: its start function runs when an instance is made, the first time at loading.
(module
  (func $start (loop $again (br $again)))
  (start $start))
