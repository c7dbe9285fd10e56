//! What a receiver makes of the bytes on a line, timed: the frames of a run, and whatever else may come.

use std::hint::black_box;
use std::iter::repeat_with;
use std::time::Instant;

use phasemeter_core::telemetry::{Envelope, Frame, MAX_ENCODED, Received, Receiver};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::device::Device;

/// The buffer of a host's receiver.
const BUFFER: usize = 1024;
/// How many bytes a host reads at once.
const READ: usize = 8192;
/// How long a line is: enough for the clock, and few enough for the cache.
const LENGTH: usize = 1 << 18;
const SEED: u64 = 0x6c69_6e65;

/// What is on a line.
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The frames of a run, then what is hostile.
pub fn lines() -> [Line; 9] {
    let device = Device { id: "bench", boot_id: 1, seed: SEED, requests: 20_000, line_bytes: usize::MAX };
    let frames = device.bytes();
    let mut damaged = frames.clone();
    for frame in damaged.split_mut(|byte| *byte == 0).filter(|frame| !frame.is_empty()) {
        let byte = &mut frame[frame.len() / 2];
        // Not to a delimiter.
        *byte ^= if *byte == 1 { 2 } else { 1 };
    }
    let broken_stuffing = [&[u8::MAX][..], &[1; MAX_ENCODED - 3], &[0]].concat();
    let stuffed_zeros = [&[1; MAX_ENCODED - 2][..], &[0]].concat();
    let mut random = StdRng::seed_from_u64(SEED);
    [
        Line { name: "frames of a run", bytes: repeat(&frames) },
        Line { name: "damaged frames", bytes: repeat(&damaged) },
        Line { name: "broken stuffing", bytes: repeat(&broken_stuffing) },
        Line { name: "stuffed zeros", bytes: repeat(&stuffed_zeros) },
        Line { name: "noise", bytes: repeat_with(|| random.random()).take(LENGTH).collect() },
        Line { name: "text", bytes: repeat(b"[12.345] heap 12,345 bytes free, 3 connections\r\n") },
        Line { name: "no delimiters", bytes: repeat(&[1]) },
        Line { name: "only delimiters", bytes: repeat(&[0]) },
        Line { name: "segments of a byte", bytes: repeat(&[1, 0]) },
    ]
}

fn repeat(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().cycle().take(LENGTH).collect()
}

/// How many bytes a receiver takes in a microsecond, which are megabytes in a second. The counts of each frame are read.
#[expect(clippy::cast_precision_loss, reason = "bytes and nanoseconds are far below 2^53")]
pub fn megabytes_a_second(line: &[u8]) -> f64 {
    let started = Instant::now();
    receive(black_box(line));
    line.len() as f64 * 1e3 / started.elapsed().as_nanos() as f64
}

#[inline(never)]
fn receive(line: &[u8]) {
    let mut receiver = Receiver::<BUFFER>::new();
    for mut bytes in line.chunks(READ) {
        while let Some(received) = receiver.take(&mut bytes) {
            match received {
                Received::Frame(envelope) => read(&envelope),
                other => _ = black_box(&other),
            }
        }
    }
}

fn read(envelope: &Envelope<'_>) {
    if let Frame::Buckets(buckets) = &envelope.frame {
        let mut sum = 0_u64;
        buckets.for_each(|_, count| sum = sum.wrapping_add(count)).expect("the device sends counts that can be read");
        black_box(sum);
    }
    black_box(envelope);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a receiver finds frames, text and segments that are neither.
    fn seen(line: &[u8]) -> [bool; 3] {
        let mut receiver = Receiver::<BUFFER>::new();
        let (mut bytes, mut seen) = (line, [false; 3]);
        while let Some(received) = receiver.take(&mut bytes) {
            match received {
                Received::Frame(_) => seen[0] = true,
                Received::Text(_) => seen[1] = true,
                _ => seen[2] = true,
            }
        }
        seen
    }

    #[test]
    fn every_line_is_what_its_name_says() {
        for line in lines() {
            assert_eq!(line.bytes.len(), LENGTH);
            let expected = match line.name {
                "frames of a run" => [true, false, false],
                "text" => [false, true, false],
                "noise" => [false, true, true],
                "no delimiters" | "only delimiters" => [false; 3],
                _ => [false, false, true],
            };
            assert_eq!(seen(&line.bytes), expected, "{}", line.name);
        }
    }
}
