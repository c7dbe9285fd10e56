use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::meter::Metric;
use crate::phase::PhaseStats;
use crate::plan::{Arrival, PhaseKind, Rate, Workload};

fn phase(arrival: Arrival, stop: Stop) -> PhasePlan {
    let workload = Workload::get("/").unwrap();
    PhasePlan { kind: PhaseKind::Profiling, workload, arrival, stop, grace: Nanos::from_secs(1) }
}

fn runner(phases: &[PhasePlan]) -> Runner<64, 4, Events> {
    let mut plan = RunPlan::new(1);
    for phase in phases {
        plan.push(phase.clone()).unwrap();
    }
    Runner::new(plan, Events::default()).unwrap()
}

#[derive(Debug, Default)]
struct Events(Vec<(&'static str, u64)>);

impl PhaseHook for Events {
    fn on_phase_start(&mut self, _: &PhaseStats, now: Nanos) {
        self.0.push(("start", now.get()));
    }
    fn on_phase_sending_complete(&mut self, _: &PhaseStats, now: Nanos) {
        self.0.push(("sending complete", now.get()));
    }
    fn on_phase_timeout(&mut self, phase: &PhaseStats, now: Nanos) {
        assert!(phase.counts.in_flight() > 0);
        self.0.push(("timeout", now.get()));
    }
    fn on_phase_complete(&mut self, phase: &PhaseStats, now: Nanos) {
        assert_eq!(phase.counts.in_flight(), 0);
        self.0.push(("complete", now.get()));
    }
}

/// Runs to the end with a server that answers after `service`, on at most `connections`.
fn drive(runner: &mut Runner<64, 4, Events>, service: Nanos, connections: usize) -> Nanos {
    let mut now = Nanos::ZERO;
    let mut open: Vec<(Nanos, Ticket)> = Vec::new();
    loop {
        open.sort_by_key(|(end, ticket)| (*end, ticket.number()));
        while open.first().is_some_and(|(end, _)| *end <= now) {
            let (end, ticket) = open.remove(0);
            runner.finish(&ticket, end, Outcome::Success).unwrap();
        }
        match runner.poll(now, open.len() < connections) {
            Step::Send(ticket) => open.push((now.saturating_add(service), ticket)),
            Step::WaitUntil(until) => now = open.iter().map(|(end, _)| *end).fold(until, Nanos::min),
            Step::PhaseEnded => {
                open.clear();
                runner.next_phase();
            }
            Step::Finished => return now,
        }
    }
}

#[test]
fn a_constant_rate_sends_on_time_and_stops_after_its_duration() {
    let constant = Arrival::Constant { rate: Rate::per_second(100) };
    let mut runner = runner(&[phase(constant, Stop::after(Nanos::from_secs(1)))]);
    let end = drive(&mut runner, Nanos::from_millis(5), 10);
    assert_eq!(runner.meter().stats().counts.sent, 100);
    assert_eq!(runner.meter().histogram(Metric::ScheduleLag).max(), Some(0));
    assert_eq!(end, Nanos::from_secs(1));
    assert_eq!(runner.hook.0, [("start", 0), ("sending complete", 1_000_000_000), ("complete", 1_000_000_000)]);
}

#[test]
fn a_slow_server_shows_as_schedule_lag_in_an_open_loop() {
    let constant = Arrival::Constant { rate: Rate::per_second(100) };
    let mut runner = runner(&[phase(constant, Stop::requests(11))]);
    drive(&mut runner, Nanos::from_millis(20), 1);
    // Each request takes twice its interval: the last is 10 · 10 ms late, and response time tells.
    assert_eq!(runner.meter().histogram(Metric::ScheduleLag).max(), Some(100_000_000));
    assert_eq!(runner.meter().histogram(Metric::ServiceTime).max(), Some(20_000_000));
    assert_eq!(runner.meter().histogram(Metric::ResponseTime).max(), Some(120_000_000));
}

#[test]
fn what_is_overdue_when_sending_ends_is_counted_as_unsent() {
    let constant = Arrival::Constant { rate: Rate::per_second(100) };
    let second = Stop::after(Nanos::from_secs(1));
    let limited = Stop { requests: Some(60), duration: Some(Nanos::from_secs(1)) };
    for (stop, unsent) in [(second, 50), (limited, 10)] {
        let mut runner = runner(&[phase(constant, stop)]);
        drive(&mut runner, Nanos::from_millis(20), 1);
        // One connection and 20 ms a request: 50 requests in the second in which 100 are due.
        assert_eq!(runner.meter().stats().counts.sent, 50);
        assert_eq!(runner.meter().stats().counts.unsent, unsent);
    }
}

#[test]
fn a_closed_loop_keeps_its_concurrency_in_flight() {
    let mut runner = runner(&[phase(Arrival::ClosedLoop { concurrency: 4 }, Stop::requests(40))]);
    let end = drive(&mut runner, Nanos::from_millis(10), 100);
    assert_eq!(end, Nanos::from_millis(100));
    assert_eq!(runner.meter().stats().counts.completed, 40);
}

#[test]
fn whichever_stop_comes_first_ends_the_sending() {
    let constant = Arrival::Constant { rate: Rate::per_second(10) };
    let both = |requests| Stop { requests: Some(requests), duration: Some(Nanos::from_secs(1)) };
    let mut runner = runner(&[phase(constant, both(5)), phase(constant, both(50))]);
    let mut sent = Vec::new();
    let mut now = Nanos::ZERO;
    loop {
        match runner.poll(now, true) {
            Step::Send(ticket) => runner.finish(&ticket, now, Outcome::Success).unwrap(),
            Step::WaitUntil(until) => now = until,
            Step::PhaseEnded => {
                sent.push(runner.meter().stats().counts.sent);
                runner.next_phase();
            }
            Step::Finished => break,
        }
    }
    assert_eq!(sent, [5, 10]);
}

#[test]
fn a_server_that_never_answers_times_the_phase_out() {
    let mut runner = runner(&[phase(Arrival::ClosedLoop { concurrency: 2 }, Stop::after(Nanos::from_secs(2)))]);
    let end = drive(&mut runner, Nanos::MAX, 10);
    assert_eq!(end, Nanos::from_secs(3));
    let stats = runner.meter().stats();
    assert!(stats.timed_out);
    assert_eq!((stats.counts.sent, stats.counts.completed, stats.counts.cancelled), (2, 0, 2));
    assert_eq!(
        runner.hook.0,
        [("start", 0), ("sending complete", 2_000_000_000), ("timeout", 3_000_000_000), ("complete", 3_000_000_000)]
    );
}

#[test]
fn a_late_response_to_a_phase_that_timed_out_is_refused() {
    let mut runner = runner(&[phase(Arrival::ClosedLoop { concurrency: 1 }, Stop::requests(1))]);
    let Step::Send(ticket) = runner.poll(Nanos::ZERO, true) else { panic!("a closed loop sends at once") };
    let _ = runner.poll(Nanos::new(1), true);
    assert_eq!(runner.poll(Nanos::from_secs(9), true), Step::PhaseEnded);
    let before = *runner.meter().stats();
    assert_eq!(runner.finish(&ticket, Nanos::from_secs(9), Outcome::Success), Err(PhaseError::NotInFlight));
    assert_eq!(before, *runner.meter().stats());
}

#[test]
fn cancel_ends_the_run_at_once_and_starts_no_other_phase() {
    let closed = phase(Arrival::ClosedLoop { concurrency: 3 }, Stop::requests(9));
    let mut runner = runner(&[closed.clone(), closed]);
    for _ in 0..3 {
        assert!(matches!(runner.poll(Nanos::ZERO, true), Step::Send(_)));
    }
    runner.cancel(Nanos::new(7));
    let stats = runner.meter().stats();
    assert!(stats.cancelled && !stats.timed_out);
    assert_eq!(stats.counts.cancelled, 3);
    assert_eq!(runner.poll(Nanos::new(8), true), Step::PhaseEnded);
    runner.next_phase();
    assert_eq!(runner.poll(Nanos::new(9), true), Step::Finished);
}

#[test]
fn a_plan_that_cannot_run_is_refused() {
    assert_eq!(Runner::<64, 1>::new(RunPlan::new(0), ()).unwrap_err(), RunnerError::NoPhases);
}

#[test]
fn a_run_that_is_cancelled_before_its_first_poll_sends_nothing() {
    let mut runner = runner(&[phase(Arrival::ClosedLoop { concurrency: 1 }, Stop::requests(1))]);
    runner.cancel(Nanos::ZERO);
    assert_eq!(runner.poll(Nanos::ZERO, true), Step::Finished);
    assert!(runner.hook.0.is_empty());
}

proptest! {
    /// Whatever the driver does, in whatever order, the run ends and its counts add up.
    #[test]
    fn every_run_ends_and_adds_up(
        seed: u64, rate in 1_u32..2_000, requests in 1_u64..60, connections in 1_usize..5, service in 0_u64..50_000_000,
    ) {
        let mut plan = RunPlan::<4>::new(seed);
        let poisson = Arrival::Poisson { rate: Rate::per_second(rate) };
        plan.push(phase(poisson, Stop { requests: Some(requests), duration: Some(Nanos::from_secs(1)) })).unwrap();
        let run = || {
            let mut runner = Runner::<64, 4, Events>::new(plan.clone(), Events::default()).unwrap();
            let end = drive(&mut runner, Nanos::new(service), connections);
            (end, *runner.meter().stats(), runner.meter().histogram(Metric::ResponseTime).clone())
        };
        let (end, stats, responses) = run();
        prop_assert!(stats.counts.is_consistent());
        prop_assert_eq!(stats.counts.in_flight(), 0);
        prop_assert_eq!(responses.count(), stats.counts.successful());
        prop_assert!(stats.counts.sent <= requests);
        prop_assert!((end, stats, responses) == run(), "the same seed and clock give the same run");
    }
}

#[test]
fn a_restarted_runner_is_as_a_new_one() {
    let constant = Arrival::Constant { rate: Rate::per_second(100) };
    let plan = |requests| {
        let mut plan = RunPlan::new(1);
        plan.push(phase(constant, Stop::requests(requests))).unwrap();
        plan
    };
    let mut restarted = Runner::idle(Events::default());
    assert_eq!(restarted.poll(Nanos::ZERO, true), Step::Finished);
    assert_eq!(restarted.restart(RunPlan::new(0)), Err(RunnerError::NoPhases));
    for requests in [5, 3] {
        restarted.restart(plan(requests)).unwrap();
        let mut new = runner(plan(requests).phases());
        restarted.hook.0.clear();
        let service = Nanos::from_millis(requests);
        assert_eq!(drive(&mut restarted, service, 10), drive(&mut new, service, 10));
        assert_eq!(restarted.hook.0, new.hook.0);
        assert_eq!(restarted.meter().stats(), new.meter().stats());
        let service = |runner: &Runner<64, 4, Events>| runner.meter().histogram(Metric::ServiceTime).totals();
        assert_eq!(service(&restarted), service(&new));
    }
}
