//! A load generator without hardware: core's device on a clock that the script moves.

use std::collections::BTreeMap;

use phasemeter_core::device::{self, Step, Storage};
use phasemeter_core::metric::{LOAD_METRICS, LoadMetric};
use phasemeter_core::outcome::{Failure, Outcome};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::request::Ticket;
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::{Duration, Instant, MockClock};

use crate::direct::{BUCKETS, Direct};
use crate::random::Random;

/// A device that runs two phases against a server that exists only as random numbers: plain requests, then chats.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Its name; also names its line.
    pub id: &'static str,
    /// The boot.
    pub boot_id: u64,
    /// The seed of its requests' times.
    pub seed: u64,
    /// How many requests each phase has.
    pub requests: u64,
    /// How many bytes the line takes at each turn; a few make the device leave reports out.
    pub line_bytes: usize,
}

/// One request, as it was made up.
struct Request {
    ticket: Ticket,
    intended: u64,
    issued: u64,
    sent: u64,
    tokens: Vec<u64>,
    end: u64,
    outcome: Outcome,
}

impl Request {
    /// Times over many octaves; now and then none at all, a failure, or a request given up.
    fn draw(random: &mut Random, mut ticket: Ticket, now: u64) -> Self {
        let is_chat = ticket.phase() == 1;
        let sent = now + random.below(3) * random.below(1 << 20);
        ticket.mark_sent(Instant::from_nanos(sent));
        let mut at = sent;
        let mut tokens = Vec::new();
        if is_chat {
            for _ in 0..2 + random.below(30) {
                at += random.spread(14, 10);
                tokens.push(at);
                ticket.mark_token(Instant::from_nanos(at));
            }
        }
        let end = if random.below(50) == 0 { at } else { at + random.spread(16, 12) };
        let outcome = match random.below(40) {
            0 => Outcome::Failed(draw_failure(random)),
            1 => Outcome::Cancelled,
            _ => Outcome::Success,
        };
        Self { intended: ticket.intended().as_nanos(), issued: now, ticket, sent, tokens, end, outcome }
    }

    fn record(&self, direct: &mut Direct) {
        let Self { intended, issued, sent, ref tokens, end, outcome, .. } = *self;
        match outcome {
            Outcome::Cancelled => {
                direct.counts.cancelled += 1;
                return;
            }
            Outcome::Failed(failure) => {
                direct.counts.errors += 1;
                direct.failures.count(failure);
            }
            Outcome::Success => {
                direct.record(LoadMetric::ResponseTime.place(), end - intended);
                direct.record(LoadMetric::ServiceTime.place(), end - sent);
                if let [first, .., last] = **tokens {
                    direct.record(LoadMetric::TimeToFirstToken.place(), first - sent);
                    let gap = (last - first) / (tokens.len() as u64 - 1);
                    direct.record(LoadMetric::InterTokenLatency.place(), gap);
                }
            }
        }
        direct.record(LoadMetric::ScheduleLag.place(), issued - intended);
        direct.counts.completed += 1;
    }
}

fn draw_failure(random: &mut Random) -> Failure {
    match random.below(12) {
        0 => Failure::NotConnected,
        1 => Failure::TimedOut,
        2 => Failure::Broken,
        3 => Failure::Malformed,
        // More codes than are counted apart.
        code => Failure::Status(u16::try_from(496 + code).expect("the code is small")),
    }
}

impl Device {
    /// Everything that the device sends.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.run(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    /// Runs the plan to its end, hands what the device sends to `line`, and tells what was recorded directly.
    pub fn run(&self, mut line: impl FnMut(&[u8])) -> [Direct; 2] {
        let identity =
            Identity { firmware: "scripted", firmware_version: "1.0", ..Identity::new(self.id, self.boot_id) };
        let mut storage = Box::new(Storage::<LOAD_METRICS, BUCKETS, 2, 8192>::new());
        let mut device = device::Device::new(&mut storage, identity, &[], TelemetryConfig::default(), ());
        assert!(device.run(self.plan()), "the plan can be run");
        let mut random = Random::new(self.seed);
        let mut direct = ["warmup", "profiling"].map(|name| Direct::new(name, &LoadMetric::TABLE));
        let mut open: BTreeMap<(u64, u64), Request> = BTreeMap::new();
        let clock = MockClock::new();
        while !device.is_idle() {
            let now = clock.now();
            while let Some(request) = open.first_entry().filter(|request| request.key().0 <= now.as_nanos()) {
                let request = request.remove();
                request.record(&mut direct[usize::from(request.ticket.phase())]);
                let end = Instant::from_nanos(request.end);
                device.finish(request.ticket, end, request.outcome).expect("it is in flight");
            }
            match device.poll(now, true) {
                Step::Send(ticket) => {
                    let phase = &mut direct[usize::from(ticket.phase())];
                    phase.counts.sent += 1;
                    phase.sent.push(now.as_nanos());
                    let request = Request::draw(&mut random, ticket, now.as_nanos());
                    open.insert((request.end, request.ticket.number()), request);
                }
                Step::WaitUntil(until) => {
                    let next_end =
                        open.first_key_value().map_or(Instant::MAX, |((end, _), _)| Instant::from_nanos(*end));
                    // Time passes, or the line would take nothing; and not too much of it.
                    clock.advance(Duration::from_micros(1));
                    clock.set(until.min(next_end).min(now.saturating_add(Duration::from_millis(1))));
                    // Now and then the driver comes late.
                    clock.advance(Duration::from_nanos(random.below(3) * random.below(1 << 18)));
                }
                _ => {}
            }
            let sent = device.transmit().len().min(self.line_bytes);
            line(&device.transmit()[..sent]);
            device.sent(sent);
        }
        direct
    }

    fn plan(&self) -> RunPlan<2> {
        let mut plan = RunPlan::new(self.seed);
        let workloads = [
            (PhaseKind::Warmup, Workload::get("/").expect("the path is short")),
            (PhaseKind::Profiling, Workload::Chat { prompt_tokens: 8, output_tokens: 32 }),
        ];
        for (kind, workload) in workloads {
            let (arrival, stop) = (Arrival::poisson(1_000), Stop::requests(self.requests));
            let phase = PhasePlan { kind, workload, arrival, stop, grace: Duration::from_secs(60) };
            plan.push(phase).expect("the plan has room for two phases");
        }
        plan
    }
}

/// Splits a device's bytes into frames, each with the delimiters at both of its ends.
pub fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let segments = bytes.split(|byte| *byte == 0).filter(|segment| !segment.is_empty());
    segments.map(|segment| [&[0], segment, &[0]].concat()).collect()
}
