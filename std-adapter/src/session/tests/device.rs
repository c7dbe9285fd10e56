//! Frames of real devices, and what they measured.

use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{self, Monitor};
use phasemeter_core::outcome::{Failure, Outcome};
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::{Envelope, Frame, Identity, MAX_ENCODED, TelemetryConfig, VERSION, decode, encode};
use phasemeter_core::time::{Duration, Instant};

/// The histograms of a device.
pub(crate) type DeviceHistogram = LatencyHistogram<64>;

/// One frame as bytes, with its delimiters.
pub(crate) fn frame(boot: u32, sequence: u32, frame: Frame<'_>) -> Vec<u8> {
    let uptime = Instant::from_nanos(u64::from(sequence) * 1_000);
    let mut encoded = vec![0; MAX_ENCODED];
    let length = encode(&Envelope { version: VERSION, boot, sequence, uptime, frame }, &mut encoded).unwrap();
    encoded.truncate(length);
    encoded
}

/// When the device made the frame.
pub(crate) fn uptime_of(frame: &[u8]) -> Instant {
    decode(&mut frame[1..frame.len() - 1].to_vec()).unwrap().uptime
}

/// The same frame in another boot.
pub(crate) fn of_boot(frame: &[u8], boot: u32) -> Vec<u8> {
    let mut segment = frame[1..frame.len() - 1].to_vec();
    let envelope = Envelope { boot, ..decode(&mut segment).unwrap() };
    let mut encoded = vec![0; MAX_ENCODED];
    let length = encode(&envelope, &mut encoded).unwrap();
    encoded.truncate(length);
    encoded
}

/// A boot's frames, and what a device knows of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) phases: Vec<Measured>,
}

/// One phase as the device had it at its end.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) stats: PhaseStats,
    pub(crate) histograms: Vec<DeviceHistogram>,
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let segments = bytes.split(|byte| *byte == 0).filter(|segment| !segment.is_empty());
    segments.map(|segment| [&[0], segment, &[0]].concat()).collect()
}

fn often() -> TelemetryConfig {
    TelemetryConfig {
        hello_every: Duration::from_millis(50),
        report_every: Duration::from_millis(5),
        snapshot_every: Duration::from_millis(10),
        keyframe_every: 4,
        ..TelemetryConfig::default()
    }
}

pub(crate) const METRICS: [Metric<'static>; 2] = [Metric::time("flash_write"), Metric::count("bytes_written")];

/// A device that measures itself: phases of values, each of one of [`METRICS`]. The last phase stays open.
pub(crate) fn monitored(boot_id: u64, phases: &[Vec<(usize, u64)>]) -> Told {
    let mut storage = monitor::Storage::<2, 64, 1024>::new();
    let mut monitor = Monitor::new(&mut storage, Identity::new("logger", boot_id), &METRICS, often());
    let (mut now, mut bytes, mut told) = (Instant::BOOT, Vec::new(), Told::default());
    let mut poll = |monitor: &mut Monitor<'_, 2, 64, 1024>, now: &mut Instant| {
        *now = now.saturating_add(Duration::from_millis(3));
        monitor.poll(*now);
        while !monitor.transmit().is_empty() {
            let front = monitor.transmit();
            bytes.extend_from_slice(front);
            monitor.sent(front.len());
        }
    };
    for (place, values) in phases.iter().enumerate() {
        while monitor.open(["boot", "logging", "idle"][place % 3], now).is_err() {
            poll(&mut monitor, &mut now);
        }
        for (count, (metric, value)) in values.iter().enumerate() {
            monitor.record(*metric, *value);
            if count % 5 == 0 {
                poll(&mut monitor, &mut now);
            }
        }
        if place + 1 < phases.len() {
            monitor.close(now);
        }
        (0..20).for_each(|_| poll(&mut monitor, &mut now));
        let histograms = (0..2).filter_map(|metric| monitor.histogram(metric).cloned()).collect();
        told.phases.push(Measured { stats: *monitor.phase(), histograms });
    }
    told.frames = split(&bytes);
    told
}

/// A plan of a warmup and a measurement of so many requests each.
pub(crate) fn plan(requests: u64) -> RunPlan<2> {
    let mut plan = RunPlan::new(7);
    for kind in [PhaseKind::Warmup, PhaseKind::Profiling] {
        let phase = PhasePlan::profiling(Workload::get("/").unwrap(), Arrival::constant(500), Stop::requests(requests));
        plan.push(PhasePlan { kind, ..phase }).unwrap();
    }
    plan
}

/// A device that runs plans, one after the other: a boot each. Each latency is that of a request; zero is a failure.
pub(crate) fn loaded(device_id: &str, boot_id: u64, runs: &[Vec<u64>]) -> Vec<Told> {
    let mut storage = Storage::<5, 64, 2, 1024>::new();
    let mut device = Device::new(&mut storage, Identity::new(device_id, boot_id), &[], often(), ());
    let mut now = Instant::BOOT;
    let mut all = Vec::new();
    for latencies in runs {
        let (mut bytes, mut told, mut sent, mut failed) = (Vec::new(), Told::default(), 0, 0);
        assert!(device.run(plan(latencies.len() as u64)));
        while !device.is_idle() {
            match device.poll(now, true) {
                Step::Send(ticket) => {
                    let latency = latencies[sent % latencies.len()];
                    sent += 1;
                    now = now.saturating_add(Duration::from_nanos(latency));
                    let failures = [Failure::Broken, Failure::Status(503), Failure::TimedOut, Failure::NotConnected];
                    let outcome = if latency > 0 {
                        Outcome::Success
                    } else {
                        failed += 1;
                        Outcome::Failed(failures[failed % 4])
                    };
                    device.finish(ticket, now, outcome).unwrap();
                }
                Step::WaitUntil(due) => now = due.max(now),
                Step::PhaseEnded => {
                    let histograms = (0..5).filter_map(|metric| device.meter().histogram(metric).cloned()).collect();
                    told.phases.push(Measured { stats: *device.meter().stats(), histograms });
                }
                _ => {}
            }
            while !device.transmit().is_empty() {
                let front = device.transmit();
                bytes.extend_from_slice(front);
                device.sent(front.len());
            }
        }
        told.frames = split(&bytes);
        all.push(told);
    }
    all
}
