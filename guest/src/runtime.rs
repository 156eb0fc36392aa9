//! What a component without an operating system needs beside its rules: an end for a call that cannot go on, and
//! randomness. The [allocator](crate::allocator) is a module of its own.

use alloc::string::String;

use zeroize::Zeroize;

use crate::component::bindings::patrol::policy::{diagnostics, entropy};

/// Ends the call as a fault.
pub(crate) fn fail(reason: &str) -> ! {
    diagnostics::abort(reason);
    core::arch::wasm32::unreachable()
}

/// Without WASI a panic's text is lost unless the host is told: `file:line message`. The message only where it needs no
/// formatting, whose machinery would weigh more than all rules about sessions.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut text = String::new();
    if let Some(location) = info.location() {
        text.push_str(location.file());
        text.push(':');
        push_number(&mut text, location.line());
        text.push(' ');
    }
    text.push_str(info.message().as_str().unwrap_or("panicked"));
    fail(&text)
}

fn push_number(text: &mut String, number: u32) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(char::from_digit(number % 10, 10).unwrap_or('?'));
}

/// Where `getrandom` finds its randomness: the host's generator.
///
/// # Safety
/// `getrandom` passes a pointer to `length` bytes that it may write to.
#[allow(
    unsafe_code,
    reason = "getrandom looks its backend up by symbol name and hands it a raw buffer"
)]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    buffer: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    for offset in (0..length).step_by(32) {
        let mut drawn = entropy::draw().to_bytes();
        let part = length.saturating_sub(offset).min(drawn.len());
        // SAFETY: offset + part <= length, so the bytes written are the caller's; `drawn` holds `part` bytes and
        // is a local, so the two do not overlap.
        unsafe {
            buffer
                .wrapping_add(offset)
                .copy_from_nonoverlapping(drawn.as_ptr(), part)
        };
        drawn.zeroize();
    }
    Ok(())
}
