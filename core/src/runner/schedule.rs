//! When requests are due: the arrival process of one phase, in integers.

use crate::plan::{Arrival, Rate};
use crate::time::{Duration, Instant};

/// Nanoseconds in 1,000 seconds: `Rate` counts requests in as long.
const NANOS_PER_KILOSECOND: u64 = 1_000_000_000_000;

/// Random arrivals are counted one by one, so many at a time at most.
pub(super) const COUNTED_AT_A_TIME: u64 = 1 << 10;

/// The arrivals of one phase.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Schedule {
    arrival: Arrival,
    next: Instant,
    /// The mean gap is so many nanoseconds, whole ones,
    gap: u64,
    /// and as much more, in `1 / rate` nanoseconds.
    fraction: u64,
    /// What the sum of constant gaps lags behind the exact time by, in `1 / rate` nanoseconds.
    remainder: u64,
    random: SplitMix64,
}

impl Schedule {
    /// The arrivals of no phase.
    pub(super) const IDLE: Self = Self {
        arrival: Arrival::ClosedLoop { concurrency: 0 },
        next: Instant::BOOT,
        gap: 0,
        fraction: 0,
        remainder: 0,
        random: SplitMix64(0),
    };

    /// The arrivals of the phase at place `index` of a run with this seed, which is the plan's and the device's.
    pub(super) fn new(arrival: Arrival, seed: u64, index: u16) -> Self {
        // Phases draw from streams of their own, so that the length of one does not change the next.
        let stream = SplitMix64(seed ^ u64::from(index).wrapping_mul(SplitMix64::GAMMA)).next();
        let rate = match arrival {
            Arrival::ClosedLoop { .. } => 1,
            Arrival::Constant { rate } | Arrival::Poisson { rate } => u64::from(rate.get()),
        };
        let (gap, fraction) = (NANOS_PER_KILOSECOND / rate, NANOS_PER_KILOSECOND % rate);
        Self { arrival, next: Instant::BOOT, gap, fraction, remainder: 0, random: SplitMix64(stream) }
    }

    /// The phase starts now. Constant arrivals begin at once, random ones after a random gap.
    pub(super) fn start(&mut self, now: Instant) {
        self.next = now;
        if let Arrival::Poisson { .. } = self.arrival {
            self.advance();
        }
    }

    /// When the next request is due; `None` while one has to finish first.
    pub(super) fn due(&self, now: Instant, in_flight: u64) -> Option<Instant> {
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
            Arrival::Poisson { .. } => self.exponential_gap(),
        };
        self.next = self.next.saturating_add(gap);
    }

    /// How many requests are due before `end` and were not sent, up to `limit`; and whether there may be more: then the next
    /// call goes on.
    ///
    /// At a constant rate it is arithmetic. Random arrivals are drawn one by one, up to [`COUNTED_AT_A_TIME`].
    pub(super) fn overdue(&mut self, end: Instant, limit: u64) -> (u64, bool) {
        if self.next >= end {
            return (0, false);
        }
        match self.arrival {
            Arrival::ClosedLoop { .. } => (0, false),
            Arrival::Constant { rate } => (self.constant_overdue(end, rate).min(limit), false),
            Arrival::Poisson { .. } => {
                let mut overdue = 0;
                while self.next < end && overdue < limit.min(COUNTED_AT_A_TIME) {
                    self.advance();
                    overdue += 1;
                }
                (overdue, self.next < end && overdue < limit)
            }
        }
    }

    /// The k-th request from the next one on is due at `next + ⌊(k · 10¹² + remainder) / rate⌋`. That is before `end` as long
    /// as `k · 10¹² < (end − next) · rate − remainder`: so many are due, rounded up.
    fn constant_overdue(&self, end: Instant, rate: Rate) -> u64 {
        let (time, rate) = (end.since(self.next).as_nanos(), u64::from(rate.get()));
        let (whole, part) = (time / NANOS_PER_KILOSECOND, time % NANOS_PER_KILOSECOND);
        // part · rate needs 72 bits. Divided by 2¹² it needs 60, and 10¹² = 2¹² · 5¹².
        let low = (part & 0xfff) * rate + (NANOS_PER_KILOSECOND - 1) - self.remainder;
        whole * rate + ((part >> 12) * rate + (low >> 12)) / (NANOS_PER_KILOSECOND >> 12)
    }

    /// The n-th request is due at `⌊n / rate⌋` exactly: the fractions are carried.
    fn constant_gap(&mut self, rate: Rate) -> Duration {
        let rate = u64::from(rate.get());
        self.remainder += self.fraction;
        let carry = self.remainder >= rate;
        if carry {
            self.remainder -= rate;
        }
        Duration::from_nanos(self.gap + u64::from(carry))
    }

    fn exponential_gap(&mut self) -> Duration {
        let (whole, fraction) = self.random.exponential();
        // The fraction is below 2³² and the gap below 2⁴⁰: the product needs 72 bits, and 40 without its fraction.
        let (high, low) = (self.gap >> 32, self.gap & u64::from(u32::MAX));
        let part = high * u64::from(fraction) + ((low * u64::from(fraction)) >> 32);
        Duration::from_nanos(self.gap * whole + part)
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
    use proptest::prelude::*;

    #[test]
    fn splitmix_matches_the_published_vector() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn constant_arrivals_are_exact() {
        let mut schedule = Schedule::new(Arrival::Constant { rate: Rate::per_second(3) }, 0, 0);
        schedule.start(Instant::from_nanos(1_000_000_000));
        for n in 0..10_u64 {
            assert_eq!(
                schedule.due(Instant::BOOT, 99),
                Some(Instant::from_nanos(1_000_000_000 + n * 1_000_000_000 / 3))
            );
            schedule.advance();
        }
    }

    proptest! {
        #[test]
        fn unsent_requests_of_a_constant_rate_are_those_that_counting_finds(
            rate in 1_u32..5_000_000,
            sent in 0_usize..40,
            until in 0_u64..3_000_000_000,
            limit in prop_oneof![Just(u64::MAX), 0..2_000_u64],
        ) {
            let mut schedule = Schedule::new(Arrival::Constant { rate: Rate::per_kilosecond(rate) }, 0, 0);
            schedule.start(Instant::BOOT);
            (0..sent).for_each(|_| schedule.advance());
            let end = Instant::from_nanos(until);
            let mut counted = schedule.clone();
            let mut overdue = 0;
            while counted.next < end && overdue < limit {
                counted.advance();
                overdue += 1;
            }
            prop_assert_eq!(schedule.overdue(end, limit), (overdue, false));
        }
    }

    #[test]
    fn random_arrivals_are_counted_a_part_at_a_time() {
        const PART: u64 = COUNTED_AT_A_TIME;
        let mut schedule = Schedule::new(Arrival::Poisson { rate: Rate::per_second(1_000) }, 1, 0);
        assert_eq!(schedule.clone().overdue(Instant::MAX, u64::MAX), (PART, true));
        assert_eq!(schedule.clone().overdue(Instant::MAX, PART), (PART, false));
        let end = Instant::from_nanos(5_000_000_000);
        let mut one_by_one = schedule.clone();
        let expected =
            core::iter::repeat_with(|| (one_by_one.next, one_by_one.advance()).0).take_while(|due| *due < end);
        let parts = core::iter::repeat_with(|| schedule.overdue(end, u64::MAX)).take(6).collect::<std::vec::Vec<_>>();
        assert_eq!(parts.iter().map(|(part, _)| *part).sum::<u64>(), expected.count() as u64);
        assert_eq!(parts[..4], [(PART, true); 4]);
        assert!(parts[4].0 < PART && !parts[4].1 && parts[5] == (0, false), "{parts:?}");
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
                f64::from(u32::try_from(schedule.next.since(before).as_nanos()).unwrap()) / 1e6
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
