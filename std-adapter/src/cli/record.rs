//! `phasemeter record`: telemetry from any number of sources into a run directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context, bail};

use super::run_config::{NamedProcessor, RunConfigArgs, process};
use super::source_args::{Opened, SourceArgs};
use super::thresholds::{ThresholdArgs, exit_code};
use super::{interrupt, progress::RecordingProgress, run_directory, run_info::RunInfo, values};
use crate::capture::{CaptureError, LineEnd};
use crate::recorder::{RecordError, RecordingOptions, RecordingSource, Unwritten, record};
use crate::replay::RecordedRun;
use crate::report::Summary;
use crate::source::{FaultSpec, Faulty, ListenNews};
use crate::text::to_json;

const NOTES: &str = "\
Sources:
  /dev/ttyACM0, COM3   a serial port (or a pty)
  tcp:HOST:PORT        a TCP server
  tcp-listen:PORT      the first client to connect to 127.0.0.1:PORT
  unix:PATH            a Unix socket
  telemetry.bin        a file or FIFO with what came over a line
  -                    standard input

Faults to inject, with the part of frames, or of bytes, that they befall:
  drop, truncate       frames that get lost, or lose their end
  dup, reorder         frames that come twice, or up to 8 frames late
  noise, text          frames before which random bytes come, or a line of text
  flip, lose           bytes with a wrong bit, or lost
  seed                 chooses which ones; each further source has the next seed

Recording ends when every device has said that its run is over, when every
source has ended, or at Ctrl-C: the report is written in any case. A device that
measures itself may have no end: --max-duration or Ctrl-C ends its recording,
and it is complete if all up to then was observed.

Examples: two boards at once, and fifty that connect over the network
  phasemeter record /dev/ttyACM0 /dev/ttyACM1 --baud 921600 --out run-7
  phasemeter record --listen 0.0.0.0:7000 --devices 50";

/// Record telemetry into a run directory: capture.pmcap, summary.json, report.txt.
///
/// Every byte goes to the capture before anything else looks at it. Several sources are recorded at once; each is one
/// device. Progress is shown on a terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// Where telemetry comes from, see below.
    #[arg(required_unless_present = "listen", value_name = "SOURCE")]
    sources: Vec<String>,
    /// The run directory; a new one under ./phasemeter-runs unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// End after so long, whatever the devices do, for example 10m.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    max_duration: Option<Duration>,
    /// Inject faults into what comes, on purpose: rates from 0 to 1 and a seed, such as drop=0.1,flip=1e-4,seed=7. See
    /// below; the report says so.
    #[arg(long, value_name = "FAULTS")]
    inject: Option<FaultSpec>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    #[command(flatten)]
    run_config: RunConfigArgs,
}

/// How long a load generator that writes to a pipe may take to end after the Ctrl-C that it has met too.
const PIPE_STOP_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let components = args.run_config.create(args.source.count(&args.sources))?;
    let Opened { lines, news } = args.source.open(&args.sources)?;
    let mut sources = Vec::new();
    for ((seed, (identity, mut line)), hooks) in (0..).zip(lines).zip(components.hooks) {
        if let Some(faults) = &args.inject {
            let spec = FaultSpec { seed: faults.seed.wrapping_add(seed), ..faults.clone() };
            line = Box::new(Faulty::new(line, &spec));
        }
        sources.push(RecordingSource { identity, line, hooks, remote: None });
    }
    let place = Place::new(args.out.as_deref())?;
    let thresholds = args.thresholds.thresholds();
    RunInfo::new(None, None).with(thresholds, components.stored).write(&place.directory)?;
    let stop = interrupt::watch(|| {})?;
    let options = RecordingOptions {
        max_duration: args.max_duration,
        thresholds,
        stop_within: if args.sources.iter().any(|source| source == "-") { PIPE_STOP_WITHIN } else { Duration::ZERO },
        ..RecordingOptions::new(&place.directory, &place.run_id)
    };
    to_report(sources, news, &options, &stop, components.processors, false)
}

/// Where a run goes, and what it is called.
pub(super) struct Place {
    pub(super) run_id: String,
    pub(super) directory: PathBuf,
}

impl Place {
    /// A new run, in the directory `out` or a new one.
    pub(super) fn new(out: Option<&Path>) -> anyhow::Result<Self> {
        let run_id = run_directory::new_run_id();
        Ok(Self { directory: run_directory::create(out, &run_id)?, run_id })
    }
}

/// Records the sources with progress, prints the report, or the summary as JSON, and hands the run to the post-processors.
pub(super) fn to_report(
    sources: Vec<RecordingSource>,
    news: Option<Receiver<ListenNews>>,
    options: &RecordingOptions,
    stop: &AtomicBool,
    processors: Vec<NamedProcessor>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let directory = &options.directory;
    let names = sources.iter().map(|source| source.identity.clone()).collect();
    let mut progress = RecordingProgress::new(names, news);
    let recorded = record(sources, options, stop, &mut progress);
    progress.finish();
    let recorded = match recorded {
        Err(RecordError::Unwritten(unwritten)) => {
            print_summary(&unwritten.run.summary(), json)?;
            return Err(could_not_write(&unwritten, directory));
        }
        recorded => recorded.context("recording failed")?,
    };
    let summary = recorded.summary();
    print_summary(&summary, json)?;
    super::say(format_args!("the run is in {}", directory.display()));
    process(processors, &recorded, directory)?;
    fail_if_a_line_failed(&recorded)?;
    Ok(exit_code(&summary))
}

fn print_summary(summary: &Summary, json: bool) -> anyhow::Result<()> {
    if json {
        super::print(&to_json(summary).context("cannot write the summary as JSON")?)
    } else {
        super::print_report(summary)
    }
}

/// Says what is kept of a run that could not be written to its end, and what to do.
pub(super) fn could_not_write(unwritten: &Unwritten, directory: &Path) -> anyhow::Error {
    let place = directory.display();
    let kept = match &unwritten.capture {
        Some(CaptureError::Gone(_)) => "it cannot be replayed, and the report is of what came before".to_owned(),
        Some(_) => format!(
            "what came before, {} bytes, is kept: make room, and `phasemeter replay {place}` makes its report",
            unwritten.kept_bytes
        ),
        None => format!("the capture is whole: make room, and `phasemeter replay {place}` makes its report"),
    };
    anyhow::anyhow!("{unwritten}: {kept}")
}

/// A line that broke before its device was done is an input/output error, though the report was written.
pub(super) fn fail_if_a_line_failed(run: &RecordedRun) -> anyhow::Result<()> {
    for source in run.sources() {
        if let Some((LineEnd::Error, reason)) = &source.ended
            && !source.session.is_finished()
        {
            bail!("{}: {reason}; the report covers what came before", source.identity);
        }
    }
    Ok(())
}
