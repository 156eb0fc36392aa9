//! Charts, drawn on the server as SVG.
//!
//! A chart is a picture with a name and a description for those who hear it, and beside it is a table with the same
//! numbers for those who want them exactly. Colours and type are the style sheet's, by classes: nothing in it needs the
//! Content-Security-Policy to allow styles.

use std::fmt::{self, Write as _};

use askama::filters::HtmlSafe;

/// The picture's width, in its own units.
const WIDTH: u32 = 640;
/// What is left of the bars: numbers, or the names of rows.
const LEFT: u32 = 56;
const LEFT_OF_ROWS: u32 = 250;
const RIGHT: u32 = 16;
const TOP: u32 = 12;
/// How high columns may be.
const HEIGHT: u32 = 180;
/// What is below them.
const BOTTOM: u32 = 28;
/// The height of a row, with its share of the space between.
const ROW: u32 = 26;
/// Lines that help to compare, at most, besides the axis.
const LINES: u64 = 4;
/// Letters of a row's name that fit.
const LETTERS: usize = 34;

/// A bar with its name, and one number for each series: their bars stand on top of each other.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) values: Vec<u64>,
}

impl Bar {
    fn total(&self) -> u64 {
        self.values
            .iter()
            .fold(0, |sum, value| sum.saturating_add(*value))
    }
}

/// Which way the bars go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Up, for what has an order in time.
    Columns,
    /// To the right, for what has long names.
    Rows,
}

/// A bar chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// Tells its elements from those of the page's other charts: small letters.
    pub(super) id: &'static str,
    pub(super) shape: Shape,
    pub(super) title: String,
    /// What it shows, in a sentence.
    pub(super) description: String,
    /// What the bars are, such as days.
    pub(super) bars_are: String,
    /// The names of the series. With one, there is no key.
    pub(super) series: Vec<String>,
    pub(super) bars: Vec<Bar>,
    /// What opens the table.
    pub(super) numbers: String,
}

/// Text as it may stand in HTML and SVG, also in an attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The distance between the lines: 1, 2 or 5 of some power of ten, so that a few of them reach the greatest value.
fn step(greatest: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for digit in [1, 2, 5] {
            let step = power.saturating_mul(digit);
            if step.saturating_mul(LINES) >= greatest {
                return step;
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return greatest,
        }
    }
}

/// The part of `length` that `value` is of `whole`, rounded down; a value that is not nothing is seen.
fn scaled(value: u64, whole: u64, length: u32) -> u32 {
    let part = u128::from(value.min(whole)).saturating_mul(u128::from(length));
    let part = part.checked_div(u128::from(whole)).unwrap_or(0);
    let part = u32::try_from(part).unwrap_or(length);
    if value > 0 { part.max(1) } else { part }
}

/// A number as short as an axis wants it.
fn short(value: u64) -> String {
    for (unit, sign) in [
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ] {
        if let Some(whole) = value.checked_div(unit).filter(|whole| *whole > 0) {
            let rest = value.checked_rem(unit).unwrap_or(0).saturating_mul(10);
            let tenth = rest.checked_div(unit).unwrap_or(0);
            return if tenth == 0 {
                format!("{whole}{sign}")
            } else {
                format!("{whole}.{tenth}{sign}")
            };
        }
    }
    value.to_string()
}

/// A name, cut where there is no more room for it.
fn cut(label: &str) -> String {
    if label.chars().count() <= LETTERS {
        return label.to_owned();
    }
    let mut short: String = label.chars().take(LETTERS.saturating_sub(1)).collect();
    short.push('…');
    short
}

impl Chart {
    /// The value of the last line, which no bar passes.
    fn top(&self) -> u64 {
        let greatest = self.bars.iter().map(Bar::total).max().unwrap_or(0).max(1);
        let step = step(greatest);
        greatest.div_ceil(step).saturating_mul(step).max(1)
    }

    fn ticks(&self) -> Vec<u64> {
        let top = self.top();
        let step = step(self.bars.iter().map(Bar::total).max().unwrap_or(0).max(1));
        (0..=LINES)
            .map(|number| number.saturating_mul(step))
            .filter(|tick| *tick <= top)
            .collect()
    }

    fn size(&self) -> (u32, u32) {
        let rows = u32::try_from(self.bars.len()).unwrap_or(u32::MAX);
        let inner = match self.shape {
            Shape::Columns => HEIGHT,
            Shape::Rows => ROW.saturating_mul(rows),
        };
        (WIDTH, inner.saturating_add(TOP).saturating_add(BOTTOM))
    }

    fn columns(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = self.top();
        let (inner, base) = (WIDTH - LEFT - RIGHT, TOP + HEIGHT);
        let right = WIDTH - RIGHT;
        for tick in self.ticks() {
            let y = base.saturating_sub(scaled(tick, top, HEIGHT));
            let kind = if tick == 0 { "axis" } else { "grid" };
            write!(
                f,
                "<line class=\"{kind}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y}\" y2=\"{y}\"/>"
            )?;
            let (x, y) = (LEFT - 8, y.saturating_add(4));
            write!(
                f,
                "<text class=\"end\" x=\"{x}\" y=\"{y}\">{}</text>",
                short(tick)
            )?;
        }
        let count = u32::try_from(self.bars.len()).unwrap_or(u32::MAX).max(1);
        // As many names as have room.
        let every = count.div_ceil(inner / 72);
        for (number, bar) in (0_u32..).zip(&self.bars) {
            let place = |number: u32| {
                let whole = u64::from(count);
                LEFT.saturating_add(scaled(u64::from(number), whole, inner))
            };
            let slot = place(number.saturating_add(1)).saturating_sub(place(number));
            let x = place(number).saturating_add(slot / 8);
            let width = slot.saturating_sub(slot / 4).max(1);
            let mut y = base;
            write!(f, "<g>")?;
            self.bar_title(f, bar)?;
            for (series, value) in bar.values.iter().enumerate() {
                let height = scaled(*value, top, HEIGHT);
                y = y.saturating_sub(height);
                write!(
                    f,
                    "<rect class=\"s{series}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
                )?;
            }
            write!(f, "</g>")?;
            if number.checked_rem(every) == Some(0) {
                let (x, y) = (place(number).saturating_add(slot / 2), base.saturating_add(18));
                let label = Escaped(&bar.label);
                write!(f, "<text class=\"middle\" x=\"{x}\" y=\"{y}\">{label}</text>")?;
            }
        }
        Ok(())
    }

    fn rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = self.top();
        let inner = WIDTH - LEFT_OF_ROWS - RIGHT;
        let (_, height) = self.size();
        let base = height.saturating_sub(BOTTOM);
        for tick in self.ticks() {
            let x = LEFT_OF_ROWS.saturating_add(scaled(tick, top, inner));
            let kind = if tick == 0 { "axis" } else { "grid" };
            write!(
                f,
                "<line class=\"{kind}\" x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{base}\"/>"
            )?;
            let y = base.saturating_add(18);
            write!(
                f,
                "<text class=\"middle\" x=\"{x}\" y=\"{y}\">{}</text>",
                short(tick)
            )?;
        }
        for (number, bar) in (0_u32..).zip(&self.bars) {
            let y = TOP.saturating_add(ROW.saturating_mul(number));
            let mut x = LEFT_OF_ROWS;
            write!(f, "<g>")?;
            self.bar_title(f, bar)?;
            let (end, line, label) = (LEFT_OF_ROWS - 8, y.saturating_add(17), cut(&bar.label));
            let label = Escaped(&label);
            write!(f, "<text class=\"end\" x=\"{end}\" y=\"{line}\">{label}</text>")?;
            let (y, high) = (y.saturating_add(4), ROW - 8);
            for (series, value) in bar.values.iter().enumerate() {
                let width = scaled(*value, top, inner);
                write!(
                    f,
                    "<rect class=\"s{series}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{high}\"/>"
                )?;
                x = x.saturating_add(width);
            }
            write!(f, "</g>")?;
        }
        Ok(())
    }

    /// What is said of a bar that is pointed at.
    fn bar_title(&self, f: &mut fmt::Formatter<'_>, bar: &Bar) -> fmt::Result {
        write!(f, "<title>{}", Escaped(&bar.label))?;
        for (name, value) in self.series.iter().zip(&bar.values) {
            write!(f, " – {}: {value}", Escaped(name))?;
        }
        write!(f, "</title>")
    }

    fn key(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.series.len() < 2 {
            return Ok(());
        }
        write!(f, "<ul class=\"key\" aria-hidden=\"true\">")?;
        for (number, name) in self.series.iter().enumerate() {
            write!(
                f,
                "<li><svg width=\"12\" height=\"12\"><rect class=\"s{number}\" width=\"12\" height=\"12\"/></svg> \
                 {}</li>",
                Escaped(name)
            )?;
        }
        write!(f, "</ul>")
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numbers, title, head) = (
            Escaped(&self.numbers),
            Escaped(&self.title),
            Escaped(&self.bars_are),
        );
        write!(
            f,
            "<details><summary>{numbers}<span class=\"sr-only\">: {title}</span></summary>\
             <div class=\"table-wrap\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">{head}</th>"
        )?;
        for name in &self.series {
            write!(f, "<th scope=\"col\">{}</th>", Escaped(name))?;
        }
        write!(f, "</tr></thead><tbody>")?;
        for bar in &self.bars {
            write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(&bar.label))?;
            for value in &bar.values {
                write!(f, "<td>{value}</td>")?;
            }
            write!(f, "</tr>")?;
        }
        write!(f, "</tbody></table></div></details>")
    }
}

// All text in it is escaped.
impl HtmlSafe for Chart {}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, (width, height)) = (self.id, self.size());
        write!(
            f,
            "<figure class=\"chart\"><figcaption>{}</figcaption>",
            Escaped(&self.title)
        )?;
        self.key(f)?;
        write!(
            f,
            "<div class=\"picture\" tabindex=\"0\"><svg viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"chart-{id}-title chart-{id}-desc\"><title id=\"chart-{id}-title\">{}</title>\
             <desc id=\"chart-{id}-desc\">{}</desc>",
            Escaped(&self.title),
            Escaped(&self.description)
        )?;
        match self.shape {
            Shape::Columns => self.columns(f)?,
            Shape::Rows => self.rows(f)?,
        }
        write!(f, "</svg></div>")?;
        self.table(f)?;
        write!(f, "</figure>")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn chart(shape: Shape, bars: &[(&str, &[u64])]) -> Chart {
        Chart {
            id: "test",
            shape,
            title: "Title".to_owned(),
            description: "What it shows.".to_owned(),
            bars_are: "Day".to_owned(),
            series: vec!["One".to_owned(), "Two".to_owned()],
            bars: bars
                .iter()
                .map(|(label, values)| Bar {
                    label: (*label).to_owned(),
                    values: values.to_vec(),
                })
                .collect(),
            numbers: "Numbers".to_owned(),
        }
    }

    /// All bars, as x, y, width and height.
    fn rectangles(drawn: &str) -> Vec<[u32; 4]> {
        let picture = drawn.split("class=\"picture\"").nth(1).unwrap();
        let of = |piece: &str, name: &str| {
            let rest = piece.split(&format!(" {name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().parse::<u32>().unwrap()
        };
        let pieces = picture.split("<rect").skip(1);
        pieces
            .map(|piece| ["x", "y", "width", "height"].map(|name| of(piece, name)))
            .collect()
    }

    #[test]
    fn no_text_becomes_markup() {
        let evil = "</title><script>alert(1)</script>\"' onload=x";
        for shape in [Shape::Columns, Shape::Rows] {
            let mut chart = chart(shape, &[(evil, &[1, 2])]);
            chart.title = evil.to_owned();
            chart.description = evil.to_owned();
            chart.bars_are = evil.to_owned();
            chart.series = vec![evil.to_owned(), evil.to_owned()];
            chart.numbers = evil.to_owned();
            let drawn = chart.to_string();
            assert!(
                !drawn.contains("<script") && !drawn.contains("\"' onload"),
                "{drawn}"
            );
            assert!(drawn.contains("&lt;script&gt;"));
            assert!(!drawn.contains("style="), "{drawn}");
        }
    }

    #[test]
    fn without_data_there_is_an_empty_picture() {
        for shape in [Shape::Columns, Shape::Rows] {
            let nothing = chart(shape, &[]).to_string();
            assert!(nothing.contains("class=\"axis\""), "{nothing}");
            let zeroes = chart(shape, &[("a", &[0, 0]), ("b", &[0, 0])]).to_string();
            for rectangle in rectangles(&zeroes) {
                let [_, _, width, height] = rectangle;
                assert!(width == 0 || height == 0, "{zeroes}");
            }
        }
    }

    #[test]
    fn one_huge_value_leaves_the_others_to_be_seen_and_stays_inside() {
        for shape in [Shape::Columns, Shape::Rows] {
            let chart = chart(shape, &[("a", &[1, 0]), ("b", &[u64::MAX, u64::MAX])]);
            let (right, bottom) = chart.size();
            let drawn = chart.to_string();
            let all = rectangles(&drawn);
            assert!(
                all.iter()
                    .all(|[_, _, width, height]| width * height < right * bottom)
            );
            let [x, y, width, height] = all.first().copied().unwrap();
            assert!(width > 0 && height > 0 && x + width <= right && y + height <= bottom);
        }
    }

    #[test]
    fn many_bars_stay_apart_and_inside() {
        const VALUES: &[u64] = &[3, 4];
        let labels: Vec<_> = (0..90).map(|number| number.to_string()).collect();
        let bars: Vec<(&str, &[u64])> = labels.iter().map(|label| (label.as_str(), VALUES)).collect();
        let drawn = chart(Shape::Columns, &bars).to_string();
        let mut end = LEFT;
        for pair in rectangles(&drawn).chunks(2) {
            let [x, _, width, _] = pair.first().copied().unwrap();
            assert!(x >= end && width > 0, "{x} {end}");
            end = x + width;
        }
        assert!(end <= WIDTH - RIGHT);
        assert!(drawn.matches("class=\"middle\"").count() <= 10);
        assert_eq!(drawn.matches("<th scope=\"row\">").count(), 90);
    }

    #[test]
    fn lines_are_at_round_numbers() {
        for (greatest, expected) in [(1, 1), (4, 1), (5, 2), (9, 5), (21, 10), (1_000_000, 500_000)] {
            assert_eq!(step(greatest), expected, "{greatest}");
        }
        assert!(step(u64::MAX) > u64::MAX / 5);
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (2_500, "2.5k"),
            (3_000_000, "3M"),
        ] {
            assert_eq!(short(value), expected);
        }
        let long = cut(&"x".repeat(100));
        assert_eq!(long.chars().count(), LETTERS);
    }
}
