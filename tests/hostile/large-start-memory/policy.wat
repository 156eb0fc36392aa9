;; Starts with 4 MiB, four times what an instance may have.
(module
  (memory (export "memory") 64))
