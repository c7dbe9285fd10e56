//! One device's line: bytes to boots, phases and histograms, with an account of what was lost.
//!
//! A [`Session`] is fed the bytes of one source in the order in which they came. It never fails: what cannot be used
//! is counted, and what can be is kept. Every frame names its boot, and a number within it: what comes late, twice or
//! never does no harm, and is no reset.
//!
//! # What is believed
//!
//! - The device's own names: metrics, phases and instances are called what it calls them, never what a table here says.
//! - A histogram once its counts add up to its totals: see [`Mirror`].
//! - A run once everything that it told of has come: [`Session::check_whole`].
//! - Nothing that contradicts what was told before: see [`Problem`].
//!
//! # What it costs
//!
//! The memory is bounded whatever the line says: boots, phases and buckets beyond what a session keeps are refused, and a
//! [`Problem`] says so. So is the work for each byte: a whole snapshot is taken over without a copy, and is only put
//! together when it is [asked for](PhaseTelemetry::histogram). `examples/session_throughput.rs` prints what that comes to,
//! for a device in order and for the worst that a hostile one can send.

mod limits;
mod coverage;
mod value;
mod sequence;
mod counts;
mod checkpoints;
mod mirror;
mod problem;
mod table;
mod missing;
mod host_time;
mod phase;
mod boot;
mod boots;
mod line;
mod heard;
mod twice;

#[cfg(test)]
pub(crate) mod tests;

use phasemeter_core::telemetry::{Answer, Receiver};

use heard::Heard;

pub use boot::{Boot, DeviceInfo};
pub use checkpoints::Moment;
pub use coverage::CoverageCounts;
pub(crate) use coverage::ratio;
pub(crate) use host_time::HostWindow;
pub use limits::HostHistogram;
pub use line::{LineErrors, Note};
pub use mirror::Mirror;
pub use missing::{Missing, PhaseLack};
pub use phase::PhaseTelemetry;
pub use problem::Problem;
pub use sequence::Gap;
pub(crate) use table::UNNAMED;
pub(crate) use twice::seen_twice;
pub(crate) use value::{millis, outward_millis, resolved};

/// Longer than any frame of this protocol version, so that a newer version's may be recognised.
const RECEIVER_BYTES: usize = 1024;

/// One source of telemetry and what it told so far.
#[derive(Debug, Default)]
pub struct Session {
    receiver: Receiver<RECEIVER_BYTES>,
    heard: Heard,
    /// The plan that was uploaded.
    uploaded: Option<u64>,
    bytes: u64,
}

impl Session {
    /// A session that may attach at any moment, with a device that runs what it likes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A session with a device to which the plan of this hash was uploaded: runs of other plans are incomplete.
    pub fn expecting(plan_hash: u64) -> Self {
        Self { uploaded: Some(plan_hash), ..Self::default() }
    }

    /// Takes what was read from the line, and calls `note` with what is worth telling.
    pub fn feed(&mut self, bytes: &[u8], note: impl FnMut(Note)) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.take(bytes, note);
    }

    /// As [`feed`](Self::feed), with the host's time at which the bytes had come, in nanoseconds since recording began: then
    /// it is known whether devices ran a phase at the same time.
    pub fn feed_at(&mut self, at_ns: u64, bytes: &[u8], note: impl FnMut(Note)) {
        self.heard.arrived_at = Some(at_ns);
        self.feed(bytes, note);
    }

    /// The line has ended: text that no delimiter followed, such as a crash message, ends here.
    pub fn end(&mut self, note: impl FnMut(Note)) {
        self.take(&[0], note);
    }

    fn take(&mut self, mut bytes: &[u8], mut note: impl FnMut(Note)) {
        while let Some(received) = self.receiver.take(&mut bytes) {
            self.heard.receive(received, &mut note);
        }
    }

    /// The boots of the device, in the order in which they began; boots that only said hello are among them.
    pub fn boots(&self) -> &[Boot] {
        self.heard.boots.as_slice()
    }

    /// The last boot that has begun a run; if none has, the last one.
    pub fn current_boot(&self) -> Option<&Boot> {
        self.heard.boots.current()
    }

    /// The phase of the current boot that is furthest on.
    pub fn current_phase(&self) -> Option<&PhaseTelemetry> {
        self.current_boot()?.phases().next_back()
    }

    /// Who the device is, once it told.
    pub fn info(&self) -> Option<&DeviceInfo> {
        let current = self.current_boot().and_then(Boot::info);
        current.or_else(|| self.boots().iter().rev().find_map(Boot::info))
    }

    /// How often the device was started anew in mid-run: runs that did not finish, and were followed by another one.
    pub fn resets(&self) -> u64 {
        self.heard.boots.resets()
    }

    /// How many frames did not arrive, since the first of each boot that did. A frame that comes late is not lost: the
    /// number may fall.
    pub fn lost_frames(&self) -> u64 {
        self.heard.boots.lost_frames()
    }

    /// How many bytes came, frames or not.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many frames arrived.
    pub fn frames(&self) -> u64 {
        self.heard.frames
    }

    /// What came that was not a usable frame.
    pub fn errors(&self) -> &LineErrors {
        &self.heard.errors
    }

    /// What the device said that is not believed or not kept: the first of each kind.
    pub fn problems(&self) -> &[Problem] {
        &self.heard.problems
    }

    /// The last answer to a command.
    pub fn last_answer(&self) -> Option<&Answer> {
        self.heard.answer.as_ref()
    }

    /// Whether the device said that its run is over.
    pub fn is_finished(&self) -> bool {
        self.current_boot().is_some_and(|boot| boot.finished().is_some())
    }

    /// Whether the device measures itself and need not finish.
    pub fn is_endless(&self) -> bool {
        self.current_boot().is_some_and(Boot::is_monitor)
    }

    /// Whether the device was reset in mid-run, and says that it runs nothing.
    pub fn is_waiting_after_reset(&self) -> bool {
        let is_unfinished = |boot: &Boot| boot.has_begun() && boot.finished().is_none();
        let is_idle = |boot: &Boot| !boot.has_begun() && boot.info().is_some();
        self.current_boot().is_some_and(is_unfinished) && self.boots().last().is_some_and(is_idle)
    }

    /// Whether everything that the device told of has come: every run, to its end, with every phase, sample and failure.
    /// A monitor need not come to an end: its last phase is judged as of its last snapshot.
    ///
    /// # Errors
    /// What is missing.
    pub fn check_whole(&self) -> Result<(), Missing> {
        let Heard { boots, errors, problems, .. } = &self.heard;
        let runs = boots.runs();
        if runs.clone().next().is_none() {
            let nothing = boots.as_slice().is_empty();
            return Err(match nothing {
                true if errors.newer_version > 0 => Missing::Readable,
                true => Missing::Frames,
                false => Missing::Run,
            });
        }
        let infos = || runs.clone().filter_map(Boot::info);
        if let Some(uploaded) = self.uploaded
            && let Some(other) = infos().find(|info| info.plan_hash != uploaded)
        {
            return Err(Missing::Plan { uploaded, told: other.plan_hash });
        }
        if infos().any(|info| infos().next().is_some_and(|first| first.device_id != info.device_id)) {
            return Err(Missing::Problem(Problem::SeveralDevices));
        }
        if problems.contains(&Problem::TooManyBoots) {
            return Err(Missing::Problem(Problem::TooManyBoots));
        }
        match self.resets() {
            0 if self.is_waiting_after_reset() => return Err(Missing::Abandoned),
            0 => {}
            resets => return Err(Missing::Reset(resets)),
        }
        runs.clone().try_for_each(Boot::check_whole)?;
        problems.first().map_or(Ok(()), |problem| Err(Missing::Problem(*problem)))
    }
}
