//! The `phasemeter` command: what several subcommands use, then one file a subcommand. Errors, exit codes and broken pipes
//! are handled here, once.

mod verbosity;
mod values;
mod interrupt;
mod run_directory;
mod run_info;
mod connect_args;
mod run_config;
mod source_args;
mod ports;
mod thresholds;
mod progress;
mod record;
mod prepare;
mod run;
mod replay;
mod report;
mod process;
mod load;
mod bench;
mod mock_server;
mod demo;
mod plugins;
mod completions;
mod man;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

use crate::report::{Summary, render, render_coloured};
use crate::text::{printable, printable_lines};
use verbosity::{Verbosity, VerbosityArgs, verbosity};

/// Exit code of a usage or input/output error.
const FAILED: u8 = 2;

const EXIT_CODES: &str = "\
Exit codes:
  0  passed: all was observed, and no threshold failed
  1  failed: no request succeeded, or a threshold failed
  2  usage or input/output error
  3  incomplete: some of the run was not observed
  4  incomparable, and 5  inconclusive: of comparisons, not in use yet
Where several apply: 2, then 1 if no request succeeded, then 3, then 1.";

/// Records load-test telemetry and reports latency percentiles that carry their own error bound.
#[derive(Debug, Parser)]
#[command(name = "phasemeter", version, after_help = EXIT_CODES, propagate_version = true)]
struct CommandLine {
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
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
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let CommandLine { verbosity, command } = CommandLine::parse();
    verbosity.choose();
    let result = match command {
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
        Command::Completions(args) => completions::run(&args, CommandLine::command()),
        Command::Man(args) => man::run(&args, CommandLine::command()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // With the causes behind it, which no message tells itself.
            complain(format_args!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Tells the user on standard error, in one line, unless it is to be quiet.
fn say(what: impl std::fmt::Display) {
    if verbosity() != Verbosity::Quiet {
        complain(what);
    }
}

/// Tells the user what went wrong. If nobody reads that any more, the work goes on.
fn complain(what: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "phasemeter: {}", printable(&what.to_string()));
}

/// Writes to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    write_all(std::io::stdout().lock(), printable_lines(text).as_bytes())
}

/// Prints the report of a run, in colours if a terminal shows it that wants them: `NO_COLOR` and `TERM=dumb` do not.
fn print_report(summary: &Summary) -> anyhow::Result<()> {
    let stdout = std::io::stdout();
    if stdout.is_terminal() && AutoStream::choice(&stdout) != ColorChoice::Never {
        write_all(anstream::stdout().lock(), render_coloured(summary).as_bytes())
    } else {
        write_all(stdout.lock(), render(summary).as_bytes())
    }
}

/// Whoever closed standard output has seen enough: `phasemeter report DIR | head`.
fn write_all(mut stdout: impl Write, text: &[u8]) -> anyhow::Result<()> {
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
