//! What the pages say, in one place and in one language so far: `host/web/en/*.ftl`, in Fluent's format, so that
//! translators need nothing but those files.

use std::borrow::Cow;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// The catalogue, a file for each part of the pages.
const ENGLISH: &[&str] = &[
    include_str!("../../../web/en/common.ftl"),
    include_str!("../../../web/en/method.ftl"),
    include_str!("../../../web/en/oidc.ftl"),
    include_str!("../../../web/en/setup.ftl"),
    include_str!("../../../web/en/setup.ftl"),
    include_str!("../../../web/en/security.ftl"),
    include_str!("../../../web/en/sign-in.ftl"),
    include_str!("../../../web/en/tokens.ftl"),
    include_str!("../../../web/en/review.ftl"),
    include_str!("../../../web/en/history.ftl"),
    include_str!("../../../web/en/overview.ftl"),
    include_str!("../../../web/en/users.ftl"),
    include_str!("../../../web/en/audit.ftl"),
    include_str!("../../../web/en/policy.ftl"),
];

static BUNDLE: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| {
    let mut bundle =
        FluentBundle::new_concurrent(vec![LanguageIdentifier::from_bytes(b"en").unwrap_or_default()]);
    // Names that people chose stand in `<bdi>`, which does what these invisible characters would.
    bundle.set_use_isolating(false);
    for file in ENGLISH {
        // A mistake is found by the test below; what could be read is used.
        let resource = FluentResource::try_new((*file).to_owned()).unwrap_or_else(|(read, _)| read);
        let _ = bundle.add_resource(resource);
    }
    bundle
});

/// A text of the pages; where there is none of this name, the name.
pub(super) fn text(key: &str) -> String {
    text_with(key, &[])
}

/// A text of the pages, with what is to stand in it. Whole numbers choose the plural.
pub(super) fn text_with(key: &str, values: &[(&str, &str)]) -> String {
    let bundle = &*BUNDLE;
    let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
        return key.to_owned();
    };
    let mut arguments = FluentArgs::new();
    for (name, value) in values {
        let value = match value.parse::<u64>() {
            Ok(number) if number.to_string() == *value => FluentValue::from(number),
            _ => FluentValue::from((*value).to_owned()),
        };
        arguments.set(Cow::from((*name).to_owned()), value);
    }
    bundle
        .format_pattern(pattern, Some(&arguments), &mut Vec::new())
        .into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|known| known == extension) {
                found.push(path);
            }
        }
        found
    }

    /// The names that the catalogue has.
    fn defined() -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for file in files("web/en", "ftl") {
            let text = fs::read_to_string(&file).unwrap();
            assert!(
                ENGLISH.contains(&text.as_str()),
                "{} is not listed",
                file.display()
            );
            FluentResource::try_new(text.clone())
                .unwrap_or_else(|(_, errors)| panic!("{file:?}: {errors:?}"));
            for line in text.lines() {
                let name: String = line
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
                    .collect();
                if !name.is_empty()
                    && line
                        .get(name.len()..)
                        .is_some_and(|rest| rest.trim_start().starts_with('='))
                {
                    assert!(names.insert(name.clone()), "{name} is there twice");
                }
            }
        }
        names
    }

    #[test]
    fn every_text_that_is_asked_for_is_there_and_every_text_is_asked_for() {
        let defined = defined();
        let mut source = String::new();
        let mut templates = String::new();
        for file in files("src/http/web", "rs") {
            source += &fs::read_to_string(file).unwrap();
        }
        for file in files("web/templates", "html") {
            templates += &fs::read_to_string(file).unwrap();
        }
        for name in &defined {
            let quoted = format!("\"{name}\"");
            assert!(
                source.contains(&quoted) || templates.contains(&quoted),
                "nobody asks for {name}"
            );
        }
        for call in ["t(\"", "with(\"", "count(\""] {
            for piece in templates.split(&format!("frame.{call}")).skip(1) {
                let name = piece.split('"').next().unwrap();
                assert!(defined.contains(name), "there is no {name}");
            }
        }
        for call in ["text(\"", "text_with(\""] {
            for piece in source.split(call).skip(1) {
                let name = piece.split('"').next().unwrap();
                // Not what this test itself says.
                if name.len() > 2 && !name.contains(['{', '\\', ')']) {
                    assert!(defined.contains(name), "there is no {name}");
                }
            }
        }
    }

    #[test]
    fn numbers_choose_the_plural() {
        assert_eq!(text_with("time-days", &[("count", "1")]), "1 day");
        assert_eq!(text_with("time-days", &[("count", "2")]), "2 days");
        assert_eq!(text("{none}"), "{none}");
    }
}
