//! Lines from which nothing usable comes: said while it lasts.

use std::time::{Duration, Instant};

use crate::replay::RecordedSource;

/// A device says hello every second: one of which no frame came for so long has stalled.
const STALLED: Duration = Duration::from_secs(3);
/// Bytes of which no frame is made for so long are of something else.
const UNDECODED: Duration = Duration::from_secs(2);
/// So many bytes without a delimiter are no frame.
const LONGEST_FRAME: u64 = 1_024;

/// Text may be cut within a character, or have one in another encoding.
const FEW_GARBLED: usize = 16;

/// What is known of one line.
#[derive(Debug)]
pub(super) struct Silence {
    frames: u64,
    /// When the number of frames changed last,
    since: Instant,
    /// and when the first byte came.
    first_byte: Option<Instant>,
    /// Characters of its text that are none.
    garbled: usize,
    has_told_of_bytes: bool,
    is_stalled: bool,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self { frames: 0, since: now, first_byte: None, garbled: 0, has_told_of_bytes: false, is_stalled: false }
    }

    /// The line carried what may be text.
    pub(super) fn printed(&mut self, text: &str) {
        self.garbled += text.matches(char::REPLACEMENT_CHARACTER).count();
    }

    /// What is to be said of the line now, if there is something new.
    pub(super) fn look(&mut self, source: &RecordedSource, now: Instant) -> Option<String> {
        let session = &source.session;
        let silent = now.saturating_duration_since(self.since);
        if session.frames() != self.frames {
            (self.frames, self.since) = (session.frames(), now);
            let was_stalled = std::mem::take(&mut self.is_stalled);
            return was_stalled.then(|| format!("frames come again, after {:.1} s", silent.as_secs_f64()));
        }
        if source.ended.is_some() || session.is_finished() {
            self.is_stalled = false;
            return None;
        }
        if self.frames == 0 {
            return self.undecoded(source, now);
        }
        if self.is_stalled || silent < STALLED {
            return None;
        }
        self.is_stalled = true;
        Some(format!("no frame has come for {} s", silent.as_secs()))
    }

    /// For how long the line has been stalled, if it is.
    pub(super) fn stalled_for(&self, now: Instant) -> Option<Duration> {
        self.is_stalled.then(|| now.saturating_duration_since(self.since))
    }

    fn undecoded(&mut self, source: &RecordedSource, now: Instant) -> Option<String> {
        let session = &source.session;
        if session.bytes() == 0 {
            return None;
        }
        let first_byte = *self.first_byte.get_or_insert(now);
        let errors = session.errors();
        let broken = errors.noise + errors.overlong + errors.crc_errors + errors.malformed;
        // A device that boots prints text, and frames follow.
        let is_text =
            broken == 0 && self.garbled <= FEW_GARBLED && (errors.text > 0 || session.bytes() <= LONGEST_FRAME);
        let is_early = now.saturating_duration_since(first_byte) < UNDECODED;
        if self.has_told_of_bytes || is_early || is_text || errors.newer_version > 0 {
            return None;
        }
        self.has_told_of_bytes = true;
        let is_serial = ["serial:", "pty:"].iter().any(|kind| source.identity.starts_with(kind));
        let guess = if is_serial { "wrong baud rate?" } else { "is it telemetry?" };
        Some(format!("bytes arrive, no frame decodes: {guess}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::device::loaded;
    use crate::session::{Note, Session};

    fn source(identity: &str) -> RecordedSource {
        RecordedSource { identity: identity.to_owned(), session: Session::new(), faults: None, ended: None }
    }

    fn seconds(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn bytes_that_make_no_frame_are_told_of_once_after_two_seconds() {
        for (identity, guess) in [("serial:/dev/ttyUSB0@9600", "wrong baud rate?"), ("tcp:host:1", "is it telemetry?")]
        {
            let (mut source, start) = (source(identity), Instant::now());
            let mut silence = Silence::new(start);
            assert_eq!(silence.look(&source, seconds(start, 5)), None, "nothing came");
            // What a UART makes of another baud rate.
            source.session.feed(&[0xf8, 0x80, 0x00, 0x78, 0xfe, 0x00], |_| {});
            assert_eq!(silence.look(&source, seconds(start, 6)), None);
            let told = silence.look(&source, seconds(start, 8));
            assert_eq!(told, Some(format!("bytes arrive, no frame decodes: {guess}")));
            assert_eq!(silence.look(&source, seconds(start, 20)), None);
        }
    }

    #[test]
    fn bytes_without_a_delimiter_are_told_of_and_text_is_not() {
        let (mut noise, mut text, start) = (source("pty:x"), source("pty:x"), Instant::now());
        let look = |source: &mut RecordedSource, bytes: &[u8]| {
            let mut silence = Silence::new(start);
            source.session.feed(bytes, |note| {
                if let Note::Text(text) = note {
                    silence.printed(&text);
                }
            });
            silence.look(source, start);
            silence.look(source, seconds(start, 3))
        };
        assert!(look(&mut noise, &[0xff; 2_000]).is_some());
        assert_eq!(look(&mut text, &"rst:0x1 (POWERON_RESET), größe\n\0".repeat(100).into_bytes()), None);
    }

    #[test]
    fn a_stall_is_told_of_at_its_begin_and_at_its_end() {
        let frames = &loaded("d", 1, &[vec![1_000; 20]])[0].frames;
        let (mut source, start) = (source("tcp:host:1"), Instant::now());
        let mut silence = Silence::new(start);
        source.session.feed(&frames[0], |_| {});
        let told: Vec<_> = (0..=7).map(|second| silence.look(&source, seconds(start, second))).collect();
        assert_eq!(told.iter().flatten().collect::<Vec<_>>(), ["no frame has come for 3 s"]);
        assert!(told[3].is_some());
        assert_eq!(silence.stalled_for(seconds(start, 7)), Some(Duration::from_secs(7)));
        source.session.feed(&frames[1], |_| {});
        let again = silence.look(&source, seconds(start, 8));
        assert_eq!(again.as_deref(), Some("frames come again, after 8.0 s"));
        assert_eq!(silence.stalled_for(seconds(start, 8)), None);
        // A device that is done may be silent.
        frames[2..].iter().for_each(|frame| source.session.feed(frame, |_| {}));
        assert!((9..60).all(|second| silence.look(&source, seconds(start, second)).is_none()));
    }
}
