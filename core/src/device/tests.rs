//! A device as its driver, its host and its line see it.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::hook::PhaseEvent;
use crate::metric::Unit;
use crate::outcome::Failure;
use crate::phase::PhaseStats;
use crate::plan::{Arrival, PlanError, Stop, Workload};
use crate::telemetry::tests::IDENTITY;
use crate::telemetry::tests::mirror::{Boot, Host, frames};
use crate::telemetry::{
    COMMAND_VERSION, Command, CommandEnvelope, Finished, Frame, MAX_ENCODED, MetricTotals, encode_command,
};
use crate::time::Duration;

mod anything;
mod host;
mod line;
mod reported;
mod stream;

/// Those of a load generator, and one of the device's own.
const METRICS: usize = LOAD_METRICS + 1;

const OWN: [Metric<'static>; 1] = [Metric::count("body_bytes")];

/// Takes a whole snapshot.
const QUEUE: usize = 8192;

type Memory = Storage<METRICS, 64, 4, QUEUE>;
type Load<'a> = Device<'a, METRICS, 64, 4, QUEUE>;

fn at(millis: u64) -> Instant {
    Instant::BOOT.saturating_add(Duration::from_millis(millis))
}

fn phase(arrival: Arrival, stop: Stop) -> PhasePlan {
    let grace = Duration::from_secs(1);
    PhasePlan { grace, ..PhasePlan::profiling(Workload::get("/").unwrap(), arrival, stop) }
}

fn plan<const P: usize>(phases: &[PhasePlan]) -> RunPlan<P> {
    let mut plan = RunPlan::new(5);
    for phase in phases {
        plan.push(phase.clone()).unwrap();
    }
    plan
}

/// One request after the other.
fn closed(requests: u64) -> PhasePlan {
    phase(Arrival::ClosedLoop { concurrency: 1 }, Stop::requests(requests))
}

fn device(storage: &mut Memory) -> Load<'_> {
    Device::new(storage, IDENTITY, &OWN, TelemetryConfig::default(), ())
}

/// Sends up to so many bytes of what waits.
fn drain<const M: usize, const N: usize, const P: usize, const Q: usize, H: PhaseHook>(
    device: &mut Device<'_, M, N, P, Q, H>,
    mut bytes: usize,
    line: &mut Vec<u8>,
) {
    while bytes > 0 && !device.transmit().is_empty() {
        let sent = device.transmit().len().min(bytes);
        line.extend(&device.transmit()[..sent]);
        device.sent(sent);
        bytes -= sent;
    }
}

/// The metrics are told of by name, in the order of the device's table.
fn assert_table(boot: &Boot) {
    let names = LoadMetric::ALL.map(LoadMetric::name).into_iter().map(|name| (name, Unit::Nanoseconds));
    let expected = names.chain([("body_bytes", Unit::Count)]);
    let table: BTreeMap<u8, (String, Unit)> =
        (0..).zip(expected.map(|(name, unit)| (name.to_string(), unit))).collect();
    assert_eq!((&boot.table, boot.hello.metrics), (&table, 6));
}

/// A driver and a line, and all that came over it.
struct Bench<'a> {
    device: Load<'a>,
    now: Instant,
    line: Vec<u8>,
    /// What the device asked for, apart from waiting.
    steps: Vec<&'static str>,
    next_command: u32,
}

impl<'a> Bench<'a> {
    fn new(storage: &'a mut Memory) -> Self {
        Self::with(storage, TelemetryConfig::default())
    }

    fn with(storage: &'a mut Memory, config: TelemetryConfig) -> Self {
        let device = Device::new(storage, IDENTITY, &OWN, config, ());
        Self { device, now: Instant::BOOT, line: Vec::new(), steps: Vec::new(), next_command: 1 }
    }

    /// Polls for so long over a line that takes everything. Requests take no time, starts are accepted.
    fn poll_for(&mut self, millis: u64) {
        let end = self.now.saturating_add(Duration::from_millis(millis));
        while self.now < end {
            self.poll();
            drain(&mut self.device, usize::MAX, &mut self.line);
        }
    }

    fn poll(&mut self) {
        let step = match self.device.poll(self.now, true) {
            Step::WaitUntil(until) => {
                let later = self.now.saturating_add(Duration::from_micros(100));
                self.now = until.clamp(later, self.now.saturating_add(Duration::from_millis(10)));
                return;
            }
            Step::Send(ticket) => {
                self.device.finish(ticket, self.now, Outcome::Success).unwrap();
                "send"
            }
            Step::Asked => {
                self.device.start();
                "asked"
            }
            Step::PhaseBegins => "begins",
            Step::PhaseEnded => "ended",
            Step::Finished => "finished",
        };
        self.steps.push(step);
    }

    /// Gives a command, and polls until it is answered.
    fn command(&mut self, command: Command<'_>) -> Option<String> {
        let id = self.next_command;
        self.next_command += 1;
        self.device.receive(&order(id, command));
        self.poll_for(2);
        let host = Host::of(&self.line);
        let mut answers = host.boots.iter().flat_map(|(_, boot)| &boot.answers);
        answers.find(|(command, ..)| *command == id).expect("there is an answer").1.clone()
    }

    /// Uploads and starts a plan.
    fn start(&mut self, plan: &RunPlan<4>) {
        let plan_hash = plan.content_hash();
        let phases = u16::try_from(plan.phases().len()).unwrap();
        let prepare = Command::Prepare { plan_hash, seed: plan.seed(), phases, target: "server:80" };
        assert_eq!(self.command(prepare), None);
        for (index, phase) in (0..).zip(plan.phases()) {
            assert_eq!(self.command(Command::Phase { index, phase: phase.clone() }), None);
        }
        assert_eq!(self.command(Command::Start { plan_hash }), None);
    }

    fn host(&self) -> Host {
        Host::of(&self.line)
    }
}

/// A command as bytes.
fn order(id: u32, command: Command<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_ENCODED];
    let length = encode_command(&CommandEnvelope { version: COMMAND_VERSION, id, command }, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn a_driver_is_told_of_each_phase_once_and_of_the_end_once() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    assert!(bench.device.run(plan(&[closed(2), closed(1)])));
    assert!(!bench.device.is_idle());
    bench.poll_for(5_000);
    assert_eq!(bench.steps, ["begins", "send", "send", "ended", "begins", "send", "ended", "finished"]);
    assert!(bench.device.is_idle() && !bench.device.has_lost() && !bench.device.is_cancelled());
    let boot = bench.host().boot().clone();
    assert_table(&boot);
    assert!(boot.phases.len() == 2 && boot.is_whole());
    assert_eq!(boot.finished, Some(Finished { phases: 2, cancelled: false, skipped: 0 }));
    assert_eq!(boot.ends, u32::from(TelemetryConfig::default().final_repeats));
}

#[test]
fn an_idle_device_says_hello_once_a_second_and_sleeps_meanwhile() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    let mut hellos = 0;
    for second in 0..5 {
        let _ = bench.device.poll(at(second * 1_000), true);
        let step = bench.device.poll(at(second * 1_000), true);
        assert_eq!(step, Step::WaitUntil(at((second + 1) * 1_000)), "there is nothing to do before the next hello");
        drain(&mut bench.device, usize::MAX, &mut bench.line);
        hellos += 1;
        assert_eq!(bench.host().boot().hellos, hellos);
    }
    let hello = bench.host().boot().hello;
    assert_eq!((hello.mode, hello.plan_hash, hello.phases, hello.capacity), (Mode::Idle, 0, 0, 64));
}

#[test]
fn a_device_that_is_done_sleeps_between_its_hellos() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    bench.device.run(plan(&[closed(2)]));
    bench.poll_for(5_000);
    let mut polls = 0;
    let end = bench.now.saturating_add(Duration::from_secs(10));
    while bench.now < end {
        let Step::WaitUntil(until) = bench.device.poll(bench.now, true) else { panic!("the run is over") };
        bench.now = bench.now.max(until);
        drain(&mut bench.device, usize::MAX, &mut bench.line);
        polls += 1;
        assert!(polls < 100, "it need not be polled so often");
    }
}

#[test]
fn a_phase_starts_when_the_driver_is_ready() {
    let mut storage = Memory::new();
    let mut device = device(&mut storage);
    device.run(plan(&[closed(1)]));
    assert_eq!(device.phase_plan(), Some(&closed(1)));
    assert_eq!(device.poll(at(0), false), Step::PhaseBegins);
    for millis in 1..50 {
        assert!(matches!(device.poll(at(millis), false), Step::WaitUntil(_)));
    }
    assert!(matches!(device.poll(at(50), true), Step::Send(ticket) if ticket.intended() == at(50)));
    assert_eq!(device.meter().stats().started_at, Some(at(50)));
}

#[test]
fn a_run_that_cannot_be_started_changes_nothing() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    assert!(!bench.device.run(RunPlan::new(1)), "no phases");
    assert!(bench.device.run(plan(&[closed(3)])));
    assert!(!bench.device.run(plan(&[closed(9)])), "a run is under way");
    bench.device.refuse(Reason::BAD_TARGET);
    bench.device.start();
    bench.poll_for(5_000);
    assert_eq!(bench.device.meter().stats().counts.completed, 3);
    assert_eq!(bench.host().boots.len(), 1);
    assert!(matches!(
        plan::<4>(&[closed(1)]).push(phase(Arrival::constant(1), Stop::default())),
        Err(PlanError::Endless(_))
    ));
}

/// Runs with all that a boot says of itself: its name, its first sequence number, and how it ended.
#[test]
fn each_run_is_a_boot_of_its_own() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    bench.poll_for(1_500);
    for requests in 1..=3 {
        assert!(bench.device.run(plan(&[closed(requests)])));
        bench.poll_for(3_500);
    }
    let host = bench.host();
    assert_eq!(host.boots.len(), 4);
    let first = &host.boots[0].1;
    assert_eq!((first.hello.mode, first.phases.len(), first.finished), (Mode::Idle, 0, None));
    for (requests, (_, boot)) in (1..).zip(&host.boots[1..]) {
        assert_eq!(boot.frames, boot.sequence, "numbered from 0, without gaps");
        assert!(boot.phases[&0].is_whole());
        assert_eq!(boot.phases[&0].report.unwrap().stats.counts.completed, requests);
        assert_eq!((boot.hello.mode, boot.hello.plan_hash), (Mode::Idle, 0), "it says so once the run is over");
        assert!(boot.finished.is_some());
    }
    // The same device after a reset with another boot id: other names for the same runs.
    let mut other = Memory::new();
    let identity = Identity { boot_id: IDENTITY.boot_id - 1, ..IDENTITY };
    let mut device = Device::new(&mut other, identity, &OWN, TelemetryConfig::default(), ());
    let mut line = Vec::new();
    device.run(plan(&[closed(1)]));
    let _ = device.poll(at(0), true);
    drain(&mut device, usize::MAX, &mut line);
    assert!(host.boots.iter().all(|(boot, _)| *boot != Host::of(&line).boots[0].0));
}

#[test]
fn own_metrics_are_recorded_in_a_phase_and_counted_outside_of_any() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    assert!(!bench.device.record(0, 7), "there is no run");
    bench.device.run(plan(&[closed(3)]));
    assert!(!bench.device.record(0, 7), "the phase has not started");
    while bench.device.meter().stats().counts.sent < 2 {
        bench.poll();
    }
    assert!(bench.device.record(0, 512));
    assert!(!bench.device.record(1, 512), "there is one");
    assert!(!bench.device.record(usize::MAX, 512));
    bench.poll_for(5_000);
    assert!(!bench.device.record(0, 7), "the run is over");
    bench.poll_for(2_000);
    let boot = bench.host().boot().clone();
    assert_eq!(boot.hello.outside, 3);
    assert!(boot.phases[&0].is_whole());
    let own = boot.phases[&0].metric(5).whole.unwrap();
    assert_eq!((own.count, own.min), (1, 512));
}

#[test]
fn a_run_that_is_cancelled_before_it_begins_ran_no_phase() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    bench.device.run(plan(&[closed(1)]));
    bench.device.cancel(bench.now);
    bench.poll_for(100);
    assert_eq!(bench.steps, ["finished"]);
    assert_eq!(bench.host().boot().finished, Some(Finished { phases: 0, cancelled: true, skipped: 0 }));
}

#[test]
fn tickets_of_a_phase_that_gave_them_up_and_of_an_earlier_run_are_refused() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    bench.device.run(plan(&[closed(1)]));
    let _ = bench.device.poll(at(0), true);
    let Step::Send(old) = bench.device.poll(at(0), true) else { panic!("a closed loop sends at once") };
    bench.now = at(5_000);
    bench.poll_for(3_000);
    assert_eq!(bench.steps, ["ended", "finished"]);
    assert!(bench.device.meter().stats().timed_out);
    bench.device.run(plan(&[closed(1)]));
    bench.poll();
    assert!(matches!(bench.device.poll(bench.now, true), Step::Send(_)));
    assert_eq!(bench.device.finish(old, bench.now, Outcome::Success), Err(PhaseError::NotInFlight));
    assert_eq!(bench.device.meter().stats().counts.in_flight(), 1);
}

#[test]
fn hooks_see_what_the_driver_sees() {
    #[derive(Default)]
    struct Names(Vec<(PhaseEvent, u16)>);
    impl PhaseHook for Names {
        fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, _: Instant) {
            self.0.push((event, phase.index));
        }
    }
    let (mut names, mut storage) = (Names::default(), Memory::new());
    let mut device = Device::new(&mut storage, IDENTITY, &OWN, TelemetryConfig::default(), &mut names);
    device.run(plan(&[closed(1), closed(1)]));
    let mut now = Instant::BOOT;
    while !device.is_idle() {
        match device.poll(now, true) {
            Step::Send(ticket) => device.finish(ticket, now, Outcome::Success).unwrap(),
            Step::WaitUntil(until) => now = now.max(until),
            _ => {}
        }
        device.sent(usize::MAX);
    }
    let events = [PhaseEvent::Start, PhaseEvent::SendingComplete, PhaseEvent::Complete];
    let expected: Vec<_> = [0, 1].into_iter().flat_map(|index| events.map(|event| (event, index))).collect();
    assert_eq!(names.0, expected);
}
