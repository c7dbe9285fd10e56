//! How much each value resembles the one before it: what a device keeps of that, exactly and in constant memory.
//!
//! Percentiles of a sample are as certain as its size says only if the values are independent. Those of a server with a
//! queue are not: a slow response is followed by slow ones. The *lag-1 autocorrelation* tells by how much
//! (NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.5.12):
//!
//! ```text
//! r₁ = Σ (xᵢ − m)(xᵢ₊₁ − m) / Σ (xᵢ − m)²
//! ```
//!
//! The lower sum is that of a histogram: n, Σx and Σx² are in its [`Totals`](crate::histogram::Totals). Multiplied out,
//! the upper one takes Σ xᵢ·xᵢ₊₁ and both ends beside these, which is what a [`Lag1`] has:
//!
//! ```text
//! n² · Σ (xᵢ − m)(xᵢ₊₁ − m) = n² · Σ xᵢ·xᵢ₊₁ + n · Σx · (x₁ + xₙ) − (n + 1) · (Σx)²
//! n² · Σ (xᵢ − m)²          = n² · Σx² − n · (Σx)²
//! ```
//!
//! It is no part of a histogram, which is the same in whichever order its values come.

use serde::{Deserialize, Serialize};

/// What the lag-1 autocorrelation of values in their order takes beside their histogram's totals.
///
/// `products` is never above the sum of the squares (Cauchy and Schwarz), so it is exact as long as that
/// [is](crate::histogram::Saturation::sum_of_squares).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lag1 {
    /// Sum of the products of each value and the next one, in square nanoseconds; modulo 2¹²⁸ once that of the squares is
    /// full.
    pub products: u128,
    /// The first value; 0 when there is none.
    pub first: u64,
    /// The last value; 0 when there is none.
    pub last: u64,
}

impl Lag1 {
    /// That of no values. All its bytes are zero.
    pub const NONE: Self = Self { products: 0, first: 0, last: 0 };

    /// Takes the next value; `is_first` says that there was none before.
    #[inline]
    pub(crate) fn record(&mut self, value: u64, is_first: bool) {
        // Before the first value the last one is 0, and so is the product. When the sum wraps, that of the squares is full
        // already, and says so.
        self.products = self.products.wrapping_add(u128::from(self.last) * u128::from(value));
        self.last = value;
        if is_first {
            self.first = value;
        }
    }
}

/// That of these values in their order, as a device that measures them has it.
impl FromIterator<u64> for Lag1 {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let (mut lag1, mut is_first) = (Self::NONE, true);
        for value in values {
            lag1.record(value, is_first);
            is_first = false;
        }
        lag1
    }
}
