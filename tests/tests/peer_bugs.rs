//! Bugs that other histograms, aggregators and load generators shipped. Each has a test here that is named after it.

use std::fs;
use std::path::Path;

use phasemeter::capture::CaptureWriter;
use phasemeter::replay::{SUMMARY_FILE, replay, write_artifacts};
use phasemeter::report::{Number, Observed, RunInfo, Summary, summarize};
use phasemeter::session::Session;
use phasemeter_core::device::{Device, Step, Storage};
use phasemeter_core::histogram::{LatencyHistogram, bucket_bounds};
use phasemeter_core::metric::LOAD_METRICS;
use phasemeter_core::outcome::{Failure, Outcome};
use phasemeter_core::plan::{Arrival, PhasePlan, RunPlan, Stop, Workload};
use phasemeter_core::summary::{Percentile, STANDARD};
use phasemeter_core::telemetry::{Identity, Received, Receiver, TelemetryConfig};
use phasemeter_core::time::{Duration, Instant, MockClock};
use phasemeter_tests::{canonical, frames, parse};

type Small = LatencyHistogram<16>;

fn of(values: &[u64]) -> Small {
    let mut histogram = Small::new();
    for value in values {
        histogram.record(*value);
    }
    histogram
}

/// Both ways of merging give the bytes of one histogram that was fed all the values.
fn assert_merges_exactly(left: &[u64], right: &[u64]) {
    let whole = canonical(&of(&[left, right].concat()));
    for (into, from) in [(left, right), (right, left)] {
        let mut merged = of(into);
        merged.merge(&of(from));
        assert_eq!(canonical(&merged), whole, "{into:?} and {from:?}");
        let held = merged.zero_count() + merged.buckets().map(|bucket| bucket.count).sum::<u64>();
        assert_eq!(held, (left.len() + right.len()) as u64);
    }
}

/// The largest value of a bucket at the finest scale; the bucket of index 0 begins above one second.
fn value_in(index: i32) -> u64 {
    bucket_bounds(8, index).1
}

#[test]
fn counts_lost_in_merge_when_the_range_is_exactly_capacity_plus_one() {
    for first in [-300, -16, -8, 0, 1, 255] {
        for span in [15, 16, 17, 31, 32, 33] {
            assert_merges_exactly(&[value_in(first), value_in(first + 1)], &[value_in(first + span)]);
        }
    }
}

#[test]
fn counts_lost_in_merge_when_indices_cross_zero() {
    let values = |indices: std::ops::Range<i32>| indices.map(value_in).collect::<Vec<_>>();
    assert_merges_exactly(&values(-8..0), &values(0..8));
    assert_merges_exactly(&values(-20..1), &values(-1..20));
    assert_merges_exactly(&[1], &[u64::MAX]);
}

#[test]
fn an_empty_side_of_a_merge_taken_for_a_real_bound() {
    for values in [&[][..], &[0], &[5_000_000_000], &[u64::MAX]] {
        assert_merges_exactly(values, &[]);
    }
    let mut merged = Small::new();
    merged.merge(&of(&[3_000_000_000, 3_000_000_001]));
    assert_eq!((merged.min(), merged.max()), (Some(3_000_000_000), Some(3_000_000_001)));
    assert_eq!(merged.scale(), 8);
}

#[test]
fn the_scale_collapsing_on_merge() {
    let values: Vec<_> = (0..16).map(value_in).collect();
    let mut merged = of(&values);
    for _ in 0..100 {
        merged.merge(&of(&values));
    }
    assert_eq!((merged.scale(), merged.count()), (8, 1_616));
    // One bucket more costs one halving, not the whole resolution.
    merged.merge(&of(&[value_in(16)]));
    assert_eq!(merged.scale(), 7);
}

#[test]
fn exact_powers_of_the_base_off_by_one() {
    for octave in -9..34 {
        let second = 1_000_000_000_u64;
        let power = if octave < 0 { second >> -octave } else { second << octave };
        let index = |value| of(&[value]).window().unwrap().0;
        assert_eq!((index(power), index(power + 1)), (256 * octave - 1, 256 * octave), "2^{octave} s");
    }
}

#[test]
fn values_reinserted_by_bucket_lower_bound_when_the_scale_drops() {
    let values: Vec<_> = (0..16).map(value_in).collect();
    let far = [1, u64::MAX];
    let before = of(&[&values[..], &far].concat());
    let after = of(&[&far[..], &values].concat());
    assert!(before.scale() < 0);
    assert_eq!(canonical(&before), canonical(&after));
    for bucket in before.buckets() {
        let inside = values.iter().chain(&far).filter(|value| (bucket.lower..=bucket.upper).contains(*value));
        assert_eq!(inside.count() as u64, bucket.count, "{bucket:?}");
    }
}

#[test]
fn a_value_above_the_trackable_range_dropped_or_clamped() {
    let mut histogram = of(&[20_000_000; 999]);
    histogram.record(u64::MAX);
    assert_eq!((histogram.count(), histogram.max(), histogram.min()), (1_000, Some(u64::MAX), Some(20_000_000)));
    assert_eq!(histogram.sum(), 999 * 20_000_000 + u128::from(u64::MAX));
    assert!(!histogram.saturation().count() && !histogram.saturation().sum());
}

#[test]
fn the_percentile_of_an_empty_histogram_as_the_first_bucket() {
    assert_eq!(STANDARD.map(|percentile| Small::new().quantile(percentile)), [None; STANDARD.len()]);
}

#[test]
fn p99_below_p95() {
    let mut values = vec![10_000_000; 94];
    values.extend([11_000_000, 12_000_000, 900_000_000, 901_000_000, 902_000_000, 9_000_000_000]);
    let histogram = of(&values);
    let found = [Percentile::P95, Percentile::P99, Percentile::P99_9].map(|p| histogram.quantile(p).unwrap());
    for [lower, higher] in [[found[0], found[1]], [found[1], found[2]]] {
        assert!(lower.value <= higher.value && lower.lower <= higher.lower && lower.upper <= higher.upper);
    }
}

/// Telemetry of a device whose requests all take `latency` and have one outcome; its clock begins at `boot`.
fn telemetry(id: &'static str, boot: Duration, latency: Duration, requests: u64, outcome: Outcome) -> Vec<u8> {
    let mut plan = RunPlan::<1>::new(1);
    let (workload, arrival) = (Workload::get("/").unwrap(), Arrival::constant(10));
    plan.push(PhasePlan::profiling(workload, arrival, Stop::requests(requests))).unwrap();
    let mut storage = Box::new(Storage::<LOAD_METRICS, 256, 1, 8192>::new());
    let mut device = Device::new(&mut storage, Identity::new(id, 1), &[], TelemetryConfig::default(), ());
    assert!(device.run(plan));
    let mut bytes = Vec::new();
    let clock = MockClock::new();
    clock.set(Instant::BOOT.saturating_add(boot));
    while !device.is_idle() {
        match device.poll(clock.now(), true) {
            Step::Send(ticket) => {
                clock.advance(latency);
                device.finish(ticket, clock.now(), outcome).unwrap();
            }
            Step::WaitUntil(until) => clock.set(until),
            _ => {}
        }
        bytes.extend_from_slice(device.transmit());
        device.sent(device.transmit().len());
    }
    bytes
}

fn summary_of(lines: &[&[u8]]) -> Summary {
    let sessions = lines.iter().map(|bytes| {
        let mut session = Session::new();
        let (mut left, mut begin) = (*bytes, None);
        let mut fed = 0;
        let mut receiver = Receiver::<1024>::new();
        while let Some(Received::Frame(envelope)) = receiver.take(&mut left) {
            // Frame by frame, on a host that heard all devices begin at the same time.
            let at = envelope.uptime.since(*begin.get_or_insert(envelope.uptime)).as_nanos();
            session.feed_at(at, &bytes[fed..bytes.len() - left.len()], |_| {});
            fed = bytes.len() - left.len();
        }
        session
    });
    let sessions: Vec<_> = sessions.collect();
    let observed: Vec<_> =
        sessions.iter().map(|session| Observed { source: "line", session, failure: None, faults: None }).collect();
    summarize(&RunInfo::default(), &observed)
}

#[test]
fn p90_p99_and_maximum_the_same_from_three_samples_without_a_word() {
    let bytes = telemetry("few", Duration::ZERO, Duration::from_millis(5), 3, Outcome::Success);
    let summary = summary_of(&[&bytes]);
    let metric = &summary.phases[0].metrics["service_time"];
    assert_eq!((metric.count, metric.max), (3, Some(Number::Millis(5.0))));
    for name in ["p90", "p95", "p99", "p99.9"] {
        let percentile = &metric.percentiles[name];
        assert_eq!((percentile.value, percentile.lower, percentile.upper), (None, None, None), "{name}");
        assert!(percentile.reason.as_ref().is_some_and(|reason| !reason.is_empty()), "{name}");
    }
    assert!(metric.percentiles["p50"].value.is_some());
}

#[test]
fn merged_rates_divided_by_the_union_of_wall_times() {
    let latency = Duration::from_millis(5);
    let early = telemetry("early", Duration::ZERO, latency, 100, Outcome::Success);
    let late = telemetry("late", Duration::from_secs(3_600), latency, 50, Outcome::Success);
    let summary = summary_of(&[&early, &late]);
    let [all, early, late] = &summary.phases[..] else { panic!("not one phase of two devices") };
    let [all, early, late] = [all, early, late].map(|phase| phase.throughput_rps.unwrap());
    assert!(early > 9.0 && late > 9.0, "{early}, {late}");
    assert!((all - early - late).abs() < 1e-6, "{all} is not {early} + {late}");
}

/// A thousand fast requests on one device and ten slow ones on another, merged.
fn lopsided() -> [LatencyHistogram<256, u64>; 3] {
    let (mut fast, mut slow) = (LatencyHistogram::new(), LatencyHistogram::new());
    fast.record_n(1_000_000, 1_000);
    slow.record_n(900_000_000, 10);
    let mut merged = fast.clone();
    merged.merge(&slow);
    [merged, fast, slow]
}

#[test]
fn averaging_percentiles() {
    let [merged, ..] = lopsided();
    let p50 = merged.quantile(Percentile::P50).unwrap();
    assert!(p50.lower <= 1_000_000 && p50.upper < 2_000_000, "{p50:?} is near the average of 1 ms and 900 ms");
}

#[test]
fn max_folding_percentiles() {
    let [merged, _, slow] = lopsided();
    let [p95, slow] = [merged, slow].map(|histogram| histogram.quantile(Percentile::P95).unwrap());
    assert!(slow.lower > 100_000_000 && p95.upper < 2_000_000, "{p95:?} is the slower device's");
}

#[test]
fn clocks_49_seconds_apart_turning_a_regression_into_no_impact() {
    let run = |boot, latency| telemetry("device", Duration::from_secs(boot), latency, 100, Outcome::Success);
    let (fast, slow) = (Duration::from_micros(50), Duration::from_millis(40));
    let before = summary_of(&[&run(0, fast)]);
    let [after, shifted] = [0, 49].map(|boot| summary_of(&[&run(boot, slow)]));
    // Every time is the difference of two readings of one clock.
    assert_eq!(shifted.phases, after.phases);
    let p50 = |summary: &Summary| summary.phases[0].metrics["response_time"].percentiles["p50"].value.unwrap().as_f64();
    assert!(p50(&shifted) / p50(&before) > 790.0, "{} against {} ms", p50(&shifted), p50(&before));
}

#[test]
fn the_tail_of_an_over_long_frame_taken_for_a_frame() {
    let bytes = telemetry("tail", Duration::ZERO, Duration::from_millis(5), 3, Outcome::Success);
    let whole = &frames(&bytes)[0];
    let tail = &whole[1..];
    for noise in [1_000, 1_023, 1_024, 1_025, 2_048, 10_000] {
        let mut session = Session::new();
        session.feed(&[&[0], &vec![0x55; noise][..], tail].concat(), |_| {});
        assert_eq!(session.frames(), 0, "after {noise} bytes");
        assert_eq!(session.errors().overlong, 1, "after {noise} bytes");
        // The frame by itself is one.
        session.feed(whole, |_| {});
        assert_eq!(session.frames(), 1);
    }
}

fn written(directory: &Path, summary: &Summary) -> serde_json::Value {
    write_artifacts(directory, summary).unwrap();
    parse(&fs::read_to_string(directory.join(SUMMARY_FILE)).unwrap())
}

#[test]
fn a_summary_lost_because_the_run_was_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("capture.pmcap");
    let bytes = telemetry("cut", Duration::ZERO, Duration::from_millis(5), 1_000, Outcome::Success);
    let mut writer = CaptureWriter::create(&capture, "cut").unwrap();
    writer.source(0, "line", 0).unwrap();
    writer.data(0, 1, &bytes[..bytes.len() / 2]).unwrap();
    // Without an end: as a recorder that was killed leaves it.
    drop(writer);
    let summary = written(directory.path(), &replay(&capture).unwrap().run.summary());
    assert_eq!(summary["run"]["complete"], false);
    assert!(summary["run"]["partial_reason"].as_str().unwrap().contains("killed"), "{}", summary["run"]);
    let observed = summary["phases"][0]["metrics"]["service_time"]["count"].as_u64().unwrap();
    assert!(observed > 100 && observed < 1_000, "{observed}");
}

#[test]
fn a_summary_lost_because_every_request_failed() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = telemetry("failing", Duration::ZERO, Duration::from_millis(5), 20, Outcome::Failed(Failure::Broken));
    let summary = written(directory.path(), &summary_of(&[&bytes]));
    let phase = &summary["phases"][0];
    assert_eq!((&phase["counts"]["errors"], &phase["counts"]["completed"]), (&20.into(), &20.into()));
    assert_eq!(phase["success_rate"], 0.0);
    assert_eq!(phase["state"], "complete");
    assert_eq!(phase["metrics"]["schedule_lag"]["count"], 20);
    assert!(phase["metrics"].get("service_time").is_none_or(|metric| metric["count"] == 0));
}
