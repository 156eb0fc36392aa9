//! The files of a project.

use include_dir::{Dir, include_dir};

use super::vendor;
use crate::release::HOST_VERSION;

/// The stock rules.
static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest/src");
/// The contract. What lies in folders there are older ones.
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");

/// A file from another part of the repository.
macro_rules! own {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $path))
    };
}

/// A file of the project that is the same in each but for names.
macro_rules! template {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policy-project/", $path))
    };
}

const TEMPLATES: &[(&str, &str)] = &[
    (".cargo/config.toml", template!("cargo-config.toml")),
    (".gitignore", template!("gitignore")),
    ("Cargo.toml", template!("manifest.toml")),
    ("README.md", template!("README.md")),
    ("scenarios/idle.toml", template!("scenarios/idle.toml")),
    ("src/lib.rs", template!("lib.rs")),
    ("src/tests.rs", template!("tests.rs")),
];

/// Those of the shipped scenarios that tell of the rule which the project's policy changes.
const DIFFERS: &[&str] = &["r05-expiry", "r06-gone-and-kept", "r07-limit"];

/// All files of a project for a policy of this name, by their paths in it.
///
/// # Errors
/// None, in a release: a test builds one.
pub(super) fn files(name: &str) -> anyhow::Result<Vec<(String, String)>> {
    let workspace = vendor::Workspace::read()?;
    let differs: Vec<_> = DIFFERS.iter().map(|one| format!("--differs {one}")).collect();
    let words = [
        ("{{name}}", name),
        ("{{file}}", &name.replace('-', "_")),
        ("{{version}}", vendor::VERSION),
        ("{{patrol}}", HOST_VERSION),
        ("{{rust}}", workspace.rust_version()?),
        ("{{differs}}", &differs.join(" ")),
    ];
    let filled = |text: &str| {
        words
            .iter()
            .fold(text.to_owned(), |text, (word, with)| text.replace(word, with))
    };
    let mut files: Vec<(String, String)> = TEMPLATES
        .iter()
        .map(|(path, text)| ((*path).to_owned(), filled(text)))
        .collect();
    files.push((
        "rust-toolchain.toml".to_owned(),
        own!("rust-toolchain.toml").to_owned(),
    ));
    files.push(("Cargo.lock".to_owned(), vendor::lock(name)));
    files.push(("patrol-policy/Cargo.toml".to_owned(), workspace.manifest()?));
    files.push(("patrol-policy/LICENSE".to_owned(), own!("LICENSE").to_owned()));
    collect(&RULES, "patrol-policy/src", &mut files);
    for file in CONTRACT.files() {
        push(file, "wit", &mut files);
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Dir<'_>, to: &str, files: &mut Vec<(String, String)>) {
    for file in folder.files() {
        push(file, to, files);
    }
    for folder in folder.dirs() {
        collect(folder, to, files);
    }
}

/// Adds a text under its path below the embedded folder.
fn push(file: &include_dir::File<'_>, to: &str, files: &mut Vec<(String, String)>) {
    if let Some(text) = file.contents_utf8() {
        files.push((format!("{to}/{}", file.path().display()), text.to_owned()));
    }
}
