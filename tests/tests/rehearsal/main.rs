//! Decisions that are recorded, and put to another policy: in a rehearsal, and in a shadow.

mod program;
mod same;
mod secrets;
mod shadow;
mod stricter;
mod support;
