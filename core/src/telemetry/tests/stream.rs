//! Whole runs through a [`Reporter`] and a slow line, put together again as the protocol's text says.

use std::collections::BTreeMap;

use super::*;
use crate::histogram::LatencyHistogram;
use crate::plan::{Arrival, PhasePlan, Rate, RunPlan, Stop, Workload};
use crate::runner::{Outcome, Runner, Step};
use crate::time::MockClock;

/// The longest names, so that a hello leaves little room in a small queue.
pub(super) const IDENTITY: Identity<'_> = Identity {
    device_id: "a device with a name of 32 bytes",
    boot_id: u64::MAX,
    firmware: "firmware with a name of 32 bytes",
    firmware_version: "a version that takes 32 bytes...",
    clock_hz: 25_000_000,
};

/// Snapshots are due at every poll, and all of a histogram at every `keyframe_every`th.
pub(super) const fn eager(keyframe_every: u16) -> ReporterConfig {
    ReporterConfig {
        hello_every: Nanos::from_secs(1),
        report_every: Nanos::from_millis(5),
        snapshot_every: Nanos::ZERO,
        keyframe_every,
        final_repeats: 2,
        final_attempts: 3,
        acknowledge_within: Nanos::from_millis(100),
    }
}

/// One request, and what the line does meanwhile.
#[derive(Clone, Debug)]
struct Request {
    lag: u64,
    first_token: u64,
    tokens: u8,
    service: u64,
    error: bool,
    /// How many bytes the line takes until the next poll.
    drained: usize,
}

/// A phase is a list of requests.
fn phases() -> impl Strategy<Value = Vec<Vec<Request>>> {
    // Mostly a narrow range, and at times any order of magnitude: resolutions are to be halved in the middle.
    let narrow = 1_000_000..1_010_000_u64;
    let any_order = (any::<u64>(), 1..64_u32).prop_map(|(value, shift)| value >> shift);
    let time = prop_oneof![30 => narrow, 3 => Just(0), 1 => any_order];
    let drained = prop_oneof![0..40_usize, 0..600_usize];
    let request = (time.clone(), time.clone(), 0..4_u8, time, proptest::bool::weighted(0.1), drained).prop_map(
        |(lag, first_token, tokens, service, error, drained)| Request {
            lag,
            first_token,
            tokens,
            service,
            error,
            drained,
        },
    );
    vec(vec(request, 1..120), 1..3)
}

/// What was true at one moment.
struct Moment<const N: usize> {
    /// Up to here the stream tells of this moment.
    end: usize,
    phase: u16,
    is_complete: bool,
    histograms: [LatencyHistogram<N>; METRICS],
}

/// The bytes of a run, and the truth that they tell of.
struct Recording<const N: usize> {
    stream: Vec<u8>,
    moments: Vec<Moment<N>>,
    /// At these places in the stream nothing had been recorded for a while.
    quiet: Vec<usize>,
}

impl<const N: usize> Recording<N> {
    fn at(&self, offset: usize) -> &Moment<N> {
        &self.moments[self.moments.partition_point(|moment| moment.end < offset)]
    }
}

/// Polls that the last request of a phase is held back for.
const HOLD: u32 = 60;

/// The device: polls the reporter after each request, and drains what the request says between two polls. The last
/// request of each phase stays open for a while, in which the line takes everything.
fn run<const N: usize, const Q: usize>(phases: &[Vec<Request>], config: ReporterConfig) -> Recording<N> {
    let mut plan = RunPlan::<2>::new(5);
    for requests in phases {
        let workload = Workload::get("/").unwrap();
        let arrival = Arrival::ClosedLoop { concurrency: 1 };
        let stop = Stop::requests(requests.len() as u64);
        plan.push(PhasePlan { kind: PhaseKind::Profiling, workload, arrival, stop, grace: Nanos::MAX }).unwrap();
    }
    let mut runner = Runner::<N, 2>::new(plan, ()).unwrap();
    let mut reporter = Reporter::new(IDENTITY, config);
    let mut queue = TxQueue::<Q>::new();
    let mut recording = Recording { stream: Vec::new(), moments: Vec::new(), quiet: Vec::new() };
    let mut script = phases.iter().flatten().cycle();
    let (mut open, mut held) = (None, 0);
    for millis in 0..100_000 {
        let now = Nanos::from_millis(millis);
        let step = runner.poll(now, true);
        reporter.poll(now, &mut runner, &mut queue);
        if step == Step::Finished {
            reporter.finish(now, &runner, &mut queue);
        }
        let end = recording.stream.len() + queue.len();
        if recording.moments.last().is_none_or(|moment| moment.end < end) {
            let meter = runner.meter();
            recording.moments.push(Moment {
                end,
                phase: meter.stats().index,
                is_complete: meter.phase().state() == PhaseState::Complete,
                histograms: Metric::ALL.map(|metric| meter.histogram(metric).clone()),
            });
        }
        match step {
            Step::Send(ticket) => open = Some(ticket),
            Step::PhaseEnded if reporter.is_phase_reported() => runner.next_phase(),
            _ => {}
        }
        let Some(request) = script.next() else { break };
        let requests = phases[usize::from(runner.meter().stats().index)].len() as u64;
        let is_held = open.as_ref().is_some_and(|ticket| ticket.number() + 1 == requests) && held < HOLD;
        // One byte at least, or a run whose line takes nothing would never end.
        let drained = if is_held { Q } else { request.drained.max(1) };
        for _ in 0..drained.min(queue.len()) {
            recording.stream.push(queue.front()[0]);
            queue.consume(1);
        }
        if is_held {
            held += 1;
            if held == HOLD {
                recording.quiet.push(recording.stream.len());
            }
        } else if let Some(mut ticket) = open.take() {
            held = 0;
            let after = |time: Nanos, length: u64| time.saturating_add(Nanos::new(length));
            let sent = after(ticket.intended(), request.lag);
            ticket.mark_sent(sent);
            for token in 0..u64::from(request.tokens) {
                ticket.mark_token(after(sent, request.first_token.saturating_add(token * (request.service >> 2))));
            }
            let outcome = if request.error { Outcome::Error } else { Outcome::Success };
            runner.finish(&ticket, after(sent, request.service), outcome).unwrap();
        }
        if step == Step::Finished && reporter.is_run_reported() && queue.is_empty() {
            return recording;
        }
    }
    panic!("the end of the run is never reported");
}

/// One histogram, put together as the protocol's text says.
struct Mirror {
    scale: i8,
    counts: BTreeMap<i32, u64>,
    /// The last totals, if they made the snapshot whole.
    whole: Option<Totals>,
}

impl Mirror {
    const EMPTY: Self = Self { scale: 8, counts: BTreeMap::new(), whole: None };

    fn lower(&mut self, scale: i8) {
        assert!(scale <= self.scale, "the scale never rises");
        for (index, count) in core::mem::take(&mut self.counts) {
            *self.counts.entry(index >> (self.scale - scale)).or_default() += count;
        }
        self.scale = scale;
    }

    fn is_whole(&self, totals: &Totals) -> bool {
        totals.zero + self.counts.values().sum::<u64>() == totals.count
    }

    fn equals<const N: usize>(&self, histogram: &LatencyHistogram<N>) -> bool {
        let held = self.counts.iter().filter(|(_, count)| **count > 0).map(|(index, count)| (*index, *count));
        self.scale == histogram.scale() && held.eq(histogram.buckets().map(|bucket| (bucket.index, bucket.count)))
    }
}

/// The host's view of the current phase.
struct Host {
    phase: u16,
    mirrors: [Mirror; METRICS],
    /// How many snapshots of each metric were whole before their phase was complete.
    whole: [u32; METRICS],
    finished: u32,
}

impl Host {
    fn assert_repaired<const N: usize>(&self, recording: &Recording<N>) {
        let last = recording.moments.iter().rfind(|moment| moment.phase == self.phase).unwrap();
        assert!(last.is_complete);
        for (mirror, histogram) in self.mirrors.iter().zip(&last.histograms) {
            assert!(mirror.equals(histogram));
            assert_eq!(mirror.whole, Some(histogram.totals()));
        }
    }
}

/// Loses the frames that `is_lost` says, checks every snapshot that looks whole against the truth, and each phase's end.
///
/// Where nothing had been recorded for a while, `catches_up` says that the host is to know it all.
fn receive<const N: usize>(
    recording: &Recording<N>,
    catches_up: bool,
    mut is_lost: impl FnMut(&Moment<N>) -> bool,
) -> Host {
    let mut host = Host { phase: 0, mirrors: [Mirror::EMPTY; METRICS], whole: [0; METRICS], finished: 0 };
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let mut sequence = 0;
    for (offset, &byte) in (1..).zip(&recording.stream) {
        let Some(item) = receiver.push(byte) else { continue };
        let Received::Frame(envelope) = item else { panic!("{item:?}") };
        assert_eq!(envelope.sequence, sequence, "what is queued is numbered without gaps");
        sequence += 1;
        let moment = recording.at(offset);
        if is_lost(moment) {
            continue;
        }
        if moment.phase > host.phase && !matches!(envelope.frame, Frame::Hello(_)) {
            host.assert_repaired(recording);
            (host.phase, host.mirrors) = (moment.phase, [Mirror::EMPTY; METRICS]);
        }
        match envelope.frame {
            Frame::Buckets(buckets) => {
                assert_eq!(buckets.phase, host.phase);
                let mirror = &mut host.mirrors[usize::from(buckets.metric)];
                mirror.lower(buckets.scale);
                buckets.for_each(|index, count| *mirror.counts.entry(index).or_default() = count).unwrap();
            }
            Frame::Totals(MetricTotals { phase, metric, totals }) => {
                assert_eq!(phase, host.phase);
                let metric = usize::from(metric);
                let (mirror, truth) = (&mut host.mirrors[metric], &moment.histograms[metric]);
                mirror.lower(totals.scale);
                assert_eq!(totals, truth.totals());
                let is_whole = mirror.is_whole(&totals);
                mirror.whole = is_whole.then_some(totals);
                assert!(!is_whole || mirror.equals(truth), "a snapshot that looks whole is the truth");
                host.whole[metric] += u32::from(is_whole && !moment.is_complete);
            }
            Frame::Phase(report) => {
                assert_eq!(report.stats.index, host.phase);
                let counts = moment.histograms.each_ref().map(LatencyHistogram::count);
                assert_eq!(report.samples, counts);
            }
            Frame::Finished(_) => host.finished += 1,
            Frame::Hello(hello) => assert!(hello.metrics.iter().copied().eq(Metric::ALL.map(Metric::name))),
            Frame::Answer(_) => {}
        }
        if catches_up && recording.quiet.contains(&offset) {
            assert!(host.mirrors.iter().zip(&moment.histograms).all(|(mirror, truth)| mirror.equals(truth)));
        }
    }
    host.assert_repaired(recording);
    host
}

fn check<const N: usize, const Q: usize>(phases: &[Vec<Request>], losses: &[bool], keyframe_every: u16) {
    let recording = run::<N, Q>(phases, eager(keyframe_every));
    assert_eq!(receive(&recording, true, |_| false).finished, 2);
    let mut losses = losses.iter().cycle();
    receive(&recording, false, |moment| !moment.is_complete && *losses.next().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_phase_is_put_together_again_64(phases in phases(), losses in vec(any::<bool>(), 1..50)) {
        check::<64, MAX_ENCODED>(&phases, &losses, 7);
        check::<64, 2048>(&phases, &losses, 0);
    }
}

proptest! {
    // Larger histograms cost more time than they find more faults.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_phase_is_put_together_again_512(phases in phases(), losses in vec(any::<bool>(), 1..50)) {
        check::<512, 300>(&phases, &losses, 0);
        check::<512, 2048>(&phases, &losses, 1);
    }

    #[test]
    fn every_phase_is_put_together_again_2048(phases in phases(), losses in vec(any::<bool>(), 1..50)) {
        check::<2048, 300>(&phases, &losses, 3);
    }
}

/// One request after the other, all alike.
fn steady(requests: usize, drained: usize) -> Vec<Vec<Request>> {
    let request = Request { lag: 1_000, first_token: 2_000, tokens: 3, service: 4_000, error: false, drained };
    std::vec![std::vec![request; requests]]
}

#[test]
fn every_metric_has_its_turn_however_small_the_queue_is() {
    let host = receive(&run::<512, MAX_ENCODED>(&steady(99, MAX_ENCODED), eager(1)), true, |_| false);
    assert!(host.whole.iter().all(|whole| *whole > 5), "{:?}", host.whole);
}

/// The phase ends before there was room for any of its frames, and the line takes a byte at a time.
#[test]
fn the_end_is_reported_over_the_slowest_line() {
    let mut plan = RunPlan::<1>::new(0);
    plan.push(PhasePlan { arrival: Arrival::ClosedLoop { concurrency: 1 }, ..open_loop(1, 1) }).unwrap();
    let mut runner = Runner::<8, 1>::new(plan, ()).unwrap();
    let mut reporter = Reporter::new(IDENTITY, ReporterConfig { hello_every: Nanos::MAX, ..eager(0) });
    let mut queue = TxQueue::<MAX_ENCODED>::new();
    assert!(queue.push(&Content::worst(2).envelope()) && queue.free() == 0);
    let mut polls = 0;
    while !(reporter.is_phase_reported() && queue.is_empty()) {
        if let Step::Send(ticket) = runner.poll(Nanos::ZERO, true) {
            runner.finish(&ticket, Nanos::ZERO, Outcome::Success).unwrap();
        }
        reporter.poll(Nanos::ZERO, &mut runner, &mut queue);
        queue.consume(1);
        polls += 1;
        assert!(polls < 4 * MAX_ENCODED, "two times five totals and three reports take less");
    }
}

#[test]
fn what_found_no_room_is_counted_and_the_end_is_sent_at_least_once() {
    let config = ReporterConfig { final_repeats: 0, ..eager(0) };
    let recording = run::<64, MAX_ENCODED>(&steady(50, 3), config);
    assert_eq!(receive(&recording, false, |_| false).finished, 1);
    let mut stream = recording.stream;
    let last = stream.iter().rposition(|byte| *byte != 0).map_or(0, |end| end + 1);
    let start = stream[..last].iter().rposition(|byte| *byte == 0).map_or(0, |delimiter| delimiter + 1);
    let finished = decode(&mut stream[start..last]).unwrap().frame;
    assert!(
        matches!(finished, Frame::Finished(Finished { phases: 1, cancelled: false, skipped: 1.. })),
        "{finished:?}"
    );
}

#[test]
fn long_names_are_cut_between_characters() {
    let long = "ä".repeat(99);
    let kana = "x".repeat(30) + "カタカナ";
    let identity = Identity { device_id: &long, firmware: &kana, ..IDENTITY };
    let mut plan = RunPlan::<1>::new(0);
    plan.push(open_loop(1_000, 1)).unwrap();
    let mut runner = Runner::<8, 1>::new(plan, ()).unwrap();
    let mut queue = TxQueue::<MAX_ENCODED>::new();
    Reporter::new(identity, eager(0)).poll(Nanos::ZERO, &mut runner, &mut queue);
    let mut sent = queue.front().to_vec();
    let end = sent.len() - 1;
    let Frame::Hello(hello) = decode(&mut sent[1..end]).unwrap().frame else { panic!("a hello comes first") };
    assert_eq!((hello.device_id, hello.firmware), (&*"ä".repeat(16), &*"x".repeat(30)));
}

pub(super) fn open_loop(per_second: u32, requests: u64) -> PhasePlan {
    PhasePlan {
        kind: PhaseKind::Profiling,
        workload: Workload::get("/").unwrap(),
        arrival: Arrival::Poisson { rate: Rate::per_second(per_second) },
        stop: Stop::requests(requests),
        grace: Nanos::from_secs(1),
    }
}

/// A run of random arrivals with this seed over a line of 11,520 bytes a second, as its bytes.
fn poisson(seed: u64) -> Vec<u8> {
    let mut plan = RunPlan::<2>::new(seed);
    plan.push(open_loop(100, 200)).unwrap();
    plan.push(open_loop(300, 200)).unwrap();
    let mut runner = Runner::<512, 2>::new(plan, ()).unwrap();
    let mut reporter = Reporter::new(IDENTITY, ReporterConfig::default());
    let (mut queue, mut stream) = (TxQueue::<1024>::new(), Vec::new());
    let clock = MockClock::new();
    let mut open = std::collections::VecDeque::new();
    while !(reporter.is_run_reported() && queue.is_empty()) {
        while open.front().is_some_and(|(end, _)| *end <= clock.now()) {
            let (end, ticket) = open.pop_front().unwrap();
            runner.finish(&ticket, end, Outcome::Success).unwrap();
        }
        let step = runner.poll(clock.now(), true);
        reporter.poll(clock.now(), &mut runner, &mut queue);
        match step {
            Step::Send(ticket) => {
                open.push_back((clock.now().saturating_add(Nanos::from_millis(3)), ticket));
                continue;
            }
            Step::PhaseEnded if reporter.is_phase_reported() => runner.next_phase(),
            Step::Finished => reporter.finish(clock.now(), &runner, &mut queue),
            Step::PhaseEnded | Step::WaitUntil(_) => {}
        }
        let sent = queue.front().len().min(11);
        stream.extend(&queue.front()[..sent]);
        queue.consume(sent);
        clock.advance(Nanos::from_micros(955));
    }
    stream
}

#[test]
fn the_same_plan_seed_and_clock_give_the_same_bytes() {
    assert!(poisson(7) == poisson(7));
    assert!(poisson(7) != poisson(8));
}
