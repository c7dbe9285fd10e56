use std::path::Path;

use serde_json::Value;

use super::*;
use crate::process::{Window, WindowSource};

/// As AIPerf has them.
fn linear(levels: &[f64]) -> Percentiles {
    Percentiles::try_from(levels.to_vec()).unwrap().by(crate::process::PercentileRule::Linear)
}

const LEVELS: [f64; 9] = [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/aiperf").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn records(phase: &str) -> Vec<Value> {
    let lines: Vec<Value> =
        read("profile_export.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.into_iter().filter(|record| record["metadata"]["benchmark_phase"] == phase).collect()
}

fn window(phase: &str) -> Window {
    let manifest: Value = serde_json::from_str(&read("phase_manifest.json")).unwrap();
    let phases = manifest["phases"].as_array().unwrap();
    let found = phases.iter().find(|found| found["phase_kind"] == phase).unwrap();
    Window {
        start_ns: found["start_ns"].as_u64().unwrap(),
        end_ns: found["end_ns"].as_u64().unwrap(),
        source: WindowSource::Manifest,
    }
}

fn metric(record: &Value, name: &str) -> Option<f64> {
    record["metrics"][name]["value"].as_f64()
}

fn add(derivation: &mut Derivation, record: &Value) {
    let time = |name: &str| record["metadata"][name].as_u64();
    let metric = |name: &str| metric(record, name);
    let gaps = record["metrics"]["inter_chunk_latency"]["value"].as_array();
    let gaps: Vec<f64> = gaps.into_iter().flatten().filter_map(Value::as_f64).collect();
    derivation.add(&Request {
        failed: record.get("error").is_some(),
        context_overflow: record["error"]["message"].as_str().is_some_and(is_context_overflow),
        credit_issued_ns: time("credit_issued_ns"),
        start_ns: time("request_start_ns"),
        end_ns: time("request_end_ns"),
        request_latency_ms: metric("request_latency"),
        time_to_first_token_ms: metric("time_to_first_token"),
        decode_duration_ms: metric("decode_duration"),
        inter_token_latency_ms: metric("inter_token_latency"),
        inter_chunk_latency_ms: &gaps,
        input_sequence_length: metric("input_sequence_length"),
        output_sequence_length: metric("output_sequence_length"),
        osl_mismatch_diff_pct: metric("osl_mismatch_diff_pct"),
        usage_prompt_tokens_diff_pct: metric("usage_prompt_tokens_diff_pct"),
        usage_completion_tokens_diff_pct: metric("usage_completion_tokens_diff_pct"),
        usage_reasoning_tokens_diff_pct: metric("usage_reasoning_tokens_diff_pct"),
    });
}

fn derive(records: &[Value], window: Option<Window>) -> Metrics {
    let mut derivation = Derivation::default();
    for record in records {
        add(&mut derivation, record);
    }
    derivation.finish(&window.into(), &linear(&LEVELS), |name| {
        let values: Vec<f64> = records.iter().filter_map(|record| metric(record, name)).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    })
}

/// A metric in AIPerf's own form, as far as it is there.
fn fields(derived: &Derived) -> (&str, BTreeMap<String, f64>) {
    match derived {
        Derived::Scalar { unit, value } => (unit, BTreeMap::from([("avg".to_owned(), *value)])),
        Derived::Statistics(found) => {
            let plain =
                [("sum", found.sum), ("avg", found.avg), ("min", found.min), ("max", found.max), ("std", found.std)];
            let plain = plain.map(|(name, value)| (name.to_owned(), value));
            let percentiles = LEVELS.iter().zip(&found.percentiles).map(|(level, value)| (format!("p{level}"), *value));
            let count = found.count.map(double);
            let all = plain.into_iter().chain(percentiles).chain([("count".to_owned(), count)]);
            (found.unit, all.filter_map(|(name, value)| Some((name, value?))).collect())
        }
    }
}

/// Compares every metric of a summary that is not the plain distribution of a record's metric.
fn assert_equals_aiperf(derived: &Metrics, summary: &Value, records: &[Value]) {
    let is_plain = |name: &str| records.iter().any(|record| record["metrics"].get(name).is_some());
    let expected: BTreeMap<_, _> = summary
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, value)| value.get("unit").is_some() && !is_plain(name))
        .collect();
    assert_eq!(
        expected.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
        derived.keys().copied().collect::<Vec<_>>()
    );
    let mut compared = 0;
    for (name, expected) in expected {
        let (unit, mut found) = fields(&derived[name.as_str()]);
        if name.starts_with("effective_") && name != "effective_latency"
            || name.starts_with("active_")
            || name == "tokens_in_flight"
        {
            for level in ["p1", "p5", "p10", "p25", "p75"] {
                assert!(found.remove(level).is_some());
            }
        }
        for (field, expected) in expected.as_object().unwrap() {
            let Some(expected) = expected.as_f64() else {
                assert_eq!(expected, unit, "{name}");
                continue;
            };
            let found = found.remove(field).unwrap_or_else(|| panic!("{name}.{field} is missing"));
            let error = (found - expected).abs();
            assert!(error <= 1e-12 * expected.abs(), "{name}.{field}: {found} instead of {expected}");
            compared += 1;
        }
        assert!(found.is_empty(), "{name} has more than AIPerf prints: {found:?}");
    }
    assert!(compared > 190, "only {compared} numbers were compared");
}

#[test]
fn every_derived_metric_of_both_phases_equals_what_aiperf_wrote() {
    let of_profiling: Value = serde_json::from_str(&read("profile_export_aiperf.json")).unwrap();
    for phase in ["profiling", "warmup"] {
        let records = records(phase);
        let derived = derive(&records, Some(window(phase)));
        let alone = serde_json::from_str(&read(&format!("phases/{phase}/profile_export_aiperf.json"))).unwrap();
        assert_equals_aiperf(&derived, &alone, &records);
        let inside = if phase == "warmup" { &of_profiling["warmup_metrics"] } else { &of_profiling };
        assert_equals_aiperf(&derived, inside, &records);
    }
}

#[test]
fn the_order_of_requests_changes_nothing_but_the_last_digits() {
    let mut records = records("profiling");
    let (forward, window) = (derive(&records, Some(window("profiling"))), window("profiling"));
    records.reverse();
    let backward = derive(&records, Some(window));
    for (name, forward) in &forward {
        let (_, backward) = fields(&backward[name]);
        for (field, forward) in fields(forward).1 {
            assert!((forward - backward[&field]).abs() <= 1e-13 * forward.abs(), "{name}.{field}");
        }
    }
}

#[test]
fn without_gaps_between_chunks_output_spreads_evenly_over_decode() {
    let second = 1_000_000_000_u64;
    let request = Request {
        start_ns: Some(0),
        end_ns: Some(4 * second),
        time_to_first_token_ms: Some(1000.0),
        input_sequence_length: Some(10.0),
        output_sequence_length: Some(31.0),
        ..Request::default()
    };
    let mut derivation = Derivation::default();
    derivation.add(&request);
    let window = Window { start_ns: 0, end_ns: 10 * second, source: WindowSource::Manifest };
    let metrics = derivation.finish(&Some(window).into(), &linear(&[50.0, 65.0, 95.0]), |_| None);
    let found = |name: &str| match &metrics[name] {
        Derived::Statistics(found) => found.clone(),
        Derived::Scalar { .. } => panic!("{name} is a scalar"),
    };
    // 1 s of prefill at 10 tokens/s, 3 s of decode at 10 tokens/s, 6 s of nothing.
    let decode = found("effective_decode_throughput");
    assert_eq!((decode.avg, decode.min, decode.max), (Some(3.0), Some(0.0), Some(10.0)));
    assert_eq!(decode.percentiles, [Some(0.0), Some(0.0), Some(10.0)]);
    assert_eq!(found("active_decode_throughput").avg, Some(10.0));
    assert_eq!(found("effective_total_throughput").avg, Some(4.0));
    let tokens = found("tokens_in_flight");
    assert_eq!((tokens.avg, tokens.max), (Some((10.0 + 3.0 * 41.0) / 10.0), Some(41.0)));
    assert_eq!(tokens.percentiles, [Some(0.0), Some(10.0), Some(41.0)]);
}

#[test]
fn failures_push_percentiles_towards_infinity() {
    let mut derivation = Derivation::default();
    for latency in [30.0, 10.0, 20.0] {
        derivation.add(&Request { request_latency_ms: Some(latency), ..Request::default() });
    }
    derivation.add(&Request { failed: true, context_overflow: true, ..Request::default() });
    let metrics = derivation.finish(&Windows::default(), &linear(&[0.0, 50.0, 99.0]), |_| None);
    let Derived::Statistics(adjusted) = &metrics["adj_request_latency"] else { panic!("no statistics") };
    // Rank 1.5 of 0 to 3 rounds to the even 2.
    assert_eq!(adjusted.percentiles, [Some(10.0), Some(30.0), None]);
    assert_eq!((adjusted.count, adjusted.max, adjusted.avg), (Some(4), None, None));
    assert_eq!(metrics["request_error_rate"], Derived::Scalar { unit: "%", value: 25.0 });
    assert_eq!(metrics["context_overflow_count"], Derived::Scalar { unit: "requests", value: 1.0 });
    assert!(!metrics.contains_key("request_throughput"), "no time is known");
}

#[test]
fn odd_requests_and_windows_give_numbers_or_nothing() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1.0, 0.0, 1e-300, 7.0].map(Some);
    let times = [None, Some(0), Some(1), Some(u64::MAX)];
    let windows = [None, Some((0, 0)), Some((5, 1)), Some((0, u64::MAX))];
    for window in windows
        .map(|window| window.map(|(start_ns, end_ns)| Window { start_ns, end_ns, source: WindowSource::Manifest }))
    {
        let mut derivation = Derivation::default();
        for (index, number) in odd.into_iter().chain([None]).enumerate() {
            for start_ns in times {
                for end_ns in times {
                    let gaps: Vec<f64> = number.into_iter().chain([3.0, -2.0]).take(index % 4).collect();
                    derivation.add(&Request {
                        failed: index == 3,
                        credit_issued_ns: end_ns,
                        start_ns,
                        end_ns,
                        request_latency_ms: number,
                        time_to_first_token_ms: number,
                        inter_chunk_latency_ms: &gaps,
                        input_sequence_length: number,
                        output_sequence_length: number,
                        osl_mismatch_diff_pct: number,
                        usage_prompt_tokens_diff_pct: number,
                        usage_completion_tokens_diff_pct: number,
                        ..Request::default()
                    });
                }
            }
        }
        let metrics = derivation.finish(&window.into(), &linear(&[0.0, 50.0, 100.0]), |_| Some(f64::NAN));
        for (name, derived) in &metrics {
            let numbers = match derived {
                Derived::Scalar { value, .. } => vec![Some(*value)],
                Derived::Statistics(found) => {
                    assert_eq!(found.percentiles.len(), 3, "{name}");
                    let plain = [found.avg, found.min, found.max, found.std, found.sum];
                    plain.into_iter().chain(found.percentiles.iter().copied()).collect()
                }
            };
            assert!(numbers.iter().flatten().all(|number| number.is_finite()), "{name}: {derived:?}");
        }
    }
    let nothing = Derivation::default().finish(&Windows::default(), &linear(&[50.0]), |_| None);
    assert!(nothing.is_empty(), "{nothing:?}");
}
