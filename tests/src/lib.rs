//! Shared by the tests.

pub mod hostile;
#[path = "../../host/src/policy/tests/ledger.rs"]
pub mod ledger;
