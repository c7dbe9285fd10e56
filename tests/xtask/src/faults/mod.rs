//! The fault table: tried by a program of the tests, kept in a file, and shown in the README.

pub(crate) mod mutants;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, output, root, run as run_command};
use crate::generated::Generated;

/// Trials of each row that starts the command: these take a second each.
const PROCESSES: u32 = 12;
const REMAKE: &str = "cargo xtask faults --update";
/// What stands around the table in the README.
const MARKS: [&str; 2] = ["<!-- faults -->\n", "<!-- /faults -->"];

/// Tries every fault, or those that are named, and prints the table; `update` writes it to where it is kept.
///
/// # Errors
/// When anything was wrong, crashed or hung, or a file cannot be written.
pub(crate) fn run(trials: u32, seed: u64, fault: Option<&str>, update: bool) -> Result<()> {
    run_command(cargo().args(["build", "-p", "phasemeter", "-p", "phasemeter-tests", "--bins"]))?;
    let [trials, processes, seed] = [trials.to_string(), PROCESSES.to_string(), seed.to_string()];
    let mut command = cargo();
    command.args(["run", "-q", "-p", "phasemeter-tests", "--bin", "faults", "--", &trials, &processes, &seed]);
    let printed = output(command.args(fault))?;
    let (table, summary) = printed.split_once("\n\n").context("the program prints two tables")?;
    println!("{table}");
    if update {
        let head = format!(
            "# Faults\n\nMade by `{REMAKE} --trials {trials} --seed {seed}`; `tests/src/faults` says what each one is.\n\n"
        );
        Generated { path: "tests/faults/table.md", remake: REMAKE, content: format!("{head}{table}\n") }.write()?;
        Generated { path: "README.md", remake: REMAKE, content: readme(summary)? }.write()?;
    }
    Ok(())
}

/// The README with this table.
fn readme(table: &str) -> Result<String> {
    let text = fs::read_to_string(root().join("README.md")).context("cannot read the README")?;
    let [begin, end] = MARKS;
    let Some((before, rest)) = text.split_once(begin) else { bail!("README.md has no {begin}") };
    let Some((_, after)) = rest.split_once(end) else { bail!("README.md has no {end}") };
    Ok(format!("{before}{begin}{table}\n{end}{after}"))
}
