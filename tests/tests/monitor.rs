//! Firmware that measures itself: metrics and phases of its own, and no end.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use phasemeter::replay::replay;
use phasemeter::session::Session;
use phasemeter::source::unix::Pty;
use phasemeter_tests::{LIMIT, MonitorDevice, Running, parse, phasemeter, run, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const DEVICE: MonitorDevice = MonitorDevice {
    id: "logger-1",
    boot_id: 5,
    seed: 6,
    phases: &["boot", "écriture flash"],
    samples: 40,
    is_endless: false,
    line_bytes: usize::MAX,
};

#[test]
fn a_monitors_own_metrics_reach_report_and_summary() {
    let place = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let direct = DEVICE.run(|piece| {
        bytes.extend_from_slice(piece);
        true
    });
    fs::write(place.path().join("telemetry.bin"), bytes).unwrap();
    let exited = run(place.path(), ["record", "telemetry.bin", "--out", "run"]);
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    let summary = parse(&fs::read_to_string(place.path().join("run/summary.json")).unwrap());
    assert_eq!(summary["run"]["complete"], true);
    assert_eq!(summary["devices"][0]["mode"], "monitor");
    let phases: Vec<_> = summary["phases"].as_array().unwrap().iter().collect();
    for direct in &direct {
        let phase = phases.iter().find(|phase| phase["phase"] == direct.phase).unwrap();
        assert_eq!((&phase["kind"], &phase["counts"]), (&Value::from("monitor"), &Value::Null));
        let metrics = phase["metrics"].as_object().unwrap();
        assert_eq!(metrics.len(), 16);
        for (name, is_time) in direct.metrics() {
            assert_eq!(name.len(), 32);
            let (metric, direct) = (&metrics[name], direct.histogram(name));
            assert_eq!((&metric["count"], &metric["expected"]), (&direct.count().into(), &direct.count().into()));
            assert_eq!(metric["unit"], if is_time { "ms" } else { "count" });
            let (max, unit) = (metric["max"].as_f64().unwrap(), if is_time { 1e6 } else { 1.0 });
            #[expect(clippy::cast_precision_loss, reason = "the values are small")]
            let truth = direct.max().unwrap() as f64 / unit;
            assert!((max - truth).abs() < 1e-9, "{name}: {max} is not {truth}");
            let shown = name.replace('_', " ");
            assert!(exited.stdout.contains(&shown), "{name} is not in the report: {}", exited.stdout);
        }
        assert!(exited.stdout.contains(direct.phase), "{}", exited.stdout);
    }
    let again = run(place.path(), ["report", "run", "--json"]);
    assert_eq!(parse(&again.stdout), summary);
}

/// In real time, for as long as the line takes something.
fn endless(mut pty: Pty) {
    let device = MonitorDevice { is_endless: true, ..DEVICE };
    device.run(|piece| {
        thread::sleep(Duration::from_millis(1));
        pty.write_all(piece).is_ok()
    });
}

#[test]
fn an_endless_run_that_is_ended_is_complete() {
    let place = tempfile::tempdir().unwrap();
    let pty = Pty::open().unwrap();
    let tty = pty.slave_path().to_str().unwrap().to_owned();
    let recorder = Running::start(&mut phasemeter(place.path(), ["record", &tty, "--out", "run"]));
    // Once nobody reads its line any more it waits for ever, and ends with this process.
    thread::spawn(move || endless(pty));
    let capture = place.path().join("run/capture.pmcap");
    wait_for("the second phase in the capture", LIMIT * 2, || {
        let summary = replay(&capture).ok()?.run.summary();
        let open = summary.phases.iter().find(|phase| phase.index == 1)?;
        (open.coverage.observed > 300).then_some(())
    });
    kill_process(Pid::from_child(recorder.child()), Signal::INT).unwrap();
    let exited = recorder.wait(LIMIT);
    assert_eq!(exited.code, Some(0), "{}\n{}", exited.stderr, exited.stdout);
    assert!(exited.stdout.contains("of an endless run"), "{}", exited.stdout);
    assert!(!exited.stdout.contains("PARTIAL"), "{}", exited.stdout);
    let summary = parse(&fs::read_to_string(place.path().join("run/summary.json")).unwrap());
    assert_eq!((&summary["run"]["complete"], &summary["run"]["partial_reason"]), (&true.into(), &Value::Null));
    let phases = summary["phases"].as_array().unwrap();
    let of_all = phases.iter().filter(|phase| phase["device"].is_null());
    let states: Vec<_> = of_all.map(|phase| (&phase["phase"], &phase["state"])).collect();
    let (boot, flash) = (Value::from("boot"), Value::from("écriture flash"));
    assert_eq!(states, [(&boot, &"complete".into()), (&flash, &"started".into())]);
    assert!(phases.iter().all(|phase| phase["metrics"].as_object().unwrap().len() == 16));
}

#[test]
fn a_host_that_attaches_in_mid_run_knows_the_names_within_two_seconds() {
    // 115,200 baud.
    let device = MonitorDevice { phases: &["all of it"], samples: 700, line_bytes: 12, ..DEVICE };
    let (mut bytes, mut at) = (Vec::new(), Vec::new());
    let direct = device.run(|piece| {
        at.push(bytes.len());
        bytes.extend_from_slice(piece);
        true
    });
    let names: Vec<_> = direct[0].metrics().map(|(name, _)| name).collect();
    let mut starts = 0;
    for start in (0..at.len() - 2_000).step_by(97) {
        let mut session = Session::new();
        session.feed(&bytes[at[start]..at[start + 2_000]], |_| ());
        let [boot] = session.boots() else { panic!("there is one boot") };
        let known: Vec<_> = (0..16).filter_map(|id| boot.metric(id)).map(|metric| metric.name).collect();
        assert_eq!(known, names, "attached after {start} ms");
        assert_eq!(session.info().unwrap().device_id, "logger-1");
        starts += 1;
    }
    assert!(starts > 50);
}
