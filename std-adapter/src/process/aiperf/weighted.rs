//! Step functions of time, and statistics that weigh each value by how long it held.

use super::latencies::sum;
use super::{Statistics, double};
use crate::process::Window;

/// A value that holds from `at`, in nanoseconds since 1970, until the next step. Before the first step it is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) at: f64,
    pub(super) value: f64,
}

/// A value and for how many nanoseconds it held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) value: f64,
    pub(super) duration: f64,
}

/// The stretch of time that counts, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: f64,
    pub(super) end: f64,
}

impl From<Window> for Span {
    fn from(window: Window) -> Self {
        Self { start: double(window.start_ns), end: double(window.end_ns) }
    }
}

/// Sums changes up: each step of `changes` says by how much the function changes there.
///
/// What is left when large numbers cancel out, below a billionth of the largest, becomes 0.
pub(super) fn sum_up(changes: Vec<Step>) -> Vec<Step> {
    let mut steps = changes;
    // Of changes at one time the falling come first. The order is total, so that the order of requests does not matter.
    steps.sort_unstable_by(|a, b| a.at.total_cmp(&b.at).then(a.value.total_cmp(&b.value)));
    let (mut value, mut largest) = (0.0, 0.0_f64);
    for step in &mut steps {
        value += step.value;
        step.value = value;
        largest = largest.max(value.abs());
    }
    steps.dedup_by(|next, kept| {
        let same = next.at.total_cmp(&kept.at).is_eq();
        if same {
            kept.value = next.value;
        }
        same
    });
    for step in &mut steps {
        if step.value.abs() < 1e-9 * largest {
            step.value = 0.0;
        }
    }
    steps
}

/// Visits each stretch within `span` over which neither `a` nor `b` changes: with both values, and how long it is.
pub(super) fn each_stretch(mut a: &[Step], mut b: &[Step], span: Span, mut visit: impl FnMut(f64, f64, f64)) {
    let (mut at, mut value_of_a, mut value_of_b) = (span.start, 0.0, 0.0);
    while at < span.end {
        pass(&mut a, at, &mut value_of_a);
        pass(&mut b, at, &mut value_of_b);
        let next = [a, b].into_iter().filter_map(<[Step]>::first).fold(span.end, |next, step| next.min(step.at));
        visit(value_of_a, value_of_b, next - at);
        at = next;
    }
}

/// Passes the steps up to and including `at`.
fn pass(steps: &mut &[Step], at: f64, value: &mut f64) {
    while let Some((step, rest)) = steps.split_first()
        && step.at <= at
    {
        *value = step.value;
        *steps = rest;
    }
}

/// Statistics of values weighed by their durations, which sum up to `total`; zeros if nothing held. Each is multiplied by
/// `scale`. The order of `held` changes.
pub(super) fn weighted_statistics(
    unit: &'static str,
    held: &mut [Held],
    total: f64,
    levels: &[f64],
    scale: f64,
) -> Statistics {
    let (mut avg, mut min, mut max, mut variance) = (0.0, 0.0, 0.0, 0.0);
    let mut percentiles = vec![0.0; levels.len()];
    if !held.is_empty() && total > 0.0 {
        avg = sum(held, |held| held.value * held.duration) / total;
        variance = sum(held, |held| held.duration * (held.value - avg).powi(2)) / total;
        min = held.iter().fold(f64::INFINITY, |min, held| min.min(held.value));
        max = held.iter().fold(f64::NEG_INFINITY, |max, held| max.max(held.value));
        let duration = sum(held, |held| held.duration);
        let mut wanted: Vec<_> = levels.iter().map(|level| level / 100.0).zip(&mut percentiles).collect();
        wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
        select(held, 0.0, duration, &mut wanted);
    }
    let scaled = |value: f64| Some(value * scale).filter(|value| value.is_finite());
    Statistics {
        unit,
        count: None,
        sum: None,
        avg: scaled(avg),
        min: scaled(min),
        max: scaled(max),
        std: scaled(variance.sqrt()),
        percentiles: percentiles.into_iter().map(scaled).collect(),
    }
}

/// Finds the smallest value up to which at least each wanted share of `duration` is spent; `before` of it is spent on
/// smaller values than those in `held`. Linear in time on average, as only halves that hold a wanted value are ordered.
fn select(held: &mut [Held], before: f64, duration: f64, wanted: &mut [(f64, &mut f64)]) {
    if wanted.is_empty() {
        return;
    }
    if let [only] = held {
        for (_, found) in wanted {
            **found = only.value;
        }
        return;
    }
    let middle = held.len() / 2;
    if middle == 0 {
        return;
    }
    held.select_nth_unstable_by(middle, |a, b| a.value.total_cmp(&b.value));
    let (low, high) = held.split_at_mut(middle);
    let up_to_middle = before + sum(low, |held| held.duration);
    let in_low = wanted.partition_point(|(share, _)| up_to_middle / duration >= *share);
    let (wanted_low, wanted_high) = wanted.split_at_mut(in_low);
    select(low, before, duration, wanted_low);
    select(high, up_to_middle, duration, wanted_high);
}
