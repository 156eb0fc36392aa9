//! Secrets on standard input: never in an argument, which other users of the machine can see (R1).

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use anyhow::Context as _;
use patrol_policy::Secret;
use zeroize::Zeroizing;

use super::failure::Failure;

/// The longest line that is read, in bytes.
const LONGEST: usize = 4_096;

/// Reads the first line of standard input, without its end. `what` it is, such as "token", is for the messages.
pub(super) fn secret_line(what: &str, command: &str) -> anyhow::Result<Secret> {
    if io::stdin().is_terminal() {
        // Standard error may be closed; then there is no prompt.
        let _ = writeln!(
            io::stderr().lock(),
            "Type the {what} and press Enter. The terminal shows it: to avoid that, run `{command} < FILE`."
        );
    }
    // Past the standard library's buffer, which would keep a copy.
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let stdin = stdin.map(File::from).context("cannot read standard input")?;
    match first_line(stdin).context("cannot read standard input")? {
        Some(line) if line.expose().is_empty() => Err(Failure::Usage(format!(
            "there is no {what} on standard input: run `{command} < FILE`"
        ))
        .into()),
        Some(line) => Ok(line),
        None => Err(Failure::Usage(format!(
            "the first line of standard input is longer than {LONGEST} bytes, so it is no {what}"
        ))
        .into()),
    }
}

/// The first line, or `None` where it is too long.
fn first_line(mut from: impl io::Read) -> io::Result<Option<Secret>> {
    // As large as it gets: a vector that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = Zeroizing::new([0]);
    // Byte by byte, so that what comes after the line is left to whoever reads next.
    loop {
        match from.read(byte.as_mut_slice()) {
            Ok(0) => break,
            Ok(_) if *byte == [b'\n'] => break,
            Ok(_) if line.len() >= LONGEST => return Ok(None),
            Ok(_) => line.extend_from_slice(byte.as_slice()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(Secret::new(std::mem::take(&mut *line))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(text: &[u8]) -> Option<Vec<u8>> {
        first_line(text).unwrap().map(Secret::into_bytes)
    }

    #[test]
    fn only_the_first_line_is_read_without_its_end() {
        assert_eq!(read(b"one\r\ntwo\n").unwrap(), b"one");
        assert_eq!(read(b" no end ").unwrap(), b" no end ");
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn what_comes_after_the_line_is_left_alone() {
        let mut input: &[u8] = b"one\ntwo";
        first_line(&mut input).unwrap();
        assert_eq!(input, b"two");
    }

    #[test]
    fn an_endless_line_is_not_read() {
        assert_eq!(read(&[b'x'; LONGEST]).unwrap().len(), LONGEST);
        assert_eq!(read(&[b'x'; LONGEST + 1]), None);
    }
}
