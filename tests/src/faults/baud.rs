//! A receiver whose bits are of another length than the sender's.

use super::known::Pool;
use super::table::Table;
use super::trial::Truth;

/// The receiver's bits a second, in thousandths of the sender's.
const RATES: [(u64, &str); 5] = [
    (1_020, "2 % fast"),
    (1_060, "6 % fast"),
    (500, "half as fast"),
    (2_000, "twice as fast"),
    (83, "9,600 instead of 115,200"),
];

pub(super) fn add(table: &mut Table, pool: &Pool) {
    for (rate, name) in RATES {
        table.add("wrong baud rate", name, |random| {
            let sent = pool.load(random);
            Truth::of([sent]).of_lines(&[receive(&sent.bytes(), rate)], random)
        });
    }
}

/// What a UART reads that takes one sample in the middle of each bit of its own length: a start bit, eight data bits from the
/// lowest on, a stop bit. A byte without its stop bit is read all the same, as most UARTs do.
fn receive(bytes: &[u8], rate: u64) -> Vec<u8> {
    let mut bits = Vec::with_capacity(bytes.len() * 10);
    for byte in bytes {
        bits.push(false);
        bits.extend((0..8).map(|bit| byte >> bit & 1 == 1));
        bits.push(true);
    }
    // Times in thousandths of the sender's bit.
    let length = 1_000_000 / rate;
    let level = |at: u64| usize::try_from(at / 1_000).ok().and_then(|bit| bits.get(bit)).copied().unwrap_or(true);
    let end = bits.len() as u64 * 1_000;
    let (mut received, mut at) = (Vec::new(), 0);
    while at < end {
        if level(at) {
            // The line is idle up to the next falling edge.
            at = (at / 1_000 + 1) * 1_000;
            continue;
        }
        let sample = |bit: u64| level(at + length / 2 + length * (bit + 1));
        received.push((0..8).fold(0, |byte, bit| byte | u8::from(sample(bit)) << bit));
        // The search for the next start bit begins in the middle of the stop bit.
        at += length / 2 + length * 9;
        while at < end && !level(at) {
            at = (at / 1_000 + 1) * 1_000;
        }
    }
    received
}
