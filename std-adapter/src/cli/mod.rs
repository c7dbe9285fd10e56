//! The `phasemeter` command: what several subcommands use, then one file a subcommand. Errors, exit codes and broken pipes
//! are handled here, once.

mod interrupt;
mod run_directory;
mod run_info;
mod connect_args;
mod run_config;
mod progress;
mod record;
mod run;
mod replay;
mod report;
mod process;
mod load;
mod bench;
mod mock_server;
mod demo;
mod ports;
mod plugins;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::text::{printable, printable_lines};

/// Exit code of a usage or input/output error.
const FAILED: u8 = 2;
/// Exit code of a run that was not observed whole.
const INCOMPLETE: u8 = 3;

const EXIT_CODES: &str = "\
Exit codes: 0 all was observed, 2 usage or I/O error, 3 incomplete: some of the
run was not observed. 1 and 4 are reserved for thresholds and comparisons.";

/// Records load-test telemetry and reports latency percentiles that carry their own error bound.
#[derive(Debug, Parser)]
#[command(name = "phasemeter", version, after_help = EXIT_CODES, propagate_version = true)]
enum Command {
    Demo(demo::Args),
    Bench(Box<bench::Args>),
    Run(run::Args),
    Record(record::Args),
    Replay(replay::Args),
    Report(report::Args),
    Process(process::Args),
    Load(load::Args),
    MockServer(mock_server::Args),
    Ports(ports::Args),
    Plugins(plugins::Args),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Process(args) => process::run(&args),
        Command::Load(args) => load::run(&args),
        Command::MockServer(args) => mock_server::run(args),
        Command::Ports(args) => ports::run(args),
        Command::Plugins(args) => plugins::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // With the causes behind it, which no message tells itself.
            say(format_args!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Tells the user on standard error, in one line. If nobody reads that any more, the work goes on.
fn say(what: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "phasemeter: {}", printable(&what.to_string()));
}

/// Writes to standard output. Whoever closed it has seen enough: `phasemeter report DIR | head`.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(printable_lines(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// The exit code of a command whose result is this run.
fn exit_code(summary: &crate::report::Summary) -> ExitCode {
    if summary.run.complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) }
}
