//! A monitor as its firmware and its host see it.

use std::format;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::metric::Unit;
use crate::plan::PhaseKind;
use crate::telemetry::MAX_ENCODED;
use crate::telemetry::tests::IDENTITY;
use crate::telemetry::tests::mirror::Host;

const METRICS: [Metric<'static>; 3] = [Metric::time("flash_write"), Metric::time("isr"), Metric::count("retries")];

type Memory = Storage<3, 64, 4096>;
type Logger<'a> = Monitor<'a, 3, 64, 4096>;

fn at(millis: u64) -> Instant {
    Instant::BOOT.saturating_add(Duration::from_millis(millis))
}

fn monitor(storage: &mut Memory) -> Logger<'_> {
    Monitor::new(storage, IDENTITY, &METRICS, TelemetryConfig::default())
}

fn drain<const M: usize, const N: usize, const Q: usize>(
    monitor: &mut Monitor<'_, M, N, Q>,
    mut bytes: usize,
    line: &mut Vec<u8>,
) {
    while bytes > 0 && !monitor.transmit().is_empty() {
        let sent = monitor.transmit().len().min(bytes);
        line.extend(&monitor.transmit()[..sent]);
        monitor.sent(sent);
        bytes -= sent;
    }
}

/// Polls every millisecond of this range over a line that takes everything.
fn poll(monitor: &mut Logger<'_>, millis: core::ops::Range<u64>, line: &mut Vec<u8>) {
    for now in millis {
        monitor.poll(at(now));
        drain(monitor, usize::MAX, line);
    }
}

#[test]
fn phases_are_told_by_name_with_what_was_recorded_in_them() {
    let (mut storage, mut line) = (Memory::new(), Vec::new());
    let mut monitor = monitor(&mut storage);
    for (index, name) in ["boot", "idle", "flash write"].into_iter().enumerate() {
        let start = 1_000 * index as u64;
        monitor.open(name, at(start)).unwrap();
        assert!(monitor.is_open());
        for value in 0..10 + index as u64 {
            assert!(monitor.record(0, value * 1_000) && monitor.record_time(2, Duration::from_nanos(value)));
        }
        poll(&mut monitor, start..start + 900, &mut line);
        monitor.close(at(start + 900));
        assert!(!monitor.is_open());
        poll(&mut monitor, start + 900..start + 1_000, &mut line);
    }
    let host = Host::of(&line);
    let boot = host.boot();
    assert_eq!((host.boots.len(), boot.frames), (1, boot.sequence));
    assert_eq!((boot.hello.mode, boot.hello.plan_hash, boot.hello.phases), (Mode::Monitor, 0, 0));
    let table: Vec<_> = boot.table.values().map(|(name, unit)| (&**name, *unit)).collect();
    let (time, count) = (Unit::Nanoseconds, Unit::Count);
    assert_eq!(table, [("flash_write", time), ("isr", time), ("retries", count)]);
    for (index, name) in (0..).zip(["boot", "idle", "flash write"]) {
        let phase = &boot.phases[&index];
        let stats = phase.report.unwrap().stats;
        assert!(phase.is_whole());
        assert_eq!((stats.name(), stats.kind, stats.instance), (name, PhaseKind::Monitor, index));
        assert_eq!(stats.total_duration(), Some(Duration::from_millis(900)));
        let counts = [0, 1, 2].map(|metric| phase.metric(metric).whole.map(|totals| totals.count));
        assert_eq!(counts, [Some(10 + u64::from(index)), None, Some(10 + u64::from(index))]);
    }
}

#[test]
fn an_endless_phase_is_told_as_far_as_it_came() {
    let (mut storage, mut line) = (Memory::new(), Vec::new());
    let mut monitor = monitor(&mut storage);
    monitor.open("all of it", at(0)).unwrap();
    for now in 0..5_000 {
        monitor.record(1, now * 1_000);
        poll(&mut monitor, now..now + 1, &mut line);
    }
    poll(&mut monitor, 5_000..6_000, &mut line);
    let phase = Host::of(&line).boot().phases[&0].clone();
    assert_eq!(phase.metric(1).whole.map(|totals| totals.count), Some(5_000));
    assert!(!phase.is_whole() && phase.report.unwrap().stats.state == PhaseState::Started);
    assert_eq!(phase.report.unwrap().samples, 5_000);
}

#[test]
fn what_is_recorded_outside_of_a_phase_or_of_the_table_is_refused() {
    let (mut storage, mut line) = (Memory::new(), Vec::new());
    let mut monitor = monitor(&mut storage);
    assert!(!monitor.record(0, 1), "no phase");
    monitor.open("one", at(0)).unwrap();
    assert!(monitor.record(2, 1) && !monitor.record(3, 1) && !monitor.record(usize::MAX, 1));
    monitor.close(at(1));
    assert!(!monitor.record(0, 1), "it is closed");
    poll(&mut monitor, 1..2_000, &mut line);
    let boot = Host::of(&line).boot().clone();
    assert_eq!(boot.hello.outside, 2);
    assert_eq!(boot.phases[&0].report.unwrap().samples, 1);
    assert_eq!(monitor.histogram(2).map(LatencyHistogram::count), Some(1));
    assert!(monitor.histogram(3).is_none());
}

#[test]
fn phases_follow_each_other_and_none_is_opened_over_another() {
    let (mut storage, mut line) = (Memory::new(), Vec::new());
    let mut monitor = monitor(&mut storage);
    monitor.close(at(0));
    monitor.open("one", at(0)).unwrap();
    assert_eq!(monitor.open("two", at(1)), Err(OpenError::Open));
    monitor.close(at(2));
    monitor.close(at(3));
    assert_eq!(monitor.phase().completed_at, Some(at(2)));
    assert_eq!(monitor.open("two", at(3)), Err(OpenError::Unreported));
    poll(&mut monitor, 3..10, &mut line);
    monitor.open("two", at(10)).unwrap();
    assert_eq!(monitor.phase().name(), "two");
}

/// However seldom the monitor is polled, and however short a phase is: none is lost while the line takes what it gets.
#[test]
fn a_phase_that_was_not_yet_reported_is_not_lost() {
    for gap in [0, 1, 5, 9_999, 10_000, 60_000] {
        let (mut storage, mut line) = (Memory::new(), Vec::new());
        let mut monitor = monitor(&mut storage);
        let mut now = 0;
        for index in 0..5 {
            while let Err(error) = monitor.open("short", at(now)) {
                assert_eq!(error, OpenError::Unreported);
                monitor.poll(at(now));
                drain(&mut monitor, usize::MAX, &mut line);
                now += 1;
            }
            assert!(monitor.record(0, index));
            now += gap;
            monitor.close(at(now));
            now += gap;
        }
        poll(&mut monitor, now..now + 100, &mut line);
        let boot = Host::of(&line).boot().clone();
        assert_eq!(boot.phases.len(), 5, "with {gap} ms between the calls");
        assert!(boot.is_whole(), "{gap} ms");
    }
}

#[test]
fn a_line_that_takes_nothing_does_not_hold_the_firmware_up() {
    let mut storage = Storage::<3, 64, MAX_ENCODED>::new();
    let config = TelemetryConfig { line_patience: Duration::from_secs(2), ..TelemetryConfig::default() };
    let mut monitor = Monitor::new(&mut storage, IDENTITY, &METRICS, config);
    monitor.open("one", at(0)).unwrap();
    monitor.record(0, 1);
    for now in 0..100 {
        monitor.poll(at(now));
    }
    monitor.close(at(100));
    let mut now = 100;
    while monitor.open("two", at(now)) == Err(OpenError::Unreported) {
        monitor.poll(at(now));
        now += 1;
        assert!(now < 2_200, "the line had two seconds");
    }
    assert!(now >= 2_000);
    assert!(monitor.skipped() > 0);
}

#[test]
fn a_monitor_sleeps_between_its_reports() {
    let (mut storage, mut line) = (Memory::new(), Vec::new());
    let mut monitor = monitor(&mut storage);
    let mut count = |monitor: &mut Logger<'_>, from: u64| {
        let (mut now, mut polls) = (at(from), 0);
        while now < at(from + 60_000) {
            now = now.max(monitor.poll(now));
            drain(monitor, usize::MAX, &mut line);
            polls += 1;
            assert!(polls < 10_000, "it asks to be called again at once");
        }
        polls
    };
    // A hello a second; a snapshot takes a poll for each metric.
    let unopened = count(&mut monitor, 0);
    assert!(unopened <= 2 * 60, "{unopened}");
    monitor.open("idle", at(60_000)).unwrap();
    let open = count(&mut monitor, 60_000);
    assert!(open <= 60 + 4 * 60 + 2 * 60 * 4, "{open}");
    monitor.close(at(120_000));
    let closed = count(&mut monitor, 120_000);
    assert!(closed <= open, "{closed}");
}

#[test]
fn a_host_that_attaches_late_has_the_table_within_two_seconds() {
    let names: Vec<_> = (0..32).map(|place| format!("{place:-<32}")).collect();
    let metrics: [Metric<'_>; 32] = core::array::from_fn(|place| Metric::time(&names[place]));
    let mut storage = Storage::<32, 64, MAX_ENCODED>::new();
    let mut monitor = Monitor::new(&mut storage, IDENTITY, &metrics, TelemetryConfig::default());
    monitor.open("a name of a phase with 32 bytes.", at(0)).unwrap();
    let (mut line, mut lengths) = (Vec::new(), Vec::new());
    // A line of 115,200 baud takes 11 bytes a millisecond.
    for now in 0..20_000 {
        lengths.push(line.len());
        (0..32).for_each(|metric| assert!(monitor.record(metric, now * 1_000_000)));
        monitor.poll(at(now));
        drain(&mut monitor, 11, &mut line);
    }
    for start in [0, 5_000, 12_345] {
        // What the host first sees is a part of a frame.
        let heard = &line[lengths[start]..lengths[start + 2_000]];
        let delimiter = heard.iter().position(|byte| *byte == 0).unwrap();
        let host = Host::of(&heard[delimiter..]);
        assert_eq!(host.boot().table.len(), 32, "from {start} ms on");
    }
}

/// What a firmware may do.
#[derive(Clone, Debug)]
enum Act {
    Open,
    Close,
    Record(usize, u64),
    Wait(u64),
    Poll,
    Drain(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let value = (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift);
    prop_oneof![
        1 => Just(Act::Open),
        1 => Just(Act::Close),
        8 => (0..4_usize, value).prop_map(|(metric, value)| Act::Record(metric, value)),
        2 => (0..2_000_u64).prop_map(Act::Wait),
        4 => Just(Act::Poll),
        4 => (0..600_usize).prop_map(Act::Drain),
    ]
}

proptest! {
    /// In whatever order a firmware calls: what was recorded while a phase was open is what the host ends up with.
    #[test]
    fn every_phase_reaches_the_host_with_what_was_recorded_in_it(acts in vec(act(), 0..200)) {
        let (mut storage, mut line, mut now) = (Storage::<3, 64, 600>::new(), Vec::new(), 0);
        let config = TelemetryConfig { line_patience: Duration::MAX, ..TelemetryConfig::default() };
        let mut monitor = Monitor::new(&mut storage, IDENTITY, &METRICS, config);
        let (mut recorded, mut outside) = (Vec::<[u64; 3]>::new(), 0);
        for act in acts {
            match act {
                Act::Open => {
                    let was_open = monitor.is_open();
                    match monitor.open("phase", at(now)) {
                        Ok(()) => {
                            prop_assert!(!was_open);
                            recorded.push([0; 3]);
                        }
                        Err(OpenError::Open) => prop_assert!(was_open),
                        Err(error) => prop_assert!(!was_open && error == OpenError::Unreported),
                    }
                }
                Act::Close => monitor.close(at(now)),
                Act::Record(metric, value) => {
                    let is_open = monitor.is_open();
                    prop_assert_eq!(monitor.record(metric, value), is_open && metric < 3);
                    match recorded.last_mut() {
                        Some(phase) if is_open && metric < 3 => phase[metric] += 1,
                        _ => outside += u64::from(!is_open),
                    }
                }
                Act::Wait(millis) => now += millis,
                Act::Poll => _ = monitor.poll(at(now)),
                Act::Drain(bytes) => drain(&mut monitor, bytes, &mut line),
            }
        }
        monitor.close(at(now));
        for millis in (now..now + 2_000).step_by(10) {
            monitor.poll(at(millis));
            drain(&mut monitor, usize::MAX, &mut line);
        }
        let boot = Host::of(&line).boot().clone();
        prop_assert_eq!((boot.frames, boot.hello.outside), (boot.sequence, outside));
        prop_assert_eq!(boot.phases.len(), recorded.len());
        for (phase, recorded) in boot.phases.values().zip(recorded) {
            prop_assert!(phase.is_whole());
            let told = [0, 1, 2].map(|metric| phase.metric(metric).whole.map_or(0, |totals| totals.count));
            prop_assert_eq!(told, recorded);
        }
    }
}
