//! The laws of the histogram, on its canonical bytes.

mod cases;

use std::vec;
use std::vec::Vec;

use proptest::collection::vec as many;
use proptest::prelude::*;

use super::*;
use crate::summary::{Percentile, Quantile};

/// Small, so that the resolution is halved again and again.
type Small = LatencyHistogram<16>;

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0),
        1 => Just(u64::MAX),
        2 => 1_u64..=16,
        2 => any::<u64>(),
        // A power of two on either side of it, and on it.
        2 => (1_u32..64, 0_u64..3).prop_map(|(bits, offset)| (1 << bits) + offset - 1),
        4 => 1_000_000_u64..50_000_000,
    ]
}

fn values() -> impl Strategy<Value = Vec<u64>> {
    // Often a narrow set, so that high scales occur too.
    prop_oneof![
        many(value(), 0..40),
        (1_u64..1_000_000_000, many(0_u64..2_000, 1..40))
            .prop_map(|(base, offsets)| { offsets.into_iter().map(|offset| base + offset).collect() })
    ]
}

fn of<C: Counter, const N: usize>(values: &[u64]) -> LatencyHistogram<N, C> {
    let mut histogram = LatencyHistogram::new();
    for value in values {
        histogram.record(*value);
    }
    histogram
}

fn small(values: &[u64]) -> Small {
    of(values)
}

fn bytes<C: Counter, const N: usize>(histogram: &LatencyHistogram<N, C>) -> Vec<u8> {
    let mut out = vec![0; LatencyHistogram::<N, C>::max_encoded_len()];
    let len = histogram.encode(&mut out).unwrap();
    out.truncate(len);
    out
}

fn merged<C: Counter, const N: usize>(
    left: &LatencyHistogram<N, C>,
    right: &LatencyHistogram<N, C>,
) -> LatencyHistogram<N, C> {
    let mut sum = left.clone();
    sum.merge(right);
    sum
}

/// The laws that a histogram of any history keeps.
fn assert_sound<C: Counter, const N: usize>(histogram: &LatencyHistogram<N, C>) {
    histogram.check(&histogram.totals()).unwrap();
    let encoded = bytes(histogram);
    let decoded = LatencyHistogram::<N, C>::decode(&encoded).unwrap();
    assert_eq!(&decoded, histogram);
    assert_eq!(bytes(&decoded), encoded);
    let parts = histogram.buckets().map(|bucket| (bucket.index, bucket.count)).collect::<Vec<_>>();
    let rebuilt = LatencyHistogram::from_parts(&histogram.totals(), parts.into_iter().rev()).unwrap();
    assert_eq!(&rebuilt, histogram);
    // Outside the window, storage is empty: growing it later finds no old counts.
    let stored: u64 = histogram.slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.get()));
    assert_eq!(stored, histogram.counts().fold(0, u64::saturating_add));
    assert_span_is_sound(histogram);
}

/// The first and the last value that is no news of the extremes.
fn span<C: Counter, const N: usize>(histogram: &LatencyHistogram<N, C>) -> Option<(u64, u64)> {
    let further = histogram.span.checked_sub(1)?;
    Some((histogram.least, histogram.least.checked_add(further).unwrap()))
}

/// What is no news must be in the window, and leave the extremes and their exactness.
fn assert_span_is_sound<C: Counter, const N: usize>(histogram: &LatencyHistogram<N, C>) {
    let Some((least, greatest)) = span(histogram) else { return };
    assert!(least > 0);
    assert!(histogram.min() <= Some(least) && histogram.max() >= Some(greatest));
    for end in [least, greatest] {
        assert!(histogram.in_window(grid::index(end) >> histogram.shift));
        assert!(histogram.min_is_exact() || Some(end) != histogram.min());
        assert!(histogram.max_is_exact() || Some(end) != histogram.max());
    }
}

fn assert_quantiles_bound<const N: usize>(values: &[u64]) {
    let histogram: LatencyHistogram<N> = of(values);
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    for ppm in (0..=1_000_000).step_by(12_500).chain([999_000, 999_999]) {
        let percentile = Percentile::from_ppm(ppm).unwrap();
        let rank = (sorted.len() as u128 * u128::from(ppm)).div_ceil(1_000_000).max(1);
        let truth = sorted[usize::try_from(rank).unwrap() - 1];
        let Quantile { value, lower, upper } = histogram.quantile(percentile).unwrap();
        assert!(lower <= truth && truth <= upper, "{percentile}: {truth} is not in {lower}..={upper}");
        assert!(lower <= value && value <= upper);
        let allowed = u128::from(truth) * u128::from(histogram.relative_error_ppm()) + 500_000;
        assert!(u128::from(value.abs_diff(truth)) * 1_000_000 <= allowed, "{percentile}: {value} for {truth}");
    }
    for (rank, truth) in (1..).zip(&sorted) {
        let Quantile { value, lower, upper } = histogram.order_statistic(rank).unwrap();
        assert!(lower <= *truth && *truth <= upper && lower <= value && value <= upper, "{rank}: {truth}");
    }
    assert_eq!([0, sorted.len() as u64 + 1].map(|rank| histogram.order_statistic(rank)), [None; 2]);
    assert_eq!(histogram.quantile(Percentile::P0).unwrap().value, sorted[0]);
    assert_eq!(histogram.quantile(Percentile::P100).unwrap().value, sorted[sorted.len() - 1]);
}

proptest! {
    #[test]
    fn merging_is_commutative_and_associative(a in values(), b in values(), c in values()) {
        let (a, b, c) = (small(&a), small(&b), small(&c));
        prop_assert_eq!(bytes(&merged(&a, &b)), bytes(&merged(&b, &a)));
        prop_assert_eq!(bytes(&merged(&merged(&a, &b), &c)), bytes(&merged(&a, &merged(&b, &c))));
        assert_sound(&merged(&a, &b));
    }

    #[test]
    fn an_empty_histogram_is_the_identity(a in values()) {
        let a = small(&a);
        prop_assert_eq!(bytes(&merged(&a, &Small::new())), bytes(&a));
        prop_assert_eq!(bytes(&merged(&Small::new(), &a)), bytes(&a));
    }

    #[test]
    fn any_partition_gives_the_bytes_of_one_histogram(
        parts in many((values(), 0_usize..4), 0..8),
    ) {
        let all: Vec<u64> = parts.iter().flat_map(|(values, _)| values.clone()).collect();
        let mut devices = [(); 4].map(|()| Small::new());
        for (values, device) in &parts {
            devices[*device].merge(&small(values));
        }
        let mut sum = Small::new();
        devices.iter().rev().for_each(|device| sum.merge(device));
        prop_assert_eq!(bytes(&sum), bytes(&small(&all)));
    }

    #[test]
    fn saturation_depends_on_the_values_alone(
        a in many((value(), 0_u64..70_000), 0..12),
        b in many((value(), 0..=u64::MAX), 0..12),
    ) {
        type Narrow = LatencyHistogram<8, u16>;
        let of = |parts: &[(u64, u64)]| {
            let mut histogram = Narrow::new();
            for (value, times) in parts {
                histogram.record_n(*value, *times);
            }
            histogram
        };
        let mut backwards = [a.clone(), b.clone()].concat();
        backwards.reverse();
        let sum = merged(&of(&a), &of(&b));
        prop_assert_eq!(bytes(&sum), bytes(&of(&backwards)));
        assert_sound(&sum);
        for quantile in sum.quantiles([Percentile::P50, Percentile::P99, Percentile::P75]).into_iter().flatten() {
            prop_assert!(quantile.lower <= quantile.value && quantile.value <= quantile.upper);
        }
    }

    #[test]
    fn recorded_histograms_are_sound(values in values()) {
        assert_sound(&small(&values));
        assert_sound(&of::<u16, 256>(&values));
        assert_sound(&of::<u64, 8>(&values));
    }

    #[test]
    fn one_by_one_equals_many_at_once(value in value(), times in 1_u64..50, others in values()) {
        let mut at_once = small(&others);
        at_once.record_n(value, times);
        let mut one_by_one = small(&others);
        (0..times).for_each(|_| one_by_one.record(value));
        prop_assert_eq!(bytes(&at_once), bytes(&one_by_one));
    }

    #[test]
    fn the_short_way_leads_where_the_general_way_does(base in values(), values in values()) {
        let (mut short, mut general) = (small(&base), small(&base));
        for value in values {
            let scale = short.scale();
            let touched = short.record_slot(value);
            let slot = short.slot(grid::index(value) >> short.shift);
            prop_assert_eq!(touched, match value {
                0 => Touched::Zero,
                _ if short.scale() == scale => Touched::Slot(slot),
                _ => Touched::Rescaled,
            });
            general.record_n(value, 1);
            prop_assert_eq!(bytes(&short), bytes(&general));
            assert_span_is_sound(&short);
        }
    }

    #[test]
    fn capacity_and_counter_leave_no_trace_in_the_bytes(offsets in many(0_u64..100_000, 0..50)) {
        // All in one octave, which 256 buckets hold at the finest scale.
        let values: Vec<u64> = offsets.iter().map(|offset| 1_000_000 + offset).collect();
        prop_assert_eq!(bytes(&of::<u16, 256>(&values)), bytes(&of::<u64, 1024>(&values)));
        prop_assert_eq!(&*of::<u32, 256>(&values), &*of::<u32, 2048>(&values));
    }

    #[test]
    fn merging_across_capacities_and_counters_keeps_every_count(a in values(), b in values()) {
        let mut sum: LatencyHistogram<64, u64> = of(&a);
        sum.merge(&*of::<u16, 8>(&b));
        assert_sound(&sum);
        let all = [a, b].concat();
        let whole: LatencyHistogram<64, u64> = of(&all);
        prop_assert!(sum.scale() <= whole.scale());
        let (sum, whole) = (sum.totals(), whole.totals());
        prop_assert_eq!(Totals { scale: 8, ..sum }, Totals { scale: 8, ..whole });
    }

    #[test]
    fn an_interval_merged_into_the_earlier_snapshot_gives_the_later(before in values(), after in values()) {
        let earlier = small(&before);
        let mut later = earlier.clone();
        for value in &after {
            later.record(*value);
        }
        let interval = later.since(&earlier).unwrap();
        assert_sound(&interval);
        let mut grown = interval.clone();
        for value in before.iter().chain(&after) {
            grown.record(*value);
            assert_span_is_sound(&grown);
        }
        assert_sound(&grown);
        prop_assert_eq!(bytes(&merged(&earlier, &interval)), bytes(&later));
        prop_assert_eq!(bytes(&merged(&interval, &earlier)), bytes(&later));
        let exact = small(&after);
        prop_assert_eq!((interval.count(), interval.sum()), (exact.count(), exact.sum()));
        prop_assert_eq!(interval.mean(), exact.mean());
        // What is lost in the snapshots' sum of squares is unknown for the interval.
        prop_assert!(interval.saturation().sum_of_squares() || interval.stdev() == exact.stdev());
        prop_assert!(later.saturation().sum_of_squares() || !interval.saturation().any());
        prop_assert!(interval.min() <= exact.min() && interval.max() >= exact.max());
        prop_assert!(!interval.min_is_exact() || interval.min() == exact.min());
        prop_assert!(!interval.max_is_exact() || interval.max() == exact.max());
        for percentile in [Percentile::P0, Percentile::P50, Percentile::P99, Percentile::P100] {
            if let (Some(bound), Some(truth)) = (interval.quantile(percentile), exact.quantile(percentile)) {
                prop_assert!(bound.lower <= truth.upper && truth.lower <= bound.upper);
            }
        }
    }

    #[test]
    fn there_is_no_interval_since_something_else(a in values(), stray in value()) {
        let a = small(&a);
        let mut other = a.clone();
        other.record(stray);
        prop_assert_eq!(a.since(&other), Err(SinceError::NotEarlier));
    }

    #[test]
    fn quantiles_contain_the_true_order_statistic(values in values()) {
        if !values.is_empty() {
            assert_quantiles_bound::<8>(&values);
            assert_quantiles_bound::<256>(&values);
        }
    }

    #[test]
    fn moments_agree_with_their_definition(values in many(0_u64..1 << 40, 1..50)) {
        let histogram = small(&values);
        let n = values.len() as i128;
        let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
        prop_assert_eq!(i128::from(histogram.mean().unwrap()), (2 * sum + n).div_euclid(2 * n));
        // n² * variance = Σ (n * v − sum)² / n
        let scaled: i128 = values.iter().map(|value| (n * i128::from(*value) - sum).pow(2) / n).sum();
        let stdev = i128::from(histogram.stdev().unwrap());
        // |√V − s| ≤ ½, in integers, with n for the rounding of the terms above
        prop_assert!((2 * stdev - 1) * (2 * stdev - 1).abs() * n * n <= 4 * (scaled + n));
        prop_assert!((2 * stdev + 1).pow(2) * n * n >= 4 * scaled);
    }

    #[test]
    fn hostile_bytes_are_refused_or_sound(
        values in values(),
        edits in many((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        noise in many(any::<u8>(), 0..80),
    ) {
        let mut encoded = bytes(&small(&values));
        for (at, byte) in edits {
            let at = at.index(encoded.len());
            encoded[at] = byte;
        }
        let prefix = &encoded[..cut.index(encoded.len())];
        for bytes in [&encoded[..], prefix, &noise[..]] {
            if let Ok(histogram) = Small::decode(bytes) {
                assert_sound(&histogram);
                let _ = histogram.summary();
            }
        }
    }

    #[test]
    fn hostile_parts_are_refused_or_sound(
        totals in (any::<i8>(), 0_u64..8, 0_u64..4, value(), value(), any::<[bool; 2]>(), 0_u64..1000, any::<u128>(), 0_u8..16),
        buckets in many((-8000_i32..9000, 0_u64..4), 0..4),
    ) {
        let (scale, count, zero, min, max, [min_exact, max_exact], sum, sum_of_squares, flags) = totals;
        let saturation = Saturation::try_from(flags).unwrap();
        let sum = u128::from(sum);
        let totals = Totals { scale, count, zero, min, max, min_exact, max_exact, sum, sum_of_squares, saturation };
        if let Ok(histogram) = Small::from_parts(&totals, buckets) {
            assert_eq!(histogram.totals(), totals);
            assert_sound(&histogram);
        }
    }
}
