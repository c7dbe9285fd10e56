//! What the images share: the panic handler that does not exist, the calls whose size is measured, and the bench on which
//! interrupts are tested.
//!
//! Each image of `src/bin/size_*.rs` makes one call more than the one before it. All values come from [`unknown`], so
//! that the compiler cannot work out a result or drop a branch.

#![no_std]

pub mod print;
pub mod bench;

use core::hint::black_box;
use core::panic::PanicInfo;

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::histogram::{HistogramView, LatencyHistogram};
use phasemeter_core::hook::PhaseHook;
use phasemeter_core::metric::{LOAD_METRICS, Metric};
use phasemeter_core::outcome::{Failure, Outcome};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
use phasemeter_core::summary::Percentile;
use phasemeter_core::telemetry::{
    Buckets, Envelope, Frame, Identity, MAX_ENCODED, MetricTotals, TelemetryConfig, VERSION, encode,
};

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
    let totals =
        MetricTotals { phase: unknown(), metric: unknown(), totals: histogram.totals(), lag1: black_box(Lag1::NONE) };
    let counts: &[u8] = black_box(&[0; 64]);
    let buckets = Buckets { phase: unknown(), metric: unknown(), scale: histogram.scale(), counts };
    for frame in [Frame::Totals(totals), Frame::Buckets(buckets)] {
        let envelope = Envelope { version: VERSION, boot: unknown(), sequence: unknown(), uptime: unknown(), frame };
        black_box(encode(&envelope, black_box(&mut bytes))).ok();
    }
}

/// A run and all that is said about it, without the socket, the serial line and the commands of a host.
pub fn run() -> ! {
    let mut storage = Storage::<LOAD_METRICS, N, 2, 4096>::new();
    let mut device = Device::new(black_box(&mut storage), identity(), &[], config(), ());
    device.run(plan());
    loop {
        drive(&mut device);
    }
}

/// What a driver does between two looks at its sockets.
pub fn drive<const M: usize, const N: usize, const P: usize, const Q: usize, H: PhaseHook>(
    device: &mut Device<'_, M, N, P, Q, H>,
) {
    match device.poll(unknown(), unknown()) {
        Step::Send(mut ticket) => {
            ticket.mark_sent(unknown());
            while unknown() {
                ticket.mark_token(unknown());
            }
            black_box(device.finish(ticket, unknown(), outcome())).ok();
        }
        Step::WaitUntil(due) => {
            black_box(due);
        }
        Step::PhaseBegins => {
            black_box(device.phase_plan());
        }
        step => {
            let _ = black_box(step);
        }
    }
    if unknown() {
        device.cancel(unknown());
    }
    black_box(device.transmit());
    device.sent(unknown());
    black_box((device.is_idle(), device.has_lost(), device.skipped()));
}

/// A plan with arrivals of every kind.
pub fn plan<const P: usize>() -> RunPlan<P> {
    let mut plan = RunPlan::new(unknown());
    for arrival in [
        Arrival::ClosedLoop { concurrency: unknown() },
        Arrival::Constant { rate: Rate::per_kilosecond(unknown()) },
        Arrival::Poisson { rate: Rate::per_kilosecond(unknown()) },
    ] {
        let Some(workload) = Workload::get(text()) else { return plan };
        let stop = Stop { requests: unknown(), duration: unknown() };
        let kind = black_box(PhaseKind::Profiling);
        plan.push(PhasePlan { kind, workload, arrival: black_box(arrival), stop, grace: unknown() }).ok();
    }
    plan
}

/// How a request may end.
pub fn outcome() -> Outcome {
    let failures = [Failure::NotConnected, Failure::TimedOut, Failure::Broken, Failure::Status(unknown())];
    match black_box(failures).get(unknown::<usize>()) {
        Some(failure) => Outcome::Failed(*failure),
        None => black_box(Outcome::Success),
    }
}

/// Who a device may be.
pub fn identity() -> Identity<'static> {
    Identity { device_id: text(), boot_id: unknown(), firmware: text(), firmware_version: text(), clock_hz: unknown() }
}

/// How a device may report.
pub fn config() -> TelemetryConfig {
    TelemetryConfig {
        hello_every: unknown(),
        report_every: unknown(),
        snapshot_every: unknown(),
        keyframe_every: unknown(),
        final_repeats: unknown(),
        final_attempts: unknown(),
        acknowledge_within: unknown(),
        line_patience: unknown(),
    }
}

/// Some metrics.
pub fn metrics<const M: usize>() -> [Metric<'static>; M] {
    core::array::from_fn(|_| Metric { name: text(), unit: unknown() })
}

/// Text of unknown length and content.
pub fn text() -> &'static str {
    black_box("text")
}

#[cfg(not(feature = "panics"))]
unsafe extern "C" {
    /// Defined nowhere: an image in which any call may panic does not link.
    safe fn a_panic_is_reachable() -> !;
}

#[cfg(not(feature = "panics"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}

#[cfg(feature = "panics")]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    cortex_m_semihosting::debug::exit(cortex_m_semihosting::debug::EXIT_FAILURE);
    idle()
}
