//! What came out of the receiver, frame by frame.

use phasemeter_core::telemetry::{Answer, DecodeError, Envelope, Frame, Hello, Mode, Received};

use super::boots::Boots;
use super::limits::Room;
use super::line::{LineErrors, Note};
use super::problem::Problem;

/// What a session has heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) boots: Boots,
    pub(super) answer: Option<Answer>,
    /// The first of each kind.
    pub(super) problems: Vec<Problem>,
    pub(super) errors: LineErrors,
    pub(super) frames: u64,
    /// The host's time at which what is received now has come.
    pub(super) arrived_at: Option<u64>,
    room: Room,
}

impl Heard {
    pub(super) fn receive(&mut self, received: Received<'_>, note: &mut impl FnMut(Note)) {
        match received {
            Received::Frame(envelope) => self.take(&envelope, note),
            Received::Text(text) => {
                self.errors.text += 1;
                note(Note::Text(String::from_utf8_lossy(text).into_owned()));
            }
            Received::Broken(error) => self.take_broken(error, note),
            Received::Overlong(length) => {
                first(&mut self.errors.overlong, note, || format!("{length} bytes without a frame's end"));
            }
            _ => self.errors.noise += 1,
        }
    }

    fn take(&mut self, envelope: &Envelope<'_>, note: &mut impl FnMut(Note)) {
        self.frames += 1;
        let Envelope { boot: id, sequence, uptime, ref frame, .. } = *envelope;
        if self.boots.get_mut(id).is_none() && self.boots.add(id, sequence, uptime) {
            self.refuse(Problem::TooManyBoots, note);
        }
        let Some(boot) = self.boots.get_mut(id) else { return };
        let Some(place) = boot.sequence_mut().take(sequence, uptime) else {
            return self.refuse(Problem::Numbering, note);
        };
        if let Some(gap) = place.gap {
            note(Note::Gap(gap));
        }
        if let Some(at_ns) = self.arrived_at {
            boot.arrived(uptime, at_ns);
        }
        let begins = match frame {
            Frame::Hello(Hello { mode, .. }) => *mode != Mode::Idle,
            Frame::Metrics(_) | Frame::Answer(_) => false,
            _ => true,
        };
        if begins && !boot.has_begun() {
            note(Note::Begin { after_reset: self.boots.begin() });
        }
        if let Frame::Answer(answer) = frame {
            self.answer = Some(*answer);
        }
        let Some(boot) = self.boots.get_mut(id) else { return };
        match boot.take(place.number, frame, &mut self.room) {
            Ok(false) => {}
            Ok(true) => {
                let Frame::Phase(report) = frame else { return };
                if let Some(at_ns) = self.arrived_at {
                    boot.told_phase(report.stats.index, uptime, at_ns);
                }
                if self.boots.current().is_some_and(|current| current.id() == id) {
                    note(Note::Phase(report.stats, uptime));
                }
            }
            Err(problem) => self.refuse(problem, note),
        }
    }

    fn take_broken(&mut self, error: DecodeError, note: &mut impl FnMut(Note)) {
        if let DecodeError::NewerVersion { boot, sequence, .. } | DecodeError::UnknownKind { boot, sequence, .. } =
            error
            && let Some(boot) = self.boots.get_mut(boot)
            && let Some(gap) = boot.sequence_mut().take_unknown(sequence)
        {
            // The frame arrived; it is only not understood.
            note(Note::Gap(gap));
        }
        first(self.errors.of(error), note, || error.to_string());
    }

    /// Counts a frame that is not believed, and tells of the first of its kind.
    fn refuse(&mut self, problem: Problem, note: &mut impl FnMut(Note)) {
        self.errors.malformed += u64::from(problem.is_malformed());
        let kind = std::mem::discriminant(&problem);
        if self.problems.iter().all(|known| std::mem::discriminant(known) != kind) {
            self.problems.push(problem);
            note(Note::Problem(problem));
        }
    }
}

/// Counts, and tells of the first.
fn first(count: &mut u64, note: &mut impl FnMut(Note), say: impl FnOnce() -> String) {
    if *count == 0 {
        note(Note::Unusable(say()));
    }
    *count += 1;
}
