//! What a host makes of a line, and of a capture.

use std::borrow::Cow;

use phasemeter::capture::{CaptureReader, CaptureRecord, EndReason};
use phasemeter::replay::RecordedRun;
use phasemeter::report::{Number, Summary, render};

use super::wire::sealed;

/// The first eight bytes of a capture, as its documentation has them.
const MAGIC: [u8; 8] = *b"PMCAP\r\n\x01";
/// So many bytes at most; more would only be slower.
const LONGEST: usize = 1 << 14;

/// Any frames with sound checksums, and bytes between them. Nothing more is observed than was told of, a run that is complete
/// has all of it, and neither the cuts nor a second time change anything.
pub(super) fn session(data: &[u8]) {
    let line = line(&data[..data.len().min(LONGEST)]);
    let whole = summary(&[&line]);
    assert_eq!(summary(&line.chunks(61).collect::<Vec<_>>()), whole);
    for phase in &whole.phases {
        let coverage = &phase.coverage;
        assert!(coverage.observed <= coverage.expected, "{coverage:?}");
        assert!(!whole.run.complete || coverage.observed == coverage.expected, "{coverage:?}");
        for (name, metric) in phase.metrics.iter() {
            assert!(metric.count <= metric.expected, "{name}: {metric:?}");
            for (percentile, of) in &metric.percentiles {
                let (lower, upper) = (of.lower.map(Number::as_f64), of.upper.map(Number::as_f64));
                assert!(lower <= upper, "{name} {percentile}: {of:?}");
            }
        }
    }
    assert_eq!(whole.run.complete, whole.run.partial_reason.is_none());
    assert!(!render(&whole).contains('\u{1b}'), "nothing from outside moves a terminal's cursor");
}

/// Each piece begins with its length: up to 249 the payload of a frame, above that raw bytes.
fn line(mut data: &[u8]) -> Vec<u8> {
    let mut line = vec![0];
    while let [length, rest @ ..] = data {
        let is_raw = *length > 249;
        let length = if is_raw { usize::from(length - 249) } else { usize::from(*length) };
        let (piece, rest) = rest.split_at(length.min(rest.len()));
        if is_raw {
            line.extend_from_slice(piece);
        } else {
            line.extend(sealed(piece));
            line.push(0);
        }
        data = rest;
    }
    line
}

fn summary(pieces: &[&[u8]]) -> Summary {
    let mut run = RecordedRun::new();
    let mut apply = |record: CaptureRecord<'_>| run.apply(&record, |_, _| {});
    apply(CaptureRecord::Source { source: 0, identity: "line".into(), at_ns: 0, plan_hash: None });
    for bytes in pieces {
        apply(CaptureRecord::Data { source: 0, at_ns: 0, bytes: Cow::Borrowed(bytes) });
    }
    apply(CaptureRecord::End { at_ns: 1, reason: EndReason::Finished });
    run.summary()
}

/// A capture of any bytes, or of records with sound checksums: what is read reads the same when it is written again, a second
/// reading gives the same run, and of a part of the file comes a part of the records.
pub(super) fn capture(data: &[u8]) {
    let [kind, data @ ..] = &data[..data.len().min(LONGEST)] else { return };
    let file = if kind % 2 == 0 { data.to_vec() } else { with_checksums(data) };
    let Some(records) = records(&file) else { return };
    let mut again = file[..8].to_vec();
    for record in &records {
        // One that is longer than may be was not read.
        record.encode(&mut again).expect("what was read can be written");
    }
    assert_eq!(self::records(&again).as_ref(), Some(&records));
    let summary = |records: &[CaptureRecord<'_>]| {
        let mut run = RecordedRun::new();
        for record in records {
            run.apply(record, |_, _| {});
        }
        run.summary()
    };
    assert_eq!(summary(&records), summary(&records));
    let part = self::records(&file[..8 + (file.len() - 8) / 2]).unwrap_or_default();
    assert!(records.starts_with(&part));
}

/// Each piece begins with its length in two bytes, and becomes a record.
fn with_checksums(mut data: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    while let [low, high, rest @ ..] = data {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        let length = u32::try_from(length).expect("it is short").to_le_bytes();
        let checked = [&length, payload].concat();
        file.extend_from_slice(&checked);
        file.extend_from_slice(&crc32fast::hash(&checked).to_le_bytes());
        data = rest;
    }
    file
}

/// The records up to the first that cannot be read; `None` if it is no capture.
fn records(file: &[u8]) -> Option<Vec<CaptureRecord<'static>>> {
    let mut reader = CaptureReader::new(file, "capture").ok()?;
    let records: Vec<_> = reader.by_ref().map_while(Result::ok).collect();
    assert!(reader.sound_bytes() <= file.len() as u64);
    Some(records)
}
