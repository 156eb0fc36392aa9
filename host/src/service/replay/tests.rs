//! Overlay semantics.
