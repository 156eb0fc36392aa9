;; Starts with 128 MiB, more than a slot of the pool holds.
(module
  (memory (export "memory") 2048))
