//! The `patrol` program, run as people and scripts run it.

mod clients;
mod config;
mod doctor;
mod exits;
mod help;
mod identity;
mod lists;
mod output;
mod route;
mod serve;
mod sites;
mod support;
mod walk;
