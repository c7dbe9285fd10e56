//! What the command says while it works: bounded, more or less as asked for, and by the device's own name.

use std::fs;

use phasemeter_tests::{Device, frames, run};

#[test]
fn as_much_is_said_as_was_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let device = Device { id: "board-7", boot_id: 1, seed: 5, requests: 400, line_bytes: usize::MAX };
    let frames = frames(&device.bytes());
    // Each fifth frame is lost.
    let kept: Vec<_> = frames.iter().enumerate().filter(|(place, _)| place % 5 != 3).map(|(_, frame)| frame).collect();
    let lost = frames.len() - kept.len();
    assert!(lost > 10, "only {lost} frames are lost");
    fs::write(place.path().join("line.bin"), kept.into_iter().flatten().copied().collect::<Vec<_>>()).unwrap();
    let record = |arguments: &[&str]| {
        let _ = fs::remove_dir_all(place.path().join("run"));
        run(place.path(), [&["record", "line.bin", "--out", "run"], arguments].concat())
    };
    let gaps = |said: &str| said.lines().filter(|line| line.contains(" lost frames 1 from number ")).count();

    let usual = record(&[]);
    assert_eq!(gaps(&usual.stderr), 5, "{}", usual.stderr);
    assert_eq!(usual.stderr.matches("(further gaps are only counted)").count(), 1, "{}", usual.stderr);
    assert!(usual.stderr.contains("phasemeter: board-7: profiling "), "{}", usual.stderr);
    let verbose = record(&["--verbose"]);
    // What is lost at the very end is no gap.
    assert!(gaps(&verbose.stderr) >= lost - 1, "{} of {lost}", gaps(&verbose.stderr));
    let quiet = record(&["-q"]);
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.code, usual.code);
    let report = |stdout: &str| stdout.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_eq!(report(&quiet.stdout), report(&usual.stdout));
    // Errors are said all the same.
    let error = run(place.path(), ["--quiet", "report", "missing"]);
    assert_eq!((error.code, error.stderr.lines().count()), (Some(2), 1), "{}", error.stderr);
}
