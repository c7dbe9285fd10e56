//! Who gets told when a phase starts, stops sending, completes or times out.
//!
//! A hook watches; it cannot stop a run, and has no way to say that it failed. Hooks compose: a pair of hooks is a
//! hook, so is a `&mut dyn PhaseHook`, and `()` is the hook that does nothing.
//!
//! ```
//! use phasemeter_core::hook::PhaseHook;
//! use phasemeter_core::phase::PhaseStats;
//! use phasemeter_core::time::Nanos;
//!
//! /// Counts the phases that ran out of patience.
//! #[derive(Default)]
//! struct TimeOuts(u32);
//!
//! impl PhaseHook for TimeOuts {
//!     fn on_phase_timeout(&mut self, _: &PhaseStats, _: Nanos) {
//!         self.0 += 1;
//!     }
//! }
//!
//! let mut time_outs = TimeOuts::default();
//! let _hooks = (&mut time_outs, ());
//! ```

use crate::phase::PhaseStats;
use crate::time::Nanos;

/// Watches the phases of a run. Every method does nothing unless it is overridden.
///
/// # Contract
/// For each phase that starts: `on_phase_start`, then any number of `on_progress`, then `on_phase_sending_complete`,
/// any number of `on_progress`, `on_phase_timeout` if the grace period ran out, and `on_phase_complete` last.
/// `now` is the device clock and never goes backwards.
pub trait PhaseHook {
    /// The phase started.
    fn on_phase_start(&mut self, _phase: &PhaseStats, _now: Nanos) {}

    /// The last request of the phase was sent.
    fn on_phase_sending_complete(&mut self, _phase: &PhaseStats, _now: Nanos) {}

    /// The grace period ran out; the requests in flight are about to be cancelled.
    fn on_phase_timeout(&mut self, _phase: &PhaseStats, _now: Nanos) {}

    /// Every request of the phase came back or was cancelled.
    fn on_phase_complete(&mut self, _phase: &PhaseStats, _now: Nanos) {}

    /// About a second passed.
    fn on_progress(&mut self, _phase: &PhaseStats, _now: Nanos) {}
}

impl PhaseHook for () {}

impl<H: PhaseHook + ?Sized> PhaseHook for &mut H {
    fn on_phase_start(&mut self, phase: &PhaseStats, now: Nanos) {
        H::on_phase_start(self, phase, now);
    }

    fn on_phase_sending_complete(&mut self, phase: &PhaseStats, now: Nanos) {
        H::on_phase_sending_complete(self, phase, now);
    }

    fn on_phase_timeout(&mut self, phase: &PhaseStats, now: Nanos) {
        H::on_phase_timeout(self, phase, now);
    }

    fn on_phase_complete(&mut self, phase: &PhaseStats, now: Nanos) {
        H::on_phase_complete(self, phase, now);
    }

    fn on_progress(&mut self, phase: &PhaseStats, now: Nanos) {
        H::on_progress(self, phase, now);
    }
}

impl<A: PhaseHook, B: PhaseHook> PhaseHook for (A, B) {
    fn on_phase_start(&mut self, phase: &PhaseStats, now: Nanos) {
        self.0.on_phase_start(phase, now);
        self.1.on_phase_start(phase, now);
    }

    fn on_phase_sending_complete(&mut self, phase: &PhaseStats, now: Nanos) {
        self.0.on_phase_sending_complete(phase, now);
        self.1.on_phase_sending_complete(phase, now);
    }

    fn on_phase_timeout(&mut self, phase: &PhaseStats, now: Nanos) {
        self.0.on_phase_timeout(phase, now);
        self.1.on_phase_timeout(phase, now);
    }

    fn on_phase_complete(&mut self, phase: &PhaseStats, now: Nanos) {
        self.0.on_phase_complete(phase, now);
        self.1.on_phase_complete(phase, now);
    }

    fn on_progress(&mut self, phase: &PhaseStats, now: Nanos) {
        self.0.on_progress(phase, now);
        self.1.on_progress(phase, now);
    }
}

/// Logs every event through `defmt`.
#[cfg(feature = "defmt")]
#[derive(Clone, Copy, Debug, Default)]
pub struct DefmtHook;

#[cfg(feature = "defmt")]
impl PhaseHook for DefmtHook {
    fn on_phase_start(&mut self, phase: &PhaseStats, now: Nanos) {
        defmt::info!("PHASE_START: {} at {=u64} ns", phase.kind, now.get());
    }

    fn on_phase_sending_complete(&mut self, phase: &PhaseStats, now: Nanos) {
        defmt::info!("PHASE_SENDING_COMPLETE: {} at {=u64} ns: {}", phase.kind, now.get(), phase.counts);
    }

    fn on_phase_timeout(&mut self, phase: &PhaseStats, now: Nanos) {
        defmt::warn!("PHASE_TIMEOUT: {} at {=u64} ns: {}", phase.kind, now.get(), phase.counts);
    }

    fn on_phase_complete(&mut self, phase: &PhaseStats, now: Nanos) {
        defmt::info!("PHASE_COMPLETE: {} at {=u64} ns: {}", phase.kind, now.get(), phase.counts);
    }

    fn on_progress(&mut self, phase: &PhaseStats, now: Nanos) {
        defmt::debug!("{} at {=u64} ns: {}", phase.kind, now.get(), phase.counts);
    }
}
