//! What the images share: the panic handler that does not exist, and the calls whose size is measured.
//!
//! Each image of `src/bin/size_*.rs` makes one call more than the one before it. All values come from [`unknown`], so
//! that the compiler cannot work out a result or drop a branch.

#![no_std]

use core::hint::black_box;
use core::panic::PanicInfo;

use phasemeter_core::histogram::{HistogramView, LatencyHistogram};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
use phasemeter_core::runner::{Outcome, Runner, Step};
use phasemeter_core::summary::Percentile;
use phasemeter_core::telemetry::{
    Buckets, Envelope, Frame, Identity, MAX_ENCODED, MetricTotals, Reporter, ReporterConfig, TxQueue, VERSION, encode,
};
use phasemeter_core::time::Nanos;

/// Buckets of the histograms: 1.09 % from 1 µs to 71 min.
pub const N: usize = 1024;

/// The seven percentiles that are asked for together.
pub const SEVEN: [Percentile; 7] = [
    Percentile::P50,
    Percentile::P75,
    Percentile::P90,
    Percentile::P95,
    Percentile::P99,
    Percentile::P99_9,
    Percentile::P100,
];

/// A value that the compiler knows nothing about.
pub fn unknown<T: Default>() -> T {
    black_box(T::default())
}

/// The end of an image that has nothing more to do.
pub fn idle() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}

/// The values of any number of requests.
pub fn record(histogram: &mut HistogramView) {
    while unknown() {
        histogram.record(unknown());
    }
}

/// Seven percentiles.
pub fn quantile(histogram: &HistogramView) {
    black_box(histogram.quantiles(SEVEN));
}

/// Another histogram of the same type.
pub fn merge(histogram: &mut HistogramView) {
    let other: &HistogramView = &LatencyHistogram::<N>::new();
    histogram.merge(black_box(other));
}

/// The frames of a histogram.
pub fn frame(histogram: &HistogramView) {
    let mut bytes = [0; MAX_ENCODED];
    let totals = MetricTotals { phase: unknown(), metric: unknown(), totals: histogram.totals() };
    let counts: &[u8] = black_box(&[0; 64]);
    let buckets = Buckets { phase: unknown(), metric: unknown(), scale: histogram.scale(), counts };
    for frame in [Frame::Totals(totals), Frame::Buckets(buckets)] {
        let envelope = Envelope { version: VERSION, sequence: unknown(), uptime: unknown(), frame };
        black_box(encode(&envelope, black_box(&mut bytes))).ok();
    }
}

/// A run and all that is said about it, without the socket and the serial line.
pub fn run() {
    let mut plan = RunPlan::<2>::new(unknown());
    for arrival in [
        Arrival::ClosedLoop { concurrency: unknown() },
        Arrival::Constant { rate: Rate::per_kilosecond(unknown()) },
        Arrival::Poisson { rate: Rate::per_kilosecond(unknown()) },
    ] {
        let Some(workload) = Workload::get(text()) else { return };
        let stop = Stop { requests: unknown(), duration: unknown() };
        let kind = black_box(PhaseKind::Profiling);
        plan.push(PhasePlan { kind, workload, arrival: black_box(arrival), stop, grace: unknown() }).ok();
    }
    let Ok(mut runner) = Runner::<N, 2>::new(plan, ()) else { return };
    let config = ReporterConfig {
        hello_every: unknown(),
        report_every: unknown(),
        snapshot_every: unknown(),
        keyframe_every: unknown(),
        final_repeats: unknown(),
        final_attempts: unknown(),
        acknowledge_within: unknown(),
    };
    let mut reporter = Reporter::new(identity(), config);
    let mut queue = TxQueue::<4096>::new();
    let (runner, reporter, queue) = black_box((&mut runner, &mut reporter, &mut queue));
    loop {
        match runner.poll(unknown(), unknown()) {
            Step::Send(mut ticket) => {
                ticket.mark_sent(unknown());
                while unknown() {
                    ticket.mark_token(unknown());
                }
                for outcome in [Outcome::Success, Outcome::Error, Outcome::Cancelled] {
                    black_box(runner.finish(&ticket, unknown(), outcome)).ok();
                }
            }
            Step::WaitUntil(due) => {
                black_box(due);
            }
            Step::PhaseEnded => runner.next_phase(),
            Step::Finished => break,
        }
        if unknown() {
            runner.cancel(unknown());
        }
        reporter.poll(unknown(), runner, queue);
        black_box(queue.front());
        queue.consume(unknown());
    }
    reporter.finish(unknown(), &*runner, queue);
    black_box((queue, reporter.skipped(), reporter.next_due(), reporter.is_phase_reported()));
}

/// Who a device may be.
pub fn identity() -> Identity<'static> {
    Identity { device_id: text(), boot_id: unknown(), firmware: text(), firmware_version: text(), clock_hz: unknown() }
}

/// Text of unknown length and content.
pub fn text() -> &'static str {
    black_box("text")
}

/// A time that the compiler knows nothing about.
pub fn instant() -> Nanos {
    unknown()
}

unsafe extern "C" {
    /// Defined nowhere: an image in which any call may panic does not link.
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}
