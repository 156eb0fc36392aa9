;; Wants a function of the storage that would hand out everything.
(component
  (import "patrol:policy/storage@0.1.0" (instance
    (export "dump" (func (result string))))))
