//! The contract as it is now and as it was first released: what may differ between the two, and what may not.
//!
//! Two judges look at it. `wit_component::semver_check` asks what the component model asks: whether a component that was
//! made for the old world could be put where one for the new world is wanted. [`broken`] asks more, in words that say
//! which item it is: of what was there, nothing may be missing, changed or left without its doc comment, not even where
//! no component would notice, and of what a policy has to export, nothing may be added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wit_parser::{Docs, Function, InterfaceId, Resolve, Type, TypeDefKind, TypeId, WorldId, WorldItem};

/// The directory of the contract as it was first released.
#[must_use]
pub fn frozen() -> PathBuf {
    crate::hostile::wit().join("since-v0.1")
}

/// All of a contract as one text, without its package's name and version.
///
/// # Panics
/// If a file cannot be read.
#[must_use]
pub fn text(directory: &Path) -> String {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the contract")
        .map(|entry| entry.expect("the contract").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .collect();
    files.sort();
    let mut whole = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for line in text.lines().filter(|line| !line.starts_with("package ")) {
            let _ = writeln!(whole, "{line}");
        }
    }
    whole
}

/// Why a host that offers `new` cannot run a component that was made for `old`, by the component model alone.
///
/// # Errors
/// What is wrong; with a text, too.
pub fn compatible(old: &str, new: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    // They are told apart by their versions, which the check ignores.
    let old = world(&mut resolve, old, "0.0.1")?;
    let new = world(&mut resolve, new, "0.0.2")?;
    wit_component::semver_check(resolve, old, new).map_err(|e| format!("{e:#}"))
}

/// All that `new` has not as `old` had it.
///
/// # Errors
/// What is wrong with a text.
pub fn broken(old: &str, new: &str) -> Result<Vec<String>, String> {
    let (old, new) = (Contract::read(old)?, Contract::read(new)?);
    let mut broken = Vec::new();
    for (what, item) in &old.items {
        match new.items.get(what) {
            None => broken.push(format!("{what} is gone")),
            Some(now) if now.shape != item.shape => {
                broken.push(format!("{what} was {}, and is {}", item.shape, now.shape));
            }
            Some(now) if item.documented && !now.documented => {
                broken.push(format!("{what} lost its doc comment"));
            }
            Some(_) => {}
        }
    }
    for export in new.exports.difference(&old.exports) {
        broken.push(format!(
            "{export} is new among the exports: no released policy has it"
        ));
    }
    Ok(broken)
}

/// The functions that each imported interface of a contract has; interfaces of types alone have none.
///
/// # Errors
/// What is wrong with the text.
pub fn imports(text: &str) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let mut resolve = Resolve::default();
    let world = world(&mut resolve, text, "0.0.1")?;
    let interfaces = resolve.worlds[world].imports.values();
    Ok(interfaces
        .filter_map(interface)
        .map(|id| {
            let interface = &resolve.interfaces[id];
            let functions = interface.functions.keys().cloned().collect();
            (interface.name.clone().unwrap_or_default(), functions)
        })
        .collect())
}

/// What a contract says.
struct Contract {
    items: BTreeMap<String, Item>,
    /// What a policy has to have.
    exports: BTreeSet<String>,
}

struct Item {
    shape: String,
    documented: bool,
}

impl Contract {
    fn read(text: &str) -> Result<Self, String> {
        let mut resolve = Resolve::default();
        let world = world(&mut resolve, text, "0.0.1")?;
        let mut contract = Self {
            items: BTreeMap::new(),
            exports: BTreeSet::new(),
        };
        contract.add(
            "world policy".to_owned(),
            String::new(),
            &resolve.worlds[world].docs,
        );
        for (direction, items) in [
            ("import", &resolve.worlds[world].imports),
            ("export", &resolve.worlds[world].exports),
        ] {
            for id in items.values().filter_map(interface) {
                let name = resolve.interfaces[id].name.clone().unwrap_or_default();
                contract.add(format!("{direction} {name}"), String::new(), &Docs::default());
                contract.add_interface(&resolve, id, &name);
                if direction == "export" {
                    let functions = resolve.interfaces[id].functions.keys();
                    contract
                        .exports
                        .extend(functions.map(|function| format!("{name}.{function}")));
                    contract.exports.insert(name);
                }
            }
        }
        Ok(contract)
    }

    fn add(&mut self, what: String, shape: String, docs: &Docs) {
        let documented = docs.contents.as_ref().is_some_and(|text| !text.trim().is_empty());
        self.items.insert(what, Item { shape, documented });
    }

    fn add_interface(&mut self, resolve: &Resolve, id: InterfaceId, name: &str) {
        let interface = &resolve.interfaces[id];
        self.add(format!("interface {name}"), String::new(), &interface.docs);
        for (function, definition) in &interface.functions {
            self.add(
                format!("{name}.{function}"),
                signature(resolve, definition),
                &definition.docs,
            );
        }
        for (type_name, id) in &interface.types {
            let what = format!("{name}.{type_name}");
            let definition = &resolve.types[*id];
            let (shape, parts) = shape(resolve, *id);
            self.add(what.clone(), shape, &definition.docs);
            for (part, docs) in parts {
                self.add(format!("{what}.{part}"), String::new(), docs);
            }
        }
    }
}

fn world(resolve: &mut Resolve, text: &str, version: &str) -> Result<WorldId, String> {
    let text = format!("package patrol:policy@{version};\n{text}");
    let package = resolve
        .push_source("contract.wit", &text)
        .map_err(|e| format!("{e:#}"))?;
    resolve
        .select_world(&[package], Some("policy"))
        .map_err(|e| format!("{e:#}"))
}

fn interface(item: &WorldItem) -> Option<InterfaceId> {
    match item {
        WorldItem::Interface { id, .. } => Some(*id),
        _ => None,
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<_> = function
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, type_text(resolve, param.ty)))
        .collect();
    let result = function
        .result
        .map_or_else(String::new, |ty| format!(" -> {}", type_text(resolve, ty)));
    format!("{:?}({}){result}", function.kind, params.join(", "))
}

/// A named type, and its fields or cases with their docs.
fn shape(resolve: &Resolve, id: TypeId) -> (String, Vec<(&str, &Docs)>) {
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let field = |f: &wit_parser::Field| format!("{}: {}", f.name, type_text(resolve, f.ty));
            let fields: Vec<_> = record.fields.iter().map(field).collect();
            let parts = record
                .fields
                .iter()
                .map(|field| (field.name.as_str(), &field.docs))
                .collect();
            (format!("record {{{}}}", fields.join(", ")), parts)
        }
        TypeDefKind::Enum(cases) => {
            let names: Vec<_> = cases.cases.iter().map(|case| case.name.as_str()).collect();
            let parts = cases
                .cases
                .iter()
                .map(|case| (case.name.as_str(), &case.docs))
                .collect();
            (format!("enum {{{}}}", names.join(", ")), parts)
        }
        TypeDefKind::Variant(variant) => {
            let case = |case: &wit_parser::Case| match case.ty {
                Some(ty) => format!("{}({})", case.name, type_text(resolve, ty)),
                None => case.name.clone(),
            };
            let cases: Vec<_> = variant.cases.iter().map(case).collect();
            let parts = variant
                .cases
                .iter()
                .map(|case| (case.name.as_str(), &case.docs))
                .collect();
            (format!("variant {{{}}}", cases.join(", ")), parts)
        }
        TypeDefKind::Flags(flags) => {
            let names: Vec<_> = flags.flags.iter().map(|flag| flag.name.as_str()).collect();
            let parts = flags
                .flags
                .iter()
                .map(|flag| (flag.name.as_str(), &flag.docs))
                .collect();
            (format!("flags {{{}}}", names.join(", ")), parts)
        }
        other => (kind_text(resolve, other), Vec::new()),
    }
}

/// A type where it is used: by its name where it has one, with the interface that it comes from.
fn type_text(resolve: &Resolve, ty: Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let definition = &resolve.types[id];
    match (&definition.kind, &definition.name) {
        // Used from another interface, or another name for it: what counts is what it stands for.
        (TypeDefKind::Type(target), Some(_)) => type_text(resolve, *target),
        (_, Some(name)) => match definition.owner {
            wit_parser::TypeOwner::Interface(owner) => {
                let owner = resolve.interfaces[owner].name.as_deref().unwrap_or_default();
                format!("{owner}.{name}")
            }
            _ => name.clone(),
        },
        (kind, None) => kind_text(resolve, kind),
    }
}

fn kind_text(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let text = |ty: &Type| type_text(resolve, *ty);
    let or_none = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), text);
    match kind {
        TypeDefKind::Option(ty) => format!("option<{}>", text(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", text(ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", or_none(&result.ok), or_none(&result.err)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<_> = tuple.types.iter().map(text).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Type(ty) => text(ty),
        other => panic!(
            "the contract has a {} now: say here how it is written",
            other.as_str()
        ),
    }
}
