//! Why a configuration cannot be used.

use std::path::{Path, PathBuf};

use super::Mistake;

/// A configuration that cannot be used, with what to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {error}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The configuration has mistakes.
    #[error("{}", told(.path.as_deref(), .mistakes))]
    Mistakes {
        /// The file, where it was read from one.
        path: Option<PathBuf>,
        /// All of them; at least one.
        mistakes: Vec<Mistake>,
    },
}

/// The first mistake, and how many more there are.
fn told(path: Option<&Path>, mistakes: &[Mistake]) -> String {
    let path = path
        .map(|path| format!(" {}", path.display()))
        .unwrap_or_default();
    let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
    let more = match mistakes.len() {
        0 | 1 => String::new(),
        number => format!(
            " (and {} more: see `patrol config check`)",
            number.saturating_sub(1)
        ),
    };
    format!("the configuration{path} has a mistake: {first}{more}")
}
