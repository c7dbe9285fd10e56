//! A host that uploads, starts, stops and acknowledges.

use super::*;

#[test]
fn a_host_uploads_starts_and_acknowledges() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    bench.poll_for(10);
    assert!(!bench.device.has_heard());
    assert_eq!(bench.command(Command::Identify), None);
    assert!(bench.device.has_heard());
    assert_eq!(bench.host().boot().hellos, 2, "an answer, and who it is");
    let plan = plan(&[closed(2)]);
    bench.start(&plan);
    assert_eq!((bench.device.plan(), bench.device.target()), (&plan, "server:80"));
    assert_eq!(
        bench.command(Command::Start { plan_hash: plan.content_hash() }).unwrap(),
        "a run is under way: stop it first"
    );
    bench.poll_for(10);
    let (boot, ended) = (bench.host().boots[1].0, bench.host().boot().clone());
    assert_eq!((ended.hello.mode, ended.hello.plan_hash, ended.hello.phases), (Mode::Load, plan.content_hash(), 1));
    assert!(ended.phases[&0].is_whole() && ended.finished.is_none(), "the phase is yet to be acknowledged");
    bench.device.receive(&order(0, Command::Acknowledge { boot, phase: Some(0) }));
    bench.poll_for(10);
    assert_eq!(bench.host().boot().ends, 1);
    bench.device.receive(&order(0, Command::Acknowledge { boot, phase: None }));
    bench.poll_for(10);
    assert_eq!((bench.host().boot().ends, bench.steps.last()), (1, Some(&"finished")));
    assert!(bench.device.is_idle());
    // Again, without another upload.
    assert_eq!(bench.command(Command::Start { plan_hash: plan.content_hash() }), None);
    assert!(!bench.device.is_idle());
}

#[test]
fn a_driver_may_refuse_with_its_reason() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    let plan = plan::<4>(&[closed(2)]);
    let plan_hash = plan.content_hash();
    bench.command(Command::Prepare { plan_hash, seed: plan.seed(), phases: 1, target: "ftp://" });
    bench.command(Command::Phase { index: 0, phase: closed(2) });
    bench.device.receive(&order(77, Command::Start { plan_hash }));
    for _ in 0..3 {
        assert_eq!(bench.device.poll(bench.now, true), Step::Asked, "until it is decided");
        assert_eq!((bench.device.target(), bench.device.plan()), ("ftp://", &plan));
    }
    assert!(!bench.device.run(plan), "a host waits for an answer");
    bench.device.refuse(Reason::BAD_TARGET);
    bench.poll_for(10);
    assert_eq!(
        bench.host().boot().answers.last().unwrap().1.as_deref(),
        Some(&*Refusal::from(Reason::BAD_TARGET).to_string())
    );
    assert!(bench.device.is_idle() && bench.steps.is_empty());
}

/// What a device is told to run by its own code is not what a host has uploaded.
#[test]
fn a_plan_of_the_code_does_not_pass_for_the_hosts() {
    let mut storage = Memory::new();
    let mut bench = Bench::with(&mut storage, TelemetryConfig { final_attempts: 1, ..TelemetryConfig::default() });
    let uploaded = plan(&[closed(2)]);
    bench.start(&uploaded);
    bench.poll_for(5_000);
    assert!(bench.device.run(plan(&[closed(7)])));
    bench.poll_for(5_000);
    assert_eq!(bench.device.meter().stats().counts.sent, 7);
    let refusal = bench.command(Command::Start { plan_hash: uploaded.content_hash() });
    assert_eq!(refusal.unwrap(), "it has no plan, or another one: upload it first");
    assert_eq!(bench.host().boot().answers.last().unwrap().2, 0, "it has none whole");
}

/// How often the end of the phase and the end of the run are sent, to a host that acknowledges so.
fn ends(acknowledge: impl Fn(u32, Option<u16>) -> Option<(u32, Option<u16>)>) -> (u32, u32) {
    let mut storage = Memory::new();
    let config = TelemetryConfig {
        final_attempts: 3,
        acknowledge_within: Duration::from_millis(100),
        ..TelemetryConfig::default()
    };
    let mut bench = Bench::with(&mut storage, config);
    bench.start(&plan(&[closed(3)]));
    while bench.steps.last() != Some(&"finished") {
        bench.poll();
        drain(&mut bench.device, usize::MAX, &mut bench.line);
        let host = bench.host();
        let (boot, heard) = (host.boots.last().unwrap().0, host.boot());
        let phase = heard.phases.get(&0).filter(|phase| phase.is_whole()).map(|_| Some(0));
        let ended = heard.finished.map(|_| None).or(phase);
        if let Some((boot, phase)) = ended.and_then(|ended| acknowledge(boot, ended)) {
            bench.device.receive(&order(0, Command::Acknowledge { boot, phase }));
        }
        assert!(bench.now < at(20_000), "the run never ends");
    }
    (bench.host().boot().phases[&0].ends, bench.host().boot().ends)
}

#[test]
fn ends_are_sent_until_they_are_acknowledged_or_a_bounded_number_of_times() {
    // One report tells of the transition; the others end a final snapshot each.
    assert_eq!(ends(|boot, ended| Some((boot, ended))), (1 + 1, 1));
    assert_eq!(ends(|_, _| None), (1 + 3, 3));
    assert_eq!(ends(|boot, ended| ended.is_none().then_some((boot, ended))), (1 + 3, 1));
    assert_eq!(ends(|boot, ended| Some((boot ^ 1, ended))), (1 + 3, 3), "of another boot");
    assert_eq!(ends(|boot, ended| Some((boot, ended.map(|phase| phase + 1)))), (1 + 3, 1), "of another phase");
    assert_eq!(ends(|boot, _| Some((boot, None))), (1 + 3, 1), "of the run, before its end was told");
}

#[test]
fn a_host_that_missed_something_gets_all_of_it_again() {
    let mut storage = Memory::new();
    let config = TelemetryConfig { snapshot_every: Duration::from_secs(9), ..TelemetryConfig::default() };
    let mut bench = Bench::with(&mut storage, config);
    bench.device.run(plan(&[phase(Arrival::constant(10), Stop::requests(1_000))]));
    bench.poll_for(9_900);
    bench.line.clear();
    bench.device.receive(&order(1, Command::Resend));
    bench.poll_for(50);
    let boot = bench.host().boot().clone();
    assert_table(&boot);
    let metrics = [0, 1, 2].map(|metric| boot.phases[&0].metric(metric).whole.map(|totals| totals.count));
    assert_eq!(metrics, [Some(100); 3]);
}

#[test]
fn a_stopped_run_says_how_far_it_came() {
    let mut storage = Memory::new();
    let mut bench = Bench::with(&mut storage, TelemetryConfig { final_attempts: 1, ..TelemetryConfig::default() });
    let endless = phase(Arrival::constant(10), Stop::requests(u64::MAX));
    bench.start(&plan(&[closed(1), endless, closed(1)]));
    bench.poll_for(3_000);
    assert_eq!(bench.command(Command::Stop), None);
    bench.poll_for(3_000);
    let boot = bench.host().boot().clone();
    let last = boot.phases[&1].report.unwrap().stats;
    assert!(last.cancelled && boot.is_whole());
    assert_eq!(boot.finished, Some(Finished { phases: 2, cancelled: true, skipped: 0 }));
    assert!(bench.device.is_cancelled() && bench.device.is_idle());
    // A stop without a run stops none that comes later.
    assert_eq!(bench.command(Command::Stop), None);
    bench.device.run(plan(&[closed(4)]));
    bench.poll_for(3_000);
    assert_eq!(bench.host().boot().finished.map(|finished| finished.cancelled), Some(false));
    assert_eq!(bench.device.meter().stats().counts.completed, 4);
}
