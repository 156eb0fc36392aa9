//! Lists the functions of the contract for `policy::world`, which has to know, before a component is compiled, whether
//! this host has all that it imports.
//!
//! It reads the files of `wit/` line by line: they are formatted, and a test reads them with a real parser, too, and
//! compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Writes, as Rust, what a policy may import and what it has to export.
pub fn write(wit: &Path, to: &Path) -> Result<(), String> {
    let mut functions = BTreeMap::<String, Vec<String>>::new();
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let unreadable = |e: std::io::Error| format!("cannot read {}: {e}", wit.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(wit).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            files.push(path);
        }
    }
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        let mut interface = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("interface ") {
                interface = rest.trim_end_matches(['{', ' ']).to_owned();
                functions.entry(interface.clone()).or_default();
            } else if let Some(rest) = line.strip_prefix("    import ") {
                imports.push(rest.trim_end_matches(';').to_owned());
            } else if let Some(rest) = line.strip_prefix("    export ") {
                exports.push(rest.trim_end_matches(';').to_owned());
            } else if let Some((name, _)) = line
                .strip_prefix("    ")
                .filter(|rest| !rest.starts_with([' ', '/']))
                .and_then(|rest| rest.split_once(": func("))
            {
                functions
                    .entry(interface.clone())
                    .or_default()
                    .push(name.to_owned());
            }
        }
    }
    let mut rust = String::new();
    for (constant, interfaces) in [("IMPORTS", imports), ("EXPORTS", exports)] {
        // Writing to a string does not fail.
        let _ = writeln!(rust, "const {constant}: &[(&str, &[&str])] = &[");
        for interface in interfaces {
            let functions = functions.get(&interface).ok_or_else(|| {
                format!(
                    "the world names an interface {interface} that {} has not",
                    wit.display()
                )
            })?;
            let _ = writeln!(rust, "    ({interface:?}, &{functions:?}),");
        }
        rust.push_str("];\n");
    }
    fs::write(to, rust).map_err(|e| format!("cannot write {}: {e}", to.display()))
}
