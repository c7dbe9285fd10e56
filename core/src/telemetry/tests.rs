//! What the protocol promises, on arbitrary input: shared values here, the promises in the modules below.

use std::string::String;
use std::vec::Vec;

use crc::{CRC_32_ISO_HDLC, Crc};
use proptest::collection::vec;
use proptest::prelude::*;

use super::snapshot::MAX_COUNTS;
use super::*;
use crate::histogram::{Saturation, Totals};
use crate::meter::{METRICS, Metric};
use crate::phase::{PhaseCounts, PhaseState, PhaseStats};
use crate::plan::PhaseKind;
use crate::time::Nanos;

mod commands;
mod framing;
mod queue;
mod stream;

/// Arbitrary contents for a frame of any kind; an [`Envelope`] borrows from it.
#[derive(Clone, Debug)]
struct Content {
    kind: u8,
    flags: u8,
    numbers: Vec<u64>,
    texts: Vec<String>,
    metrics: Vec<String>,
    counts: Vec<u8>,
}

impl Content {
    /// The largest values in every field.
    fn worst(kind: u8) -> Self {
        let metrics = Metric::ALL.map(|metric| metric.name().into()).to_vec();
        let (numbers, texts) = (std::vec![u64::MAX; 16], std::vec!["x".repeat(MAX_ID); 3]);
        Self { kind, flags: 0xff, numbers, texts, metrics, counts: std::vec![0xff; MAX_COUNTS] }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number does, cut to the field's type")]
    fn envelope(&self) -> Envelope<'_> {
        let n = |index: usize| self.numbers[index];
        let flag = |bit: u8| self.flags & (1 << bit) != 0;
        let time = |bit: u8, index: usize| flag(bit).then(|| Nanos::new(n(index)));
        let wide = |index: usize| (u128::from(n(index)) << 64) | u128::from(n(index + 1));
        let frame = match self.kind {
            0 => Frame::Hello(Hello {
                device_id: &self.texts[0],
                boot_id: n(2),
                firmware: &self.texts[1],
                firmware_version: &self.texts[2],
                clock_hz: n(3) as u32,
                plan_hash: n(4),
                phases: n(5) as u16,
                capacity: n(6) as u16,
                counter_bits: n(7) as u8,
                metrics: self.metrics.iter().map(String::as_str).collect(),
                skipped: n(8) as u32,
            }),
            1 => Frame::Phase(PhaseReport {
                stats: PhaseStats {
                    index: n(2) as u16,
                    kind: if flag(0) { PhaseKind::Cooldown } else { PhaseKind::Profiling },
                    state: if flag(1) { PhaseState::Complete } else { PhaseState::Started },
                    timed_out: flag(2),
                    cancelled: flag(3),
                    started_at: time(4, 3),
                    sending_complete_at: time(5, 4),
                    completed_at: time(6, 5),
                    counts: PhaseCounts { sent: n(6), completed: n(7), errors: n(8), cancelled: n(9), unsent: n(10) },
                },
                samples: self.numbers[10..10 + METRICS].iter().copied().collect(),
                skipped: n(15) as u32,
            }),
            2 => Frame::Buckets(Buckets {
                phase: n(2) as u16,
                metric: n(3) as u8,
                scale: n(4) as i8,
                counts: &self.counts,
            }),
            3 => Frame::Totals(MetricTotals {
                phase: n(2) as u16,
                metric: n(3) as u8,
                totals: Totals {
                    scale: n(4) as i8,
                    count: n(5),
                    zero: n(6),
                    min: n(7),
                    max: n(8),
                    min_exact: flag(0),
                    max_exact: flag(1),
                    sum: wide(9),
                    sum_of_squares: wide(11),
                    saturation: Saturation::try_from(self.flags >> 4).unwrap(),
                },
            }),
            4 => Frame::Finished(Finished { phases: n(2) as u16, cancelled: flag(0), skipped: n(3) as u32 }),
            _ => Frame::Answer(Answer {
                command: n(2) as u32,
                plan_hash: n(3),
                refusal: flag(0).then(|| Refusal::JobTooLong(n(4) as u16)),
            }),
        };
        Envelope { version: VERSION, sequence: n(0) as u32, uptime: Nanos::new(n(1)), frame }
    }

    /// The frame with both its delimiters.
    fn encoded(&self) -> Vec<u8> {
        let mut buffer = [0; MAX_ENCODED];
        let length = encode(&self.envelope(), &mut buffer).unwrap();
        buffer[..length].to_vec()
    }
}

fn content() -> impl Strategy<Value = Content> {
    let number = prop_oneof![any::<u64>(), 0..300_u64, Just(u64::MAX)];
    // Three ids of 32 bytes and eight names of 10 are what the largest hello has room for.
    let text = "[ -~]{0,32}|[é-ÿ]{0,16}|[ア-ン]{0,10}";
    let metrics = vec("[a-z_]{0,10}", 0..=MAX_METRICS);
    (0..6_u8, any::<u8>(), vec(number, 16), vec(text, 3), metrics, vec(any::<u8>(), 0..=MAX_COUNTS)).prop_map(
        |(kind, flags, numbers, texts, metrics, counts)| Content { kind, flags, numbers, texts, metrics, counts },
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

/// The payload of an encoded frame.
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
    fn a_frame_fits_or_is_refused(content in content(), room in 0..=MAX_ENCODED) {
        let whole = content.encoded();
        let mut buffer = std::vec![0xaa; room];
        match encode(&content.envelope(), &mut buffer) {
            Ok(length) => prop_assert_eq!(&buffer[..length], &whole[..]),
            Err(EncodeError) => prop_assert!(room < whole.len()),
        }
    }

    #[test]
    fn a_kind_or_version_to_come_is_told_with_its_sequence(
        version in VERSION + 1..0x80, kind in Frame::KINDS.., sequence: u32, uptime: u64, body in vec(any::<u8>(), 0..100),
    ) {
        let header = |version: u8, kind: u32| {
            let mut payload = std::vec![version];
            for field in [u64::from(sequence), uptime, u64::from(kind)] {
                payload.extend(varint(field));
            }
            payload.extend(&body);
            seal(&payload)
        };
        prop_assert_eq!(refusal(header(VERSION, kind)), Some(DecodeError::UnknownKind { kind, sequence }));
        for kind in [kind, 0] {
            let newer = Some(DecodeError::NewerVersion { version, sequence });
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

    #[test]
    fn reading_counts_is_bounded_whatever_the_bytes(counts in vec(any::<u8>(), 0..=MAX_COUNTS)) {
        let mut calls = 0;
        let _ = Buckets { phase: 0, metric: 0, scale: 0, counts: &counts }.for_each(|_, _| calls += 1);
        prop_assert!(calls <= 1 << 15);
    }
}

#[test]
fn the_largest_frames_fit() {
    for kind in 0..6 {
        let mut encoded = Content::worst(kind).encoded();
        assert!(encoded.len() <= MAX_ENCODED, "kind {kind} takes {} bytes", encoded.len());
        let inner = 1..encoded.len() - 1;
        assert_eq!(decode(&mut encoded[inner]), Ok(Content::worst(kind).envelope()));
    }
    // A part of a histogram uses all the room there is.
    assert_eq!(Content::worst(2).encoded().len(), MAX_ENCODED);
}

#[test]
fn a_frame_that_is_too_long_is_refused() {
    let mut content = Content::worst(2);
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
    assert_eq!(read(&[0, 0x81, 0x80, 0x02, 0, 0x80, 0x80, 0x02]), Err(BucketsError), "longer than any histogram");
    assert_eq!(read(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 2, 0, 1]), Err(BucketsError), "beyond the largest index");
}
