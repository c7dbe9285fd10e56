//! What happens to bytes and frames on the way.

use phasemeter::source::{FaultInjector, FaultSpec};

use super::known::Pool;
use super::table::Table;
use super::trial::Truth;
use crate::random::Random;

/// The faults that are injected as `record --inject` does it, and how often.
const INJECTED: [(&str, &[&str]); 8] = [
    ("frames lost", &["drop=0.001", "drop=0.01", "drop=0.1", "drop=0.5"]),
    ("bits flipped", &["flip=1e-5", "flip=1e-4", "flip=1e-3", "flip=1e-2"]),
    ("bytes lost", &["lose=1e-4", "lose=1e-3", "lose=1e-2"]),
    ("frames cut short", &["truncate=0.01", "truncate=0.1"]),
    ("frames repeated", &["dup=0.1", "dup=1"]),
    ("frames late", &["reorder=0.01", "reorder=0.1", "reorder=0.5"]),
    ("noise and text", &["noise=0.1", "text=0.1", "noise=0.5,text=0.5"]),
    ("all of these", &["drop=0.01,flip=1e-4,lose=1e-5,dup=0.05,truncate=0.01,reorder=0.05,noise=0.02,text=0.02"]),
];

pub(super) fn add(table: &mut Table, pool: &Pool) {
    for (fault, intensities) in INJECTED {
        for spec in intensities {
            let spec: FaultSpec = spec.parse().expect("the faults are spelled as they have to be");
            let shown = spec.to_string();
            let shown = shown.trim_end_matches(",seed=0").replace(',', ", ");
            table.add(fault, shown, |random| {
                let sent = pool.any(random);
                Truth::of([sent]).of_lines(&[inject(&spec, &sent.bytes(), random)], random)
            });
        }
    }
    for rate in [1_000, 20] {
        table.add("NULs", format!("one in {rate} bytes"), |random| {
            let sent = pool.any(random);
            let mut line = Vec::new();
            for byte in sent.bytes() {
                line.push(byte);
                if random.below(rate) == 0 {
                    line.push(0);
                }
            }
            Truth::of([sent]).of_lines(&[line], random)
        });
    }
    table.add("unplugged for a while", "once, up to 2,000 bytes", |random| {
        let sent = pool.any(random);
        let mut line = sent.bytes();
        let from = random.index(line.len());
        line.drain(from..line.len().min(from + 1 + random.index(2_000)));
        Truth::of([sent]).of_lines(&[line], random)
    });
    table.add("unplugged for good", "at any byte", |random| {
        let sent = pool.load(random);
        let mut line = sent.bytes();
        line.truncate(random.index(line.len()));
        Truth::of([sent]).of_lines(&[line], random)
    });
}

/// The bytes with faults, of which this trial has its own.
pub(super) fn inject(spec: &FaultSpec, bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut injector = FaultInjector::new(&FaultSpec { seed: random.below(u64::MAX), ..spec.clone() });
    let mut line = Vec::new();
    injector.pass(bytes, &mut line);
    injector.end(&mut line);
    line
}
