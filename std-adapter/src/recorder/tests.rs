use super::*;
use crate::source::LineRead;
use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, OpenError, Storage};
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::Instant as DeviceTime;
use std::io;
use std::sync::mpsc::{Sender, channel};

const METRICS: [Metric<'static>; 1] = [Metric::time("flash_write")];

/// A device that measures itself: it boots for a while, and logs for ever. It runs while it is read.
struct Logger {
    monitor: Monitor<'static, 1, 64, 2048>,
    origin: Instant,
    reads: u32,
}

impl Logger {
    fn new() -> Self {
        let storage = Box::leak(Box::new(Storage::new()));
        let monitor = Monitor::new(storage, Identity::new("logger", 7), &METRICS, TelemetryConfig::default());
        Self { monitor, origin: Instant::now(), reads: 0 }
    }
}

impl Line for Logger {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<LineRead> {
        std::thread::sleep(Duration::from_millis(1));
        let now = DeviceTime::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap());
        self.reads += 1;
        if self.reads == 100 {
            self.monitor.close(now);
        }
        if !self.monitor.is_open() {
            let opened = self.monitor.open(if self.reads < 100 { "boot" } else { "logging" }, now);
            assert!(matches!(opened, Ok(()) | Err(OpenError::Unreported)));
        }
        if self.monitor.is_open() {
            self.monitor.record(0, 1_000);
        }
        self.monitor.poll(now);
        let waiting = self.monitor.transmit();
        let length = waiting.len().min(buffer.len());
        buffer[..length].copy_from_slice(&waiting[..length]);
        self.monitor.sent(length);
        Ok(if length > 0 { LineRead::Bytes(length) } else { LineRead::Idle })
    }
}

/// Sends the names of events and phases, apart from progress.
struct Names(Sender<(PhaseEvent, String)>);

impl PhaseHook for Names {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, _: DeviceTime) {
        if event != PhaseEvent::Progress {
            self.0.send((event, phase.name().to_owned())).unwrap();
        }
    }
}

/// Sets the flag once the device has told enough.
struct Until<'a>(&'a AtomicBool, u64);

impl RecordingWatcher for Until<'_> {
    fn note(&mut self, _: u16, _: &Note) {}

    fn tick(&mut self, run: &RecordedRun) {
        let phase = run.sources()[0].session.current_phase();
        if phase.is_some_and(|phase| phase.index() == 1 && phase.observed() >= self.1) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_device_without_an_end_is_recorded_whole_until_somebody_ends_it() {
    for max_duration in [None, Some(Duration::from_secs(2))] {
        let directory = tempfile::tempdir().unwrap();
        let (sender, told) = channel();
        let mut hooks = Hooks::new();
        hooks.push(Names(sender));
        let source = RecordingSource { identity: "memory".into(), line: Box::new(Logger::new()), hooks, remote: None };
        let options = RecordingOptions { max_duration, ..RecordingOptions::new(directory.path(), "endless") };
        let stop = AtomicBool::new(false);
        // As Ctrl-C does; or never.
        let enough = if max_duration.is_some() { u64::MAX } else { 100 };
        let run = record(vec![source], &options, &stop, &mut Until(&stop, enough)).unwrap();
        assert!(run.sources()[0].session.is_endless());
        assert_eq!(run.summary().run.partial_reason, None);
        let life = [PhaseEvent::Start, PhaseEvent::SendingComplete, PhaseEvent::Complete];
        let boot = life.map(|event| (event, "boot".to_owned()));
        let logging = (PhaseEvent::Start, "logging".to_owned());
        assert_eq!(told.iter().collect::<Vec<_>>(), [&boot[..], &[logging]].concat());
    }
}
