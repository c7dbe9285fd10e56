//! From samples on a device to histograms on the host, over real ttys: nothing is lost and nothing is rounded.
#![cfg(unix)]

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use phasemeter::hook::Hooks;
use phasemeter::record::{RecordOptions, Recorded, Watcher, record};
use phasemeter::run::{CAPTURE_FILE, Run, replay};
use phasemeter::session::{Boot, Note, Session};
use phasemeter::source::unix::Pty;
use phasemeter::source::{DEFAULT_BAUD, SourceSpec};
use phasemeter_core::aggregate::{Aggregate, Timing};
use phasemeter_core::meter::Metric;
use phasemeter_core::summary::STANDARD;
use phasemeter_core::telemetry::{Envelope, Frame, Hello, MAX_ENCODED, VERSION, encode};
use phasemeter_core::time::Nanos;
use phasemeter_tests::{Device, Direct, LIMIT, canonical, direct_merge};

struct Quiet;

impl Watcher for Quiet {
    fn note(&mut self, _: u16, _: &Note) {}
    fn tick(&mut self, _: &Run) {}
}

type Ran = ([Direct; 2], Pty);

/// A device on a pty of its own, and the line that a recorder reads it from.
///
/// The thread hands the pty back: a tty whose master is gone forgets what was not read yet.
fn connect(device: Device) -> (JoinHandle<Ran>, Recorded) {
    let mut pty = Pty::open().unwrap();
    let line = SourceSpec::parse(pty.slave_path().to_str().unwrap(), DEFAULT_BAUD).unwrap().open().unwrap();
    let thread = thread::spawn(move || (device.run(|piece| pty.write_all(piece).unwrap()), pty));
    (thread, Recorded { identity: device.id.to_owned(), line, hooks: Hooks::new(), remote: None })
}

fn record_all(devices: &[Device], directory: &Path) -> (Run, Vec<[Direct; 2]>) {
    let (threads, sources): (Vec<_>, Vec<_>) = devices.iter().map(|device| connect(*device)).unzip();
    let options =
        RecordOptions { directory: directory.to_owned(), run_id: "pipeline".into(), max_duration: Some(LIMIT) };
    let run = record(sources, &options, &AtomicBool::new(false), &mut Quiet).unwrap();
    let summary = run.summary();
    assert_eq!(summary.run.partial_reason, None);
    (run, threads.into_iter().map(|thread| thread.join().unwrap().0).collect())
}

fn only_boot(run: &Run, source: usize) -> &Boot {
    let [boot] = run.sources()[source].session.boots() else { panic!("not one boot") };
    boot
}

fn assert_same(run: &Run, source: usize, direct: &[Direct; 2]) {
    let boot = only_boot(run, source);
    assert_eq!(boot.phases.len(), direct.len());
    for (phase, direct) in boot.phases.values().zip(direct) {
        assert_eq!(phase.stats.unwrap().counts, direct.counts);
        for (metric, direct) in direct.histograms.iter() {
            match phase.metrics[metric].histogram() {
                Some(received) => assert!(canonical(received) == canonical(direct), "{metric} of device {source}"),
                None => assert!(direct.is_empty(), "{metric} of device {source}"),
            }
        }
    }
}

#[test]
fn what_arrives_is_what_was_recorded() {
    // A line that takes all, and one that takes so little that reports are left out.
    for line_bytes in [usize::MAX, 1] {
        let directory = tempfile::tempdir().unwrap();
        let device = Device { id: "one", boot_id: 1, seed: 7, requests: 3_000, line_bytes };
        let (run, direct) = record_all(&[device], directory.path());
        assert_same(&run, 0, &direct[0]);
        let [warmup, profiling] = &direct[0];
        assert!(warmup.counts.errors > 0 && warmup.counts.cancelled > 0);
        assert!(Metric::ALL.iter().all(|metric| !profiling.histograms[*metric].is_empty()));
        assert_eq!(only_boot(&run, 0).skipped > 0, line_bytes == 1);

        let replayed = replay(&directory.path().join(CAPTURE_FILE)).unwrap();
        assert_eq!(replayed.damage, None);
        assert_same(&replayed.run, 0, &direct[0]);
        assert_eq!(replayed.run.summary(), run.summary());
    }
}

#[test]
fn four_devices_at_once_merge_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let device = |id, seed| Device { id, boot_id: seed, seed, requests: 500 * seed, line_bytes: usize::MAX };
    let devices = [device("a", 1), device("b", 2), device("c", 3), device("d", 4)];
    let (run, direct) = record_all(&devices, directory.path());
    (0..).zip(&direct).for_each(|(source, direct)| assert_same(&run, source, direct));

    let summary = run.summary();
    for (place, name) in ["warmup", "profiling"].into_iter().enumerate() {
        let parts: Vec<&Direct> = direct.iter().map(|phases| &phases[place]).collect();
        let mut received = Aggregate::<4096, u64>::new(Timing::Concurrent);
        // In another order than the one of the direct merge.
        for source in [2, 0, 3, 1] {
            let record = &only_boot(&run, source).phases[&u16::try_from(place).unwrap()];
            received.add(&record.stats.unwrap(), |metric| record.metrics[metric].histogram().map(|whole| &**whole));
        }
        let sum = |count: fn(&Direct) -> u64| parts.iter().map(|part| count(part)).sum::<u64>();
        let merged = summary.phases.iter().find(|phase| phase.phase == name && phase.device.is_none()).unwrap();
        assert_eq!(merged.counts.sent, sum(|part| part.counts.sent));
        assert_eq!(merged.counts.completed, sum(|part| part.counts.completed));
        assert_eq!(merged.counts.errors, sum(|part| part.counts.errors));
        assert_eq!(merged.counts.cancelled, sum(|part| part.counts.cancelled));
        assert_eq!(summary.phases.iter().filter(|phase| phase.phase == name && phase.device.is_some()).count(), 4);
        for metric in Metric::ALL {
            let direct = direct_merge(&parts, metric);
            assert!(canonical(received.histogram(metric)) == canonical(&direct), "{metric} in {name}");
            let Some(reported) = merged.metrics.get(metric.name()) else {
                assert!(direct.is_empty());
                continue;
            };
            assert_eq!(reported.count, direct.count());
            assert_eq!((reported.min, reported.max), (direct.min().map(millis), direct.max().map(millis)));
            assert_eq!((reported.mean, reported.stdev), (direct.mean().map(millis), direct.stdev().map(millis)));
            for percentile in STANDARD.into_iter().filter(|percentile| direct.resolves(*percentile)) {
                let (reported, direct) = (&reported.percentiles[&percentile.to_string()], direct.quantile(percentile));
                assert_eq!(reported.value, direct.map(|quantile| millis(quantile.value)));
                assert_eq!(reported.lower, direct.map(|quantile| millis(quantile.lower)));
                assert_eq!(reported.upper, direct.map(|quantile| millis(quantile.upper)));
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the report's own rounding")]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// Between two runs a device has no plan, and says so; the run that it told of had one.
#[test]
fn a_device_that_waits_for_its_next_plan_has_run_the_last() {
    let device = Device { id: "waits", boot_id: 9, seed: 1, requests: 10, line_bytes: usize::MAX };
    let mut session = Session::new();
    session.feed(&device.bytes(), |_| ());
    let told = session.info().unwrap().clone();
    assert_ne!(told.plan_hash, 0);
    let hello = Hello {
        device_id: "waits",
        boot_id: 9,
        firmware: "scripted",
        firmware_version: "1.0",
        clock_hz: 1_000_000_000,
        plan_hash: 0,
        phases: 0,
        capacity: 512,
        counter_bits: 32,
        metrics: Metric::ALL.into_iter().map(Metric::name).collect(),
        skipped: 0,
    };
    let (uptime, frame) = (Nanos::from_secs(1_000_000), Frame::Hello(hello));
    let mut bytes = [0; MAX_ENCODED];
    let length = encode(&Envelope { version: VERSION, sequence: 1_000_000, uptime, frame }, &mut bytes).unwrap();
    session.feed(&bytes[..length], |_| ());
    assert_eq!(session.boots().len(), 1);
    assert_eq!(session.info(), Some(&told));
}
