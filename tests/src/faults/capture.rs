//! Capture files that something happened to.

use phasemeter::capture::CaptureRecord;

use super::known::Pool;
use super::table::Table;
use super::trial::{Truth, encode, records};
use crate::random::Random;

pub(super) fn add(table: &mut Table, pool: &Pool) {
    let mut bytes = |fault, intensity: &str, damage: fn(&mut Vec<u8>, &mut Random)| {
        table.add(fault, intensity, |random| {
            let sent = pool.any(random);
            let whole = encode(&records(&[sent.bytes()], random));
            let mut capture = whole.clone();
            damage(&mut capture, random);
            // Whatever is wrong with it, its end is not reached.
            Truth { is_whole: capture.starts_with(&whole), ..Truth::of([sent]) }.of_capture(&capture)
        });
    };
    bytes("capture cut", "at any byte", |capture, random| capture.truncate(random.index(capture.len())));
    bytes("capture zeroed", "up to 600 bytes", |capture, random| range(capture, random, 600).fill(0));
    bytes("capture zeroed", "from any byte to the end", |capture, random| {
        let from = random.index(capture.len());
        capture[from..].fill(0);
    });
    bytes("capture flipped", "one bit", |capture, random| range(capture, random, 1)[0] ^= 1 << random.below(8));
    bytes("capture flipped", "20 bits", |capture, random| {
        for _ in 0..20 {
            range(capture, random, 1)[0] ^= 1 << random.below(8);
        }
    });
    bytes("capture with bytes missing", "up to 600 bytes", |capture, random| {
        let from = random.index(capture.len());
        capture.drain(from..capture.len().min(from + 1 + random.index(600)));
    });
    bytes("capture with bytes inserted", "up to 100 bytes", |capture, random| {
        let at = random.index(capture.len());
        let more: Vec<_> = (0..=random.index(100)).map(|_| random.below(256).to_le_bytes()[0]).collect();
        capture.splice(at..at, more);
    });
    bytes("capture with a copy of itself behind", "whole", |capture, _| capture.extend_from_within(..));

    let mut whole = |fault, intensity: &str, damage: fn(&mut Vec<CaptureRecord<'static>>, &mut Random)| {
        table.add(fault, intensity, |random| {
            let sent = pool.any(random);
            let mut records = records(&[sent.bytes()], random);
            damage(&mut records, random);
            Truth::of([sent]).of_capture(&encode(&records))
        });
    };
    whole("capture spliced, with sound records", "one missing", |records, random| {
        records.remove(random.index(records.len()));
    });
    whole("capture spliced, with sound records", "one repeated", |records, random| {
        let record = random.pick(records).clone();
        records.insert(random.index(records.len() + 1), record);
    });
    whole("capture spliced, with sound records", "two swapped", |records, random| {
        let (one, other) = (random.index(records.len()), random.index(records.len()));
        records.swap(one, other);
    });
    table.add("capture spliced, with sound records", "with another run's", |random| {
        let two = pool.two(random);
        let [mut first, second] = two.map(|sent| records(&[sent.bytes()], random));
        first.truncate(random.index(first.len()));
        first.extend_from_slice(&second[random.index(second.len())..]);
        let bytes = first.iter().filter_map(|record| match record {
            CaptureRecord::Data { bytes, .. } => Some(&**bytes),
            _ => None,
        });
        Truth::of_line(two, &bytes.collect::<Vec<_>>().concat()).of_capture(&encode(&first))
    });
}

/// Some bytes in a row.
fn range<'a>(capture: &'a mut [u8], random: &mut Random, most: usize) -> &'a mut [u8] {
    let from = random.index(capture.len());
    let to = capture.len().min(from + 1 + random.index(most));
    &mut capture[from..to]
}
