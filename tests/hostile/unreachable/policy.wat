;; Does nothing at all.
(module)
