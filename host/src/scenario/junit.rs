//! Reports as JUnit XML, the form that build servers read: a test case for each scenario.

use std::fmt::Write as _;
use std::time::Duration;

use super::report::Report;

/// The reports as one JUnit document.
#[must_use]
pub fn junit(reports: &[Report]) -> String {
    let failed = reports.iter().filter(|report| !report.passed()).count();
    let took: Duration = reports.iter().map(|report| report.took).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{}\"",
        reports.len(),
        seconds(took)
    );
    // Writing to a string does not fail, here and below.
    let _ = writeln!(xml, "<testsuites {counts}>");
    let _ = writeln!(xml, "  <testsuite name=\"patrol scenario\" {counts}>");
    for report in reports {
        let _ = write!(
            xml,
            "    <testcase name=\"{}\" classname=\"scenario\" file=\"{}\" time=\"{}\"",
            escaped(&report.name),
            escaped(&report.file),
            seconds(report.took)
        );
        let (message, text) = match (&report.failed, report.unexpected()) {
            (_, Some(why)) => (why.to_owned(), why.to_owned()),
            (Some(failed), None) if !report.passed() => (
                format!("line {}: {}", failed.line, failed.what),
                format!(
                    "{}:{}: step {}, {} at {}\n{}",
                    report.file,
                    failed.line,
                    failed.step,
                    failed.what,
                    failed.at,
                    failed.lines().join("\n")
                ),
            ),
            _ => {
                xml.push_str("/>\n");
                continue;
            }
        };
        let _ = writeln!(
            xml,
            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
            escaped(&message),
            escaped(&text)
        );
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// A text for XML, in an attribute or between tags. What XML 1.0 cannot hold even when escaped becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' => xml.push('\n'),
            '\t' => xml.push_str("&#9;"),
            c if c < ' ' || matches!(c, '\u{FFFE}' | '\u{FFFF}') => xml.push('\u{FFFD}'),
            c => xml.push(c),
        }
    }
    xml
}
