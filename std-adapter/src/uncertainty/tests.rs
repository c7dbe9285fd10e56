//! Against sums of exact integers, `LoadGen`'s own output, and known tables.

use std::path::Path;

use num_bigint::BigUint;
use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::summary::{Percentile, STANDARD};
use proptest::prelude::*;
use serde::Deserialize;

use super::binomial::{Binomial, partition};
use super::dependence::effective_count;
use super::early_stopping;
use super::interval::{SamplingInterval, TooFew, interval, needed};
use super::stationarity::{Change, Course, change, course};
use crate::session::{HostHistogram, Moment};

const MS: u64 = 1_000_000;

fn of(values: impl IntoIterator<Item = u64>) -> HostHistogram {
    let mut histogram = HostHistogram::new();
    values.into_iter().for_each(|value| histogram.record(value));
    histogram
}

/// The number of ways in which no more than these succeed, times a million to the power of the trials: exact.
fn ways(trials: u64, chance_ppm: u32, successes: u64) -> BigUint {
    let (chance, fails) = (BigUint::from(chance_ppm), BigUint::from(1_000_000 - chance_ppm));
    let power = |base: &BigUint, exponent: u64| base.pow(u32::try_from(exponent).unwrap());
    let (mut choose, mut sum) = (BigUint::from(1_u8), BigUint::ZERO);
    for count in 0..=successes.min(trials) {
        sum += &choose * power(&chance, count) * power(&fails, trials - count);
        choose = choose * (trials - count) / (count + 1);
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn binomial_ends_are_exact(trials in 1..400_u64, chance_ppm in 1_000..999_000_u32, limit_ppm in 1_000..400_000_u32) {
        let whole = BigUint::from(1_000_000_u32).pow(u32::try_from(trials).unwrap());
        let is_within = |successes| ways(trials, chance_ppm, successes) * 1_000_000_u32 <= &whole * limit_ppm;
        let found = Binomial::new(trials, chance_ppm).largest_at_most(f64::from(limit_ppm) / 1e6);
        prop_assert_eq!(found, partition(trials, is_within).checked_sub(1));
        // The other end is this one of the failures.
        let found = Binomial::new(trials, 1_000_000 - chance_ppm).smallest_at_least(f64::from(limit_ppm) / 1e6);
        prop_assert_eq!(found, partition(trials, is_within).checked_sub(1).map(|fails| trials - fails));
    }
}

/// Of chances for which the mean and its deviation are whole.
#[test]
fn the_ends_of_huge_counts_are_near_the_normal_ones_and_never_inside() {
    for (trials, mean, deviation) in
        [(10_000_u64, 5_000_u64, 50.0), (1 << 32, 1 << 31, 32_768.0), (1_000_000_000_000, 500_000_000_000, 500_000.0)]
    {
        let (low, high) = {
            let binomial = Binomial::new(trials, 500_000);
            (binomial.largest_at_most(0.025).unwrap(), binomial.smallest_at_least(0.025).unwrap())
        };
        assert_eq!(low, trials - high, "both tails of a half are alike");
        #[expect(clippy::cast_precision_loss, reason = "within a few deviations")]
        let off = (mean - low) as f64 / deviation;
        // A continuity of half a sample, and at most 5 % less beside it for 10¹².
        assert!((1.959_963..1.99).contains(&off), "{trials}: {off}");
    }
}

/// As in the textbooks' tables, by hand.
#[test]
fn ranks_leave_out_a_fortieth_on_either_side() {
    let histogram = of((1..=16).map(|place| 1 << place));
    let exact = |rank: u64| histogram.order_statistic(rank).unwrap();
    let found = interval(&histogram, Percentile::P75, 16).unwrap();
    assert_eq!(found, SamplingInterval { lower: exact(8).lower, upper: exact(16).upper });
    // P(B ≤ 7) = 0.0075 and P(B ≤ 8) = 0.027; P(B = 16) = 0.010 and P(B ≥ 15) = 0.063.
    assert!(ways(16, 750_000, 8) * 40_u8 > BigUint::from(1_000_000_u32).pow(16));
}

#[test]
fn few_samples_have_no_interval_and_say_how_many_more() {
    for (percentile, least) in [
        (Percentile::P50, 6),
        (Percentile::P90, 36),
        (Percentile::P99, 368),
        (Percentile::P99_9, 3_688),
        (Percentile::from_ppm(10_000).unwrap(), 368),
    ] {
        assert_eq!(needed(percentile), least);
        let enough = of(1..=least);
        assert!(interval(&enough, percentile, least).is_ok(), "{percentile}");
        let too_few = interval(&of(1..least), percentile, least).unwrap_err();
        assert_eq!((too_few.needed, too_few.missing()), (least, Some(1)));
        assert!(interval(&enough, percentile, least - 1).is_err(), "{percentile}");
    }
    let said = |count, effective| TooFew { percentile: Percentile::P99, count, effective, needed: 368 }.to_string();
    assert_eq!(said(300, 300), "p99 needs 368 samples for an interval and there are 300: 68 more");
    assert_eq!(
        said(400, 100),
        "p99 needs 368 samples for an interval and there are 400, worth 100 independent ones: 1072 more"
    );
    assert_eq!(said(0, 0), "p99 needs 368 samples for an interval and there are 0: 368 more");
    assert!(interval(&of([]), Percentile::P50, 0).is_err());
    for end in [Percentile::P0, Percentile::P100] {
        assert!(interval(&of(1..10_000), end, 10_000).is_err(), "{end}");
    }
}

#[test]
fn dependent_samples_have_a_wider_interval() {
    let histogram = of((1..=10_000).map(|place| MS + place * 100));
    for percentile in STANDARD {
        let widths = [10_000, 9_999, 5_000, 4_000].map(|effective| {
            let found = interval(&histogram, percentile, effective).unwrap();
            assert!(found.lower <= found.upper);
            found.upper - found.lower
        });
        assert!(widths.is_sorted(), "{percentile}: {widths:?}");
    }
}

proptest! {
    /// What a saturated, empty or tiny histogram has: the interval is around the percentile's own bounds.
    #[test]
    fn an_interval_holds_the_percentile(values in proptest::collection::vec(any::<u64>(), 1..500), worth in 1..600_u64) {
        let histogram = of(values);
        for percentile in STANDARD {
            if let Ok(found) = interval(&histogram, percentile, worth) {
                let quantile = histogram.quantile(percentile).unwrap();
                prop_assert!(found.lower <= quantile.lower && quantile.upper <= found.upper, "{} {:?}", percentile, found);
            }
        }
    }
}

/// What `MLPerf` `LoadGen` printed of its own runs: `tests/data/loadgen`.
#[derive(Deserialize)]
struct Trace {
    loadgen: LoadGen,
    latencies_ns: Vec<u64>,
}

#[derive(Deserialize)]
struct LoadGen {
    target: String,
    needs: u64,
    discarded: Option<u64>,
    needs_p99: Option<u64>,
    printed: std::collections::BTreeMap<String, u64>,
}

#[test]
fn early_stopping_is_what_loadgen_prints() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/loadgen");
    let percentile = |name: &str| {
        let hundredths: u32 = name.trim_start_matches('p').parse().unwrap();
        Percentile::from_ppm(hundredths * 10_000).unwrap()
    };
    let (mut figures, mut withheld) = (0, 0);
    for file in std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let trace: Trace = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let (told, histogram) = (trace.loadgen, of(trace.latencies_ns.iter().copied()));
        let target = percentile(&told.target);
        assert_eq!(early_stopping::needed(target), told.needs, "{}", file.display());
        for (name, printed) in &told.printed {
            let figure = early_stopping::early_stopping(&histogram, percentile(name)).unwrap();
            assert!((figure.lower..=figure.upper).contains(printed), "{} {name}: {figure:?}", file.display());
            // To the rank: the neighbours of what is printed are other samples.
            let mut sorted = trace.latencies_ns.clone();
            sorted.sort_unstable_by(|one, other| other.cmp(one));
            if let (true, Some(discarded)) = (*name == told.target, told.discarded) {
                assert_eq!(sorted[usize::try_from(discarded).unwrap()], *printed);
            }
            figures += 1;
        }
        if told.printed.is_empty() {
            assert_eq!(early_stopping::early_stopping(&histogram, target), Err(told.needs));
            withheld += 1;
        }
        if let Some(needs) = told.needs_p99 {
            assert_eq!(early_stopping::early_stopping(&histogram, Percentile::P99), Err(needs));
            withheld += 1;
        }
    }
    assert!(figures >= 7 && withheld >= 2, "{figures} {withheld}");
}

#[test]
fn dependence_counts_when_it_is_beyond_chance() {
    let worth = |lag1, variation| effective_count(10_000, lag1, variation);
    for independent in [None, Some(-0.9), Some(0.0), Some(0.016), Some(f64::NAN), Some(f64::NEG_INFINITY)] {
        assert_eq!(worth(independent, Some(1.0)), 10_000, "{independent:?}");
    }
    // (1 − ρ) / (1 + ρ) is a ninth for 0.8; a little less for what is not known of ρ.
    let [few, spread, all] = [worth(Some(0.8), None), worth(Some(0.8), Some(2.0)), worth(Some(1.0), Some(0.1))];
    assert!((1_000..1_111).contains(&few) && spread < few && all == 1, "{few} {spread} {all}");
    assert!(worth(Some(0.02), None) < 9_700);
    // Of a hundred the same is chance.
    assert_eq!((effective_count(100, Some(0.15), None), effective_count(0, Some(0.5), None)), (100, 0));
    assert!((1..=9).contains(&effective_count(100, Some(0.8), None)));
    assert_eq!(effective_count(u64::MAX, Some(0.0), Some(f64::INFINITY)), u64::MAX);
}

/// Values of a fixed shape in an order that is none, around a middle.
fn part(middle: u64, count: u64) -> HostHistogram {
    of((0..count).map(|place| middle + middle / 100 * (place * 7_919 % 61)))
}

/// Of values that are as good as independent.
fn moments(parts: &[HostHistogram]) -> Vec<Moment> {
    let mut whole = HostHistogram::new();
    let grown = parts.iter().map(|part| {
        whole.merge(part);
        let (n, sum) = (u128::from(whole.count()), whole.sum());
        let (first, last) = (whole.mean().unwrap(), whole.mean().unwrap());
        Moment { histogram: Box::new(whole.clone()), lag1: Lag1 { products: sum * sum / n, first, last } }
    });
    grown.collect()
}

#[test]
fn a_change_needs_significance_and_effect() {
    let compare = |first: &HostHistogram, second: &HostHistogram, worth: f64| change(first, second, worth);
    let same = part(10 * MS, 1_000);
    assert_eq!(compare(&same, &same, 1.0), None);
    let found = compare(&same, &part(13 * MS, 1_000), 1.0).unwrap();
    assert!(found.distance > 0.3 && found.before < found.after, "{found:?}");
    // The same shift, of samples that are worth few.
    assert_eq!(compare(&same, &part(13 * MS, 1_000), 0.005), None);
    // A shift of a twentieth is no matter, however many samples there are.
    assert_eq!(compare(&same, &part(10 * MS + MS / 2, 1_000_000), 1.0), None);
    // Nor is a tenth that is slower by far, if the percentiles are as they were.
    let mut slow = part(10 * MS, 1_000);
    (0..90).for_each(|_| slow.record(900 * MS));
    assert_eq!(compare(&same, &slow, 1.0), None);
    // Zeros, and nothing.
    assert!(compare(&of(vec![0; 100]), &of(vec![5 * MS; 100]), 1.0).is_some());
    assert_eq!(compare(&of([]), &of([]), 1.0), None);
    assert_eq!(compare(&of([]), &same, 1.0), None);
}

#[test]
fn the_course_of_a_run_is_seen() {
    let steady: Vec<_> = (0..16).map(|_| part(10 * MS, 1_000)).collect();
    assert_eq!(course(&moments(&steady)), Course::Steady);
    let mut warm = steady.clone();
    warm[0] = part(30 * MS, 1_000);
    let Course::WarmUp(1_000, Change { before, after, .. }) = course(&moments(&warm)) else {
        panic!("no warm-up: {:?}", course(&moments(&warm)))
    };
    assert!(before > 2 * after);
    // A first part that was faster is no warm-up.
    warm[0] = part(5 * MS, 1_000);
    assert_eq!(course(&moments(&warm)), Course::Steady);
    let slower: Vec<_> = (0..16).map(|place| part((10 + place) * MS, 1_000)).collect();
    assert!(matches!(course(&moments(&slower)), Course::Changing(found) if found.before < found.after));
    let faster: Vec<_> = (0..16).map(|place| part((30 - place) * MS, 1_000)).collect();
    assert!(matches!(course(&moments(&faster)), Course::Changing(found) if found.before > found.after));
    for few in [0, 1] {
        assert_eq!(course(&moments(&slower[..few])), Course::Steady);
    }
    // No moment near the middle.
    let late: Vec<_> = [(10, 100), (20, 5_000)].into_iter().map(|(millis, count)| part(millis * MS, count)).collect();
    assert_eq!(course(&moments(&late)), Course::Steady);
}
