//! The `patrol` program, run as people and scripts run it.

mod clients;
mod doctor;
mod exits;
mod help;
mod lists;
mod output;
mod serve;
mod support;
mod walk;
