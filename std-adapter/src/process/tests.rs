//! The processors, over sets that were read and sets that were made.

use std::collections::BTreeMap;

use phasemeter_core::aggregate::Timing;
use proptest::prelude::*;

use super::*;
use crate::session::CoverageCounts;

mod printed;

const FIXTURE: &str = r#"{"timestamp": 1000.0, "latency_ms": 50.5}
{"timestamp": 1001.0, "latency": 45.2}
{"timestamp": 1002.0, "response_time": 100.1}
{"timestamp": 1003.0, "status": "error", "error": {"type": "timeout"}}
"#;

fn read_with(text: &str, options: ReadOptions) -> ResultSet {
    let mut reader = Reader::new("test", options);
    reader.read("test", text.as_bytes(), &mut ()).unwrap();
    reader.finish()
}

fn read(text: &str) -> ResultSet {
    read_with(text, ReadOptions::default())
}

fn process(mut processor: impl PostProcessor, sets: &[ResultSet]) -> ProcessingResult {
    processor.process(sets).unwrap()
}

#[test]
fn metrics_are_computed_and_written() {
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("new/directory/metrics.json");
    let processor = MetricsProcessor { output_file: Some(output.clone()), ..MetricsProcessor::default() };
    let result = process(processor, &[read(FIXTURE)]);
    assert!(result.success());
    assert_eq!((result.record_count(), result.error_count(), result.rejected_count()), (4, 1, 0));
    assert_eq!(result.output_path(), Some(output.as_path()));
    let metrics = result.metrics();
    assert_eq!(
        (&metrics["total_records"], &metrics["error_count"], &metrics["error_rate"]),
        (&4.into(), &1.into(), &0.25.into())
    );
    assert_eq!(
        metrics["request_counts"],
        serde_json::json!({"total": 4, "successful": 3, "failed": 1, "success_rate": 0.75})
    );
    let latency = &metrics["latency_percentiles"];
    assert_eq!((&latency["unit"], &latency["min"], &latency["max"]), (&"ms".into(), &45.2.into(), &100.1.into()));
    let names: Vec<_> = latency.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["max", "mean", "min", "p50", "p75", "p90", "p95", "p99", "stdev", "unit"]);
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap();
    assert_eq!((&written["metrics"], &written["success"]), (&metrics.clone().into(), &true.into()));
}

#[test]
fn without_records_there_is_no_success_and_without_latencies_no_percentiles() {
    for empty in [&[][..], &[ResultSet::new("empty")], &[read("nothing\n")]] {
        let result = process(MetricsProcessor::default(), empty);
        assert!(!result.success() && !result.metrics().contains_key("latency_percentiles"));
        assert_eq!(result.metrics()["error_rate"], serde_json::Value::Null);
    }
    let no_latency = [read("{\"status\": \"success\"}\n{\"status\": \"error\", \"latency_ms\": 5}\n")];
    let result = process(MetricsProcessor::default(), &no_latency);
    assert!(result.success() && !result.metrics().contains_key("latency_percentiles"));
    let processor = MetricsProcessor { include_percentiles: false, ..MetricsProcessor::default() };
    assert!(!process(processor, &[read(FIXTURE)]).metrics().contains_key("latency_percentiles"));
}

#[test]
fn a_directory_is_only_made_if_that_is_wanted() {
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("missing/metrics.json");
    let mut processor =
        MetricsProcessor { output_file: Some(output.clone()), create_dirs: false, ..MetricsProcessor::default() };
    let error = processor.process(&[read(FIXTURE)]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write") && error.contains("metrics.json"), "{error}");
}

#[test]
fn configurations_have_defaults_and_no_unknown_keys() {
    let config = r#"{"percentiles": [99.9, 50, 99, 50], "include_percentiles": true}"#;
    let processor: MetricsProcessor = serde_json::from_str(config).unwrap();
    assert_eq!(processor.percentiles.as_slice(), [50.0, 99.0, 99.9]);
    let latency = process(processor, &[read(FIXTURE)]).metrics()["latency_percentiles"].clone();
    assert!(latency["p50"].as_f64() < latency["p99.9"].as_f64(), "{latency}");
    let linear: MetricsProcessor =
        serde_json::from_str(r#"{"percentile_rule": "linear", "percentiles": [75]}"#).unwrap();
    for (processor, rule, p75) in [(MetricsProcessor::default(), "nearest_rank", 100.1), (linear, "linear", 75.3)] {
        let metrics = process(processor, &[read_with(FIXTURE, ReadOptions { exact: true, ..ReadOptions::default() })]);
        assert_eq!(metrics.metrics()["percentile_rule"], rule);
        assert!((metrics.metrics()["latency_percentiles"]["p75"].as_f64().unwrap() - p75).abs() < 1e-9);
    }
    assert!(serde_json::from_str::<MetricsProcessor>(r#"{"percentile_rule": "median"}"#).is_err());
    assert!(serde_json::from_str::<MetricsProcessor>(r#"{"percentils": []}"#).is_err());
    for wrong in ["101", "99.99999"] {
        assert!(serde_json::from_str::<MetricsProcessor>(&format!("{{\"percentiles\": [{wrong}]}}")).is_err());
    }
    let aggregator: ResultsAggregator = serde_json::from_str(r#"{"timing": "concurrent"}"#).unwrap();
    assert_eq!(aggregator.timing, Some(Timing::Concurrent));
    assert!(serde_json::from_str::<ResultsAggregator>(r#"{"timing": "both"}"#).is_err());
}

#[test]
fn a_record_says_in_many_ways_how_its_request_ended() {
    let counts = |fields: &str| {
        let set = read(&format!("{{\"latency_ms\": 5{fields}}}\n"));
        let OutcomeCounts { successful, errors, cancelled } = set.counts();
        assert_eq!(set.rejected(), 0, "{fields}");
        ([successful, errors, cancelled], set.unknown_statuses().clone())
    };
    let (success, failure, cancelled) = ([1, 0, 0], [0, 1, 0], [0, 0, 1]);
    for (fields, expected) in [
        ("", success),
        (r#", "status": "success""#, success),
        (r#", "status": "Completed", "error": null"#, success),
        (r#", "status": 200"#, success),
        (r#", "status": null"#, success),
        (r#", "error": """#, success),
        (r#", "error": false"#, success),
        (r#", "error": 0"#, success),
        (r#", "error": {}, "status": "ok""#, success),
        (r#", "error": []"#, success),
        (r#", "status": "ERROR""#, failure),
        (r#", "status": "timeout""#, failure),
        (r#", "status": "Timed Out""#, failure),
        (r#", "status": "failed", "error": false"#, failure),
        (r#", "status": 503"#, failure),
        (r#", "status": "404""#, failure),
        (r#", "status": "success", "error": "broken""#, failure),
        (r#", "error": true"#, failure),
        (r#", "error": {"type": "x"}"#, failure),
        (r#", "error": [0]"#, failure),
        (r#", "status": "CANCELED", "error": "x""#, cancelled),
        (r#", "cancelled": true"#, cancelled),
    ] {
        assert_eq!(counts(fields), (expected, BTreeMap::new()), "{fields}");
    }
    for (fields, expected, unknown) in
        [(r#", "status": "wobbly""#, success, "wobbly"), (r#", "status": 7, "error": 1"#, failure, "7")]
    {
        assert_eq!(counts(fields), (expected, BTreeMap::from([(unknown.to_owned(), 1)])), "{fields}");
    }
    let line = |at: u32| format!("{{\"latency_ms\": 1, \"status\": \"s{at}\"}}\n");
    let set = read(&(0..5_000).map(line).collect::<String>());
    assert_eq!((set.unknown_statuses().len(), set.unknown_statuses().values().sum::<u64>()), (17, 5_000));
}

#[test]
fn what_is_no_flat_record_is_none() {
    for line in [
        r#"{"metadata": {}, "error": "x"}"#,
        r#"{"metrics": {}, "latency_ms": 1}"#,
        r#"[5, null, null, 1, "ok", null, null, null, null]"#,
        "[{\"latency_ms\": 1}]",
    ] {
        let set = read_with(line, ReadOptions { format: Some(Format::Flat), ..ReadOptions::default() });
        assert_eq!((set.records(), set.rejected()), (0, 1), "{line}");
    }
    // A bad record of AIPerf's at the beginning is no flat one: those that follow count.
    let good = r#"{"metadata": {}, "metrics": {"request_latency": {"value": 5, "unit": "ms"}}}"#;
    let set = read(&format!("{{\"metadata\": 5, \"metrics\": [], \"error\": \"x\"}}\n{good}\n{good}\n"));
    assert_eq!((set.counts().successful, set.rejected()), (2, 1));
}

/// A set of requests of 10 ms in a window of so many seconds.
fn made(start_s: u64, seconds: u64, successful: u64, errors: u64) -> ResultSet {
    let mut set = ResultSet::new(format!("from {start_s}"));
    let window = Window {
        start_ns: start_s * 1_000_000_000,
        end_ns: (start_s + seconds) * 1_000_000_000,
        source: WindowSource::Records,
    };
    let mut phase = PhaseResults::new(OutcomeCounts { successful, errors, cancelled: 0 }, Some(window));
    let latencies = vec![10.0; usize::try_from(successful).unwrap()];
    phase.metric(REQUEST_LATENCY, "ms", "test").unwrap().extend(&latencies);
    *set.phase("profiling").unwrap() = phase;
    // Never in an aggregate.
    let mut warmup = PhaseResults::new(OutcomeCounts { successful: 7, errors: 7, cancelled: 7 }, Some(window));
    warmup.warmup = true;
    *set.phase("warmup").unwrap() = warmup;
    set
}

#[test]
fn sets_are_aggregated_in_turn_or_side_by_side() {
    let in_turn = [made(0, 10, 995, 5), made(100, 40, 234, 0)];
    let result = process(ResultsAggregator::default(), &in_turn);
    let metrics = result.metrics();
    assert_eq!((&metrics["total_records"], &metrics["warmup_records"]), (&1234.into(), &42.into()));
    assert_eq!((&metrics["total_sets"], &metrics["records_per_set"]), (&2.into(), &617.0.into()));
    assert_eq!((&metrics["timing"], &metrics["throughput_rps"]), (&"union".into(), &(1229.0 / 50.0).into()));
    assert_eq!(metrics["success_rate"], 1229.0 / 1234.0);
    let rates = metrics["success_rate"].as_f64().unwrap() + metrics["error_rate"].as_f64().unwrap();
    assert!((rates - 1.0).abs() < 1e-15);
    assert_eq!(metrics["latency_percentiles"]["p99"], 10.0);
    let report = ResultsAggregator::default().generate_report(&in_turn).unwrap();
    for line in [
        "Total Records: 1,234",
        "Result Sets: 2",
        "Success Rate: 99.59%",
        "Throughput: 24.58 req/s (union)",
        "Latency p99: 10.000 ms",
    ] {
        assert!(report.lines().any(|own| own == line), "{line} is not in {report}");
    }
    // Overlapping windows count once, however far away another one is.
    for (starts, rate) in [(&[0, 0][..], 20.0), (&[0, 5], 200.0 / 15.0), (&[0, 0, 1_000], 15.0), (&[1_000, 0, 0], 15.0)]
    {
        let sets: Vec<_> = starts.iter().map(|start| made(*start, 10, 100, 0)).collect();
        let metrics = process(ResultsAggregator::default(), &sets).metrics().clone();
        assert_eq!((&metrics["timing"], &metrics["throughput_rps"]), (&"union".into(), &rate.into()), "{starts:?}");
        let mut merged = ResultSet::new("all");
        for set in &sets {
            merged.merge(set).unwrap();
        }
        assert_eq!(merged.phases()["profiling"].throughput_rps(), Some(rate), "pooled, it is the same");
    }
    let overlapping = [made(0, 10, 100, 0), made(9, 10, 200, 0)];
    for (timing, rate) in [(Timing::Sequential, 15.0), (Timing::Concurrent, 30.0)] {
        let forced = ResultsAggregator { timing: Some(timing), ..ResultsAggregator::default() };
        assert_eq!(process(forced, &overlapping).metrics()["throughput_rps"], rate);
    }
    // Devices have clocks of their own.
    let devices = overlapping.map(|set| set.with_coverage(CoverageCounts::default()));
    let metrics = process(ResultsAggregator::default(), &devices).metrics().clone();
    assert_eq!((&metrics["timing"], &metrics["throughput_rps"]), (&"concurrent".into(), &30.0.into()));
}

/// The three faults of the plugin: a request more than there are gaps, requests without a time, and gaps.
#[test]
fn a_rate_is_of_requests_that_have_a_time_over_the_time_that_they_took() {
    let line = |at: u64| format!("{{\"timestamp\": {at}, \"latency_ms\": 1000}}\n");
    let rate = |text: &str| read(text).phases()["all"].throughput_rps();
    let apart: String = (0..4).map(line).collect();
    assert_eq!(rate(&apart), Some(1.0), "the last one took a second as well");
    assert_eq!(rate(&(apart.clone() + &"{\"latency_ms\": 5}\n".repeat(20))), Some(1.0), "20 have no time");
    assert_eq!(rate("{\"latency_ms\": 5}\n"), None);
    assert_eq!(rate("{\"timestamp\": 5}\n"), None, "no length");
    let mut reader = Reader::new("test", ReadOptions::default());
    for text in [&apart, &(1_000..1_004).map(line).collect()] {
        reader.read("test", text.as_bytes(), &mut ()).unwrap();
    }
    assert_eq!(reader.finish().phases()["all"].throughput_rps(), Some(1.0), "nothing was asked for in between");
}

#[test]
fn nothing_cannot_be_aggregated_and_units_do_not_mix() {
    let error = ResultsAggregator::default().process(&[]).unwrap_err();
    assert!(matches!(error, ProcessError::NoResultSets));
    let mut seconds = ResultSet::new("in seconds");
    seconds.phase("profiling").unwrap().metric(REQUEST_LATENCY, "s", "test").unwrap().extend(&[0.01]);
    let sets = [made(0, 1, 1, 0), seconds];
    let error = ResultsAggregator::default().process(&sets).unwrap_err().to_string();
    assert!(error.contains("in seconds") && error.contains("\"s\"") && error.contains("\"ms\""), "{error}");
    let mut merged = sets[0].clone();
    assert!(matches!(merged.merge(&sets[1]), Err(ProcessError::Units { .. })));
}

#[test]
fn values_in_a_second_unit_are_left_out_and_counted() {
    let line = |value, unit| {
        format!(
            "{{\"metadata\": {{}}, \"metrics\": {{\"request_latency\": {{\"value\": {value}, \"unit\": \"{unit}\"}}}}}}\n"
        )
    };
    let set = read(&(line(1, "ms") + &line(2, "s") + &line(3, "ms") + &line(4, "s")));
    let latency = &set.phases()["all"].metrics()[REQUEST_LATENCY];
    assert_eq!((set.records(), latency.unit(), latency.count(), latency.max()), (4, "ms", 2, Some(3.0)));
    let (reason, values) = set.left_out().first_key_value().unwrap();
    assert!(*values == 2 && reason.contains("\"s\"") && reason.contains("\"ms\""), "{reason}: {values}");
}

#[test]
fn more_phases_or_metrics_than_there_may_be_lose_nothing_of_the_others() {
    let phase = |name: u32| format!("{{\"metadata\": {{\"phase_name\": \"{name}\"}}, \"metrics\": {{}}}}\n");
    // In several chunks, of which the later ones begin with phases for which there is no room.
    let text: String = (0..10_000).map(|at| phase(if at < 50 { at } else { at % 100 })).rev().collect();
    for threads in [1, 2, 5] {
        let set = read_with(&text, ReadOptions { threads: Some(threads), ..ReadOptions::default() });
        assert_eq!((set.phases().len(), set.records() + set.rejected()), (64, 10_000));
        let first: Vec<_> = (36..100).map(|name: u32| name.to_string()).collect();
        assert!(first.iter().all(|name| set.phases()[name].counts.total() >= 99), "{threads} threads");
    }
    let metric =
        |name: u32| format!("{{\"metadata\": {{}}, \"metrics\": {{\"{name}\": {{\"value\": 1, \"unit\": \"\"}}}}}}\n");
    let set = read(&((0..600).map(metric).collect::<String>() + &metric(0)));
    assert_eq!((set.records(), set.rejected(), set.phases()["all"].metrics().len()), (601, 0, 512));
    assert_eq!((set.left_out().values().sum::<u64>(), set.phases()["all"].metrics()["0"].count()), (88, 2));
}

#[test]
fn memory_is_bounded_and_the_limit_is_told() {
    // Many metrics with a value of each magnitude: what took 23 GB.
    let metrics = |exponent: i32| {
        let metric =
            |tag: i32| format!("\"m{tag}\": {{\"value\": 1e{}, \"unit\": \"x\"}}", (exponent + tag) % 300 - 150);
        (0..100).map(metric).collect::<Vec<_>>().join(", ")
    };
    let line = |at: i32| format!("{{\"metadata\": {{}}, \"metrics\": {{{}}}}}\n", metrics(at));
    let text: String = (0..1_200).map(line).collect();
    let set = read(&text);
    assert_eq!((set.rejected(), set.phases()["all"].metrics().len()), (0, 100));
    assert!((15 << 20..30 << 20).contains(&set.bytes()), "{}", set.bytes());
    let mut reader = Reader::new("test", ReadOptions { memory: Some(10 << 20), ..ReadOptions::default() });
    let error = reader.read("records", text.as_bytes(), &mut ()).unwrap_err().to_string();
    assert!(
        error.starts_with("the values up to records take more than 10 MB of memory: give more with --memory"),
        "{error}"
    );
    // A run as they are.
    let line = |at: u32| format!("{{\"latency_ms\": {at}}}\n");
    assert!(read(&(0..5_000).map(line).collect::<String>()).bytes() < 100_000);
}

#[test]
fn records_that_count_nowhere_are_skipped_and_cancelled_ones_failed() {
    let set = read(
        r#"{"metadata": {"context_overflow_skip": true}, "metrics": {}}
{"metadata": {"was_cancelled": true}, "metrics": {"request_latency": {"value": 5, "unit": "ms"}}}
{"metrics": {"request_latency": {"unit": "ms", "value": 6}}, "metadata": {"benchmark_phase": "profiling"}, "error": null}
"#,
    );
    assert_eq!((set.skipped(), set.records()), (1, 2));
    assert_eq!(set.phases()["all"].counts, OutcomeCounts { successful: 0, errors: 0, cancelled: 1 });
    assert!(!set.phases()["all"].metrics().contains_key(REQUEST_LATENCY));
    assert_eq!(set.phases()["profiling"].metrics()[REQUEST_LATENCY].max(), Some(6.0));
}

#[test]
fn the_first_record_tells_the_format_however_late_it_comes() {
    // Several chunks of each.
    let bad = "{\"route\": 1, \"metadata\": 2}\n".repeat(40_000);
    let flat = "{\"latency_ms\": 5}\n".repeat(40_000);
    let aiperf = "{\"metadata\": {}, \"metrics\": {}}\n".repeat(20_000);
    for threads in [1, 2, 5] {
        let options = || ReadOptions { threads: Some(threads), ..ReadOptions::default() };
        let set = read_with(&(bad.clone() + &flat + &aiperf), options());
        assert_eq!((set.records(), set.rejected()), (40_000, 60_000), "{threads} threads");
        let set = read_with(&(bad.clone() + &aiperf + &flat), options());
        assert_eq!((set.records(), set.rejected()), (20_000, 80_000), "{threads} threads");
        assert_eq!(read_with(&bad, options()).rejected(), 40_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Several chunks, in any number of threads.
    #[test]
    fn the_number_of_threads_changes_nothing(seed in 1u64..1000, exact: bool) {
        let line = |i: u64| {
            let latency = (i * seed) % 7919;
            format!("{{\"timestamp\": {i}, \"latency_ms\": {latency}.{}, \"error\": {}}}\n", i % 10, if i.is_multiple_of(50) { "1" } else { "null" })
        };
        let text: String = (0..20_000).map(line).collect();
        let documents: Vec<_> = [1, 2, 5].into_iter().map(|threads| {
            let set = read_with(&text, ReadOptions { threads: Some(threads), exact, ..ReadOptions::default() });
            serde_json::to_string(&Document::new(&set, Vec::new(), &Percentiles::default())).unwrap()
        }).collect();
        prop_assert!(documents.iter().all(|document| *document == documents[0]));
        let document: serde_json::Value = serde_json::from_str(&documents[0]).unwrap();
        prop_assert_eq!(&document["phases"]["all"]["request_counts"]["successful"], 19_600);
    }

    #[test]
    fn no_input_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..500), format in 0..3) {
        let format = [None, Some(Format::Flat), Some(Format::Aiperf)][usize::try_from(format).unwrap()];
        let mut reader = Reader::new("test", ReadOptions { format, threads: Some(1), ..ReadOptions::default() });
        // Bytes that look like gzip are no valid gzip.
        let _ = reader.read("test", bytes.as_slice(), &mut ());
    }
}
