//! Wall time in interleaved rounds: each sketch has its turn in every round, so that noise meets all alike, and medians
//! and ratios within a round leave it out.

use std::hint::black_box;
use std::time::Instant;

use crate::data;
use crate::sketch::{Sketch, Visitor, each};

/// Values recorded before the clock starts: the resolution settles and the memory is mapped.
const WARM: usize = 10_000;
const QUANTILES: u32 = 100;
const MERGES: u32 = 200;

/// Nanoseconds, one entry for each round.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// [`Sketch::NAME`].
    pub name: &'static str,
    /// For one value in a loop, where the compiler may inline.
    pub record_loop: Vec<f64>,
    /// For one value through a call.
    pub record_call: Vec<f64>,
    /// For one value in a loop, when each is a new maximum.
    pub record_rising: Vec<f64>,
    /// For one value in a loop, when each is a new minimum.
    pub record_falling: Vec<f64>,
    /// For all percentiles.
    pub quantiles: Vec<f64>,
    /// For a merge of two sketches of the same distribution.
    pub merge: Vec<f64>,
}

/// Times all sketches on these latencies, and on as many that rise and fall.
pub fn time(nanos: &[u64], rounds: usize) -> Vec<Times> {
    let (rising, falling) = (data::rising(nanos.len()), data::falling(nanos.len()));
    let mut timer = Timer { nanos, rising, falling, times: Vec::new(), turn: 0 };
    for _ in 0..rounds {
        timer.turn = 0;
        each(&mut timer);
    }
    timer.times
}

/// The middle of the values; of an even number, the upper one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios within each round.
pub fn median_ratio(ours: &[f64], peer: &[f64]) -> f64 {
    median(ours.iter().zip(peer).map(|(ours, peer)| ours / peer))
}

/// Records all values in a loop.
#[inline(never)]
pub fn record_loop<S: Sketch>(sketch: &mut S, nanos: &[u64]) {
    for value in nanos {
        sketch.record(*value);
    }
}

/// Records all values, each through a call.
#[inline(never)]
pub fn record_calls<S: Sketch>(sketch: &mut S, nanos: &[u64]) {
    for value in nanos {
        record_call(sketch, *value);
    }
}

/// Records a value: what a program with several places to record from would have.
#[inline(never)]
pub fn record_call<S: Sketch>(sketch: &mut S, nanos: u64) {
    sketch.record(nanos);
}

struct Timer<'a> {
    nanos: &'a [u64],
    rising: Vec<u64>,
    falling: Vec<u64>,
    times: Vec<Times>,
    turn: usize,
}

impl Visitor for Timer<'_> {
    fn visit<S: Sketch>(&mut self) {
        let turn = self.turn;
        self.turn += 1;
        if turn == self.times.len() {
            self.times.push(Times { name: S::NAME, ..Times::default() });
        }
        let times = &mut self.times[turn];
        let count = u32::try_from(self.nanos.len()).unwrap_or(u32::MAX);
        let warm = &self.nanos[..WARM.min(self.nanos.len())];

        let mut sketch = S::new();
        record_loop(&mut sketch, warm);
        times.record_loop.push(nanos_each(count, || record_loop(&mut sketch, self.nanos)));

        let mut other = S::new();
        record_calls(&mut other, warm);
        times.record_call.push(nanos_each(count, || record_calls(&mut other, self.nanos)));

        times.record_rising.push(trend::<S>(&self.rising));
        times.record_falling.push(trend::<S>(&self.falling));

        sketch.settle();
        other.settle();
        times.quantiles.push(nanos_each(QUANTILES, || {
            for _ in 0..QUANTILES {
                black_box(black_box(&sketch).quantiles());
            }
        }));
        if S::MERGES {
            times.merge.push(nanos_each(MERGES, || {
                for _ in 0..MERGES {
                    black_box(&mut sketch).merge(black_box(&other));
                }
            }));
        }
    }
}

/// Nanoseconds for each value after those that bring the memory in.
fn trend<S: Sketch>(nanos: &[u64]) -> f64 {
    let (warm, nanos) = nanos.split_at(WARM.min(nanos.len()));
    let mut sketch = S::new();
    record_loop(&mut sketch, warm);
    nanos_each(u32::try_from(nanos.len()).unwrap_or(u32::MAX), || record_loop(&mut sketch, nanos))
}

#[expect(clippy::cast_precision_loss, reason = "the time is far below 2^53 ns")]
fn nanos_each(count: u32, work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_nanos() as f64 / f64::from(count)
}
