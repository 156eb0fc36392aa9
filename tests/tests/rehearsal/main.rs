//! Decisions that are recorded, and put to another policy: in a rehearsal, and in a shadow.

mod same;
mod stricter;
mod support;
