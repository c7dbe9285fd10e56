//! Values to bucket indices and back, in integers only.
//!
//! The boundaries `10^9 * 2^(j/256)` are the same 256 mantissas in every octave. Nine mantissa bits guess how many of
//! them lie below a value, and one compare corrects the guess: slots of the guess table are narrower than the narrowest
//! bucket, so there is never a second boundary in one. Comparing with a boundary rounded *down* is exact, because a value
//! is an integer at the mantissa's precision: it is above the boundary exactly when it is above its floor.

use super::table;

/// The finest scale: 256 buckets per octave, 0.136 % relative error.
pub const MAX_SCALE: i8 = 8;
/// The coarsest scale: one bucket per 16 octaves, which fits any `u64` into eight buckets.
pub const MIN_SCALE: i8 = -4;
/// How often a histogram can halve its resolution.
pub(super) const MAX_SHIFT: u8 = 12;

/// Boundaries of the finest scale below one second in its octave `[2^29, 2^30)` ns.
const BELOW_ONE_SECOND: i32 = 229;

/// Both tables at one address, which is looked up once.
struct Tables {
    /// Mantissas whose leading one, which all of them have, is moved to the end.
    boundaries: [u64; 256],
    guesses: [u8; 512],
}

static TABLES: Tables = Tables { boundaries: rotated(table::BOUNDARIES), guesses: table::GUESSES };

const fn rotated(mut mantissas: [u64; 256]) -> [u64; 256] {
    let mut next = 0;
    while next < mantissas.len() {
        mantissas[next] = mantissas[next].rotate_left(1);
        next += 1;
    }
    mantissas
}

/// Index of `value` at the finest scale, from −7654 for 1 to 8730 for `u64::MAX`. Zero has no bucket: its index lies above
/// all others, however often the resolution is halved.
#[inline]
pub(super) fn index(value: u64) -> i32 {
    // Zero is not ruled out here: on x86-64 the result for it is set beforehand, which spares the search for the leading
    // one a wait for the register's old value.
    let zeros = value.leading_zeros();
    let log2 = zeros ^ 63;
    // One rotation where registers have 64 bits; elsewhere shifts are cheaper. They differ in the last bit, which makes
    // no difference beside a boundary, whose last bit is one.
    let mantissa =
        if cfg!(target_pointer_width = "64") { value.rotate_right(log2) } else { value.wrapping_shl(zeros) << 1 };
    let guess = TABLES.guesses[(mantissa >> 55) as usize];
    let above = mantissa > TABLES.boundaries[usize::from(guess)];
    let octave = log2.cast_signed() - 29;
    (octave << 8) + i32::from(guess) + i32::from(above) - (BELOW_ONE_SECOND + 1)
}

/// The smallest and the largest integer in bucket `index` after `shift` halvings of the resolution.
///
/// Below about 400 ns a fine bucket can hold no integer at all: then the first exceeds the second.
pub(super) fn bounds(shift: u8, index: i32) -> (u64, u64) {
    let index = i64::from(index);
    (floor(shift, index).saturating_add(1), floor(shift, index + 1))
}

/// The boundary below bucket `index`, rounded down and saturated.
fn floor(shift: u8, index: i64) -> u64 {
    let position = (index << shift) + i64::from(BELOW_ONE_SECOND);
    let octave = position >> 8;
    let mantissa = TABLES.boundaries[(position.cast_unsigned() & 255) as usize].rotate_right(1);
    match u32::try_from(34 - octave) {
        Ok(zeros) => mantissa.checked_shr(zeros).unwrap_or(0),
        Err(_) => u64::MAX,
    }
}

/// Whether some `u64` lies in bucket `index` after `shift` halvings.
pub(super) fn exists(shift: u8, index: i32) -> bool {
    let (lower, upper) = bounds(shift, index);
    // Both bounds of a bucket beyond the largest integer are saturated.
    lower <= upper && index <= self::index(u64::MAX) >> shift
}

/// The halvings of `scale`, when it is one that a histogram can have.
pub(super) fn shift_of(scale: i8) -> Option<u8> {
    let shift = MAX_SCALE.checked_sub(scale)?;
    u8::try_from(shift).ok().filter(|shift| *shift <= MAX_SHIFT)
}

/// The smallest and the largest whole nanosecond in bucket `index` at `scale`, both included.
///
/// These are `⌊10^9 * 2^(index / 2^scale)⌋ + 1` and `⌊10^9 * 2^((index + 1) / 2^scale)⌋`, the latter no larger than
/// `u64::MAX`. A bucket that is too narrow to hold an integer has its lower bound above its upper bound; no value is ever
/// counted there. A `scale` outside [`MIN_SCALE`]`..=`[`MAX_SCALE`] is taken for the nearest one inside, as no histogram
/// has another.
pub fn bucket_bounds(scale: i8, index: i32) -> (u64, u64) {
    bounds(nearest_shift(scale), index)
}

/// Largest relative error of a quantile at `scale`, in parts per million, rounded up: `(b − 1) / (b + 1)` with
/// `b = 2^(2^−scale)`.
///
/// A quantile's true value `t` lies in a bucket `(L, U]` with `U ≤ b * L`. The answer `x = 2LU / (L + U)` is as far from
/// `L` as from `U` in relative terms: `|x − t| / t ≤ (U − L) / (U + L) ≤ (b − 1) / (b + 1)`. Rounding `x` to a whole
/// nanosecond adds at most half a nanosecond, and clamping to the exact extremes only brings it closer.
///
/// A `scale` outside [`MIN_SCALE`]`..=`[`MAX_SCALE`] is taken for the nearest one inside.
pub const fn relative_error_ppm(scale: i8) -> u32 {
    match scale {
        ..=-4 => 999_970,
        -3 => 992_218,
        -2 => 882_353,
        -1 => 600_000,
        0 => 333_334,
        1 => 171_573,
        2 => 86_428,
        3 => 43_295,
        4 => 21_658,
        5 => 10_831,
        6 => 5_416,
        7 => 2_708,
        8.. => 1_354,
    }
}

fn nearest_shift(scale: i8) -> u8 {
    let scale = scale.clamp(MIN_SCALE, MAX_SCALE);
    shift_of(scale).unwrap_or(MAX_SHIFT)
}
