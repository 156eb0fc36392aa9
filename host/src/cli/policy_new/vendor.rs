//! From the workspace that this program was built in to a project that stands alone: the manifest of the stock rules
//! without the workspace that it inherits from, and the lock file with the project in it.

use anyhow::{Context as _, anyhow};
use toml::{Table, Value};

const ROOT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
const GUEST: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest/Cargo.toml"));
/// Written by `build/lock.rs`.
const LOCK: &str = include_str!(env!("PATROL_PROJECT_LOCK"));

/// The crate of the stock rules.
const RULES: &str = "patrol-policy";
/// A project's first version.
pub(super) const VERSION: &str = "0.1.0";

/// The manifests of the workspace and of the stock rules.
pub(super) struct Workspace {
    root: Table,
    guest: Table,
}

impl Workspace {
    pub(super) fn read() -> anyhow::Result<Self> {
        Ok(Self {
            root: ROOT.parse()?,
            guest: GUEST.parse()?,
        })
    }

    /// What the workspace says of all its packages.
    fn inherited(&self, what: &str, key: &str) -> anyhow::Result<&Value> {
        let value = self
            .root
            .get("workspace")
            .and_then(|workspace| workspace.get(what)?.get(key));
        value.ok_or_else(|| anyhow!("the workspace has no {what}.{key}"))
    }

    /// The oldest compiler that will do.
    pub(super) fn rust_version(&self) -> anyhow::Result<&str> {
        let version = self.inherited("package", "rust-version")?.as_str();
        version.context("the workspace's rust-version is no text")
    }

    /// The manifest of the stock rules, as a library for other policies.
    pub(super) fn manifest(&self) -> anyhow::Result<String> {
        let mut manifest = Table::new();
        let mut package = Table::new();
        for (key, value) in section(&self.guest, "package")? {
            let value = match inherits(value) {
                true => self.inherited("package", key)?,
                false => value,
            };
            package.insert(key.clone(), value.clone());
        }
        package.remove("metadata");
        manifest.insert("package".to_owned(), package.into());

        let mut features = section(&self.guest, "features")?.clone();
        // Its own component is the host's affair.
        features.insert("default".to_owned(), Value::Array(Vec::new()));
        manifest.insert("features".to_owned(), features.into());

        let dependencies = self.dependencies(section(&self.guest, "dependencies")?)?;
        manifest.insert("dependencies".to_owned(), dependencies.into());
        let mut targets = Table::new();
        for (target, tables) in section(&self.guest, "target")? {
            let tables = tables.as_table().context("a target that is no table")?;
            let dependencies = self.dependencies(section(tables, "dependencies")?)?;
            let one = Table::from_iter([("dependencies".to_owned(), dependencies.into())]);
            targets.insert(target.clone(), one.into());
        }
        manifest.insert("target".to_owned(), targets.into());
        Ok(format!(
            "# The stock rules, as patrol {} has them. A policy depends on them without default features.\n\n{}",
            crate::release::HOST_VERSION,
            toml::to_string(&manifest)?
        ))
    }

    /// Dependencies, each with the version and the features that the workspace has for it.
    fn dependencies(&self, named: &Table) -> anyhow::Result<Table> {
        let mut dependencies = Table::new();
        for (name, own) in named {
            let mut whole = match self.inherited("dependencies", name)? {
                Value::Table(table) => table.clone(),
                version => Table::from_iter([("version".to_owned(), version.clone())]),
            };
            for (key, value) in own.as_table().into_iter().flatten() {
                match (key.as_str(), whole.get_mut(key)) {
                    ("workspace", _) => {}
                    ("features", Some(Value::Array(all))) => {
                        all.extend(value.as_array().into_iter().flatten().cloned());
                    }
                    _ => {
                        whole.insert(key.clone(), value.clone());
                    }
                }
            }
            dependencies.insert(name.clone(), whole.into());
        }
        Ok(dependencies)
    }
}

/// The lock file of a project: what its rules are built from, and itself.
pub(super) fn lock(name: &str) -> String {
    const ENTRY: &str = "\n[[package]]\n";
    let mut entries: Vec<_> = LOCK.split(ENTRY).map(str::to_owned).collect();
    entries.push(format!(
        "name = \"{name}\"\nversion = \"{VERSION}\"\ndependencies = [\n \"{RULES}\",\n]\n"
    ));
    // What stands before the first entry stays there: it begins with `#`. The names after it are in order, whatever
    // versions they have.
    if let Some((_, packages)) = entries.split_first_mut() {
        packages.sort_by(|a, b| a.lines().next().cmp(&b.lines().next()));
    }
    entries.join(ENTRY)
}

/// Whether a project is built from a crate of this name.
pub(super) fn is_needed(name: &str) -> bool {
    let entry = format!("name = \"{name}\"");
    LOCK.lines().any(|line| line == entry)
}

fn section<'a>(table: &'a Table, name: &str) -> anyhow::Result<&'a Table> {
    let section = table.get(name).and_then(Value::as_table);
    section.ok_or_else(|| anyhow!("there is no {name}"))
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool).unwrap_or(false)
}
