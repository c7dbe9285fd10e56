//! Every call of `phasemeter-core` that a device or a receiver makes, on values that the compiler cannot know. This
//! image links only if none of them can panic.

#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m_rt::entry;
use phasemeter_core::aggregate::{Aggregate, Timing};
use phasemeter_core::device::{Device, Storage};
use phasemeter_core::embedded_io::{ErrorKind, ErrorType, Write, WriteReady};
use phasemeter_core::histogram::{Counter, HistogramView, LatencyHistogram, Saturation, Totals, bucket_bounds};
use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::meter::Meter;
use phasemeter_core::metric::{LOAD_METRICS, LoadMetric};
use phasemeter_core::monitor::{self, Monitor};
use phasemeter_core::name::Name;
use phasemeter_core::outcome::{Failures, Outcome};
use phasemeter_core::phase::{Phase, PhaseStats};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::summary::Percentile;
use phasemeter_core::telemetry::{
    Command, CommandEnvelope, Deframer, Frame, MAX_ENCODED, Reason, Received, Receiver, Refusal, Segment, decode,
    decode_command, encode, encode_command,
};
use phasemeter_core::time::{Clock, Duration, Instant, TickClock};
use phasemeter_probe::{config, drive, identity, merge, metrics, outcome, plan, run, text, unknown};

#[entry]
fn main() -> ! {
    static mut DEVICE: Storage<{ LOAD_METRICS + 2 }, 64, 4, 512> = Storage::new();
    static mut MONITOR: monitor::Storage<3, 64, 512> = monitor::Storage::new();

    histogram::<u16, u32, 8>();
    histogram::<u32, u64, 64>();
    histogram::<u64, u16, 512>();
    time();
    phase();
    while unknown() {
        device(DEVICE);
        monitor(MONITOR);
    }
    receive();
    aggregate();
    reachable();
    run()
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

fn time() {
    let mut clock = TickClock::<_, 25_000_000>::new(unknown::<u32>);
    black_box(clock.now());
    let (moment, length) = (unknown::<Instant>(), unknown::<Duration>());
    black_box((moment.since(unknown()), moment.saturating_add(length), length.saturating_add(unknown())));
    black_box((Duration::from_secs(unknown()), Duration::from_millis(unknown()), Duration::from_micros(unknown())));
}

fn phase() {
    let mut phase = Phase::new(unknown(), black_box(PhaseKind::Warmup), unknown());
    while unknown() {
        transitions(black_box(&mut phase));
    }
    let mut phase = Phase::monitored(unknown(), Name::cut(text()));
    transitions(black_box(&mut phase));
    black_box((phase.stats().name(), phase.stats().kind.name(), phase.state().name()));
    let mut failures = Failures::default();
    while let Outcome::Failed(failure) = outcome() {
        black_box(&mut failures).count(failure);
    }
    black_box(failures.total());
}

fn transitions(phase: &mut Phase) {
    black_box(phase.start(unknown())).ok();
    black_box(phase.send(unknown())).ok();
    black_box(phase.sending_complete(unknown())).ok();
    black_box(phase.finish(outcome())).ok();
    black_box(phase.leave_unsent(unknown(), unknown())).ok();
    black_box(phase.time_out()).ok();
    black_box(phase.cancel()).ok();
    black_box(phase.cancel_in_flight());
    black_box(phase.complete(unknown())).ok();
    let stats = black_box(phase.stats());
    black_box((stats.total_duration(), stats.sending_duration(), stats.counts.is_consistent()));
}

/// Sees every event.
struct Hook(u32);

impl PhaseHook for Hook {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        self.0 = self.0.wrapping_add(1);
        black_box((event, phase, now));
    }
}

/// Sees one.
struct Start(u32);

impl PhaseHook for Start {
    fn on_phase_start(&mut self, phase: &PhaseStats, _: Instant) {
        self.0 = self.0.wrapping_add(phase.instance.into());
    }
}

fn device(storage: &mut Storage<{ LOAD_METRICS + 2 }, 64, 4, 512>) {
    let (own, mut hook) = (metrics::<2>(), Hook(0));
    let mut device = Device::new(storage, identity(), &own, config(), (&mut hook, Start(0)));
    black_box(device.run(plan()));
    while unknown() {
        device.receive(black_box(&[0; 9]));
        match unknown::<u8>() {
            0 => device.start(),
            1 => device.refuse(Reason::BAD_TARGET),
            2 => device.refuse(Refusal::with(Reason::BAD_PHASE, unknown())),
            3 => _ = black_box(device.record(unknown(), unknown())),
            4 => {
                if let Outcome::Failed(failure) = outcome() {
                    black_box(device.explain(unknown(), failure, text()));
                }
            }
            _ => {}
        }
        drive(&mut device);
        black_box((device.target(), device.plan().content_hash(), device.phase_plan(), device.is_cancelled()));
        black_box((device.has_heard(), device.is_idle(), device.has_lost(), device.skipped()));
        black_box(device.drain(&mut Line)).ok();
        meter(device.meter());
    }
}

fn meter<const M: usize, const N: usize>(meter: &Meter<M, N>) {
    black_box((meter.stats(), meter.phase().failures()));
    for metric in LoadMetric::ALL {
        black_box(metric.name());
        if let Some(histogram) = meter.histogram(metric.place()) {
            read(histogram);
        }
    }
}

fn monitor(storage: &mut monitor::Storage<3, 64, 512>) {
    let metrics = metrics();
    let mut monitor = Monitor::new(storage, identity(), &metrics, config());
    while unknown() {
        black_box(monitor.open(text(), unknown())).ok();
        black_box((monitor.record(unknown(), unknown()), monitor.record_time(unknown(), unknown())));
        if unknown() {
            monitor.close(unknown());
        }
        black_box(monitor.poll(unknown()));
        black_box(monitor.transmit());
        monitor.sent(unknown());
        black_box(monitor.drain(&mut Line)).ok();
        black_box((monitor.is_open(), monitor.phase(), monitor.histogram(unknown()), monitor.skipped()));
    }
}

/// A serial line on which anything may happen.
struct Line;

impl ErrorType for Line {
    type Error = ErrorKind;
}

impl WriteReady for Line {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        if unknown() { Ok(unknown()) } else { Err(ErrorKind::Other) }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        black_box(bytes);
        if unknown() { Ok(unknown()) } else { Err(ErrorKind::Other) }
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

fn receive() {
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let receiver = black_box(&mut receiver);
    let mut bytes: &[u8] = unknown();
    while unknown() {
        match receiver.take(&mut bytes) {
            Some(Received::Frame(envelope)) => {
                read_frame(&envelope.frame);
                black_box(encode(&envelope, black_box(&mut [0; MAX_ENCODED]))).ok();
            }
            other => {
                black_box(other);
            }
        }
    }
    let mut deframer = Deframer::<{ 2 * MAX_ENCODED }>::new();
    while unknown() {
        if let Some(Segment::Whole(segment)) = black_box(&mut deframer).take(&mut black_box(&[0; 9][..])) {
            if unknown() {
                black_box(decode(segment)).ok();
            } else if let Ok(command) = decode_command(segment) {
                command_back(&command);
            }
        }
    }
}

fn read_frame(frame: &Frame<'_>) {
    match frame {
        Frame::Buckets(buckets) => {
            let set = |index, count| {
                black_box((index, count));
            };
            black_box(buckets.for_each(set)).ok();
        }
        Frame::Answer(answer) => _ = black_box(answer.refusal()),
        Frame::Failures(report) => _ = black_box(report.failures.total()),
        Frame::Totals(totals) => {
            let parts = black_box(&[(0, 0); 9]).iter().copied();
            black_box(LatencyHistogram::<64>::from_parts(&totals.totals, parts)).ok();
        }
        other => _ = black_box(other),
    }
}

fn command_back(envelope: &CommandEnvelope<'_>) {
    if let Command::Phase { phase, .. } = &envelope.command {
        let mut plan = plan::<4>();
        black_box(plan.push(phase.clone())).ok();
        black_box((plan.content_hash(), plan.instance(unknown())));
    }
    black_box(encode_command(envelope, black_box(&mut [0; MAX_ENCODED]))).ok();
}

fn aggregate() {
    let mut sum = Aggregate::new(black_box(Timing::Concurrent));
    let sum = black_box(&mut sum);
    let mut part = LatencyHistogram::<64>::new();
    merge(&mut part);
    sum.add(black_box(Phase::new(unknown(), PhaseKind::Profiling, unknown()).stats()));
    sum.merge(black_box(&sum.clone()));
    black_box((sum.throughput_nanohertz(), sum.success_rate_ppm(), sum.counts(), sum.parts(), sum.is_complete()));
    black_box((sum.sending_duration(), sum.total_duration()));
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
