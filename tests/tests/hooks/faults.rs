//! Disks that are full or read-only, and processes that are killed in the middle of a checkpoint.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use phasemeter::hook::{FileLogConfig, FileLogHook, JsonMetricsConfig, JsonMetricsHook};
use tempfile::TempDir;

use super::{read_json, tell_phase};

/// A small file system of its own, unmounted when it is dropped.
struct Mount(TempDir);

impl Mount {
    /// `None`, and a word on standard error, if this user may not mount.
    fn new(test: &str, options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "phasemeter-test"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        // Written directly: the output of a test that passes is not shown.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: this user may not mount a file system");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmount = |lazy: &[&str]| Command::new("umount").args(lazy).arg(self.0.path()).status();
        if !unmount(&[]).is_ok_and(|status| status.success()) {
            let _ = unmount(&["-l"]);
        }
    }
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while file.write_all(&[b'x'; 4096]).is_ok() {}
    while file.write_all(b"x").is_ok() {}
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint_and_whole_lines() {
    let Some(disk) = Mount::new("a_full_disk", "size=256k") else { return };
    let (path, log_path, filler) =
        (disk.path().join("metrics.json"), disk.path().join("phases.log"), disk.path().join("filler"));
    let mut metrics = JsonMetricsHook::new(JsonMetricsConfig::new(&path)).unwrap();
    let mut log = FileLogHook::new(FileLogConfig { verbose: true, ..FileLogConfig::new(&log_path) }).unwrap();
    for failures in [metrics.failures(), log.failures()] {
        failures.report_to(|_| {});
    }
    tell_phase(&mut (&mut metrics, &mut log));
    let before = fs::read(&path).unwrap();
    fill(&filler);
    // More than the page that the log has already.
    (0..20).for_each(|_| tell_phase(&mut (&mut metrics, &mut log)));
    assert_eq!(metrics.failures().count(), 80);
    assert!((20..79).contains(&log.failures().count()), "{}", log.failures().count());
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::remove_file(&filler).unwrap();
    tell_phase(&mut (&mut metrics, &mut log));
    assert_eq!(metrics.failures().count(), 80);
    let json = read_json(&path);
    assert_eq!(json["aggregate"]["completed_phases"], 22, "nothing that was told is lost");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 2, "nothing is left beside the files");

    let text = fs::read_to_string(&log_path).unwrap();
    let is_whole = |line: &str| line.starts_with("[20") && (line.ends_with("profiling") || line.ends_with("0s"));
    let (whole, torn): (Vec<_>, Vec<_>) = text.lines().partition(|line| is_whole(line));
    assert_eq!(whole.len() as u64, 4 * 22 - log.failures().count());
    assert!(torn.len() <= 1 && !torn.contains(&""), "the line that met the end of the disk: {torn:?}");
    assert!(text.ends_with("Duration: 3.50s\n"));
}

#[test]
fn a_read_only_disk_is_told_at_once_and_later_does_not_stop_the_run() {
    let Some(disk) = Mount::new("a_read_only_disk", "size=1m") else { return };
    let config = JsonMetricsConfig::new(disk.path().join("metrics.json"));
    let log_config = FileLogConfig::new(disk.path().join("phases.log"));
    let mut metrics = JsonMetricsHook::new(config.clone()).unwrap();
    let mut log = FileLogHook::new(log_config.clone()).unwrap();
    for failures in [metrics.failures(), log.failures()] {
        failures.report_to(|_| {});
    }
    let status = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.path()).status().unwrap();
    assert!(status.success());
    tell_phase(&mut (&mut metrics, &mut log));
    assert_eq!((metrics.failures().count(), log.failures().count()), (4, 4));
    let error = JsonMetricsHook::new(config).unwrap_err().to_string();
    assert!(error.contains("metrics.json") && error.contains("Read-only"), "{error}");
    let error = FileLogHook::new(log_config).unwrap_err().to_string();
    assert!(error.contains("phases.log") && error.contains("Read-only"), "{error}");
}

const METRICS: &str = "PHASEMETER_TEST_METRICS";

#[test]
#[ignore = "the process that the next test kills, not a test"]
fn checkpoint_writer() {
    let Some(path) = std::env::var_os(METRICS) else { return };
    let mut hook = JsonMetricsHook::new(JsonMetricsConfig::new(path)).unwrap();
    tell_phase(&mut hook);
    println!("\nready");
    loop {
        tell_phase(&mut hook);
    }
}

/// Kills a writer at a moment of its own, and checks the file that it leaves.
fn kill_one(path: &Path, after: Duration) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::checkpoint_writer", "--ignored", "--nocapture"])
        .env(METRICS, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(writer.stdout.take().unwrap()).lines();
    let ready = output.any(|line| line.is_ok_and(|line| line == "ready"));
    thread::sleep(after);
    writer.kill().unwrap();
    writer.wait().unwrap();
    assert!(ready, "the writer ended by itself");
    let text = fs::read_to_string(path).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("torn after {after:?}: {error}"));
    assert_eq!(json["schema"], "phasemeter.hook-metrics/1");
    assert!(json["aggregate"]["completed_phases"].as_u64() >= Some(1));
}

#[test]
fn of_1_000_writers_that_are_killed_none_leaves_a_torn_file() {
    let started = Instant::now();
    let in_the_middle: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    let directory = tempfile::tempdir().unwrap();
                    let path = directory.path().join("metrics.json");
                    for kill in 0..250 {
                        // Spread over 3 ms, by a step that shares no factor with it.
                        kill_one(&path, Duration::from_micros((thread * 250 + kill) * 1_009 % 3_000));
                    }
                    // A writer that was killed within a checkpoint leaves what it had of it under another name.
                    fs::read_dir(directory.path()).unwrap().count() - 1
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!((100..=1_000).contains(&in_the_middle), "{in_the_middle} were killed within a checkpoint");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    println!("{in_the_middle} of 1,000 were killed within a checkpoint; it took {:?}", started.elapsed());
}
