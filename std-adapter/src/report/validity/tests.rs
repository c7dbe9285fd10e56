use super::*;
use crate::report::{Observed, RunInfo, Summary, render, summarize};
use crate::session::tests::device::{loaded, monitored};
use crate::session::tests::session;

const US: u64 = 1_000;

/// A run of a load of so many requests, whose times of service are those of their place.
fn run(requests: u64, service: impl Fn(u64) -> u64) -> Summary {
    let latencies: Vec<_> = (0..requests).map(service).collect();
    let told = session(&loaded("d", 1, &[latencies])[0].frames);
    summarize(&RunInfo::default(), &[Observed { source: "line", session: &told, failure: None, faults: None }])
}

/// Around a middle, in an order that is none.
fn around(middle: u64, place: u64) -> u64 {
    middle + middle / 200 * (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

fn doubts(summary: &Summary) -> Vec<Doubt> {
    summary.validity.iter().map(|finding| finding.verdict).collect()
}

#[test]
fn an_ordinary_run_raises_no_doubt() {
    let summary = run(2_000, |place| around(400 * US, place));
    assert_eq!(summary.validity, []);
    let text = render(&summary);
    assert!(!text.contains("NOTE") && !text.contains("validity"), "{text}");
}

#[test]
fn a_service_that_slows_down_is_not_stationary() {
    let summary = run(2_000, |place| around((300 + place / 10) * US, place));
    let [finding] = &summary.validity[..] else { panic!("{:?}", summary.validity) };
    assert_eq!(
        (finding.verdict, &*finding.phase, finding.index, &*finding.device, finding.metric.as_deref()),
        (Doubt::NotStationary, "profiling", 1, "d", Some("service_time")),
        "the warm-up before it may change"
    );
    let text = render(&summary);
    assert!(text.contains("\nvalidity profiling: not stationary\n"), "{text}");
    assert!(text.contains("   NOTE        not stationary: p90 of service time was"), "{text}");
    let json = serde_json::to_value(&summary.validity).unwrap();
    assert_eq!(json[0]["verdict"], "not_stationary");
}

#[test]
fn a_service_whose_noise_is_dependent_is_no_change() {
    // A few slow periods of some length, about as many in either half.
    let summary = run(2_000, |place| around(if place / 25 % 7 == 3 { 900 * US } else { 400 * US }, place));
    assert!(!doubts(&summary).contains(&Doubt::NotStationary), "{:?}", summary.validity);
}

#[test]
fn a_beginning_that_is_slower_is_a_warm_up() {
    let summary = run(2_000, |place| around(if place < 120 { 1_500 * US } else { 400 * US }, place));
    assert!(doubts(&summary).contains(&Doubt::WarmUpVisible), "{:?}", summary.validity);
    assert!(!doubts(&summary).contains(&Doubt::NotStationary), "{:?}", summary.validity);
    // One that is faster is none.
    let summary = run(2_000, |place| around(if place < 120 { 100 * US } else { 400 * US }, place));
    assert!(!doubts(&summary).contains(&Doubt::WarmUpVisible), "{:?}", summary.validity);
}

#[test]
fn few_samples_are_said_with_how_many_more_it_takes() {
    let few = |count| run(count, |place| around(400 * US, place));
    let summary = few(300);
    let [finding] = &summary.validity[..] else { panic!("{:?}", summary.validity) };
    assert_eq!(
        (finding.verdict, &*finding.words),
        (Doubt::TooFewSamples, "p99 needs 368 samples for an interval and there are 300: 68 more")
    );
    assert_eq!(doubts(&few(400)), []);
}

#[test]
fn samples_that_resemble_their_neighbours_are_said_to_be_worth_less() {
    let summary = run(2_000, |place| around(if place / 10 % 2 == 0 { 200 * US } else { 800 * US }, place));
    let finding = summary.validity.iter().find(|finding| finding.metric.as_deref() == Some("service_time")).unwrap();
    assert_eq!(finding.verdict, Doubt::DependentSamples);
    let metric = &summary.phases.last().unwrap().metrics["service_time"];
    assert!(metric.lag1_autocorrelation.unwrap() > 0.7 && metric.effective_count < 500);
    assert!(finding.words.contains(&format!("2000 of them are worth {},", metric.effective_count)), "{finding:?}");
    let independent = run(2_000, |place| around(400 * US, place));
    assert_eq!(independent.phases.last().unwrap().metrics["service_time"].effective_count, 2_000);
}

#[test]
fn each_metric_of_a_monitor_is_judged_and_small_phases_are_not_doubted() {
    let values = |slower: u64| -> Vec<_> {
        (0..1_200).flat_map(|place| [(0, around(1_000 + place * slower, place)), (1, around(512, place))]).collect()
    };
    let told = session(&monitored(1, &[values(0), values(1)]).frames);
    let summary =
        summarize(&RunInfo::default(), &[Observed { source: "line", session: &told, failure: None, faults: None }]);
    let [finding] = &summary.validity[..] else { panic!("{:?}", summary.validity) };
    assert_eq!((finding.verdict, &*finding.phase), (Doubt::NotStationary, "logging"));
    assert_eq!(finding.metric.as_deref(), Some("flash_write"));
    let small = session(&monitored(1, &[(0..30).map(|value| (0, value)).collect()]).frames);
    let summary =
        summarize(&RunInfo::default(), &[Observed { source: "line", session: &small, failure: None, faults: None }]);
    assert_eq!(summary.validity, []);
}
