//! Every call of `phasemeter-core` that a device or a receiver makes, on values that the compiler cannot know. This
//! image links only if none of them can panic.

#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m_rt::entry;
use phasemeter_core::aggregate::{Aggregate, Timing};
use phasemeter_core::histogram::{Counter, HistogramView, LatencyHistogram, Saturation, Totals, bucket_bounds};
use phasemeter_core::meter::{Meter, Metric};
use phasemeter_core::phase::{Outcome, Phase};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::runner::Runner;
use phasemeter_core::summary::Percentile;
use phasemeter_core::telemetry::{
    Control, Frame, Identity, MAX_ENCODED, Received, Receiver, Refusal, Reporter, ReporterConfig, Request, TxQueue,
};
use phasemeter_core::time::{Clock, TickClock};
use phasemeter_probe::{idle, instant, merge, run, text, unknown};

#[entry]
fn main() -> ! {
    histogram::<u16, u32, 8>();
    histogram::<u32, u64, 64>();
    histogram::<u64, u16, 512>();
    meter();
    run();
    receive();
    obey();
    aggregate();
    reachable();
    idle()
}

fn histogram<C: Counter, D: Counter, const M: usize>() {
    let mut histogram = LatencyHistogram::<M, C>::new();
    // Not even what a histogram looks like inside is known.
    let histogram = black_box(&mut histogram);
    while unknown() {
        histogram.record(unknown());
        histogram.record_n(unknown(), unknown());
    }
    let mut bytes = [0; 4096];
    let bytes = black_box(&mut bytes[..]);
    let encoded = black_box(histogram.encode(bytes)).ok();
    let bytes = encoded.and_then(|length| bytes.get(..length)).unwrap_or_default();
    if let Ok(decoded) = LatencyHistogram::<M, D>::decode(black_box(bytes)) {
        histogram.merge(&decoded);
        black_box(decoded);
    }
    if let Ok(made) = LatencyHistogram::<1024, D>::from_parts(&totals(), black_box(&[(0, 0); 9]).iter().copied()) {
        histogram.merge(&made);
        let mut wider = made.clone();
        wider.merge(histogram);
        black_box(made == wider);
        black_box(wider.since(&made)).ok();
    }
    read(histogram);
    histogram.reset();
    black_box(histogram);
}

fn read<C: Counter>(histogram: &HistogramView<C>) {
    let ask = [unknown(), unknown(), unknown()].map(|ppm| Percentile::from_ppm(ppm).unwrap_or(Percentile::P100));
    black_box(histogram.quantiles(ask));
    black_box(ask.map(|percentile| (histogram.quantile(percentile), histogram.resolves(percentile))));
    black_box((histogram.mean(), histogram.stdev(), histogram.summary(), histogram.totals(), histogram.window()));
    black_box((histogram.min(), histogram.max(), histogram.count_at(unknown()), histogram.relative_error_ppm()));
    for bucket in histogram.buckets() {
        black_box(bucket);
    }
    black_box(bucket_bounds(unknown(), unknown()));
}

fn totals() -> Totals {
    Totals {
        scale: unknown(),
        count: unknown(),
        zero: unknown(),
        min: unknown(),
        max: unknown(),
        min_exact: unknown(),
        max_exact: unknown(),
        sum: unknown(),
        sum_of_squares: unknown(),
        saturation: Saturation::try_from(unknown::<u8>()).unwrap_or_default(),
    }
}

fn outcome() -> Outcome {
    black_box(Outcome::Success)
}

fn meter() {
    let mut meter = Meter::<64>::new(unknown(), black_box(PhaseKind::Warmup));
    let meter = black_box(&mut meter);
    let mut clock = TickClock::<_, 25_000_000>::new(unknown::<u32>);
    black_box(clock.now());
    while unknown() {
        if let Ok(mut ticket) = meter.send(instant(), instant()) {
            ticket.mark_sent(unknown());
            ticket.mark_token(unknown());
            black_box(meter.finish(black_box(&ticket), unknown(), outcome())).ok();
        }
        transitions(meter.phase_mut());
    }
    for metric in Metric::ALL {
        read(meter.histogram(metric));
    }
    meter.reset(unknown(), black_box(PhaseKind::Cooldown));
    black_box(meter);
}

fn transitions(phase: &mut Phase) {
    black_box(phase.start(unknown())).ok();
    black_box(phase.send()).ok();
    black_box(phase.sending_complete(unknown())).ok();
    black_box(phase.finish(outcome())).ok();
    black_box(phase.time_out()).ok();
    black_box(phase.cancel()).ok();
    black_box(phase.cancel_in_flight());
    black_box(phase.complete(unknown())).ok();
    let stats = black_box(phase.stats());
    black_box((stats.total_duration(), stats.sending_duration(), stats.counts.is_consistent()));
}

fn receive() {
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let receiver = black_box(&mut receiver);
    while unknown() {
        match receiver.push(unknown()) {
            Some(Received::Frame(envelope)) => {
                if let Frame::Buckets(buckets) = &envelope.frame {
                    let set = |index, count| {
                        black_box((index, count));
                    };
                    black_box(buckets.for_each(set)).ok();
                }
                black_box(envelope);
            }
            other => {
                black_box(other);
            }
        }
    }
}

fn obey() {
    let mut control = Control::<512>::new();
    let control = black_box(&mut control);
    let identity =
        Identity { device_id: "", boot_id: unknown(), firmware: "", firmware_version: "", clock_hz: unknown() };
    let mut queue = TxQueue::<512>::new();
    let mut reporter = Reporter::new(identity, black_box(ReporterConfig::default()));
    while unknown() {
        control.set_busy(unknown());
        match control.push::<4>(unknown()) {
            Some(Request::Start { target, plan }) => {
                if let Ok(mut runner) = Runner::<64, 4>::new(plan, ()) {
                    let _ = black_box(runner.poll(unknown(), unknown()));
                    reporter.expect_acknowledgement();
                    reporter.poll(unknown(), &mut runner, &mut queue);
                    reporter.resend(&mut runner);
                    reporter.finish(unknown(), &runner, &mut queue);
                }
                black_box(target);
            }
            Some(Request::Acknowledge(phase)) => reporter.acknowledge(phase),
            Some(Request::Identify) => reporter.identify(),
            other => control.refuse(black_box(if other.is_some() { Refusal::BadTarget } else { Refusal::NoPlan })),
        }
        reporter.answer(unknown(), control, black_box(&mut queue));
        reporter.poll_idle::<64, 512>(unknown(), black_box(&mut queue));
        queue.consume(unknown());
    }
}

fn aggregate() {
    let mut sum = Aggregate::<64>::new(black_box(Timing::Concurrent));
    let sum = black_box(&mut sum);
    let mut part = LatencyHistogram::<64>::new();
    merge(&mut part);
    sum.add(black_box(Phase::new(unknown(), PhaseKind::Profiling).stats()), |_| Some(&*part));
    sum.merge(black_box(&sum.clone()));
    black_box((sum.throughput_nanohertz(), sum.success_rate_ppm(), text()));
    black_box(sum);
}

/// With the feature `reachable-panic` there is a panic after all: the check can fail.
fn reachable() {
    #[cfg(feature = "reachable-panic")]
    black_box(LatencyHistogram::<8>::new().quantile(unknown_percentile()).unwrap());
}

#[cfg(feature = "reachable-panic")]
fn unknown_percentile() -> Percentile {
    Percentile::from_ppm(unknown()).unwrap_or(Percentile::P50)
}
