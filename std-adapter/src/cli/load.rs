//! `phasemeter load`: the device's role on a board that runs Linux.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use phasemeter_core::hook::PhaseHook;
use phasemeter_core::outcome::Failure;
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::time::Instant;

use super::connect_args::ConnectArgs;
use super::run_config::RunConfigArgs;
use super::thresholds::{ThresholdArgs, code};
use super::{interrupt, values};
use crate::load::{Load, LoadOptions, LoadOutcome, Target};
use crate::plan;
use crate::report::CountsSummary;
use crate::source::{DEFAULT_BAUD, open_output};

const NOTES: &str = "\
A plan:
  seed: 42
  phases:
    - kind: warmup
      workload: {get: {path: /}}
      arrival: {constant: {rate: 50}}   # or poisson: {rate: 50}, or closed_loop: {concurrency: 8}
      stop: {duration: 2s}              # duration, requests or both
    - kind: profiling
      workload: {chat: {prompt_tokens: 128, output_tokens: 32}}
      arrival: {poisson: {rate: 12.5}}
      stop: {requests: 1000, duration: 1m}
      grace: 10s                        # for requests in flight at the end

Outputs: a serial port or pty, tcp:HOST:PORT, a file, or - for standard output.

Example: record what this machine measures
  phasemeter load plan.yaml --target http://127.0.0.1:8080 --output - | phasemeter record -";

/// Run a plan against a server and stream telemetry, as a device does.
///
/// Requests go out when the plan says, telemetry whenever the line takes it: a slow line never delays a request.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// The plan file.
    plan: PathBuf,
    /// The server: `http[s]://HOST[:PORT][/PATH]`; of chats the base URL, with or without `/v1`.
    #[arg(long, value_name = "URL")]
    target: String,
    /// Where telemetry goes, see below.
    #[arg(long)]
    output: String,
    /// Bits a second of a serial port.
    #[arg(long, default_value_t = DEFAULT_BAUD, value_parser = clap::value_parser!(u32).range(1..))]
    baud: u32,
    /// The model that chats ask for, unless the plan names one.
    #[arg(long)]
    model: Option<String>,
    /// The device's name in the telemetry; at most 32 bytes count.
    #[arg(long, value_name = "NAME", default_value = "phasemeter-load", value_parser = values::device_id)]
    device_id: String,
    /// End when standard input does: whoever started this process is gone.
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    #[command(flatten)]
    run_config: RunConfigArgs,
    // Its heading holds for what follows it.
    #[command(flatten)]
    connect: ConnectArgs,
}

/// How long a TCP server that takes the telemetry may take to be there.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let plan = plan::load(&args.plan)?;
    let components = args.run_config.create(1)?;
    if !components.processors.is_empty() {
        super::say("post-processors are for `record` and `run`, which have the whole run: they do nothing here");
    }
    let load = Load::new(Target::parse(&args.target)?, &args.connect.options())?;
    let options = LoadOptions {
        max_in_flight: args.connect.max_in_flight,
        model: args.model.clone(),
        ..LoadOptions::new(&args.device_id)
    };
    load.check(&plan, &options)?;
    let stopper = load.stopper();
    let at_end_of_stdin = stopper.clone();
    let stop = interrupt::watch(move || stopper.stop())?;
    let goes_on = || !stop.load(Ordering::Relaxed);
    let output = open_output(&args.output, args.baud, OUTPUT_PATIENCE, goes_on).context("cannot open the output")?;
    if args.exit_with_stdin {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            at_end_of_stdin.stop();
        });
    }
    let mut hooks = components.hooks.into_iter().next().unwrap_or_default();
    hooks.push(PrintHook);
    let outcome = load.run(&plan, output, &options, hooks)?;
    say_failures(&outcome);
    if outcome.skipped_reports > 0 {
        let skipped = outcome.skipped_reports;
        super::say(format_args!("{skipped} telemetry reports were left out: the line is slower than they come"));
    }
    let phases = outcome.phases.iter().map(|phase| (Some(phase.kind), CountsSummary::of(&phase.counts)));
    let judgement = args.thresholds.thresholds().judge(phases, !outcome.cancelled);
    judgement.reasons.iter().for_each(super::complain);
    Ok(ExitCode::from(code(&judgement, !outcome.cancelled)))
}

/// A line on standard error for each cause.
fn say_failures(LoadOutcome { failures, details, .. }: &LoadOutcome) {
    for (status, count) in &failures.statuses {
        super::say(format_args!("{count} requests were answered with status {status}"));
    }
    for (count, what) in [
        (failures.other_statuses, "requests were answered with other statuses that are not a success"),
        (failures.not_connected, "requests found no connection"),
        (failures.timed_out, "responses did not come in time"),
        (failures.broken, "connections broke in mid-response"),
        (failures.malformed, "responses made no sense"),
    ] {
        if count > 0 {
            super::say(format_args!("{count} {what}"));
        }
    }
    for (failure, detail) in details {
        super::say(format_args!("the first {}: {detail}", name_of(*failure)));
    }
}

fn name_of(failure: Failure) -> String {
    match failure {
        Failure::NotConnected => "without a connection".to_owned(),
        Failure::TimedOut => "that did not come in time".to_owned(),
        Failure::Status(code) => format!("status {code}"),
        Failure::Broken => "that broke".to_owned(),
        Failure::Malformed => "that made no sense".to_owned(),
    }
}

/// A line on standard error for each transition.
struct PrintHook;

impl PrintHook {
    fn print(event: &str, phase: &PhaseStats) {
        let counts = &phase.counts;
        super::say(format_args!(
            "{} {event}: sent {}, completed {}, errors {}, in flight {}",
            phase.name(),
            counts.sent,
            counts.completed,
            counts.errors,
            counts.in_flight()
        ));
    }
}

impl PhaseHook for PrintHook {
    fn on_phase_start(&mut self, phase: &PhaseStats, _: Instant) {
        super::say(format_args!("{} started", phase.name()));
    }

    fn on_phase_timeout(&mut self, phase: &PhaseStats, _: Instant) {
        Self::print("timed out", phase);
    }

    fn on_phase_complete(&mut self, phase: &PhaseStats, _: Instant) {
        Self::print("complete", phase);
    }
}
