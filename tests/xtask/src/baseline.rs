//! Numbers that may not change unnoticed: a checked-in file of them, and what was measured now.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::root;

/// What was measured, by column and row of the table in which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) column: String,
    pub(crate) row: String,
    pub(crate) value: u64,
}

/// A file of numbers, and how to measure them anew.
pub(crate) struct Baseline {
    /// Relative to the root of the repository.
    pub(crate) path: &'static str,
    /// The command that measures and compares; with `--update` it writes the file.
    pub(crate) command: &'static str,
    /// How far a number may be from that in the file, in per cent: one that shrank more is worth keeping, so that it cannot
    /// grow back unnoticed.
    pub(crate) band: u64,
    /// How much larger it may be when the file is of another compiler, which makes other code.
    pub(crate) band_between_compilers: u64,
}

impl Baseline {
    /// Writes the file when `update` is set; else compares it with what was `measured`, by code of `compiler`.
    ///
    /// # Errors
    /// When the file cannot be read or written, when a number is outside the band, or when there are other numbers.
    pub(crate) fn settle(&self, compiler: &str, measured: &[Number], update: bool) -> Result<()> {
        let path = root().join(self.path);
        if update {
            let text = write(self.command, compiler, measured);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("{}: written", self.path);
            return Ok(());
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; write it with `{} --update`", path.display(), self.command))?;
        let (made_by, expected) = read(&text).with_context(|| format!("{} is damaged", self.path))?;
        let is_same_compiler = made_by == compiler;
        let band = if is_same_compiler { self.band } else { self.band_between_compilers };
        if !is_same_compiler {
            println!(
                "{} is of {made_by}, this is {compiler}: {band} % more are allowed instead of {} % both ways",
                self.path, self.band
            );
        }
        let faults = faults(&expected, measured, band, is_same_compiler);
        if !faults.is_empty() {
            bail!(
                "{}; if that is gained, or the price of something worth it, write {} anew with `{} --update`",
                faults.join("; "),
                self.path,
                self.command,
            );
        }
        println!("{}: all {} numbers are within {band} %", self.path, measured.len());
        Ok(())
    }
}

/// What is wrong with the numbers, one by one.
fn faults(expected: &[Number], measured: &[Number], band: u64, both_ways: bool) -> Vec<String> {
    let find = |list: &[Number], wanted: &Number| {
        list.iter().find(|one| (&one.column, &one.row) == (&wanted.column, &wanted.row)).map(|one| one.value)
    };
    let mut faults = Vec::new();
    for new in measured {
        match find(expected, new) {
            None => faults.push(format!("`{}`, {}, is new", new.row, new.column)),
            Some(old) if new.value * 100 > old * (100 + band) => {
                faults.push(format!("`{}`, {}, grew from {old} to {}", new.row, new.column, new.value));
            }
            Some(old) if both_ways && new.value * 100 < old * 100_u64.saturating_sub(band) => {
                faults.push(format!("`{}`, {}, shrank from {old} to {}", new.row, new.column, new.value));
            }
            Some(_) => {}
        }
    }
    let gone = expected.iter().filter(|old| find(measured, old).is_none());
    faults.extend(gone.map(|old| format!("`{}`, {}, is no longer measured", old.row, old.column)));
    faults
}

fn write(command: &str, compiler: &str, numbers: &[Number]) -> String {
    let mut text = format!("# Measured and written by `{command} --update`.\ncompiler | {compiler}\n");
    for Number { column, row, value } in numbers {
        let _ = writeln!(text, "{column} | {row} | {value}");
    }
    text
}

/// The compiler and the numbers of a file.
///
/// # Errors
/// When a line is something else.
pub(crate) fn read(text: &str) -> Result<(String, Vec<Number>)> {
    let mut compiler = None;
    let mut numbers = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.split('|').map(str::trim).collect::<Vec<_>>()[..] {
            ["compiler", version] => compiler = Some(version.to_owned()),
            [column, row, value] => {
                let value = value.parse().with_context(|| format!("`{value}` is not a number"))?;
                numbers.push(Number { column: column.to_owned(), row: row.to_owned(), value });
            }
            _ => bail!("`{line}` is not `COLUMN | ROW | NUMBER`"),
        }
    }
    Ok((compiler.context("it names no compiler")?, numbers))
}

/// A markdown table with one line per row, in the order in which they were measured.
pub(crate) fn table(heading: &str, numbers: &[Number]) -> String {
    let (columns, rows) = (distinct(numbers, |one| &one.column), distinct(numbers, |one| &one.row));
    let mut text = format!("| {heading} | {} |\n|---|{}\n", columns.join(" | "), "---:|".repeat(columns.len()));
    for row in rows {
        let _ = write!(text, "| {row} |");
        for column in &columns {
            let cell = numbers.iter().find(|one| one.row == row && &one.column == column);
            let _ = write!(text, " {} |", cell.map_or_else(String::new, |one| grouped(one.value)));
        }
        text.push('\n');
    }
    text
}

/// Thousands set apart.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn distinct(numbers: &[Number], part: impl Fn(&Number) -> &String) -> Vec<String> {
    let mut found = Vec::new();
    for name in numbers.iter().map(part) {
        if !found.contains(name) {
            found.push(name.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(column: &str, row: &str, value: u64) -> Number {
        Number { column: column.to_owned(), row: row.to_owned(), value }
    }

    #[test]
    fn what_leaves_the_band_is_named() {
        let old = [number("m4", "record", 100), number("m4", "merge", 1000)];
        let faults = |record, merge, both_ways| {
            faults(&old, &[number("m4", "record", record), number("m4", "merge", merge)], 2, both_ways)
        };
        assert_eq!(faults(102, 980, true), [""; 0]);
        let grown = "`record`, m4, grew from 100 to 103";
        assert_eq!(faults(103, 979, true), [grown, "`merge`, m4, shrank from 1000 to 979"]);
        assert_eq!(faults(103, 979, false), [grown], "another compiler's code may be smaller");
    }

    #[test]
    fn numbers_that_come_or_go_are_named() {
        let found = faults(&[number("m4", "record", 1)], &[number("m0", "record", 1)], 2, true);
        assert_eq!(found, ["`record`, m0, is new", "`record`, m4, is no longer measured"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let numbers = vec![number("m4", "+ merge", 7), number("m0", "record", u64::MAX)];
        assert_eq!(read(&write("make it", "rustc 1.2.3", &numbers)).unwrap(), ("rustc 1.2.3".to_owned(), numbers));
        assert_eq!(read("a | b | c\n").unwrap_err().to_string(), "`c` is not a number");
        assert_eq!(read("a | b | 1\n").unwrap_err().to_string(), "it names no compiler");
        assert_eq!(read("a | 1\n").unwrap_err().to_string(), "`a | 1` is not `COLUMN | ROW | NUMBER`");
    }

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let numbers = [number("m4", "record", 1), number("m4", "merge", 2), number("m0", "record", 34_567)];
        let expected = "| what | m4 | m0 |\n|---|---:|---:|\n| record | 1 | 34,567 |\n| merge | 2 |  |\n";
        assert_eq!(table("what", &numbers), expected);
    }
}
