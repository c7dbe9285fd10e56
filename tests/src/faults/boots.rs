//! Devices that are started anew.

use phasemeter::source::FaultSpec;

use super::known::{Pool, Sent};
use super::line::inject;
use super::table::Table;
use super::trial::{Outcome, Truth};
use crate::random::Random;

pub(super) fn add(table: &mut Table, pool: &Pool) {
    for spec in ["seed=0", "drop=0.02,dup=0.05,reorder=0.05", "drop=0.1,flip=1e-4"] {
        let spec: FaultSpec = spec.parse().expect("the faults are spelled as they have to be");
        let on =
            if spec == FaultSpec::default() { "on a sound line".to_owned() } else { format!("on a line with {spec}") };
        let on = on.replace(",seed=0", "").replace(',', ", ");
        table.add("reset at any frame", on.clone(), |random| {
            let two = pool.two(random);
            let frames = random.index(two[0].frames.len() + 1);
            let line = [two[0].frames[..frames].concat(), two[1].bytes()].concat();
            judge(two, &inject(&spec, &line, random), random)
        });
        table.add("reset at any byte", on.clone(), |random| {
            let two = pool.two(random);
            let bytes = two[0].bytes();
            let line = [&bytes[..random.index(bytes.len())], &two[1].bytes()].concat();
            judge(two, &inject(&spec, &line, random), random)
        });
        table.add("two runs in a row", on, |random| {
            let two = pool.two(random);
            judge(two, &inject(&spec, &two.map(Sent::bytes).concat(), random), random)
        });
    }
    table.add("reset, and the same boot id again", "at any frame", |random| {
        let [first, _] = pool.two(random);
        let other = Sent::load(first.id, 1 + random.below(1_000), 300);
        let again = Sent::load(first.id, 1 + random.below(1_000), 300);
        let frames = of_boot_of(&again, &other);
        let again = again.with_frames(frames);
        let frames = random.index(other.frames.len() + 1);
        let line = [other.frames[..frames].concat(), again.bytes()].concat();
        // Complete is what contradicts nothing: the second run alone.
        let truth = Truth { is_honest: false, ..Truth::of([&again]) };
        truth.of_lines(&[line], random)
    });
}

/// Judges what came of two boots over one line.
fn judge(two: [&Sent; 2], line: &[u8], random: &mut Random) -> Outcome {
    Truth::of_line(two, line).of_lines(&[line.to_vec()], random)
}

/// The frames of a run as if they were of the other one's boot.
fn of_boot_of(run: &Sent, other: &Sent) -> Vec<Vec<u8>> {
    let boot = super::lies::read(&other.frames[0], |envelope| envelope.boot);
    let frames = run.frames.iter().map(|frame| super::lies::edit(frame, |envelope| envelope.boot = boot));
    frames.collect()
}
