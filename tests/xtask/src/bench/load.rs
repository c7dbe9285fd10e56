//! `cargo xtask bench --load`: the host's load generator beside oha, against nginx.

use anyhow::Result;

use crate::command::{cargo, run as run_command};

/// The program that measures.
const PROGRAM: &str = "tests/bench/load/compare.py";

/// Builds the command and prints what was measured.
///
/// # Errors
/// When something cannot be built or run, or nginx or oha is not installed. A missed target is printed, and no error.
pub(crate) fn run(quick: bool) -> Result<()> {
    run_command(cargo().args(["build", "--release", "--package", "phasemeter", "--locked"]))?;
    let (seconds, rounds) = if quick { ("2", "2") } else { ("5", "5") };
    run_command(
        super::system_python()?
            .arg(PROGRAM)
            .arg(super::target().join(format!("release/phasemeter{}", std::env::consts::EXE_SUFFIX)))
            .arg(super::target().join("bench-load"))
            .args([seconds, rounds]),
    )
}
