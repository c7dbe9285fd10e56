//! One device's line: bytes to boots, phases and histograms, with an account of what was lost.
//!
//! A [`Session`] is fed the bytes of one source in the order in which they came. It never fails: what cannot be used
//! is counted, and what can be is kept. What it holds is bounded, whatever the line says.

mod boot;
mod mirror;

use phasemeter_core::phase::PhaseStats;
use phasemeter_core::telemetry::{Answer, DecodeError, Envelope, Frame, Received, Receiver};
use phasemeter_core::time::Nanos;

pub use boot::{Boot, DeviceInfo, PhaseRecord};
pub use mirror::{HostHistogram, Mirror};

/// Longer than any frame of this protocol version, so that a newer version's may be recognised.
const RECEIVER_BYTES: usize = 1024;
/// Of more gaps than these only the number of lost frames is kept.
const MAX_GAPS: usize = 1_000;
/// Of a device that resets more often, the boots in the middle are forgotten.
const MAX_BOOTS: usize = 16;

/// A stretch of frames that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The boot, counted from 0, in which it happened.
    pub boot: usize,
    /// The sequence number of the first frame that is missing.
    pub first_sequence: u32,
    /// How many are missing.
    pub frames: u32,
    /// Device time of the frame after the gap, in nanoseconds since boot.
    pub uptime_ns: u64,
}

/// What came over the line that was not a usable frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineErrors {
    /// Frames whose checksum did not match.
    pub crc_errors: u64,
    /// Segments that were no frames.
    pub noise: u64,
    /// Segments longer than any frame.
    pub overlong: u64,
    /// Whole frames whose content made no sense.
    pub malformed: u64,
    /// Frames of a newer protocol version.
    pub newer_version: u64,
    /// Frames of an unknown kind.
    pub unknown_kind: u64,
    /// Lines and pieces of text between frames.
    pub text: u64,
}

/// Something worth telling the user as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Text that the device printed.
    Text(String),
    /// Frames are missing.
    Gap(Gap),
    /// The device started anew in mid-run.
    Reset,
    /// A phase was reported: its state and counts, and the device's time when it said so.
    Phase(PhaseStats, Nanos),
    /// The first segment of its kind that could not be used; the others are counted.
    Unusable(String),
}

/// One source of telemetry and what it told so far.
#[derive(Debug, Default)]
pub struct Session {
    receiver: Receiver<RECEIVER_BYTES>,
    boots: Vec<Boot>,
    gaps: Vec<Gap>,
    lost_frames: u64,
    errors: LineErrors,
    frames: u64,
    resets: u64,
}

impl Session {
    /// A session that may attach at any moment of a run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read from the line, and calls `note` with what is worth telling.
    pub fn feed(&mut self, bytes: &[u8], mut note: impl FnMut(Note)) {
        // The receiver lends its buffer to what it gives, so it steps out of the session meanwhile.
        let mut receiver = std::mem::take(&mut self.receiver);
        for &byte in bytes {
            match receiver.push(byte) {
                None => {}
                Some(Received::Frame(envelope)) => self.take(envelope, &mut note),
                Some(Received::Text(text)) => {
                    self.errors.text += 1;
                    note(Note::Text(String::from_utf8_lossy(text).into_owned()));
                }
                Some(Received::Broken(error)) => self.take_broken(error, &mut note),
                Some(Received::Overlong(length)) => {
                    first(&mut self.errors.overlong, &mut note, || format!("{length} bytes without a frame's end"));
                }
                Some(_) => self.errors.noise += 1,
            }
        }
        self.receiver = receiver;
    }

    /// The boots of the device, in order; one, unless it was reset.
    pub fn boots(&self) -> &[Boot] {
        &self.boots
    }

    /// How often the device started anew in mid-run.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// The stretches of frames that did not arrive: the first thousand.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many frames did not arrive, since the first that did.
    pub fn lost_frames(&self) -> u64 {
        self.lost_frames
    }

    /// How many frames arrived.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// What came that was not a usable frame.
    pub fn errors(&self) -> &LineErrors {
        &self.errors
    }

    /// Whether the device said that its run is over.
    pub fn is_finished(&self) -> bool {
        self.boots.last().is_some_and(|boot| boot.finished.is_some())
    }

    /// The last answer to a command.
    pub fn last_answer(&self) -> Option<&Answer> {
        self.boots.last()?.answer.as_ref()
    }

    /// Whether the device was reset, and says that it has no plan to run.
    pub fn is_waiting_after_reset(&self) -> bool {
        let last = self.boots.last().and_then(|boot| boot.info.as_ref());
        self.resets > 0 && last.is_some_and(|info| info.phases == 0)
    }

    /// Who the device is, once it told.
    pub fn info(&self) -> Option<&DeviceInfo> {
        self.boots.iter().rev().find_map(|boot| boot.info.as_ref())
    }

    /// Whether every phase of the run was seen to its end, with all samples or not.
    pub fn saw_every_end(&self) -> bool {
        self.resets < MAX_BOOTS as u64 && !self.boots.is_empty() && self.boots.iter().all(Boot::saw_every_end)
    }

    /// The phase that was told of last, with its record.
    pub fn current_phase(&self) -> Option<&PhaseRecord> {
        self.boots.last()?.phases.values().next_back()
    }

    /// Whether the whole run was received.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn check_whole(&self) -> Result<(), String> {
        match self.boots.as_slice() {
            [] if self.errors.newer_version > 0 => {
                Err("all its frames are of a newer protocol version: use a newer phasemeter".into())
            }
            [] => Err("no frame was received: is it the right source, at the right baud rate?".into()),
            [boot] => boot.check_whole(),
            _ => Err(format!("it was reset in mid-run, {} in all", times(self.resets))),
        }
    }

    fn take(&mut self, envelope: Envelope<'_>, note: &mut impl FnMut(Note)) {
        self.frames += 1;
        let uptime = envelope.uptime.get();
        let boot_id = match &envelope.frame {
            Frame::Hello(hello) => Some(hello.boot_id),
            _ => None,
        };
        if self.is_new_boot(boot_id, envelope.sequence, uptime) {
            if !self.boots.is_empty() {
                note(Note::Reset);
            }
            if let Some(ended) = self.boots.last_mut() {
                self.resets += 1;
                ended.close();
            }
            if self.boots.len() == MAX_BOOTS {
                self.boots.pop();
            }
            self.boots.push(Boot { next_sequence: envelope.sequence, ..Boot::default() });
        }
        self.account(envelope.sequence, Some(uptime), note);
        let Some(boot) = self.boots.last_mut() else { return };
        let reported = match &envelope.frame {
            Frame::Phase(report) => Some(report.stats),
            _ => None,
        };
        if boot.take(envelope.frame) {
            if let Some(stats) = reported {
                note(Note::Phase(stats, envelope.uptime));
            }
        } else {
            first(&mut self.errors.malformed, note, || "a frame whose content makes no sense".into());
        }
    }

    /// Notes which frames are missing before this one. One that comes late, or twice, closes no gap.
    fn account(&mut self, sequence: u32, uptime: Option<u64>, note: &mut impl FnMut(Note)) {
        let boot_index = self.boots.len().saturating_sub(1);
        let Some(boot) = self.boots.last_mut() else { return };
        let frames = sequence.wrapping_sub(boot.next_sequence);
        if frames > u32::MAX / 2 {
            return;
        }
        let uptime_ns = uptime.unwrap_or(boot.last_uptime);
        if frames > 0 {
            let gap = Gap { boot: boot_index, first_sequence: boot.next_sequence, frames, uptime_ns };
            self.lost_frames = self.lost_frames.saturating_add(u64::from(frames));
            if self.gaps.len() < MAX_GAPS {
                self.gaps.push(gap);
            }
            note(Note::Gap(gap));
        }
        boot.next_sequence = sequence.wrapping_add(1);
        boot.last_uptime = uptime_ns;
    }

    /// A frame belongs to a new boot if it says so, or if both its number and its time are behind the last one's.
    fn is_new_boot(&self, boot_id: Option<u64>, sequence: u32, uptime: u64) -> bool {
        let Some(boot) = self.boots.last() else { return true };
        let behind = sequence.wrapping_sub(boot.next_sequence) > u32::MAX / 2;
        let other_id = boot_id.is_some() && boot.id.is_some() && boot_id != boot.id;
        other_id || (behind && uptime < boot.last_uptime)
    }

    fn take_broken(&mut self, error: DecodeError, note: &mut impl FnMut(Note)) {
        if let DecodeError::NewerVersion { sequence, .. } | DecodeError::UnknownKind { sequence, .. } = error {
            // The frame arrived; it is only not understood.
            self.account(sequence, None, note);
        }
        let count = match error {
            DecodeError::Checksum => &mut self.errors.crc_errors,
            DecodeError::NewerVersion { .. } => &mut self.errors.newer_version,
            DecodeError::UnknownKind { .. } => &mut self.errors.unknown_kind,
            DecodeError::Malformed => &mut self.errors.malformed,
            _ => &mut self.errors.noise,
        };
        first(count, note, || error.to_string());
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// What a device or a user wrote, with nothing in it that controls a terminal or turns the order of characters.
pub fn printable(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_harmful = |c: char| turns(c) || (c.is_control() && c != '\t');
    text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// Counts, and tells of the first.
fn first(count: &mut u64, note: &mut impl FnMut(Note), say: impl FnOnce() -> String) {
    if *count == 0 {
        note(Note::Unusable(say()));
    }
    *count += 1;
}
