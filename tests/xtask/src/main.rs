//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! `cargo xtask test` is the one command to run before a change is proposed: it sets up what is missing and runs
//! every check of the project. Everything else here is a part of it that is useful alone.

mod command;
mod packages;
mod toolchain;

mod generated;
mod table;
mod features;

mod baseline;
mod readme;
mod probe;
mod emulator;
mod firmware;
mod size;
mod insns;
mod interrupts;
mod bench;
mod intervals;
mod faults;
mod fuzz;

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
    /// Where the compiler in use has no bare-metal target, install Debian's, as root; nothing that is there is replaced
    #[arg(long, global = true)]
    install: bool,
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
    /// Copy the figures in README.md from the files that the measuring commands have written
    Readme {
        /// Compare README.md instead of writing it, and fail when it differs
        #[arg(long)]
        check: bool,
    },
    /// Check that each feature of `phasemeter` builds alone, and what the library needs without any
    Features,
    /// Measure the flash that the core takes on Cortex-M0 and M4, and show that no panic is reachable in it
    Size {
        /// Write the baseline instead of comparing with it
        #[arg(long, conflicts_with = "prove")]
        update: bool,
        /// Show that the check for panics finds one, instead of measuring
        #[arg(long)]
        prove: bool,
    },
    /// Measure the histogram beside its peers and print tables: time, instructions, bytes, error, wire
    Bench {
        /// Fewer latencies and no criterion, or fewer records: noisier times, in a few seconds once built
        #[arg(long)]
        quick: bool,
        /// Measure `phasemeter process` beside Python and `DuckDB` instead: a million records, 3.1 GB in `target/`
        #[arg(long)]
        process: bool,
        /// Measure `phasemeter bench` beside oha against nginx instead; both have to be installed
        #[arg(long, conflicts_with = "process")]
        load: bool,
    },
    /// Simulate how often sampling intervals hold the true percentile, and write `tests/trust/intervals.md`
    Intervals,
    /// Try every fault between a device and its report, and print a table: nothing may be wrong with exit code 0
    Faults {
        /// Trials of each fault at each intensity
        #[arg(long, default_value_t = 150)]
        trials: u32,
        /// Chooses the trials
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only the faults whose name contains this
        #[arg(long, conflicts_with = "update")]
        fault: Option<String>,
        /// Write the table to where it is kept, and into the README
        #[arg(long)]
        update: bool,
        /// Show that the table can fail instead: with each of some rules of the host broken
        #[arg(long, conflicts_with_all = ["update", "fault", "trials", "seed"])]
        mutants: bool,
    },
    /// Fuzz whatever reads what comes from outside, and print how often each target ran
    Fuzz {
        /// How long each target runs
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Only this target
        #[arg(long)]
        target: Option<String>,
    },
    /// Record long runs in simulated time: 10 million requests, and days of a monitor whose counters become full
    Soak,
    /// Build, run and test the example firmware
    #[command(subcommand)]
    Firmware(firmware::Firmware),
    /// Run a monitor beside an interrupt in QEMU, and check that every value arrives
    Interrupts,
    /// Count executed instructions and used stack
    Insns {
        /// Write the baselines instead of comparing with them
        #[arg(long)]
        update: bool,
    },
}

fn main() -> ExitCode {
    let Cli { command, install } = Cli::parse();
    if install {
        packages::allow_to_install();
    }
    let result = match command {
        Task::Firmware(firmware) => return firmware.run().unwrap_or_else(|error| fail(&error)),
        Task::Test => test::run(),
        Task::Table { check } => settle(&table::generated(), check),
        Task::Readme { check } => readme::generated().and_then(|readme| settle(&readme, check)),
        Task::Features => features::check(),
        Task::Size { prove: true, .. } => size::prove(),
        Task::Size { update, .. } => size::run(update),
        Task::Bench { quick, process: true, .. } => bench::process::run(quick),
        Task::Bench { quick, load: true, .. } => bench::load::run(quick),
        Task::Bench { quick, .. } => bench::run(quick),
        Task::Intervals => intervals::run(),
        Task::Faults { mutants: true, .. } => faults::mutants::run(),
        Task::Faults { trials, seed, fault, update, .. } => faults::run(trials, seed, fault.as_deref(), update),
        Task::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref()),
        Task::Soak => test::soak(),
        Task::Interrupts => interrupts::run(),
        Task::Insns { update } => insns::run(update),
    };
    result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

fn settle(file: &Generated, check: bool) -> Result<()> {
    if check { file.check() } else { file.write() }
}
