//! `cargo xtask intervals`: simulates how often sampling intervals hold the true percentile, and writes the table.

use anyhow::Result;

use crate::command::{cargo, output};
use crate::generated::Generated;

/// Runs the simulations, prints the page and writes it.
///
/// # Errors
/// When the program cannot be built or run, or the file not be written.
pub(crate) fn run() -> Result<()> {
    let content = output(cargo().args(["run", "--quiet", "-p", "phasemeter-tests", "--bin", "intervals"]))?;
    println!("{content}");
    Generated { path: "tests/trust/intervals.md", remake: "cargo xtask intervals", content }.write()
}
