//! What a release says of itself.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Step, Unfit};

/// The contract that this host speaks. Within 0.1 functions are added and nothing is changed, so a host runs whatever
/// was built against its own version or an earlier one of the same line.
pub const CONTRACT: &str = "patrol:policy@0.1.0";
/// This host's version.
pub const HOST_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes of the longest manifest.
pub(super) const LARGEST: usize = 16 << 10;
/// Characters of the longest name.
const NAME: usize = 64;
/// Characters of the longest notes.
const NOTES: usize = 4_096;

/// What a release says of itself. As text it is TOML with exactly these keys, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the policy is called: small letters, digits and dashes.
    pub name: String,
    /// Its version, by semantic versioning.
    pub version: String,
    /// Its number, from 1: a higher one comes after a lower one, whatever their versions are.
    pub release: u32,
    /// SHA-256 of the component, in hexadecimal digits.
    pub component: String,
    /// The contract that it was built against, such as `patrol:policy@0.1.0`.
    pub wit: String,
    /// The lowest version of the host that can run it.
    pub minimum_host: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// What is to be known about it.
    pub notes: String,
}

impl Manifest {
    /// Reads the text of a manifest. There is one text for one manifest: any other is refused, so that nobody can sign
    /// one and show another.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, Unfit> {
        let wrong = |why: String| Unfit::at(Step::Form, format!("its manifest {why}"));
        if text.len() > LARGEST {
            return Err(wrong(format!("has more than {LARGEST} bytes")));
        }
        let text = std::str::from_utf8(text).map_err(|_| wrong("is not text".to_owned()))?;
        let manifest: Self = toml::from_str(text)
            .map_err(|error| wrong(format!("cannot be read: {}", error.message().escape_debug())))?;
        manifest.check().map_err(wrong)?;
        if manifest.text()? != text {
            return Err(wrong(
                "is not in canonical form: have `patrol policy sign` write it".to_owned(),
            ));
        }
        Ok(manifest)
    }

    /// Its text.
    ///
    /// # Errors
    /// None that a manifest which makes sense could have.
    pub fn text(&self) -> Result<String, Unfit> {
        toml::to_string(self).map_err(|error| Unfit::at(Step::Form, error.to_string()))
    }

    /// What its release's file is called.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.patrol", self.name, self.version)
    }

    /// Whether it makes sense.
    pub(super) fn check(&self) -> Result<(), String> {
        check_name(&self.name).map_err(|why| format!("has a name that cannot be: {why}"))?;
        for (key, version) in [("version", &self.version), ("minimum_host", &self.minimum_host)] {
            if Version::parse(version).is_err() {
                return Err(format!(
                    "has a {key} that is not a semantic version, such as 1.2.0"
                ));
            }
        }
        if self.release == 0 {
            return Err("has the release number 0: numbers begin with 1".to_owned());
        }
        let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if self.component.len() != 64 || !self.component.chars().all(digit) {
            return Err("has a component that is not a SHA-256 in 64 hexadecimal digits".to_owned());
        }
        if contract(&self.wit).is_none() {
            return Err(format!(
                "has a wit that is not a contract's name and version, such as {CONTRACT}"
            ));
        }
        if self.created.parse::<Timestamp>().is_err() {
            return Err("has a created that is not an instant by RFC 3339".to_owned());
        }
        let strange = |c: char| c.is_control() && c != '\n';
        if self.notes.chars().count() > NOTES || self.notes.contains(strange) {
            return Err(format!(
                "has notes with control characters, or more than {NOTES} characters"
            ));
        }
        Ok(())
    }

    /// Whether a host of this version, which speaks this contract, can run it.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) fn check_host(&self, host: &str, speaks: &str) -> Result<(), Unfit> {
        let unfit = |why: String| Err(Unfit::at(Step::Host, why));
        let (Some((package, needed)), Some((own, spoken))) = (contract(&self.wit), contract(speaks)) else {
            return unfit(format!("{} is not a contract", self.wit));
        };
        if package != own {
            return unfit(format!(
                "it was built against {}, this host speaks {speaks}",
                self.wit
            ));
        }
        let line = |version: &Version| match version.major {
            0 => (0, version.minor),
            major => (major, 0),
        };
        if needed > spoken {
            return unfit(format!(
                "it was built against {}, which is newer than what this host speaks ({speaks}): upgrade patrol first",
                self.wit
            ));
        }
        if line(&needed) != line(&spoken) {
            return unfit(format!(
                "it was built against {}, which this host no longer speaks: build it against {speaks}",
                self.wit
            ));
        }
        match (Version::parse(&self.minimum_host), Version::parse(host)) {
            (Ok(minimum), Ok(version)) if version >= minimum => Ok(()),
            _ => unfit(format!(
                "it needs patrol {} or later, this is {host}: upgrade patrol first",
                self.minimum_host
            )),
        }
    }
}

/// Whether a policy can be called so.
///
/// # Errors
/// What a name has to be.
pub fn check_name(name: &str) -> Result<(), String> {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if first && name.len() <= NAME && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!(
        "it has 1 to {NAME} small letters, digits and dashes, a letter first"
    ))
}

/// A contract's package and version.
fn contract(text: &str) -> Option<(&str, Version)> {
    let (package, version) = text.split_once('@')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-:".contains(c);
    let named = !package.is_empty() && package.chars().all(plain);
    Version::parse(version)
        .ok()
        .filter(|_| named)
        .map(|version| (package, version))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    pub(in crate::release) fn manifest() -> Manifest {
        Manifest {
            name: "stricter".to_owned(),
            version: "1.2.0".to_owned(),
            release: 3,
            component: "0f".repeat(32),
            wit: CONTRACT.to_owned(),
            minimum_host: "0.1.0".to_owned(),
            created: "2027-01-31T17:00:00.000Z".to_owned(),
            notes: "Seven idle days.\nTwenty tokens.".to_owned(),
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_in_no_other_form() {
        let text = manifest().text().unwrap();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest());
        for other in [
            format!("{text}\n"),
            format!("# for you\n{text}"),
            text.replace("release = 3", "release  = 3"),
            text.replace("release = 3", "release = +3"),
        ] {
            let error = Manifest::parse(other.as_bytes()).unwrap_err();
            assert_eq!(error.step, Step::Form);
            assert!(error.why.contains("canonical"), "{error}");
        }
        let error = Manifest::parse(format!("{text}more = 1\n").as_bytes()).unwrap_err();
        assert!(error.why.contains("more"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        type Change = fn(&mut Manifest);
        let changes: [(Change, &str); 9] = [
            (|m| m.name = "../etc".to_owned(), "name"),
            (|m| m.name = String::new(), "name"),
            (|m| m.version = "1.2".to_owned(), "version"),
            (|m| m.minimum_host = "new".to_owned(), "minimum_host"),
            (|m| m.release = 0, "release number"),
            (|m| m.component = "0F".repeat(32), "component"),
            (|m| m.wit = "patrol:policy".to_owned(), "wit"),
            (|m| m.created = "yesterday".to_owned(), "created"),
            (|m| m.notes = "\u{1b}[2J".to_owned(), "notes"),
        ];
        for (change, named) in changes {
            let mut changed = manifest();
            change(&mut changed);
            let error = Manifest::parse(changed.text().unwrap().as_bytes()).unwrap_err();
            assert!(error.why.contains(named), "{named}: {error}");
        }
    }

    #[test]
    fn a_host_says_why_it_is_not_the_one() {
        let check = |wit: &str, minimum: &str| {
            let mut asked = manifest();
            (asked.wit, asked.minimum_host) = (wit.to_owned(), minimum.to_owned());
            asked.check_host("0.4.0", "patrol:policy@0.2.1")
        };
        assert_eq!(check("patrol:policy@0.2.1", "0.4.0"), Ok(()));
        assert_eq!(check("patrol:policy@0.2.0", "0.3.9"), Ok(()));
        for (wit, minimum, holds) in [
            ("patrol:policy@0.2.2", "0.4.0", "newer than what this host speaks"),
            ("patrol:policy@1.0.0", "0.4.0", "newer than what this host speaks"),
            ("patrol:policy@0.1.9", "0.4.0", "no longer speaks"),
            ("other:policy@0.2.1", "0.4.0", "this host speaks"),
            ("patrol:policy@0.2.1", "0.4.1", "needs patrol 0.4.1 or later"),
        ] {
            let error = check(wit, minimum).unwrap_err();
            assert_eq!(error.step, Step::Host);
            assert!(error.why.contains(holds), "{wit}: {error}");
        }
    }
}
