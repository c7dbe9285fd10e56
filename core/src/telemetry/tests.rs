//! What the protocol promises, on arbitrary input: shared values here, the promises in the modules below.

use std::string::String;
use std::vec::Vec;

use crc::{CRC_32_ISO_HDLC, Crc};
use proptest::collection::vec;
use proptest::prelude::*;

use super::snapshot::MAX_COUNTS;
use super::*;
use crate::autocorrelation::Lag1;
use crate::histogram::{Saturation, Totals};
use crate::metric::{Metric, Unit};
use crate::name::{MAX_NAME, Name};
use crate::outcome::{Failure, Failures, STATUS_CODES};
use crate::phase::{PhaseCounts, PhaseState, PhaseStats, Sends};
use crate::plan::{Arrival, PhaseKind, PhasePlan, Rate, Stop, Workload};
use crate::time::{Duration, Instant};

mod commands;
mod framing;
pub(crate) mod mirror;
mod queue;

/// The longest names, so that a hello leaves little room in a small queue.
pub(crate) const IDENTITY: Identity<'_> = Identity {
    device_id: "a device with a name of 32 bytes",
    boot_id: u64::MAX,
    firmware: "firmware with a name of 32 bytes",
    firmware_version: "a version that takes 32 bytes...",
    clock_hz: 25_000_000,
};

/// How many numbers a [`Content`] has.
const NUMBERS: usize = 20;

/// Arbitrary contents for a frame of any kind; an [`Envelope`] borrows from it.
#[derive(Clone, Debug)]
struct Content {
    kind: u8,
    flags: u8,
    numbers: Vec<u64>,
    /// At least three.
    texts: Vec<String>,
    detail: String,
    counts: Vec<u8>,
}

impl Content {
    /// The largest values in every field.
    fn worst(kind: u8) -> Self {
        let (numbers, texts) = (std::vec![u64::MAX; NUMBERS], std::vec!["x".repeat(MAX_NAME); METRICS_PER_FRAME]);
        Self { kind, flags: 0xff, numbers, texts, detail: "x".repeat(MAX_DETAIL), counts: std::vec![0xff; MAX_COUNTS] }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number does, cut to the field's type")]
    fn envelope(&self) -> Envelope<'_> {
        let n = |index: usize| self.numbers[index];
        let flag = |bit: u8| self.flags & (1 << bit) != 0;
        let wide = |index: usize| (u128::from(n(index)) << 64) | u128::from(n(index + 1));
        let frame = match self.kind {
            0 => Frame::Hello(Hello {
                device_id: &self.texts[0],
                firmware: &self.texts[1],
                firmware_version: &self.texts[2],
                clock_hz: n(3) as u32,
                mode: [Mode::Idle, Mode::Load, Mode::Monitor, Mode::Monitor][usize::from(self.flags & 3)],
                plan_hash: n(4),
                phases: n(5) as u16,
                capacity: n(6) as u16,
                counter_bits: n(7) as u8,
                metrics: n(8) as u8,
                outside: n(9),
                skipped: n(10) as u32,
            }),
            1 => Frame::Metrics(MetricTable {
                first: n(3) as u8,
                metrics: self
                    .texts
                    .iter()
                    .map(|name| Metric { name, unit: if flag(0) { Unit::Count } else { Unit::Nanoseconds } })
                    .collect(),
            }),
            2 => Frame::Phase(PhaseReport { stats: self.stats(), samples: n(3), skipped: n(4) as u32 }),
            3 => Frame::Failures(FailureReport { phase: n(3) as u16, failures: self.failures() }),
            4 => Frame::Buckets(Buckets {
                phase: n(3) as u16,
                metric: n(4) as u8,
                scale: n(5) as i8,
                counts: &self.counts,
            }),
            5 => Frame::Totals(MetricTotals {
                phase: n(3) as u16,
                metric: n(4) as u8,
                totals: Totals {
                    scale: n(5) as i8,
                    count: n(6),
                    zero: n(7),
                    min: n(8),
                    max: n(9),
                    min_exact: flag(0),
                    max_exact: flag(1),
                    sum: wide(10),
                    sum_of_squares: wide(12),
                    saturation: Saturation::try_from(self.flags >> 4).unwrap(),
                },
                lag1: Lag1 { products: wide(6), first: n(14), last: n(15) },
            }),
            6 => Frame::Finished(Finished { phases: n(3) as u16, cancelled: flag(0), skipped: n(4) as u32 }),
            7 => Frame::Answer(Answer {
                command: n(3) as u32,
                plan_hash: n(4),
                // A reason is any number.
                reason: postcard::from_bytes(&[n(5) as u8]).unwrap(),
                detail: n(6) as u16,
            }),
            8 => {
                let path = self.texts[0].repeat(2);
                Frame::PhasePlanned(PhasePlanned {
                    index: n(3) as u16,
                    phase: phase_plan(self.flags, &self.numbers, &path),
                })
            }
            _ => Frame::FailureDetail(FailureDetail {
                phase: n(3) as u16,
                failure: self.failure(),
                detail: &self.detail,
            }),
        };
        Envelope {
            version: VERSION,
            boot: n(0) as u32,
            sequence: n(1) as u32,
            uptime: Instant::from_nanos(n(2)),
            frame,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number does, cut to the field's type")]
    fn stats(&self) -> PhaseStats {
        let n = |index: usize| self.numbers[index];
        let flag = |bit: u8| self.flags & (1 << bit) != 0;
        let time = |bit: u8, index: usize| flag(bit).then(|| Instant::from_nanos(n(index)));
        let kinds = [PhaseKind::Warmup, PhaseKind::Profiling, PhaseKind::Cooldown, PhaseKind::Monitor];
        let states = [PhaseState::Created, PhaseState::Started, PhaseState::SendingComplete, PhaseState::Complete];
        PhaseStats {
            index: n(5) as u16,
            kind: kinds[usize::from(self.flags & 3)],
            label: Name::cut(&self.texts[0]),
            instance: n(6) as u16,
            state: states[usize::from(self.flags >> 6)],
            timed_out: flag(2),
            cancelled: flag(3),
            started_at: time(4, 7),
            sending_complete_at: time(5, 8),
            completed_at: time(6, 9),
            counts: PhaseCounts {
                sent: n(10),
                completed: n(11),
                errors: n(12),
                cancelled: n(13),
                unsent: n(14),
                unsent_at_least: flag(7),
                held: n(14) / 2,
            },
            sends: Sends {
                first: Instant::from_nanos(n(15)),
                last: Instant::from_nanos(n(16)),
                squared_gaps: (u128::from(n(17)) << 64) | u128::from(n(18)),
            },
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number does, cut to the field's type")]
    fn failure(&self) -> Failure {
        match self.flags & 7 {
            0 => Failure::NotConnected,
            1 => Failure::TimedOut,
            2 => Failure::Broken,
            3 => Failure::Malformed,
            _ => Failure::Status(self.numbers[4] as u16),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number does, cut to the field's type")]
    fn failures(&self) -> Failures {
        let n = |index: usize| self.numbers[index];
        Failures {
            not_connected: n(4),
            timed_out: n(5),
            broken: n(6),
            malformed: n(7),
            statuses: (8..8 + STATUS_CODES).map(|index| (n(index) as u16, n(index + STATUS_CODES))).collect(),
            other_statuses: n(3),
        }
    }

    /// The frame with both its delimiters.
    fn encoded(&self) -> Vec<u8> {
        let mut buffer = [0; MAX_ENCODED];
        let length = encode(&self.envelope(), &mut buffer).unwrap();
        buffer[..length].to_vec()
    }
}

/// An arbitrary phase of a plan, from at least eight numbers; the longest from the largest of all.
#[expect(clippy::cast_possible_truncation, reason = "any number does, cut to the field's type")]
fn phase_plan(flags: u8, numbers: &[u64], path: &str) -> PhasePlan {
    let n = |index: usize| numbers[index];
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let workload = match (flag(0), flag(5)) {
        (true, _) => Workload::get(path).unwrap(),
        (false, true) => Workload::Chat { prompt_tokens: n(2) as u16, output_tokens: n(3) as u16 },
        (false, false) => Workload::Host { content: n(2) },
    };
    let rate = Rate::per_kilosecond(n(4) as u32);
    let arrivals =
        [Arrival::ClosedLoop { concurrency: n(4) as u16 }, Arrival::Constant { rate }, Arrival::Poisson { rate }];
    PhasePlan {
        kind: [PhaseKind::Warmup, PhaseKind::Profiling, PhaseKind::Cooldown][usize::from(flags >> 1) % 3],
        workload,
        arrival: arrivals[usize::from(flags >> 3) % 3],
        stop: Stop { requests: flag(6).then(|| n(5)), duration: flag(7).then(|| Duration::from_nanos(n(6))) },
        grace: Duration::from_nanos(n(7)),
    }
}

/// Mostly any number, and often a small or the largest one.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..300_u64, Just(u64::MAX)]
}

fn content() -> impl Strategy<Value = Content> {
    let text = "[ -~]{0,32}|[é-ÿ]{0,16}|[ア-ン]{0,10}";
    let texts = vec(text, 3..=METRICS_PER_FRAME);
    #[expect(clippy::cast_possible_truncation, reason = "there are few kinds")]
    let kinds = 0..Frame::KINDS as u8;
    let detail = "[ -~]{0,160}|[ア-ン]{0,53}";
    (kinds, any::<u8>(), vec(number(), NUMBERS), texts, detail, vec(any::<u8>(), 0..=MAX_COUNTS)).prop_map(
        |(kind, flags, numbers, texts, detail, counts)| Content { kind, flags, numbers, texts, detail, counts },
    )
}

/// A payload with its checksum, stuffed, without delimiters.
fn seal(payload: &[u8]) -> Vec<u8> {
    let mut sealed = payload.to_vec();
    sealed.extend(Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(payload).to_le_bytes());
    let mut stuffed = std::vec![0; cobs::max_encoding_length(sealed.len())];
    let length = cobs::encode(&sealed, &mut stuffed);
    stuffed.truncate(length);
    stuffed
}

/// Why the segment is refused.
fn refusal(mut segment: Vec<u8>) -> Option<DecodeError> {
    decode(&mut segment).err()
}

/// The payload of an encoded frame or command.
fn payload(encoded: &[u8]) -> Vec<u8> {
    let mut segment = encoded[1..encoded.len() - 1].to_vec();
    let length = cobs::decode_in_place(&mut segment).unwrap();
    segment[..length - 4].to_vec()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

/// A payload that begins as frames do.
fn headed(version: u8, numbers: [u64; 4], body: &[u8]) -> Vec<u8> {
    let mut payload = std::vec![version];
    payload.extend(numbers.into_iter().flat_map(varint));
    payload.extend(body);
    payload
}

proptest! {
    #[test]
    fn every_frame_survives_the_round_trip(content in content()) {
        let mut encoded = content.encoded();
        let inner = 1..encoded.len() - 1;
        prop_assert!(encoded[0] == 0 && encoded[inner.end] == 0);
        prop_assert!(encoded[inner.clone()].iter().all(|byte| *byte != 0));
        prop_assert_eq!(decode(&mut encoded[inner]), Ok(content.envelope()));
    }

    #[test]
    fn postcard_writes_the_same_frames(content in content()) {
        let mut expected = [0; MAX_PAYLOAD];
        let expected = postcard::to_slice(&content.envelope(), &mut expected).unwrap();
        let encoded = content.encoded();
        prop_assert_eq!(payload(&encoded), &*expected);
        prop_assert_eq!(&encoded[1..encoded.len() - 1], seal(expected));
    }

    #[test]
    fn a_frame_fits_or_is_refused(content in content(), room in 0..=MAX_ENCODED) {
        let whole = content.encoded();
        let mut buffer = std::vec![0xaa; room];
        match encode(&content.envelope(), &mut buffer) {
            Ok(length) => prop_assert_eq!(&buffer[..length], &whole[..]),
            Err(EncodeError) => prop_assert!(room < whole.len()),
        }
    }

    #[test]
    fn a_kind_or_version_to_come_is_told_with_its_boot_and_sequence(
        version in VERSION + 1..0x80,
        kind in Frame::KINDS..,
        boot: u32,
        sequence: u32,
        uptime: u64,
        body in vec(any::<u8>(), 0..100),
    ) {
        let header = |version: u8, kind: u32| {
            seal(&headed(version, [boot.into(), sequence.into(), uptime, kind.into()], &body))
        };
        prop_assert_eq!(refusal(header(VERSION, kind)), Some(DecodeError::UnknownKind { kind, boot, sequence }));
        for kind in [kind, 0] {
            let newer = Some(DecodeError::NewerVersion { version, boot, sequence });
            prop_assert_eq!(refusal(header(version, kind)), newer);
        }
    }

    #[test]
    fn a_whole_frame_with_a_wrong_length_is_malformed(content in content(), more in vec(any::<u8>(), 1..4)) {
        let payload = payload(&content.encoded());
        let longer = [&payload[..], &more[..]].concat();
        prop_assert_eq!(refusal(seal(&longer)), Some(DecodeError::Malformed));
        prop_assert_eq!(refusal(seal(&payload[..payload.len() - 1])), Some(DecodeError::Malformed));
    }

    /// Whatever a sender puts behind a right checksum is read or refused, and what is read fits where frames do.
    #[test]
    fn any_bytes_with_a_right_checksum_are_decoded(
        kind in 0..Frame::KINDS, numbers in any::<(u32, u32, u64)>(), body in vec(any::<u8>(), 0..MAX_PAYLOAD),
    ) {
        let (boot, sequence, uptime) = numbers;
        let framed = headed(VERSION, [boot.into(), sequence.into(), uptime, kind.into()], &body);
        for payload in [&framed, &body] {
            let mut segment = seal(payload);
            if let Ok(envelope) = decode(&mut segment) {
                let mut buffer = [0; MAX_ENCODED];
                prop_assert!(encode(&envelope, &mut buffer).is_ok() || payload.len() > MAX_PAYLOAD);
                if let Frame::Buckets(buckets) = envelope.frame {
                    let _ = buckets.for_each(|_, _| {});
                }
            }
            let _ = decode_command(&mut seal(payload));
        }
    }

    /// The same with one byte changed, which leaves more of the frame to be read.
    #[test]
    fn any_frame_with_a_changed_byte_is_decoded(content in content(), place: usize, byte: u8) {
        let mut payload = payload(&content.encoded());
        let place = place % payload.len();
        payload[place] = byte;
        let _ = decode(&mut seal(&payload));
    }

    #[test]
    fn reading_counts_is_bounded_whatever_the_bytes(counts in vec(any::<u8>(), 0..=MAX_COUNTS)) {
        let mut calls = 0;
        let _ = Buckets { phase: 0, metric: 0, scale: 0, counts: &counts }.for_each(|_, _| calls += 1);
        prop_assert!(calls <= BUCKETS_PER_FRAME);
    }
}

#[test]
fn the_largest_frames_fit() {
    for kind in 0..10 {
        let mut encoded = Content::worst(kind).encoded();
        assert!(encoded.len() <= MAX_ENCODED, "kind {kind} takes {} bytes", encoded.len());
        let inner = 1..encoded.len() - 1;
        assert_eq!(decode(&mut encoded[inner]), Ok(Content::worst(kind).envelope()));
    }
    // A part of a histogram uses all the room there is.
    assert_eq!(Content::worst(4).encoded().len(), MAX_ENCODED);
}

#[test]
fn a_frame_that_is_too_long_is_refused() {
    let mut content = Content::worst(4);
    content.counts.push(1);
    assert_eq!(encode(&content.envelope(), &mut [0; 2 * MAX_ENCODED]), Err(EncodeError));
}

#[test]
fn runs_that_lie_about_their_length_are_refused() {
    let read = |counts: &[u8]| Buckets { phase: 0, metric: 0, scale: 0, counts }.for_each(|_, _| {});
    assert_eq!(read(&[]), Ok(()));
    assert_eq!(read(&[0, 1, 2]), Ok(()));
    assert_eq!(read(&[0, 0]), Err(BucketsError), "no buckets");
    assert_eq!(read(&[0, 2, 2]), Err(BucketsError), "a count is missing");
    assert_eq!(read(&[0, 2, 0, 2]), Err(BucketsError), "a count too many");
    assert_eq!(read(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 2, 0, 1]), Err(BucketsError), "beyond the largest index");
}

#[test]
fn a_frame_counts_so_many_buckets_and_not_one_more() {
    let read = |counts: &[u8]| {
        let mut calls = 0;
        (Buckets { phase: 0, metric: 0, scale: 0, counts }.for_each(|_, _| calls += 1), calls)
    };
    // All of them zero, in one run and in two.
    assert_eq!(read(&[0, 0x80, 2, 0, 0xff, 1]), (Ok(()), BUCKETS_PER_FRAME));
    assert_eq!(read(&[0, 0x81, 2, 0, 0x80, 2]), (Err(BucketsError), 0));
    assert_eq!(read(&[0, 0x80, 2, 0, 0xff, 1, 8, 1, 2]), (Err(BucketsError), BUCKETS_PER_FRAME));
}
