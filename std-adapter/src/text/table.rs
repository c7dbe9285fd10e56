//! Tables that fit a line: a label, a unit, cells of one width, and a narrow last column.

use std::fmt::Write as _;

use super::page::{Page, Tone, WIDTH, padded, width};
use super::printable;

/// What stands before every row.
const INDENT: usize = 3;
/// A longer label and its unit have a line of their own.
const MAX_LABEL: usize = 22;
/// A cell takes no more, whatever room there is.
const MAX_CELL: usize = 11;
/// A cell's own: the gap before it, and the mark behind it.
const AROUND: usize = 2;

/// The columns of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    label: usize,
    unit: usize,
    cell: usize,
    last: usize,
}

impl Columns {
    /// Columns for these labels, units of at most so many characters (none: no such column), so many cells, and a last
    /// column of so many characters (none: no such column).
    pub(crate) fn new<'a>(labels: impl Iterator<Item = &'a str>, unit: usize, cells: usize, last: usize) -> Self {
        let unit = if unit == 0 { 0 } else { unit + 1 };
        let label = labels.map(|label| width(&printable(label))).max().unwrap_or(0).min(MAX_LABEL - unit);
        let cell = (WIDTH - INDENT - label - unit - last).checked_div(cells).unwrap_or(0);
        Self { label, unit, cell: cell.min(MAX_CELL), last }
    }

    /// So many characters of a number fit a cell.
    pub(crate) fn room(self) -> usize {
        self.cell.saturating_sub(AROUND)
    }

    /// A row of cells, each a number and its mark. A label that is too long stands on a line of its own.
    pub(crate) fn row<'a>(
        self,
        page: &mut Page,
        label: &str,
        unit: &str,
        cells: impl IntoIterator<Item = (&'a str, &'a str)>,
        last: &str,
    ) {
        let mut label = printable(label);
        if width(&label) > self.label {
            page.words(&" ".repeat(INDENT), INDENT, &label, Tone::Plain);
            label = String::new();
        }
        let mut line = " ".repeat(INDENT) + &padded(&label, self.label);
        if self.unit > 0 {
            line += &padded(&format!(" {unit}"), self.unit);
        }
        for (number, mark) in cells {
            let _ = write!(line, "{number:>number_width$}{mark:1}", number_width = self.cell.saturating_sub(1));
        }
        let _ = write!(line, "{last:>last_width$}", last_width = self.last);
        page.raw(&line);
    }

    /// The row of a label whose cells have no room: each has its title with it.
    pub(crate) fn titled(page: &mut Page, label: &str, cells: impl IntoIterator<Item = String>) {
        page.words(&" ".repeat(INDENT), INDENT, label, Tone::Plain);
        page.line(&" ".repeat(2 * INDENT), cells);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_and_long_labels_have_a_line() {
        let labels = ["response time", "a name of thirty-two characters."];
        let columns = Columns::new(labels.into_iter(), 2, 6, 7);
        assert_eq!(columns.room(), 6);
        let mut page = Page::new(false);
        columns.row(&mut page, "", "", ["p50", "p75", "p90", "p95", "p99", "p99.9"].map(|title| (title, "")), "± %");
        for label in labels {
            columns.row(&mut page, label, "ms", [("253.06", "*"); 6], "0.14");
        }
        let text = page.into_text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "                             p50     p75     p90     p95     p99   p99.9     ± %",
                "   response time       ms 253.06* 253.06* 253.06* 253.06* 253.06* 253.06*   0.14",
                "   a name of thirty-two characters.",
                "                       ms 253.06* 253.06* 253.06* 253.06* 253.06* 253.06*   0.14",
            ]
        );
        assert!(lines.iter().all(|line| width(line) <= WIDTH));
    }
}
