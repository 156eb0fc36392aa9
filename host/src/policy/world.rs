//! What a component says that it needs and has, looked at before anything of it is compiled.
//!
//! A compiler is the largest thing that a stranger's bytes can reach here, and the slowest. So a component is first read
//! without one: its sections, its types and its names, but no body of a function. A policy that was written for a newer
//! host is told so, by the interface or the function that is not here yet, and one that is no policy at all is told what
//! it lacks.
//!
//! The names that are allowed come from `wit/` (`build/contract.rs`); the types are compared with those of the built-in
//! component, which was built against the same files. What that does not import itself is left to the linker, which
//! compares again.

use std::collections::BTreeMap;

use semver::Version;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::{Types, TypesRef};
use wasmparser::{Parser, Payload, ValidPayload, Validator};

use super::fault::printable;
use super::release::{EMBEDDED, LoadError};

include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// The package whose interfaces a policy may import and has to export.
pub(super) const PACKAGE: &str = "patrol:policy/";
/// The line of it that this host speaks. Within a line functions are added and nothing is changed.
const LINE: (u64, u64) = (0, 1);

/// A component that was read, not compiled.
struct Read {
    types: Types,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Whether a component is a policy for this host, as far as can be known without compiling it.
///
/// # Errors
/// What it is instead, and what to do.
pub(super) fn check(bytes: &[u8]) -> Result<(), LoadError> {
    // One validator, so that types can be compared.
    let mut validator = Validator::new();
    let own = read(&mut validator, EMBEDDED).map_err(LoadError::Engine)?;
    validator.reset();
    let asked = read(&mut validator, bytes).map_err(LoadError::NotAComponent)?;
    check_imports(&asked, &own)?;
    check_exports(&asked, &own)
}

/// Reads all of a component but its functions' bodies, which whoever compiles them reads anyway.
fn read(validator: &mut Validator, bytes: &[u8]) -> Result<Read, String> {
    let said = |e: wasmparser::Error| printable(&e.to_string());
    let (mut imports, mut exports, mut last) = (Vec::new(), Vec::new(), None);
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(said)?;
        let valid = validator.payload(&payload).map_err(said)?;
        match payload {
            Payload::Version { .. } => depth = depth.saturating_add(1),
            Payload::End(_) => depth = depth.saturating_sub(1),
            // Only the outermost component's are the host's business.
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import.map_err(said)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export.map_err(said)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        if let ValidPayload::End(types) = valid {
            last = Some(types);
        }
    }
    match last {
        Some(types) if Parser::is_component(bytes) => Ok(Read {
            types,
            imports,
            exports,
        }),
        _ => Err("it is a core module".to_owned()),
    }
}

fn check_imports(asked: &Read, own: &Read) -> Result<(), LoadError> {
    for name in &asked.imports {
        let Some((interface, version)) = ours(name) else {
            return Err(LoadError::Imports(printable(name)));
        };
        check_line(&version)?;
        let absent = |what: String| LoadError::Newer {
            what: printable(&what),
            version: printable(&version.to_string()),
        };
        let Some((_, offered)) = IMPORTS.iter().find(|(known, _)| *known == interface) else {
            return Err(absent(interface.to_owned()));
        };
        let types = asked.types.as_ref();
        let Some(wanted) = functions(types, types.component_item_for_import(name).map(|item| item.ty)) else {
            return Err(LoadError::ImportTypes(format!("{interface} is an interface")));
        };
        let known = own
            .imports
            .iter()
            .find(|own| ours(own).is_some_and(|(own, _)| own == interface));
        let known = known.and_then(|known| {
            let types = own.types.as_ref();
            functions(types, types.component_item_for_import(known).map(|item| item.ty))
        });
        for (function, wanted) in wanted {
            if !offered.contains(&function) {
                return Err(absent(format!("{interface}.{function}")));
            }
            if let Some(known) = known.as_ref().and_then(|known| known.get(function))
                && !ComponentEntityType::is_subtype_of(known, own.types.as_ref(), &wanted, types)
            {
                let why = format!("{interface}.{function} has another type");
                return Err(LoadError::ImportTypes(why));
            }
        }
    }
    Ok(())
}

fn check_exports(asked: &Read, own: &Read) -> Result<(), LoadError> {
    let find = |read: &Read, interface: &str| {
        let mut names = read.exports.iter();
        let name = names.find(|name| ours(name).is_some_and(|(found, _)| found == interface))?;
        read.types
            .as_ref()
            .component_item_for_export(name)
            .map(|item| item.ty)
    };
    for name in &asked.exports {
        if let Some((_, version)) = ours(name) {
            check_line(&version)?;
        }
    }
    for (interface, required) in EXPORTS {
        let types = asked.types.as_ref();
        let has = functions(types, find(asked, interface));
        let Some(has) = has else {
            return Err(LoadError::Exports(format!("there is no interface {interface}")));
        };
        let known = functions(own.types.as_ref(), find(own, interface)).unwrap_or_default();
        for function in *required {
            let Some(found) = has.get(function) else {
                return Err(LoadError::Exports(format!(
                    "there is no function {interface}.{function}"
                )));
            };
            if let Some(known) = known.get(function)
                && !ComponentEntityType::is_subtype_of(found, types, known, own.types.as_ref())
            {
                let why = format!("{interface}.{function} has another type");
                return Err(LoadError::Exports(why));
            }
        }
    }
    Ok(())
}

/// An interface of the contract, and its version; none: it is somebody else's.
fn ours(name: &str) -> Option<(&str, Version)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    Some((interface, Version::parse(version).ok()?))
}

/// Whether a version of the contract is one that this host speaks, or may be.
fn check_line(version: &Version) -> Result<(), LoadError> {
    let line = (version.major, version.minor);
    if line == LINE {
        return Ok(());
    }
    Err(LoadError::Line {
        line: format!("{}.{}", line.0, line.1),
        what: if line > LINE {
            "upgrade patrol"
        } else {
            "build it against this release's wit/"
        },
    })
}

/// The functions of an interface, by name; none where it is no interface.
fn functions<'a>(
    types: TypesRef<'a>,
    item: Option<ComponentEntityType>,
) -> Option<BTreeMap<&'a str, ComponentEntityType>> {
    let ComponentEntityType::Instance(id) = item? else {
        return None;
    };
    let exports = types.get(id)?.exports.iter();
    Some(
        exports
            .filter(|(_, item)| !matches!(item.ty, ComponentEntityType::Type { .. }))
            .map(|(name, item)| (name.as_str(), item.ty))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// What the built-in component imports is known by type before another one is compiled.
    #[test]
    fn the_built_in_component_imports_nearly_all_that_is_offered() {
        check(EMBEDDED).unwrap();
        let own = read(&mut Validator::new(), EMBEDDED).unwrap();
        let types = own.types.as_ref();
        let imported = |interface: &str| {
            let name = own
                .imports
                .iter()
                .find(|name| ours(name).unwrap().0 == interface)?;
            functions(types, types.component_item_for_import(name).map(|item| item.ty))
        };
        let mut others = Vec::new();
        for (interface, functions) in IMPORTS {
            let imported = imported(interface).unwrap_or_default();
            let missing = functions
                .iter()
                .filter(|function| !imported.contains_key(*function));
            others.extend(missing.map(|function| format!("{interface}.{function}")));
        }
        // It has nothing to tell. The type of this one is compared by the linker alone.
        assert_eq!(others, ["diagnostics.log"]);
    }
}
