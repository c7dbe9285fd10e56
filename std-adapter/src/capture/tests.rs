use std::fs;
use std::io::Write;

use proptest::prelude::*;

use super::*;

fn records() -> Vec<CaptureRecord<'static>> {
    vec![
        CaptureRecord::Start { run_id: "run-1".into(), unix_ns: 1_700_000_000_000_000_000, tool: "test 1".into() },
        CaptureRecord::Source {
            source: 0,
            identity: "serial:/dev/ttyACM0@115200".into(),
            at_ns: 5,
            plan_hash: Some(7),
        },
        CaptureRecord::Data { source: 0, at_ns: 1_000, bytes: (0..=255).collect::<Vec<u8>>().into() },
        CaptureRecord::Data { source: 0, at_ns: 2_000, bytes: vec![0; 40].into() },
        CaptureRecord::SourceEnd { source: 0, at_ns: 3_000, kind: LineEnd::Eof, reason: "".into() },
        CaptureRecord::End { at_ns: 4_000, reason: EndReason::Finished },
    ]
}

/// A capture in memory, and where each record ends.
fn encode(records: &[CaptureRecord<'_>]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = MAGIC.to_vec();
    let mut ends = vec![bytes.len()];
    for record in records {
        record.encode(&mut bytes).unwrap();
        ends.push(bytes.len());
    }
    (bytes, ends)
}

struct Read {
    records: Vec<CaptureRecord<'static>>,
    error: Option<CaptureError>,
    torn: Option<u64>,
    damaged: Option<u64>,
}

fn read(bytes: &[u8]) -> Result<Read, CaptureError> {
    let mut reader = CaptureReader::new(bytes, "test.pmcap")?;
    let (mut records, mut error) = (Vec::new(), None);
    for item in &mut reader {
        match item {
            Ok(record) => records.push(record),
            Err(e) => error = Some(e),
        }
    }
    assert!(reader.next().is_none(), "an ended reader stays ended");
    Ok(Read { records, error, torn: reader.torn_tail(), damaged: reader.damaged_at() })
}

#[test]
fn the_format_is_pinned_byte_by_byte() {
    let (bytes, _) = encode(&[
        CaptureRecord::Start { run_id: "r".into(), unix_ns: 300, tool: "t".into() },
        CaptureRecord::Data { source: 1, at_ns: 2, bytes: vec![0xFF].into() },
        CaptureRecord::SourceEnd { source: 1, at_ns: 3, kind: LineEnd::Error, reason: "x".into() },
        CaptureRecord::End { at_ns: 4, reason: EndReason::TimedOut },
        CaptureRecord::Faults { source: 1, at_ns: 5, faults: "drop=0.1,seed=7".into() },
    ]);
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    // The CRCs are those of Python's zlib.crc32 over length and payload.
    let expected = [
        "504d4341500d0a01",
        "07000000 00 0172 ac02 0174 d232b840",
        "05000000 02 01 02 01ff 466f7f59",
        "06000000 03 01 03 01 0178 b94ed201",
        "03000000 04 04 02 17c9ef21",
        "13000000 05 01 05 0f64726f703d302e312c736565643d37 182172ad",
    ];
    assert_eq!(hex, expected.concat().replace(' ', ""));
}

#[test]
fn a_written_capture_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pmcap");
    let mut writer = CaptureWriter::create(&path, "run-7").unwrap();
    writer.source(3, "stdin", 10).unwrap();
    writer.data(3, 20, b"hello").unwrap();
    writer.source_end(3, 30, LineEnd::Stopped, "asked to").unwrap();
    writer.end(40, EndReason::Interrupted).unwrap();
    assert_eq!(writer.bytes_written(), fs::metadata(&path).unwrap().len(), "all of it is with the system");
    assert_eq!(writer.finish().unwrap(), fs::metadata(&path).unwrap().len());

    let mut reader = CaptureReader::open(&path).unwrap();
    let Some(Ok(CaptureRecord::Start { run_id, unix_ns, tool })) = reader.next() else { panic!("no start") };
    assert_eq!(run_id, "run-7");
    assert!(unix_ns > 1_600_000_000_000_000_000);
    assert!(tool.starts_with("phasemeter "));
    let rest: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(
        rest,
        [
            CaptureRecord::Source { source: 3, identity: "stdin".into(), at_ns: 10, plan_hash: None },
            CaptureRecord::Data { source: 3, at_ns: 20, bytes: b"hello".into() },
            CaptureRecord::SourceEnd { source: 3, at_ns: 30, kind: LineEnd::Stopped, reason: "asked to".into() },
            CaptureRecord::End { at_ns: 40, reason: EndReason::Interrupted },
        ]
    );
    assert_eq!((reader.torn_tail(), reader.damaged_at()), (None, None));
    assert_eq!(reader.sound_bytes(), fs::metadata(&path).unwrap().len());
}

#[test]
fn appended_records_survive_without_finish() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pmcap");
    let mut writer = CaptureWriter::create(&path, "killed").unwrap();
    writer.data(0, 1, &[7; 1000]).unwrap();
    // As after kill -9: no destructor runs.
    std::mem::forget(writer);
    let records: Vec<_> = CaptureReader::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(records[1], CaptureRecord::Data { source: 0, at_ns: 1, bytes: vec![7; 1000].into() });
}

#[test]
fn much_data_makes_several_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pmcap");
    let mut writer = CaptureWriter::create(&path, "big").unwrap();
    let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    writer.data(0, 9, &sent).unwrap();
    writer.data(0, 10, &[]).unwrap();
    writer.finish().unwrap();
    let mut got = Vec::new();
    for record in CaptureReader::open(&path).unwrap().skip(1) {
        let Ok(CaptureRecord::Data { source: 0, at_ns: 9, bytes }) = record else { panic!("{record:?}") };
        got.extend_from_slice(&bytes);
    }
    assert!(got == sent);
}

#[test]
fn a_record_too_long_is_refused_and_leaves_the_file_sound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pmcap");
    let mut writer = CaptureWriter::create(&path, "long").unwrap();
    let error = writer.source(0, &"x".repeat(MAX_PAYLOAD), 0).unwrap_err();
    assert!(matches!(error, CaptureError::TooLong { bytes } if bytes > MAX_PAYLOAD), "{error}");
    writer.end(1, EndReason::Finished).unwrap();
    let records: Vec<_> = CaptureReader::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(records[1..], [CaptureRecord::End { at_ns: 1, reason: EndReason::Finished }]);
}

#[test]
fn a_capture_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pmcap");
    fs::write(&path, "precious").unwrap();
    let error = CaptureWriter::create(&path, "run").unwrap_err();
    assert!(error.to_string().contains("never overwritten"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let error = CaptureWriter::create(dir.path().join("no/such/dir.pmcap"), "run").unwrap_err();
    assert!(matches!(error, CaptureError::Io { .. }));
}

#[test]
fn cut_at_every_byte_a_prefix_is_read() {
    let records = records();
    let (bytes, ends) = encode(&records);
    for cut in 0..=bytes.len() {
        let result = read(&bytes[..cut]);
        if cut < MAGIC.len() {
            let message = result.err().expect("no capture yet").to_string();
            let expected =
                if cut == 0 { "the file is empty".into() } else { format!("not a capture: only {cut} bytes") };
            assert!(message.contains(&expected), "{message}");
            continue;
        }
        let read = result.unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(read.records, records[..whole], "cut at {cut}");
        assert!(read.error.is_none());
        assert_eq!(read.damaged, None, "cut at {cut}");
        assert_eq!(read.torn, (ends[whole] != cut).then_some(ends[whole] as u64), "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_is_noticed_where_it_is() {
    let records = records();
    let (bytes, ends) = encode(&records);
    for bit in MAGIC.len() * 8..bytes.len() * 8 {
        let mut broken = bytes.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().filter(|end| **end <= bit / 8).count() - 1;
        let read = read(&broken).unwrap();
        assert_eq!(read.records, records[..hit], "bit {bit}");
        assert!(read.error.is_none());
        let at = Some(ends[hit] as u64);
        if hit + 1 < records.len() {
            // Also when the length was hit and now reaches past the end of the file.
            assert_eq!((read.damaged, read.torn), (at, None), "bit {bit}");
        } else {
            assert!(read.damaged == at || read.torn == at, "bit {bit}");
        }
    }
}

#[test]
fn zeros_after_a_power_cut_are_a_torn_tail() {
    let (mut bytes, ends) = encode(&records());
    bytes.extend([0; 10_000]);
    let tail = Some(ends[records().len()] as u64);
    let zeros = read(&bytes).unwrap();
    assert_eq!((zeros.torn, zeros.damaged, zeros.records), (tail, None, records()));
    bytes.push(1);
    let not_zeros = read(&bytes).unwrap();
    assert_eq!((not_zeros.torn, not_zeros.damaged), (None, tail));
}

#[test]
fn a_sound_record_of_an_unknown_kind_is_an_error() {
    let (mut bytes, _) = encode(&records()[..1]);
    let offset = bytes.len() as u64;
    let (length, payload) = ([2, 0, 0, 0], [99, 0]);
    for part in [&length[..], &payload, &checksum(length, &payload).to_le_bytes()] {
        bytes.extend_from_slice(part);
    }
    let read = read(&bytes).unwrap();
    assert_eq!(read.records.len(), 1);
    assert!(matches!(read.error, Some(CaptureError::UnknownRecord { offset: at, .. }) if at == offset));
}

#[test]
fn what_is_no_capture_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let check = |content: &[u8], expected: &str| {
        fs::File::create(&path).unwrap().write_all(content).unwrap();
        let message = CaptureReader::open(&path).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("/x: ") || cfg!(windows), "{message}");
        assert!(!message.contains('\n'));
    };
    check(b"", "not a capture: the file is empty");
    check(b"PMC", "not a capture: only 3 bytes");
    check(b"PM\0", "not a capture: it does not start");
    check(b"some text that goes on", "not a capture: it does not start");
    check(b"PMCAP\n\x01more", "not a capture: it does not start");
    check(b"PMCAP\r\n\x02more", "capture format 2");
    let message = CaptureReader::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("is a directory"), "{message}");
    assert!(matches!(CaptureReader::open(dir.path().join("none")), Err(CaptureError::Io { .. })));
}

proptest! {
    #[test]
    fn any_bytes_end_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), sound in any::<bool>()) {
        if sound {
            bytes.splice(0..0, MAGIC);
        }
        let _ = read(&bytes);
    }

    #[test]
    fn corrupted_captures_keep_a_sound_prefix(
        edits in prop::collection::vec((8_usize..420, any::<u8>()), 1..6),
        cut in 8_usize..500,
    ) {
        let (mut bytes, ends) = encode(&records());
        for (at, value) in edits {
            let at = at % bytes.len();
            bytes[at.max(8)] = value;
        }
        bytes.truncate(cut);
        let read = read(&bytes).unwrap();
        prop_assert!(read.error.is_none());
        prop_assert_eq!(&read.records[..], &records()[..read.records.len()]);
        let end = ends[read.records.len()] as u64;
        for at in [read.torn, read.damaged].into_iter().flatten() {
            prop_assert_eq!(at, end);
        }
        prop_assert!(read.torn.is_none() || read.damaged.is_none());
    }
}
