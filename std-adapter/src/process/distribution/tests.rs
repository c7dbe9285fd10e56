use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::metric::Unit;
use proptest::prelude::*;

use super::*;

const PERCENTILES: [f64; 9] = [0.0, 1.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 100.0];

fn by(rule: PercentileRule, percentiles: &[f64]) -> Percentiles {
    Percentiles::try_from(percentiles.to_vec()).unwrap().by(rule)
}

/// The percentiles of [`PERCENTILES`] by both rules.
fn all(distribution: &Distribution) -> Vec<Bounded> {
    let rules = [PercentileRule::NearestRank, PercentileRule::Linear];
    rules.into_iter().flat_map(|rule| found(distribution, rule, &PERCENTILES)).collect()
}

fn found(distribution: &Distribution, rule: PercentileRule, percentiles: &[f64]) -> Vec<Bounded> {
    distribution.percentiles(&by(rule, percentiles)).into_iter().map(Result::unwrap).collect()
}

fn kept(values: &[f64]) -> Distribution {
    let mut distribution = Distribution::new("ms");
    distribution.add(values, &Moments::of(values), true);
    distribution.sort();
    distribution
}

/// Sketched though they may be few.
fn sketched(values: &[f64]) -> Distribution {
    let mut distribution = Distribution::new("ms");
    distribution.extend(values);
    distribution.values = Values::Sketched(distribution.values.sketch().into_owned());
    distribution
}

/// Values of every sign and magnitude, many of them equal or close.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        Just(0.0),
        0.0f64..1e3,
        -1e3f64..0.0,
        (0i32..50).prop_map(f64::from),
        (1.0f64..10.0, -40i32..40).prop_map(|(m, e)| m * 10f64.powi(e)),
        (1.0f64..10.0, -30i32..30).prop_map(|(m, e)| -m * 10f64.powi(e)),
    ];
    prop::collection::vec(value, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bounds_contain_the_exact_percentile(values in values()) {
        let (exact, sketch) = (kept(&values), sketched(&values));
        for (exact, bounded) in all(&exact).iter().zip(all(&sketch)) {
            prop_assert_eq!((exact.lower, exact.upper), (exact.value, exact.value));
            prop_assert!(bounded.lower <= exact.value && exact.value <= bounded.upper, "{:?} {:?}", exact, bounded);
            prop_assert!(bounded.lower <= bounded.value && bounded.value <= bounded.upper, "{:?}", bounded);
        }
    }

    /// In integers: the smallest value that so many in a million are not above.
    #[test]
    fn nearest_rank_is_the_smallest_value_that_enough_are_not_above(
        values in prop::collection::vec(0u32..50, 1..300), parts in 0u32..=1_000_000,
    ) {
        let enough = |limit: u32| {
            let within = values.iter().filter(|value| **value <= limit).count() as u64;
            within > 0 && within * 1_000_000 >= u64::from(parts) * values.len() as u64
        };
        let expected = f64::from((0..50).find(|limit| enough(*limit)).unwrap());
        let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let percentile = [f64::from(parts) / 1e4];
        let exactly = found(&kept(&values), PercentileRule::NearestRank, &percentile)[0].value;
        prop_assert_eq!(Some(exactly), Some(expected));
        let sketched = found(&sketched(&values), PercentileRule::NearestRank, &percentile)[0];
        prop_assert!(sketched.lower <= expected && expected <= sketched.upper, "{:?} {}", sketched, expected);
    }

    #[test]
    fn the_count_below_a_limit_is_between_its_bounds(values in values(), limit in -2e3f64..2e3) {
        let exact = values.iter().filter(|value| **value <= limit).count() as u64;
        prop_assert_eq!(kept(&values).count_within(limit), (exact, exact));
        let (least, most) = sketched(&values).count_within(limit);
        prop_assert!(least <= exact && exact <= most, "{} not in {}..={}", exact, least, most);
    }

    #[test]
    fn merging_is_as_recording_all(a in values(), b in values()) {
        let together = [a.clone(), b.clone()].concat();
        let whole = sketched(&together);
        for (mut left, right) in [
            (sketched(&a), sketched(&b)),
            (sketched(&a), kept(&b)),
            (kept(&a), sketched(&b)),
        ] {
            left.merge(&right);
            prop_assert_eq!(all(&left), all(&whole));
            prop_assert_eq!((left.count(), left.min(), left.max()), (whole.count(), whole.min(), whole.max()));
        }
        let mut both = kept(&a);
        both.merge(&kept(&b));
        prop_assert_eq!(all(&both), all(&kept(&together)));
    }

    /// Neighbours are close here, so that interpolating between them adds nothing to the sketch's own error.
    #[test]
    fn dense_values_are_within_a_seventh_of_a_percent(start in 0.001f64..1e6) {
        let values: Vec<f64> = (0..2000).map(|i| start * (1.0 + f64::from(i) * 1e-4)).collect();
        for (exact, bounded) in all(&kept(&values)).iter().zip(all(&sketched(&values))) {
            prop_assert!((bounded.value / exact.value - 1.0).abs() <= 0.0014, "{:?} {:?}", exact, bounded);
        }
    }
}

/// By hand: positions 0.25 * 3 = 0.75 and 0.9 * 3 = 2.7, as `numpy.percentile` has it; and by nearest rank the 1st, 2nd,
/// 4th and 4th value, as its `inverted_cdf` has it.
#[test]
fn percentiles_are_those_of_their_rule() {
    let distribution = kept(&[4.0, 1.0, 3.0, 2.0]);
    let of = |rule| -> Vec<f64> {
        found(&distribution, rule, &[25.0, 50.0, 90.0, 100.0]).iter().map(|found| found.value).collect()
    };
    assert_eq!(of(PercentileRule::Linear), [1.75, 2.5, 3.7, 4.0]);
    assert_eq!(of(PercentileRule::NearestRank), [1.0, 2.0, 4.0, 4.0]);
    assert_eq!(distribution.stdev(), Some(1.25f64.sqrt()));
}

/// The neighbour is so large that the bounds of the smaller value make no difference, but for the last bit.
#[test]
fn bounds_hold_where_both_are_rounded_to_one_number() {
    for neighbour in (1..500).map(|at| 1e9 * f64::from(at)) {
        // The neighbour has more of its kind, so that its bounds are not those of the extremes.
        let values = [-8.950_474_857_088_627e24, -4e11 - neighbour, -5e9, 0.0, 1.0];
        let percentiles: Vec<_> = (1..100).map(|percent| f64::from(percent) / 4.0).collect();
        let (exact, sketch) = (kept(&values), sketched(&values));
        for (exact, bounded) in found(&exact, PercentileRule::Linear, &percentiles).iter().zip(found(
            &sketch,
            PercentileRule::Linear,
            &percentiles,
        )) {
            assert!(bounded.lower <= exact.value && exact.value <= bounded.upper, "{exact:?} {bounded:?}");
        }
    }
}

#[test]
fn a_device_histogram_counts_millionths() {
    let mut histogram = LatencyHistogram::<512>::new();
    (1..=100u64).for_each(|millis| histogram.record(millis * 1_000_000));
    let distribution = Distribution::from_histogram(&histogram, Unit::Nanoseconds);
    assert_eq!((distribution.count(), distribution.min(), distribution.max()), (100, Some(1.0), Some(100.0)));
    assert_eq!((distribution.mean(), distribution.sum()), (Some(50.5), Some(5050.0)));
    assert!((distribution.stdev().unwrap() - 833.25f64.sqrt()).abs() < 1e-6);
    for (rule, exact) in [(PercentileRule::NearestRank, 50.0), (PercentileRule::Linear, 50.5)] {
        let p50 = found(&distribution, rule, &[50.0])[0];
        assert!(p50.lower <= exact && exact <= p50.upper && p50.upper < 52.0, "{p50:?}");
    }
    // As the report has it, to the last bit; and withheld where the report does.
    let quantile = histogram.quantile(phasemeter_core::summary::Percentile::P90).unwrap();
    let p90 = found(&distribution, PercentileRule::NearestRank, &[90.0])[0];
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let exact = [quantile.lower, quantile.value, quantile.upper].map(|nanos| nanos as f64 / 1e6);
    assert_eq!([p90.lower, p90.value, p90.upper].map(Some), exact.map(Some));
    for rule in [PercentileRule::NearestRank, PercentileRule::Linear] {
        let withheld = distribution.percentiles(&by(rule, &[99.5]));
        assert_eq!(withheld, [Err("p99.5 needs 200 samples and there are 100".to_owned())]);
    }
}

#[test]
fn a_device_histogram_of_plain_numbers_counts_units() {
    let mut histogram = LatencyHistogram::<512>::new();
    (0..=100u64).for_each(|bytes| histogram.record(bytes * 512));
    let distribution = Distribution::from_histogram(&histogram, Unit::Count);
    assert_eq!((distribution.unit(), distribution.count()), ("count", 101));
    assert_eq!(
        (distribution.min(), distribution.max(), distribution.mean()),
        (Some(0.0), Some(51_200.0), Some(25_600.0))
    );
    let p50 = found(&distribution, PercentileRule::NearestRank, &[50.0])[0];
    assert!(p50.lower <= 25_600.0 && 25_600.0 <= p50.upper && p50.upper < 26_500.0, "{p50:?}");
    let mut twice = distribution.clone();
    twice.merge(&distribution);
    assert_eq!((twice.count(), twice.sum()), (202, Some(2.0 * 512.0 * 5050.0)));
}

#[test]
fn counts_that_a_full_counter_missed_widen_the_bounds() {
    let mut histogram = LatencyHistogram::<64, u16>::new();
    histogram.record_n(1_000_000, 200_000);
    histogram.record_n(2_000_000, 60_000);
    let distribution = Distribution::from_histogram(&histogram, Unit::Nanoseconds);
    assert_eq!(distribution.count(), 260_000);
    let p50 = found(&distribution, PercentileRule::NearestRank, &[50.0])[0];
    assert!(p50.lower <= 1.0 && 1.0 <= p50.upper, "{p50:?}");
}

#[test]
fn few_values_are_exact_and_many_are_sketched_whatever_their_order() {
    let values = |count: u32| (0..count).map(|value| f64::from((value * 7) % count)).collect::<Vec<_>>();
    for (count, is_exact) in [(1, true), (1_000, true), (1_001, false)] {
        let mut whole = Distribution::new("ms");
        whole.extend(&values(count));
        assert_eq!(whole.is_exact(), is_exact, "{count}");
        let mut parts = Distribution::new("ms");
        for part in values(count).chunks(99) {
            let mut one = Distribution::new("ms");
            one.extend(part);
            parts.merge(&one);
        }
        assert_eq!((parts.is_exact(), all(&parts)), (is_exact, all(&whole)));
        let mut both = kept(&values(count));
        both.merge(&kept(&values(count)));
        assert!(both.is_exact(), "both keep them");
    }
}

#[test]
fn nothing_has_no_statistics() {
    let empty = Distribution::new("ms");
    assert_eq!((empty.min(), empty.max(), empty.mean(), empty.stdev()), (None, None, None, None));
    assert!(all(&empty).is_empty());
    assert_eq!(sketched(&[f64::NAN, f64::INFINITY, 2.0]).count(), 1);
    let huge = sketched(&[f64::MAX, f64::MAX]);
    assert_eq!((huge.sum(), huge.mean(), huge.max()), (None, None, Some(f64::MAX)));
}
