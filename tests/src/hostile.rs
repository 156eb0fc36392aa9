//! Hostile policies: `tests/hostile/<case>/policy.wat`, made into components.
//!
//! A case is a core module in WAT with only what it is about. Here it gets what the contract asks for beyond that: the
//! functions that it does not export trap, the memory is one page, `cabi_realloc` hands out the upper half of it, and
//! the types of `wit/` are attached. A case that is about the component itself starts with `(component` and is taken as
//! it stands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldId, WorldItem};

/// The directory of the cases.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile")
}

/// The component of the case with this name.
///
/// # Panics
/// If there is no such case or its text is wrong.
#[must_use]
pub fn policy(case: &str) -> Vec<u8> {
    let path = directory().join(case).join("policy.wat");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    componentize(&text, &wit()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The directory of the contract.
#[must_use]
pub fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

/// A component out of a core module and a contract, or out of the text of a component.
///
/// # Errors
/// What is wrong with the text.
pub fn componentize(text: &str, wit: &Path) -> Result<Vec<u8>, String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(";;"))
        .collect::<Vec<_>>()
        .join("\n");
    if code.trim_start().starts_with("(component") {
        return wat::parse_str(text).map_err(|e| e.to_string());
    }
    let (resolve, world) = contract(wit)?;
    let fields = code
        .trim()
        .strip_prefix("(module")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or("not a module")?;
    let module = format!("(module {fields}\n{})", missing(&resolve, world, fields));
    let mut module = wat::parse_str(&module).map_err(|e| e.to_string())?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .map_err(|e| format!("{e:#}"))?;
    let mut encoder = ComponentEncoder::default();
    encoder
        .module(&module)
        .map_err(|e| format!("{e:#}"))?
        .encode()
        .map_err(|e| format!("{e:#}"))
}

fn contract(wit: &Path) -> Result<(Resolve, WorldId), String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).map_err(|e| format!("{e:#}"))?;
    let world = resolve
        .select_world(&[package], Some("policy"))
        .map_err(|e| format!("{e:#}"))?;
    Ok((resolve, world))
}

/// What a module still needs to be a policy, as WAT.
fn missing(resolve: &Resolve, world: WorldId, fields: &str) -> String {
    let mut wat = String::new();
    if !fields.contains("(memory ") {
        wat.push_str("(memory (export \"memory\") 1)\n");
    }
    if !fields.contains("cabi_realloc") {
        wat.push_str(REALLOC);
    }
    for item in resolve.worlds[world].exports.values() {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let interface = resolve.id_of(*id).unwrap_or_default();
        for function in resolve.interfaces[*id].functions.values() {
            let name = format!("\"{interface}#{}\"", function.name);
            if fields.contains(&name) {
                continue;
            }
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let types =
                |types: &[WasmType]| types.iter().map(|t| core_type(*t)).collect::<Vec<_>>().join(" ");
            let (params, results) = (types(&signature.params), types(&signature.results));
            // Writing to a String does not fail.
            let _ = writeln!(
                wat,
                "(func (export {name}) (param {params}) (result {results}) unreachable)"
            );
        }
    }
    wat
}

fn core_type(wasm: WasmType) -> &'static str {
    match wasm {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
    }
}

/// Hands out memory from 32 KiB on and takes none back.
const REALLOC: &str = r#"
(global $next (mut i32) (i32.const 32768))
(func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
  (global.set $next (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
  (global.get $next)
  (global.set $next (i32.add (global.get $next) (local.get $new))))
"#;
