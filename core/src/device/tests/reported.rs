//! What a host is told of a run: failures by cause and in words, plans, and counts while they grow.

use super::*;

#[test]
fn failures_reach_the_host_by_cause() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    let failures = [Failure::TimedOut, Failure::Status(503), Failure::Status(503), Failure::Broken];
    bench.device.run(plan(&[closed(failures.len() as u64)]));
    let mut failures = failures.iter();
    while !bench.device.is_idle() {
        match bench.device.poll(bench.now, true) {
            Step::Send(ticket) => {
                let outcome = Outcome::Failed(*failures.next().unwrap());
                bench.device.finish(ticket, bench.now, outcome).unwrap();
            }
            Step::WaitUntil(until) => bench.now = bench.now.max(until),
            _ => {}
        }
        drain(&mut bench.device, usize::MAX, &mut bench.line);
    }
    let boot = bench.host().boot().clone();
    let told = &boot.phases[&0].failures;
    assert_eq!((told.timed_out, told.broken, told.statuses.as_slice()), (1, 1, &[(503, 2)][..]));
    assert_eq!(told.total(), boot.phases[&0].report.unwrap().stats.counts.errors);
}

/// A phase whose requests are sent one a second.
fn slow(requests: u64) -> PhasePlan {
    phase(Arrival::constant(1), Stop::requests(requests))
}

#[test]
fn the_plan_of_a_phase_comes_behind_its_first_report_and_behind_each_hello() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    let phases = [slow(4), slow(2)];
    assert!(bench.device.run(plan(&phases)));
    bench.poll_for(9_000);
    let mut told = Vec::new();
    frames(&bench.line, |envelope, _| match &envelope.frame {
        Frame::Hello(_) => told.push(("hello", envelope.uptime)),
        Frame::Phase(report) if report.stats.index == 0 => told.push(("first", envelope.uptime)),
        Frame::Phase(_) => told.push(("second", envelope.uptime)),
        Frame::PhasePlanned(planned) => {
            assert_eq!(planned.phase, phases[usize::from(planned.index)]);
            told.push((["plan of first", "plan of second"][usize::from(planned.index)], envelope.uptime));
        }
        _ => {}
    });
    let before = |name: &str| told.iter().take_while(|(told, _)| *told != name).count();
    assert_eq!(before("plan of first"), before("first") + 1, "behind the report");
    assert_eq!(before("plan of second"), before("second") + 1, "behind the report");
    for (hello, at) in told.iter().filter(|(name, _)| *name == "hello") {
        let end = told.iter().filter(|(name, _)| *name == "second").map(|(_, at)| *at).max().unwrap();
        let behind = told.iter().filter(|(name, plan)| name.starts_with("plan") && plan == at).count();
        // Before the first phase and after the last there is none; between two, the plan of the later one comes as well.
        assert!((1..=2).contains(&behind) || *at == Instant::BOOT || *at > end, "{hello} at {at}: {behind}");
    }
    let boot = bench.host().boot().clone();
    assert_eq!(boot.phases[&0].plan.as_ref(), Some(&phases[0]));
    assert_eq!(boot.phases[&1].plan.as_ref(), Some(&phases[1]));
    assert!((4..=6).contains(&boot.phases[&0].plans), "about one a second: {}", boot.phases[&0].plans);
}

#[test]
fn a_device_reports_while_it_counts_what_was_not_sent() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    bench.device.run(plan(&[phase(Arrival::poisson(50_000), Stop::after(Duration::from_secs(1)))]));
    // Two looks at the phase: at its beginning, and long after its end.
    let _ = bench.device.poll(at(0), true);
    let _ = bench.device.poll(at(0), true);
    let mut now = at(1_000);
    while !bench.device.is_idle() {
        // A slow processor: a poll takes 20 ms.
        let _ = bench.device.poll(now, false);
        drain(&mut bench.device, usize::MAX, &mut bench.line);
        now = now.saturating_add(Duration::from_millis(20));
    }
    let mut reports = Vec::new();
    frames(&bench.line, |envelope, _| {
        if let Frame::Phase(report) = envelope.frame {
            reports.push((report.stats.counts.unsent, report.stats.counts.unsent_at_least));
        }
    });
    let counting: Vec<_> = reports.iter().filter(|(_, at_least)| *at_least).collect();
    assert!(counting.len() >= 3 && counting.is_sorted(), "{reports:?}");
    let (unsent, at_least) = *reports.last().unwrap();
    assert!((49_000..51_000).contains(&unsent) && !at_least, "{reports:?}");
}

#[test]
fn the_first_of_a_kind_of_failure_is_explained_as_far_as_there_is_room() {
    let mut storage = Memory::new();
    let mut bench = Bench::new(&mut storage);
    assert!(!bench.device.explain(at(0), Failure::Broken, "there is no phase"));
    bench.device.run(plan(&[closed(1)]));
    assert!(!bench.device.explain(at(0), Failure::Broken, "the phase has not started"));
    let _ = bench.device.poll(at(0), true);
    let Step::Send(ticket) = bench.device.poll(at(0), true) else { panic!("a closed loop sends at once") };
    bench.device.finish(ticket, at(1), Outcome::Failed(Failure::Status(503))).unwrap();
    let long = "ア".repeat(60);
    assert!(bench.device.explain(at(1), Failure::Status(503), &long));
    assert!(bench.device.explain(at(1), Failure::Broken, "connection reset by peer"));
    while bench.device.explain(at(1), Failure::TimedOut, &long) {}
    bench.now = at(1);
    bench.poll_for(3_000);
    assert!(!bench.device.explain(bench.now, Failure::Broken, "the run is over"));
    let phase = bench.host().boot().phases[&0].clone();
    assert!(phase.is_whole());
    let details = [
        (Failure::Status(503), "ア".repeat(53)),
        (Failure::Broken, "connection reset by peer".to_string()),
        (Failure::TimedOut, "ア".repeat(53)),
    ];
    assert_eq!(phase.details[..3], details);
}
