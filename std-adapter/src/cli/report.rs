//! `phasemeter report`: what is known of a run, on standard output.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::run_directory;
use super::thresholds::{ThresholdArgs, exit_code};
use crate::replay;
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
    #[command(flatten)]
    thresholds: ThresholdArgs,
    /// Print summary.json instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut replayed = replay::replay(&run_directory::capture_of(&args.run)?)?;
    replayed.run.judge_by(args.thresholds.thresholds());
    if let Some(damage) = &replayed.damage {
        super::say(damage);
    }
    let summary = replayed.run.summary();
    if args.json {
        super::print(&to_json(&summary).context("cannot write the summary as JSON")?)?;
    } else {
        super::print_report(&summary)?;
    }
    Ok(exit_code(&summary))
}
