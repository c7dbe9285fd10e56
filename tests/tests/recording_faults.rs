//! What goes wrong while a recording is on: a full disk, a capture that is taken away, floods, lines that make no sense, fall
//! silent or go and come back. Whatever it is, it is said, and what came before is kept.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use phasemeter::source::unix::Pty;
use phasemeter_tests::{Device, Exited, LIMIT, Running, parse, phasemeter, run, wait_for, without_names};
use serde_json::Value;

const DEVICE: Device = Device { id: "board-1", boot_id: 11, seed: 3, requests: 800, line_bytes: usize::MAX };

fn summary(run: &Path) -> Value {
    parse(&fs::read_to_string(run.join("summary.json")).unwrap())
}

/// The recorder of a client that has connected.
fn recorder(directory: &Path) -> (Running, TcpStream) {
    let running = Running::start(&mut phasemeter(directory, ["record", "tcp-listen:0", "--out", "run"]));
    let address = running.wait_for_rest_of("waiting for a device to connect to ");
    (running, TcpStream::connect(address).unwrap())
}

fn assert_last_line(exited: &Exited, parts: &[&str]) {
    assert_eq!(exited.code, Some(2), "{}", exited.stderr);
    let last = exited.stderr.lines().last().unwrap();
    assert!(last.starts_with("phasemeter: ") && parts.iter().all(|part| last.contains(part)), "{}", exited.stderr);
    assert!(!exited.stderr.contains("panicked"), "{}", exited.stderr);
}

#[test]
fn a_disk_that_is_full_leaves_the_beginning_of_the_capture() {
    let place = tempfile::tempdir().unwrap();
    let device = DEVICE.bytes();
    let (first, rest) = device.split_at(device.len() / 2);
    let bytes = [first, &b"\0and much text\n".repeat(10_000), rest].concat();
    fs::write(place.path().join("line.bin"), &bytes).unwrap();
    let program = phasemeter(place.path(), [""; 0]).get_program().to_owned();
    let record = "trap '' XFSZ; ulimit -f \"$1\"; exec \"$0\" record line.bin --out \"run$1\"";
    let mut kept_before = 0;
    // In units of 512 or 1024 bytes, as the shell has it: enough for a report.
    for blocks in ["101", "141"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", record]).arg(&program).arg(blocks).current_dir(place.path()).stdin(Stdio::null());
        let exited = Running::start(&mut shell).wait(LIMIT);
        assert_last_line(&exited, &["capture.pmcap: File too large", "make room", "phasemeter replay run"]);
        assert!(exited.stdout.contains("PARTIAL"), "{}", exited.stdout);

        let run_directory = place.path().join(format!("run{blocks}"));
        let report = fs::read_to_string(run_directory.join("report.txt")).unwrap();
        assert_eq!(report, exited.stdout);
        let reason = summary(&run_directory)["run"]["partial_reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("could write no more"), "{reason}");
        // Whole records, all of them of the beginning: no tail is torn, and a replay says the same.
        let replayed = phasemeter::replay::replay(&run_directory.join("capture.pmcap")).unwrap();
        assert_eq!(replayed.damage, None);
        let kept = replayed.run.sources()[0].session.bytes();
        assert!(kept_before < kept && kept < bytes.len() as u64, "{kept}");
        kept_before = kept;
        let arguments = ["replay".to_owned(), format!("run{blocks}")];
        assert_eq!((run(place.path(), arguments).stdout, Some(3)), (report, Some(3)));
    }
}

#[test]
fn a_capture_that_is_taken_away_is_missed() {
    let takes_away: [fn(&Path); 3] = [
        |run| fs::remove_file(run.join("capture.pmcap")).unwrap(),
        |run| {
            fs::rename(run.join("capture.pmcap"), run.join("moved")).unwrap();
            fs::write(run.join("capture.pmcap"), "another").unwrap();
        },
        |run| fs::remove_dir_all(run).unwrap(),
    ];
    for take_away in takes_away {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("run");
        let (running, mut line) = recorder(place.path());
        let bytes = DEVICE.bytes();
        line.write_all(&bytes[..bytes.len() / 2]).unwrap();
        running.wait_for_rest_of("board-1: profiling ");
        take_away(&directory);
        let exited = running.wait(LIMIT);
        assert_last_line(&exited, &["capture.pmcap: was deleted, moved or replaced", "cannot be replayed"]);
        assert!(exited.stdout.contains("PARTIAL"), "{}", exited.stdout);
        // The report is written where there still is a directory.
        let report = fs::read_to_string(directory.join("report.txt"));
        assert_eq!(report.ok(), directory.exists().then_some(exited.stdout));
    }
}

#[test]
fn a_flood_of_text_is_shown_in_part_and_recorded_whole() {
    let place = tempfile::tempdir().unwrap();
    let line = b"I (42) wifi: connected\n";
    let lines = 400_000;
    let text = line.repeat(lines);
    fs::write(place.path().join("line.bin"), [&text[..], &DEVICE.bytes()].concat()).unwrap();
    let exited = run(place.path(), ["record", "line.bin", "--out", "run"]);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let shown = exited.stderr.matches(": | ").count();
    let seconds = summary(&place.path().join("run"))["run"]["recorded_s"].as_f64().unwrap();
    // At least a second's worth, and no more than that each second.
    let windows = Duration::from_secs_f64(seconds).as_secs() + 2;
    assert!(shown >= 200 && shown as u64 <= 200 * windows, "{shown} in {seconds} s");
    assert_eq!(exited.stderr.matches("the rest is only counted").count(), 1, "{}", exited.stderr);
    let told = exited.stderr.lines().find(|line| line.ends_with("were not shown; the capture has them")).unwrap();
    let withheld: usize = told.split_whitespace().nth(1).unwrap().parse().unwrap();
    // A line that is cut in two by the end of a piece is two.
    assert!(withheld + shown >= lines && withheld + shown <= lines + text.len() / 1_000, "{told}");
    let replayed = phasemeter::replay::replay(&place.path().join("run/capture.pmcap")).unwrap();
    assert!(replayed.run.sources()[0].session.bytes() > text.len() as u64);
}

#[test]
fn a_wrong_baud_rate_is_guessed_once() {
    let place = tempfile::tempdir().unwrap();
    let mut pty = Pty::open().unwrap();
    let tty = pty.slave_path().to_str().unwrap().to_owned();
    let arguments = ["record", &tty, "--out", "run", "--max-duration", "5s", "--reconnect", "0s"];
    let running = Running::start(&mut phasemeter(place.path(), arguments));
    // What a UART makes of frames at another rate: hardly anything is as it was sent.
    let noise: Vec<_> = DEVICE.bytes().iter().map(|byte| byte.rotate_left(3) | 0x80).collect();
    for piece in noise.chunks(500).take(35) {
        pty.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    let exited = running.wait(LIMIT);
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    let told = "bytes arrive, no frame decodes: wrong baud rate?";
    assert_eq!(exited.stderr.matches(told).count(), 1, "{}", exited.stderr);
}

#[test]
fn a_stall_is_said_when_it_begins_and_when_it_ends() {
    let place = tempfile::tempdir().unwrap();
    let (running, mut line) = recorder(place.path());
    let bytes = DEVICE.bytes();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    line.write_all(first).unwrap();
    let begin = Instant::now();
    running.wait_for_rest_of("board-1: no frame has come for 3 s");
    assert!(begin.elapsed() > Duration::from_secs(2), "{:?}", begin.elapsed());
    line.write_all(rest).unwrap();
    let rest = running.wait_for_rest_of("board-1: frames come again, after ");
    assert!(rest.ends_with(" s"), "{rest}");
    let exited = running.wait(LIMIT);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert_eq!(exited.stderr.matches("no frame has come").count(), 1, "{}", exited.stderr);
}

#[test]
fn a_port_that_is_unplugged_and_plugged_in_again_continues_its_run() {
    let place = tempfile::tempdir().unwrap();
    let alias = place.path().join("ttyBoard");
    let plug = |pty: &Pty| std::os::unix::fs::symlink(pty.slave_path(), &alias).unwrap();
    let bytes = DEVICE.bytes();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    let mut pty = Pty::open().unwrap();
    plug(&pty);
    let arguments = ["record", alias.to_str().unwrap(), "--out", "run", "--reconnect", "20s"];
    let running = Running::start(&mut phasemeter(place.path(), arguments));
    pty.write_all(first).unwrap();
    let capture = place.path().join("run/capture.pmcap");
    wait_for("the first half in the capture", LIMIT, || {
        let replayed = phasemeter::replay::replay(&capture).ok()?;
        (replayed.run.sources().first()?.session.bytes() == first.len() as u64).then_some(())
    });
    // First the name: another pty may get the number at once.
    fs::remove_file(&alias).unwrap();
    drop(pty);
    std::thread::sleep(Duration::from_millis(500));
    let mut pty = Pty::open().unwrap();
    plug(&pty);
    pty.write_all(rest).unwrap();
    let exited = running.wait(LIMIT);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);

    fs::write(place.path().join("line.bin"), &bytes).unwrap();
    run(place.path(), ["record", "line.bin", "--out", "whole"]);
    let of = |name| without_names(summary(&place.path().join(name)));
    assert_eq!(of("run"), of("whole"));
}

#[test]
fn who_connects_and_leaves_does_not_end_the_recording() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::start(&mut phasemeter(place.path(), ["record", "tcp-listen:0", "--out", "run"]));
    let address = running.wait_for_rest_of("waiting for a device to connect to ");
    for _ in 0..3 {
        drop(TcpStream::connect(&address).unwrap());
        std::thread::sleep(Duration::from_millis(150));
    }
    TcpStream::connect(&address).unwrap().write_all(&DEVICE.bytes()).unwrap();
    let exited = running.wait(LIMIT);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert_eq!(summary(&place.path().join("run"))["coverage"]["ratio"], 1.0);
}
