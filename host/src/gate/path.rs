//! What path a request is about, where a rule looks at it.
//!
//! Gateway, Patrol and service each take the request target apart by themselves. A target that they could take apart
//! in different ways would be judged as one path and served as another, so it is refused, and what is left has one
//! meaning: its segments are neither empty nor dots, nothing in it separates that does not look like it, and each
//! character can be written in one way only by the time it is compared, since all of it is decoded (RFC 3986 §6.2.2.2
//! would leave `%3A` alone; services do not).

use std::borrow::Cow;

/// Why a target could mean more than one path, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ambiguous {
    #[error("it does not begin with \"/\"")]
    NotAPath,
    #[error("it holds a byte that is not ASCII, which must be percent-encoded")]
    NotAscii,
    #[error("it holds a control character or a space")]
    Control,
    #[error("it holds a backslash, which some take for a slash")]
    Backslash,
    #[error("it holds \";\", after which some expect parameters")]
    Parameters,
    #[error("it holds \"#\", after which some read nothing more")]
    Fragment,
    #[error("a \"%\" in it is not followed by two hexadecimal digits")]
    Escape,
    #[error("it holds an encoded slash (%2F), which some decode first")]
    EncodedSlash,
    #[error("it holds an encoded dot (%2E), which some decode first")]
    EncodedDot,
    #[error("it holds an encoded question mark (%3F), after which some read a query")]
    EncodedQuery,
    #[error("it is encoded twice")]
    Twice,
    #[error("what it encodes is not UTF-8")]
    NotUtf8,
    #[error("it holds an empty segment (\"//\"), which some leave out")]
    EmptySegment,
    #[error("it holds \".\" or \"..\" as a segment, which some resolve")]
    DotSegment,
}

/// The path of a request target, decoded; borrowed where nothing was encoded.
pub(super) fn path(target: &str) -> Result<Cow<'_, str>, Ambiguous> {
    let raw = target.split_once('?').map_or(target, |(path, _)| path);
    if !raw.starts_with('/') {
        return Err(Ambiguous::NotAPath);
    }
    let mut encoded = false;
    let mut before = 0;
    for byte in raw.bytes() {
        match byte {
            0x80.. => return Err(Ambiguous::NotAscii),
            b'/' if before == b'/' => return Err(Ambiguous::EmptySegment),
            b'%' => encoded = true,
            byte => plain(byte)?,
        }
        before = byte;
    }
    let path = if encoded {
        Cow::Owned(decode(raw)?)
    } else {
        Cow::Borrowed(raw)
    };
    // Only where a dot follows a slash can there be such a segment.
    if path.contains("/.") && path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Ambiguous::DotSegment);
    }
    Ok(path)
}

/// Refuses what separates for some.
const fn plain(byte: u8) -> Result<(), Ambiguous> {
    match byte {
        0..=0x1f | 0x7f => Err(Ambiguous::Control),
        b'\\' => Err(Ambiguous::Backslash),
        b';' => Err(Ambiguous::Parameters),
        b'#' => Err(Ambiguous::Fragment),
        // As it is, it would end the line of the request; encoded, it is one like others.
        b' ' => Err(Ambiguous::Control),
        _ => Ok(()),
    }
}

fn decode(raw: &str) -> Result<String, Ambiguous> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    // The places of encoded percent signs.
    let mut percents = Vec::new();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = hex(rest.next()).zip(hex(rest.next())).ok_or(Ambiguous::Escape)?;
        let byte = (digits.0 << 4) | digits.1;
        match byte {
            b'/' => return Err(Ambiguous::EncodedSlash),
            b'.' => return Err(Ambiguous::EncodedDot),
            b'?' => return Err(Ambiguous::EncodedQuery),
            b'%' => percents.push(decoded.len()),
            b' ' => {}
            byte => plain(byte)?,
        }
        decoded.push(byte);
    }
    for at in percents {
        let mut after = decoded.iter().skip(at).skip(1).copied();
        if hex(after.next()).zip(hex(after.next())).is_some() {
            return Err(Ambiguous::Twice);
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| Ambiguous::NotUtf8)?;
    // Unicode has more of them (U+0080 to U+009F).
    if decoded.chars().any(char::is_control) {
        return Err(Ambiguous::Control);
    }
    Ok(decoded)
}

fn hex(digit: Option<u8>) -> Option<u8> {
    let value = char::from(digit?).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_compared_decoded_and_without_its_query() {
        for (target, expected) in [
            ("/", "/"),
            ("/admin?x=/../..", "/admin"),
            ("/%61dmin", "/admin"),
            ("/%61%64%6D%69%6e", "/admin"),
            ("/a%20b%3Ac", "/a b:c"),
            ("/caf%C3%A9/%E5%9C%A8", "/café/在"),
            ("/100%25", "/100%"),
            ("/100%25x", "/100%x"),
            ("/.well-known/..a/a..", "/.well-known/..a/a.."),
            ("/a/", "/a/"),
        ] {
            assert_eq!(path(target).as_deref(), Ok(expected), "{target}");
        }
        assert!(matches!(path("/plain?%"), Ok(Cow::Borrowed("/plain"))));
    }

    #[test]
    fn what_could_be_another_path_is_refused() {
        use Ambiguous as A;
        for (target, why) in [
            ("", A::NotAPath),
            ("*", A::NotAPath),
            ("http://host/a", A::NotAPath),
            ("?/a", A::NotAPath),
            ("%2fa", A::NotAPath),
            ("/a/../b", A::DotSegment),
            ("/..", A::DotSegment),
            ("/a/./b", A::DotSegment),
            ("/.", A::DotSegment),
            ("/a/.?x", A::DotSegment),
            ("//", A::EmptySegment),
            ("/a//b", A::EmptySegment),
            ("/a%2fb", A::EncodedSlash),
            ("/a%2Fb", A::EncodedSlash),
            ("/%2e%2E/b", A::EncodedDot),
            ("/a%2ehtml", A::EncodedDot),
            ("/a\\b", A::Backslash),
            ("/a%5cb", A::Backslash),
            ("/a;b=c", A::Parameters),
            ("/a%3Bb", A::Parameters),
            ("/a#b", A::Fragment),
            ("/a%23b", A::Fragment),
            ("/a%3fb", A::EncodedQuery),
            ("/a b", A::Control),
            ("/a\tb", A::Control),
            ("/a%00", A::Control),
            ("/a%1f", A::Control),
            ("/a%7F", A::Control),
            ("/a%C2%85", A::Control),
            ("/a%", A::Escape),
            ("/a%4", A::Escape),
            ("/a%zz", A::Escape),
            ("/a%+4", A::Escape),
            ("/%2561dmin", A::Twice),
            ("/%25%36%31dmin", A::Twice),
            ("/%252e", A::Twice),
            ("/%ff", A::NotUtf8),
            ("/%c0%af", A::NotUtf8),
            ("/grün", A::NotAscii),
            ("/\u{fffd}", A::NotAscii),
        ] {
            assert_eq!(path(target), Err(why), "{target:?}");
        }
    }

    /// Ways in which gateways and services have been seen to read a path.
    fn readings(target: &str) -> Vec<String> {
        fn decoded(text: &str) -> String {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        }
        fn resolved(text: &str) -> String {
            let mut out: Vec<&str> = Vec::new();
            let mut segments = text.split('/').skip(1).peekable();
            while let Some(segment) = segments.next() {
                let last = segments.peek().is_none();
                match segment {
                    "" if !last => {}
                    "." if !last => {}
                    ".." => drop(out.pop()),
                    segment => out.push(segment),
                }
            }
            format!("/{}", out.join("/"))
        }
        fn without_parameters(text: &str) -> String {
            let segments = text.split('/');
            let segments: Vec<_> = segments
                .map(|segment| segment.split(';').next().unwrap_or_default())
                .collect();
            segments.join("/")
        }
        let cut = |text: &str, at: char| text.split(at).next().unwrap_or_default().to_owned();
        let raw = cut(target, '?');
        let fragmentless = cut(&raw, '#');
        vec![
            decoded(&raw),
            decoded(&fragmentless),
            resolved(&decoded(&raw)),
            decoded(&resolved(&raw)),
            decoded(&without_parameters(&raw)),
            without_parameters(&decoded(&raw)),
            resolved(&without_parameters(&decoded(&raw))),
            resolved(&decoded(&raw).replace('\\', "/")),
            resolved(&decoded(&decoded(&raw))),
            cut(&decoded(&raw), '?'),
            cut(&decoded(&raw), '#'),
            cut(&decoded(&raw), '\0'),
            decoded(&raw).trim_end_matches(char::is_control).to_owned(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// The decisive one: whatever is let through is read as the same path by all of them.
        #[test]
        fn all_who_read_an_accepted_target_read_the_same_path(
            target in "/((a|admin|\\.|\\.\\.|/|//|;|;x=1|#|\\\\|\\?|%2[5fFeE]|%5[cC]|%3[bBfF]|%23|%61|%41|%00|%0[aA]|%7[fF]|%[0-9a-f]{0,2}|é|%c3%a9|%c0%ae|%ff)[/]?){0,6}"
        ) {
            if let Ok(path) = path(&target) {
                for reading in readings(&target) {
                    prop_assert_eq!(&reading, &*path, "{}", target);
                }
            }
        }

        /// An encoded letter is that letter: no spelling of a path goes past a rule that fits it.
        #[test]
        fn every_spelling_of_a_path_is_the_same_path(
            plain in "(/[a-z:@ é~-]{1,5}){1,3}", which in proptest::collection::vec(any::<(bool, bool)>(), 64),
        ) {
            let mut target = String::new();
            let mut which = which.into_iter().cycle();
            for byte in plain.bytes() {
                let (encode, upper) = which.next().unwrap();
                if byte != b'/' && (encode || byte == b' ' || !byte.is_ascii()) {
                    target += &if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
                } else {
                    target.push(char::from(byte));
                }
            }
            let read = path(&target);
            prop_assert_eq!(read.as_deref(), Ok(plain.as_str()), "{}", target);
        }
    }
}
