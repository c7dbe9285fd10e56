//! `phasemeter report`: what is known of a run, on standard output.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::run_directory::{self, RunDirectory};
use super::run_info::RunInfo;
use super::thresholds::{ThresholdArgs, exit_code};
use crate::replay;
use crate::report::{Summary, Verdict};
use crate::text::page::{WIDTH, cut, padded, width};
use crate::text::{printable, to_json};

const NOTES: &str = "\
Examples:
  phasemeter report
  phasemeter report --list
  phasemeter report phasemeter-runs/20260115T103050Z-1a2b
  phasemeter report capture.pmcap --json \\
      | jq '.phases[].metrics.response_time.percentiles.p99'";

/// Print the report of a run.
///
/// It is made from the capture. Nothing is written but to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// A run directory, or a capture; the latest run under ./phasemeter-runs unless given.
    run: Option<PathBuf>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    /// Print summary.json instead of text.
    #[arg(long)]
    json: bool,
    /// List the runs under ./phasemeter-runs, the latest last, as they were recorded.
    #[arg(long, conflicts_with_all = ["run", "json", "max_error_rate"])]
    list: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list {
        super::print(&list(&run_directory::all()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = match &args.run {
        Some(run) => run.clone(),
        None => run_directory::latest()?,
    };
    let capture = run_directory::capture_of(&run)?;
    let recorded = RunInfo::beside(&capture)?.unwrap_or_default();
    let mut replayed = replay::replay(&capture)?;
    replayed.run.judge_by(args.thresholds.over(recorded.thresholds));
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

const TITLES: [&str; 5] = ["run", "started", "verdict", "observed", "devices"];

/// A line a run.
fn list(runs: &[RunDirectory]) -> String {
    let titles = TITLES.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(titles).chain(runs.iter().map(row)).collect();
    let columns = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(columns);
    let lines = rows.iter().map(|row| {
        let cells: String = row.iter().zip(widths).map(|(cell, width)| padded(cell, width) + "  ").collect();
        let left = WIDTH.saturating_sub(width(&cells)).max(TITLES[4].len());
        format!("{}\n", (cells + &cut(&row[4], left)).trim_end())
    });
    lines.collect()
}

fn row(run: &RunDirectory) -> [String; 5] {
    let started = run
        .started
        .map_or_else(|| "unknown".to_owned(), |started| humantime::format_rfc3339_seconds(started).to_string());
    let said = match &run.summary {
        None => ["-", "no report", "-"].map(str::to_owned),
        Some(Summary { run, devices, .. }) => {
            let verdict = match run.verdict {
                Some(Verdict::Passed) => "passed",
                Some(Verdict::Failed) => "FAILED",
                None => "-",
            };
            let devices: Vec<_> = devices.iter().map(|device| device.id.as_str()).collect();
            let observed = if run.complete { "complete" } else { "PARTIAL" };
            [verdict.to_owned(), observed.to_owned(), printable(&devices.join(" "))]
        }
    };
    let [verdict, observed, devices] = said;
    [printable(&run.name), started, verdict, observed, devices]
}
