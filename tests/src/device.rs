//! A device without hardware: core's runner, meter and reporter on a clock that the script moves.

use std::collections::BTreeMap;

use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::meter::{Metric, PerMetric, Ticket};
use phasemeter_core::phase::{Outcome, PhaseCounts};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
use phasemeter_core::runner::{Runner, Step};
use phasemeter_core::telemetry::{Identity, Reporter, ReporterConfig, TxQueue};
use phasemeter_core::time::{MockClock, Nanos};

const BUCKETS: usize = 512;
const QUEUE: usize = 8 * 1024;

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

/// What was recorded of one phase without any telemetry: value by value, as the requests were made up.
#[derive(Clone, Debug, Default)]
pub struct Direct {
    /// The request counts.
    pub counts: PhaseCounts,
    /// The samples.
    pub histograms: PerMetric<LatencyHistogram<BUCKETS>>,
}

impl Direct {
    fn record(&mut self, request: &Request) {
        let Request { intended, sent, ref tokens, end, outcome, .. } = *request;
        let mut record = |metric, value| self.histograms[metric].record(value);
        match outcome {
            Outcome::Cancelled => {
                self.counts.cancelled += 1;
                return;
            }
            Outcome::Error => self.counts.errors += 1,
            Outcome::Success => {
                record(Metric::ResponseTime, end - intended);
                record(Metric::ServiceTime, end - sent);
                if let [first, .., last] = **tokens {
                    record(Metric::TimeToFirstToken, first - sent);
                    record(Metric::InterTokenLatency, (last - first) / (tokens.len() as u64 - 1));
                }
            }
        }
        record(Metric::ScheduleLag, sent - intended);
        self.counts.completed += 1;
    }
}

/// The histogram that holds the samples of all parts.
pub fn direct_merge(parts: &[&Direct], metric: Metric) -> LatencyHistogram<4096, u64> {
    let mut merged = LatencyHistogram::new();
    for part in parts {
        merged.merge(&part.histograms[metric]);
    }
    merged
}

/// One request, as it was made up.
struct Request {
    ticket: Ticket,
    intended: u64,
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
        ticket.mark_sent(Nanos::new(sent));
        let mut at = sent;
        let mut tokens = Vec::new();
        if is_chat {
            for _ in 0..2 + random.below(30) {
                at += random.spread(14, 10);
                tokens.push(at);
                ticket.mark_token(Nanos::new(at));
            }
        }
        let end = if random.below(50) == 0 { at } else { at + random.spread(16, 12) };
        let outcome = match random.below(40) {
            0 => Outcome::Error,
            1 => Outcome::Cancelled,
            _ => Outcome::Success,
        };
        Self { intended: ticket.intended().get(), ticket, sent, tokens, end, outcome }
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
        let identity = Identity {
            device_id: self.id,
            boot_id: self.boot_id,
            firmware: "scripted",
            firmware_version: "1.0",
            clock_hz: 1_000_000_000,
        };
        let mut runner = Runner::<BUCKETS, 2>::new(self.plan(), ()).expect("the plan can be run");
        let mut reporter = Reporter::new(identity, ReporterConfig::default());
        let mut queue = TxQueue::<QUEUE>::new();
        let mut drain = |queue: &mut TxQueue<QUEUE>| {
            let front = queue.front();
            let sent = front.len().min(self.line_bytes);
            line(&front[..sent]);
            queue.consume(sent);
        };
        let mut random = Random(self.seed);
        let mut direct = <[Direct; 2]>::default();
        let mut open: BTreeMap<(u64, u64), Request> = BTreeMap::new();
        let clock = MockClock::new();
        loop {
            let now = clock.now();
            while let Some(request) = open.first_entry().filter(|request| request.key().0 <= now.get()) {
                let request = request.remove();
                direct[usize::from(request.ticket.phase())].record(&request);
                runner.finish(&request.ticket, Nanos::new(request.end), request.outcome).expect("it is in flight");
            }
            let step = runner.poll(now, true);
            reporter.poll(now, &mut runner, &mut queue);
            drain(&mut queue);
            match step {
                Step::Send(ticket) => {
                    direct[usize::from(ticket.phase())].counts.sent += 1;
                    let request = Request::draw(&mut random, ticket, now.get());
                    open.insert((request.end, ticket.number()), request);
                }
                Step::WaitUntil(until) => {
                    let next_end = open.first_key_value().map_or(Nanos::MAX, |((end, _), _)| Nanos::new(*end));
                    // What found no room stays due: time must pass for the line to take it.
                    clock.advance(Nanos::from_micros(1));
                    clock.set(until.min(next_end).min(reporter.next_due()));
                }
                Step::PhaseEnded if reporter.is_phase_reported() => runner.next_phase(),
                Step::PhaseEnded => clock.advance(Nanos::from_millis(1)),
                Step::Finished => break,
            }
        }
        while !(reporter.is_run_reported() && queue.is_empty()) {
            reporter.finish(clock.now(), &runner, &mut queue);
            drain(&mut queue);
            clock.advance(Nanos::from_millis(1));
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
            let arrival = Arrival::Poisson { rate: Rate::per_second(1_000) };
            let stop = Stop::requests(self.requests);
            let phase = PhasePlan { kind, workload, arrival, stop, grace: Nanos::from_secs(60) };
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

/// `SplitMix64` (Steele, Lea, Flood 2014): repeatable numbers for made-up requests.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number of 2^`least` and more, over so many octaves.
    fn spread(&mut self, least: u32, octaves: u64) -> u64 {
        let octave = u32::try_from(self.below(octaves)).expect("there are few octaves");
        (1 << (least + octave)) + self.below(1 << (least + octave))
    }
}
