//! What one request costs a load generator, and what the reports about it cost.

use core::hint::black_box;

use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
use phasemeter_core::runner::{Outcome, Runner, Step};
use phasemeter_core::telemetry::{Reporter, ReporterConfig, TxQueue};
use phasemeter_core::time::Nanos;
use phasemeter_probe::{N, identity};

use crate::latencies::{self, Latencies};
use crate::timer::instructions;
use crate::{as_u32, stack};

const SECOND: Nanos = Nanos::from_secs(1);

/// What was counted.
pub struct Costs {
    /// Of a request without tokens: a poll that sends, the end, and a poll that waits.
    pub request: u32,
    /// Of telling, after each of the two polls, that no report is due.
    pub nothing_due: u32,
    /// Of the poll that reports the most buckets: all of a histogram.
    pub report: u32,
    pub report_stack: u32,
}

/// A run under load, and its reporter.
struct Device {
    runner: Runner<N, 1>,
    reporter: Reporter<'static>,
    queue: TxQueue<16_384>,
    now: Nanos,
}

/// Counts; `None` if there is no run to count.
pub fn costs(latencies: &Latencies) -> Option<Costs> {
    let mut device = Device::new()?;
    // Five full histograms first: what is measured after is how nearly all requests go.
    latencies.each(|latency| device.request(latency, true));
    let request = mean(latencies, &mut device, |device, latency| device.request(latency, false));
    device.report();
    let nothing_due = mean(latencies, &mut device, |device, _| {
        device.report();
        device.report();
    });
    let report = device.worst(|device| instructions(|| black_box(device).report()));
    let report_stack = device.worst(|device| stack::used(|| black_box(device).report()));
    Some(Costs { request, nothing_due, report, report_stack })
}

fn mean(latencies: &Latencies, device: &mut Device, work: impl Fn(&mut Device, u64)) -> u32 {
    let all = instructions(|| latencies.each(|latency| work(black_box(device), latency)));
    let overhead = instructions(|| latencies.each(|_| _ = black_box(&mut *device)));
    all.saturating_sub(overhead).div_ceil(as_u32(latencies::COUNT))
}

impl Device {
    fn new() -> Option<Self> {
        let phase = PhasePlan {
            kind: PhaseKind::Profiling,
            workload: Workload::get("/")?,
            arrival: Arrival::Constant { rate: Rate::per_second(1_000) },
            stop: Stop::requests(u64::MAX),
            grace: SECOND,
        };
        let mut plan = RunPlan::new(1);
        plan.push(phase).ok()?;
        let config = ReporterConfig {
            hello_every: Nanos::MAX,
            report_every: Nanos::MAX,
            snapshot_every: SECOND,
            keyframe_every: 1,
            ..ReporterConfig::default()
        };
        let reporter = Reporter::new(identity(), config);
        Some(Self { runner: Runner::new(plan, ()).ok()?, reporter, queue: TxQueue::new(), now: Nanos::ZERO })
    }

    /// A request that is due now, sent a little late, and the wait for the next.
    fn request(&mut self, latency: u64, streams: bool) {
        if let Step::Send(mut ticket) = self.runner.poll(self.now, true) {
            let end = self.after(latency);
            ticket.mark_sent(self.after(latency / 1_000));
            if streams {
                ticket.mark_token(self.after(latency / 2));
                ticket.mark_token(end);
            }
            black_box(self.runner.finish(&ticket, end, Outcome::Success)).ok();
        }
        let _ = black_box(self.runner.poll(self.now, true));
        self.now = self.after(1_000_000);
    }

    fn after(&self, nanos: u64) -> Nanos {
        self.now.saturating_add(Nanos::new(nanos))
    }

    /// The most that a poll of a second takes: a snapshot is made in it, of a histogram each poll.
    fn worst(&mut self, measure: impl Fn(&mut Self) -> u32) -> u32 {
        let polls = 0..100;
        let measured = polls.map(|_| {
            self.queue.consume(usize::MAX);
            self.now = self.after(SECOND.get() / 100);
            measure(self)
        });
        measured.max().unwrap_or(0)
    }

    fn report(&mut self) {
        self.reporter.poll(self.now, &mut self.runner, &mut self.queue);
    }
}
