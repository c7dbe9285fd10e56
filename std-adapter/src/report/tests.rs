mod printed;

use phasemeter_core::metric::Metric;
use phasemeter_core::name::Name;
use phasemeter_core::outcome::{Failure, Failures};
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats};
use phasemeter_core::plan::PhaseKind;
use phasemeter_core::telemetry::{FailureDetail, FailureReport, Finished, Frame, Hello, MetricTable, Mode};

use super::*;
use crate::capture::EndReason;
use crate::session::tests::device::{loaded, monitored};
use crate::session::tests::script::{Script, complete, stats};
use crate::session::tests::{session, session_at, session_within};
use crate::session::{HostHistogram, Session};

fn info(end: EndReason) -> RunInfo {
    RunInfo { id: "r".into(), started_unix_ns: 0, end: Some((end, 600_000_000_000)), thresholds: Thresholds::default() }
}

fn report(end: EndReason, sources: &[(&str, &Session)]) -> Summary {
    let sources: Vec<_> =
        sources.iter().map(|(source, session)| Observed { source, session, failure: None, faults: None }).collect();
    let summary = summarize(&info(end), &sources);
    // What is written is read back, to the last digit.
    let json = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
    summary
}

fn of(script: &Script) -> Summary {
    report(EndReason::Finished, &[("line", &session(&script.0))])
}

fn merged<'a>(summary: &'a Summary, phase: &str) -> &'a PhaseSummary {
    summary.phases.iter().find(|entry| entry.device.is_none() && entry.phase == phase).unwrap()
}

#[test]
fn the_numbers_are_those_of_the_device() {
    let latencies: Vec<_> = (0..60).map(|place| if place % 10 == 3 { 0 } else { 400_000 + place * 10_000 }).collect();
    let told = &loaded("d", 1, &[latencies])[0];
    let summary = report(EndReason::Finished, &[("line", &session(&told.frames))]);
    assert!(summary.run.complete && summary.coverage.samples.ratio == Some(1.0), "{:?}", summary.run);
    for (entry, measured) in summary.phases.iter().filter(|entry| entry.device.is_none()).zip(&told.phases) {
        let counts = entry.counts.unwrap();
        assert_eq!((counts.sent, counts.errors, counts.in_flight), (60, 6, 0));
        // Requests are due every 2 ms, and each is over before the next is.
        assert_eq!((entry.send_gaps, entry.send_gap_cv), (Some(59), Some(0.0)));
        let failures = entry.failures.as_ref().unwrap();
        let statuses: u64 = failures.statuses.values().sum();
        let known = failures.not_connected + failures.timed_out + failures.broken + failures.malformed + statuses;
        assert_eq!((known, failures.unknown, failures.other_statuses), (6, 0, 0), "{failures:?}");
        for (metric, device) in ["response_time", "service_time", "schedule_lag"].iter().zip(&measured.histograms) {
            let (summary, mut host) = (&entry.metrics[*metric], HostHistogram::new());
            host.merge(device);
            assert_eq!(
                (summary.unit.as_str(), summary.count, summary.expected),
                ("ms", device.count(), device.count())
            );
            let nanos = (summary.max.unwrap().as_f64() * 1e6).round();
            assert_eq!(format!("{nanos}"), device.max().unwrap().to_string());
            assert_eq!((summary.relative_error * 1e6).round().to_string(), device.relative_error_ppm().to_string());
        }
        assert_eq!(entry.metrics.iter().len(), 3);
    }
    let text = render(&summary);
    assert!(text.contains("   errors      ") && text.contains("status 503"), "{text}");
    assert!(text.contains("== warmup   all devices   complete") && text.contains("success 90.00 %"), "{text}");
}

#[test]
fn a_lower_bound_says_at_least() {
    let counts = PhaseCounts { sent: 10, completed: 10, unsent: 1024, unsent_at_least: true, ..PhaseCounts::default() };
    let phase = PhaseStats { counts, ..complete(0) };
    let script = Script::default().hello(1).table().phase(phase, 10).zeros(0, 0, 10).finished(1);
    let summary = of(&script);
    assert!(merged(&summary, "profiling").counts.unwrap().unsent_at_least);
    let text = render(&summary);
    assert!(text.contains("unsent at least 1024"), "{text}");
    assert!(text.contains("cover 10 of at least 1034 intended"), "{text}");
}

#[test]
fn what_timed_out_whole_is_not_complete() {
    let of = |completed| {
        let counts = PhaseCounts { sent: 10, completed, cancelled: 10 - completed, ..PhaseCounts::default() };
        let phase = PhaseStats { counts, timed_out: true, ..complete(0) };
        of(&Script::default().hello(1).table().phase(phase, completed).zeros(0, 0, completed).finished(1))
    };
    let none = of(0);
    assert!(!none.run.complete && none.run.verdict == Some(Verdict::Failed), "{:?}", none.run);
    assert!(none.run.partial_reason.as_ref().unwrap().starts_with("every phase timed out"), "{:?}", none.run);
    assert!(render(&none).starts_with("run r   FAILED   PARTIAL   started"), "{}", render(&none));
    let one = of(1);
    assert!(one.run.complete && one.run.verdict == Some(Verdict::Failed), "{:?}", one.run);
    assert!(render(&one).contains("\nFAILED: 90.00 % of the profiling requests failed or were cancelled (9 of"));
}

#[test]
fn failures_whose_cause_did_not_come_are_unknown() {
    let counts = PhaseCounts { sent: 10, completed: 10, errors: 5, ..PhaseCounts::default() };
    let failures = Failures { statuses: [(404, 2)].into_iter().collect(), other_statuses: 1, ..Failures::NONE };
    let script = Script::default()
        .hello(1)
        .table()
        .say(Frame::Failures(FailureReport { phase: 0, failures }))
        .say(Frame::FailureDetail(FailureDetail { phase: 0, failure: Failure::Status(404), detail: "no such \nmodel" }))
        .phase(PhaseStats { counts, ..complete(0) }, 10)
        .zeros(0, 0, 10)
        .finished(1);
    let summary = of(&script);
    let failures = merged(&summary, "profiling").failures.as_ref().unwrap();
    assert_eq!((&failures.statuses, failures.other_statuses, failures.unknown), (&[(404, 2)].into(), 1, 2));
    let text = render(&summary);
    assert!(text.contains("   errors      status 404 2   other statuses 1   cause unknown 2\n"), "{text}");
    assert!(text.contains("\n               status 404: no such \u{fffd}model\n"), "{text}");
    let message = FailureMessage { cause: "status_404".into(), message: "no such \u{fffd}model".into() };
    assert_eq!(failures.messages, [message]);
    assert!(summary.run.partial_reason.unwrap().contains("the causes of 3 of 5 failures"));
    assert!(serde_json::to_string(&summary.phases).unwrap().contains(r#""statuses":{"404":2}"#));
}

#[test]
fn an_endless_run_is_complete_however_the_recording_ended() {
    let values: Vec<_> = (0..40).map(|value| (usize::from(value % 2 == 0), 512 + value)).collect();
    let mut frames = monitored(1, &[values.clone(), values]).frames;
    let outside = Hello { device_id: "logger", mode: Mode::Monitor, metrics: 2, outside: 3, ..Hello::default() };
    let boot = session(&frames).boots()[0].id();
    frames.push(crate::session::tests::device::frame(boot, 1_000_000, Frame::Hello(outside)));
    let session = session(&frames);
    for end in [EndReason::Interrupted, EndReason::TimedOut, EndReason::Finished] {
        let summary = report(end, &[("line", &session)]);
        assert!(summary.run.complete && summary.run.endless, "{:?}", summary.run);
        assert_eq!((summary.run.recorded_s, summary.coverage.samples.ratio), (Some(600.0), Some(1.0)));
        assert_eq!(summary.devices[0].mode, Some(DeviceMode::Monitor));
        assert_eq!((summary.devices[0].outside, &summary.devices[0].plan_hash), (3, &None));
        let open = merged(&summary, "logging");
        assert_eq!((open.kind, open.state), (Some(PhaseKind::Monitor), Some(PhaseState::Started)));
        assert_eq!((open.counts, &open.failures, open.throughput_rps, open.success_rate), (None, &None, None, None));
        assert!(merged(&summary, "boot").durations.total_s.is_some());
        let text = render(&summary);
        for said in [
            "run r   complete   started",
            "recorded 600.0 s of an endless run",
            "== logging #2   all devices   open, as of its last snapshot",
            "   samples     40 ",
            "WARNING: logger: 3 values came outside of any phase",
            "monitors itself",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        for word in ["request", "throughput", "success", "NOTE"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
    // Not so if the line broke, or the recorder was killed.
    let broken = Observed { source: "line", session: &session, failure: Some("input/output error"), faults: None };
    let reason = summarize(&info(EndReason::Finished), &[broken]).run.partial_reason;
    assert!(reason.unwrap().contains("logger: input/output error"));
    let killed = RunInfo { end: None, ..info(EndReason::Finished) };
    assert!(!summarize(&killed, &[Observed { failure: None, ..broken }]).run.complete);
}

#[test]
fn what_was_not_recorded_as_it_happened_has_no_length() {
    let values: Vec<_> = (1..=400).map(|value| (1, value)).collect();
    let session = session(&monitored(1, &[values.clone(), values]).frames);
    let said = |source, nanos| {
        let info = RunInfo { end: Some((EndReason::Finished, nanos)), ..info(EndReason::Finished) };
        render(&summarize(&info, &[Observed { source, session: &session, failure: None, faults: None }]))
    };
    for (source, nanos) in [("file:m.bin", 600_000_000_000), ("stdin", 1_000), ("stdin", 100_000_000)] {
        let text = said(source, nanos);
        assert!(text.contains("\nrecorded a part of an endless run\n"), "{source} {nanos}: {text}");
    }
    assert!(said("stdin", 600_000_000_000).contains("recorded 600.0 s of an endless run"));
}

#[test]
fn an_interrupted_load_is_complete_only_if_it_had_finished() {
    let told = &loaded("d", 1, &[vec![500_000; 20]])[0];
    let whole = session(&told.frames);
    assert!(report(EndReason::Interrupted, &[("line", &whole)]).run.complete);
    let half = session(&told.frames[..told.frames.len() / 2]);
    let reason = report(EndReason::Interrupted, &[("line", &half)]).run.partial_reason.unwrap();
    assert_eq!(reason, "recording was interrupted; d: it did not finish");
}

#[test]
fn plain_numbers_have_no_decimals() {
    let values: Vec<_> = (1..=200).map(|value| (1, value * 512)).collect();
    let session = session(&monitored(1, &[values]).frames);
    let summary = report(EndReason::Interrupted, &[("line", &session)]);
    let bytes = &merged(&summary, "boot").metrics["bytes_written"];
    assert_eq!(
        (bytes.unit.as_str(), bytes.min, bytes.max),
        ("count", Some(Number::Plain(512)), Some(Number::Plain(102_400)))
    );
    assert_eq!((bytes.mean, bytes.stdev), (Some(51_456.0), Some(3333.25_f64.sqrt() * 512.0)));
    let json = serde_json::to_value(bytes).unwrap();
    assert!(json["max"].is_u64() && json["percentiles"]["p50"]["value"].is_u64(), "{json}");
    let text = render(&summary);
    assert!(
        text.contains("   bytes written          200        512      51456 ") && text.contains(" 102400\n"),
        "{text}"
    );
    assert!(!text.contains("512.0"), "{text}");
}

#[test]
fn the_plans_of_devices_side_by_side_add_up() {
    let of = |id, boot| session_at(0, &loaded(id, boot, &[vec![500_000; 20]])[0].frames);
    let summary = report(EndReason::Finished, &[("a", &of("a", 1)), ("b", &of("b", 2))]);
    let all = merged(&summary, "profiling");
    let plan = all.plan.as_ref().unwrap();
    assert_eq!((plan.rate_rps, plan.concurrency, plan.stop_requests), (Some(1_000.0), None, Some(20)));
    assert_eq!((plan.arrival, plan.workload.as_str(), plan.grace_s), (ArrivalKind::Constant, "GET /", 10.0));
    let of_devices = summary.phases.iter().filter(|entry| entry.phase == "profiling" && entry.device.is_some());
    let (planned, sent) = of_devices.fold((0.0, 0.0), |(planned, sent), entry| {
        (planned + entry.plan.as_ref().unwrap().rate_rps.unwrap(), sent + entry.achieved_rate_rps.unwrap())
    });
    assert_eq!((plan.rate_rps, all.achieved_rate_rps), (Some(planned), Some(sent)));
    assert!((950.0..1_100.0).contains(&sent), "{sent}");
    // Of different plans nothing is said.
    let other = session_at(0, &loaded("b", 2, &[vec![500_000; 21]])[0].frames);
    let summary = report(EndReason::Finished, &[("a", &of("a", 1)), ("b", &other)]);
    assert_eq!(merged(&summary, "profiling").plan, None);
}

#[test]
fn rates_of_devices_add_only_if_they_ran_at_the_same_time() {
    let frames = |id, boot| loaded(id, boot, &[vec![500_000; 20]])[0].frames.clone();
    let (a, b) = (frames("a", 1), frames("b", 2));
    let first = session_at(1_000_000_000, &a);
    for (second, concurrent, words) in [
        (session_at(1_002_000_000, &b), Some(true), "all devices ran it at the same time for at least 0."),
        // A minute later.
        (session_at(61_000_000_000, &b), Some(false), "the devices did not all run it at the same time"),
        // From a file at once, at the same time and later; or nobody looked at a clock.
        (session_within(1_000_000_000, 1_000_000, &b), None, "not known whether the devices ran it at the same time"),
        (session_within(61_000_000_000, 1_000_000, &b), None, "not known whether the devices ran it at the same time"),
        (session(&b), None, "not known whether the devices ran it at the same time"),
    ] {
        let summary = report(EndReason::Finished, &[("a", &first), ("b", &second)]);
        let all = merged(&summary, "profiling");
        let overlap = all.overlap.unwrap();
        assert_eq!((overlap.concurrent, overlap.at_least_s.is_some()), (concurrent, concurrent == Some(true)));
        let is_told = [all.achieved_rate_rps.is_some(), all.throughput_rps.is_some(), all.plan.is_some()];
        assert_eq!(is_told, [concurrent == Some(true); 3]);
        assert!(render(&summary).contains(words), "{}", render(&summary));
        assert!(summary.phases.iter().all(|phase| phase.device.is_none() || phase.overlap.is_none()));
        if let Some(at_least) = overlap.at_least_s {
            // The second began 2 ms after the first.
            let shared = all.durations.total_s.unwrap() - 0.002;
            // A device reports its start a little later.
            assert!(at_least <= shared && shared - at_least < 0.001, "{at_least} of {shared}");
        }
    }
    let alone = report(EndReason::Finished, &[("a", &first)]);
    assert!(merged(&alone, "profiling").overlap.is_none() && !render(&alone).contains("at the same time"));
}

/// A device of one boot with these metrics, each with one value of zero.
fn with_metrics(device_id: &'static str, boot: u32, metrics: &[Metric<'static>]) -> Vec<Vec<u8>> {
    let count = u8::try_from(metrics.len()).unwrap();
    let hello = Hello { device_id, mode: Mode::Load, plan_hash: 7, phases: 1, metrics: count, ..Hello::default() };
    let mut script = Script::default().say(Frame::Hello(hello));
    let table = MetricTable { first: 0, metrics: metrics.iter().copied().collect() };
    script = script.say(Frame::Metrics(table)).phase(complete(0), count.into());
    for id in 0..count {
        script = script.zeros(0, id, 1);
    }
    // Each device has a boot of its own.
    let frames = script.finished(1).0;
    frames.into_iter().map(|frame| crate::session::tests::device::of_boot(&frame, boot)).collect()
}

#[test]
fn devices_with_different_metrics_merge_by_name_and_never_across_units() {
    let a = session(&with_metrics("a", 1, &[Metric::time("x"), Metric::time("y"), Metric::count("z")]));
    let b = session(&with_metrics("b", 2, &[Metric::time("y"), Metric::count("x"), Metric::count("z")]));
    let summary = report(EndReason::Finished, &[("a", &a), ("b", &b)]);
    assert!(summary.run.complete, "{:?}", summary.run);
    let all = merged(&summary, "profiling");
    let counts: Vec<_> = all.metrics.iter().map(|(name, metric)| (name, metric.count)).collect();
    assert_eq!(counts, [("y", 2), ("z", 2)]);
    let warning = summary.run.warnings.iter().find(|warning| warning.starts_with("x has one unit"));
    assert!(warning.is_some(), "{:?}", summary.run.warnings);
    let of_b = summary.phases.iter().find(|entry| entry.device.as_deref() == Some("b")).unwrap();
    assert_eq!(of_b.metrics["x"].unit, "count");
    assert_eq!(all.coverage, CoverageCounts { observed: 6, expected: 6, ratio: Some(1.0) });
}

#[test]
fn metrics_without_a_name_are_shown_and_never_merged_with_others() {
    let unnamed = |device_id, boot| session(&with_metrics(device_id, boot, &[Metric::time("x"), Metric::time("")]));
    let (a, b) = (unnamed("a", 1), unnamed("b", 2));
    let one = report(EndReason::Finished, &[("a", &a)]);
    let metric = &merged(&one, "profiling").metrics["metric 1 (unnamed)"];
    assert_eq!((metric.unit.as_str(), metric.count, metric.max), ("unknown", 1, Some(Number::Plain(0))));
    assert!(!one.run.complete && one.run.warnings[0].contains("metric 1 has no usable name"), "{:?}", one.run);
    assert!(render(&one).contains("metric 1 (unnamed)"));
    let two = report(EndReason::Finished, &[("a", &a), ("b", &b)]);
    assert_eq!(merged(&two, "profiling").metrics.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["x"]);
    assert_eq!(two.phases.iter().filter(|entry| entry.metrics.get("metric 1 (unnamed)").is_some()).count(), 2);
}

#[test]
fn a_device_on_two_lines_counts_once() {
    let told = &loaded("d", 1, &[vec![500_000; 20]])[0];
    let (whole, half) = (session(&told.frames), session(&told.frames[..told.frames.len() / 2]));
    for (sources, kept) in [([("a", &half), ("b", &whole)], "b"), ([("a", &whole), ("b", &whole)], "a")] {
        let summary = report(EndReason::Finished, &sources);
        assert!(summary.run.complete, "{:?}", summary.run);
        let counts: Vec<_> = summary.phases.iter().map(|entry| entry.counts.unwrap().sent).collect();
        assert_eq!(counts, [20, 20, 20, 20], "two phases, of all devices and of one");
        let same: Vec<_> = summary.devices.iter().filter_map(|device| device.same_as.as_deref()).collect();
        assert_eq!(same, [kept]);
        assert!(summary.run.warnings.iter().any(|warning| warning.contains("seen twice")), "{:?}", summary.run);
    }
    // Another device of the same name and boot id is another device.
    let other = session(&loaded("d", 1, &[vec![1], vec![500_000; 20]])[1].frames);
    let other_boot = &loaded("d", 1, &[vec![500_000; 20], vec![400_000; 20]])[1].frames;
    let summary = report(EndReason::Finished, &[("a", &session(other_boot)), ("b", &other)]);
    assert_eq!(summary.devices.iter().filter(|device| device.same_as.is_some()).count(), 0);
    assert_eq!(merged(&summary, "warmup").counts.unwrap().sent, 40);
}

#[test]
fn a_phase_of_which_only_histograms_came_renames_no_other() {
    let script = Script::default().hello(3).table().zeros(0, 0, 4).phase(complete(1), 0).phase(complete(2), 0);
    let summary = of(&script.finished(3));
    let phases: Vec<_> = summary
        .phases
        .iter()
        .filter(|entry| entry.device.is_none())
        .map(|e| (e.phase.as_str(), e.kind, e.instance))
        .collect();
    let profiling = Some(PhaseKind::Profiling);
    assert_eq!(phases, [("phase #0", None, 0), ("profiling", profiling, 1), ("profiling", profiling, 2)]);
    let unknown = merged(&summary, "phase #0");
    assert_eq!((unknown.state, unknown.counts, unknown.coverage.ratio), (None, None, None));
    assert_eq!(unknown.metrics["a"].count, 4);
    assert!(summary.run.partial_reason.as_ref().unwrap().contains("phase 0 was received without its report"));
    assert!(render(&summary).contains("== phase #0   all devices   state unknown"));
}

/// What was seen before: complete, at 28.7 % of the samples.
#[test]
fn what_is_complete_was_observed() {
    let script = Script::default().hello(2).table().phase(complete(0), 287).zeros(0, 0, 287);
    let script = script.phase(stats(1, PhaseState::Started), 713).zeros(1, 0, 0).finished(2);
    let summary = of(&script);
    assert!(!summary.run.complete && summary.coverage.samples.ratio.is_none(), "{:?}", summary.coverage);
    let script = Script::default().hello(1).table().phase(complete(0), 1_000).zeros(0, 0, 287).finished(1);
    let summary = of(&script);
    assert_eq!(summary.coverage.samples, CoverageCounts { observed: 287, expected: 1_000, ratio: Some(0.287) });
    assert!(!summary.run.complete && render(&summary).contains("PARTIAL"));
}

#[test]
fn several_runs_of_a_device_are_merged_and_resets_are_said() {
    let all = loaded("d", 1, &[vec![500_000; 20], vec![700_000; 20]]);
    let both: Vec<_> = all.iter().flat_map(|told| told.frames.clone()).collect();
    let summary = report(EndReason::Finished, &[("line", &session(&both))]);
    assert!(summary.run.complete && summary.devices[0].boots == 2);
    assert_eq!((merged(&summary, "warmup").parts, merged(&summary, "warmup").counts.unwrap().sent), (2, 40));
    let first = all[0].frames.len() / 2;
    let reset: Vec<_> = all[0].frames[..first].iter().chain(&all[1].frames).cloned().collect();
    let summary = report(EndReason::Finished, &[("line", &session(&reset))]);
    assert_eq!((summary.coverage.resets, summary.devices[0].boots), (1, 2));
    assert_eq!(summary.run.partial_reason.as_deref(), Some("d: it was reset in mid-run"));
}

#[test]
fn what_a_device_calls_itself_and_its_phases_cannot_steer_a_terminal() {
    let label = Name::cut("a\u{1b}[2J");
    let phase = PhaseStats { kind: PhaseKind::Monitor, label, ..stats(0, PhaseState::Started) };
    let hello = Hello { device_id: "d\u{202e}", firmware: "f\n", mode: Mode::Monitor, ..Hello::default() };
    let finished = Frame::Finished(Finished { phases: 1, cancelled: false, skipped: 0 });
    let script = Script::default().say(Frame::Hello(hello)).phase(phase, 0).say(finished);
    let summary = of(&script);
    let all = serde_json::to_string(&summary).unwrap() + &render(&summary);
    assert!(
        !all.contains(['\u{1b}', '\u{202e}']) && all.contains("a\u{fffd}[2J") && all.contains("f\u{fffd}"),
        "{all}"
    );
}
