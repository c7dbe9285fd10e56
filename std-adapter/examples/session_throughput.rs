//! How many megabytes a second a session takes: of a device that is in order, and of what a hostile one could send.
//!
//! Run it with `cargo run --release --example session_throughput`. The first column is the whole session, the second the
//! receiver alone.

use std::time::Instant as HostInstant;

use phasemeter::session::Session;
use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::{MAX_SCALE, Totals};
use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_core::name::Name;
use phasemeter_core::outcome::Failures;
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats, Sends};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::telemetry::{
    Buckets, Envelope, FailureReport, Finished, Frame, Hello, Identity, MAX_ENCODED, MetricTable, MetricTotals, Mode,
    PhaseReport, Receiver, TelemetryConfig, VERSION, encode,
};
use phasemeter_core::time::{Duration, Instant};

/// Of each stream.
const BYTES: usize = 8 << 20;
/// What is read from a line at once.
const READ: usize = 4096;

/// What a stream is of, and what makes it.
type Case = (&'static str, fn() -> Vec<u8>);

fn main() {
    let cases: [Case; 18] = [
        ("a device in order", in_order),
        ("runs of 256 equal counts that rise", || rising(|at| i32::try_from(at % 15).unwrap_or(0) * 250 - 1900)),
        ("runs of 256 equal counts at one place", || rising(|_| 0)),
        ("runs of 256 counts that do not rise", || {
            many(|at| buckets(0, 8, i32::try_from(at % 7).unwrap_or(0), 1, 256))
        }),
        ("snapshots that are whole each time", whole_each_time),
        ("the same totals again and again", || many(|_| Sent::Totals(0, totals(0)))),
        ("a new boot each frame", || many(|at| Sent::Boot(at, Mode::Load))),
        ("a new boot with a histogram each frame", new_boots),
        ("a new phase each frame", || many(|at| Sent::Phase(at, PhaseState::Started, 0))),
        ("a new wide histogram each few frames", wide),
        ("histograms that are folded twelve times", folded),
        ("phases that are whole at once", whole_phases),
        ("failures", || many(|at| Sent::Failures(u64::from(at)))),
        ("metric tables", || many(Sent::Table)),
        ("each second frame late", late),
        ("ends of runs", || many(|_| Sent::Finished)),
        ("texts of one letter", || b"a\0".repeat(BYTES / 2)),
        ("noise of one byte", || b"\x01\0".repeat(BYTES / 2)),
    ];
    println!("{:<42}{:>12}{:>12}", "MB/s", "session", "receiver");
    for (name, make) in cases {
        let bytes = make();
        println!("{name:<42}{:>12.0}{:>12.0}", session(&bytes), receiver(&bytes));
    }
}

fn session(bytes: &[u8]) -> f64 {
    let mut session = Session::new();
    let start = HostInstant::now();
    for read in bytes.chunks(READ) {
        session.feed(read, |_| {});
    }
    let speed = per_second(bytes, start);
    let errors = session.errors();
    assert!(session.frames() + errors.text + errors.noise > 1_000, "the stream is of many segments");
    speed
}

fn receiver(bytes: &[u8]) -> f64 {
    let mut receiver = Receiver::<1024>::new();
    let mut frames = 0_u64;
    let start = HostInstant::now();
    let mut rest = bytes;
    while receiver.take(&mut rest).is_some() {
        frames += 1;
    }
    let speed = per_second(bytes, start);
    assert!(frames > 1_000, "the stream is of many segments");
    speed
}

#[expect(clippy::cast_precision_loss, reason = "a speed for display")]
fn per_second(bytes: &[u8], start: HostInstant) -> f64 {
    bytes.len() as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// What a hostile device sends.
enum Sent {
    Boot(u32, Mode),
    Buckets { phase: u16, metric: u8, scale: i8, counts: Vec<u8> },
    Totals(u16, Totals),
    Phase(u32, PhaseState, u64),
    Failures(u64),
    Table(u32),
    Finished,
}

/// Frames as short as they can be.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    sequence: u32,
    boot: u32,
}

impl Writer {
    fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES
    }

    fn send(&mut self, sent: &Sent) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.send_at(sent, sequence);
    }

    fn send_at(&mut self, sent: &Sent, sequence: u32) {
        let mut boot = self.boot;
        let frame = match sent {
            Sent::Boot(id, mode) => {
                boot = *id;
                Frame::Hello(Hello { mode: *mode, ..Hello::default() })
            }
            Sent::Buckets { phase, metric, scale, counts } => {
                Frame::Buckets(Buckets { phase: *phase, metric: *metric, scale: *scale, counts })
            }
            Sent::Totals(phase, totals) => {
                Frame::Totals(MetricTotals { phase: *phase, metric: 0, totals: *totals, lag1: Lag1::NONE })
            }
            Sent::Phase(at, state, samples) => Frame::Phase(PhaseReport {
                stats: stats(u16::try_from(at % 65_536).unwrap_or(0), *state),
                samples: *samples,
                skipped: 0,
            }),
            Sent::Failures(broken) => {
                Frame::Failures(FailureReport { phase: 0, failures: Failures { broken: *broken, ..Failures::NONE } })
            }
            Sent::Table(at) => {
                let name = ["a", "b", "c", "d"][*at as usize % 4];
                Frame::Metrics(MetricTable { first: 1, metrics: [Metric::time(name); 6].into_iter().collect() })
            }
            Sent::Finished => Frame::Finished(Finished { phases: 0, cancelled: false, skipped: 0 }),
        };
        let envelope = Envelope { version: VERSION, boot, sequence, uptime: Instant::BOOT, frame };
        let mut encoded = [0; MAX_ENCODED];
        let length = encode(&envelope, &mut encoded).unwrap_or(0);
        // One delimiter between two frames is enough.
        self.bytes.extend_from_slice(encoded.get(1..length).unwrap_or_default());
    }
}

fn many(mut make: impl FnMut(u32) -> Sent) -> Vec<u8> {
    let mut writer = Writer::default();
    while !writer.is_full() {
        let sent = make(writer.sequence);
        writer.send(&sent);
    }
    writer.bytes
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// A run of equal counts in a few bytes.
fn buckets(phase: u16, scale: i8, start: i32, count: u64, length: u64) -> Sent {
    let mut counts = Vec::new();
    varint(u64::from(((start << 1) ^ (start >> 31)).cast_unsigned()), &mut counts);
    varint(length, &mut counts);
    varint(count << 1, &mut counts);
    if length > 1 {
        counts.push(0);
        varint(length - 2, &mut counts);
    }
    Sent::Buckets { phase, metric: 0, scale, counts }
}

fn totals(count: u64) -> Totals {
    Totals { scale: MAX_SCALE, count, ..Totals::default() }
}

fn stats(index: u16, state: PhaseState) -> PhaseStats {
    let at = |from| (state >= from).then_some(Instant::BOOT);
    PhaseStats {
        index,
        kind: PhaseKind::Profiling,
        label: Name::EMPTY,
        instance: 0,
        state,
        timed_out: false,
        cancelled: false,
        started_at: at(PhaseState::Started),
        sending_complete_at: at(PhaseState::SendingComplete),
        completed_at: at(PhaseState::Complete),
        counts: PhaseCounts::default(),
        sends: Sends::default(),
    }
}

fn in_order() -> Vec<u8> {
    const METRICS: [Metric; 5] =
        [Metric::time("a"), Metric::time("b"), Metric::time("c"), Metric::count("d"), Metric::count("e")];
    let mut storage = Box::new(Storage::<5, 512, 8192>::new());
    let mut monitor = Monitor::new(&mut storage, Identity::new("m", 1), &METRICS, TelemetryConfig::default());
    let (mut bytes, mut now, mut random) = (Vec::new(), Instant::BOOT, 1_u64);
    monitor.open("phase", now).ok();
    while bytes.len() < BYTES {
        for metric in 0..METRICS.len() {
            for _ in 0..100 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // From 1 to 16 ms, more of the short ones.
                let spread = ((random >> 44) * (random >> 44)) >> 17;
                monitor.record(metric, 1_000_000 + 2 * spread);
            }
        }
        now = now.saturating_add(Duration::from_millis(1));
        monitor.poll(now);
        while !monitor.transmit().is_empty() {
            let front = monitor.transmit();
            bytes.extend_from_slice(front);
            monitor.sent(front.len());
        }
    }
    bytes
}

fn rising(start: impl Fn(u32) -> i32) -> Vec<u8> {
    many(|at| buckets(0, MAX_SCALE, start(at), u64::from(at) + 1, 256))
}

/// Each snapshot raises 256 buckets, and is whole.
fn whole_each_time() -> Vec<u8> {
    many(|at| {
        let count = u64::from(at / 2) + 1;
        if at % 2 == 0 { buckets(0, MAX_SCALE, 0, count, 256) } else { Sent::Totals(0, totals(256 * count)) }
    })
}

fn new_boots() -> Vec<u8> {
    let mut writer = Writer::default();
    while !writer.is_full() {
        writer.boot += 1;
        writer.send_at(&buckets(0, MAX_SCALE, 0, 1, 256), 0);
    }
    writer.bytes
}

fn wide() -> Vec<u8> {
    many(|at| {
        let (phase, part) = (u16::try_from(at / 16 % 65_536).unwrap_or(0), i32::try_from(at % 16).unwrap_or(0));
        buckets(phase, MAX_SCALE, 256 * part - 2048, 1, 256)
    })
}

fn folded() -> Vec<u8> {
    many(|at| {
        let (phase, part) = (u16::try_from(at / 28 % 65_536).unwrap_or(0), i32::try_from(at % 28).unwrap_or(0));
        match part {
            0..16 => buckets(phase, MAX_SCALE, 256 * part - 2048, 1, 256),
            _ => buckets(phase, i8::try_from(23 - part).unwrap_or(0), 0, 1, 1),
        }
    })
}

fn whole_phases() -> Vec<u8> {
    many(|at| {
        let phase = at / 2;
        let index = u16::try_from(phase % 65_536).unwrap_or(0);
        let of_zeros = Totals { zero: 1, ..totals(1) };
        if at % 2 == 0 { Sent::Totals(index, of_zeros) } else { Sent::Phase(phase, PhaseState::Complete, 1) }
    })
}

/// Gaps that are closed again.
fn late() -> Vec<u8> {
    let mut writer = Writer::default();
    let mut pair = 0;
    while !writer.is_full() {
        for sequence in [2 * pair + 1, 2 * pair] {
            writer.send_at(&Sent::Totals(0, totals(0)), sequence);
        }
        pair += 2;
    }
    writer.bytes
}
