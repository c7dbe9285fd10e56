//! `phasemeter record`: every kind of source, and every kind of loss.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::phase::Phase;
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::telemetry::{
    Envelope, Frame, MAX_ENCODED, MetricTotals, PhaseReport, Received, Receiver, VERSION, encode,
};
use phasemeter_core::time::Instant;
use phasemeter_tests::{Device, Exited, LIMIT, Running, frames, parse, phasemeter, run, without_names};
use serde_json::Value;

const DEVICE: Device = Device { id: "board-1", boot_id: 11, seed: 3, requests: 800, line_bytes: usize::MAX };

/// Records from a source to its end.
fn record(directory: &Path, source: &str) -> Exited {
    run(directory, ["record", source, "--out", "run"])
}

/// The summary that a recording left in `directory`.
fn summary(directory: &Path) -> Value {
    parse(&fs::read_to_string(directory.join("run/summary.json")).unwrap())
}

/// Records the bytes as a file.
fn record_bytes(bytes: &[u8]) -> (Exited, Value) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("telemetry.bin"), bytes).unwrap();
    let exited = record(directory.path(), "telemetry.bin");
    (exited, summary(directory.path()))
}

/// Serves the bytes to the first client, on a thread of its own.
fn serve(listener: TcpListener, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || listener.accept().unwrap().0.write_all(&bytes).unwrap())
}

#[test]
fn every_source_gives_the_same_summary() {
    let bytes = DEVICE.bytes();
    let (exited, of_file) = record_bytes(&bytes);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert_eq!(of_file["coverage"]["ratio"], 1.0);
    assert_eq!(of_file["devices"][0]["id"], "board-1");
    assert_eq!(of_file["devices"][0]["source"], "file:telemetry.bin");
    let of_file = without_names(of_file);
    let assert_same = |exited: Exited, directory: &Path| {
        assert_eq!(exited.code, Some(0), "{}", exited.stderr);
        assert_eq!(without_names(summary(directory)), of_file);
    };

    let directory = tempfile::tempdir().unwrap();
    let mut command = phasemeter(directory.path(), ["record", "-", "--out", "run"]);
    let mut recorder = Running::start(command.stdin(Stdio::piped()));
    recorder.take_stdin().unwrap().write_all(&bytes).unwrap();
    assert_same(recorder.wait(LIMIT), directory.path());

    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(listener, bytes.clone());
    assert_same(record(directory.path(), &format!("tcp:{address}")), directory.path());
    server.join().unwrap();

    let directory = tempfile::tempdir().unwrap();
    let recorder = Running::start(&mut phasemeter(directory.path(), ["record", "tcp-listen:0", "--out", "run"]));
    let address = recorder.wait_for_rest_of("waiting for a device to connect to ");
    TcpStream::connect(address).unwrap().write_all(&bytes).unwrap();
    assert_same(recorder.wait(LIMIT), directory.path());

    #[cfg(unix)]
    {
        let directory = tempfile::tempdir().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
        let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(&bytes).unwrap());
        assert_same(record(directory.path(), "unix:socket"), directory.path());
        server.join().unwrap();
    }
}

/// The frame that these bytes are, given to `take`.
fn read<T>(mut bytes: &[u8], take: impl Fn(&Envelope<'_>) -> T) -> Option<T> {
    let mut receiver = Receiver::<1024>::new();
    match receiver.take(&mut bytes)? {
        Received::Frame(envelope) => Some(take(&envelope)),
        _ => None,
    }
}

/// The device's frames, and the place of one in the middle of its first phase that has buckets.
fn frames_and_a_place() -> (Vec<Vec<u8>>, usize) {
    let frames = frames(&DEVICE.bytes());
    let is_buckets = |frame: &Vec<u8>| read(frame, |envelope| matches!(envelope.frame, Frame::Buckets(_)));
    let place = frames.iter().position(|frame| is_buckets(frame) == Some(true)).unwrap();
    assert!(place + 20 < frames.len(), "it is in mid-run");
    (frames, place)
}

#[test]
fn a_lost_frame_is_listed_and_repaired() {
    let (mut frames, place) = frames_and_a_place();
    frames.remove(place);
    let (exited, summary) = record_bytes(&frames.concat());
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let coverage = &summary["coverage"];
    assert_eq!((&coverage["lost_frames"], &coverage["ratio"]), (&Value::from(1), &Value::from(1.0)));
    let gaps = coverage["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!((&gaps[0]["device"], &gaps[0]["first_sequence"]), (&Value::from("board-1"), &Value::from(place)));
    assert!(exited.stderr.contains(&format!("lost frames 1 from number {place}\n")), "{}", exited.stderr);
}

#[test]
fn a_lost_tail_is_incomplete() {
    let (frames, place) = frames_and_a_place();
    let (exited, summary) = record_bytes(&frames[..place + 5].concat());
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    assert_eq!(summary["run"]["complete"], false);
    assert!(summary["run"]["partial_reason"].as_str().unwrap().contains("board-1: it did not finish"), "{summary}");
    assert!(exited.stdout.contains("PARTIAL"), "{}", exited.stdout);
}

#[test]
fn a_damaged_frame_is_counted_and_repaired() {
    let (mut frames, place) = frames_and_a_place();
    let middle = frames[place].len() / 2;
    let byte = &mut frames[place][middle];
    // Still no delimiter, or there would be two segments.
    *byte = if *byte == 0x55 { 0x54 } else { 0x55 };
    let (exited, summary) = record_bytes(&frames.concat());
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let coverage = &summary["coverage"];
    assert_eq!(coverage["crc_errors"], 1);
    assert_eq!((&coverage["lost_frames"], &coverage["ratio"]), (&Value::from(1), &Value::from(1.0)));
}

#[test]
fn a_reset_in_mid_run_is_told() {
    let first = DEVICE.bytes();
    let second = Device { boot_id: 12, seed: 4, ..DEVICE }.bytes();
    let (exited, summary) = record_bytes(&[&first[..first.len() / 2], &second[..]].concat());
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    assert_eq!(summary["coverage"]["resets"], 1);
    assert_eq!((&summary["devices"][0]["boots"], &summary["run"]["complete"]), (&Value::from(2), &Value::from(false)));
    assert!(exited.stderr.contains("the device was reset"), "{}", exited.stderr);
}

#[test]
fn a_reset_whose_hello_was_lost_is_told_by_the_boot() {
    let first = DEVICE.bytes();
    let second = frames(&Device { boot_id: 12, seed: 4, ..DEVICE }.bytes());
    let (exited, summary) = record_bytes(&[&first[..first.len() / 2], &second[2..].concat()].concat());
    assert_eq!((exited.code, &summary["coverage"]["resets"]), (Some(3), &Value::from(1)), "{}", exited.stderr);
}

#[test]
fn text_between_frames_is_passed_on() {
    let (mut frames, place) = frames_and_a_place();
    frames.insert(place, b"I (42) wifi: connected\r\n\x1b[31mred\x1b[0m\n".to_vec());
    let (exited, summary) = record_bytes(&frames.concat());
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert_eq!(summary["coverage"]["line"]["text"], 1);
    assert_eq!(summary["coverage"]["lost_frames"], 0);
    assert!(exited.stderr.contains("file:telemetry.bin: | I (42) wifi: connected\n"), "{}", exited.stderr);
    assert!(exited.stderr.contains("red") && !exited.stderr.contains('\x1b'), "text cannot control the terminal");
}

#[test]
fn a_frame_of_a_newer_version_is_said_and_counted() {
    let (mut frames, place) = frames_and_a_place();
    let newer = read(&frames[place], |envelope| {
        let mut bytes = [0; MAX_ENCODED];
        let length = encode(&Envelope { version: 2, ..envelope.clone() }, &mut bytes).unwrap();
        bytes[..length].to_vec()
    });
    frames[place] = newer.unwrap();
    let (exited, summary) = record_bytes(&frames.concat());
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let coverage = &summary["coverage"];
    assert_eq!((&coverage["line"]["newer_version"], &coverage["lost_frames"]), (&Value::from(1), &Value::from(0)));
    assert!(exited.stderr.contains("protocol version 2"), "{}", exited.stderr);
}

#[test]
fn a_source_without_a_frame_is_incomplete() {
    for bytes in [Vec::new(), b"PMCAP\r\n\x01".to_vec(), vec![0x55; 100_000], vec![0; 100_000], vec![0xff; 3]] {
        let (exited, summary) = record_bytes(&bytes);
        assert_eq!(exited.code, Some(3), "{}", exited.stderr);
        assert!(summary["run"]["partial_reason"].as_str().unwrap().contains("no frame was received"));
        assert!(!exited.stderr.contains("panicked"), "{}", exited.stderr);
    }
}

#[test]
fn counts_beyond_all_bounds_saturate() {
    let mut endless = LatencyHistogram::<8, u64>::new();
    endless.record_n(0, u64::MAX);
    let mut bytes = Vec::new();
    let mut send = |boot, sequence, frame| {
        let envelope = Envelope { version: VERSION, boot, sequence, uptime: Instant::MAX, frame };
        let mut encoded = [0; MAX_ENCODED];
        let length = encode(&envelope, &mut encoded).unwrap();
        bytes.extend_from_slice(&encoded[..length]);
    };
    for (boot, phase, first) in [(0, 0, 0), (0, u16::MAX, 10), (1, 0, 0)] {
        let mut stats = *Phase::new(phase, PhaseKind::Profiling, phase).stats();
        stats.counts.sent = u64::MAX;
        stats.counts.completed = u64::MAX;
        send(boot, first, Frame::Phase(PhaseReport { stats, samples: u64::MAX, skipped: u32::MAX }));
        for (metric, sequence) in (0..).zip(first + 1..).take(LoadMetric::ALL.len()) {
            let totals = MetricTotals { phase, metric, totals: endless.totals(), lag1: Lag1::NONE };
            send(boot, sequence, Frame::Totals(totals));
        }
    }
    let directory = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(directory.path().join(name), &bytes).unwrap();
    }
    let exited = run(directory.path(), ["record", "a", "b", "--out", "run"]);
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    assert!(!exited.stderr.contains("panicked"), "{}", exited.stderr);
    let summary = summary(directory.path());
    assert_eq!(summary["coverage"]["expected"], u64::MAX);
    assert_eq!(summary["coverage"]["observed"], u64::MAX);
    assert_eq!(summary["coverage"]["resets"], 2);
}
