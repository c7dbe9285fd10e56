//! Lines that take little or nothing, and what is told over them of who speaks.

use super::*;

/// The line takes a byte every millisecond, and the queue one frame.
#[test]
fn the_end_is_reported_over_the_slowest_line() {
    let failures = (500..508).map(|status| Outcome::Failed(Failure::Status(status)));
    for outcomes in [std::vec![Outcome::Success], failures.collect()] {
        let mut storage = Storage::<METRICS, 8, 1, MAX_ENCODED>::new();
        let config = TelemetryConfig { hello_every: Duration::MAX, ..TelemetryConfig::default() };
        let mut device = Device::new(&mut storage, IDENTITY, &OWN, config, ());
        device.run(plan(&[closed(outcomes.len() as u64)]));
        let (mut line, mut millis, mut outcomes) = (Vec::new(), 0, outcomes.into_iter());
        while !device.is_idle() {
            if let Step::Send(ticket) = device.poll(at(millis), true) {
                device.finish(ticket, at(millis), outcomes.next().unwrap()).unwrap();
            }
            drain(&mut device, 1, &mut line);
            millis += 1;
            assert!(millis < 10_000, "a hello, a table, two times three metrics and four reports take less");
        }
        let host = Host::of(&line);
        let phase = &host.boot().phases[&0];
        assert!(phase.is_whole() && host.boot().finished.is_some() && !device.has_lost());
        assert_eq!(phase.failures.total(), phase.report.unwrap().stats.counts.errors);
    }
}

#[test]
fn a_line_that_takes_nothing_does_not_stop_the_load() {
    let mut storage = Storage::<METRICS, 64, 4, 300>::new();
    let patience = Duration::from_secs(3);
    let config = TelemetryConfig { line_patience: patience, ..TelemetryConfig::default() };
    let mut device = Device::new(&mut storage, IDENTITY, &OWN, config, ());
    let load = || phase(Arrival::constant(100), Stop::requests(500));
    device.run(plan(&[load(), load()]));
    let (mut now, mut sent) = (Instant::BOOT, Vec::new());
    loop {
        match device.poll(now, true) {
            Step::Send(ticket) => {
                sent.push((ticket.phase(), now.since(ticket.intended())));
                device.finish(ticket, now, Outcome::Success).unwrap();
            }
            Step::WaitUntil(until) => now = now.max(until),
            Step::Finished => break,
            _ => {}
        }
    }
    assert_eq!(sent.len(), 1_000);
    assert!(sent.iter().all(|(_, late)| *late == Duration::ZERO), "the load never waits");
    assert!(device.has_lost() && device.skipped() > 0);
    // It waits between the phases and at the end, and no longer than it was told to.
    assert!((at(10_000 + 3_000)..at(10_000 + 3 * 3_000 + 100)).contains(&now), "{now}");
    // The line comes back: the next run is whole.
    let mut line = Vec::new();
    device.run(plan(&[closed(9)]));
    while !device.is_idle() {
        match device.poll(now, true) {
            Step::Send(ticket) => device.finish(ticket, now, Outcome::Success).unwrap(),
            Step::WaitUntil(until) => now = now.max(until),
            _ => {}
        }
        drain(&mut device, usize::MAX, &mut line);
    }
    assert!(!device.has_lost() && Host::of(&line).boot().phases[&0].is_whole());
}

#[test]
fn names_are_cut_between_characters_and_a_device_may_have_32_metrics() {
    let (long, kana) = ("ä".repeat(99), "x".repeat(30) + "カタカナ");
    let identity = Identity { device_id: &long, firmware: &kana, ..IDENTITY };
    let names: Vec<_> = (5..32).map(|place| std::format!("{place}{long}")).collect();
    let own: Vec<_> = names.iter().map(|name| Metric::time(name)).collect();
    let mut storage = Storage::<32, 64, 1, MAX_ENCODED>::new();
    let mut device = Device::new(&mut storage, identity, &own, TelemetryConfig::default(), ());
    let mut line = Vec::new();
    for millis in 0..30 {
        let _ = device.poll(at(millis), true);
        drain(&mut device, usize::MAX, &mut line);
    }
    let boot = Host::of(&line).boot().clone();
    assert_eq!((&*boot.names[0], &*boot.names[1]), (&*"ä".repeat(16), &*"x".repeat(30)));
    assert_eq!((boot.hello.metrics, boot.table.len()), (32, 32));
    for (place, (name, _)) in boot.table.iter().skip(LOAD_METRICS) {
        assert!(name.len() >= 31 && names[usize::from(*place) - LOAD_METRICS].starts_with(name.as_str()));
    }
}

/// Metrics that the storage has room for and nobody has named, and the other way round.
#[test]
fn a_table_of_another_length_than_the_storage_is_told_as_far_as_it_goes() {
    let three = [Metric::time("one"), Metric::time("two"), Metric::time("three")];
    for (own, told) in [(&three[..0], ["", ""]), (&three[..1], ["one", ""]), (&three, ["one", "two"])] {
        let mut storage = Storage::<7, 64, 1, 2048>::new();
        let mut device = Device::new(&mut storage, IDENTITY, own, TelemetryConfig::default(), ());
        let mut line = Vec::new();
        for millis in 0..30 {
            let _ = device.poll(at(millis), true);
            drain(&mut device, usize::MAX, &mut line);
        }
        let boot = Host::of(&line).boot().clone();
        let names: Vec<_> = boot.table.values().map(|(name, _)| name.as_str()).collect();
        assert_eq!((&names[5..], boot.hello.metrics), (&told[..], 7));
    }
}
