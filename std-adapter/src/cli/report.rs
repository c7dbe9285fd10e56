//! `phasemeter report`: what is known of a run, on standard output.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::run_directory;
use crate::replay;
use crate::report::render;
use crate::text::to_json;

/// Print the report of a run.
///
/// It is made from the capture. Nothing is written but to standard output.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  phasemeter report phasemeter-runs/20260115T103050Z-1a2b\n  phasemeter report capture.pmcap --json | jq '.phases[].metrics.response_time.percentiles.p99'"
)]
pub(super) struct Args {
    /// A run directory, or a capture.
    run: PathBuf,
    /// Print summary.json instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let replayed = replay::replay(&run_directory::capture_of(&args.run)?)?;
    if let Some(damage) = &replayed.damage {
        super::say(damage);
    }
    let summary = replayed.run.summary();
    let text =
        if args.json { to_json(&summary).context("cannot write the summary as JSON")? } else { render(&summary) };
    super::print(&text)?;
    Ok(super::exit_code(&summary))
}
