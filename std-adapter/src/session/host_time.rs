//! When a phase ran on the host's clock, as far as the times at which frames arrived tell.
//!
//! A frame arrives after it was made. How long after is not known, but of all frames of a boot the one that took the least
//! took hardly any time: the difference between its arrival and the device's time puts the device's clock on the host's, late by
//! that least delay and by nothing else. A clock that drifts makes the bounds wider, never wrong. This does not hold for what was
//! kept somewhere and comes all at once, as from a file: there the first report of a phase comes late by most of the phase, and
//! nothing is concluded.

use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::time::Instant;

/// A report that comes later than by this part of its phase was not sent live.
const LATE_PART: i128 = 4;

/// A phase on the host's clock, in nanoseconds since recording began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostWindow {
    /// It began at the earliest at the first, and at the latest at the second.
    pub(crate) start: (i128, i128),
    /// It ran at least until then,
    pub(crate) end: i128,
    /// and was over by then; `None` if its end was not seen.
    pub(crate) over: Option<i128>,
}

/// When the reports of a phase arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    /// The first that said that it had begun, and the device's time of it;
    started: Option<(u64, Instant)>,
    /// the first that said that it was over.
    over: Option<u64>,
    /// The device's time of the last.
    told: Option<Instant>,
}

impl Arrivals {
    /// A newer report arrived at `at_ns` on the host's clock, made at `uptime` on the device's.
    pub(super) fn take(&mut self, stats: &PhaseStats, uptime: Instant, at_ns: u64) {
        if stats.started_at.is_some() {
            self.started.get_or_insert((at_ns, uptime));
        }
        if stats.state == PhaseState::Complete {
            self.over.get_or_insert(at_ns);
        }
        self.told = Some(uptime);
    }

    /// The phase on the host's clock, which shows `offset` more than the device's.
    pub(super) fn window(&self, stats: &PhaseStats, offset: i128) -> Option<HostWindow> {
        let on_host = |time: Instant| i128::from(time.as_nanos()) + offset;
        let (started, told) = self.started?;
        let (started, over) = (i128::from(started), self.over.map(i128::from));
        // A report of what is yet to come is not believed.
        let end = on_host(stats.completed_at.or(self.told)?);
        let end = over.map_or(end, |over| end.min(over));
        let earliest = on_host(stats.started_at?).min(started);
        let is_live = (started - on_host(told)) * LATE_PART <= end - earliest;
        is_live.then_some(HostWindow { start: (earliest, started), end, over })
    }
}
