//! Whole runs over a slow line that loses frames, put together again as the protocol's text says.

use super::*;
use crate::autocorrelation::Lag1;
use crate::histogram::LatencyHistogram;
use crate::outcome::{Failure, Failures};
use crate::phase::PhaseStats;
use crate::time::MockClock;

/// Snapshots are due at every poll, and all of a histogram at every `keyframe_every`th.
const fn eager(keyframe_every: u16) -> TelemetryConfig {
    TelemetryConfig {
        hello_every: Duration::from_secs(1),
        report_every: Duration::from_millis(5),
        snapshot_every: Duration::ZERO,
        keyframe_every,
        final_repeats: 2,
        final_attempts: 3,
        acknowledge_within: Duration::from_millis(100),
        line_patience: Duration::from_secs(60),
    }
}

/// One request, and what the line does meanwhile.
#[derive(Clone, Debug)]
struct Request {
    lag: u64,
    first_token: u64,
    tokens: u8,
    service: u64,
    /// What the device records beside it.
    own: u64,
    outcome: Outcome,
    /// How many bytes the line takes until the next poll.
    drained: usize,
}

impl Request {
    const STEADY: Self = Self {
        lag: 1_000,
        first_token: 2_000,
        tokens: 3,
        service: 4_000,
        own: 512,
        outcome: Outcome::Success,
        drained: MAX_ENCODED,
    };
}

/// A phase is a list of requests.
fn phases() -> impl Strategy<Value = Vec<Vec<Request>>> {
    // Mostly a narrow range, and at times any order of magnitude: resolutions are to be halved in the middle.
    let narrow = 1_000_000..1_010_000_u64;
    let any_order = (any::<u64>(), 1..64_u32).prop_map(|(value, shift)| value >> shift);
    let time = prop_oneof![30 => narrow, 3 => Just(0), 1 => any_order];
    let drained = prop_oneof![0..40_usize, 0..600_usize];
    let failure = prop_oneof![
        Just(Failure::NotConnected),
        Just(Failure::TimedOut),
        Just(Failure::Broken),
        Just(Failure::Malformed),
        (500..509_u16).prop_map(Failure::Status),
    ];
    let outcome = prop_oneof![
        20 => Just(Outcome::Success),
        2 => failure.prop_map(Outcome::Failed),
        1 => Just(Outcome::Cancelled),
    ];
    let times = (time.clone(), time.clone(), time.clone(), time);
    let request = (times, 0..4_u8, outcome, drained).prop_map(|(times, tokens, outcome, drained)| {
        let (lag, first_token, service, own) = times;
        Request { lag, first_token, tokens, service, own, outcome, drained }
    });
    vec(vec(request, 1..120), 1..3)
}

/// What was true at one moment.
struct Moment<const N: usize> {
    at: Instant,
    stats: PhaseStats,
    failures: Failures,
    histograms: [LatencyHistogram<N>; METRICS],
    lag1: [Lag1; METRICS],
}

impl<const N: usize> Moment<N> {
    fn of<const P: usize, const Q: usize>(at: Instant, device: &Device<'_, METRICS, N, P, Q>) -> Self {
        let meter = device.meter();
        let histograms = core::array::from_fn(|place| meter.histogram(place).unwrap().clone());
        let lag1 = core::array::from_fn(|place| *meter.lag1(place).unwrap());
        Self { at, stats: *meter.stats(), failures: meter.phase().failures().clone(), histograms, lag1 }
    }

    fn samples(&self) -> u64 {
        self.histograms.iter().map(LatencyHistogram::count).sum()
    }

    fn is_complete(&self) -> bool {
        self.stats.state == PhaseState::Complete
    }
}

/// The bytes of a run, and the truth that they tell of.
struct Recording<const N: usize> {
    stream: Vec<u8>,
    moments: Vec<Moment<N>>,
    /// At these places in the stream nothing had been recorded for a while.
    quiet: Vec<usize>,
}

impl<const N: usize> Recording<N> {
    fn note<const P: usize, const Q: usize>(&mut self, now: Instant, device: &Device<'_, METRICS, N, P, Q>) {
        let stats = device.meter().stats();
        let samples = device.meter().samples();
        if self.moments.last().is_none_or(|last| last.stats != *stats || last.samples() != samples) {
            self.moments.push(Moment::of(now, device));
        }
    }

    /// What a frame tells of that was made then.
    fn at(&self, uptime: Instant) -> &Moment<N> {
        &self.moments[self.moments.partition_point(|moment| moment.at <= uptime) - 1]
    }

    fn end_of(&self, phase: u16) -> &Moment<N> {
        self.moments.iter().rfind(|moment| moment.stats.index == phase && moment.is_complete()).unwrap()
    }
}

/// Polls that the last request of a phase is held back for.
const HOLD: u32 = 100;

/// The driver: polls after each request, and drains what the request says between two polls. The last request of each
/// phase stays open for a while, in which the line takes everything.
fn run<const N: usize, const Q: usize>(phases: &[Vec<Request>], config: TelemetryConfig) -> Recording<N> {
    let mut plan = RunPlan::<2>::new(5);
    for requests in phases {
        let arrival = Arrival::ClosedLoop { concurrency: 1 };
        let stop = Stop::requests(requests.len() as u64);
        plan.push(PhasePlan { grace: Duration::MAX, ..phase(arrival, stop) }).unwrap();
    }
    let mut storage = Storage::<METRICS, N, 2, Q>::new();
    let mut device = Device::new(&mut storage, IDENTITY, &OWN, config, ());
    assert!(device.run(plan));
    let mut recording = Recording { stream: Vec::new(), moments: Vec::new(), quiet: Vec::new() };
    let mut script = phases.iter().flatten().cycle();
    let (mut open, mut held) = (None, 0);
    for millis in 0..100_000 {
        let now = at(millis);
        match device.poll(now, true) {
            Step::Send(ticket) => open = Some(ticket),
            Step::Finished => assert!(device.meter().phase().state() == PhaseState::Complete),
            _ => {}
        }
        recording.note(now, &device);
        let Some(request) = script.next() else { break };
        let requests = phases[usize::from(device.meter().stats().index)].len() as u64;
        let is_held = open.as_ref().is_some_and(|ticket: &Ticket| ticket.number() + 1 == requests) && held < HOLD;
        // One byte at least, or a run whose line takes nothing would never end.
        let drained = if is_held { usize::MAX } else { request.drained.max(1) };
        drain(&mut device, drained, &mut recording.stream);
        if is_held {
            held += 1;
            if held == HOLD {
                recording.quiet.push(recording.stream.len());
            }
        } else if let Some(mut ticket) = open.take() {
            held = 0;
            let after = |time: Instant, length: u64| time.saturating_add(Duration::from_nanos(length));
            let sent = after(ticket.intended(), request.lag);
            ticket.mark_sent(sent);
            for token in 0..u64::from(request.tokens) {
                ticket.mark_token(after(sent, request.first_token.saturating_add(token * (request.service >> 2))));
            }
            device.finish(ticket, after(sent, request.service), request.outcome).unwrap();
            assert!(device.record(0, request.own));
        }
        if device.is_idle() {
            return recording;
        }
    }
    panic!("the end of the run is never reported");
}

/// What a host knows at the end, and of each metric, how many snapshots were whole before their phase was complete.
struct Heard {
    host: Host,
    whole: [u32; METRICS],
}

/// Loses the frames that `is_lost` says, and checks every snapshot that looks whole against the truth, and each phase's
/// end.
///
/// Where nothing had been recorded for a while, `is_lossless` says that the host is to know it all.
fn receive<const N: usize>(
    recording: &Recording<N>,
    is_lossless: bool,
    mut is_lost: impl FnMut(&Moment<N>) -> bool,
) -> Heard {
    let mut heard = Heard { host: Host::default(), whole: [0; METRICS] };
    let mut sequence = 0;
    frames(&recording.stream, |envelope, offset| {
        assert_eq!(envelope.sequence, sequence, "what is queued is numbered without gaps");
        sequence += 1;
        let moment = recording.at(envelope.uptime);
        if is_lost(moment) {
            return;
        }
        heard.host.take(envelope);
        let boot = heard.host.boot();
        match &envelope.frame {
            Frame::Totals(MetricTotals { phase, metric, totals, lag1 }) => {
                assert_eq!(*phase, moment.stats.index);
                let truth = &moment.histograms[usize::from(*metric)];
                assert_eq!((totals, lag1), (&truth.totals(), &moment.lag1[usize::from(*metric)]));
                let mirror = boot.phases[phase].metric(*metric);
                if mirror.whole == Some(*totals) {
                    assert!(mirror.equals(truth), "a snapshot that looks whole is the truth");
                    heard.whole[usize::from(*metric)] += u32::from(!moment.is_complete());
                }
            }
            Frame::PhasePlanned(planned) => {
                assert_eq!(planned.index, moment.stats.index);
                assert!(!is_lossless || boot.phases[&planned.index].report.is_some(), "the report comes first");
            }
            Frame::Phase(report) => {
                assert_eq!((report.stats, report.samples), (moment.stats, moment.samples()));
                let phase = &boot.phases[&report.stats.index];
                assert!(!is_lossless || phase.failures == moment.failures, "the causes come first");
                assert!(!phase.is_whole() || phase.equals(&moment.histograms), "what looks whole is");
            }
            _ => {}
        }
        if is_lossless && recording.quiet.contains(&offset) {
            assert!(boot.phases[&moment.stats.index].equals(&moment.histograms));
        }
    });
    let boot = heard.host.boot();
    assert_eq!(heard.host.boots.len(), 1);
    for (index, phase) in &boot.phases {
        let truth = recording.end_of(*index);
        assert!(phase.is_whole() && phase.equals(&truth.histograms), "the end repairs everything");
        assert_eq!((phase.report.unwrap().stats, &phase.failures), (truth.stats, &truth.failures));
    }
    assert_eq!(boot.finished.unwrap().phases, u16::try_from(boot.phases.len()).unwrap());
    heard
}

fn check<const N: usize, const Q: usize>(phases: &[Vec<Request>], losses: &[bool], keyframe_every: u16) {
    let recording = run::<N, Q>(phases, eager(keyframe_every));
    let host = receive(&recording, true, |_| false).host;
    assert_eq!(host.boot().ends, 2);
    assert_table(host.boot());
    let mut losses = losses.iter().cycle();
    receive(&recording, false, |moment| !moment.is_complete() && *losses.next().unwrap());
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
    std::vec![std::vec![Request { drained, ..Request::STEADY }; requests]]
}

#[test]
fn every_metric_has_its_turn_however_small_the_queue_is() {
    let heard = receive(&run::<512, MAX_ENCODED>(&steady(99, MAX_ENCODED), eager(1)), true, |_| false);
    assert!(heard.whole.iter().all(|whole| *whole > 5), "{:?}", heard.whole);
}

/// The load waits for no more than one metric's part of a snapshot.
#[test]
fn a_snapshot_takes_a_poll_for_each_metric() {
    let recording = run::<64, 4096>(&steady(30, 4096), TelemetryConfig::default());
    let mut polls = BTreeMap::<Instant, u32>::new();
    frames(&recording.stream, |envelope, _| {
        let is_totals = matches!(envelope.frame, Frame::Totals(_));
        if !recording.at(envelope.uptime).is_complete() && is_totals {
            *polls.entry(envelope.uptime).or_default() += 1;
        }
    });
    assert_eq!((polls.len(), polls.values().max()), (METRICS, Some(&1)), "{polls:?}");
}

#[test]
fn what_found_no_room_is_counted_and_the_end_is_sent_at_least_once() {
    let config = TelemetryConfig { final_repeats: 0, ..eager(0) };
    let recording = run::<64, MAX_ENCODED>(&steady(50, 3), config);
    let host = receive(&recording, false, |_| false).host;
    let boot = host.boot();
    assert_eq!(boot.ends, 1);
    assert!(
        matches!(boot.finished, Some(Finished { phases: 1, cancelled: false, skipped: 1.. })),
        "{:?}",
        boot.finished
    );
}

/// A run of random arrivals over a line of 11,520 bytes a second, as its bytes.
fn poisson(seed: u64) -> Vec<u8> {
    let mut plan = RunPlan::<2>::new(seed);
    for per_second in [100, 300] {
        plan.push(phase(Arrival::poisson(per_second), Stop::requests(200))).unwrap();
    }
    let mut storage = Storage::<METRICS, 512, 2, 1024>::new();
    let mut device = Device::new(&mut storage, IDENTITY, &OWN, TelemetryConfig::default(), ());
    device.run(plan);
    let (clock, mut stream) = (MockClock::new(), Vec::new());
    let mut open = std::collections::VecDeque::new();
    while !device.is_idle() {
        while open.front().is_some_and(|(end, _)| *end <= clock.now()) {
            let (end, ticket) = open.pop_front().unwrap();
            device.finish(ticket, end, Outcome::Success).unwrap();
        }
        if let Step::Send(ticket) = device.poll(clock.now(), true) {
            open.push_back((clock.now().saturating_add(Duration::from_millis(3)), ticket));
            continue;
        }
        drain(&mut device, 11, &mut stream);
        clock.advance(Duration::from_micros(955));
    }
    stream
}

#[test]
fn the_same_plan_seed_and_clock_give_the_same_bytes() {
    assert!(poisson(7) == poisson(7));
    assert!(poisson(7) != poisson(8));
}
