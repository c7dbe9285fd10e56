//! `cargo xtask bench`: the histogram, or post-processing, beside its peers, and the receiver and the load generator, as tables for the README.

pub(crate) mod load;
pub(crate) mod process;
mod table;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, output, program, root, run as run_command};
use crate::insns::callgrind;

use table::Numbers;

const MANIFEST: &str = "tests/bench/Cargo.toml";

/// Builds and runs everything, and prints the tables; `quick` takes fewer latencies and leaves criterion out.
///
/// # Errors
/// When a program cannot be built or run. A missed target is printed, and no error: time is not the same everywhere.
pub(crate) fn run(quick: bool) -> Result<()> {
    let bench = build(true)?;
    let mut numbers = Numbers::default();
    let mode = if quick { "measure-quick" } else { "measure" };
    for mode in [mode, "decode"] {
        numbers.read(&output(program(&bench).arg(mode))?)?;
    }
    for section in callgrind(&bench, "instructions-peers")? {
        numbers.put(&section.subject, &format!("{} instructions", section.what), section.instructions);
    }
    if !quick {
        run_command(cargo_on("bench", true).args(["--bench", "peers"]))?;
    }
    println!("\n{}\n{}\n{}\n{}", numbers.peers(), numbers.targets(), numbers.capacities(), numbers.decode());
    Ok(())
}

/// Builds the program, with or without the peers, and tells where it is.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn build(with_peers: bool) -> Result<PathBuf> {
    run_command(cargo_on("build", with_peers).arg("--release"))?;
    Ok(directory(with_peers).join("release/phasemeter-bench"))
}

/// Each way has a directory of its own, so that neither makes the other build anew.
fn cargo_on(subcommand: &str, with_peers: bool) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--manifest-path", MANIFEST, "--locked", "--target-dir"]).arg(directory(with_peers));
    if !with_peers {
        command.arg("--no-default-features");
    }
    command
}

fn directory(with_peers: bool) -> PathBuf {
    target().join(if with_peers { "bench" } else { "bench-alone" })
}

fn system_python() -> Result<Command> {
    ["python3", "python"]
        .into_iter()
        .find(|name| output(program(name).arg("--version")).is_ok_and(|version| version.starts_with("Python 3")))
        .map(program)
        .context("no Python 3: install it with its venv module (Debian: `apt install python3 python3-venv`)")
}

fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
