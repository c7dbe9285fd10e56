//! Moments and lengths of time in nanoseconds, and the clocks that yield them.
//!
//! Everything in this crate takes the time as an argument. [`Clock`] is the only seam to hardware; a driver reads it
//! and passes the reading on. Readings start near zero at boot and never go backwards.

use core::cell::Cell;
use core::fmt;

use serde::{Deserialize, Serialize};

/// A moment: nanoseconds since boot. The range is 584 years.
///
/// Arithmetic saturates at boot and at [`Instant::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// Boot.
    pub const BOOT: Self = Self(0);
    /// The last moment that there is, 584 years after boot: "never", as a deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// So many nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment that is so much later.
    // On a 32-bit processor a call takes less code, and there are many.
    #[must_use]
    #[inline(never)]
    pub const fn saturating_add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration(self.0).fmt(f)
    }
}

/// A length of time in nanoseconds. The range is 584 years.
///
/// Arithmetic saturates: a length that is too long is [`Duration::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest time, 584 years.
    pub const MAX: Self = Self(u64::MAX);

    /// So many nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
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
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This length and `more`.
    #[must_use]
    pub const fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl fmt::Display for Duration {
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
    fn now(&mut self) -> Instant;
}

impl<C: Clock + ?Sized> Clock for &mut C {
    fn now(&mut self) -> Instant {
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
/// use phasemeter_core::time::{Clock, Instant, TickClock};
///
/// let mut ticks = [0xFFFF_FFF0_u32, 0x0000_000F].into_iter();
/// let mut clock = TickClock::<_, 1_000_000>::new(move || ticks.next().unwrap_or(0));
/// assert_eq!(clock.now(), Instant::from_nanos(31_000)); // from the reading at creation, across the wrap
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
    fn now(&mut self) -> Instant {
        let ticks = (self.counter)();
        let elapsed = u64::from(ticks.wrapping_sub(self.last));
        self.last = ticks;
        let hz = u64::from(HZ);
        // Below 2^32 · 10^9 + 2^32 < 2^63: no overflow.
        let scaled = elapsed * Self::NANOS_PER_SECOND + u64::from(self.remainder);
        self.now = self.now.saturating_add(scaled / hz);
        self.remainder = u32::try_from(scaled % hz).unwrap_or(0);
        Instant(self.now)
    }
}

#[cfg(feature = "defmt")]
impl<F, const HZ: u32> defmt::Format for TickClock<F, HZ> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "TickClock {{ now: {} }}", Instant(self.now));
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
    pub fn now(&self) -> Instant {
        Instant(self.0.get())
    }

    /// Moves the clock forward by `length`.
    pub fn advance(&self, length: Duration) {
        self.set(self.now().saturating_add(length));
    }

    /// Moves the clock forward to `time`; a time that has passed changes nothing.
    pub fn set(&self, time: Instant) {
        self.0.set(self.0.get().max(time.as_nanos()));
    }
}

impl Clock for &MockClock {
    fn now(&mut self) -> Instant {
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
                prop_assert_eq!(u128::from(clock.now().as_nanos()), total * 1_000_000_000 / u128::from(HZ));
            }
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::MAX.saturating_add(Duration::from_nanos(1)), Instant::MAX);
        assert_eq!(Instant::BOOT.since(Instant::from_nanos(2)), Duration::ZERO);
        assert_eq!(Duration::from_secs(u64::MAX), Duration::MAX);
    }
}
