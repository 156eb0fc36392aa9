//! The component that is built with the host: what it needs, what it offers, how large it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use patrol::policy;
use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

/// As the registry of a component's parts says it, without the host's own loader.
struct Shape {
    imports: Vec<String>,
    exports: Vec<String>,
    memories: Vec<u64>,
}

fn shape(bytes: &[u8]) -> Shape {
    let mut shape = Shape {
        imports: Vec::new(),
        exports: Vec::new(),
        memories: Vec::new(),
    };
    let mut nesting = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::Version { encoding, .. } => nesting.push(encoding),
            Payload::End(_) => drop(nesting.pop()),
            // Only the outermost component's imports and exports are the host's business.
            Payload::ComponentImportSection(imports) if nesting.len() == 1 => {
                shape.imports.extend(
                    imports
                        .into_iter()
                        .map(|import| import.unwrap().name.name.to_owned()),
                );
            }
            Payload::ComponentExportSection(exports) if nesting.len() == 1 => {
                for export in exports {
                    let export = export.unwrap();
                    assert_eq!(
                        export.kind,
                        ComponentExternalKind::Instance,
                        "{}",
                        export.name.name
                    );
                    shape.exports.push(export.name.name.to_owned());
                }
            }
            Payload::MemorySection(memories) => {
                assert_eq!(nesting.last(), Some(&Encoding::Module));
                shape
                    .memories
                    .extend(memories.into_iter().map(|memory| memory.unwrap().initial));
            }
            _ => {}
        }
    }
    shape
}

#[test]
fn the_component_imports_nothing_but_the_contract() {
    let imports = shape(policy::embedded()).imports;
    assert!(!imports.is_empty());
    for import in imports {
        let interface = import
            .strip_prefix("patrol:policy/")
            .and_then(|rest| rest.strip_suffix("@0.1.0"));
        assert!(interface.is_some(), "{import}");
    }
}

#[test]
fn the_component_exports_the_engine_and_about() {
    assert_eq!(
        shape(policy::embedded()).exports,
        ["patrol:policy/engine@0.1.0", "patrol:policy/about@0.1.0"]
    );
}

#[test]
fn the_component_is_small() {
    // A fresh instance for each call pays for every page that it starts with.
    let memories = shape(policy::embedded()).memories;
    assert!(matches!(memories[..], [1..=3]), "{memories:?} pages");
    // A ratchet: most of it is the glue of the contract. It is compiled at the first start, and its size is a part of
    // what a fresh instance costs, so let it grow only for a reason.
    let size = policy::embedded().len();
    assert!(size <= 112 << 10, "{size} bytes");
}
