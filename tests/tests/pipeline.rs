//! From samples on a device to histograms on the host, over real ttys: nothing is lost and nothing is rounded.
#![cfg(unix)]

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use phasemeter::hook::Hooks;
use phasemeter::recorder::{RecordingOptions, RecordingSource, RecordingWatcher, record};
use phasemeter::replay::{CAPTURE_FILE, RecordedRun, replay};
use phasemeter::report::Number;
use phasemeter::session::{Boot, HostHistogram, Note, PhaseTelemetry};
use phasemeter::source::unix::Pty;
use phasemeter::source::{DEFAULT_BAUD, SourceSpec};
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::phase::Sends;
use phasemeter_core::summary::STANDARD;
use phasemeter_core::time::Instant;
use phasemeter_tests::{Device, Direct, LIMIT, MonitorDevice, canonical, direct_autocorrelation, direct_merge};

struct Quiet;

impl RecordingWatcher for Quiet {
    fn note(&mut self, _: u16, _: &Note) {}
    fn tick(&mut self, _: &RecordedRun) {}
}

type Ran = (Vec<Direct>, Pty);

/// A device on a pty of its own, and the line that a recorder reads it from. `run` hands what it sends to the line.
///
/// The thread hands the pty back: a tty whose master is gone forgets what was not read yet.
fn connect(id: &str, run: impl FnOnce(&mut Pty) -> Vec<Direct> + Send + 'static) -> (JoinHandle<Ran>, RecordingSource) {
    let mut pty = Pty::open().unwrap();
    let line = SourceSpec::parse(pty.slave_path().to_str().unwrap(), DEFAULT_BAUD).unwrap().open().unwrap();
    let thread = thread::spawn(move || (run(&mut pty), pty));
    (thread, RecordingSource { identity: id.to_owned(), line, hooks: Hooks::new(), remote: None })
}

fn connect_load(device: Device) -> (JoinHandle<Ran>, RecordingSource) {
    connect(device.id, move |pty| device.run(|piece| pty.write_all(piece).unwrap()).into())
}

fn options(directory: &Path) -> RecordingOptions {
    RecordingOptions { max_duration: Some(LIMIT), ..RecordingOptions::new(directory, "pipeline") }
}

fn record_all(lines: Vec<(JoinHandle<Ran>, RecordingSource)>, directory: &Path) -> (RecordedRun, Vec<Vec<Direct>>) {
    let (threads, sources): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    let run = record(sources, &options(directory), &AtomicBool::new(false), &mut Quiet).unwrap();
    (run, threads.into_iter().map(|thread| thread.join().unwrap().0).collect())
}

fn only_boot(run: &RecordedRun, source: usize) -> &Boot {
    let [boot] = run.sources()[source].session.boots() else { panic!("not one boot") };
    boot
}

/// What was received whole of the metric of this name.
fn received(boot: &Boot, phase: &PhaseTelemetry, name: &str) -> Option<Box<HostHistogram>> {
    phase.histogram(boot.metric_id(name).expect("the device has named it"))
}

fn assert_same(run: &RecordedRun, source: usize, direct: &[Direct]) {
    let boot = only_boot(run, source);
    assert_eq!(boot.phases().count(), direct.len());
    for (phase, direct) in boot.phases().zip(direct) {
        assert_eq!((&*phase.name(), phase.is_whole()), (direct.phase, true));
        let stats = phase.stats().unwrap();
        assert_eq!(stats.counts, direct.counts);
        let squares = direct.sent.windows(2).map(|pair| u128::from(pair[1] - pair[0]).pow(2)).sum();
        let ends = [direct.sent.first(), direct.sent.last()].map(|end| Instant::from_nanos(*end.unwrap_or(&0)));
        assert_eq!(stats.sends, Sends { first: ends[0], last: ends[1], squared_gaps: squares });
        assert_eq!(phase.failures().cloned().unwrap_or_default(), direct.failures);
        for (metric, _) in direct.metrics() {
            let direct = direct.histogram(metric);
            match received(boot, phase, metric) {
                Some(received) => assert!(canonical(&received) == canonical(direct), "{metric} of device {source}"),
                None => assert!(direct.is_empty(), "{metric} of device {source}"),
            }
        }
    }
}

/// What a replay of the capture makes is what the recording made.
fn assert_replays(run: &RecordedRun, directory: &Path, direct: &[Direct]) {
    let replayed = replay(&directory.join(CAPTURE_FILE)).unwrap();
    assert_eq!(replayed.damage, None);
    assert_same(&replayed.run, 0, direct);
    assert_eq!(replayed.run.summary(), run.summary());
}

#[test]
fn what_arrives_is_what_was_recorded() {
    // A line that takes all, and one that takes so little that reports are left out.
    for line_bytes in [usize::MAX, 1] {
        let directory = tempfile::tempdir().unwrap();
        let device = Device { id: "one", boot_id: 1, seed: 7, requests: 3_000, line_bytes };
        let (run, direct) = record_all(vec![connect_load(device)], directory.path());
        assert_eq!(run.summary().run.partial_reason, None);
        assert_same(&run, 0, &direct[0]);
        let [warmup, profiling] = &direct[0][..] else { panic!("there are two phases") };
        assert!(warmup.counts.cancelled > 0 && warmup.failures.statuses.len() > 3 && warmup.failures.timed_out > 0);
        assert!(LoadMetric::ALL.iter().all(|metric| !profiling.histogram(metric.name()).is_empty()));
        assert_eq!(only_boot(&run, 0).skipped() > 0, line_bytes == 1);
        assert_replays(&run, directory.path(), &direct[0]);
    }
}

#[test]
fn what_a_firmware_measures_of_itself_arrives() {
    for line_bytes in [usize::MAX, 12] {
        let directory = tempfile::tempdir().unwrap();
        let phases = &["boot", "self-test", "flash write"];
        let (id, boot_id, seed) = ("self", 1, 8);
        let device = MonitorDevice { id, boot_id, seed, phases, samples: 200, is_endless: false, line_bytes };
        let line = connect(id, move |pty| device.run(|piece| pty.write_all(piece).is_ok()));
        // Its line ends with the thread; until then a monitor may open another phase.
        let stop = AtomicBool::new(false);
        let (thread, source) = line;
        let options = options(directory.path());
        let (run, direct) = thread::scope(|scope| {
            let recording = scope.spawn(|| record(vec![source], &options, &stop, &mut Quiet).unwrap());
            let (direct, pty) = thread.join().unwrap();
            // What the tty holds is read before it is gone.
            thread::sleep(std::time::Duration::from_secs(1));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            let run = recording.join().unwrap();
            drop(pty);
            (run, direct)
        });
        assert_eq!(run.summary().run.partial_reason, None);
        assert_same(&run, 0, &direct);
        assert_replays(&run, directory.path(), &direct);
    }
}

#[test]
fn four_devices_at_once_merge_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let device = |id, seed| Device { id, boot_id: seed, seed, requests: 500 * seed, line_bytes: usize::MAX };
    let devices = [device("a", 1), device("b", 2), device("c", 3), device("d", 4)];
    let (run, direct) = record_all(devices.map(connect_load).into(), directory.path());
    (0..).zip(&direct).for_each(|(source, direct)| assert_same(&run, source, direct));

    let summary = run.summary();
    assert_eq!(summary.run.partial_reason, None);
    for (place, name) in ["warmup", "profiling"].into_iter().enumerate() {
        let parts: Vec<&Direct> = direct.iter().map(|phases| &phases[place]).collect();
        let sum = |count: fn(&Direct) -> u64| parts.iter().map(|part| count(part)).sum::<u64>();
        let merged = summary.phases.iter().find(|phase| phase.phase == name && phase.device.is_none()).unwrap();
        let counts = merged.counts.unwrap();
        assert_eq!(counts.sent, sum(|part| part.counts.sent));
        assert_eq!(counts.completed, sum(|part| part.counts.completed));
        assert_eq!(counts.errors, sum(|part| part.counts.errors));
        assert_eq!(counts.cancelled, sum(|part| part.counts.cancelled));
        let failures = merged.failures.as_ref().unwrap();
        assert_eq!(failures.timed_out, sum(|part| part.failures.timed_out));
        assert_eq!(failures.unknown, 0);
        assert_eq!(summary.phases.iter().filter(|phase| phase.phase == name && phase.device.is_some()).count(), 4);
        for metric in LoadMetric::ALL.map(LoadMetric::name) {
            let direct = direct_merge(&parts, metric);
            let mut merge = LatencyHistogram::<4096, u64>::new();
            // In another order than the one of the direct merge.
            for source in [2, 0, 3, 1] {
                let boot = only_boot(&run, source);
                let phase = boot.phase(u16::try_from(place).unwrap()).unwrap();
                if let Some(part) = received(boot, phase, metric) {
                    merge.merge(&part);
                }
            }
            assert!(canonical(&merge) == canonical(&direct), "{metric} in {name}");
            let Some(reported) = merged.metrics.get(metric) else {
                assert!(direct.is_empty());
                continue;
            };
            assert_eq!(reported.count, direct.count());
            assert_eq!((reported.min, reported.max), (direct.min().map(millis), direct.max().map(millis)));
            for (moment, direct) in [(reported.mean, direct.mean()), (reported.stdev, direct.stdev())] {
                let nanos = (moment.unwrap() * 1e6).round();
                assert!((nanos - millis(direct.unwrap()).as_f64() * 1e6).abs() <= 1.0, "{metric}: {moment:?}");
            }
            let lag1 = direct_autocorrelation(&parts, metric);
            let is_same = |(reported, direct): (f64, f64)| (reported - direct).abs() < 1e-12;
            assert!(
                reported.lag1_autocorrelation.zip(lag1).map_or(lag1.is_none(), is_same),
                "{metric}: {:?} for {lag1:?}",
                reported.lag1_autocorrelation
            );
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
fn millis(nanos: u64) -> Number {
    Number::Millis(nanos as f64 / 1e6)
}
