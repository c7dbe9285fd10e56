//! Percentiles and moments against the values themselves: the distributions of the benchmarks, and sets made to break
//! the bounds.

use num_bigint::BigUint;
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::summary::Percentile;

/// Of values made up.
const VALUES: usize = 20_000;
const MILLI: f64 = 1e6;

/// `SplitMix64` (Steele, Lea, Flood 2014), as numbers between 0 and 1.
struct Random(u64);

impl Random {
    /// From above 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller's.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is meant")]
fn draw(mut sample: impl FnMut(&mut Random) -> f64) -> Vec<u64> {
    let mut random = Random(1);
    (0..VALUES).map(|_| sample(&mut random) as u64).collect()
}

/// The distributions of `tests/bench`.
fn distributions() -> [(&'static str, Vec<u64>); 7] {
    let mut number = 0_u64;
    [
        ("log-normal", draw(|random| 20.0 * MILLI * random.normal().exp())),
        ("uniform", draw(|random| MILLI * (1.0 + 99.0 * random.unit()))),
        ("exponential", draw(|random| -20.0 * MILLI * random.unit().ln())),
        ("pareto", draw(|random| MILLI * random.unit().powf(-1.0 / 1.5))),
        (
            "bimodal",
            draw(|random| if random.unit() < 0.6 { 10.0 + random.normal() } else { 200.0 + 20.0 * random.normal() } * MILLI),
        ),
        ("constant", draw(|_| 20.0 * MILLI)),
        (
            "99 % equal, 1 % slow",
            draw(|random| {
                number += 1;
                if number.is_multiple_of(100) { 1_000.0 * MILLI * (1.0 + 9.0 * random.unit()) } else { MILLI }
            }),
        ),
    ]
}

/// Sets that are hard for buckets: far apart, at their edges, in an order that halves the resolution again and again.
fn adversarial() -> Vec<(&'static str, Vec<u64>)> {
    let powers = || (0..64).map(|bits| 1_u64 << bits);
    let closing = (0..34).map(|octave| 1_000_000_000_u64 << octave);
    vec![
        ("one sample", vec![123_456_789]),
        ("one zero", vec![0]),
        ("two spikes 2^60 apart", [vec![7; 900], vec![7 << 60; 100]].concat()),
        ("all zero", vec![0; 1_000]),
        ("all the largest", vec![u64::MAX; 1_000]),
        ("both ends", [0, u64::MAX].repeat(500)),
        ("ends and ones", vec![1, u64::MAX, 0, 1, u64::MAX]),
        ("rising over all octaves", powers().flat_map(|power| [power - 1, power, power.saturating_add(1)]).collect()),
        ("falling over all octaves", powers().rev().collect()),
        ("bucket boundaries and neighbours", closing.flat_map(|bound| [bound - 1, bound, bound + 1]).collect()),
        ("ramp across a downscale", (0..5_000).map(|step| 1_000 + step * step * step).collect()),
        ("small integers", (0..3_000).collect()),
        ("neighbours far up", (0..3_000).map(|step| u64::MAX - step).collect()),
        ("outlier at last", [vec![5_000_000; 9_999], vec![1 << 50]].concat()),
        ("outlier at first", [vec![1], (0..9_999).map(|step| 1_000_000_000 + step).collect()].concat()),
        ("mostly zero", [vec![0; 995], vec![1_000_000; 5]].concat()),
    ]
}

fn sets() -> impl Iterator<Item = (&'static str, Vec<u64>)> {
    distributions().into_iter().chain(adversarial())
}

fn of<const N: usize>(values: &[u64]) -> LatencyHistogram<N> {
    let mut histogram = LatencyHistogram::new();
    for value in values {
        histogram.record(*value);
    }
    histogram
}

/// From minimum to maximum, closer together towards the end.
fn percentiles() -> Vec<Percentile> {
    let tail = [990_000, 995_000, 999_000, 999_900, 999_990, 999_999, 1_000_000];
    (0..990_000).step_by(9_091).chain(tail).filter_map(Percentile::from_ppm).collect()
}

/// The definition: the `⌈p * count⌉`-th smallest value, the first at least.
fn order_statistic(sorted: &[u64], percentile: Percentile) -> u64 {
    let rank = (sorted.len() as u128 * u128::from(percentile.ppm())).div_ceil(1_000_000).max(1);
    sorted[usize::try_from(rank).unwrap() - 1]
}

fn check_percentiles<const N: usize>() {
    for (name, mut values) in sets() {
        let histogram = of::<N>(&values);
        values.sort_unstable();
        let mut before = None;
        for percentile in percentiles() {
            let truth = order_statistic(&values, percentile);
            let found = histogram.quantile(percentile).unwrap();
            let told = format!("{percentile} of {name} in {N} buckets: {truth}, {found:?}");
            assert!(found.lower <= truth && truth <= found.upper, "{told}");
            assert!(found.lower <= found.value && found.value <= found.upper, "{told}");
            // In millionths of a nanosecond; the point is a whole number of them.
            let allowed = u128::from(truth) * u128::from(histogram.relative_error_ppm()) + 500_000;
            assert!(u128::from(found.value.abs_diff(truth)) * 1_000_000 <= allowed, "{told}");
            let now = (found.value, found.lower, found.upper);
            if let Some((value, lower, upper)) = before.replace(now) {
                assert!(value <= now.0 && lower <= now.1 && upper <= now.2, "{told}");
            }
        }
        for (percentile, extreme) in [(Percentile::P0, values[0]), (Percentile::P100, values[values.len() - 1])] {
            let found = histogram.quantile(percentile).unwrap();
            assert_eq!((found.lower, found.value, found.upper), (extreme, extreme, extreme), "{percentile} of {name}");
        }
    }
}

#[test]
fn percentiles_of_8_buckets_hold_their_bounds() {
    check_percentiles::<8>();
}

#[test]
fn percentiles_of_64_buckets_hold_their_bounds() {
    check_percentiles::<64>();
}

#[test]
fn percentiles_of_512_buckets_hold_their_bounds() {
    check_percentiles::<512>();
}

#[test]
fn percentiles_of_4096_buckets_hold_their_bounds() {
    check_percentiles::<4096>();
}

#[test]
fn percentiles_taken_together_in_any_order_are_those_taken_alone() {
    for (name, values) in sets() {
        let histogram = of::<128>(&values);
        let together = [Percentile::P99, Percentile::P0, Percentile::P90, Percentile::P100, Percentile::P50];
        let alone = together.map(|percentile| histogram.quantile(percentile).unwrap());
        assert_eq!(histogram.quantiles(together), Some(alone), "{name}");
    }
}

#[test]
fn an_empty_histogram_answers_nothing() {
    let mut histogram = of::<64>(&[1, 2, 3]);
    histogram.reset();
    for histogram in [&histogram, &LatencyHistogram::new()] {
        assert!(percentiles().into_iter().all(|percentile| histogram.quantile(percentile).is_none()));
        assert_eq!(histogram.summary(), None);
        assert_eq!((histogram.min(), histogram.max()), (None, None));
        assert_eq!((histogram.mean(), histogram.stdev()), (None, None));
    }
}

#[test]
fn mean_and_standard_deviation_are_exact_integer_arithmetic() {
    for (name, values) in sets() {
        let histogram = of::<32>(&values);
        let n = BigUint::from(values.len());
        let sum: BigUint = values.iter().map(|value| BigUint::from(*value)).sum();
        let squares: BigUint = values.iter().map(|value| BigUint::from(*value).pow(2)).sum();
        assert_eq!(BigUint::from(histogram.sum()), sum, "{name}");

        // Rounded half up: ⌊(2 Σx + n) / 2n⌋.
        let mean = (&sum * 2_u32 + &n) / (&n * 2_u32);
        assert_eq!(histogram.mean().map(BigUint::from), Some(mean), "mean of {name}");

        if squares.bits() > 128 {
            assert!(histogram.saturation().sum_of_squares(), "{name}");
            assert_eq!(histogram.stdev(), None, "{name}");
            continue;
        }
        assert_eq!(BigUint::from(histogram.sum_of_squares()), squares, "{name}");
        // s is the nearest integer to √V if 2s − 1 ≤ 2√V < 2s + 1, where n²V = nΣx² − (Σx)².
        let four_v_n2 = (&n * squares - sum.pow(2)) * 4_u32;
        let stdev = BigUint::from(histogram.stdev().unwrap());
        let above: BigUint = &stdev * 2_u32 + 1_u32;
        assert!(four_v_n2 < (above * &n).pow(2), "deviation of {name}: {stdev} is too small");
        if stdev > BigUint::ZERO {
            let below: BigUint = &stdev * 2_u32 - 1_u32;
            assert!((below * &n).pow(2) <= four_v_n2, "deviation of {name}: {stdev} is too large");
        }
    }
}

#[test]
fn a_capacity_keeps_the_error_that_the_documentation_promises() {
    fn ppm<const N: usize>(shortest: u64, longest: u64) -> u32 {
        of::<N>(&[shortest, longest]).relative_error_ppm()
    }
    const MICROSECOND: u64 = 1_000;
    const SECOND: u64 = 1_000_000_000;
    assert!(ppm::<1024>(MICROSECOND, 71 * 60 * SECOND) <= 10_900);
    assert!(ppm::<2048>(MICROSECOND, 71 * 60 * SECOND) <= 5_500);
    assert!(ppm::<512>(1_000 * MICROSECOND, 65 * SECOND) <= 10_900);
    assert!(size_of::<LatencyHistogram<1024>>() <= 4_300 && size_of::<LatencyHistogram<2048>>() <= 8_400);
}
