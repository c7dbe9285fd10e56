//! When requests are due: the arrival process of one phase, in integers.

use crate::plan::{Arrival, Rate};
use crate::time::Nanos;

/// Nanoseconds in 1,000 seconds: `Rate` counts requests in as long.
const NANOS_PER_KILOSECOND: u64 = 1_000_000_000_000;

/// A schedule that is so far behind was not kept; how far exactly is not worth the time.
const MOST_OVERDUE: u64 = 1 << 10;

/// The arrivals of one phase.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Schedule {
    arrival: Arrival,
    next: Nanos,
    /// What the sum of constant gaps lags behind the exact time by, in `1 / rate` nanoseconds.
    remainder: u64,
    random: SplitMix64,
}

impl Schedule {
    /// The arrivals of no phase.
    pub(super) const IDLE: Self = Self {
        arrival: Arrival::ClosedLoop { concurrency: 0 },
        next: Nanos::ZERO,
        remainder: 0,
        random: SplitMix64(0),
    };

    /// The arrivals of the phase at place `index` of a run with this seed.
    pub(super) fn new(arrival: Arrival, seed: u64, index: u16) -> Self {
        // Phases draw from streams of their own, so that the length of one does not change the next.
        let stream = SplitMix64(seed ^ u64::from(index).wrapping_mul(SplitMix64::GAMMA)).next();
        Self { arrival, next: Nanos::ZERO, remainder: 0, random: SplitMix64(stream) }
    }

    /// The phase starts now. Constant arrivals begin at once, random ones after a random gap.
    pub(super) fn start(&mut self, now: Nanos) {
        self.next = now;
        if let Arrival::Poisson { .. } = self.arrival {
            self.advance();
        }
    }

    /// When the next request is due; `None` while one has to finish first.
    pub(super) fn due(&self, now: Nanos, in_flight: u64) -> Option<Nanos> {
        match self.arrival {
            Arrival::ClosedLoop { concurrency } => (in_flight < u64::from(concurrency.max(1))).then_some(now),
            Arrival::Constant { .. } | Arrival::Poisson { .. } => Some(self.next),
        }
    }

    /// The request that was due was sent.
    pub(super) fn advance(&mut self) {
        let gap = match self.arrival {
            Arrival::ClosedLoop { .. } => return,
            Arrival::Constant { rate } => self.constant_gap(rate),
            Arrival::Poisson { rate } => self.exponential_gap(rate),
        };
        self.next = self.next.saturating_add(gap);
    }

    /// How many requests are due before `end` and were not sent, up to `limit`. The schedule is used up by it.
    ///
    /// The cost grows with their number; from [`MOST_OVERDUE`] on they are not counted further.
    pub(super) fn overdue(&mut self, end: Nanos, limit: u64) -> u64 {
        if let Arrival::ClosedLoop { .. } = self.arrival {
            return 0;
        }
        let (mut overdue, limit) = (0, limit.min(MOST_OVERDUE));
        while self.next < end && overdue < limit {
            self.advance();
            overdue += 1;
        }
        overdue
    }

    /// The n-th request is due at `⌊n / rate⌋` exactly: the remainders are carried.
    fn constant_gap(&mut self, rate: Rate) -> Nanos {
        let rate = u64::from(rate.get());
        let scaled = NANOS_PER_KILOSECOND + self.remainder;
        self.remainder = scaled % rate;
        Nanos::new(scaled / rate)
    }

    fn exponential_gap(&mut self, rate: Rate) -> Nanos {
        let mean = NANOS_PER_KILOSECOND / u64::from(rate.get());
        let (whole, fraction) = self.random.exponential();
        // The fraction is below 2^32 and the mean below 2^40: the product needs 72 bits.
        let part = (u128::from(mean) * u128::from(fraction)) >> 32;
        Nanos::new(mean.saturating_mul(whole).saturating_add(u64::try_from(part).unwrap_or(u64::MAX)))
    }
}

/// A 64-bit pseudo-random generator of one word of state.
///
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct SplitMix64(u64);

impl SplitMix64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

    #[inline(never)]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::GAMMA);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap_or(0)
    }

    /// An exponentially distributed number of mean 1, as a whole part and a fraction of 2³².
    ///
    /// Exact up to the fraction's 32 bits, without logarithm or float: a descending run of uniforms that starts at
    /// `u` has odd length with probability `e^−u`; each run of even length adds one to the whole part.
    /// Six uniforms on average.
    ///
    /// Source: von Neumann, "Various techniques used in connection with random digits", 1951.
    fn exponential(&mut self) -> (u64, u32) {
        // A whole part of 64 has probability e^−64: the bound only makes the loop provably end.
        for whole in 0..64 {
            let first = self.next_u32();
            let (mut last, mut odd) = (first, true);
            loop {
                let next = self.next_u32();
                if next >= last {
                    break;
                }
                last = next;
                odd = !odd;
            }
            if odd {
                return (whole, first);
            }
        }
        (64, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_matches_the_published_vector() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn constant_arrivals_are_exact() {
        let mut schedule = Schedule::new(Arrival::Constant { rate: Rate::per_second(3) }, 0, 0);
        schedule.start(Nanos::from_secs(1));
        for n in 0..10_u64 {
            assert_eq!(schedule.due(Nanos::ZERO, 99), Some(Nanos::new(1_000_000_000 + n * 1_000_000_000 / 3)));
            schedule.advance();
        }
    }

    /// Mean, variance and tail of the gaps against the exponential distribution's, within five standard errors.
    #[test]
    fn poisson_gaps_are_exponential() {
        const GAPS: u32 = 200_000;
        let mut schedule = Schedule::new(Arrival::Poisson { rate: Rate::per_second(1_000) }, 42, 3);
        let gaps: std::vec::Vec<f64> = (0..GAPS)
            .map(|_| {
                let before = schedule.next;
                schedule.advance();
                f64::from(u32::try_from(schedule.next.since(before).get()).unwrap()) / 1e6
            })
            .collect();
        let n = f64::from(GAPS);
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
        assert!((mean - 1.0).abs() < 5.0 / n.sqrt(), "mean {mean}");
        assert!((variance - 1.0).abs() < 5.0 * (8.0 / n).sqrt(), "variance {variance}");
        for x in [0.1, 1.0, 3.0_f64] {
            let expected = (-x).exp();
            let seen = f64::from(u32::try_from(gaps.iter().filter(|gap| **gap > x).count()).unwrap()) / n;
            assert!((seen - expected).abs() < 5.0 * (expected * (1.0 - expected) / n).sqrt(), "P(gap > {x}) = {seen}");
        }
    }
}
