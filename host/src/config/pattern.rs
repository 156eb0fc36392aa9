//! The path patterns of routes.
//!
//! A pattern is a path in which `*` stands for anything within a segment, nothing included, and the segment `**` for
//! any number of segments, none included: `/git/**` fits `/git`, `/git/` and `/git/a/b`, since many services take
//! the first two for the same thing, and a rule for what lies below a path would be useless if the path itself went
//! past it. Everything else stands for itself, case and a slash at the end included. There is no way to escape: a path
//! cannot contain what a pattern cannot say.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

/// What a pattern can never contain: a request with it is refused before it is compared, or it is kept for later.
const RESERVED: &[char] = &['\\', '?', '#', ';', '%', '[', ']', '{', '}'];
/// The longest pattern, in bytes.
const LENGTH: usize = 1_024;

/// A path pattern, ready for use.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    kind: Kind,
}

/// Most patterns are of the first two kinds, which take nanoseconds.
#[derive(Clone, Debug)]
enum Kind {
    /// No wildcard.
    Exact,
    /// Only a `/**` at the end; what comes before it.
    Under(String),
    /// Anything else: what comes before the first wildcard, and the whole.
    Wild(String, Vec<GlobMatcher>),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPattern {
    #[error("a route needs a path, such as \"/api/**\"")]
    Missing,
    #[error("a path begins with \"/\"")]
    NotAbsolute,
    #[error("a path has at most {LENGTH} bytes")]
    TooLong,
    #[error("\"{0}\" cannot be in a path pattern: `*` and `**` are its only wildcards")]
    Reserved(char),
    #[error("\"%\" cannot be in a path pattern: write the character itself, paths are compared decoded")]
    Encoded,
    #[error("control characters cannot be in a path pattern: no request with one is let in")]
    Control,
    #[error("\"**\" stands for whole segments: put it between slashes")]
    Stars,
    #[error("two \"**\" after each other mean the same as one")]
    Repeated,
    #[error(
        "no request with an empty segment (\"//\"), \".\" or \"..\" is let in, so no such route is ever used"
    )]
    Never,
    #[error("{0}")]
    Glob(String),
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, BadPattern> {
        check(text)?;
        let kind = match text.find('*') {
            None => Kind::Exact,
            Some(star) => {
                let (before, _) = text.split_at(star);
                match text.strip_suffix("/**") {
                    Some(under) if under.len() <= star => Kind::Under(under.to_owned()),
                    Some(under) => Kind::Wild(before.to_owned(), vec![glob(under)?, glob(text)?]),
                    None => Kind::Wild(before.to_owned(), vec![glob(text)?]),
                }
            }
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }

    /// Whether it fits a path, which was decoded and holds neither empty segments nor dots as segments.
    pub(crate) fn fits(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Under(before) => path
                .strip_prefix(before.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Kind::Wild(before, globs) => {
                path.starts_with(before.as_str()) && globs.iter().any(|glob| glob.is_match(path))
            }
        }
    }

    /// Whether it fits every path, so that none need be looked at.
    pub(crate) fn fits_all(&self) -> bool {
        self.text == "/**"
    }

    /// Whether it fits every path that the other fits. A no may be wrong, a yes never is.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let (ours, theirs): (Vec<_>, Vec<_>) = (self.segments().collect(), other.segments().collect());
        covers(&ours, &theirs)
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').skip(1)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check(text: &str) -> Result<(), BadPattern> {
    if text.is_empty() {
        return Err(BadPattern::Missing);
    }
    if text.len() > LENGTH {
        return Err(BadPattern::TooLong);
    }
    if text.contains('%') {
        return Err(BadPattern::Encoded);
    }
    if let Some(reserved) = text.chars().find(|c| RESERVED.contains(c)) {
        return Err(BadPattern::Reserved(reserved));
    }
    if text.chars().any(char::is_control) {
        return Err(BadPattern::Control);
    }
    let Some(path) = text.strip_prefix('/') else {
        return Err(BadPattern::NotAbsolute);
    };
    let mut before = "";
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        // A slash at the end leaves an empty segment, which is one that paths may have.
        if matches!(segment, "." | "..") || (segment.is_empty() && segments.peek().is_some()) {
            return Err(BadPattern::Never);
        }
        if segment != "**" && segment.contains("**") {
            return Err(BadPattern::Stars);
        }
        if segment == "**" && before == "**" {
            return Err(BadPattern::Repeated);
        }
        before = segment;
    }
    Ok(())
}

fn glob(text: &str) -> Result<GlobMatcher, BadPattern> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(false)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| BadPattern::Glob(error.to_string()))
}

/// Whether these segments fit whatever those fit.
fn covers(ours: &[&str], theirs: &[&str]) -> bool {
    match (ours.split_first(), theirs.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) if covers(rest, theirs) => true,
        // It takes in their next one, whatever that stands for.
        (Some((&"**", _)), Some((_, their_rest))) => covers(ours, their_rest),
        (Some((our, rest)), Some((their, their_rest))) => {
            *their != "**" && segment_fits(our, their) && covers(rest, their_rest)
        }
        _ => false,
    }
}

/// Whether a segment of a pattern fits a text. In a text that is a segment of a pattern itself, only our `*` fits a
/// `*`, so a yes holds for all that it stands for.
fn segment_fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<_> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        // The first place will do: the stars after it take in more than they would behind a later one.
        match text.split_once(piece) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(path)
    }

    /// What the documentation says, word by word.
    fn by_the_book(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => {
                by_the_book(rest, path)
                    || path
                        .split_first()
                        .is_some_and(|(_, after)| by_the_book(pattern, after))
            }
            (Some((pattern, rest)), Some((segment, after))) => {
                stars(pattern.as_bytes(), segment.as_bytes()) && by_the_book(rest, after)
            }
            _ => false,
        }
    }

    fn stars(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                stars(rest, text) || text.split_first().is_some_and(|(_, after)| stars(pattern, after))
            }
            (Some((a, rest)), Some((b, after))) => a == b && stars(rest, after),
            _ => false,
        }
    }

    fn segments(path: &str) -> Vec<&str> {
        path.split('/').skip(1).collect()
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_take_any_number() {
        for (pattern, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a", true),
            ("/a", "/A", false),
            ("/a", "/a/", false),
            ("/a/", "/a/", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/", true),
            ("/a/*", "/a", false),
            ("/a/*", "/a/b/c", false),
            ("/a/*.git", "/a/b.git", true),
            ("/a/*.git", "/a/b/c.git", false),
            ("/*/b", "/a/b", true),
            ("/a*c/d", "/abc/d", true),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/git/**", "/git", true),
            ("/git/**", "/git/", true),
            ("/git/**", "/git/a/b", true),
            ("/git/**", "/gitx", false),
            ("/git/**", "/GIT/a", false),
            ("/**/x", "/x", true),
            ("/**/x", "/a/b/x", true),
            ("/**/x", "/ax", false),
            ("/a/**/b", "/a/b", true),
            ("/a/**/b", "/a/x/y/b", true),
            ("/a/**/b", "/ab", false),
            ("/*/admin/**", "/t/admin", true),
            ("/*/admin/**", "/t/admin/x", true),
            ("/*/admin/**", "/t/u/admin", false),
            ("/grün,!(x)", "/grün,!(x)", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_could_mean_something_else_is_no_pattern() {
        let why = |text| Pattern::parse(text).unwrap_err();
        assert_eq!(why(""), BadPattern::Missing);
        assert_eq!(why("a/b"), BadPattern::NotAbsolute);
        assert_eq!(why("/a?"), BadPattern::Reserved('?'));
        assert_eq!(why("/[ab]"), BadPattern::Reserved('['));
        assert_eq!(why("/{a,b}"), BadPattern::Reserved('{'));
        assert_eq!(why("/a\\*"), BadPattern::Reserved('\\'));
        assert_eq!(why("/a%20b"), BadPattern::Encoded);
        assert_eq!(why("/a\n"), BadPattern::Control);
        assert_eq!(why("/a**"), BadPattern::Stars);
        assert_eq!(why("/***"), BadPattern::Stars);
        assert_eq!(why("/a/**/**"), BadPattern::Repeated);
        for never in ["//", "/a//b", "/a/./b", "/.."] {
            assert_eq!(why(never), BadPattern::Never, "{never}");
        }
        assert_eq!(why(&format!("/{}", "a".repeat(1_024))), BadPattern::TooLong);
    }

    #[test]
    fn a_pattern_that_takes_all_of_another_is_known() {
        for (ours, theirs, expected) in [
            ("/**", "/a/*/b", true),
            ("/**", "/**", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/**", true),
            ("/a/**", "/a/*/x/**", true),
            ("/a/*", "/a/*.git", true),
            ("/a/*.git", "/a/b*.git", true),
            ("/a/*.git", "/a/*", false),
            ("/a/*", "/a/**", false),
            ("/a", "/a/**", false),
            ("/a/**", "/**", false),
            ("/**/x", "/a/**/x", true),
            ("/*/x", "/**/x", false),
        ] {
            let (a, b) = (Pattern::parse(ours).unwrap(), Pattern::parse(theirs).unwrap());
            assert_eq!(a.covers(&b), expected, "{ours} {theirs}");
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            Just("**".to_owned()),
            Just("*".to_owned()),
            "[ab.]{1,2}",
            "[ab]{0,1}\\*[ab]{0,2}\\*?",
        ];
        (proptest::collection::vec(segment, 0..5), any::<bool>())
            .prop_map(|(segments, slash)| {
                let slash = if slash || segments.is_empty() { "/" } else { "" };
                let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
                path + slash
            })
            .prop_filter("a pattern", |text| Pattern::parse(text).is_ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn patterns_fit_what_the_documentation_says(pattern in pattern(), path in "(/[ab]{1,3}){0,4}/?") {
            let path = if path.is_empty() { "/" } else { &path };
            let expected = by_the_book(&segments(&pattern), &segments(path));
            prop_assert_eq!(fits(&pattern, path), expected, "{} {}", pattern, path);
        }

        #[test]
        fn a_pattern_fits_all_that_those_it_covers_fit(
            ours in pattern(), theirs in pattern(), path in "(/[ab]{1,3}){0,4}/?",
        ) {
            let (ours, theirs) = (Pattern::parse(&ours).unwrap(), Pattern::parse(&theirs).unwrap());
            let path = if path.is_empty() { "/" } else { &path };
            if ours.covers(&theirs) && theirs.fits(path) {
                prop_assert!(ours.fits(path), "{} {} {}", ours, theirs, path);
            }
        }
    }
}
