//! The histogram's grid against exact arithmetic: every bucket boundary, at every scale.

use std::sync::LazyLock;

use num_bigint::BigUint;
use phasemeter_core::histogram::{LatencyHistogram, MAX_SCALE, MIN_SCALE, bucket_bounds, relative_error_ppm};

/// Index of 1 ns and of `u64::MAX` ns at scale 8.
const FIRST: i32 = -7654;
const LAST: i32 = 8730;

/// `⌊10^9 * 2^(j / 256)⌋` for every j, by exact integer roots.
static BOUNDARIES: LazyLock<Boundaries> = LazyLock::new(Boundaries::new);

struct Boundaries(Vec<BigUint>);

impl Boundaries {
    const OCTAVES: i32 = 34;

    /// The highest octave; a boundary further down is one of these, halved and rounded down.
    fn new() -> Self {
        let base = BigUint::from(10_u32).pow(9 * 256);
        // The floor of the 256th root, by eight square roots, each rounded down.
        let root = |j| (0..8).fold(&base << j, |power: BigUint, _| power.sqrt());
        Self((Self::OCTAVES * 256..(Self::OCTAVES + 1) * 256).map(root).collect())
    }

    /// Saturated, as the grid's bounds are.
    fn floor(&self, j: i32) -> u64 {
        let (octave, place) = (j.div_euclid(256), usize::try_from(j.rem_euclid(256)).unwrap());
        // What lies beyond the table lies beyond u64 as well.
        let halvings = usize::try_from(Self::OCTAVES - octave).ok();
        halvings.and_then(|halvings| u64::try_from(&self.0[place] >> halvings).ok()).unwrap_or(u64::MAX)
    }
}

/// Whether `value > 10^9 * 2^(j / 256)`, without any root or rounding.
fn exceeds(value: u64, j: i32) -> bool {
    let (value, bound) = (BigUint::from(value).pow(256), BigUint::from(10_u32).pow(9 * 256));
    if j < 0 { value << j.unsigned_abs() > bound } else { value > bound << j }
}

/// The index that a histogram gives to a value at the finest scale.
fn index(value: u64) -> i32 {
    let mut histogram = LatencyHistogram::<8>::new();
    histogram.record(value);
    let (first, last) = histogram.window().unwrap();
    assert_eq!((first, histogram.scale()), (last, MAX_SCALE));
    first
}

#[test]
fn the_range_of_indices_is_that_of_u64() {
    assert_eq!(index(1), FIRST);
    assert_eq!(index(u64::MAX), LAST);
    assert!(exceeds(1, FIRST) && !exceeds(1, FIRST + 1));
    assert!(exceeds(u64::MAX, LAST) && !exceeds(u64::MAX, LAST + 1));
}

#[test]
fn every_boundary_of_the_finest_scale_separates_its_neighbours() {
    let mut below = BOUNDARIES.floor(FIRST);
    assert_eq!(below, 0);
    for j in FIRST + 1..=LAST + 1 {
        let floor = BOUNDARIES.floor(j);
        // The bucket before this boundary.
        assert_eq!(bucket_bounds(MAX_SCALE, j - 1), (below + 1, floor), "bucket {}", j - 1);
        // The boundary's floor is at or below the boundary, the next integer above it.
        if floor > below {
            assert_eq!(index(floor), j - 1, "{floor}");
            assert_eq!(index(below + 1), j - 1, "{}", below + 1);
        }
        if let Some(above) = floor.checked_add(1).filter(|_| j <= LAST) {
            assert!(index(above) >= j, "{above}");
        }
        below = floor;
    }
    assert_eq!(below, u64::MAX);
}

#[test]
fn whole_powers_of_two_of_a_second_close_their_bucket() {
    for octave in 0..34 {
        let value = 1_000_000_000_u64 << octave;
        assert_eq!(index(value), 256 * octave - 1);
        assert_eq!(index(value + 1), 256 * octave);
        assert_eq!(index(value - 1), 256 * octave - 1);
    }
    for octave in 1..=9 {
        assert_eq!(index(1_000_000_000 >> octave), -256 * octave - 1);
        assert_eq!(index((1_000_000_000 >> octave) + 1), -256 * octave);
    }
}

/// The scale that `N` buckets leave after the whole range was seen: each of its buckets against exact boundaries, and
/// the values on both sides of each boundary.
fn check_every_boundary<const N: usize>(scale: i8) {
    let shift = u32::from(MAX_SCALE.abs_diff(scale));
    let mut histogram = Box::new(LatencyHistogram::<N>::new());
    histogram.record(1);
    histogram.record(u64::MAX);
    assert_eq!(histogram.scale(), scale);
    for index in FIRST >> shift..=LAST >> shift {
        let floor = |index: i32| BOUNDARIES.floor(index << shift);
        let (lower, upper) = (floor(index).saturating_add(1), floor(index + 1));
        assert_eq!(bucket_bounds(scale, index), (lower, upper), "bucket {index} at scale {scale}");
        for value in [lower, upper.saturating_sub(1), upper] {
            if (lower..=upper).contains(&value) {
                let before = histogram.count_at(index);
                histogram.record(value);
                assert_eq!(histogram.count_at(index), before + 1, "{value} at scale {scale}");
            }
        }
    }
}

#[test]
fn every_boundary_of_every_lower_scale_separates_its_neighbours() {
    check_every_boundary::<8>(-4);
    check_every_boundary::<16>(-3);
    check_every_boundary::<32>(-2);
    check_every_boundary::<64>(-1);
    check_every_boundary::<128>(0);
    check_every_boundary::<256>(1);
    check_every_boundary::<512>(2);
    check_every_boundary::<1024>(3);
    check_every_boundary::<2048>(4);
    check_every_boundary::<4096>(5);
    check_every_boundary::<8192>(6);
    check_every_boundary::<16384>(7);
}

#[test]
fn ten_million_values_of_every_magnitude_have_their_index() {
    let floors: Vec<u64> = (FIRST..=LAST + 1).map(|j| BOUNDARIES.floor(j)).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for step in 0..10_000_000_u32 {
        // A 64-bit linear congruential generator (Knuth, MMIX), cut to each length in turn.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = (state >> (step % 60)).max(1);
        let boundaries_below = floors.partition_point(|floor| *floor < value);
        assert_eq!(index(value), FIRST - 1 + i32::try_from(boundaries_below).unwrap(), "{value}");
    }
}

#[test]
fn the_relative_error_is_the_smallest_number_of_ppm_that_holds() {
    // (b − 1) / (b + 1) ≤ p / 10^6 with b = 2^(2^−s) is, for p < 10^6, b ≤ (10^6 + p) / (10^6 − p).
    let holds = |scale: i8, ppm: u32| {
        let above = BigUint::from(1_000_000 + ppm);
        let below = BigUint::from(1_000_000 - ppm);
        if scale >= 0 {
            let power = 1 << scale;
            BigUint::from(2_u32) * below.pow(power) <= above.pow(power)
        } else {
            below << (1 << -scale) <= above
        }
    };
    for scale in MIN_SCALE..=MAX_SCALE {
        let ppm = relative_error_ppm(scale);
        assert!(holds(scale, ppm) && !holds(scale, ppm - 1), "scale {scale}: {ppm}");
    }
}
