//! Numbers with at most six decimals, summed as the integers that they are.

use num_bigint::BigInt;

use super::Floats;
use crate::statistics::ratio;

/// So many make one.
const ONE: u32 = 1_000_000;
/// 2⁴⁶: integers of a larger magnitude are not summed here. So many millionths of a millisecond are 19 hours. The squares of
/// 2³⁶ smaller ones fit 128 bits.
const MOST: f64 = 70_368_744_177_664.0;
/// Adding it leaves no binary places: what is below 2⁵¹ is rounded to the nearest integer.
const ROUNDS: f64 = 6_755_399_441_055_744.0;

/// The sums of some numbers, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Millionths {
    pub(super) count: u64,
    sum: i128,
    squares: u128,
}

impl Millionths {
    /// The integer that a number is, if it is the `f64` that is nearest to so many millionths.
    #[expect(clippy::cast_possible_truncation, reason = "it is an integer of 46 bits")]
    #[expect(clippy::float_cmp, reason = "the nearest, and no other")]
    pub(super) fn exactly(value: f64) -> Option<i64> {
        let millionths = value * f64::from(ONE);
        let nearest = (millionths + ROUNDS) - ROUNDS;
        (millionths.abs() < MOST && nearest / f64::from(ONE) == value).then_some(nearest as i64)
    }

    /// Adds a number that is so many millionths. Of fewer than 2³⁶ no sum overflows, and no memory has room for as many.
    pub(super) fn add(&mut self, millionths: i64) {
        let magnitude = u128::from(millionths.unsigned_abs());
        self.count += 1;
        self.sum += i128::from(millionths);
        self.squares += magnitude * magnitude;
    }

    /// The sums of both, unless they overflow.
    pub(super) fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            count: self.count.checked_add(other.count)?,
            sum: self.sum.checked_add(other.sum)?,
            squares: self.squares.checked_add(other.squares)?,
        })
    }

    /// The same in floating point, each number rounded once.
    pub(super) fn to_floats(self) -> Floats {
        if self.count == 0 {
            return Floats::default();
        }
        let (n, sum) = (BigInt::from(self.count), BigInt::from(self.sum));
        let squares = ratio(&n * self.squares - sum.pow(2), n * ONE * ONE);
        Floats { count: self.count, sum: ratio(sum, ONE.into()), lost: 0.0, squares }
    }
}
