//! Bytes to bytes with faults, without a line.

use super::FaultSpec;

/// A frame that is longer passes in pieces: whatever comes over the line, no more is held back.
const LONGEST: usize = 4_096;
/// A frame comes so many frames late at most.
const LATEST: u64 = 8;
/// So many bytes of noise come at once at most.
const MOST_NOISE: u64 = 32;

/// Injects faults into a stream of bytes: see [`FaultSpec`] for which.
///
/// It holds back at most an unfinished frame and those that come late.
#[derive(Clone, Debug)]
pub struct FaultInjector {
    spec: FaultSpec,
    random: Random,
    /// The frame that is not whole yet.
    frame: Vec<u8>,
    /// Whether that has more than delimiters.
    has_content: bool,
    /// Frames that come late, and after how many others.
    late: Vec<(u64, Vec<u8>)>,
}

impl FaultInjector {
    /// An injector of these faults.
    pub fn new(spec: &FaultSpec) -> Self {
        let random = Random(spec.seed);
        Self { spec: spec.clone(), random, frame: Vec::new(), has_content: false, late: Vec::new() }
    }

    /// Takes the next bytes of the stream, and appends to `out` what comes of it.
    pub fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            self.frame.push(byte);
            let is_whole = byte == 0 && self.has_content;
            self.has_content |= byte != 0;
            if is_whole || self.frame.len() == LONGEST {
                self.take_frame(out);
            }
        }
    }

    /// The stream has ended: appends to `out` what was held back.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.frame.is_empty() {
            self.take_frame(out);
        }
        self.late.sort_by_key(|(after, _)| *after);
        self.late.drain(..).for_each(|(_, frame)| out.extend(frame));
    }

    fn take_frame(&mut self, out: &mut Vec<u8>) {
        let mut frame = std::mem::take(&mut self.frame);
        self.has_content = false;
        let Self { spec, random, .. } = self;
        if random.happens(spec.noise) {
            let length = 1 + random.below(MOST_NOISE);
            out.extend((0..length).map(|_| random.next().to_le_bytes()[0]));
        }
        if random.happens(spec.text) {
            out.extend_from_slice(format!("warning: {} in task {}\r\n", random.next(), random.below(9)).as_bytes());
        }
        if random.happens(spec.drop) {
            return self.pass_time(out);
        }
        if random.happens(spec.truncate) {
            let length = frame.len() as u64;
            frame.truncate(usize::try_from(random.below(length)).unwrap_or(0));
        }
        if spec.lose > 0.0 {
            frame.retain(|_| !random.happens(spec.lose));
        }
        if spec.flip > 0.0 {
            for byte in &mut frame {
                if random.happens(spec.flip) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        if random.happens(spec.dup) {
            self.late.push((1 + random.below(LATEST), frame.clone()));
        }
        if random.happens(spec.reorder) {
            self.late.push((1 + random.below(LATEST), frame));
        } else {
            out.extend(frame);
        }
        self.pass_time(out);
    }

    /// A frame has come, or was to come.
    fn pass_time(&mut self, out: &mut Vec<u8>) {
        // What was held back just now waits for the next one.
        self.late.retain_mut(|(after, frame)| {
            let is_due = *after == 0;
            if is_due {
                out.append(frame);
            } else {
                *after -= 1;
            }
            !is_due
        });
    }
}

/// `SplitMix64`: the same numbers on every machine, in every version.
///
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is small and not zero.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn happens(&mut self, rate: f64) -> bool {
        rate > 0.0 && ((self.next() >> 11) as f64) < rate * (1_u64 << 53) as f64
    }
}
