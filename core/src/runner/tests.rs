use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::histogram::LatencyHistogram;
use crate::metric::{LOAD_METRICS, LoadMetric};
use crate::phase::{PhaseCounts, PhaseStats};
use crate::plan::{Arrival, PhaseKind, Workload};

const SECOND: Duration = Duration::from_secs(1);

fn phase(arrival: Arrival, stop: Stop) -> PhasePlan {
    PhasePlan { grace: SECOND, ..PhasePlan::profiling(Workload::get("/").unwrap(), arrival, stop) }
}

fn plan(seed: u64, phases: &[PhasePlan]) -> RunPlan<4> {
    let mut plan = RunPlan::new(seed);
    for phase in phases {
        plan.push(phase.clone()).unwrap();
    }
    plan
}

fn millis(millis: u64) -> Instant {
    Instant::BOOT.saturating_add(Duration::from_millis(millis))
}

/// A runner with all that it was told to tell.
struct Run {
    runner: Runner<LOAD_METRICS, 64, 4>,
    events: Events,
}

#[derive(Debug, Default)]
struct Events(Vec<(PhaseEvent, u64)>);

impl PhaseHook for Events {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        let has_open = phase.counts.in_flight() > 0;
        assert!(event != PhaseEvent::Timeout || has_open);
        assert!(event != PhaseEvent::Complete || !has_open);
        if event != PhaseEvent::Progress {
            self.0.push((event, now.as_nanos() / 1_000_000));
        }
    }
}

impl Run {
    fn idle() -> Self {
        Self { runner: Runner::idle(), events: Events::default() }
    }

    fn of(phases: &[PhasePlan]) -> Self {
        let mut run = Self::idle();
        assert!(run.begin(plan(1, phases), "device"));
        run
    }

    fn begin(&mut self, plan: RunPlan<4>, device_id: &str) -> bool {
        *self.runner.plan_mut().unwrap() = plan;
        self.events.0.clear();
        self.runner.begin(device_id)
    }

    fn poll(&mut self, now: Instant) -> Step {
        self.runner.poll(now, true, &mut self.events)
    }

    fn counts(&self) -> &PhaseCounts {
        &self.runner.meter().stats().counts
    }

    fn histogram(&self, metric: LoadMetric) -> &LatencyHistogram<64> {
        self.runner.meter().histogram(metric.place()).unwrap()
    }

    fn max_millis(&self, metric: LoadMetric) -> Option<u64> {
        self.histogram(metric).max().map(|nanos| nanos / 1_000_000)
    }

    /// Runs to the end with a server that answers after `service`, on at most `connections`.
    fn drive(&mut self, service: Duration, connections: usize) -> Instant {
        let mut now = Instant::BOOT;
        let mut open: Vec<(Instant, Ticket)> = Vec::new();
        loop {
            open.sort_by_key(|(end, ticket)| (*end, ticket.number()));
            while open.first().is_some_and(|(end, _)| *end <= now) {
                let (end, ticket) = open.remove(0);
                self.runner.finish(ticket, end, Outcome::Success).unwrap();
            }
            match self.runner.poll(now, open.len() < connections, &mut self.events) {
                Step::Send(ticket) => open.push((now.saturating_add(service), ticket)),
                Step::WaitUntil(until) => now = open.iter().map(|(end, _)| *end).fold(until, Instant::min),
                Step::PhaseEnded => {
                    open.clear();
                    self.runner.next_phase();
                }
                Step::Finished => return now,
                step => panic!("a runner asks for no {step:?}"),
            }
        }
    }
}

#[test]
fn a_constant_rate_sends_on_time_and_stops_after_its_duration() {
    let mut run = Run::of(&[phase(Arrival::constant(100), Stop::after(SECOND))]);
    assert_eq!(run.drive(Duration::from_millis(5), 10), millis(1_000));
    assert_eq!(run.counts().sent, 100);
    assert_eq!(run.max_millis(LoadMetric::ScheduleLag), Some(0));
    let ends = [(PhaseEvent::SendingComplete, 1_000), (PhaseEvent::Complete, 1_000)];
    assert_eq!(run.events.0, [&[(PhaseEvent::Start, 0)][..], &ends].concat());
}

#[test]
fn a_slow_server_shows_as_schedule_lag_in_an_open_loop() {
    let mut run = Run::of(&[phase(Arrival::constant(100), Stop::requests(11))]);
    run.drive(Duration::from_millis(20), 1);
    // Each request takes twice its interval: the last is 10 · 10 ms late, and response time tells.
    assert_eq!(run.max_millis(LoadMetric::ScheduleLag), Some(100));
    assert_eq!(run.max_millis(LoadMetric::ServiceTime), Some(20));
    assert_eq!(run.max_millis(LoadMetric::ResponseTime), Some(120));
}

#[test]
fn requests_that_wait_for_one_in_flight_are_held_and_those_that_a_device_forgets_are_not() {
    let phases = [phase(Arrival::constant(100), Stop::requests(11))];
    let mut run = Run::of(&phases);
    run.drive(Duration::from_millis(20), 1);
    assert_eq!(run.counts().held, 10, "all but the first");
    // Connections enough, and a driver that does not look for a second.
    let mut run = Run::of(&phases);
    assert!(matches!(run.poll(millis(0)), Step::Send(_)));
    for _ in 0..10 {
        assert!(matches!(run.poll(millis(1_000)), Step::Send(_)));
    }
    assert_eq!((run.counts().sent, run.counts().held), (11, 0));
}

#[test]
fn what_is_overdue_when_sending_ends_is_counted_as_unsent() {
    let limited = Stop { requests: Some(60), duration: Some(SECOND) };
    for (stop, unsent) in [(Stop::after(SECOND), 50), (limited, 10)] {
        let mut run = Run::of(&[phase(Arrival::constant(100), stop)]);
        run.drive(Duration::from_millis(20), 1);
        // One connection and 20 ms a request: 50 requests in the second in which 100 are due.
        assert_eq!((run.counts().sent, run.counts().unsent, run.counts().unsent_at_least), (50, unsent, false));
    }
}

/// The rate is the highest there is, and the plan's duration a year: counting one by one would take days.
#[test]
fn what_a_hostile_plan_leaves_unsent_when_it_is_cancelled_is_counted_soon() {
    let stop = Stop::after(Duration::from_secs(31_536_000));
    let random = Arrival::poisson(4_294_967);
    for (arrival, all, at_least) in
        [(Arrival::constant(4_294_967), 4_294_967 * 1_000, false), (random, MOST_UNSENT + 1, true)]
    {
        let mut run = Run::of(&[phase(arrival, stop)]);
        // Constant arrivals begin with the phase, random ones a little later.
        let started = [0, 1].map(|now| run.poll(millis(now)));
        assert!(matches!(started[1], Step::Send(_)));
        run.runner.cancel(millis(1_000_000), &mut run.events);
        assert!((0..64).any(|_| run.poll(millis(1_000_000)) == Step::PhaseEnded), "it ends soon");
        let counts = run.counts();
        assert_eq!((counts.sent + counts.unsent, counts.unsent_at_least), (all, at_least));
        assert_eq!(run.events.0.last(), Some(&(PhaseEvent::Complete, 1_000_000)));
    }
}

/// How many requests a plan of random arrivals asks for.
fn asked_for(arrival: Arrival, stop: Stop) -> u64 {
    let mut run = Run::of(&[phase(arrival, stop)]);
    run.drive(Duration::ZERO, usize::MAX);
    assert_eq!(run.counts().unsent, 0);
    run.counts().sent
}

/// A second of 5,000 random arrivals, of which the first was sent just before its end and no other.
fn behind() -> (Run, Ticket) {
    let mut run = Run::of(&[phase(Arrival::poisson(5_000), Stop::after(SECOND))]);
    assert!(matches!(run.poll(Instant::BOOT), Step::WaitUntil(_)));
    let Step::Send(ticket) = run.poll(millis(999)) else { panic!("it is due") };
    (run, ticket)
}

#[test]
fn random_arrivals_that_were_not_sent_are_all_counted_before_the_phase_completes() {
    let (mut run, ticket) = behind();
    // The response comes when they are about to be counted.
    run.runner.finish(ticket, millis(1_000), Outcome::Success).unwrap();
    let mut counted = std::vec![(0, true)];
    loop {
        let step = run.poll(millis(1_000));
        if step == Step::PhaseEnded {
            break;
        }
        assert_eq!(step, Step::WaitUntil(millis(1_000)), "it asks for the next poll");
        counted.push((run.counts().unsent, run.counts().unsent_at_least));
    }
    let expected = asked_for(Arrival::poisson(5_000), Stop::after(SECOND)) - 1;
    let is_part = |pair: &[(u64, bool)]| pair[0].1 && pair[1].0 - pair[0].0 <= 1_024;
    assert!(counted.len() == 6 && counted.windows(2).all(is_part), "{counted:?}");
    assert_eq!((counted[5], run.counts().unsent), ((expected, false), expected));
    assert_eq!(run.counts().completed, 1);
}

#[test]
fn the_grace_period_ends_while_requests_are_counted() {
    let (mut run, ticket) = behind();
    for now in [1_000, 1_999, 2_000] {
        assert_eq!(run.poll(millis(now)), Step::WaitUntil(millis(now)));
        assert_eq!((run.runner.meter().stats().timed_out, run.counts().unsent_at_least), (now == 2_000, true));
    }
    assert_eq!(run.runner.finish(ticket, millis(2_000), Outcome::Success), Err(PhaseError::NotInFlight));
    while run.poll(millis(2_001)) != Step::PhaseEnded {}
    assert!(!run.counts().unsent_at_least);
    let events = [(PhaseEvent::SendingComplete, 1_000), (PhaseEvent::Timeout, 2_000), (PhaseEvent::Complete, 2_001)];
    assert_eq!(run.events.0[1..], events);
}

#[test]
fn a_closed_loop_keeps_its_concurrency_in_flight() {
    let mut run = Run::of(&[phase(Arrival::ClosedLoop { concurrency: 4 }, Stop::requests(40))]);
    assert_eq!(run.drive(Duration::from_millis(10), 100), millis(100));
    assert_eq!(run.counts().completed, 40);
}

#[test]
fn whichever_stop_comes_first_ends_the_sending() {
    for (requests, sent) in [(5, 5), (50, 10)] {
        let stop = Stop { requests: Some(requests), duration: Some(SECOND) };
        let mut run = Run::of(&[phase(Arrival::constant(10), stop)]);
        run.drive(Duration::ZERO, 1);
        assert_eq!(run.counts().sent, sent);
    }
}

#[test]
fn a_server_that_never_answers_times_the_phase_out() {
    let stop = Stop::after(Duration::from_secs(2));
    let mut run = Run::of(&[phase(Arrival::ClosedLoop { concurrency: 2 }, stop)]);
    assert_eq!(run.drive(Duration::MAX, 10), millis(3_000));
    assert!(run.runner.meter().stats().timed_out);
    assert_eq!((run.counts().sent, run.counts().completed, run.counts().cancelled), (2, 0, 2));
    let expected = [
        (PhaseEvent::Start, 0),
        (PhaseEvent::SendingComplete, 2_000),
        (PhaseEvent::Timeout, 3_000),
        (PhaseEvent::Complete, 3_000),
    ];
    assert_eq!(run.events.0, expected);
}

#[test]
fn a_phase_waits_for_a_driver_that_is_ready() {
    let mut run = Run::of(&[phase(Arrival::constant(10), Stop::after(SECOND))]);
    assert_eq!(run.runner.poll(millis(0), false, &mut run.events), Step::WaitUntil(Instant::MAX));
    let Step::Send(ticket) = run.poll(millis(700)) else { panic!("the first request is due at the start") };
    assert_eq!((ticket.intended(), run.events.0[0]), (millis(700), (PhaseEvent::Start, 700)));
}

#[test]
fn a_late_response_to_a_phase_that_timed_out_is_refused() {
    let mut run = Run::of(&[phase(Arrival::ClosedLoop { concurrency: 1 }, Stop::requests(1))]);
    let Step::Send(ticket) = run.poll(millis(0)) else { panic!("a closed loop sends at once") };
    let _ = run.poll(millis(1));
    assert_eq!(run.poll(millis(9_000)), Step::PhaseEnded);
    let before = *run.runner.meter().stats();
    assert_eq!(run.runner.finish(ticket, millis(9_000), Outcome::Success), Err(PhaseError::NotInFlight));
    assert_eq!(before, *run.runner.meter().stats());
}

#[test]
fn a_late_response_to_the_run_before_is_refused() {
    let phases = [phase(Arrival::ClosedLoop { concurrency: 1 }, Stop::requests(1))];
    let mut run = Run::of(&phases);
    let Step::Send(old) = run.poll(millis(0)) else { panic!("a closed loop sends at once") };
    run.runner.cancel(millis(1), &mut ());
    run.drive(Duration::ZERO, 1);
    assert!(run.begin(plan(1, &phases), "device"));
    let Step::Send(_live) = run.poll(millis(2)) else { panic!("a closed loop sends at once") };
    assert_eq!(run.runner.finish(old, millis(3), Outcome::Success), Err(PhaseError::NotInFlight));
    assert_eq!(run.counts().in_flight(), 1);
}

#[test]
fn cancel_ends_the_run_at_once_and_starts_no_other_phase() {
    let closed = phase(Arrival::ClosedLoop { concurrency: 3 }, Stop::requests(9));
    let mut run = Run::of(&[closed.clone(), closed]);
    let _open: Vec<_> = (0..3).map(|_| run.poll(millis(0))).collect();
    run.runner.cancel(millis(7), &mut run.events);
    let stats = run.runner.meter().stats();
    assert!(stats.cancelled);
    assert_eq!((stats.counts.sent, stats.counts.cancelled), (3, 3));
    assert_eq!(run.poll(millis(8)), Step::PhaseEnded);
    run.runner.next_phase();
    assert_eq!(run.poll(millis(9)), Step::Finished);
}

#[test]
fn a_run_that_is_cancelled_before_its_first_poll_sends_nothing() {
    let mut run = Run::of(&[phase(Arrival::ClosedLoop { concurrency: 1 }, Stop::requests(1))]);
    run.runner.cancel(Instant::BOOT, &mut run.events);
    assert_eq!(run.poll(Instant::BOOT), Step::Finished);
    assert!(run.events.0.is_empty());
}

#[test]
fn phases_know_how_many_of_their_kind_came_before() {
    use PhaseKind::{Profiling, Warmup};
    let kinds = [Warmup, Profiling, Warmup, Profiling];
    let phases = kinds.map(|kind| PhasePlan { kind, ..phase(Arrival::constant(1), Stop::requests(1)) });
    let mut run = Run::of(&phases);
    let mut seen = Vec::new();
    for _ in kinds {
        let Step::Send(ticket) = run.poll(millis(0)) else { panic!("it sends at once") };
        run.runner.finish(ticket, millis(0), Outcome::Success).unwrap();
        assert_eq!(run.poll(millis(0)), Step::PhaseEnded);
        let stats = run.runner.meter().stats();
        seen.push((stats.index, stats.kind, stats.instance));
        run.runner.next_phase();
    }
    assert_eq!(seen, [(0, Warmup, 0), (1, Profiling, 0), (2, Warmup, 1), (3, Profiling, 1)]);
}

#[test]
fn no_run_and_no_phases_are_the_same() {
    let mut run = Run::idle();
    assert_eq!(run.poll(Instant::BOOT), Step::Finished);
    assert!(!run.begin(RunPlan::new(0), "device"));
    assert_eq!(run.poll(Instant::BOOT), Step::Finished);
    assert!(run.runner.phase_plan().is_none());
}

#[test]
fn a_second_run_is_as_on_a_new_runner() {
    let phases = |requests| [phase(Arrival::constant(100), Stop::requests(requests))];
    let mut again = Run::idle();
    for requests in [5, 3] {
        assert!(again.begin(plan(1, &phases(requests)), "device"));
        let mut new = Run::of(&phases(requests));
        let service = Duration::from_millis(requests);
        assert_eq!(again.drive(service, 10), new.drive(service, 10));
        assert_eq!(again.events.0, new.events.0);
        assert_eq!(again.runner.meter().stats(), new.runner.meter().stats());
        let service = |run: &Run| run.histogram(LoadMetric::ServiceTime).totals();
        assert_eq!(service(&again), service(&new));
    }
}

/// When the requests of a Poisson run are due.
fn arrivals(seed: u64, device_id: &str) -> Vec<Instant> {
    let mut run = Run::idle();
    assert!(run.begin(plan(seed, &[phase(Arrival::poisson(100), Stop::requests(200))]), device_id));
    let (mut now, mut due) = (Instant::BOOT, Vec::new());
    loop {
        match run.poll(now) {
            Step::Send(ticket) => due.push(ticket.intended()),
            Step::WaitUntil(until) if run.counts().sent < 200 => now = until,
            _ => return due,
        }
    }
}

#[test]
fn devices_with_one_plan_do_not_coincide_and_each_is_reproducible() {
    let [one, other] = ["bench-1", "bench-2"].map(|device| arrivals(7, device));
    assert_eq!(one.len(), 200);
    assert_eq!(one.iter().filter(|due| other.contains(due)).count(), 0, "no two requests are due together");
    assert!(one == arrivals(7, "bench-1") && other == arrivals(7, "bench-2"));
    assert!(one != arrivals(8, "bench-1"));
}

proptest! {
    /// Of however many arrivals, each was sent or is counted.
    #[test]
    fn what_was_asked_for_was_sent_or_is_counted(
        rate in 1_u32..8_000, millis in 1_u64..2_000, limit in prop_oneof![Just(None), (0_u64..9_000).prop_map(Some)],
        connections in 1_usize..4, service in 0_u64..50_000_000,
    ) {
        let (arrival, stop) = (Arrival::poisson(rate), Stop { requests: limit, duration: Some(Duration::from_millis(millis)) });
        let mut run = Run::of(&[phase(arrival, stop)]);
        run.drive(Duration::from_nanos(service), connections);
        prop_assert_eq!(run.counts().sent + run.counts().unsent, asked_for(arrival, stop));
        prop_assert!(!run.counts().unsent_at_least);
    }

    /// Whatever the driver does, in whatever order, the run ends and its counts add up.
    #[test]
    fn every_run_ends_and_adds_up(
        seed: u64, rate in 1_u32..2_000, requests in 1_u64..60, connections in 1_usize..5, service in 0_u64..50_000_000,
    ) {
        let stop = Stop { requests: Some(requests), duration: Some(SECOND) };
        let plan = plan(seed, &[phase(Arrival::poisson(rate), stop)]);
        let run = || {
            let mut run = Run::idle();
            assert!(run.begin(plan.clone(), "device"));
            let end = run.drive(Duration::from_nanos(service), connections);
            (end, *run.runner.meter().stats(), run.histogram(LoadMetric::ResponseTime).clone())
        };
        let (end, stats, responses) = run();
        prop_assert!(stats.counts.is_consistent());
        prop_assert_eq!(stats.counts.in_flight(), 0);
        prop_assert_eq!(responses.count(), stats.counts.successful());
        prop_assert!(stats.counts.sent <= requests);
        prop_assert!((end, stats, responses) == run(), "the same seed and clock give the same run");
    }
}
