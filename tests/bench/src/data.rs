//! Latencies in nanoseconds: seven distributions and two trends, the same in every run.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp, LogNormal, Normal, Pareto};

/// The largest latency: what peers with a fixed range are set up for.
pub const MAX_NANOS: u64 = (1 << 42) - 1;

const SEED: u64 = 0x0070_6861_7365;
const MILLI: f64 = 1e6;

/// A named set of latencies.
pub struct Set {
    /// What it is.
    pub name: &'static str,
    /// The latencies in the order of recording.
    pub nanos: Vec<u64>,
}

/// The set that times, instructions and bytes are measured with: log-normal, median 20 ms, sigma 1.
///
/// # Panics
/// Never: the parameters are valid.
pub fn log_normal(count: usize) -> Vec<u64> {
    let distribution = LogNormal::new((20.0 * MILLI).ln(), 1.0).expect("the parameters are valid");
    draw(count, |random| distribution.sample(random))
}

/// What an overloaded open loop waits for its responses: from 1 ms on, each time 10 µs longer, so that each latency is a
/// new maximum.
pub fn rising(count: usize) -> Vec<u64> {
    (1_000_000..MAX_NANOS).step_by(10_000).take(count).collect()
}

/// [`rising`] backwards: each latency is a new minimum.
pub fn falling(count: usize) -> Vec<u64> {
    let mut nanos = rising(count);
    nanos.reverse();
    nanos
}

/// All distributions, `count` latencies each.
///
/// # Panics
/// Never: the parameters are valid.
pub fn sets(count: usize) -> [Set; 7] {
    let exponential = Exp::new(1.0 / (20.0 * MILLI)).expect("the parameter is valid");
    let pareto = Pareto::new(MILLI, 1.5).expect("the parameters are valid");
    let fast = Normal::new(10.0 * MILLI, MILLI).expect("the parameters are valid");
    let slow = Normal::new(200.0 * MILLI, 20.0 * MILLI).expect("the parameters are valid");
    let mut number = 0_u64;
    [
        Set { name: "log-normal", nanos: log_normal(count) },
        Set { name: "uniform", nanos: draw(count, |random| random.random_range(MILLI..100.0 * MILLI)) },
        Set { name: "exponential", nanos: draw(count, |random| exponential.sample(random)) },
        Set { name: "pareto", nanos: draw(count, |random| pareto.sample(random)) },
        Set {
            name: "bimodal",
            nanos: draw(
                count,
                |random| if random.random_bool(0.6) { fast.sample(random) } else { slow.sample(random) },
            ),
        },
        Set { name: "constant", nanos: draw(count, |_| 20.0 * MILLI) },
        Set {
            name: "99 % equal, 1 % slow",
            nanos: draw(count, |random| {
                number += 1;
                if number.is_multiple_of(100) { random.random_range(1_000.0 * MILLI..10_000.0 * MILLI) } else { MILLI }
            }),
        },
    ]
}

/// Whole nanoseconds from 1 to what all peers take.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is meant")]
fn draw(count: usize, mut sample: impl FnMut(&mut StdRng) -> f64) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(SEED);
    (0..count).map(|_| (sample(&mut random) as u64).clamp(1, MAX_NANOS)).collect()
}
