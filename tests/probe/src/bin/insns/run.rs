//! What one request costs a load generator, what a sample costs a monitor, and what the reports about them cost.

use core::hint::black_box;

use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::metric::{LOAD_METRICS, Metric};
use phasemeter_core::monitor::{self, Monitor};
use phasemeter_core::outcome::Outcome;
use phasemeter_core::plan::{Arrival, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::TelemetryConfig;
use phasemeter_core::time::{Duration, Instant};
use phasemeter_probe::{N, identity};

use crate::latencies::{self, Latencies};
use crate::timer::instructions;
use crate::{as_u32, stack};

const SECOND: Duration = Duration::from_secs(1);

/// Room for all the reports of a poll.
const QUEUE: usize = 16_384;

/// What was counted.
pub struct Costs {
    /// Of a request without tokens: a poll that sends, the end, and a poll that waits. No report is due.
    pub request: u32,
    /// Of a poll when nothing is to be sent or reported.
    pub idle: u32,
    /// Of the poll that reports the most buckets: all of a histogram.
    pub report: u32,
    pub report_stack: u32,
}

/// A device under load.
struct Load<'a> {
    device: Device<'a, LOAD_METRICS, N, 1, QUEUE>,
    now: Instant,
}

/// Counts; `None` if there is no run to count.
pub fn costs(latencies: &Latencies) -> Option<Costs> {
    let mut storage = Storage::new();
    let mut load = Load::new(&mut storage)?;
    // Five full histograms first: what is measured after is how nearly all requests go.
    latencies.each(|latency| load.request(latency, true));
    let request = mean(latencies, &mut load, |load, latency| load.request(latency, false));
    load.poll();
    let idle = mean(latencies, &mut load, |load, _| load.poll());
    let report = load.worst(|load| instructions(|| black_box(load).poll()));
    let report_stack = load.worst(|load| stack::used(|| black_box(load).poll()));
    Some(Costs { request, idle, report, report_stack })
}

/// Of a sample that a monitor records.
pub fn monitor_record(latencies: &Latencies) -> Option<u32> {
    const METRICS: [Metric<'static>; 3] = [Metric::time("one"), Metric::time("two"), Metric::count("three")];
    let mut storage = monitor::Storage::<3, N, QUEUE>::new();
    let mut monitor = Monitor::new(&mut storage, identity(), &METRICS, TelemetryConfig::default());
    monitor.open("phase", Instant::BOOT).ok()?;
    latencies.each(|latency| _ = monitor.record(1, latency));
    Some(mean(latencies, &mut monitor, |monitor, latency| _ = black_box(monitor.record(black_box(1), latency))))
}

fn mean<T>(latencies: &Latencies, of: &mut T, work: impl Fn(&mut T, u64)) -> u32 {
    let all = instructions(|| latencies.each(|latency| work(black_box(of), latency)));
    let overhead = instructions(|| latencies.each(|_| _ = black_box(&mut *of)));
    all.saturating_sub(overhead).div_ceil(as_u32(latencies::COUNT))
}

impl<'a> Load<'a> {
    fn new(storage: &'a mut Storage<LOAD_METRICS, N, 1, QUEUE>) -> Option<Self> {
        let mut plan = RunPlan::new(1);
        let arrival = Arrival::constant(1_000);
        plan.push(PhasePlan::profiling(Workload::get("/")?, arrival, Stop::requests(u64::MAX))).ok()?;
        let config = TelemetryConfig {
            hello_every: Duration::MAX,
            report_every: Duration::MAX,
            snapshot_every: SECOND,
            keyframe_every: 1,
            ..TelemetryConfig::default()
        };
        let mut device = Device::new(storage, identity(), &[], config, ());
        device.run(plan).then_some(())?;
        let mut load = Self { device, now: Instant::BOOT };
        // The phase begins with a request that is in time, and its start is reported.
        load.request(0, false);
        (0..9).for_each(|_| load.poll());
        Some(load)
    }

    /// A request that is due now, issued and sent a little late, and the wait for the next.
    fn request(&mut self, latency: u64, streams: bool) {
        let late = self.after(latency / 1_000);
        if let Step::Send(mut ticket) = self.device.poll(late, true) {
            let end = self.after(latency);
            ticket.mark_sent(late);
            if streams {
                ticket.mark_token(self.after(latency / 2));
                ticket.mark_token(end);
            }
            black_box(self.device.finish(ticket, end, Outcome::Success)).ok();
        }
        let _ = black_box(self.device.poll(late, true));
        self.now = self.after(1_000_000);
    }

    fn after(&self, nanos: u64) -> Instant {
        self.now.saturating_add(Duration::from_nanos(nanos))
    }

    /// The most that a poll of a second takes: a snapshot is made in it, of a histogram each poll.
    fn worst(&mut self, measure: impl Fn(&mut Self) -> u32) -> u32 {
        let polls = 0..100;
        let measured = polls.map(|_| {
            self.device.sent(usize::MAX);
            self.now = self.after(SECOND.as_nanos() / 100);
            measure(self)
        });
        measured.max().unwrap_or(0)
    }

    /// Nothing can be sent.
    fn poll(&mut self) {
        let _ = black_box(self.device.poll(self.now, false));
    }
}
