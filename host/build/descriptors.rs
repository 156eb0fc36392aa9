//! The descriptors that gRPC reflection serves for Envoy's `Authorization` service.
//!
//! `envoy-types` comes with those of all of Envoy, 3 MB of them, and without a way to get at them from code. So they are
//! read where cargo unpacked the crate, and cut down to the service, what it refers to, and none of the comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SERVICE: &str = "envoy/service/auth/v3/external_auth.proto";

/// Field numbers of `FileDescriptorSet` and `FileDescriptorProto`, in google/protobuf/descriptor.proto.
const SET_FILE: u64 = 1;
const FILE_NAME: u64 = 1;
const FILE_DEPENDENCY: u64 = 3;
const FILE_SOURCE_CODE_INFO: u64 = 9;

/// Writes the descriptors to `out`. `cargo` is a command that runs cargo in the workspace, `target` what is built for.
pub(super) fn write(cargo: Command, target: &str, out: &Path) -> Result<(), String> {
    let all = unpacked(cargo, target)?.join("src/generated/types.bin");
    let all = fs::read(&all).map_err(|e| format!("cannot read {}: {e}", all.display()))?;
    let cut = cut(&all).ok_or("the descriptors in envoy-types cannot be understood")?;
    fs::write(out, cut).map_err(|e| format!("cannot write {}: {e}", out.display()))
}

/// Where cargo has unpacked `envoy-types`, for this target.
fn unpacked(mut cargo: Command, target: &str) -> Result<PathBuf, String> {
    let output = cargo
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
            target,
        ])
        .output()
        .map_err(|e| format!("cannot run cargo to find envoy-types: {e}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("cargo does not say where envoy-types is: {errors}"))?;
    let packages = metadata.get("packages").and_then(|packages| packages.as_array());
    let manifest = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").is_some_and(|name| name == "envoy-types"))
        .and_then(|package| package.get("manifest_path")?.as_str())
        .ok_or("envoy-types is not among the dependencies")?;
    let directory = Path::new(manifest).parent();
    Ok(directory.ok_or("envoy-types lies nowhere")?.to_owned())
}

/// Of a `FileDescriptorSet`, the file that describes the service and those that it needs.
fn cut(all: &[u8]) -> Option<Vec<u8>> {
    let mut files = BTreeMap::new();
    for file in fields(all)? {
        let mut name = None;
        let mut needs = Vec::new();
        let mut kept = Vec::new();
        for field in fields(file.content)? {
            match field.number {
                FILE_NAME => name = Some(std::str::from_utf8(field.content).ok()?),
                FILE_DEPENDENCY => needs.push(std::str::from_utf8(field.content).ok()?),
                _ => {}
            }
            if field.number != FILE_SOURCE_CODE_INFO {
                kept.extend_from_slice(field.whole);
            }
        }
        if file.number == SET_FILE {
            files.insert(name?, (kept, needs));
        }
    }
    let mut wanted = vec![SERVICE];
    let mut taken = BTreeSet::new();
    let mut out = Vec::new();
    while let Some(name) = wanted.pop() {
        if taken.insert(name) {
            let (content, needs) = files.get(name)?;
            wanted.extend(needs);
            // Number 1, followed by a length.
            out.push(0x0a);
            put_varint(&mut out, content.len());
            out.extend_from_slice(content);
        }
    }
    Some(out)
}

/// A field of a message as it is encoded.
struct Field<'a> {
    number: u64,
    /// With its number and length.
    whole: &'a [u8],
    /// Where it has a length, what is in it.
    content: &'a [u8],
}

fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (key, after) = varint(rest)?;
        let (content, after): (&[u8], _) = match key & 7 {
            0 => (&[], varint(after)?.1),
            1 => (&[], after.get(8..)?),
            2 => {
                let (length, after) = varint(after)?;
                after.split_at_checked(usize::try_from(length).ok()?)?
            }
            5 => (&[], after.get(4..)?),
            _ => return None,
        };
        let whole = rest.get(..rest.len().checked_sub(after.len())?)?;
        fields.push(Field {
            number: key >> 3,
            whole,
            content,
        });
        rest = after;
    }
    Some(fields)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << at.checked_mul(7)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at.checked_add(1)?..)?));
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
