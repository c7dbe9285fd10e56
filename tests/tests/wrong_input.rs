//! Wrong input of every kind: one clear line and exit code 2, never a panic.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use phasemeter::capture::{CaptureError, CaptureWriter, EndReason, LineEnd};
use phasemeter::replay::replay;
use phasemeter::report::Summary;
use phasemeter_tests::{Device, Exited, assert_follows_schema, frames, run};

/// The one line that tells what is wrong.
fn assert_one_line(exited: &Exited, of: &[&str]) -> String {
    let said = &exited.stderr;
    assert_eq!(exited.code, Some(2), "{of:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{of:?}: {said}");
    assert!(said.starts_with("phasemeter: "), "{of:?}: {said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{of:?}: {said}");
    assert_eq!(exited.stdout, "", "{of:?}");
    let parts: Vec<_> = said.trim_end().split(": ").collect();
    assert!(parts.windows(2).all(|pair| pair[0] != pair[1]), "told twice: {said}");
    said.trim_end().to_owned()
}

fn plan(phase: &str) -> String {
    format!("seed: 1\nphases:\n  - kind: profiling\n    workload: {{get: {{path: /}}}}\n{phase}")
}

/// A directory with wrong input under names that tell what it is.
fn wrong_input() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(place.path().join(name), content).unwrap();
    fs::create_dir(place.path().join("directory")).unwrap();
    write("empty", b"");
    write("text", b"no capture at all, and no plan either: [");
    write("short.pmcap", b"PMCAP");
    write("newer.pmcap", b"PMCAP\r\n\x02and something");
    write("good.yaml", plan("    arrival: {constant: {rate: 1}}\n    stop: {requests: 1}\n").as_bytes());
    write("negative.yaml", plan("    arrival: {constant: {rate: -5}}\n    stop: {requests: 1}\n").as_bytes());
    write("unknown.yaml", plan("    arival: {constant: {rate: 5}}\n    stop: {requests: 1}\n").as_bytes());
    write("endless.yaml", plan("    arrival: {constant: {rate: 5}}\n    stop: {}\n").as_bytes());
    write("binary.yaml", &[0xff, 0xfe, 0x00, 0x80]);
    place
}

#[test]
fn wrong_input_is_refused_with_one_line() {
    let place = wrong_input();
    let free_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("tcp:{free_port}");
    let target = ["--target", "http://127.0.0.1:9", "--output", "out.bin"];
    let load = |plan| [&["load", plan][..], &target].concat();
    let to = |output| ["load", "good.yaml", "--target", "http://127.0.0.1:9", "--output", output].to_vec();
    let at = |target| ["load", "good.yaml", "--target", target, "--output", "out.bin"].to_vec();
    let cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (vec!["replay", "missing"], vec!["missing"]),
        (vec!["replay", "directory"], vec!["directory", "capture.pmcap"]),
        (vec!["replay", "empty"], vec!["empty", "not a capture"]),
        (vec!["replay", "text"], vec!["text", "not a capture"]),
        (vec!["replay", "short.pmcap"], vec!["short.pmcap", "not a capture"]),
        (vec!["replay", "newer.pmcap"], vec!["newer.pmcap", "format 2"]),
        (vec!["report", "missing"], vec!["missing"]),
        (vec!["report", "directory"], vec!["directory", "capture.pmcap"]),
        (vec!["report", "empty", "--json"], vec!["empty", "not a capture"]),
        (vec!["report", "text"], vec!["text", "not a capture"]),
        (vec!["record", "missing"], vec!["missing", "no such file or device"]),
        (vec!["record", "directory"], vec!["directory", "is a directory"]),
        (vec!["record", ""], vec!["empty"]),
        (vec!["record", "tcp:localhost"], vec!["tcp:localhost", "no port"]),
        (vec!["record", "tcp-listen:90000"], vec!["tcp-listen:90000", "port"]),
        (vec!["record", &nobody], vec![&nobody]),
        (vec!["record", "text", "--out", "empty"], vec!["empty"]),
        (load("missing"), vec!["missing"]),
        (load("directory"), vec!["directory"]),
        (load("empty"), vec!["empty"]),
        (load("text"), vec!["text"]),
        (load("binary.yaml"), vec!["binary.yaml"]),
        (load("negative.yaml"), vec!["negative.yaml:5:", "rate"]),
        (load("unknown.yaml"), vec!["unknown.yaml:5:", "arival"]),
        (load("endless.yaml"), vec!["endless.yaml:6:", "never end"]),
        (at("ftp://127.0.0.1:9"), vec!["ftp://127.0.0.1:9", "http://HOST"]),
        (at("127.0.0.1:9"), vec!["127.0.0.1:9", "http://"]),
        (to("no/such/directory/out.bin"), vec!["no/such/directory/out.bin"]),
        (to(&nobody), vec![&nobody]),
    ];
    for (arguments, expected) in cases {
        let line = assert_one_line(&run(place.path(), &arguments), &arguments);
        assert!(expected.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
    }
    assert!(!place.path().join("phasemeter-runs").exists(), "nothing was recorded");
    assert!(!place.path().join("summary.json").exists(), "nothing was written");
}

#[cfg(unix)]
#[test]
fn what_is_no_port_is_refused_and_one_that_vanishes_is_told() {
    use phasemeter::source::unix::Pty;
    use phasemeter_tests::{LIMIT, Running, phasemeter};
    use std::io::Write;

    let place = tempfile::tempdir().unwrap();
    for port in ["/dev/ttyNoSuchBoard", "/dev/null", "unix:missing"] {
        let line = assert_one_line(&run(place.path(), ["record", port]), &[port]);
        assert!(line.contains(port), "{line}");
    }

    let mut pty = Pty::open().unwrap();
    let tty = pty.slave_path().to_str().unwrap().to_owned();
    let alias = place.path().join("ttyBoard");
    std::os::unix::fs::symlink(&tty, &alias).unwrap();
    let arguments = ["record", alias.to_str().unwrap(), "--reconnect", "300ms", "--out", "run"];
    let recorder = Running::start(&mut phasemeter(place.path(), arguments));
    pty.write_all(&device().bytes()[..1_000]).unwrap();
    recorder.wait_for_rest_of("warmup");
    // First the name: another pty may get the number at once.
    fs::remove_file(&alias).unwrap();
    drop(pty);
    let exited = recorder.wait(LIMIT);
    assert_eq!(exited.code, Some(2), "{}", exited.stderr);
    let lines: Vec<_> = exited.stderr.lines().filter(|line| line.contains("the port vanished")).collect();
    let [told] = lines[..] else { panic!("not one line: {}", exited.stderr) };
    assert!(told.starts_with("phasemeter: ") && told.contains("ttyBoard"), "{told}");
    assert_eq!(fs::read_to_string(place.path().join("run/report.txt")).unwrap(), exited.stdout);
}

fn device() -> Device {
    Device { id: "cut", boot_id: 1, seed: 2, requests: 4, line_bytes: usize::MAX }
}

/// A small capture with a record for each frame; returns where each of its records ends.
fn small_capture(path: &Path) -> Vec<u64> {
    let mut capture = CaptureWriter::create(path, "cut").unwrap();
    let mut ends = vec![capture.bytes_written()];
    capture.source(0, "file:cut", 1).unwrap();
    ends.push(capture.bytes_written());
    for (frame, at_ns) in frames(&device().bytes()).iter().zip(2..) {
        capture.data(0, at_ns, frame).unwrap();
        ends.push(capture.bytes_written());
    }
    capture.source_end(0, 1 << 20, LineEnd::Eof, "cut").unwrap();
    ends.push(capture.bytes_written());
    capture.end(1 << 20, EndReason::Finished).unwrap();
    ends.push(capture.finish().unwrap());
    ends
}

#[test]
fn a_capture_cut_anywhere_gives_what_came_before() {
    let place = tempfile::tempdir().unwrap();
    let (whole, cut): (PathBuf, PathBuf) = (place.path().join("whole.pmcap"), place.path().join("cut.pmcap"));
    let ends = small_capture(&whole);
    let bytes = fs::read(&whole).unwrap();
    assert_eq!(ends.last(), Some(&(bytes.len() as u64)));
    let mut last: Option<Summary> = None;
    for length in 0..=bytes.len() {
        fs::write(&cut, &bytes[..length]).unwrap();
        let replayed = match replay(&cut) {
            Ok(replayed) => replayed,
            Err(error) => {
                assert!(length < 8, "{length}: {error}");
                assert!(matches!(error, CaptureError::Empty(_) | CaptureError::TooShort { .. }), "{error}");
                continue;
            }
        };
        let is_at_an_end = length == 8 || ends.contains(&(length as u64));
        assert_eq!(replayed.damage.is_none(), is_at_an_end, "{length}: {:?}", replayed.damage);
        let summary = replayed.run.summary();
        if is_at_an_end {
            let observed = |summary: &Summary| (summary.coverage.line.frames, summary.coverage.samples.observed);
            assert!(last.as_ref().is_none_or(|last| observed(last) <= observed(&summary)));
            assert_follows_schema(&serde_json::to_value(&summary).unwrap());
            assert_eq!(summary.run.complete, length == bytes.len(), "{:?}", summary.run);
            last = Some(summary);
        } else {
            assert_eq!(Some(&summary), last.as_ref(), "part of a record changes nothing");
        }
    }

    let middle = bytes.len() / 2;
    for (length, code) in [(4, 2), (8, 3), (middle, 3), (bytes.len() - 1, 3), (bytes.len(), 0)] {
        fs::write(&cut, &bytes[..length]).unwrap();
        let exited = run(place.path(), ["report", "cut.pmcap", "--json"]);
        assert_eq!(exited.code, Some(code), "{length}: {}", exited.stderr);
        assert!(!exited.stderr.contains("panicked"));
        assert!(exited.stderr.lines().all(|line| line.starts_with("phasemeter: ")), "{}", exited.stderr);
    }
}

#[test]
fn options_that_cannot_be_are_refused() {
    let place = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (&["record", "-", "--max-duration", "0s"][..], "above 0"),
        (&["record", "-", "--max-duration", "soon"], "30s or 5m"),
        (&["record", "-", "--baud", "0"], "--baud"),
        (&["record", "-", "--max-duration", "100000000000000y"], "too large"),
        (&["record", "-", "--reconnect", "2y"], "a year at most"),
        (&["record", "-", "--max-duration", "2y"], "a year at most"),
        (&["bench", "http://127.0.0.1:9", "--grace", "2y"], "a year at most"),
        (&["record", "--listen", "0", "--devices", "0"], "--devices"),
        (&["record", "--listen", "0", "--devices", "1001"], "--devices"),
        (&["record", "--listen", "0.0.0.0"], "--listen: "),
        (&["record", "-", "--devices", "2"], "--listen"),
        (&["record"], "SOURCE"),
        (&["run", "p.yaml"], "--device"),
        (&["run", "p.yaml", "--all", "--device", "x"], "--all"),
        (&["run", "p.yaml", "--device", "x", "--max-duration", "0s"], "above 0"),
        (&["run", "p.yaml", "--device", "x", "--baud", "0"], "--baud"),
        (&["load", "p.yaml", "--target", "http://h", "--output", "o", "--device-id", " "], "a device has a name"),
        (&["load", "p.yaml", "--target", "http://h", "--output", "o", "--device-id", ""], "a device has a name"),
        (&["load", "p.yaml", "--target", "http://h", "--output", "o", "--max-error-rate", "101"], "0 to 100"),
    ] {
        let exited = run(place.path(), arguments);
        assert_eq!(exited.code, Some(2), "{arguments:?}");
        assert!(exited.stderr.contains(part), "{arguments:?}: {}", exited.stderr);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "nothing was written");
}
