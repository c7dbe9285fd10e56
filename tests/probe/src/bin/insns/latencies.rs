//! A fixed sequence of latencies, close to log-normal: median 17 ms, sigma 1.

use core::hint::black_box;

/// How many there are.
pub const COUNT: usize = 4096;

/// 2^24 ns: 17 ms.
const MEDIAN_LOG2: i32 = 24;

/// The latencies in nanoseconds.
pub struct Latencies([u64; COUNT]);

impl Latencies {
    /// The same each time.
    pub fn new() -> Self {
        let mut state = 1_u64;
        Self(core::array::from_fn(|_| latency(&mut state)))
    }

    /// Passes each on, without the compiler knowing it.
    pub fn each(&self, mut with: impl FnMut(u64)) {
        for &value in black_box(&self.0) {
            with(value);
        }
    }
}

/// Two to the power of a sum of twelve uniform numbers, which is near a normal one.
fn latency(state: &mut u64) -> u64 {
    // In 65536ths. A sigma of 1 is 1.443 octaves.
    let sum: i32 = (0..12).map(|_| uniform(state)).sum();
    let normal = i64::from(sum - 6 * 65_536);
    let log2 = i64::from(MEDIAN_LOG2 * 65_536) + normal * 1_443 / 1_000;
    let (octave, part) = ((log2 >> 16) & 63, (log2 & 0xffff).unsigned_abs());
    // Linear between two powers of two.
    ((65_536 + part) << octave) >> 16
}

/// The upper 16 bits of a linear congruential generator (Knuth, MMIX).
fn uniform(state: &mut u64) -> i32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    i32::from((*state >> 48) as u16)
}
