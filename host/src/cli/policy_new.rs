//! `patrol policy new`: a project of one's own, to write a policy in.
//!
//! It holds all that it is built from but what crates.io has: the stock rules, the contract, and the versions and flags
//! that this program was built with. So one command builds it, wherever there is a cargo.

mod files;
mod vendor;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use self::files::files;
use super::Session;
use super::failure::{Exit, Failure};
use super::print::plain;
use crate::release::check_name;

const EXAMPLES: &str = "\
Examples:
  patrol policy new stricter
  patrol policy new policies/ours --name stricter

README.md in the directory says how to build it, try it, sign it and make it the active policy.";

/// What a project is made of.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct NewArgs {
    /// Where: a directory that is not there yet, or is empty
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What the policy is called: small letters, digits and dashes [default: the directory's name]
    #[arg(long)]
    name: Option<String>,
}

#[derive(Serialize)]
struct ProjectRecord<'a> {
    name: &'a str,
    directory: &'a Path,
    component: String,
    files: Vec<&'a str>,
}

/// Writes a project.
pub(super) fn run(session: &mut Session, args: &NewArgs) -> anyhow::Result<Exit> {
    let directory = args.directory.as_path();
    let name = match &args.name {
        Some(name) => name.clone(),
        None => named_after(directory)?,
    };
    check(&name)?;
    let files = files(&name)?;
    write(directory, &files)?;

    let record = ProjectRecord {
        name: &name,
        directory,
        component: component(&name),
        files: files.iter().map(|(path, _)| path.as_str()).collect(),
    };
    session.out.answer(&record, || {
        let shown = plain(&directory.display().to_string());
        format!(
            "{shown}: a project for the policy {name}. Next:\n  cd {shown}\n  cargo build --release\n  \
             patrol scenario run scenarios --policy {}\nIts README.md says how to go on from there.",
            record.component
        )
    })?;
    Ok(Exit::Done)
}

/// The file that `cargo build --release` makes in the project.
fn component(name: &str) -> String {
    format!(
        "target/wasm32-unknown-unknown/release/{}.wasm",
        name.replace('-', "_")
    )
}

/// The directory's own name.
fn named_after(directory: &Path) -> Result<String, Failure> {
    // `.` has one, once it is written out.
    let full = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let name = full.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        Failure::Usage(format!(
            "{} has no name that a policy could have: give it one with --name",
            directory.display()
        ))
    })
}

/// Whether a release and a crate can be called so.
fn check(name: &str) -> anyhow::Result<()> {
    let bad = |why: &str| {
        Err(Failure::Usage(format!(
            "a policy cannot be called \"{}\": {why}; choose another name with --name",
            name.escape_debug()
        ))
        .into())
    };
    if let Err(why) = check_name(name) {
        return bad(&why);
    }
    if TAKEN.contains(&name) {
        return bad("the name means something else to the compiler");
    }
    if vendor::is_needed(name) {
        return bad("it is built from a crate of that name");
    }
    Ok(())
}

/// What no crate can be called: crates that are always there, and the words of the language.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Writes the files into a directory that holds nothing else.
///
/// Nothing is ever written over: a file that appears there in the meantime ends it. Where it ends early, what it has
/// written goes again, and nothing else does.
fn write(directory: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    let cannot = |path: &Path, error: &io::Error| anyhow::anyhow!("cannot write {}: {error}", path.display());
    let mut written = Written::default();
    written.directory(directory).map_err(|error| match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Failure::Exists(format!(
            "{} is there already, and no directory",
            directory.display()
        ))
        .into(),
        _ => cannot(directory, &error),
    })?;
    let mut inside = fs::read_dir(directory).map_err(|error| cannot(directory, &error))?;
    if inside.next().is_some() {
        return Err(Failure::Exists(format!(
            "{} is not empty: name a directory that is not there yet",
            directory.display()
        ))
        .into());
    }
    for (path, text) in files {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            written
                .directory(parent)
                .map_err(|error| cannot(parent, &error))?;
        }
        written.file(&path, text).map_err(|error| cannot(&path, &error))?;
    }
    written.keep();
    Ok(())
}

/// What was written so far: it goes again, the last first, unless it is kept.
#[derive(Default)]
struct Written(Vec<Made>);

enum Made {
    Directory(PathBuf),
    File(PathBuf),
}

impl Written {
    /// Makes a directory where there is none, and those above it.
    fn directory(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        fs::create_dir(path)?;
        self.0.push(Made::Directory(path.to_owned()));
        Ok(())
    }

    /// Writes a file where there is none.
    fn file(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        self.0.push(Made::File(path.to_owned()));
        file.write_all(text.as_bytes())
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for made in self.0.drain(..).rev() {
            // Best effort. A directory stays if somebody else has put something there.
            let _ = match made {
                Made::Directory(path) => fs::remove_dir(path),
                Made::File(path) => fs::remove_file(path),
            };
        }
    }
}
