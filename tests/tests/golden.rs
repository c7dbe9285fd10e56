//! The bytes on the line are a promise: the files in `golden/` are what devices in the field send.
//!
//! `PHASEMETER_WRITE_GOLDEN=1` makes the files that are missing. It never changes one.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::meter::Metric;
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, RunPlan, Stop, Workload};
use phasemeter_core::telemetry::{
    Answer, Buckets, COMMAND_VERSION, Command, CommandEnvelope, Envelope, Finished, Frame, Hello, Job, MAX_ENCODED,
    MetricTotals, PhaseReport, Received, Receiver, Refusal, VERSION, decode, decode_command, encode, encode_command,
};
use phasemeter_core::time::Nanos;

/// Runs of counts, written by hand: buckets −3 to 1 hold 0, 0, 7, 7, 7, and buckets 400 and 401 hold 300 and 299.
const COUNTS: [u8; 13] = [0x05, 0x05, 0x00, 0x01, 0x0e, 0x00, 0x01, 0xa0, 0x06, 0x02, 0xd8, 0x04, 0x01];
const BUCKETS: [(i32, u64); 7] = [(-3, 0), (-2, 0), (-1, 7), (0, 7), (1, 7), (400, 300), (401, 299)];

/// The histogram with these buckets and four zeros.
fn histogram() -> LatencyHistogram<512> {
    let mut histogram = LatencyHistogram::new();
    histogram.record_n(0, 4);
    for (value, times) in VALUES {
        histogram.record_n(value, times);
    }
    histogram
}

/// A value inside each of the used buckets in nanoseconds, and how often it was recorded.
const VALUES: [(u64, u64); 5] =
    [(998_646_901, 7), (1_001_354_933, 7), (1_004_070_000, 7), (2_957_721_000, 300), (2_965_742_000, 299)];

/// Each kind of frame: its file and its value.
fn frames() -> [(&'static str, Envelope<'static>); 5] {
    let envelope =
        |sequence, micros, frame| Envelope { version: VERSION, sequence, uptime: Nanos::from_micros(micros), frame };
    let hello = Hello {
        device_id: "bench-é-07",
        boot_id: 0x0123_4567_89ab_cdef,
        firmware: "example",
        firmware_version: "1.2.3",
        clock_hz: 25_000_000,
        plan_hash: u64::MAX,
        phases: 2,
        capacity: 512,
        counter_bits: 32,
        metrics: Metric::ALL.into_iter().map(Metric::name).collect(),
        skipped: 0,
    };
    let phase = PhaseReport {
        stats: PhaseStats {
            index: 1,
            kind: PhaseKind::Profiling,
            state: PhaseState::SendingComplete,
            timed_out: true,
            cancelled: false,
            started_at: Some(Nanos::from_secs(1)),
            sending_complete_at: Some(Nanos::from_secs(31)),
            completed_at: None,
            counts: PhaseCounts { sent: 650, completed: 630, errors: 6, cancelled: 1, unsent: 12 },
        },
        samples: [624, 624, 630, 0, 0].into_iter().collect(),
        skipped: 3,
    };
    let buckets = Buckets { phase: 1, metric: Metric::ServiceTime.id(), scale: 8, counts: &COUNTS };
    let totals = MetricTotals { phase: 1, metric: Metric::ServiceTime.id(), totals: histogram().totals() };
    let finished = Finished { phases: 2, cancelled: true, skipped: 300 };
    [
        ("hello.bin", envelope(0, 0, Frame::Hello(hello))),
        ("phase.bin", envelope(127, 31_000_000, Frame::Phase(phase))),
        ("buckets.bin", envelope(128, 31_000_001, Frame::Buckets(buckets))),
        ("totals.bin", envelope(u32::MAX, 31_000_002, Frame::Totals(totals))),
        ("finished.bin", envelope(4, 32_000_000, Frame::Finished(finished))),
    ]
}

/// Kinds that came later: they are not in the session.
fn later_frames() -> [(&'static str, Envelope<'static>); 1] {
    let answer = Answer { command: 300, plan_hash: 0x0123_4567_89ab_cdef, refusal: Some(Refusal::TooManyPhases(8)) };
    let frame = Frame::Answer(answer);
    [("answer.bin", Envelope { version: VERSION, sequence: 5, uptime: Nanos::from_secs(33), frame })]
}

/// Each kind of command, in the order of kinds.
fn commands() -> [Command<'static>; 6] {
    let plan_hash = 0x0123_4567_89ab_cdef;
    [
        Command::Identify,
        Command::Upload { plan_hash, length: 300, offset: 192, part: &[0, 1, 0xff] },
        Command::Start { plan_hash },
        Command::Stop,
        Command::Acknowledge { phase: Some(1) },
        Command::Resend,
    ]
}

/// What a host sends, numbered from 126.
fn commands_encoded() -> Vec<u8> {
    let numbered = (126..).zip(commands());
    let encoded = numbered.map(|(id, command)| {
        let mut buffer = [0; MAX_ENCODED];
        let envelope = CommandEnvelope { version: COMMAND_VERSION, id, command };
        let length = encode_command(&envelope, &mut buffer).unwrap();
        buffer[..length].to_vec()
    });
    encoded.collect::<Vec<_>>().concat()
}

/// A target and a plan as they are uploaded.
fn job() -> Vec<u8> {
    let mut plan = RunPlan::<2>::new(42);
    let phase = PhasePlan {
        kind: PhaseKind::Warmup,
        workload: Workload::get("/index.html").unwrap(),
        arrival: Arrival::ClosedLoop { concurrency: 8 },
        stop: Stop::after(Nanos::from_secs(2)),
        grace: Nanos::from_secs(5),
    };
    plan.push(phase).unwrap();
    let phase = PhasePlan {
        kind: PhaseKind::Profiling,
        workload: Workload::Chat { prompt_tokens: 128, output_tokens: 32 },
        arrival: Arrival::Poisson { rate: Rate::per_kilosecond(12_500) },
        stop: Stop { requests: Some(1_000), duration: Some(Nanos::from_secs(60)) },
        grace: Nanos::from_secs(10),
    };
    plan.push(phase).unwrap();
    Job { target: "10.0.2.2:8080", plan: &plan }.write(&mut [0; 256]).unwrap().to_vec()
}

fn encoded(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_ENCODED];
    let length = encode(envelope, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Text that other parts of a firmware print before, between and after the frames.
const TEXTS: [&str; 3] = ["\x1b[32mboot\x1b[0m: Zürich\r\n", "warning: 3 retries\n", "bye\n"];

/// One of each frame, numbered as a device does, with text in between.
fn session() -> Vec<u8> {
    let mut sequence = 0..;
    let frames = frames().map(|(_, envelope)| encoded(&Envelope { sequence: sequence.next().unwrap(), ..envelope }));
    let [hello, phase, buckets, totals, finished] = frames.each_ref().map(Vec::as_slice);
    let [boot, warning, bye] = TEXTS.map(str::as_bytes);
    [boot, hello, phase, warning, buckets, totals, finished, bye, &[0]].concat()
}

/// Every golden file: its name, and its bytes as this version makes them.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let frames = frames().into_iter().chain(later_frames()).map(|(name, envelope)| (name, encoded(&envelope)));
    frames.chain([("session.bin", session()), ("commands.bin", commands_encoded()), ("job.bin", job())]).collect()
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden", "v1", name].iter().collect()
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{}: {error}", path(name).display()))
}

#[test]
fn encoding_yields_the_golden_bytes() {
    let may_write = std::env::var("PHASEMETER_WRITE_GOLDEN").is_ok_and(|value| value == "1");
    for (name, made) in files() {
        if may_write {
            match File::create_new(path(name)) {
                Ok(mut file) => file.write_all(&made).unwrap(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}"),
            }
        }
        assert!(golden(name) == made, "{name} differs: {made:02x?}");
    }
}

#[test]
fn golden_bytes_decode_to_the_values() {
    for (name, envelope) in frames().into_iter().chain(later_frames()) {
        let mut bytes = golden(name);
        let inner = 1..bytes.len() - 1;
        assert_eq!(decode(&mut bytes[inner]), Ok(envelope), "{name}");
    }
}

#[test]
fn golden_commands_decode_to_the_values() {
    let mut bytes = golden("commands.bin");
    let segments = bytes.split_mut(|byte| *byte == 0).filter(|segment| !segment.is_empty());
    let decoded: Vec<_> = segments.map(|segment| decode_command(segment).unwrap()).collect();
    let expected = (126..).zip(commands());
    let expected = expected.map(|(id, command)| CommandEnvelope { version: COMMAND_VERSION, id, command });
    assert!(decoded.into_iter().eq(expected));
}

#[test]
fn the_golden_session_is_frames_and_text() {
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let (mut sequences, mut texts) = (Vec::new(), String::new());
    let (mut sum, mut totals) = (0, None);
    for byte in golden("session.bin") {
        match receiver.push(byte) {
            Some(Received::Frame(envelope)) => {
                sequences.push(envelope.sequence);
                match envelope.frame {
                    Frame::Buckets(buckets) => buckets.for_each(|_, count| sum += count).unwrap(),
                    Frame::Totals(frame) => totals = Some(frame.totals),
                    _ => {}
                }
            }
            Some(Received::Text(text)) => texts.push_str(std::str::from_utf8(text).unwrap()),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    assert_eq!(sequences, [0, 1, 2, 3, 4]);
    assert_eq!(texts, TEXTS.concat());
    let totals = totals.unwrap();
    assert_eq!(totals.zero + sum, totals.count, "the snapshot is whole");
    assert!(histogram().buckets().map(|bucket| (bucket.index, bucket.count)).eq(BUCKETS[2..].iter().copied()));
}

/// A decoder from the protocol's text alone (`telemetry`'s documentation): nothing of the library is used.
mod independent {
    pub(super) struct Fields(std::vec::IntoIter<u8>);

    impl Fields {
        /// The payload between two delimiters, its stuffing undone and its checksum checked.
        pub(super) fn of_frame(bytes: &[u8]) -> Self {
            let [0, stuffed @ .., 0] = bytes else { panic!("no delimiters") };
            let mut payload = unstuff(stuffed);
            let checksum = payload.split_off(payload.len() - 4);
            assert_eq!(crc32(&payload).to_le_bytes(), checksum[..]);
            Self(payload.into_iter())
        }

        pub(super) fn byte(&mut self) -> u8 {
            self.0.next().expect("the payload is too short")
        }

        pub(super) fn signed(&mut self) -> i8 {
            i8::from_le_bytes([self.byte()])
        }

        pub(super) fn number(&mut self) -> u128 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let byte = self.byte();
                value |= u128::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            value
        }

        pub(super) fn bytes(&mut self) -> Vec<u8> {
            (0..self.number()).map(|_| self.byte()).collect()
        }

        pub(super) fn string(&mut self) -> String {
            String::from_utf8(self.bytes()).expect("strings are UTF-8")
        }

        pub(super) fn is_empty(&self) -> bool {
            self.0.as_slice().is_empty()
        }

        fn zigzag(&mut self) -> i128 {
            let token = i128::try_from(self.number()).expect("a token of 64 bits");
            if token % 2 == 0 { token / 2 } else { -(token + 1) / 2 }
        }
    }

    /// Index and count of each bucket in the runs.
    pub(super) fn runs(bytes: Vec<u8>) -> Vec<(i128, i128)> {
        let mut fields = Fields(bytes.into_iter());
        let mut buckets = Vec::new();
        while !fields.is_empty() {
            let start = fields.zigzag();
            let length = i128::try_from(fields.number()).expect("a length");
            let (mut index, mut count) = (start, 0);
            while index < start + length {
                let difference = fields.zigzag();
                count += difference;
                let further = if difference == 0 { fields.number() } else { 0 };
                for _ in 0..=further {
                    buckets.push((index, count));
                    index += 1;
                }
            }
        }
        buckets
    }

    fn unstuff(mut stuffed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let [code, rest @ ..] = stuffed {
            let (group, rest) = rest.split_at(usize::from(*code) - 1);
            bytes.extend(group);
            if *code < 0xff && !rest.is_empty() {
                bytes.push(0);
            }
            stuffed = rest;
        }
        bytes
    }

    pub(super) fn crc32(bytes: &[u8]) -> u32 {
        let mut register = u32::MAX;
        for byte in bytes {
            register ^= u32::from(*byte);
            for _ in 0..8 {
                // 0x04C11DB7 with its bits in reverse order.
                register = (register >> 1) ^ if register & 1 == 1 { 0xedb8_8320 } else { 0 };
            }
        }
        !register
    }
}

use independent::Fields;

#[test]
fn the_text_suffices_to_decode_a_hello() {
    assert_eq!(independent::crc32(b"123456789"), 0xcbf4_3926);
    let mut fields = Fields::of_frame(&golden("hello.bin"));
    assert_eq!((fields.byte(), fields.number(), fields.number(), fields.number()), (1, 0, 0, 0), "the envelope");
    assert_eq!(fields.string(), "bench-é-07");
    assert_eq!(fields.number(), 0x0123_4567_89ab_cdef, "boot id");
    assert_eq!((fields.string(), fields.string()), ("example".into(), "1.2.3".into()));
    assert_eq!(fields.number(), 25_000_000, "clock");
    assert_eq!(fields.number(), u128::from(u64::MAX), "plan hash");
    assert_eq!((fields.number(), fields.number(), fields.byte()), (2, 512, 32), "phases, capacity, counter bits");
    let metrics: Vec<String> = (0..fields.number()).map(|_| fields.string()).collect();
    let names = ["response_time", "service_time", "schedule_lag", "time_to_first_token", "inter_token_latency"];
    assert_eq!(metrics, names);
    assert_eq!(fields.number(), 0, "skipped");
    assert!(fields.is_empty());
}

#[test]
fn the_text_suffices_to_decode_buckets() {
    let mut fields = Fields::of_frame(&golden("buckets.bin"));
    assert_eq!((fields.byte(), fields.number(), fields.number(), fields.number()), (1, 128, 31_000_001_000, 2));
    assert_eq!((fields.number(), fields.byte(), fields.signed()), (1, 1, 8), "phase, metric, scale");
    let expected = BUCKETS.map(|(index, count)| (i128::from(index), i128::from(count)));
    assert_eq!(independent::runs(fields.bytes()), expected);
    assert!(fields.is_empty());
}

#[test]
fn the_text_suffices_to_decode_totals() {
    let mut fields = Fields::of_frame(&golden("totals.bin"));
    let header = (fields.byte(), fields.number(), fields.number(), fields.number());
    assert_eq!(header, (1, u128::from(u32::MAX), 31_000_002_000, 3));
    assert_eq!((fields.number(), fields.byte(), fields.signed()), (1, 1, 8), "phase, metric, scale");
    assert_eq!((fields.number(), fields.number()), (624, 4), "count, zero");
    assert_eq!((fields.number(), fields.number()), (0, 2_965_742_000), "minimum, maximum");
    assert_eq!((fields.byte(), fields.byte()), (1, 1), "minimum and maximum are exact");
    let times = VALUES.map(|(value, times)| (u128::from(value), u128::from(times)));
    assert_eq!(fields.number(), times.iter().map(|(value, times)| value * times).sum::<u128>(), "sum");
    assert_eq!(fields.number(), times.iter().map(|(value, times)| value * value * times).sum::<u128>(), "squares");
    assert_eq!(fields.byte(), 0, "nothing is saturated");
    assert!(fields.is_empty());
}

#[test]
fn the_text_suffices_to_decode_a_phase_and_the_end() {
    let mut phase = Fields::of_frame(&golden("phase.bin"));
    assert_eq!((phase.byte(), phase.number(), phase.number(), phase.number()), (1, 127, 31_000_000_000, 1));
    assert_eq!((phase.number(), phase.number(), phase.number()), (1, 1, 2), "index, kind, state");
    assert_eq!((phase.byte(), phase.byte()), (1, 0), "timed out, cancelled");
    assert_eq!((phase.byte(), phase.number()), (1, 1_000_000_000), "started");
    assert_eq!((phase.byte(), phase.number()), (1, 31_000_000_000), "sending complete");
    assert_eq!(phase.byte(), 0, "not completed");
    assert_eq!([(); 5].map(|()| phase.number()), [650, 630, 6, 1, 12], "sent, completed, errors, cancelled, unsent");
    assert_eq!([(); 6].map(|()| phase.number()), [5, 624, 624, 630, 0, 0], "samples");
    assert_eq!(phase.number(), 3, "skipped");
    assert!(phase.is_empty());

    let mut end = Fields::of_frame(&golden("finished.bin"));
    assert_eq!((end.byte(), end.number(), end.number(), end.number()), (1, 4, 32_000_000_000, 4));
    assert_eq!((end.number(), end.byte(), end.number()), (2, 1, 300), "phases, cancelled, skipped");
    assert!(end.is_empty());
}

#[test]
fn the_text_suffices_to_decode_an_answer_and_to_send_commands() {
    let mut answer = Fields::of_frame(&golden("answer.bin"));
    assert_eq!((answer.byte(), answer.number(), answer.number(), answer.number()), (1, 5, 33_000_000_000, 5));
    assert_eq!((answer.number(), answer.number()), (300, 0x0123_4567_89ab_cdef), "command, plan hash");
    assert_eq!((answer.byte(), answer.number()), (7, 8), "too many phases, limit");
    assert!(answer.is_empty());

    let bytes = golden("commands.bin");
    let segments = bytes.split(|byte| *byte == 0).filter(|segment| !segment.is_empty());
    let mut commands = segments.map(|segment| Fields::of_frame(&[&[0], segment, &[0]].concat()));
    for kind in 0..6 {
        let mut fields = commands.next().unwrap();
        assert_eq!((fields.byte(), fields.number(), fields.number()), (0x81, 126 + kind, kind), "the envelope");
        match kind {
            1 => {
                assert_eq!((fields.number(), fields.number(), fields.number()), (0x0123_4567_89ab_cdef, 300, 192));
                assert_eq!(fields.bytes(), [0, 1, 0xff], "the part");
            }
            2 => assert_eq!(fields.number(), 0x0123_4567_89ab_cdef, "the plan's hash"),
            4 => assert_eq!((fields.byte(), fields.number()), (1, 1), "the phase"),
            _ => {}
        }
        assert!(fields.is_empty());
    }
    assert!(commands.next().is_none());
}
