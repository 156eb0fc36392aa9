;; Uses a proposal that is switched off: a policy has one memory.
(module
  (memory (export "memory") 1)
  (memory $second 1))
