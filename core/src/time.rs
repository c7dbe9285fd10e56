//! Time in nanoseconds, and the clocks that yield it.
//!
//! Everything in this crate takes the time as an argument. [`Clock`] is the only seam to hardware; a driver reads it
//! and passes the reading on. Readings start near zero at boot and never go backwards.

use core::cell::Cell;
use core::fmt;

use serde::{Deserialize, Serialize};

/// A time since boot, or a length of time, in nanoseconds. The range is 584 years.
///
/// Arithmetic saturates: a length that cannot be is zero, one that is too long is [`Nanos::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Nanos(u64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest time that can be told, 584 years: "never", as a deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// So many nanoseconds.
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So many microseconds, saturating.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// So many milliseconds, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// So many seconds, saturating.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// The number of nanoseconds.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This time and `length` more.
    #[must_use]
    pub const fn saturating_add(self, length: Self) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// The time from `earlier` to this one; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09} s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Tells the time since boot.
///
/// # Contract
/// Readings never go backwards, advance at one nanosecond a nanosecond, and do not wrap.
pub trait Clock {
    /// The time since boot.
    fn now(&mut self) -> Nanos;
}

impl<C: Clock + ?Sized> Clock for &mut C {
    fn now(&mut self) -> Nanos {
        C::now(self)
    }
}

/// A free-running 32-bit hardware counter at `HZ` ticks a second, made into a [`Clock`] that does not wrap.
///
/// The arithmetic is exact: after any number of readings the time is `⌊ticks · 10⁹ / HZ⌋`. A reading costs one
/// 64-bit multiplication and, unless `HZ` divides 10⁹, one 64-bit division.
///
/// The counter has to be read at least once per wrap, every `2³² / HZ` seconds (171 s at 25 MHz).
///
/// ```
/// use phasemeter_core::time::{Clock, Nanos, TickClock};
///
/// let mut ticks = [0xFFFF_FFF0_u32, 0x0000_000F].into_iter();
/// let mut clock = TickClock::<_, 1_000_000>::new(move || ticks.next().unwrap_or(0));
/// assert_eq!(clock.now(), Nanos::from_micros(31)); // from the reading at creation, across the wrap
/// ```
#[derive(Debug)]
pub struct TickClock<F, const HZ: u32> {
    counter: F,
    last: u32,
    now: u64,
    /// What the last division left over, in `1 / HZ` nanoseconds.
    remainder: u32,
}

impl<F: FnMut() -> u32, const HZ: u32> TickClock<F, HZ> {
    const NANOS_PER_SECOND: u64 = 1_000_000_000;

    /// A clock that starts at zero now, over the counter that `counter` reads. The counter counts upwards.
    pub fn new(mut counter: F) -> Self {
        const { assert!(HZ > 0, "a counter that does not count is no clock") };
        let last = counter();
        Self { counter, last, now: 0, remainder: 0 }
    }
}

impl<F: FnMut() -> u32, const HZ: u32> Clock for TickClock<F, HZ> {
    fn now(&mut self) -> Nanos {
        let ticks = (self.counter)();
        let elapsed = u64::from(ticks.wrapping_sub(self.last));
        self.last = ticks;
        let hz = u64::from(HZ);
        // Below 2^32 · 10^9 + 2^32 < 2^63: no overflow.
        let scaled = elapsed * Self::NANOS_PER_SECOND + u64::from(self.remainder);
        self.now = self.now.saturating_add(scaled / hz);
        self.remainder = u32::try_from(scaled % hz).unwrap_or(0);
        Nanos::new(self.now)
    }
}

#[cfg(feature = "defmt")]
impl<F, const HZ: u32> defmt::Format for TickClock<F, HZ> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "TickClock {{ now: {} }}", Nanos(self.now));
    }
}

/// A clock that stands still until it is told to move: for tests of time-dependent code, ours and yours.
///
/// A shared reference to it is a [`Clock`] as well, so that a test can keep it at hand while the code under test reads it.
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MockClock(Cell<u64>);

impl MockClock {
    /// A clock that reads zero.
    pub const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// What the clock reads.
    pub fn now(&self) -> Nanos {
        Nanos::new(self.0.get())
    }

    /// Moves the clock forward by `length`.
    pub fn advance(&self, length: Nanos) {
        self.set(self.now().saturating_add(length));
    }

    /// Moves the clock forward to `time`; a time that has passed changes nothing.
    pub fn set(&self, time: Nanos) {
        self.0.set(self.0.get().max(time.get()));
    }
}

impl Clock for &MockClock {
    fn now(&mut self) -> Nanos {
        MockClock::now(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tick_clock_is_exact_across_wraps(steps in proptest::collection::vec(any::<u32>(), 1..50), start: u32) {
            const HZ: u32 = 24_999_999;
            let ticks = Cell::new(start);
            let mut clock = TickClock::<_, HZ>::new(|| ticks.get());
            let mut total = 0_u128;
            for step in steps {
                ticks.set(ticks.get().wrapping_add(step));
                total += u128::from(step);
                prop_assert_eq!(u128::from(clock.now().get()), total * 1_000_000_000 / u128::from(HZ));
            }
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Nanos::MAX.saturating_add(Nanos::new(1)), Nanos::MAX);
        assert_eq!(Nanos::new(1).since(Nanos::new(2)), Nanos::ZERO);
        assert_eq!(Nanos::from_secs(u64::MAX), Nanos::MAX);
    }
}
