//! The whole application against a server that follows a script, in simulated time.

mod support;

use phasemeter::session::{LineErrors, Session};
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::outcome::Failures;
use phasemeter_core::phase::PhaseCounts;
use phasemeter_core::plan::{Arrival, Rate, Stop, Workload};
use phasemeter_core::telemetry::Command;
use phasemeter_core::time::{Duration, Instant};
use phasemeter_firmware::app::Metering;
use phasemeter_firmware::scripted::{Fault, Script};

use support::{CHAT, Simulation, config, get, plan};

const SCRIPT: Script = Script {
    latency: Duration::from_millis(10),
    first_token: Duration::from_millis(40),
    inter_token: Duration::from_millis(5),
    tokens: 8,
    fault: |_| Fault::None,
};

const ONE: Arrival = Arrival::ClosedLoop { concurrency: 1 };
const EIGHT: Arrival = Arrival::ClosedLoop { concurrency: 8 };

/// How much longer than the script something may take: a few steps of the simulation.
const OVERHEAD: u64 = 200_000;

fn simulation(fault: fn(u32) -> Fault) -> Simulation {
    Simulation::new(config(), Script { fault, ..SCRIPT })
}

/// The smallest and the largest of a metric, in nanoseconds.
fn extremes(simulation: &Simulation, phase: u16, metric: LoadMetric) -> (u64, u64) {
    let histogram = simulation.histogram(phase, metric);
    (histogram.min().unwrap(), histogram.max().unwrap())
}

#[track_caller]
fn assert_within(simulation: &Simulation, phase: u16, metric: LoadMetric, truth: Duration) {
    let (min, max) = extremes(simulation, phase, metric);
    let allowed = truth.as_nanos()..=truth.as_nanos() + OVERHEAD;
    assert!(allowed.contains(&min) && allowed.contains(&max), "{metric}: {min} to {max}, the script says {truth}");
}

#[test]
fn both_workloads_are_measured_as_the_script_has_them() {
    let mut simulation = simulation(SCRIPT.fault);
    let poisson = Arrival::poisson(20);
    simulation.carry_out(&plan(&[
        (get(), ONE, Stop::requests(50)),
        (get(), EIGHT, Stop::requests(400)),
        (CHAT, poisson, Stop::requests(60)),
    ]));
    for (phase, sent) in [(0, 50), (1, 400), (2, 60)] {
        let expected = PhaseCounts { sent, completed: sent, ..PhaseCounts::default() };
        assert_eq!(simulation.counts(phase), expected);
        assert_eq!(extremes(&simulation, phase, LoadMetric::ScheduleLag).0 / OVERHEAD, 0);
    }
    for phase in [0, 1] {
        assert_within(&simulation, phase, LoadMetric::ServiceTime, SCRIPT.latency);
    }
    assert_within(&simulation, 2, LoadMetric::TimeToFirstToken, SCRIPT.first_token);
    assert_within(&simulation, 2, LoadMetric::InterTokenLatency, SCRIPT.inter_token);
    assert_within(&simulation, 2, LoadMetric::ServiceTime, Duration::from_millis(40 + 7 * 5));
    assert_eq!((simulation.session.lost_frames(), simulation.session.errors()), (0, &LineErrors::default()));
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let mut simulation = simulation(SCRIPT.fault);
    let constant = Arrival::constant(500);
    simulation.carry_out(&plan(&[(get(), constant, Stop::after(Duration::from_secs(4)))]));
    assert_eq!(simulation.counts(0).sent, 2000);
    assert!(extremes(&simulation, 0, LoadMetric::ScheduleLag).1 <= OVERHEAD);
}

#[test]
fn faults_are_counted_by_cause_and_the_next_request_succeeds() {
    let none = Failures::default();
    let statuses = [(500, 10)].into_iter().collect();
    for (fault, failures) in [
        (Fault::Reset, Failures { broken: 10, ..none.clone() }),
        (Fault::Truncate, Failures { broken: 10, ..none.clone() }),
        (Fault::Status500, Failures { statuses, ..none.clone() }),
        (Fault::Garbage, Failures { malformed: 10, ..none.clone() }),
        (Fault::Close, none),
    ] {
        for workload in [get(), CHAT] {
            let mut simulation = simulation(match fault {
                Fault::Reset => |n| if n % 4 == 1 { Fault::Reset } else { Fault::None },
                Fault::Truncate => |n| if n % 4 == 1 { Fault::Truncate } else { Fault::None },
                Fault::Status500 => |n| if n % 4 == 1 { Fault::Status500 } else { Fault::None },
                Fault::Garbage => |n| if n % 4 == 1 { Fault::Garbage } else { Fault::None },
                _ => |n| if n % 4 == 1 { Fault::Close } else { Fault::None },
            });
            simulation.carry_out(&plan(&[(workload.clone(), ONE, Stop::requests(40))]));
            let errors = failures.total();
            let expected = PhaseCounts { sent: 40, completed: 40, errors, ..PhaseCounts::default() };
            assert_eq!(simulation.counts(0), expected, "{fault:?} {workload:?}");
            assert_eq!(simulation.failures(0), failures, "{workload:?}");
            assert_eq!(simulation.observed(0, LoadMetric::ServiceTime), 40 - errors);
        }
    }
}

#[test]
fn an_error_before_the_request_is_whole_does_no_harm_to_the_next() {
    let mut simulation = simulation(|n| if n % 4 == 1 { Fault::EarlyError } else { Fault::None });
    let long = Workload::Chat { prompt_tokens: 2_000, output_tokens: 8 };
    simulation.carry_out(&plan(&[(long, ONE, Stop::requests(40))]));
    let expected = PhaseCounts { sent: 40, completed: 40, errors: 10, ..PhaseCounts::default() };
    assert_eq!(simulation.counts(0), expected);
}

#[test]
fn a_phase_without_reports_sleeps_all_the_same() {
    let mut config = config();
    config.metering = Metering::Silent;
    let mut simulation = Simulation::new(config, SCRIPT);
    let rare = Arrival::constant(1);
    let plan = plan(&[(get(), rare, Stop::requests(20))]);
    simulation.start(&plan);
    simulation.run_for(Duration::from_millis(5_500));
    let now = simulation.clock.now();
    assert!(simulation.app.poll() > now.saturating_add(Duration::from_millis(100)));
}

#[test]
fn a_device_without_a_run_sleeps() {
    let mut simulation = simulation(SCRIPT.fault);
    let assert_sleeps = |simulation: &mut Simulation| {
        simulation.run_for(Duration::from_secs(1));
        simulation.polls = 0;
        simulation.run_for(Duration::from_secs(10));
        // A hello and a table each second, a few bytes at a time.
        assert!(simulation.polls < 500, "{}", simulation.polls);
    };
    assert_sleeps(&mut simulation);
    simulation.carry_out(&plan(&[(get(), EIGHT, Stop::requests(80))]));
    assert_sleeps(&mut simulation);
}

#[test]
fn a_stall_ends_with_the_grace_of_its_phase() {
    let mut simulation = simulation(|n| if n == 3 { Fault::Stall } else { Fault::None });
    simulation.carry_out(&plan(&[(get(), EIGHT, Stop::requests(80)), (get(), EIGHT, Stop::requests(80))]));
    let expected = PhaseCounts { sent: 80, completed: 79, cancelled: 1, ..PhaseCounts::default() };
    assert_eq!(simulation.counts(0), expected);
    assert!(simulation.stats(0).timed_out);
    assert_eq!(simulation.counts(1), PhaseCounts { sent: 80, completed: 80, ..PhaseCounts::default() });
}

#[test]
fn the_server_is_told_which_connections_are_given_up() {
    // It has nine, and would refuse new ones if it had to keep its ends of those that it closed first.
    let mut simulation = simulation(|n| if n % 4 == 1 { Fault::Truncate } else { Fault::None });
    simulation.carry_out(&plan(&[(get(), ONE, Stop::requests(80))]));
    assert_eq!(simulation.counts(0), PhaseCounts { sent: 80, completed: 80, errors: 20, ..PhaseCounts::default() });
}

#[test]
fn a_server_that_falls_silent_does_not_hold_a_closed_loop() {
    let mut simulation = simulation(|n| if n < 2 { Fault::Stall } else { Fault::None });
    simulation.carry_out(&plan(&[(get(), ONE, Stop::requests(10))]));
    let expected = PhaseCounts { sent: 10, completed: 10, errors: 2, ..PhaseCounts::default() };
    assert_eq!(simulation.counts(0), expected);
    assert_eq!(simulation.failures(0), Failures { timed_out: 2, ..Failures::default() });
    let stats = simulation.stats(0);
    let took = stats.completed_at.unwrap().since(stats.started_at.unwrap());
    assert_eq!(took.as_nanos() / 1_000_000_000, 2 * 60, "{took}");
}

#[test]
fn connections_that_the_server_closes_are_open_again_before_they_are_needed() {
    let mut simulation = simulation(|_| Fault::Close);
    let constant = Arrival::constant(100);
    simulation.carry_out(&plan(&[(get(), constant, Stop::requests(100))]));
    assert_eq!(simulation.counts(0), PhaseCounts { sent: 100, completed: 100, ..PhaseCounts::default() });
    // A request that waited for its connection has a response time that is longer than its service time.
    let [(_, response), (_, service)] =
        [LoadMetric::ResponseTime, LoadMetric::ServiceTime].map(|metric| extremes(&simulation, 0, metric));
    assert!(response - service <= 50_000, "{response} ns with the wait, {service} ns without");
}

#[test]
fn a_dead_server_ends_in_a_report() {
    let mut simulation = simulation(SCRIPT.fault);
    simulation.peer.set_port(0);
    simulation.carry_out(&plan(&[(get(), EIGHT, Stop::after(Duration::from_secs(1)))]));
    let dead = simulation.counts(0);
    assert!(dead.errors > 0 && dead.errors + dead.cancelled == dead.sent, "{dead:?}");
    // Eight connections, each tried again after 10 ms.
    assert!(dead.sent <= 8 * 101, "{dead:?}");
    assert_eq!(simulation.failures(0), Failures { not_connected: dead.errors, ..Failures::default() });
}

#[test]
fn a_server_that_comes_back_is_found_again() {
    let mut simulation = simulation(SCRIPT.fault);
    simulation.peer.set_port(0);
    let constant = Arrival::constant(50);
    let plan = plan(&[(get(), constant, Stop::after(Duration::from_secs(4)))]);
    assert_eq!(simulation.ask_for("10.0.2.2:8080", &plan), None);
    simulation.run_for(Duration::from_secs(2));
    simulation.peer.set_port(support::PORT);
    simulation.await_end();
    let counts = simulation.counts(0);
    assert_eq!(counts.sent, 200);
    assert!((90..=100).contains(&counts.successful()), "{counts:?}");
}

#[test]
fn the_load_does_not_wait_for_the_line() {
    let mut simulation = simulation(SCRIPT.fault);
    let constant = Arrival::constant(200);
    let plan = plan(&[(get(), constant, Stop::after(Duration::from_secs(10)))]);
    simulation.start(&plan);
    simulation.run_for(Duration::from_secs(2));
    simulation.serial.0.borrow_mut().is_stuck = true;
    simulation.run_for(Duration::from_secs(5));
    simulation.serial.0.borrow_mut().is_stuck = false;
    simulation.await_end();
    assert_eq!(simulation.counts(0), PhaseCounts { sent: 2000, completed: 2000, ..PhaseCounts::default() });
    assert!(extremes(&simulation, 0, LoadMetric::ScheduleLag).1 <= OVERHEAD);
    assert!(simulation.boot().skipped() > 0);
    assert_eq!(simulation.observed(0, LoadMetric::ResponseTime), 2000);
}

#[test]
fn a_line_that_is_stuck_for_good_does_not_hold_the_device() {
    let mut simulation = simulation(SCRIPT.fault);
    let plan = plan(&[(get(), ONE, Stop::after(Duration::from_secs(1))), (get(), ONE, Stop::requests(20))]);
    simulation.start(&plan);
    simulation.serial.0.borrow_mut().is_stuck = true;
    simulation.run_until(Duration::from_secs(60), |simulation| simulation.app.is_over());
    // It looks at the line twice in a millisecond, and sleeps in between.
    assert!(simulation.polls < 3 * 60_000, "{}", simulation.polls);
    // Both phases were run.
    assert!(simulation.peer.requests() > 90, "{}", simulation.peer.requests());
    simulation.serial.0.borrow_mut().is_stuck = false;
    simulation.session = Session::new();
    assert_eq!(simulation.ask(Command::Identify), None);
    simulation.carry_out(&plan);
    assert_eq!(simulation.counts(1).completed, 20);
}

#[test]
fn a_run_that_is_stopped_is_reported() {
    let mut simulation = simulation(SCRIPT.fault);
    let plan = plan(&[(get(), ONE, Stop::after(Duration::from_secs(100))), (get(), ONE, Stop::requests(5))]);
    simulation.start(&plan);
    assert!(simulation.upload("", &plan).unwrap().contains("a run is under way"));
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation.ask(Command::Stop), None);
    simulation.await_end();
    assert!(simulation.boot().finished().unwrap().cancelled);
    assert!(simulation.counts(0).completed > 50);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let mut simulation = simulation(SCRIPT.fault);
    let nine = {
        let mut plan = phasemeter_core::plan::RunPlan::<9>::new(0);
        for phase in support::plan(&[(get(), ONE, Stop::requests(1))]).phases().iter().cycle().take(9) {
            plan.push(phase.clone()).unwrap();
        }
        plan
    };
    let refusal = simulation.upload("", &nine).unwrap();
    assert!(refusal.contains("a plan may have 8 phases"), "{refusal}");
    let fits = plan(&[(get(), ONE, Stop::requests(1))]);
    let refusal = simulation.upload(&"9".repeat(65), &fits).unwrap();
    assert!(refusal.contains("a target may have 64 bytes"), "{refusal}");
    for target in ["example.org:80", "10.0.2.2", "10.0.2.2:0", "0.0.0.0:80", "[::1]:80"] {
        let refusal = simulation.ask_for(target, &fits).unwrap();
        assert!(refusal.contains("cannot reach such a target"), "{target}: {refusal}");
    }
    let split = plan(&[(get(), ONE, Stop::requests(1)), (Workload::get("/a b").unwrap(), ONE, Stop::requests(1))]);
    let refusal = simulation.ask_for("", &split).unwrap();
    assert!(refusal.contains("cannot carry out phase 1"), "{refusal}");
    let for_a_host = plan(&[(get(), ONE, Stop::requests(1)), (Workload::Host { content: 7 }, ONE, Stop::requests(1))]);
    let refusal = simulation.ask_for("", &for_a_host).unwrap();
    assert!(refusal.contains("cannot carry out phase 1") && refusal.contains("only a host"), "{refusal}");
    let wide = plan(&[(get(), Arrival::ClosedLoop { concurrency: 9 }, Stop::requests(1))]);
    let refusal = simulation.ask_for("", &wide).unwrap();
    assert!(refusal.contains("cannot carry out phase 0") && refusal.contains("fewer connections"), "{refusal}");
    assert_eq!(simulation.upload("", &fits), None);
    let unknown = simulation.ask(Command::Start { plan_hash: 1 }).unwrap();
    assert!(unknown.contains("no plan"), "{unknown}");
    simulation.carry_out(&fits);
}

#[test]
fn without_a_host_the_built_in_plan_is_run_once() {
    let mut config = config();
    config.built_in_at = Some(Instant::from_nanos(3_000_000_000));
    let mut simulation = Simulation::new(config, SCRIPT);
    simulation.run_until(Duration::from_secs(60), |simulation| simulation.app.is_over());
    simulation.session.check_whole().unwrap();
    assert_eq!(simulation.counts(1), PhaseCounts { sent: 1000, completed: 1000, ..PhaseCounts::default() });
    let requests = simulation.peer.requests();
    simulation.run_for(Duration::from_secs(10));
    assert_eq!(simulation.peer.requests(), requests);
    // A host that comes then gets a run of its own.
    assert_eq!(simulation.ask(Command::Identify), None);
    simulation.carry_out(&plan(&[(get(), ONE, Stop::requests(10))]));
    assert_eq!(simulation.counts(0).completed, 10);
}

#[test]
fn a_host_that_is_there_has_the_say() {
    let mut config = config();
    config.built_in_at = Some(Instant::from_nanos(3_000_000_000));
    let mut simulation = Simulation::new(config, SCRIPT);
    assert_eq!(simulation.ask(Command::Identify), None);
    simulation.run_for(Duration::from_secs(10));
    assert_eq!(simulation.peer.requests(), 0);
}

#[test]
fn a_host_that_vanishes_leaves_a_device_that_can_run_again() {
    let mut simulation = simulation(SCRIPT.fault);
    let plan = plan(&[(get(), ONE, Stop::requests(20)), (get(), ONE, Stop::requests(20))]);
    simulation.start(&plan);
    // Nothing is acknowledged.
    simulation.run_until(Duration::from_secs(60), |simulation| simulation.app.is_over());
    assert_eq!(simulation.ask(Command::Identify), None);
    simulation.carry_out(&plan);
}

#[test]
fn the_same_script_gives_the_same_bytes() {
    let run = || {
        let mut simulation = simulation(|n| if n % 9 == 4 { Fault::Reset } else { Fault::None });
        let poisson = Arrival::poisson(200);
        simulation.carry_out(&plan(&[(get(), poisson, Stop::requests(300)), (CHAT, EIGHT, Stop::requests(100))]));
        simulation.serial.0.take().from_device
    };
    assert_eq!(run(), run());
}

#[test]
fn metering_can_be_left_out_in_part_or_whole() {
    for (metering, observed) in [(Metering::On, 200), (Metering::Silent, 200), (Metering::Off, 0)] {
        let mut config = config();
        config.metering = metering;
        let mut simulation = Simulation::new(config, SCRIPT);
        simulation.carry_out(&plan(&[(get(), EIGHT, Stop::requests(200))]));
        assert_eq!(simulation.counts(0).sent, 200);
        assert_eq!(simulation.observed(0, LoadMetric::ServiceTime), observed, "{metering:?}");
    }
}

#[test]
fn garbage_on_the_serial_line_does_no_harm() {
    let mut simulation = simulation(SCRIPT.fault);
    for n in 0..20_000_u32 {
        let byte = u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap();
        simulation.serial.0.borrow_mut().to_device.push_back(byte);
    }
    simulation.carry_out(&plan(&[(Workload::get("/a").unwrap(), ONE, Stop::requests(10))]));
    assert_eq!(simulation.counts(0).completed, 10);
}

#[test]
fn a_slow_first_token_and_a_long_pause_do_no_harm() {
    let script = Script { first_token: Duration::from_secs(50), ..SCRIPT };
    let mut simulation = Simulation::new(config(), script);
    let rare = Arrival::Constant { rate: Rate::per_kilosecond(5) };
    simulation.carry_out(&plan(&[(CHAT, ONE, Stop::requests(2)), (get(), rare, Stop::requests(3))]));
    // The second is sent as the phase ends, and its grace is shorter.
    let expected = PhaseCounts { sent: 2, completed: 1, cancelled: 1, ..PhaseCounts::default() };
    assert_eq!(simulation.counts(0), expected);
    assert_eq!(simulation.counts(1), PhaseCounts { sent: 3, completed: 3, ..PhaseCounts::default() });
}
