//! `phasemeter process`: records of single requests to metrics.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use super::thresholds::{FAILED_RUN, INCOMPLETE, parse_percent};
use super::verbosity::{Verbosity, verbosity};
use crate::atomic::{check_writable, write_atomically};
use crate::process::{
    Document, Format, PercentileRule, Percentiles, ReadOptions, ReadWatcher, Reader, Rejection, ResultSet,
    ResultsAggregator, render,
};
use crate::text::{printable, quoted, to_json};

const NOTES: &str = "\
Records are JSON Lines, plain or gzip. Either one flat object a request:
  {\"timestamp\": 1000.0, \"latency_ms\": 50.5, \"status\": \"success\", \"error\": null}
with latency_ms, latency or response_time in ms and timestamp in s; or AIPerf's profile_export.jsonl, with
phase_manifest.json beside it for the phases' windows; or what `mock-server --log` wrote. The first valid record tells
which.

A request failed if its error is neither null, false, 0 nor empty, its status says so (error, failed, timeout, a code from
400), or it was cancelled.

Exit code 3: nothing was measured, more lines were rejected than --max-rejected allows, values were left out (a metric in a
second unit, or more than 512 metrics in a phase), or gzip breaks off: what is good is used. 1: no request succeeded.

Examples:
  phasemeter process artifacts/profile_export.jsonl
  phasemeter process a.jsonl b.jsonl.gz --json | jq '.phases[].metrics.request_latency.percentiles.p99'
  phasemeter process a.jsonl b.jsonl --aggregate --report";

/// Make metrics of the records of single requests.
///
/// A thousand values of a metric or fewer are exact. Of more, memory does not grow with the records, and each percentile has
/// proven bounds. Bad lines are told, counted and skipped.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// Files of records, `-` for standard input; all together are one set.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Keep all samples in memory, for exact percentiles and all that AIPerf derives.
    #[arg(long)]
    exact: bool,
    /// What the records are, if not what the first one looks like.
    #[arg(long)]
    format: Option<FormatName>,
    /// Fail at the first bad line.
    #[arg(long)]
    strict: bool,
    /// How many of the lines may be rejected (exit code 3 beyond): a few, as a writer that was killed leaves, are no matter.
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_percent)]
    max_rejected: u32,
    /// Also take each file for a result set and aggregate them.
    #[arg(long)]
    aggregate: bool,
    /// Print the aggregate in words only.
    #[arg(long, requires = "aggregate", conflicts_with = "json")]
    report: bool,
    /// How much memory the values of all files may take, unless --exact keeps them.
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,
    /// Percentiles from 0 to 100.
    #[arg(long, value_name = "LIST", default_value = "50,75,90,95,99")]
    percentiles: Percentiles,
    /// How a percentile is chosen among the values: by nearest rank, or interpolated as AIPerf does, and Python by
    /// default. By nearest rank unless given; linear with --exact, which has AIPerf's own figures.
    #[arg(long, value_name = "RULE")]
    percentile_rule: Option<RuleName>,
    /// Also write the JSON to a file.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    Flat,
    Aiperf,
    Truth,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RuleName {
    #[value(name = "nearest_rank")]
    NearestRank,
    Linear,
}

impl Args {
    fn percentiles(&self) -> Percentiles {
        let rule = match self.percentile_rule {
            Some(RuleName::Linear) => PercentileRule::Linear,
            Some(RuleName::NearestRank) => PercentileRule::NearestRank,
            None if self.exact => PercentileRule::Linear,
            None => PercentileRule::default(),
        };
        self.percentiles.clone().by(rule)
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Flat => Self::Flat,
            FormatName::Aiperf => Self::Aiperf,
            FormatName::Truth => Self::Truth,
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.files.iter().filter(|file| *file == "-").count() <= 1, "standard input can only be read once");
    let same = |one: &str, other: &Path| match (std::fs::canonicalize(one), std::fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    };
    for (place, file) in args.files.iter().enumerate() {
        if args.files[..place].iter().any(|other| same(file, Path::new(other))) {
            super::say(format_args!("{file} is given twice: its records count twice"));
        }
    }
    if let Some(path) = &args.output {
        ensure!(
            !args.files.iter().any(|file| same(file, path)),
            "{} is an input: the output goes elsewhere",
            path.display()
        );
        // Not only after all has been read.
        check_writable(path).context("cannot write the output")?;
    }
    let percentiles = args.percentiles();
    let memory = usize::try_from(args.memory).unwrap_or(usize::MAX).saturating_mul(1 << 20);
    let options = |taken: usize| ReadOptions {
        format: args.format.map(Format::from),
        exact: args.exact,
        strict: args.strict,
        memory: Some(memory.saturating_sub(taken)),
        percentiles: percentiles.clone(),
        threads: None,
    };
    let mut progress = ReadingProgress::new(&args.files);
    let mut sets: Vec<ResultSet> = Vec::new();
    // To aggregate them each file is a set of its own, otherwise all are one.
    let groups = args.files.chunks(if args.aggregate { 1 } else { args.files.len() });
    for files in groups {
        let taken = sets.iter().map(ResultSet::bytes).sum();
        let mut reader = Reader::new(files.join(" "), options(taken));
        for file in files {
            progress.begin();
            if file == "-" {
                reader.read(file, std::io::stdin(), &mut progress)?;
            } else {
                reader.read_file(Path::new(file), &mut progress)?;
            }
        }
        sets.push(reader.finish());
    }
    progress.finish(sets.iter().map(ResultSet::rejected).sum());
    let set = merged(&sets)?;
    for (status, records) in set.unknown_statuses() {
        super::say(format_args!(
            "{records} records have the status {}, of which it is not known what it says",
            quoted(status)
        ));
    }
    for (reason, values) in set.left_out() {
        super::say(format_args!("values left out: {values}: {}", printable(reason)));
    }
    if set.records() == 0 {
        super::complain(format_args!("no valid record in {}", args.files.join(" ")));
        return Ok(ExitCode::from(INCOMPLETE));
    }
    let mut document = Document::new(&set, args.files.clone(), &percentiles);
    let aggregator = ResultsAggregator { timing: None, percentile_rule: percentiles.rule(), percentiles };
    if args.aggregate {
        document.aggregate = Some(aggregator.aggregate(&sets)?);
    }
    let json = to_json(&document).context("cannot write the metrics as JSON")?;
    if let Some(path) = &args.output {
        write_atomically(path, json.as_bytes()).context("cannot write the output")?;
    }
    let report = || aggregator.generate_report(&sets);
    let text = match (args.json, args.aggregate, args.report) {
        (true, ..) => json,
        (_, _, true) => report()?,
        (_, true, _) => render(&document) + "\n" + &report()?,
        _ => render(&document),
    };
    super::print(&text)?;
    Ok(exit_code(&set, args.max_rejected))
}

/// The exit code of a set, with the reason if it is none of success.
fn exit_code(set: &ResultSet, max_rejected_ppm: u32) -> ExitCode {
    let (counts, rejected) = (set.counts(), set.rejected());
    let lines = u128::from(set.records()) + u128::from(set.skipped()) + u128::from(rejected);
    if counts.total() == 0 {
        super::complain("nothing was measured: every request only warms the server up");
        ExitCode::from(INCOMPLETE)
    } else if counts.successful == 0 {
        super::complain("no request succeeded");
        ExitCode::from(FAILED_RUN)
    } else if let Some(reason) = set.partial_reason() {
        super::complain(reason);
        ExitCode::from(INCOMPLETE)
    } else if !set.left_out().is_empty() {
        super::complain("some values are left out: what is printed is not all that was measured");
        ExitCode::from(INCOMPLETE)
    } else if u128::from(rejected) * 1_000_000 > lines * u128::from(max_rejected_ppm) {
        let allowed = f64::from(max_rejected_ppm) / 1e4;
        super::complain(format_args!("{rejected} of {lines} lines were rejected: --max-rejected allows {allowed} %"));
        ExitCode::from(INCOMPLETE)
    } else {
        ExitCode::SUCCESS
    }
}

fn merged(sets: &[ResultSet]) -> anyhow::Result<std::borrow::Cow<'_, ResultSet>> {
    if let [set] = sets {
        return Ok(std::borrow::Cow::Borrowed(set));
    }
    let mut all = ResultSet::new("all");
    sets.iter().try_for_each(|set| all.merge(set))?;
    Ok(std::borrow::Cow::Owned(all))
}

/// Bad lines on standard error, and how far reading got if that is a terminal.
struct ReadingProgress {
    bar: Option<ProgressBar>,
    /// Bytes of the inputs before the current one, and of that.
    before: u64,
    current: u64,
    told: u64,
}

impl ReadingProgress {
    fn new(files: &[String]) -> Self {
        let sizes: Option<Vec<u64>> = files
            .iter()
            .map(|file| Some(std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?.len()))
            .collect();
        let bar = sizes.filter(|_| std::io::stderr().is_terminal() && verbosity() != Verbosity::Quiet).map(|sizes| {
            let style =
                ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}  {binary_bytes_per_sec}  {eta}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(sizes.iter().sum()).with_style(style)
        });
        Self { bar, before: 0, current: 0, told: 0 }
    }

    fn begin(&mut self) {
        self.before += std::mem::take(&mut self.current);
    }

    fn finish(&self, rejected: u64) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if rejected > self.told {
            super::say(format_args!("{} more bad lines, {rejected} in all", rejected - self.told));
        }
    }
}

impl ReadWatcher for ReadingProgress {
    fn rejected(&mut self, rejection: &Rejection<'_>) {
        self.told += 1;
        match &self.bar {
            Some(bar) => bar.suspend(|| super::say(rejection)),
            None => super::say(rejection),
        }
    }

    fn progress(&mut self, bytes: u64) {
        self.current = bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(self.before + bytes);
        }
    }
}
