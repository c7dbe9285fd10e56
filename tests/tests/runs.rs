//! Finding runs again, and what a shell and `man` are told of the command.

use std::fs;
use std::time::{Duration, SystemTime};

use phasemeter_tests::{Device, run};

#[test]
fn the_latest_run_is_the_one_that_was_begun_last() {
    let place = tempfile::tempdir().unwrap();
    let none = run(place.path(), ["report"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""));
    assert!(none.stderr.contains("there is no run under ./phasemeter-runs"), "{}", none.stderr);
    assert_eq!(run(place.path(), ["report", "--list"]).stdout, "run  started  verdict  observed  devices\n");

    let record = |id: &'static str, out: &str, part: usize, arguments: &[&str]| {
        let bytes = Device { id, boot_id: 1, seed: 5, requests: 200, line_bytes: usize::MAX }.bytes();
        fs::write(place.path().join("line.bin"), &bytes[..bytes.len() / part]).unwrap();
        run(place.path(), [&["record", "line.bin", "--out", out], arguments].concat());
    };
    // Names and times of files do not tell the order.
    record("first", "phasemeter-runs/z", 1, &[]);
    record("second", "phasemeter-runs/m", 1, &["--max-error-rate", "0"]);
    record("third with a name of 32 bytes ok", "phasemeter-runs/a", 2, &[]);
    let touched = fs::File::open(place.path().join("phasemeter-runs/z/capture.pmcap")).unwrap();
    touched.set_modified(SystemTime::now() + Duration::from_mins(1)).unwrap();
    fs::create_dir(place.path().join("phasemeter-runs/no-run")).unwrap();

    let listed = run(place.path(), ["report", "--list"]);
    assert_eq!(listed.code, Some(0));
    let rows: Vec<Vec<_>> = listed.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let told: Vec<_> = rows.iter().skip(1).map(|row| [&row[..1], &row[2..5]].concat()).collect();
    assert_eq!(
        told,
        [["z", "passed", "complete", "first"], ["m", "FAILED", "complete", "second"], ["a", "-", "PARTIAL", "third"],]
    );
    assert!(rows[1..].iter().all(|row| row[1].starts_with("20") && row[1].ends_with('Z')), "{}", listed.stdout);
    assert!(listed.stdout.lines().all(|line| line.chars().count() <= 80), "{}", listed.stdout);

    let latest = run(place.path(), ["report"]);
    assert_eq!(latest.code, Some(3));
    assert_eq!(latest.stdout, run(place.path(), ["report", "phasemeter-runs/a"]).stdout);
    // A recorder that was killed has left a capture and no more.
    fs::remove_file(place.path().join("phasemeter-runs/a/summary.json")).unwrap();
    fs::write(place.path().join("phasemeter-runs/m/summary.json"), "[").unwrap();
    let listed = run(place.path(), ["report", "--list"]).stdout;
    assert_eq!(listed.lines().filter(|line| line.ends_with("  -        no report  -")).count(), 2, "{listed}");
    assert_eq!(run(place.path(), ["report"]).stdout, latest.stdout);
    assert_eq!(run(place.path(), ["report", "--list", "--json"]).code, Some(2));
}

#[test]
fn shells_and_man_know_every_subcommand() {
    let place = tempfile::tempdir().unwrap();
    let subcommands = ["record", "replay", "report", "process", "mock-server", "plugins", "completions", "man"];
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let completions = run(place.path(), ["completions", shell]);
        assert_eq!(completions.code, Some(0), "{}", completions.stderr);
        assert!(subcommands.iter().all(|name| completions.stdout.contains(name)), "{shell}");
        assert!(completions.stdout.contains("max-error-rate"), "{shell}");
    }
    assert_eq!(run(place.path(), ["completions", "command.com"]).code, Some(2));
    let page = run(place.path(), ["man"]);
    assert!(page.stdout.contains(".TH phasemeter 1") && page.stdout.contains("Exit codes"), "{}", page.stdout);
    assert_eq!(run(place.path(), ["man", "--out", "pages"]).code, Some(0));
    for name in subcommands {
        let page = fs::read_to_string(place.path().join(format!("pages/phasemeter-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
}
