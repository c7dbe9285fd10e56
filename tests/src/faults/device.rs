//! Devices whose line takes little or nothing, and whose counters are full.

use std::collections::BTreeSet;

use phasemeter_core::telemetry::{Envelope, Frame, MetricTotals};

use super::known::{Pool, Sent};
use super::lies::{counts, edit, read, with_counts};
use super::table::Table;
use super::trial::Truth;

pub(super) fn add(table: &mut Table, pool: &Pool) {
    for (bytes, takes) in [(0, "nothing"), (1, "1 byte a turn"), (8, "8 bytes a turn"), (40, "40 bytes a turn")] {
        // To make one takes long.
        let slow: Vec<_> = (0..3).map(|boot| Sent::load("board-1", 9_000 + boot, bytes)).collect();
        table.add("line that is not read", format!("takes {takes}"), |random| {
            let sent = random.pick(&slow);
            Truth::of([sent]).of_lines(&[sent.bytes()], random)
        });
    }
    for (times, shown) in
        [(1 << 20, "2^20 of each value"), (1 << 31, "2^31 of each value"), (1 << 32, "2^32 of each value")]
    {
        for loses in [false, true] {
            let of = format!("{shown}{}", if loses { ", one in 20 frames lost" } else { "" });
            table.add("full counters", of, |random| {
                let sent = pool.any(random);
                let mut frames = multiplied(&sent.frames, times);
                if loses {
                    frames.retain(|_| random.below(20) > 0);
                }
                Truth { times, ..Truth::of([sent]) }.of_lines(&[frames.concat()], random)
            });
        }
    }
}

/// The frames of a device that recorded each value so many times, with counters of 32 bits for each bucket.
fn multiplied(frames: &[Vec<u8>], times: u64) -> Vec<Vec<u8>> {
    let mut full = BTreeSet::new();
    let mut out = Vec::new();
    for frame in frames {
        let Some((scale, mut counts)) = counts(frame) else {
            out.push(edit(frame, |envelope| multiply(&mut envelope.frame, times, &full)));
            continue;
        };
        for (_, count) in &mut counts {
            *count *= times;
            if *count > u32::MAX.into() {
                *count = u32::MAX.into();
                full.insert(read(frame, place));
            }
        }
        // Larger counts take more room.
        let parts = counts.chunks(16).map(|part| with_counts(frame, scale, part).expect("a few counts fit"));
        out.extend(parts);
    }
    (0..).zip(out).map(|(sequence, frame)| edit(&frame, |envelope| envelope.sequence = sequence)).collect()
}

fn multiply(frame: &mut Frame<'_>, times: u64, full: &BTreeSet<Option<(u16, u8)>>) {
    match frame {
        Frame::Phase(report) => report.samples *= times,
        Frame::Totals(MetricTotals { phase, metric, totals, lag1 }) => {
            // All values in their order, again and again.
            let between = u128::from(lag1.last) * u128::from(lag1.first);
            let products = lag1.products.saturating_mul(times.into());
            lag1.products = products.saturating_add(between.saturating_mul((times - 1).into()));
            (totals.count, totals.zero) = (totals.count * times, totals.zero * times);
            totals.sum *= u128::from(times);
            totals.sum_of_squares = totals.sum_of_squares.saturating_mul(times.into());
            if full.contains(&Some((*phase, *metric))) {
                totals.saturation = 1.try_into().expect("the flag of buckets");
            }
        }
        _ => {}
    }
}

/// Which histogram counts are of.
fn place(envelope: &Envelope<'_>) -> Option<(u16, u8)> {
    match &envelope.frame {
        Frame::Buckets(buckets) => Some((buckets.phase, buckets.metric)),
        _ => None,
    }
}
