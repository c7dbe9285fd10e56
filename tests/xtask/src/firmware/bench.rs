//! `cargo xtask firmware bench`: throughput, punctuality and accuracy of the firmware in QEMU, and what metering costs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::run::{Setup, directory, phasemeter};
use super::{QEMU, build};
use crate::baseline::{Baseline, Number, table};
use crate::packages::ensure_program;
use crate::toolchain::Toolchain;

/// Instructions vary with the compiler.
const INSTRUCTIONS: Baseline = Baseline {
    path: "tests/size/firmware-insns.txt",
    command: "cargo xtask firmware insns",
    band: 10,
    band_between_compilers: 25,
};
/// One instruction takes 2^6 ns of the machine's time, which jumps while the processor sleeps.
const ICOUNT: [&str; 2] = ["-icount", "shift=6,sleep=off"];
const NANOS_PER_INSTRUCTION: f64 = 64.0;

const AT_ONCE: [&str; 2] = ["--latency", "0ms"];
/// The image stops at the first word of semihosting unless QEMU offers it.
const ON: [&str; 1] = ["metering=on"];

fn get(arrival: &str, stop: &str) -> String {
    let phase = |kind: &str, stop: &str| {
        format!("  - {{kind: {kind}, workload: {{get: {{path: /}}}}, arrival: {{{arrival}}}, stop: {{{stop}}}}}\n")
    };
    format!("phases:\n{}{}", phase("warmup", "duration: 500ms"), phase("profiling", stop))
}

/// What runs with the command and the image of a bench.
struct Bench {
    phasemeter: PathBuf,
    image: PathBuf,
}

impl Bench {
    fn new(profile: &str) -> Result<Self> {
        ensure_program(QEMU, QEMU)?;
        Ok(Self { phasemeter: phasemeter(profile)?, image: build::image("semihosting")? })
    }

    /// Runs the plan; gives its second phase, and the server's log.
    fn run(&self, plan: &str, server: &[&str], parameters: &[&str], qemu: &[&str]) -> Result<(Value, String)> {
        let directory = directory()?;
        let file = directory.join("plan.yaml");
        fs::write(&file, plan).with_context(|| format!("cannot write {}", file.display()))?;
        let (phasemeter, image) = (&*self.phasemeter, &*self.image);
        let setup =
            Setup { phasemeter, plan: &file, directory: &directory, image, server, parameters, qemu, shows: false };
        let status = setup.run()?;
        // Without metering every request counts as cancelled: a run in which nothing succeeded.
        let may_fail = parameters.contains(&"metering=off") && status.code() == Some(1);
        if !status.success() && !may_fail {
            bail!("a run ended with {status}; it is in {}", directory.display());
        }
        let summary: Value = serde_json::from_str(&read(&directory.join("run/summary.json"))?)?;
        let phases = summary["phases"].as_array().context("a summary has phases")?;
        let whole = phases.iter().filter(|phase| phase["device"].is_null()).nth(1);
        let whole = whole.context("the plan has two phases")?.clone();
        let log = read(&directory.join("server.jsonl"))?;
        // Only what went wrong is worth the space.
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
        Ok((whole, log))
    }

    /// Requests a second with so many connections.
    fn throughput(&self, connections: u32, metering: &str) -> Result<f64> {
        let plan = get(&format!("closed_loop: {{concurrency: {connections}}}"), "duration: 4s");
        let (phase, _) = self.run(&plan, &AT_ONCE, &[&format!("metering={metering}")], &[])?;
        Ok(number(&phase, "/counts/completed")?.max(number(&phase, "/counts/cancelled")?) / seconds(&phase)?)
    }
}

/// Measures and prints all of it; it takes some two minutes once everything is built.
///
/// # Errors
/// When something cannot be built or started, or a run is not complete.
pub(super) fn run() -> Result<()> {
    let bench = Bench::new("release")?;
    println!("\nplain GET, requests/s: best of three, with metering and without it in turn");
    for connections in [1, 8] {
        let mut best = [0.0_f64; 2];
        for _ in 0..3 {
            for (best, metering) in best.iter_mut().zip(["on", "off"]) {
                *best = best.max(bench.throughput(connections, metering)?);
            }
        }
        let [on, off] = best;
        println!("  {connections} connections: on {on:.0}, off {off:.0}: {:+.1} %", 100.0 * (on - off) / off);
    }

    let (phase, _) = bench.run(&get("constant: {rate: 1000}", "duration: 20s"), &AT_ONCE, &ON, &[])?;
    let rate = number(&phase, "/counts/sent")? / 20.0;
    let lag = |percentile: &str| number(&phase, &format!("/metrics/schedule_lag/percentiles/{percentile}/value"));
    println!(
        "open loop, 1,000 requests/s for 20 s: {rate:.2}/s sent; schedule lag p50 {:.3} ms, p99 {:.3} ms",
        lag("p50")?,
        lag("p99")?
    );

    for millis in [10_u32, 50] {
        let plan = get("closed_loop: {concurrency: 1}", "duration: 6s");
        let (phase, log) = bench.run(&plan, &["--latency", &format!("{millis}ms")], &ON, &[])?;
        let mut truth = Vec::new();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a number of requests")]
        let measured = number(&phase, "/counts/completed")? as usize;
        // The first are those of the warmup.
        for line in log.lines().rev().take(measured) {
            truth.push(number(&serde_json::from_str(line)?, "/total_ms")?);
        }
        truth.sort_by(f64::total_cmp);
        print!("a server that takes {millis} ms:");
        for (name, part) in [("p50", 50), ("p90", 90), ("p99", 99)] {
            let measured = number(&phase, &format!("/metrics/service_time/percentiles/{name}/value"))?;
            let told = truth.get((truth.len() * part).div_ceil(100).saturating_sub(1)).context("there are requests")?;
            print!("  {name} {measured:.2} ms (the server's log: {told:.2})");
        }
        println!();
    }
    instructions(&bench).map(|numbers| println!("{}", table("instructions per request", &numbers)))
}

/// Counts the instructions that metering takes, prints them and compares them with the baseline.
///
/// # Errors
/// When something cannot be built or started, or a number has grown.
pub(super) fn insns(update: bool) -> Result<()> {
    let numbers = instructions(&Bench::new("debug")?)?;
    println!("{}", table("instructions per request", &numbers));
    INSTRUCTIONS.settle(&Toolchain::for_target(super::TARGET)?.compiler()?, &numbers, update)
}

/// A closed loop against a server within the firmware never sleeps: its time is what it executes.
fn instructions(bench: &Bench) -> Result<Vec<Number>> {
    const REQUESTS: f64 = 3_000.0;
    let plan = get("closed_loop: {concurrency: 1}", "requests: 3000");
    let per_request = |metering: &str| -> Result<f64> {
        let parameters = ["peer=scripted", &format!("metering={metering}")];
        let (phase, _) = bench.run(&plan, &[], &parameters, &ICOUNT)?;
        Ok(seconds(&phase)? * 1e9 / NANOS_PER_INSTRUCTION / REQUESTS)
    };
    // What telemetry takes of it differs by a fifth from run to run: the host decides when it acknowledges.
    let (on, off) = (per_request("on")?, per_request("off")?);
    let rows = [("meter and telemetry", on - off), ("all of the firmware, and its server", on)];
    let numbers = rows.into_iter().map(|(row, value)| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped, and thousands")]
        let value = value.round().max(0.0) as u64;
        Number { column: "instructions".to_owned(), row: row.to_owned(), value }
    });
    Ok(numbers.collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn number(value: &Value, pointer: &str) -> Result<f64> {
    value.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("there is no {pointer}"))
}

/// How long a phase sent.
fn seconds(phase: &Value) -> Result<f64> {
    number(phase, "/durations/sending_s")
}
