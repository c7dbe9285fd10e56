//! The boots of a device, in order and bounded.

use phasemeter_core::time::Instant;

use super::boot::Boot;
use super::limits::MAX_BOOTS;

/// The boots that were heard of: in the order in which they began; those that have not, in that in which they were
/// heard of first.
#[derive(Debug, Default)]
pub(super) struct Boots {
    kept: Vec<Boot>,
    /// The place of the boot that was looked for last.
    place: usize,
    /// Of boots that are not kept: runs that did not finish, and frames that did not come.
    forgotten: (u64, u64),
}

impl Boots {
    pub(super) fn as_slice(&self) -> &[Boot] {
        &self.kept
    }

    /// The boots in which something was measured.
    pub(super) fn runs(&self) -> impl DoubleEndedIterator<Item = &Boot> + Clone {
        self.kept.iter().filter(|boot| boot.has_begun())
    }

    /// The last run; if there is none, the last boot.
    pub(super) fn current(&self) -> Option<&Boot> {
        self.runs().next_back().or(self.kept.last())
    }

    /// Runs that did not finish, and were followed by another one.
    pub(super) fn resets(&self) -> u64 {
        let unfinished = self.runs().rev().skip(1).filter(|boot| boot.finished().is_none()).count();
        self.forgotten.0 + unfinished as u64
    }

    pub(super) fn lost_frames(&self) -> u64 {
        self.kept.iter().map(Boot::lost_frames).fold(self.forgotten.1, u64::saturating_add)
    }

    /// The boot of this id, if there is one.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Boot> {
        if self.kept.get(self.place).is_none_or(|boot| boot.id() != id) {
            self.place = self.kept.iter().rposition(|boot| boot.id() == id)?;
        }
        self.kept.get_mut(self.place)
    }

    /// Adds a boot of which this frame is the first that came; tells whether a run had to be forgotten for it.
    pub(super) fn add(&mut self, id: u32, sequence: u32, uptime: Instant) -> bool {
        let mut has_forgotten = false;
        if self.kept.len() >= MAX_BOOTS {
            // One that only said hello, or the run that was the last until now.
            let idle = self.kept.iter().position(|boot| !boot.has_begun());
            let boot = self.kept.remove(idle.unwrap_or(self.kept.len() - 1));
            has_forgotten = boot.has_begun();
            self.forgotten.0 += u64::from(has_forgotten && boot.finished().is_none());
            self.forgotten.1 = self.forgotten.1.saturating_add(boot.lost_frames());
        }
        self.place = self.kept.len();
        self.kept.push(Boot::new(id, sequence, uptime));
        has_forgotten
    }

    /// The boot that was looked for last begins a run: it is the last one now. Tells whether the run before did not finish.
    pub(super) fn begin(&mut self) -> bool {
        let after_reset = self.runs().next_back().is_some_and(|boot| boot.finished().is_none());
        let mut boot = self.kept.remove(self.place);
        boot.begin();
        self.place = self.kept.len();
        self.kept.push(boot);
        after_reset
    }
}
