//! The built-in policy with something else at the beginning of one of its functions: policies that are good where they
//! are tried, at another time by their clock, and something else later.
//!
//! The component is edited as it is: what comes first in the function is put before its code, and the sizes around it
//! are written anew. So all else is exactly what the built-in policy does.

use std::ops::Range;

use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use crate::wasm;

/// What a policy does instead, during a time by its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It traps.
    Traps,
    /// It never answers.
    Loops,
    /// It refuses whatever is presented, for this reason by its number in `wit/types.wit`.
    Refuses(u8),
    /// It allows whatever is presented, as the token that has this identifier, owner and tenant.
    Allows([(u64, u64); 3]),
}

/// The function that verifies a token.
pub const AUTHENTICATE: &str = "patrol:policy/engine@0.1.0#authenticate";

/// The built-in policy, whose function does something else from an instant on and for so long, ms. What tries a policy
/// has a clock of its own, which stands elsewhere.
///
/// # Panics
/// Where the built-in policy is not built as it always was.
#[must_use]
pub fn turning(function: &str, from: u64, length: u64, turn: Turn) -> Vec<u8> {
    let component = wasm::embedded();
    let place = Place::find(component, function);
    let mut code = vec![0x10];
    code.extend(unsigned(u64::from(place.now)));
    code.push(0x42);
    code.extend(signed(from.cast_signed()));
    // i64.sub: as an unsigned number, far more than any length before that instant.
    code.extend([0x7d, 0x42]);
    code.extend(signed(length.cast_signed()));
    // i64.lt_u, if
    code.extend([0x54, 0x04, 0x40]);
    match turn {
        Turn::Traps => code.push(0x00),
        Turn::Loops => code.extend([0x03, 0x40, 0x0c, 0x00, 0x0b]),
        Turn::Refuses(reason) => {
            // An answer in the lowest memory, where the stack ends that this call does not use: "err", "refused", the
            // reason, and no token.
            for (address, byte) in [(16, 1), (24, 0), (32, reason), (40, 0)] {
                store8(&mut code, address, byte);
            }
            code.extend([0x41, 16, 0x0f]);
        }
        Turn::Allows(ids) => {
            store8(&mut code, 16, 0);
            let words = ids.into_iter().flat_map(|(hi, lo)| [hi, lo]);
            for (address, word) in (24..).step_by(8).zip(words.chain([u64::MAX >> 1, 0])) {
                code.push(0x41);
                code.extend(signed(address));
                code.push(0x42);
                code.extend(signed(word.cast_signed()));
                // i64.store
                code.extend([0x37, 3, 0]);
            }
            code.extend([0x41, 16, 0x0f]);
        }
    }
    code.push(0x0b);
    place.insert(component, &code)
}

fn store8(code: &mut Vec<u8>, address: i64, byte: u8) {
    code.push(0x41);
    code.extend(signed(address));
    code.push(0x41);
    code.extend(signed(i64::from(byte)));
    code.extend([0x3a, 0, 0]);
}

/// Where a function is, and the sizes that count it.
struct Place {
    /// Its first instruction.
    first: usize,
    /// What is counted by a size before it: the module, its code section, the function; from the outside in.
    counted: [Range<usize>; 3],
    /// The number of the function that tells the time.
    now: u32,
}

impl Place {
    fn find(component: &[u8], function: &str) -> Self {
        let (mut module, mut section) = (0..0, 0..0);
        let (mut imported, mut now, mut wanted, mut defined) = (0, None, None, 0);
        for payload in Parser::new(0).parse_all(component) {
            match payload.expect("the built-in policy is whole") {
                Payload::ModuleSection { unchecked_range, .. } => {
                    module = place(&unchecked_range);
                    (imported, now, wanted, defined) = (0, None, None, 0);
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.expect("an import");
                        if matches!(import.ty, TypeRef::Func(_)) {
                            if import.module.starts_with("patrol:policy/clock@") && import.name == "now" {
                                now = Some(imported);
                            }
                            imported += 1;
                        }
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.expect("an export");
                        if export.kind == ExternalKind::Func && export.name == function {
                            wanted = Some(export.index);
                        }
                    }
                }
                Payload::CodeSectionStart { unchecked_range, .. } => section = place(&unchecked_range),
                Payload::CodeSectionEntry(body) => {
                    if wanted == Some(imported + defined) {
                        let operators = body.get_operators_reader().expect("code");
                        return Self {
                            first: usize::try_from(operators.original_position()).expect("a place"),
                            counted: [module, section, place(&body.range())],
                            now: now.expect("the policy imports a clock"),
                        };
                    }
                    defined += 1;
                }
                _ => {}
            }
        }
        panic!("the built-in policy has no function {function}");
    }

    fn insert(&self, component: &[u8], code: &[u8]) -> Vec<u8> {
        // From the inside out, each size grows by the code and by what the sizes within it grow.
        let mut edits = vec![(self.first..self.first, code.to_vec())];
        let mut grown = code.len();
        for counted in self.counted.iter().rev() {
            let size = size_before(component, counted);
            let widest = padded(counted.len() + grown);
            grown += widest.len() - size.len();
            edits.push((size, widest));
        }
        edits.sort_by_key(|(range, _)| range.start);
        let (mut edited, mut at) = (Vec::new(), 0);
        for (range, with) in edits {
            edited.extend(&component[at..range.start]);
            edited.extend(with);
            at = range.end;
        }
        edited.extend(&component[at..]);
        edited
    }
}

fn place(range: &Range<u64>) -> Range<usize> {
    let at = |offset: u64| usize::try_from(offset).expect("a place in memory");
    at(range.start)..at(range.end)
}

/// Where the size of something is written, right before it.
fn size_before(bytes: &[u8], counted: &Range<usize>) -> Range<usize> {
    let fits = |length: &usize| {
        let text = &bytes[counted.start - length..counted.start];
        let (last, rest) = text.split_last().expect("a byte at least");
        let whole = last & 0x80 == 0 && rest.iter().all(|byte| byte & 0x80 != 0);
        let places = text.iter().enumerate();
        let value: usize = places
            .map(|(place, byte)| usize::from(byte & 0x7f) << (7 * place))
            .sum();
        whole && value == counted.len()
    };
    let length = (1..=5).find(fits).expect("its size comes before it");
    counted.start - length..counted.start
}

/// A size in five bytes.
fn padded(value: usize) -> Vec<u8> {
    let byte = |place: u32| u8::try_from(value >> (7 * place) & 0x7f).expect("seven bits");
    (0..5)
        .map(|place| byte(place) | if place < 4 { 0x80 } else { 0 })
        .collect()
}

fn unsigned(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

fn signed(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        let done = value == if low & 0x40 == 0 { 0 } else { -1 };
        bytes.push(if done { low } else { low | 0x80 });
        if done {
            return bytes;
        }
    }
}
