//! What a histogram knows exactly, beside its buckets.

use serde::{Deserialize, Serialize};

use super::grid::MAX_SCALE;

/// Everything a histogram holds beside its buckets: exact over all values, zeros included.
///
/// [`totals`](super::Histogram::totals) reads it, and [`from_parts`](super::Histogram::from_parts) rebuilds a
/// histogram from it and the bucket counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Totals {
    /// Scale of the bucket indices, from −4 to 8; 8 when no bucket is used.
    pub scale: i8,
    /// How many values.
    pub count: u64,
    /// How many of them were zero; they are in no bucket.
    pub zero: u64,
    /// Smallest value in nanoseconds; 0 when there is none.
    pub min: u64,
    /// Largest value in nanoseconds; 0 when there is none.
    pub max: u64,
    /// Whether `min` was itself recorded; if not, it is a lower bound within the bucket of the smallest value.
    pub min_exact: bool,
    /// Whether `max` was itself recorded; if not, it is an upper bound within the bucket of the largest value.
    pub max_exact: bool,
    /// Sum of the values, in nanoseconds.
    pub sum: u128,
    /// Sum of the squared values, in square nanoseconds.
    pub sum_of_squares: u128,
    /// Which of the above, or of the buckets, were too large for their type.
    pub saturation: Saturation,
}

/// The totals of an empty histogram.
impl Default for Totals {
    fn default() -> Self {
        Self {
            scale: MAX_SCALE,
            count: 0,
            zero: 0,
            min: 0,
            max: 0,
            min_exact: true,
            max_exact: true,
            sum: 0,
            sum_of_squares: 0,
            saturation: Saturation::NONE,
        }
    }
}

/// What reached the largest number its type can hold, and is therefore only a lower bound.
///
/// It depends on the recorded values alone, not on the order of recording or merging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(try_from = "u8", into = "u8")]
pub struct Saturation(u8);

impl Saturation {
    /// Everything is exact.
    pub const NONE: Self = Self(0);
    pub(super) const BUCKETS: Self = Self(1);
    pub(super) const COUNT: Self = Self(2);
    pub(super) const SUM: Self = Self(4);
    pub(super) const SUM_OF_SQUARES: Self = Self(8);
    const ALL: u8 = 15;

    /// Whether anything is.
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether a bucket's counter is. Quantiles stay inside their bounds, but the bounds become wider.
    pub const fn buckets(self) -> bool {
        self.has(Self::BUCKETS)
    }

    /// Whether the number of values (or of zeros) is.
    pub const fn count(self) -> bool {
        self.has(Self::COUNT)
    }

    /// Whether the sum is, which takes more than 2^64 values: there is no mean then.
    pub const fn sum(self) -> bool {
        self.has(Self::SUM)
    }

    /// Whether the sum of squares is: there is no standard deviation then.
    ///
    /// It has room for 2^64 values of 4 s, or for a million of 213 days.
    pub const fn sum_of_squares(self) -> bool {
        self.has(Self::SUM_OF_SQUARES)
    }

    const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) fn set(&mut self, flag: Self, when: bool) {
        if when {
            self.0 |= flag.0;
        }
    }
}

impl From<Saturation> for u8 {
    /// The flags: 1 buckets, 2 count, 4 sum, 8 sum of squares.
    fn from(saturation: Saturation) -> Self {
        saturation.0
    }
}

impl TryFrom<u8> for Saturation {
    type Error = UnknownSaturation;

    fn try_from(flags: u8) -> Result<Self, UnknownSaturation> {
        if flags <= Self::ALL { Ok(Self(flags)) } else { Err(UnknownSaturation(flags)) }
    }
}

/// A byte that is no [`Saturation`]: it has flags which this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnknownSaturation(u8);

impl core::fmt::Display for UnknownSaturation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "saturation flags {:#04x} are not known to this version", self.0)
    }
}

impl core::error::Error for UnknownSaturation {}
