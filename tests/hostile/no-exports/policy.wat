;; Has nothing to say.
(component)
