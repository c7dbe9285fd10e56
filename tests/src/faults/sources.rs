//! Several lines, or several devices on one.

use phasemeter::source::FaultSpec;

use super::known::{Pool, Sent};
use super::line::inject;
use super::table::Table;
use super::trial::Truth;
use crate::random::Random;

/// A line that loses some frames.
const LOSSY: FaultSpec = FaultSpec {
    noise: 0.0,
    text: 0.0,
    drop: 0.02,
    truncate: 0.0,
    lose: 0.0,
    flip: 0.0,
    dup: 0.02,
    reorder: 0.02,
    seed: 0,
};

pub(super) fn add(table: &mut Table, pool: &Pool) {
    let others: Vec<_> = (0..6).map(|number| Sent::load("board-2", 5_000 + number, 400)).collect();
    let pair = |random: &mut Random| -> [&Sent; 2] { [pool.load(random), random.pick(&others)] };
    table.add("two devices side by side", "sound lines", |random| {
        let pair = pair(random);
        Truth::of(pair).of_lines(&pair.map(Sent::bytes), random)
    });
    table.add("two devices side by side", "lossy lines", |random| {
        let pair = pair(random);
        let lines = pair.map(|sent| inject(&LOSSY, &sent.bytes(), random));
        Truth::of(pair).of_lines(&lines, random)
    });
    table.add("two devices of one name", "sound lines", |random| {
        let two = pool.two(random);
        Truth::of(two).of_lines(&two.map(Sent::bytes), random)
    });
    table.add("same device twice", "sound lines", |random| {
        let sent = pool.any(random);
        Truth::of([sent]).of_lines(&[sent.bytes(), sent.bytes()], random)
    });
    table.add("same device twice", "lossy lines", |random| {
        let sent = pool.any(random);
        let lines = [0; 2].map(|_| inject(&LOSSY, &sent.bytes(), random));
        Truth::of([sent]).of_lines(&lines, random)
    });
    table.add("lines swapped", "from the start", |random| {
        let pair = pair(random);
        let [first, second] = pair.map(Sent::bytes);
        Truth::of(pair).of_lines(&[second, first], random)
    });
    table.add("lines swapped", "in mid-run, at any byte", |random| {
        let pair = pair(random);
        let [first, second] = pair.map(Sent::bytes);
        let (a, b) = (random.index(first.len()), random.index(second.len()));
        let lines = [[&first[..a], &second[b..]].concat(), [&second[..b], &first[a..]].concat()];
        Truth { resets: 2, ..Truth::of(pair) }.of_lines(&lines, random)
    });
    table.add("two devices on one line", "frames interleaved", |random| {
        let pair = pair(random);
        let mut rest = pair.map(|sent| sent.frames.iter().peekable());
        let mut line = Vec::new();
        while rest.iter_mut().any(|frames| frames.peek().is_some()) {
            let frames = &mut rest[random.index(2)];
            frames.by_ref().take(1 + random.index(4)).for_each(|frame| line.extend_from_slice(frame));
        }
        Truth { resets: 1, ..Truth::of(pair) }.of_lines(&[line], random)
    });
    table.add("two devices on one line", "bytes interleaved", |random| {
        let pair = pair(random);
        let bytes = pair.map(Sent::bytes);
        let (mut places, mut line) = ([0, 0], Vec::new());
        while (0..2).any(|which| places[which] < bytes[which].len()) {
            let which = random.index(2);
            let to = bytes[which].len().min(places[which] + 1 + random.index(60));
            line.extend_from_slice(&bytes[which][places[which]..to]);
            places[which] = to;
        }
        Truth { resets: 1, ..Truth::of(pair) }.of_lines(&[line], random)
    });
    table.add("attached late", "at any byte", |random| {
        let sent = pool.any(random);
        let mut line = sent.bytes();
        line.drain(..random.index(line.len()));
        Truth::of([sent]).of_lines(&[line], random)
    });
}
