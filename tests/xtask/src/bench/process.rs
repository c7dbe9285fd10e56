//! `cargo xtask bench --process`: post-processing beside Python and `DuckDB` over the same records.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{cargo, program, root, run as run_command};

/// The programs that are measured, and what they need.
const PROGRAMS: &str = "tests/bench/process";
/// Genuine records, of which the measured ones are made.
const TEMPLATE: &str = "tests/data/aiperf/profile_export.jsonl";

/// Builds the command, sets Python up in a directory of its own, and prints a table for each form of records.
///
/// # Errors
/// When something cannot be built or run, or the contenders disagree.
pub(crate) fn run(quick: bool) -> Result<()> {
    let directory = super::target().join("bench-process");
    fs::create_dir_all(&directory).with_context(|| format!("{} could not be made", directory.display()))?;
    run_command(cargo().args(["build", "--release", "--package", "phasemeter", "--locked"]))?;
    let python = python(&directory)?;
    run_command(
        program(python)
            .arg(format!("{PROGRAMS}/compare.py"))
            .arg(super::target().join(format!("release/phasemeter{}", std::env::consts::EXE_SUFFIX)))
            .arg(TEMPLATE)
            .arg(if quick { "100000" } else { "1000000" })
            .arg(&directory),
    )
}

/// A Python with the packages that the programs need, of the versions in `requirements.txt`.
fn python(directory: &Path) -> Result<PathBuf> {
    let environment = directory.join("venv");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !python.exists() {
        run_command(super::system_python()?.args(["-m", "venv"]).arg(&environment))
            .context("install Python's venv module (Debian: `apt install python3-venv`)")?;
    }
    let requirements = root().join(PROGRAMS).join("requirements.txt");
    run_command(program(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    Ok(python)
}
