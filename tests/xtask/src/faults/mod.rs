//! The fault table: tried by a program of the tests, and kept in two files, of which the README shows the shorter one.

pub(crate) mod mutants;

use anyhow::{Context, Result};

use crate::command::{cargo, output, run as run_command};
use crate::generated::Generated;
use crate::readme;

/// Trials of each row that starts the command: these take a second each.
const PROCESSES: u32 = 12;
const REMAKE: &str = "cargo xtask faults --update";

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
        Generated { path: "tests/faults/summary.md", remake: REMAKE, content: format!("{summary}\n") }.write()?;
        readme::generated()?.write()?;
    }
    Ok(())
}
