//! Single cases: the ends of every range, and what must be refused.

use super::*;

#[test]
fn adversarial_sets_keep_their_quantiles() {
    let ramp: Vec<u64> = (0..2_000).map(|step| 1_000 + step * step * step).collect();
    let spikes = [vec![3; 990], vec![3 << 60; 10]].concat();
    let sets = [vec![0; 9], vec![u64::MAX; 9], vec![42], vec![0, 1, u64::MAX], ramp, spikes, (0..600).collect()];
    for set in sets {
        assert_quantiles_bound::<8>(&set);
        assert_quantiles_bound::<64>(&set);
        assert_quantiles_bound::<1024>(&set);
    }
}

#[test]
fn exactly_the_capacity_keeps_the_scale_and_one_more_halves_it() {
    // Bucket 0 at scale 8 begins above one second; its neighbours follow at factors of 2^(1/256).
    for first in [-8, 0, 100] {
        let (at, beyond) = (bucket_bounds(8, first + 15).1, bucket_bounds(8, first + 16).1);
        let mut histogram = small(&[bucket_bounds(8, first).1, at]);
        assert_eq!((histogram.scale(), histogram.window()), (8, Some((first, first + 15))));
        histogram.record(beyond);
        assert_eq!((histogram.scale(), histogram.count()), (7, 3));
        assert_sound(&histogram);
        let (below, above) = (small(&[bucket_bounds(8, first).1]), small(&[at, beyond]));
        assert_eq!(bytes(&merged(&above, &below)), bytes(&histogram));
        assert_eq!(bytes(&merged(&below, &above)), bytes(&histogram));
    }
}

#[test]
fn recording_tells_what_it_touched() {
    let mut histogram = Small::new();
    assert_eq!(histogram.record_slot(0), Touched::Zero);
    let (first, second) = (histogram.record_slot(1_000_000_001), histogram.record_slot(1_000_000_001));
    assert_eq!((first, second), (Touched::Slot(0), Touched::Slot(0)));
    assert_eq!(histogram.record_slot(999_999_999), Touched::Slot(15));
    assert_eq!(histogram.record_slot(1), Touched::Rescaled);
}

#[test]
fn a_full_counter_widens_the_bounds_and_loses_no_total() {
    let mut histogram = LatencyHistogram::<64, u16>::new();
    histogram.record_n(1_000_000, 100_000);
    histogram.record_n(2_000_000, 1_000);
    assert!(histogram.saturation().buckets() && !histogram.saturation().count());
    assert_eq!((histogram.count(), histogram.mean()), (101_000, Some(1_009_901)));
    let median = histogram.quantile(Percentile::P50).unwrap();
    assert!(median.lower <= 1_000_000 && 1_000_000 <= median.upper);
    // The buckets alone would take this rank for one of the slow values.
    let p90 = histogram.quantile(Percentile::P90).unwrap();
    assert!(p90.lower <= 1_000_000 && p90.upper >= 1_000_000);
    let snapshot = histogram.clone();
    assert_eq!(histogram.since(&snapshot), Err(SinceError::Saturated));
}

#[test]
fn saturated_sums_yield_no_moments() {
    let mut histogram = Small::new();
    histogram.record_n(u64::MAX, 2);
    assert!(histogram.saturation().sum_of_squares() && !histogram.saturation().count());
    assert_eq!((histogram.mean(), histogram.stdev()), (Some(u64::MAX), None));
    histogram.record_n(1, u64::MAX);
    assert!(histogram.saturation().count());
    assert_eq!((histogram.count(), histogram.mean()), (u64::MAX, None));
    // How many values are above a rank is not known then.
    let median = histogram.quantile(Percentile::P50).unwrap();
    assert_eq!((median.lower, median.upper), (1, u64::MAX));
    assert_sound(&histogram);
    histogram.record_n(u64::MAX, u64::MAX);
    assert!(histogram.saturation().sum());
    assert_eq!(histogram.sum(), u128::MAX);
    assert_sound(&histogram);
}

#[test]
fn the_last_of_all_counts_is_not_passed_one_by_one() {
    let mut recorded = LatencyHistogram::<16, u64>::new();
    recorded.record(5);
    recorded.record_n(5, u64::MAX - 2);
    let mut merged = LatencyHistogram::<16, u64>::new();
    merged.record(5);
    let mut rest = LatencyHistogram::<16, u64>::new();
    rest.record_n(5, u64::MAX - 2);
    merged.merge(&rest);
    for mut histogram in [recorded, merged] {
        let mut elsewhere = histogram.clone();
        // The third makes the lower half of the sum carry no more.
        for _ in 0..3 {
            elsewhere.record(6);
        }
        assert!(elsewhere.saturation().count() && !elsewhere.saturation().buckets());
        assert_eq!((elsewhere.count(), elsewhere.max()), (u64::MAX, Some(6)));
        assert_sound(&elsewhere);
        histogram.record(5);
        assert_eq!((histogram.count(), histogram.saturation().any()), (u64::MAX, false));
        histogram.record(5);
        assert!(histogram.saturation().count() && histogram.saturation().buckets());
        assert_eq!(histogram.count(), u64::MAX);
        assert_sound(&histogram);
    }
}

#[test]
fn whatever_is_no_news_takes_the_short_way() {
    let mut histogram = small(&[1_000_000_000, 1_020_000_000]);
    histogram.record(0);
    assert_eq!(span(&histogram), Some((1_000_000_000, 1_020_000_000)));
    // Beside zeros, the least other value is not in the bytes.
    let decoded = Small::decode(&bytes(&histogram)).unwrap();
    assert_eq!(span(&decoded), Some((bucket_bounds(8, -1).0, 1_020_000_000)));
    let mut merged = Small::new();
    merged.merge(&decoded);
    assert_eq!(span(&merged), span(&decoded));
    let mut later = merged.clone();
    later.record_n(1_010_000_000, 9);
    let mut interval = later.since(&merged).unwrap();
    let (lower, upper) = (interval.min().unwrap(), interval.max().unwrap());
    assert_eq!(span(&interval), Some((lower + 1, upper - 1)));
    interval.record(upper + 1);
    assert_eq!(span(&interval), Some((lower + 1, upper + 1)));
    interval.record(lower);
    assert_eq!(span(&interval), Some((lower, upper + 1)));
    interval.reset();
    assert_eq!(span(&interval), None);
}

#[test]
fn zero_is_in_no_window() {
    for shift in 0..=grid::MAX_SHIFT {
        assert!(grid::index(0) >> shift > grid::index(u64::MAX) >> shift);
    }
}

#[test]
fn squares_are_full_without_a_carry_of_the_sum() {
    // Three tenths of 2^65: the squares of three add up to more than 2^128.
    let value = u64::MAX / 5 * 3;
    let mut histogram = small(&[value; 2]);
    assert!(!histogram.saturation().any());
    histogram.record(value);
    assert_eq!(histogram.sum_of_squares(), u128::MAX);
    assert_eq!(histogram.saturation(), Saturation::SUM_OF_SQUARES);
    assert_eq!((histogram.count(), histogram.sum()), (3, 3 * u128::from(value)));
    assert_sound(&histogram);
}

#[test]
fn recording_a_bound_makes_it_exact() {
    let earlier = small(&[1_000, 2_000_000_000]);
    let mut later = earlier.clone();
    later.record(1_000_000);
    let mut interval = later.since(&earlier).unwrap();
    let (min, max) = (interval.min().unwrap(), interval.max().unwrap());
    assert!(min < 1_000_000 && max > 1_000_000 && !interval.min_is_exact() && !interval.max_is_exact());
    interval.record(min);
    interval.record(max);
    assert!(interval.min_is_exact() && interval.max_is_exact());
}

#[test]
fn each_contradiction_in_parts_is_named() {
    let good = small(&[1_000_000; 3]);
    let index = good.window().unwrap().0;
    let with = |edit: &dyn Fn(&mut Totals), buckets: &[(i32, u64)]| {
        let mut totals = good.totals();
        edit(&mut totals);
        LatencyHistogram::<16, u16>::from_parts(&totals, buckets.iter().copied()).map(|_| ())
    };
    let whole = [(index, 3)];
    assert_eq!(with(&|_| (), &whole), Ok(()));
    assert_eq!(with(&|totals| totals.scale = 9, &whole), Err(PartsError::Scale(9)));
    assert_eq!(with(&|totals| *totals = Totals { scale: 5, ..Totals::default() }, &[]), Err(PartsError::Scale(5)));
    // Between 1 and 2 no integer lies.
    assert_eq!(with(&|_| (), &[(-7600, 3)]), Err(PartsError::Index(-7600)));
    assert_eq!(with(&|_| (), &[(8731, 3)]), Err(PartsError::Index(8731)));
    assert_eq!(with(&|_| (), &[(index, 1), (index, 2)]), Err(PartsError::Duplicate(index)));
    assert_eq!(with(&|_| (), &[(index, 1), (index + 16, 2)]), Err(PartsError::TooWide(16)));
    assert_eq!(with(&|_| (), &[(index, 65_536)]), Err(PartsError::CounterTooNarrow(index)));
    assert_eq!(with(&|_| (), &[(index, 2)]), Err(PartsError::Count));
    // Something saturated a bucket, and no bucket has anything in it.
    let saturated = Totals { count: u64::MAX, saturation: 3.try_into().unwrap(), ..Totals::default() };
    assert_eq!(with(&|totals| *totals = saturated, &[]), Err(PartsError::Count));
    assert_eq!(with(&|totals| totals.max = 2_000_000, &whole), Err(PartsError::Extremes));
    // Beside a zero, the minimum is zero.
    assert_eq!(with(&|totals| (totals.zero, totals.count) = (1, 4), &whole), Err(PartsError::Extremes));
    // The smallest value cannot be larger than the largest.
    assert_eq!(with(&|totals| totals.min_exact = false, &whole), Err(PartsError::Extremes));
    assert_eq!(with(&|totals| totals.sum -= 1, &whole), Err(PartsError::Sums));
    assert_eq!(with(&|totals| totals.sum_of_squares += 1, &whole), Err(PartsError::Sums));
}

#[test]
fn moments_reach_the_ends_of_the_range() {
    assert_eq!(small(&[0, u64::MAX]).stdev(), Some(1 << 63));
    assert_eq!(small(&[7; 5]).stdev(), Some(0));
    // Variance 2/3: the root 0.816 rounds up; variance 1/4: the root ½ rounds up.
    assert_eq!(small(&[0, 1, 2]).stdev(), Some(1));
    assert_eq!(small(&[0, 1]).stdev(), Some(1));
    assert_eq!(small(&[0, 1]).mean(), Some(1));
}

#[test]
fn few_samples_are_told_from_resolved_percentiles() {
    let histogram = small(&[1, 2, 3]);
    assert!(histogram.resolves(Percentile::P50) && histogram.resolves(Percentile::P100));
    assert!(!histogram.resolves(Percentile::P75));
    assert!(!Small::new().resolves(Percentile::P0));
    assert_eq!(Small::new().quantile(Percentile::P99), None);
}

#[test]
fn a_reset_histogram_is_new() {
    let mut histogram = small(&[0, 1, u64::MAX]);
    histogram.reset();
    assert_eq!(bytes(&histogram), bytes(&Small::new()));
    histogram.record(5);
    assert_eq!(bytes(&histogram), bytes(&small(&[5])));
}

#[test]
fn the_worst_case_fits_the_promised_length() {
    let mut alternating = LatencyHistogram::<8, u64>::new();
    for index in 0..8 {
        alternating.record_n(bucket_bounds(8, index - 4000).1.max(1), if index % 2 == 0 { 1 } else { u64::MAX / 8 });
    }
    assert!(bytes(&alternating).len() <= LatencyHistogram::<8, u64>::max_encoded_len());
    let mut short = [0; 20];
    assert_eq!(alternating.encode(&mut short), Err(EncodeError::BufferTooSmall));
}

#[test]
fn a_run_longer_than_the_window_is_refused() {
    let mut encoded = bytes(&small(&[1_000; 3]));
    // The single count, 3, becomes an endless run.
    encoded.truncate(encoded.len() - 1);
    encoded.extend([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(Small::decode(&encoded), Err(DecodeError::Malformed));
}
