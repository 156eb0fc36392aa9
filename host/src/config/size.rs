//! Numbers of bytes in a configuration file, such as `"16MiB"`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a number may be followed by, the largest first.
const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes: in a file a text with its unit, `"16MiB"`, `"512KiB"` or `"1000B"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(usize);

impl Size {
    /// That of so many bytes.
    #[must_use]
    pub const fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }
}

/// In the largest unit that leaves no rest.
impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, unit) in UNITS {
            if let (Some(number), Some(0)) = (self.0.checked_div(unit), self.0.checked_rem(unit)) {
                return write!(f, "{number}{name}");
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a size such as \"16MiB\", \"512KiB\" or \"1000B\"");
        let (number, unit) = UNITS
            .into_iter()
            .find_map(|(name, unit)| Some((text.trim().strip_suffix(name)?, unit)))
            .ok_or_else(wrong)?;
        let number = number.trim_end();
        // `parse` would take a sign.
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: usize = number.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_size_is_written_as_it_is_read() {
        for (text, bytes) in [
            ("1MiB", 1 << 20),
            ("16MiB", 16 << 20),
            ("1536KiB", 3 << 19),
            ("1000B", 1_000),
            ("2GiB", 2 << 30),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, text));
        }
        assert_eq!(" 2 MiB ".parse(), Ok(Size::of(2 << 20)));
        assert_eq!("2048KiB".parse::<Size>().unwrap().to_string(), "2MiB");
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in [
            "",
            "MiB",
            "16",
            "16MB",
            "-1MiB",
            "+1MiB",
            "1.5MiB",
            "1e3B",
            "99999999999999999999B",
            "18446744073709551615MiB",
        ] {
            let why = text.parse::<Size>().unwrap_err();
            assert!(why.contains("16MiB"), "{why}");
        }
    }
}
