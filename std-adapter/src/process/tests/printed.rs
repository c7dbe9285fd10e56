//! What is printed and written of records, against their exact integers: every number of every text, in its order.

use std::path::Path;

use super::*;
use crate::process::{PercentileRule, render};
use serde_json::Value;

/// A request: nanoseconds that it took, and whether it succeeded.
type Request = (u64, bool);

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let nanos = prop_oneof![0..5_u64, 0..2_000_000_u64, 1_000_000..1_000_000_000_u64, 0..4_000_000_000_000_u64];
    proptest::collection::vec((nanos, proptest::bool::weighted(0.8)), 1..200)
}

/// Each a millisecond after the other.
fn records(requests: &[Request]) -> String {
    let line = |(at, (nanos, succeeded)): (usize, &Request)| {
        let (millis, rest) = (nanos / 1_000_000, nanos % 1_000_000);
        let error = if *succeeded { "null" } else { "\"broken\"" };
        format!(
            "{{\"timestamp\": {}.{:03}, \"latency_ms\": {millis}.{rest:06}, \"error\": {error}}}\n",
            at / 1_000,
            at % 1_000
        )
    };
    requests.iter().enumerate().map(line).collect()
}

/// The numbers of a text in reading order, with `-` for what is unknown; names such as `p99.9` are none.
fn numbers(text: &str) -> Vec<&str> {
    let is_number = |token: &&str| *token == "-" || *token == "∞" || token.parse::<f64>().is_ok_and(f64::is_finite);
    text.split_whitespace().map(|token| token.trim_end_matches(['%', '*'])).filter(is_number).collect()
}

/// Whether a number is rounded to the nearest at the digits that are printed.
fn is_nearest(printed: &str, exact: f64) -> bool {
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((printed, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let last = 10_f64.powi(exponent.parse::<i32>().unwrap() - i32::try_from(decimals).unwrap());
    (printed.parse::<f64>().unwrap() - exact).abs() <= last * 0.5 * (1.0 + 1e-6) + exact.abs() * 1e-12
}

fn assert_printed(text: &str, expected: &[Option<f64>]) {
    let found = numbers(text);
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?} {text}");
    for (printed, exact) in found.into_iter().zip(expected) {
        match exact {
            Some(exact) => assert!(is_nearest(printed, *exact), "{printed} is not {exact}: {text}"),
            None => assert_eq!(printed, "-", "{text}"),
        }
    }
}

/// As it is printed: only all is all, and only none is none.
fn percent(part: u64, whole: u64) -> f64 {
    let exact = to_f64(part) * 100.0 / to_f64(whole);
    if part == 0 || part == whole { exact } else { exact.clamp(0.01, 99.99) }
}

fn to_f64(number: u64) -> f64 {
    format!("{number}").parse().unwrap()
}

fn millis(nanos: u64) -> f64 {
    format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000).parse().unwrap()
}

/// What is right, in integers as far as they go.
struct Exact {
    sorted: Vec<u64>,
    total: u64,
    window_ns: u64,
}

impl Exact {
    fn of(requests: &[Request]) -> Self {
        let mut sorted: Vec<_> = requests.iter().filter(|(_, succeeded)| *succeeded).map(|(nanos, _)| *nanos).collect();
        sorted.sort_unstable();
        let ends = requests.iter().zip(0..).map(|((nanos, _), at): (_, u64)| at * 1_000_000 + nanos);
        Self { sorted, total: requests.len() as u64, window_ns: ends.max().unwrap() }
    }

    fn successful(&self) -> u64 {
        self.sorted.len() as u64
    }

    fn mean_and_stdev(&self) -> (f64, f64) {
        let count = self.sorted.len() as u128;
        let (sum, squares) = self.sorted.iter().fold((0_u128, 0_u128), |(sum, squares), nanos| {
            let nanos = u128::from(*nanos);
            (sum + nanos, squares + nanos * nanos)
        });
        let float = |number: u128| format!("{number}").parse::<f64>().unwrap();
        (float(sum) / float(count) / 1e6, float(count * squares - sum * sum).sqrt() / float(count) / 1e6)
    }

    /// In parts of a thousand: by nearest rank, or between the two numbers around `1 + p (n - 1)`.
    fn percentile(&self, thousandths: usize, rule: PercentileRule) -> f64 {
        let count = self.sorted.len();
        match rule {
            PercentileRule::NearestRank => millis(self.sorted[(thousandths * count).div_ceil(1_000).max(1) - 1]),
            PercentileRule::Linear => {
                let (below, part) = (thousandths * (count - 1) / 1_000, thousandths * (count - 1) % 1_000);
                let (low, high) = (self.sorted[below], self.sorted[(below + 1).min(count - 1)]);
                let thousand = u128::from(low) * 1_000 + u128::from(high - low) * part as u128;
                format!("{thousand}").parse::<f64>().unwrap() / 1e9
            }
        }
    }
}

const THOUSANDTHS: [usize; 4] = [500, 900, 990, 999];

fn close(found: &Value, exact: f64, tolerance: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - exact).abs() <= tolerance, "{found} is not {exact}");
}

/// The numbers of a document, each of them right; and as they have to be printed.
fn check(document: &Value, exact: &Exact, exactly: bool, rule: PercentileRule) -> Vec<Option<f64>> {
    let phase = &document["phases"]["all"];
    let counts = [exact.total, exact.successful(), exact.total - exact.successful(), 0];
    for (name, count) in ["total", "successful", "failed", "cancelled"].into_iter().zip(counts) {
        assert_eq!(phase["request_counts"][name], count);
    }
    let known = |value: &Value| value.as_f64();
    let mut printed = vec![Some(to_f64(exact.total)), Some(0.0)];
    printed.push(Some(percent(exact.successful(), exact.total)));
    printed.push(Some(percent(exact.total - exact.successful(), exact.total)));
    printed.push(known(&phase["throughput_rps"]));
    // From the first start to the last end; successes have to be timed to count, and all are.
    let seconds = (exact.window_ns > 0).then(|| to_f64(exact.window_ns) / 1e9);
    assert_eq!(known(&phase["window_s"]), seconds);
    assert_eq!(known(&phase["throughput_rps"]), seconds.map(|seconds| to_f64(exact.successful()) / seconds));
    printed.extend(seconds.map(Some));
    let metric = &phase["metrics"]["request_latency"];
    let (mut percentiles, mut moments) = (Vec::new(), Vec::new());
    if !metric.is_null() {
        let (mean, stdev) = exact.mean_and_stdev();
        let (min, max) = (millis(exact.sorted[0]), millis(exact.sorted[exact.sorted.len() - 1]));
        assert_eq!(
            (&metric["count"], &metric["min"], &metric["max"]),
            (&exact.successful().into(), &min.into(), &max.into())
        );
        close(&metric["mean"], mean, mean * 1e-12);
        close(&metric["std"], stdev, mean * 1e-6 + stdev * 1e-9);
        moments = ["count", "min", "mean", "std", "max"].map(|name| known(&metric[name])).to_vec();
        for (thousandths, (name, found)) in THOUSANDTHS.into_iter().zip(metric["percentiles"].as_object().unwrap()) {
            let exact = exact.percentile(thousandths, rule);
            let [value, lower, upper] = ["value", "lower", "upper"].map(|name| found[name].as_f64().unwrap());
            let rounding = if rule == PercentileRule::Linear { exact * 1e-12 } else { 0.0 };
            assert!(lower - rounding <= exact && exact <= upper + rounding, "{name}: {exact} {found}");
            assert!(lower <= value && value <= upper && (!exactly || lower >= upper), "{name}: {found}");
            percentiles.push(Some(value));
        }
    }
    printed.append(&mut percentiles);
    printed.extend(counts.map(|count| Some(to_f64(count))));
    printed.append(&mut moments);
    printed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_number_of_every_output_is_right(requests in requests(), exactly: bool, is_linear: bool) {
        let rule = if is_linear { PercentileRule::Linear } else { PercentileRule::NearestRank };
        let levels = Percentiles::try_from(vec![50.0, 90.0, 99.0, 99.9]).unwrap().by(rule);
        let options = ReadOptions { exact: exactly, percentiles: levels.clone(), ..ReadOptions::default() };
        let (exact, set) = (Exact::of(&requests), read_with(&records(&requests), options));
        let document = Document::new(&set, vec!["x".to_owned()], &levels);
        let json: Value = serde_json::to_value(&document).unwrap();
        let mut printed = check(&json, &exact, exactly, rule);
        let text = render(&document);
        prop_assert!(text.contains(rule.name()), "{text}");
        // The half width, which stands behind the percentiles, has their bounds in it.
        let metric = &json["phases"]["all"]["metrics"]["request_latency"];
        if !metric.is_null() {
            let at = printed.len() - 9;
            let half_width = numbers(&text)[at];
            let bounds: Vec<_> = metric["percentiles"].as_object().unwrap().values().collect();
            for (shown, bound) in numbers(&text)[at - 4..at].iter().zip(bounds) {
                let shown: f64 = shown.parse().unwrap();
                let [lower, upper] = ["lower", "upper"].map(|name| bound[name].as_f64().unwrap());
                let width = if half_width == "∞" { f64::INFINITY } else { half_width.parse::<f64>().unwrap() / 100.0 };
                let rounding = shown * 1e-12;
                prop_assert!(shown * width >= shown - lower - rounding && shown * width >= upper - shown - rounding || shown == 0.0, "{text}");
            }
            printed.insert(at, half_width.parse().ok());
        }
        if !numbers(&text).contains(&"∞") {
            assert_printed(&text, &printed);
        }

        // A processor's file and the aggregate's words, of the same set.
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("m.json");
        let processor = MetricsProcessor { output_file: Some(file.clone()), percentiles: levels.clone(), percentile_rule: rule, ..MetricsProcessor::default() };
        process(processor, std::slice::from_ref(&set));
        let written = written(&file);
        prop_assert_eq!(&written["metrics"]["request_counts"]["successful"], exact.successful());
        prop_assert_eq!(&written["record_count"], exact.total);
        prop_assert_eq!(&written["error_count"], exact.total - exact.successful());
        let aggregator = ResultsAggregator { percentiles: levels, percentile_rule: rule, ..ResultsAggregator::default() };
        let words = aggregator.generate_report(std::slice::from_ref(&set)).unwrap();
        let mut expected = vec![Some(to_f64(exact.total)), Some(1.0), Some(percent(exact.successful(), exact.total))];
        expected.extend(aggregator.aggregate(std::slice::from_ref(&set)).unwrap().metrics()["throughput_rps"].as_f64().map(Some));
        if !metric.is_null() {
            let latency = &written["metrics"]["latency_percentiles"];
            for (name, own) in [("min", "min"), ("mean", "mean"), ("std", "stdev"), ("max", "max")] {
                prop_assert_eq!(&latency[own], &metric[name]);
            }
            for (name, found) in metric["percentiles"].as_object().unwrap() {
                prop_assert_eq!(&latency[name], &found["value"]);
                prop_assert_eq!(&written["metrics"]["latency_bounds"][name]["lower"], &found["lower"]);
                prop_assert_eq!(&written["metrics"]["latency_bounds"][name]["upper"], &found["upper"]);
            }
            let names = ["min", "mean", "stdev", "p50", "p90", "p99", "p99.9", "max"];
            expected.extend(names.map(|name| latency[name].as_f64()));
        }
        assert_printed(&words, &expected);
    }
}

fn written(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}
