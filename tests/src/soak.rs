//! Long runs in simulated time: what a recorder keeps does not grow, and full counters are said.

use std::path::Path;

use phasemeter::capture::{CaptureRecord, CaptureWriter, EndReason, LineEnd};
use phasemeter::replay::RecordedRun;
use phasemeter::report::{Number, Summary};
use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::metric::{LOAD_METRICS, Metric};
use phasemeter_core::monitor::{self, Monitor};
use phasemeter_core::outcome::Outcome;
use phasemeter_core::plan::{Arrival, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::{Duration, Instant};

use crate::random::Random;

const HOUR: u64 = 3_600_000_000_000;

/// What a long run came to.
#[derive(Clone, Debug)]
pub struct Soak {
    /// What the recorder says of it.
    pub summary: Summary,
    /// How long it took on the device, in nanoseconds.
    pub device_ns: u64,
    /// How long the capture is, in bytes.
    pub capture_bytes: u64,
    /// The process's memory when a tenth of the run was over, and at its end, in bytes; `None` where the system does not tell.
    pub memory: Option<(u64, u64)>,
    /// How many values there were, the smallest, the largest and the sum.
    pub truth: (u64, u64, u64, u128),
}

impl Soak {
    /// Bytes of the capture in an hour of the device.
    pub fn bytes_an_hour(&self) -> u64 {
        u64::try_from(u128::from(self.capture_bytes) * u128::from(HOUR) / u128::from(self.device_ns.max(1)))
            .unwrap_or(u64::MAX)
    }
}

/// A line into a capture and a run, as a recorder has them.
struct Recording {
    capture: CaptureWriter,
    run: RecordedRun,
}

impl Recording {
    fn new(directory: &Path) -> Self {
        let capture = CaptureWriter::create(directory.join("capture.pmcap"), "soak").expect("the directory is empty");
        let mut recording = Self { capture, run: RecordedRun::new() };
        recording.append(&CaptureRecord::Source { source: 0, identity: "line".into(), at_ns: 0, plan_hash: None });
        recording
    }

    fn append(&mut self, record: &CaptureRecord<'_>) {
        self.capture.append(record).expect("there is room on the disk");
        self.run.apply(record, |_, _| {});
    }

    fn data(&mut self, at: Instant, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.append(&CaptureRecord::Data { source: 0, at_ns: at.as_nanos(), bytes: bytes.into() });
        }
    }

    fn finish(mut self, at: Instant, memory: Option<u64>, truth: (u64, u64, u64, u128)) -> Soak {
        let at_ns = at.as_nanos();
        self.append(&CaptureRecord::SourceEnd { source: 0, at_ns, kind: LineEnd::Stopped, reason: "".into() });
        self.append(&CaptureRecord::End { at_ns, reason: EndReason::Interrupted });
        let capture_bytes = self.capture.bytes_written();
        let memory = memory.zip(resident());
        Soak { summary: self.run.summary(), device_ns: at_ns, capture_bytes, memory, truth }
    }
}

/// Memory of this process, in bytes.
fn resident() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

/// A load generator that sends so many requests, a thousand a second, of which each takes a while of its own.
pub fn requests(directory: &Path, requests: u64) -> Soak {
    let mut recording = Recording::new(directory);
    let mut storage = Box::new(Storage::<LOAD_METRICS, 512, 1, 4096>::new());
    let mut device = Device::new(&mut storage, Identity::new("soak", 1), &[], TelemetryConfig::default(), ());
    let mut plan = RunPlan::new(1);
    let workload = Workload::get("/").expect("the path is short");
    plan.push(PhasePlan::profiling(workload, Arrival::constant(1_000), Stop::requests(requests)))
        .expect("there is room");
    assert!(device.run(plan), "the plan can be run");
    let (mut now, mut random, mut memory) = (Instant::BOOT, Random::new(1), None);
    let mut truth = (0, u64::MAX, 0, 0);
    // Each request is over when the next one is due: with one at a time there is nothing to keep in order.
    let mut open = None;
    while !device.is_idle() {
        match device.poll(now, open.is_none()) {
            Step::Send(mut ticket) => {
                ticket.mark_sent(now);
                let took = random.spread(14, 5).min(900_000);
                truth = (truth.0 + 1, truth.1.min(took), truth.2.max(took), truth.3 + u128::from(took));
                open = Some((now.saturating_add(Duration::from_nanos(took)), ticket));
                if truth.0 == requests / 10 {
                    memory = resident();
                }
            }
            Step::WaitUntil(until) => {
                let end = open.as_ref().map_or(Instant::MAX, |(end, _)| *end);
                let next = until.min(end).min(now.saturating_add(Duration::from_millis(10)));
                now = next.max(now.saturating_add(Duration::from_nanos(1)));
                if let Some((end, ticket)) = open.take_if(|(end, _)| *end <= now) {
                    device.finish(ticket, end, Outcome::Success).expect("it is in flight");
                }
            }
            _ => {}
        }
        recording.data(now, device.transmit());
        device.sent(device.transmit().len());
    }
    recording.finish(now, memory, truth)
}

/// A firmware that measures itself for so many hours without an end, so many values a second, all of them alike: whatever its
/// counters hold, they are full one day.
pub fn endless(directory: &Path, hours: u64, values_a_second: u64, value: u64) -> Soak {
    const METRICS: [Metric<'static>; 1] = [Metric::time("loop")];
    let mut recording = Recording::new(directory);
    let mut storage = Box::new(monitor::Storage::<1, 512, 2048>::new());
    let mut monitor = Monitor::new(&mut storage, Identity::new("soak", 1), &METRICS, TelemetryConfig::default());
    let (mut now, mut count, mut memory) = (Instant::BOOT, 0_u64, None);
    monitor.open("for ever", now).expect("nothing is open");
    let polls = hours * 3_600 * 4;
    for poll in 0..polls {
        for _ in 0..values_a_second / 4 {
            monitor.record(0, value);
        }
        count += values_a_second / 4;
        // A report for each poll, until all of it was taken.
        monitor.poll(now);
        while !monitor.transmit().is_empty() {
            recording.data(now, monitor.transmit());
            monitor.sent(monitor.transmit().len());
            monitor.poll(now);
        }
        now = now.saturating_add(Duration::from_millis(250));
        if poll == polls / 10 {
            memory = resident();
        }
    }
    // The last snapshot.
    for _ in 0..8 {
        monitor.poll(now);
        recording.data(now, monitor.transmit());
        monitor.sent(monitor.transmit().len());
        now = now.saturating_add(Duration::from_millis(250));
    }
    recording.finish(now, memory, (count, value, value, u128::from(count) * u128::from(value)))
}

/// Fails unless the run is complete with these totals, and its memory did not grow.
pub fn check(soak: &Soak, metric: &str) {
    let Soak { summary, truth: (count, min, max, sum), .. } = soak;
    assert_eq!(summary.run.partial_reason, None);
    let told = &summary.phases[0].metrics[metric];
    assert_eq!((told.count, told.expected), (*count, *count));
    let millis = |value: u64| self::millis(u128::from(value));
    let [min_told, max_told] = [told.min, told.max].map(|told| told.map(Number::as_f64));
    let mean = self::millis(*sum) / count_of(*count);
    for (told, truth) in [(min_told, millis(*min)), (max_told, millis(*max)), (told.mean, mean)] {
        let told = told.expect("it has values");
        assert!((told - truth).abs() <= truth * 1e-12 + 1e-6, "{told} is not {truth}");
    }
    for (name, percentile) in &told.percentiles {
        let (lower, upper) = (percentile.lower.map(Number::as_f64), percentile.upper.map(Number::as_f64));
        assert!(lower <= Some(millis(*max)) && upper >= Some(millis(*min)) && lower <= upper, "{name}: {percentile:?}");
    }
    if let Some((before, after)) = soak.memory {
        assert!(after < before + (2 << 20), "memory grew from {before} to {after} bytes");
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared within a nanosecond")]
fn millis(nanos: u128) -> f64 {
    nanos as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn count_of(count: u64) -> f64 {
    count as f64
}
