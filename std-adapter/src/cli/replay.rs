//! `phasemeter replay`: every artifact of a run, rebuilt from its capture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::run_directory;
use super::thresholds::{ThresholdArgs, exit_code};
use crate::replay;

/// Rebuild summary.json and report.txt from a capture.
///
/// The capture has every byte that came over the lines, so the files come out as the recorder wrote them, byte for byte,
/// if the thresholds are the same.
/// A capture of a recorder that was killed gives a report marked as partial.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  phasemeter replay phasemeter-runs/20260115T103050Z-1a2b/capture.pmcap --out rebuilt"
)]
pub(super) struct Args {
    /// The capture, or its run directory.
    capture: PathBuf,
    /// Where to write; the capture's own directory unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let capture = run_directory::capture_of(&args.capture)?;
    let mut replayed = replay::replay(&capture)?;
    replayed.run.judge_by(args.thresholds.thresholds());
    if let Some(damage) = &replayed.damage {
        super::say(damage);
    }
    let directory = match &args.out {
        Some(out) => out.clone(),
        None => capture.parent().map(Path::to_owned).unwrap_or_default(),
    };
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let summary = replayed.run.summary();
    let written = replay::write_artifacts(&directory, &summary);
    super::print_report(&summary)?;
    written?;
    Ok(exit_code(&summary))
}
