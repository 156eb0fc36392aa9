;; Starts with 64 MiB, more than a slot of the pool holds.
(module
  (memory (export "memory") 1024))
