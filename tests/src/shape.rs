//! What a component needs and offers, as its own sections say it, without the host's loader.

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

/// What a policy exports.
pub const EXPORTS: [&str; 2] = ["patrol:policy/engine@0.1.0", "patrol:policy/about@0.1.0"];

/// A component's parts.
#[derive(Debug)]
pub struct Shape {
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// The pages that each of its memories starts with.
    pub memories: Vec<u64>,
}

impl Shape {
    /// What it imports that the contract does not have.
    ///
    /// # Panics
    /// Where it imports nothing at all: no policy can do without.
    #[must_use]
    pub fn imports_beyond_the_contract(&self) -> Vec<&str> {
        assert!(!self.imports.is_empty(), "{self:?}");
        let ours = |import: &str| import.starts_with("patrol:policy/") && import.ends_with("@0.1.0");
        self.imports
            .iter()
            .map(String::as_str)
            .filter(|import| !ours(import))
            .collect()
    }
}

/// Takes a component apart.
///
/// # Panics
/// Where it is none, or exports anything but instances.
#[must_use]
pub fn shape(bytes: &[u8]) -> Shape {
    let mut shape = Shape {
        imports: Vec::new(),
        exports: Vec::new(),
        memories: Vec::new(),
    };
    let mut nesting = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.expect("a component") {
            Payload::Version { encoding, .. } => nesting.push(encoding),
            Payload::End(_) => drop(nesting.pop()),
            // Only the outermost component's imports and exports are the host's business.
            Payload::ComponentImportSection(imports) if nesting.len() == 1 => {
                shape.imports.extend(
                    imports
                        .into_iter()
                        .map(|import| import.expect("an import").name.name.to_owned()),
                );
            }
            Payload::ComponentExportSection(exports) if nesting.len() == 1 => {
                for export in exports {
                    let export = export.expect("an export");
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
                shape.memories.extend(
                    memories
                        .into_iter()
                        .map(|memory| memory.expect("a memory").initial),
                );
            }
            _ => {}
        }
    }
    shape
}
