//! The shipped configurations, as files of a test's own.

use std::path::{Path, PathBuf};

/// Where the configuration of a gateway lies.
#[must_use]
pub fn shipped(gateway: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../host/gateways")
        .join(gateway)
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    for entry in std::fs::read_dir(from).expect("the configuration is there") {
        let from = entry.expect("it can be listed").path();
        let to = to.join(from.file_name().expect("it has a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, to).expect("it can be copied");
        }
    }
}

/// Replaces texts that are there exactly once, so that no change of the configuration passes this by.
pub fn replace(file: &Path, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(file).expect("it can be read");
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from} in {}", file.display());
        text = text.replace(from, to);
    }
    std::fs::write(file, text).expect("it can be written");
}
