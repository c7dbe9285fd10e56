//! Mean, standard deviation, lag-1 autocorrelation and the spread of requests in time, from the exact sums that devices keep.
//!
//! The sums are integers of up to 128 bits. What is made of them is computed in integers of any length and rounded once, to
//! the nearest `f64`; a square root rounds once more.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::Totals;
use phasemeter_core::phase::Sends;

/// The mean, in a unit that has so many of the values' own; `None` without values, or if a sum was full.
pub(crate) fn mean(totals: &Totals, per_unit: u32) -> Option<f64> {
    has_sum(totals).then(|| ratio(totals.sum.into(), BigInt::from(totals.count) * per_unit))
}

/// The standard deviation of the population, in a unit that has so many of the values' own; `None` without values, or if a
/// sum was full.
pub(crate) fn stdev(totals: &Totals, per_unit: u32) -> Option<f64> {
    let unit = BigInt::from(totals.count) * per_unit;
    has_squares(totals).then(|| ratio(squares(totals), &unit * &unit).sqrt())
}

/// The sums that the lag-1 autocorrelation is the ratio of: with those of other values, which came neither before nor
/// after, they add up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Dependence {
    /// Σ (xᵢ − m)(xᵢ₊₁ − m).
    products: f64,
    /// Σ (xᵢ − m)².
    squares: f64,
}

impl Dependence {
    /// That of values with these sums; `None` if one was full.
    pub(crate) fn of(totals: &Totals, lag1: &Lag1) -> Option<Self> {
        if totals.count == 0 {
            return Some(Self::default());
        }
        let n = BigInt::from(totals.count);
        has_squares(totals)
            .then(|| Self { products: ratio(products(totals, lag1), &n * &n), squares: ratio(squares(totals), n) })
    }

    /// That of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { products: self.products + other.products, squares: self.squares + other.squares }
    }

    /// The lag-1 autocorrelation, from −1 to 1; `None` if all values are alike.
    pub(crate) fn autocorrelation(self) -> Option<f64> {
        (self.squares > 0.0).then(|| self.products / self.squares)
    }
}

/// How unevenly requests were sent: each gap beside the mean of its part, so that parts with different rates add up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    gaps: u64,
    /// The squared coefficient of variation of each part, times its gaps.
    squares: f64,
}

impl Spread {
    /// That of the gaps between so many requests. If all were sent at once there are none to speak of.
    pub(crate) fn of(sent: u64, sends: &Sends) -> Self {
        let length = BigInt::from(sends.last.since(sends.first).as_nanos()).pow(2);
        match sent.checked_sub(1) {
            Some(gaps @ 1..) if length.is_positive() => {
                Self { gaps, squares: ratio((BigInt::from(sends.squared_gaps) * gaps - &length) * gaps, length) }
            }
            _ => Self::default(),
        }
    }

    /// That of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { gaps: self.gaps.saturating_add(other.gaps), squares: self.squares + other.squares }
    }

    /// How many gaps there are.
    pub(crate) fn gaps(self) -> u64 {
        self.gaps
    }

    /// The coefficient of variation of the gaps; `None` if there are none.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the last bits do not matter")]
    pub(crate) fn coefficient_of_variation(self) -> Option<f64> {
        (self.gaps > 0).then(|| (self.squares / self.gaps as f64).sqrt())
    }
}

/// Whether there are values with these totals that have such products of neighbours. Of full sums nothing is known.
///
/// No square is negative, (xᵢ − m ± (xᵢ₊₁ − m))² neither: twice the products are no more than twice the squares less the
/// first and the last one.
pub(crate) fn is_possible(totals: &Totals, lag1: &Lag1) -> bool {
    if totals.count == 0 {
        return *lag1 == Lag1::NONE;
    }
    if !has_squares(totals) {
        return true;
    }
    let n = BigInt::from(totals.count);
    let ends = [lag1.first, lag1.last].map(|end| (&n * end - totals.sum).pow(2));
    let twice = products(totals, lag1).magnitude() * 2_u32;
    ends.iter().fold(squares(totals) * &n * 2, |sum, end| sum - end) >= twice.into()
        && [lag1.first, lag1.last].iter().all(|end| (totals.min..=totals.max).contains(end))
}

fn has_sum(totals: &Totals) -> bool {
    totals.count > 0 && !totals.saturation.count() && !totals.saturation.sum()
}

fn has_squares(totals: &Totals) -> bool {
    has_sum(totals) && !totals.saturation.sum_of_squares()
}

/// n · Σ (xᵢ − m)².
fn squares(totals: &Totals) -> BigInt {
    BigInt::from(totals.count) * totals.sum_of_squares - BigInt::from(totals.sum).pow(2)
}

/// n² · Σ (xᵢ − m)(xᵢ₊₁ − m), as [`phasemeter_core::autocorrelation`] has it.
fn products(totals: &Totals, lag1: &Lag1) -> BigInt {
    let (n, sum) = (BigInt::from(totals.count), BigInt::from(totals.sum));
    let ends = u128::from(lag1.first) + u128::from(lag1.last);
    &n * (&n * lag1.products + &sum * ends) - (n + 1) * &sum * &sum
}

/// The nearest `f64` to a ratio, of which the lower number is not zero.
pub(crate) fn ratio(above: BigInt, below: BigInt) -> f64 {
    BigRational::new_raw(above, below).to_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use phasemeter_core::histogram::LatencyHistogram;
    use phasemeter_core::phase::Phase;
    use phasemeter_core::plan::PhaseKind;
    use phasemeter_core::time::Instant;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> (Totals, Lag1) {
        let mut histogram = LatencyHistogram::<64, u64>::new();
        for value in values {
            histogram.record(*value);
        }
        (histogram.totals(), values.iter().copied().collect())
    }

    fn autocorrelation(values: &[u64]) -> Option<f64> {
        let (totals, lag1) = of(values);
        Dependence::of(&totals, &lag1)?.autocorrelation()
    }

    /// In two passes, as the definition has it.
    #[expect(clippy::cast_precision_loss, reason = "the values are small")]
    fn two_passes(values: &[u64]) -> [f64; 3] {
        let n = values.len() as f64;
        let mean = values.iter().map(|value| *value as f64).sum::<f64>() / n;
        let distances: Vec<_> = values.iter().map(|value| *value as f64 - mean).collect();
        let squares = distances.iter().map(|distance| distance * distance).sum::<f64>();
        let products = distances.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        [mean, (squares / n).sqrt(), products / squares]
    }

    proptest! {
        #[test]
        fn they_are_those_of_two_passes(values in vec(0_u64..1 << 30, 2..200)) {
            let (totals, _) = of(&values);
            let [mean, stdev, r] = two_passes(&values);
            prop_assume!(stdev > 0.0);
            let per_unit = 1_000_000;
            prop_assert!((super::mean(&totals, per_unit).unwrap() * 1e6 / mean - 1.0).abs() < 1e-12);
            prop_assert!((super::stdev(&totals, per_unit).unwrap() * 1e6 / stdev - 1.0).abs() < 1e-12);
            prop_assert!((autocorrelation(&values).unwrap() - r).abs() < 1e-12);
        }

        /// Of any magnitude: what two passes in `f64` would lose.
        #[test]
        fn an_offset_or_the_other_way_round_changes_nothing(
            values in vec(0_u64..1 << 20, 2..100), offset in 0_u64..u64::MAX >> 8
        ) {
            let plain = autocorrelation(&values);
            let shifted: Vec<_> = values.iter().map(|value| value + offset).collect();
            let turned: Vec<_> = values.iter().rev().copied().collect();
            prop_assert_eq!(autocorrelation(&shifted), plain);
            prop_assert_eq!(autocorrelation(&turned), plain);
            prop_assert_eq!(stdev(&of(&shifted).0, 1), stdev(&of(&values).0, 1));
        }

        #[test]
        fn what_was_recorded_is_possible_and_within_one(values in vec(any::<u64>(), 0..50), bits in 0..64_u32) {
            let values: Vec<_> = values.into_iter().map(|value| value >> bits).collect();
            let (totals, lag1) = of(&values);
            prop_assert!(is_possible(&totals, &lag1));
            if let Some(r) = autocorrelation(&values) {
                prop_assert!(r.abs() <= 1.0);
            }
        }
    }

    #[test]
    fn what_cannot_be_is_not_possible() {
        let values = [20, 21, 19, 20, 22, 20];
        let (totals, lag1) = of(&values);
        let squares = totals.sum_of_squares;
        for lie in [
            Lag1 { products: squares, ..lag1 },
            Lag1 { products: 0, ..lag1 },
            Lag1 { products: u128::MAX, ..lag1 },
            Lag1 { first: 18, ..lag1 },
            Lag1 { last: 23, ..lag1 },
            Lag1 { first: 0, last: u64::MAX, ..lag1 },
            Lag1::NONE,
        ] {
            assert!(!is_possible(&totals, &lie), "{lie:?}");
        }
        assert!(!is_possible(&Totals::default(), &lag1));
        let (one, product) = (of(&[7]).0, Lag1 { products: 49, first: 7, last: 7 });
        assert!(!is_possible(&one, &product) && is_possible(&one, &Lag1 { products: 0, ..product }));
    }

    fn spread(times: &[u64]) -> Spread {
        let mut phase = Phase::new(0, PhaseKind::Profiling, 0);
        phase.start(Instant::BOOT).unwrap();
        for time in times {
            phase.send(Instant::from_nanos(*time)).unwrap();
        }
        Spread::of(phase.counts().sent, &phase.stats().sends)
    }

    #[test]
    fn even_gaps_have_no_spread_and_random_ones_one() {
        use rand::{Rng, SeedableRng};

        let even: Vec<_> = (7..1_000).map(|place| place * 20_000_000).collect();
        assert_eq!((spread(&even).gaps(), spread(&even).coefficient_of_variation()), (992, Some(0.0)));
        assert_eq!(
            (spread(&[]), spread(&[3]), spread(&[3; 9])),
            (Spread::default(), Spread::default(), Spread::default())
        );
        // 1 and 3: the mean is 2, the deviation 1.
        assert_eq!(spread(&[10, 11, 14]).coefficient_of_variation(), Some(0.5));
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        let mut poisson = |mean: f64| {
            let gaps = (0..50_000).map(|_| -mean * (1.0 - random.random::<f64>()).ln());
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "well within range")]
            let times = gaps.scan(0.0, |time, gap| {
                *time += gap;
                Some(*time as u64)
            });
            spread(&times.collect::<Vec<_>>())
        };
        // Each with a rate of its own. The standard error of one is 1/√n.
        let parts = [1e5, 1e7].map(&mut poisson);
        for spread in [parts[0], parts[1], parts[0].and(parts[1])] {
            assert!((spread.coefficient_of_variation().unwrap() - 1.0).abs() < 0.02, "{spread:?}");
        }
        assert_eq!(parts[0].and(parts[1]).gaps(), 2 * 49_999);
    }

    #[test]
    fn nothing_is_made_of_too_few_or_full_sums() {
        assert_eq!((mean(&Totals::default(), 1), stdev(&Totals::default(), 1)), (None, None));
        assert_eq!((autocorrelation(&[]), autocorrelation(&[5]), autocorrelation(&[5; 9])), (None, None, None));
        let full = [u64::MAX; 2];
        assert!(of(&full).0.saturation.sum_of_squares());
        assert_eq!((autocorrelation(&full), stdev(&of(&full).0, 1)), (None, None));
        assert_eq!(mean(&of(&full).0, 1).map(f64::to_bits), Some(18_446_744_073_709_551_615_f64.to_bits()));
    }

    /// xᵢ₊₁ = ρ · xᵢ + noise. The standard error of r₁ is at most 1/√n.
    #[test]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "well within range")]
    fn a_process_of_known_dependence_has_it() {
        use rand::{Rng, SeedableRng};

        let mut random = rand::rngs::StdRng::seed_from_u64(12);
        for rho in [-0.5, 0.0, 0.3, 0.8] {
            let mut value = 0.0;
            let values: Vec<_> = (0..100_000)
                .map(|_| {
                    value = rho * value + random.random_range(-1e6..1e6);
                    (value + 2e7) as u64
                })
                .collect();
            let r = autocorrelation(&values).unwrap();
            assert!((r - rho).abs() < 4.0 / 100_000_f64.sqrt(), "{r} for {rho}");
            // In halves that know nothing of each other, it is the same but for one pair.
            let halves = values.chunks(50_000).filter_map(|half| {
                let (totals, lag1) = of(half);
                Dependence::of(&totals, &lag1)
            });
            let pooled = halves.reduce(Dependence::and).and_then(Dependence::autocorrelation).unwrap();
            assert!((pooled - r).abs() < 1e-3, "{pooled} for {r}");
        }
    }
}
