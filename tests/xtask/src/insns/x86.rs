//! Executed instructions on x86-64, which callgrind counts exactly.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::baseline::{Baseline, Number, table};
use crate::bench::build;
use crate::command::{output, program};
use crate::packages::ensure_program;
use crate::toolchain::Toolchain;

const VALGRIND: &str = "valgrind";

const BASELINE: Baseline =
    Baseline { path: "tests/size/insns-x86.txt", command: "cargo xtask insns", band: 5, band_between_compilers: 10 };

/// What one section of the program took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) subject: String,
    pub(crate) what: String,
    /// Instructions for each time that it was done.
    pub(crate) instructions: f64,
}

/// Counts what the histogram does, prints it and compares with the baseline.
///
/// # Errors
/// When this is another processor or system, there is no valgrind, or a number has grown.
pub(super) fn run(update: bool) -> Result<()> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        bail!("instructions of x86-64 can be counted on x86-64 Linux only");
    }
    let numbers = callgrind(&build(false)?, "instructions-ours")?.into_iter().map(|section| {
        let Section { subject, what, instructions } = section;
        Number { column: subject, row: what, value: whole(instructions) }
    });
    let numbers: Vec<_> = numbers.collect();
    println!("\n{}", table("x86-64", &numbers));
    BASELINE.settle(&Toolchain::Installed.compiler()?, &numbers, update)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count; saturating is meant")]
fn whole(instructions: f64) -> u64 {
    instructions.round() as u64
}

/// Runs the program under callgrind; it prints a line for each section: subject, what, and how many times.
///
/// # Errors
/// When there is no valgrind, or it does not count the sections that the program tells of.
pub(crate) fn callgrind(bench: &Path, mode: &str) -> Result<Vec<Section>> {
    ensure_program(VALGRIND, VALGRIND)?;
    let directory = bench.with_file_name("callgrind");
    // What an earlier run left would be taken for this one's.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let profile = directory.join("profile");
    let mut command = program(VALGRIND);
    command.args([
        "--quiet",
        "--tool=callgrind",
        "--zero-before=*measured_section*",
        "--dump-before=*section_is_over*",
    ]);
    command.arg(format!("--callgrind-out-file={}", profile.display())).arg(bench).arg(mode);
    let lines = output(&mut command)?;
    let sections = (1..).zip(lines.lines()).map(|(number, line)| {
        let path = profile.with_extension(number.to_string());
        let text = fs::read_to_string(&path).with_context(|| format!("callgrind did not write {}", path.display()))?;
        section(line, &text).with_context(|| format!("{} or the line `{line}` makes no sense", path.display()))
    });
    let sections = sections.collect::<Result<Vec<_>>>()?;
    if sections.is_empty() || profile.with_extension((sections.len() + 1).to_string()).exists() {
        bail!("callgrind saw other sections than the {} that the program told of", sections.len());
    }
    Ok(sections)
}

fn section(line: &str, profile: &str) -> Option<Section> {
    let [subject, what, times] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let total: f64 = profile.lines().find_map(|line| line.strip_prefix("totals: "))?.parse().ok()?;
    let instructions = total / times.parse::<f64>().ok()?;
    Some(Section { subject: subject.to_owned(), what: what.to_owned(), instructions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_divided_by_what_was_done() {
        let found = section("ours\trecord\t20", "version: 1\ntotals: 910\nsummary: 900\n").unwrap();
        assert_eq!((found.subject.as_str(), found.what.as_str()), ("ours", "record"));
        assert_eq!(whole(found.instructions), 46);
        assert_eq!(section("ours\trecord", "totals: 900"), None);
        assert_eq!(section("ours\trecord\t20", "nothing"), None);
    }
}
