//! The journal, on real files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod damage;
mod files;
mod reading;
mod segments;
mod support;
mod writing;
