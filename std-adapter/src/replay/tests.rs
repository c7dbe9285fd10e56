use phasemeter_core::metric::LoadMetric;

use super::*;
use crate::process::{MetricsProcessor, PostProcessor, REQUEST_LATENCY};
use crate::session::tests::device::{Told, loaded, monitored, plan};

/// A run of lines with these frames, to devices to which this plan was uploaded.
fn run(lines: &[&[Vec<u8>]], plan_hash: Option<u64>) -> RecordedRun {
    let mut run = RecordedRun::new();
    run.apply(&CaptureRecord::Start { run_id: "r".into(), unix_ns: 0, tool: "t".into() }, |_, _| {});
    for (source, frames) in (0..).zip(lines) {
        let identity = format!("line-{source}").into();
        run.apply(&CaptureRecord::Source { source, identity, at_ns: 0, plan_hash }, |_, _| {});
        run.apply(&CaptureRecord::Data { source, at_ns: 1, bytes: frames.concat().into() }, |_, _| {});
        run.apply(&CaptureRecord::SourceEnd { source, at_ns: 2, kind: LineEnd::Eof, reason: "".into() }, |_, _| {});
    }
    run.apply(&CaptureRecord::End { at_ns: 3_000_000_000, reason: EndReason::Finished }, |_, _| {});
    run
}

#[test]
fn the_plan_that_was_uploaded_is_judged_by_in_a_replay_as_well() {
    let told = &loaded("d", 1, &[vec![500_000; 20]])[0];
    let hash = plan(20).content_hash();
    let summary = run(&[&told.frames], Some(hash)).summary();
    assert_eq!((summary.run.partial_reason, summary.run.recorded_s), (None, Some(3.0)));
    let other = run(&[&told.frames], Some(hash + 1)).summary().run.partial_reason.unwrap();
    assert!(
        other.starts_with(&format!("d: plan {:016x} was uploaded, and it runs plan {hash:016x}", hash + 1)),
        "{other}"
    );
}

#[test]
fn processors_get_the_metrics_of_a_load_in_milliseconds() {
    let latencies: Vec<_> = (1..=50).map(|place| place * 20_000).collect();
    let Told { frames, phases } = loaded("d", 1, &[latencies]).remove(0);
    let sets = run(&[&frames], None).result_sets().unwrap();
    let [set] = &*sets else { panic!("{sets:?}") };
    assert_eq!((set.name(), set.records(), set.counts().successful), ("d", 100, 50));
    assert!(set.phases()["warmup"].warmup && !set.phases()["profiling"].warmup);
    let profiling = &set.phases()["profiling"];
    let service = &phases[1].histograms[LoadMetric::ServiceTime.place()];
    for tag in [LoadMetric::ServiceTime.name(), REQUEST_LATENCY] {
        let metric = &profiling.metrics()[tag];
        assert_eq!((metric.unit(), metric.count(), metric.max()), ("ms", service.count(), Some(1.0)));
    }
    assert_eq!(profiling.metrics().len(), 4, "{:?}", profiling.metrics().keys());
    assert!(profiling.windows.seconds().is_some_and(|seconds| seconds > 0.09));
}

#[test]
fn processors_get_any_metric_under_the_device_s_own_name_and_unit() {
    let values: Vec<_> = (1..=40).map(|value| (usize::from(value % 2 == 0), value * 1_000_000)).collect();
    let told = monitored(1, &[values.clone(), values]);
    let sets = run(&[&told.frames], None).result_sets().unwrap();
    assert_eq!(sets[0].phases().keys().collect::<Vec<_>>(), ["boot", "logging"]);
    let metrics = sets[0].phases()["logging"].metrics();
    let of = |name: &str| (metrics[name].unit().to_owned(), metrics[name].count(), metrics[name].max());
    assert_eq!(of("flash_write"), ("ms".to_owned(), 20, Some(39.0)));
    assert_eq!(of("bytes_written"), ("count".to_owned(), 20, Some(40_000_000.0)));
    // Without the table nothing is known to have a name.
    let named = |frame: &&Vec<u8>| !frame.windows(11).any(|part| part == b"flash_write");
    let unnamed: Vec<_> = told.frames.iter().filter(named).cloned().collect();
    assert_eq!(run(&[&unnamed], None).result_sets().unwrap()[0].phases()["logging"].metrics().len(), 0);
}

#[test]
fn a_device_on_two_lines_is_one_result_set() {
    let told = &loaded("d", 1, &[vec![500_000; 20]])[0];
    let half = &told.frames[..told.frames.len() / 2];
    let sets = run(&[half, &told.frames], None).result_sets().unwrap();
    assert_eq!(sets.iter().map(crate::process::ResultSet::records).collect::<Vec<_>>(), [40]);
}

#[test]
fn processors_of_a_partial_run_say_how_much_they_have() {
    let told = &loaded("d", 1, &[vec![500_000; 20]])[0];
    let whole = run(&[&told.frames], None);
    let part = run(&[&told.frames[..told.frames.len() / 2]], None);
    for (run, is_complete) in [(whole, true), (part, false)] {
        let summary = run.summary();
        assert_eq!(summary.run.complete, is_complete);
        let result = MetricsProcessor::default().process(&run.result_sets().unwrap()).unwrap();
        assert_eq!(result.success(), is_complete);
        assert_eq!(result.partial_reason(), summary.run.partial_reason.as_deref());
        assert_eq!(result.coverage(), Some(summary.coverage.samples));
        let written = serde_json::to_value(&result).unwrap();
        assert_eq!(written["complete"], is_complete);
        assert_eq!(written["coverage"]["observed"], summary.coverage.samples.observed);
    }
}
