//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! `cargo xtask test` is the one command to run before a change is proposed: it sets up what is missing and runs
//! every check of the project. Everything else here is a part of it that is useful alone.

mod command;
mod toolchain;

mod generated;
mod table;

mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::generated::Generated;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The project's own commands",
    disable_version_flag = true
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check: format, lints, tests, docs, bare-metal builds, packaging; stops at the first failure
    Test,
    /// Write the histogram's table of bucket boundaries, computed with exact arithmetic
    Table {
        /// Compare the checked-in table instead of writing it, and fail when it differs
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Task::Test => test::run(),
        Task::Table { check } => table(check),
    };
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn table(check: bool) -> Result<()> {
    let file =
        Generated { path: "core/src/histogram/table.rs", remake: "cargo xtask table", content: table::generate() };
    if check { file.check() } else { file.write() }
}
