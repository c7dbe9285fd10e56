//! Who gets told when a phase starts, stops sending, completes or times out.
//!
//! A hook watches; it cannot stop a run, and has no way to say that it failed. Hooks compose: a pair of hooks is a
//! hook, so is a `&mut dyn PhaseHook`, and `()` is the hook that does nothing.
//!
//! ```
//! use phasemeter_core::hook::PhaseHook;
//! use phasemeter_core::phase::PhaseStats;
//! use phasemeter_core::time::Instant;
//!
//! /// Counts the phases that ran out of patience.
//! #[derive(Default)]
//! struct TimeOuts(u32);
//!
//! impl PhaseHook for TimeOuts {
//!     fn on_phase_timeout(&mut self, _: &PhaseStats, _: Instant) {
//!         self.0 += 1;
//!     }
//! }
//!
//! let mut time_outs = TimeOuts::default();
//! let _hooks = (&mut time_outs, ());
//! ```

use crate::phase::PhaseStats;
use crate::time::Instant;

/// What happened to a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PhaseEvent {
    /// The phase started.
    Start,
    /// About a second passed.
    Progress,
    /// The last request of the phase was sent.
    SendingComplete,
    /// The grace period ran out; the requests in flight are about to be cancelled.
    Timeout,
    /// Every request of the phase came back or was cancelled.
    Complete,
}

/// Watches the phases of a run. A hook overrides either [`on_event`](Self::on_event) or the events that it wants; every
/// other does nothing.
///
/// # Contract
/// For each phase that starts: [`Start`](PhaseEvent::Start), then any number of [`Progress`](PhaseEvent::Progress), then
/// [`SendingComplete`](PhaseEvent::SendingComplete), any number of `Progress`, [`Timeout`](PhaseEvent::Timeout) if the
/// grace period ran out, and [`Complete`](PhaseEvent::Complete) last. `now` is the device clock and never goes backwards.
pub trait PhaseHook {
    /// Something happened: calls the method of the event.
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        match event {
            PhaseEvent::Start => self.on_phase_start(phase, now),
            PhaseEvent::Progress => self.on_progress(phase, now),
            PhaseEvent::SendingComplete => self.on_phase_sending_complete(phase, now),
            PhaseEvent::Timeout => self.on_phase_timeout(phase, now),
            PhaseEvent::Complete => self.on_phase_complete(phase, now),
        }
    }

    /// [`PhaseEvent::Start`].
    fn on_phase_start(&mut self, _phase: &PhaseStats, _now: Instant) {}

    /// [`PhaseEvent::SendingComplete`].
    fn on_phase_sending_complete(&mut self, _phase: &PhaseStats, _now: Instant) {}

    /// [`PhaseEvent::Timeout`].
    fn on_phase_timeout(&mut self, _phase: &PhaseStats, _now: Instant) {}

    /// [`PhaseEvent::Complete`].
    fn on_phase_complete(&mut self, _phase: &PhaseStats, _now: Instant) {}

    /// [`PhaseEvent::Progress`].
    fn on_progress(&mut self, _phase: &PhaseStats, _now: Instant) {}
}

impl PhaseHook for () {
    fn on_event(&mut self, _: PhaseEvent, _: &PhaseStats, _: Instant) {}
}

impl<H: PhaseHook + ?Sized> PhaseHook for &mut H {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        H::on_event(self, event, phase, now);
    }
}

impl<A: PhaseHook, B: PhaseHook> PhaseHook for (A, B) {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        self.0.on_event(event, phase, now);
        self.1.on_event(event, phase, now);
    }
}

/// Logs every event through `defmt`.
#[cfg(feature = "defmt")]
#[derive(Clone, Copy, Debug, Default)]
pub struct DefmtHook;

#[cfg(feature = "defmt")]
impl PhaseHook for DefmtHook {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        match event {
            PhaseEvent::Progress => defmt::debug!("{} at {=u64} ns: {}", phase.kind, now.as_nanos(), phase.counts),
            PhaseEvent::Timeout => {
                defmt::warn!("PHASE_TIMEOUT: {} at {=u64} ns: {}", phase.kind, now.as_nanos(), phase.counts);
            }
            _ => defmt::info!("{}: {} at {=u64} ns: {}", event, phase.kind, now.as_nanos(), phase.counts),
        }
    }
}
