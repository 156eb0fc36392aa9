//! The scenarios that come with Patrol: what a policy has to say for the rules R1 to R13 to hold.

use super::{BadScenario, Scenario};

macro_rules! texts {
    ($($name:literal)*) => {
        &[$((
            concat!("tests/scenarios/", $name, ".toml"),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scenarios/", $name, ".toml")),
        ),)*]
    };
}

/// The files, by their paths in the repository.
const TEXTS: &[(&str, &str)] = texts! {
    "r01-created-and-shown"
    "r02-only-the-hash"
    "r03-compared"
    "r04-owners-access"
    "r05-disabled-owners"
    "r05-expiry"
    "r06-expired"
    "r06-gone-and-kept"
    "r07-limit"
    "r08-revoked"
    "r09-method"
    "r10-undisturbed"
    "r11-multi-factor"
    "r11-with-multi-factor"
    "r12-audience"
    "r13-names"
    "rotation"
    "sessions"
};

/// The scenarios that come with Patrol.
///
/// # Errors
/// None, in a release: a test reads them all.
pub fn shipped() -> Result<Vec<Scenario>, BadScenario> {
    TEXTS
        .iter()
        .map(|(file, text)| Scenario::parse(file, text))
        .collect()
}
