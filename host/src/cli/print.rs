//! What commands print: aligned text for people, JSON for programs, and secrets by a way of their own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::AsFd as _;

use patrol_policy::types::{Cause, End, Timestamp};
use serde::Serialize;
use zeroize::Zeroizing;

pub(super) use crate::release::hex;
use crate::time::roughly;

/// Rows of a table that are held back to find out how wide its columns are.
const ROWS_ALIGNED: usize = 500;

/// Standard output did not take what there was to say.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(super) struct OutputError(pub(super) io::Error);

pub(super) type Printed<T = ()> = Result<T, OutputError>;

/// Standard output, as text or as JSON.
///
/// It writes to the descriptor itself: the standard library's own buffer would keep a copy of each secret that passes
/// through it, out of reach.
pub(super) struct Out {
    json: bool,
    buffer: BufWriter<File>,
}

impl Out {
    pub(super) fn open(json: bool) -> Printed<Self> {
        let descriptor = io::stdout().as_fd().try_clone_to_owned().map_err(OutputError)?;
        Ok(Self {
            json,
            buffer: BufWriter::new(File::from(descriptor)),
        })
    }

    /// Whether programs are to read it.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints one answer: the value as one line of JSON, or the text for people.
    pub(super) fn answer(&mut self, value: &impl Serialize, text: impl FnOnce() -> String) -> Printed {
        if self.json {
            self.json(value)?;
            self.raw("\n")
        } else {
            self.line(&text())
        }
    }

    /// Prints a line as it is.
    pub(super) fn line(&mut self, text: &str) -> Printed {
        self.raw(text)?;
        self.raw("\n")
    }

    /// Prints a text without a line's end.
    pub(super) fn raw(&mut self, text: &str) -> Printed {
        self.bytes(text.as_bytes())
    }

    /// Prints bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Printed {
        self.buffer.write_all(bytes).map_err(OutputError)
    }

    /// Prints a value as JSON without a line's end.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Printed {
        serde_json::to_writer(&mut self.buffer, value).map_err(|error| OutputError(error.into()))
    }

    /// Prints what holds a secret past all buffers (R1).
    pub(super) fn secret(&mut self, text: &Zeroizing<Vec<u8>>) -> Printed {
        self.flush()?;
        self.buffer.get_mut().write_all(text).map_err(OutputError)
    }

    /// Hands over everything that was printed.
    pub(super) fn flush(&mut self) -> Printed {
        self.buffer.flush().map_err(OutputError)
    }

    /// Begins a list: a JSON array, or a table with these headings.
    pub(super) fn list<const N: usize>(&mut self, headings: [&'static str; N]) -> Printed<List<'_, N>> {
        if self.json {
            self.raw("[")?;
        }
        Ok(List {
            out: self,
            any: false,
            table: Table::new(headings),
        })
    }
}

/// A list on its way out, of any length in constant memory.
pub(super) struct List<'a, const N: usize> {
    out: &'a mut Out,
    any: bool,
    table: Table<N>,
}

impl<const N: usize> List<'_, N> {
    /// Adds an entry: the value as JSON, or the cells for people.
    pub(super) fn push(&mut self, value: &impl Serialize, cells: impl FnOnce() -> [String; N]) -> Printed {
        self.entry(|out| out.json(value), cells)
    }

    /// As [`push`](Self::push), of a value that is JSON text already.
    pub(super) fn push_json(&mut self, value: &str, cells: impl FnOnce() -> [String; N]) -> Printed {
        self.entry(|out| out.raw(value), cells)
    }

    fn entry(
        &mut self,
        json: impl FnOnce(&mut Out) -> Printed,
        cells: impl FnOnce() -> [String; N],
    ) -> Printed {
        if self.out.json {
            self.out.raw(if self.any { ",\n" } else { "" })?;
            json(self.out)?;
        } else if let Some(text) = self.table.push(cells()) {
            self.out.raw(&text)?;
        }
        self.any = true;
        Ok(())
    }

    /// Ends the list; `none` is what people read where it is empty.
    pub(super) fn end(self, none: &str) -> Printed {
        if self.out.json {
            self.out.raw("]\n")
        } else if self.any {
            self.end_inner()
        } else {
            self.out.line(none)
        }
    }

    /// Ends a list inside of something else.
    pub(super) fn end_inner(mut self) -> Printed {
        if self.out.json {
            self.out.raw("]")
        } else if self.any {
            let rest = self.table.render();
            self.out.raw(&rest)
        } else {
            Ok(())
        }
    }
}

/// Rows with aligned columns. The first rows decide how wide the columns are; later ones may widen them.
struct Table<const N: usize> {
    widths: [usize; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    fn new(headings: [&'static str; N]) -> Self {
        Self {
            widths: [0; N],
            rows: vec![headings.map(str::to_owned)],
        }
    }

    /// Takes a row; gives back text once there is enough of it.
    fn push(&mut self, row: [String; N]) -> Option<String> {
        self.rows.push(row);
        (self.rows.len() >= ROWS_ALIGNED).then(|| self.render())
    }

    fn render(&mut self) -> String {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in self.rows.drain(..) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(self.widths) {
                // Writing to a string does not fail.
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Lines of a name and a value each, aligned, without the last line's end.
pub(super) fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<_> = fields.into_iter().collect();
    let width = fields
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let lines = fields
        .into_iter()
        .map(|(name, value)| format!("{name:<width$}  {value}").trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// A text from elsewhere, with everything visible that a terminal would act upon or that hides or reorders text.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let hides = matches!(c,
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{061C}');
        if c.is_control() || hides {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// An instant for people, such as `2027-01-31 23:59 UTC`.
pub(super) fn date(at: Timestamp) -> String {
    let at = i64::try_from(at)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// An instant with how far it is from now, such as `2027-01-31 23:59 UTC (in 13 days)`.
pub(super) fn date_and_distance(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", date(at), roughly(at, now))
}

/// When and why something ends, such as `2027-01-31 23:59 UTC (in 13 days): idle`.
pub(super) fn end(ends: End, now: Timestamp) -> String {
    format!("{}: {}", date_and_distance(ends.at, now), cause(ends.cause))
}

/// A cause in words.
pub(super) fn cause(cause: Cause) -> String {
    cause.as_str().replace('-', " ")
}

/// A number with a noun, in the plural where it takes one.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = match (number, noun) {
        (1, _) => return format!("1 {noun}"),
        (_, "entry") => "entries".to_owned(),
        _ => format!("{noun}s"),
    };
    format!("{number} {plural}")
}

/// An absent value for people.
pub(super) fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use patrol_policy::types::DAY;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "ID"]);
        assert_eq!(table.push(["ann-müller".to_owned(), "1".to_owned()]), None);
        assert_eq!(table.push(["bo".to_owned(), String::new()]), None);
        assert_eq!(table.render(), "NAME        ID\nann-müller  1\nbo\n");
    }

    #[test]
    fn a_long_table_comes_in_parts() {
        let mut table = Table::new(["N"]);
        let parts: Vec<_> = (0..1_000)
            .filter_map(|n: u32| table.push([n.to_string()]))
            .collect();
        assert_eq!(parts.len(), 2);
        assert!(
            parts.concat().starts_with("N\n0\n1\n"),
            "the heading stands once, at the top"
        );
    }

    #[test]
    fn a_name_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}ü"), "a\\u{1b}[2Jb\\u{202e}ü");
    }

    #[test]
    fn ends_are_told_with_date_distance_and_cause() {
        let ends = End {
            at: 13 * DAY,
            cause: Cause::ExpirationDate,
        };
        assert_eq!(end(ends, 0), "1970-01-14 00:00 UTC (in 13 days): expiration date");
    }

    #[test]
    fn names_and_values_are_aligned() {
        let text = fields([("id", "1".to_owned()), ("e-mail", "-".to_owned())]);
        assert_eq!(text, "id      1\ne-mail  -");
    }
}
