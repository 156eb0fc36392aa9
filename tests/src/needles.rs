//! Looking for a secret in what must not hold it, in every form that it could have there (R1, R2).

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Where the 44 digits of the secret stand in a token's text.
const DIGITS: std::ops::Range<usize> = 33..77;

/// The forms of secrets, each with a name for the report.
#[derive(Debug, Default)]
pub struct Needles(Vec<(String, Vec<u8>)>);

impl Needles {
    /// Adds the forms of a PAT or session token: its text, the part that is secret, the 32 bytes that it stands for,
    /// and their halves, since they are numbers of 16 bytes each.
    ///
    /// # Panics
    /// If it is none.
    pub fn add_token(&mut self, what: &str, text: &[u8]) {
        assert_eq!(text.len(), 83, "{what} is no token");
        self.add_text(what, text);
        self.add_text(&format!("the secret part of {what}"), &text[33..]);
        self.add_text(&format!("the digits of {what}"), &text[DIGITS]);
        let bytes = secret_bytes(text);
        let halves = [
            ("all", &bytes[..]),
            ("first half", &bytes[..16]),
            ("second half", &bytes[16..]),
        ];
        for (part, bytes) in halves {
            self.add_text(&format!("the bytes of {what}, {part}"), bytes);
            let list = format!("{bytes:?}");
            self.0.push((
                format!("the bytes of {what}, {part}, as a list"),
                list.trim_matches(['[', ']']).as_bytes().to_vec(),
            ));
        }
    }

    /// Adds the forms of any other secret, such as a password: as it is, in hexadecimal, in base64.
    pub fn add_text(&mut self, what: &str, text: &[u8]) {
        let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.push((
            format!("{what}, in upper case hex"),
            hex.to_uppercase().into_bytes(),
        ));
        self.0.push((format!("{what}, in hex"), hex.into_bytes()));
        // Within a longer text, the last group would come out otherwise.
        let whole = text.len() / 3 * 3;
        let forms = [
            ("base64", STANDARD_NO_PAD.encode(&text[..whole])),
            ("url-safe base64", URL_SAFE_NO_PAD.encode(&text[..whole])),
        ];
        for (form, encoded) in forms {
            self.0.push((format!("{what}, in {form}"), encoded.into_bytes()));
        }
        self.0.push((what.to_owned(), text.to_vec()));
    }

    /// How many forms of secrets are looked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What of it is in this hay.
    #[must_use]
    pub fn found_in(&self, hay: &[u8]) -> Vec<&str> {
        // By first bytes, so that a long run with many secrets needs one pass over each file; and most of that pass
        // needs no more than a look at two bytes.
        let mut by_start: std::collections::HashMap<&[u8], Vec<&(String, Vec<u8>)>> = Default::default();
        let mut possible = vec![false; 1 << 16];
        for needle in &self.0 {
            let start = needle.1.get(..4).expect("a needle has four bytes or more");
            possible[usize::from(u16::from_be_bytes([start[0], start[1]]))] = true;
            by_start.entry(start).or_default().push(needle);
        }
        let mut found = Vec::new();
        let mut before = 0;
        for (at, byte) in hay.iter().enumerate() {
            let two = before << 8 | usize::from(*byte);
            before = usize::from(*byte);
            if at == 0 || !possible[two] {
                continue;
            }
            let here = &hay[at - 1..];
            for (what, needle) in here
                .get(..4)
                .and_then(|start| by_start.get(start))
                .into_iter()
                .flatten()
            {
                if here.starts_with(needle) {
                    found.push(what.as_str());
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What of it is in the files below a directory, each with the file's path.
    ///
    /// Opening a database's file and closing it again costs other connections of this process their locks: only for
    /// directories that nobody in this process has open.
    ///
    /// # Panics
    /// Where a file cannot be read.
    #[must_use]
    pub fn found_below(&self, directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(self.found_below(&path));
            } else if path.is_file() {
                // Not the control socket, which holds nothing.
                let hay = fs::read(&path).expect("a file");
                let here = self.found_in(&hay);
                found.extend(here.iter().map(|what| format!("{}: {what}", path.display())));
            }
        }
        found
    }
}

/// The 32 bytes that a token's text stands for.
///
/// # Panics
/// If it is no token.
#[must_use]
pub fn secret_bytes(text: &[u8]) -> [u8; 32] {
    let digits = &text[DIGITS];
    let (first, second) = digits.split_at(22);
    let number = |digits| base62::decode(digits).expect("digits").to_be_bytes();
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&number(first));
    bytes[16..].copy_from_slice(&number(second));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use patrol_policy::token::{Kind, compose};
    use patrol_policy::types::Id;

    #[test]
    fn each_form_of_a_secret_is_found_where_it_stands() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i * 7 + 130) as u8);
        let text = compose(Kind::Pat, Id::from_u128(5), &bytes).into_bytes();
        assert_eq!(secret_bytes(&text), bytes);
        let mut needles = Needles::default();
        needles.add_token("it", &text);
        let hays = [
            text.clone(),
            text[33..].to_vec(),
            bytes.to_vec(),
            bytes[16..].to_vec(),
            format!("{bytes:?}").into_bytes(),
            format!("{bytes:02x?}").replace(", ", "").into_bytes(),
            format!("{bytes:02X?}").replace(", ", "").into_bytes(),
            base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into_bytes(),
            base64::engine::general_purpose::URL_SAFE
                .encode(&text)
                .into_bytes(),
        ];
        for hay in hays {
            let buried = [b"some text before ".as_slice(), &hay, b" and after"].concat();
            assert!(!needles.found_in(&buried).is_empty(), "{hay:?}");
        }
        // Identifier and prefix are no secrets.
        assert_eq!(needles.found_in(&text[..33]), Vec::<&str>::new());
    }
}
