//! Measuring a firmware that generates no load: its own metrics, in phases that its code opens and closes.
//!
//! ```
#![doc = include_str!("../examples/monitor.rs")]
//! ```
//!
//! The phases have any names: "boot", "idle", "flash write". One that is never closed is fine: a host that records an
//! endless phase reports it as of the last snapshot. On a line that is cut or slow the load of telemetry is bounded, and
//! what is lost costs time resolution, never totals.
//!
//! # From an interrupt
//!
//! Recording takes a hundred and fifty instructions or so, and must not be interrupted by itself. Two ways:
//!
//! - *In a critical section*: the monitor in a `critical_section::Mutex<RefCell<…>>`, recorded to from anywhere. A report
//!   is made within [`Monitor::poll`] and walks a histogram: interrupts wait for that long.
//! - *Through a queue*: the interrupt puts times into a `heapless::spsc::Queue`, and the main loop records them. The
//!   interrupt takes a few instructions and never waits. If the queue is full, count that with a metric of its own.
//!
//! `tests/probe/src/bin` of the repository has both, and a firmware of async tasks, for a Cortex-M: `interrupt_critical_section`,
//! `interrupt_queue` and `embassy`. They are run in QEMU, where every value of the interrupt arrives.

use core::fmt;

use embedded_io::{Write, WriteReady};

use crate::histogram::LatencyHistogram;
use crate::meter::Meter;
use crate::metric::Metric;
use crate::name::Name;
use crate::phase::{Phase, PhaseState, PhaseStats};
use crate::plan::PhaseKind;
use crate::telemetry::{DrainError, Identity, Mode, RunFacts, TelemetryConfig, TxQueue, Uplink};
use crate::time::{Duration, Instant};

/// The memory of a [`Monitor`]: `M` histograms of `N` buckets and `Q` bytes that wait for the line.
///
/// All its bytes are zero at first, so that one in static memory takes no flash. `Q` is at least
/// [`MAX_ENCODED`](crate::telemetry::MAX_ENCODED).
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Storage<const M: usize, const N: usize, const Q: usize> {
    meter: Meter<M, N>,
    queue: TxQueue<Q>,
}

impl<const M: usize, const N: usize, const Q: usize> Storage<M, N, Q> {
    /// Memory that is not in use.
    pub const fn new() -> Self {
        const { Self { meter: Meter::new(), queue: TxQueue::new() } }
    }
}

impl<const M: usize, const N: usize, const Q: usize> Default for Storage<M, N, Q> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a phase cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// Another phase is open: close it first.
    Open,
    /// The phase before was closed and is not yet reported whole: poll, send what waits, and try again. After
    /// [`TelemetryConfig::line_patience`] its end is given up.
    Unreported,
    /// There were 65,536 phases since boot, and the monitor was not made for more.
    TooMany,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "a phase is open: close it first",
            Self::Unreported => "the phase before is not yet reported whole: poll, send what waits, and try again",
            Self::TooMany => "there were 65,536 phases since boot: reset the device",
        })
    }
}

impl core::error::Error for OpenError {}

/// A device that measures itself: see the [module](self).
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Monitor<'a, const M: usize, const N: usize, const Q: usize> {
    meter: &'a mut Meter<M, N>,
    uplink: Uplink<'a, M, Q>,
    /// How many phases were opened.
    opened: u32,
}

impl<'a, const M: usize, const N: usize, const Q: usize> Monitor<'a, M, N, Q> {
    /// A monitor of these metrics, without a phase.
    pub fn new(
        storage: &'a mut Storage<M, N, Q>,
        identity: Identity<'a>,
        metrics: &'a [Metric<'a>; M],
        config: TelemetryConfig,
    ) -> Self {
        let Storage { meter, queue } = storage;
        let mut uplink = Uplink::new(queue, identity, [metrics, &[]], config);
        uplink.reporter_mut().describe(RunFacts { mode: Mode::Monitor, plan_hash: 0, phases: 0 });
        Self { meter, uplink, opened: 0 }
    }

    /// Opens a phase of this name, cut to [`MAX_NAME`](crate::name::MAX_NAME) bytes. The histograms are empty again.
    ///
    /// # Errors
    /// [`OpenError`] if a phase is open, or the one before is not yet reported whole.
    pub fn open(&mut self, name: &str, now: Instant) -> Result<(), OpenError> {
        if self.is_open() {
            return Err(OpenError::Open);
        }
        if self.owes_report() {
            self.uplink.watch_line(now);
            if !self.uplink.is_stuck(now) {
                return Err(OpenError::Unreported);
            }
            self.uplink.give_up();
        }
        let index = u16::try_from(self.opened).map_err(|_| OpenError::TooMany)?;
        self.opened += 1;
        self.meter.begin(Phase::BLANK);
        self.meter.phase_mut().identify(index, PhaseKind::Monitor, index, Name::cut(name));
        // A phase that was just made can be started.
        let _ = self.meter.phase_mut().start(now);
        Ok(())
    }

    /// Closes the phase that is open; what it measured is reported by the polls that follow.
    pub fn close(&mut self, now: Instant) {
        let phase = self.meter.phase_mut();
        // Without an open phase there is nothing to do.
        let _ = phase.sending_complete(now).and_then(|()| phase.complete(now));
    }

    /// Whether a phase is open.
    pub fn is_open(&self) -> bool {
        self.meter.phase().state() == PhaseState::Started
    }

    /// Records a value of the metric at this place of the table: nanoseconds, or a plain number, as its unit says. Tells
    /// whether there is such a metric and an open phase; without one the value is counted, and the host reports it.
    #[inline]
    pub fn record(&mut self, metric: usize, value: u64) -> bool {
        if !self.is_open() {
            self.uplink.reporter_mut().count_outside();
            return false;
        }
        self.meter.record(metric, value)
    }

    /// Records a length of time.
    #[inline]
    pub fn record_time(&mut self, metric: usize, length: Duration) -> bool {
        self.record(metric, length.as_nanos())
    }

    /// Puts what is due into the queue, and tells when to be called again at the latest.
    ///
    /// The cost is a few comparisons when nothing is due, and at most that of one report: a walk over a histogram.
    pub fn poll(&mut self, now: Instant) -> Instant {
        self.uplink.watch_line(now);
        if self.uplink.reporter().is_due(now, self.meter) {
            self.uplink.hello(now, N);
            self.uplink.report(now, (self.opened > 0).then_some((&mut *self.meter, None)));
        }
        if self.is_open() || self.opened == 0 {
            self.uplink.need_not_wait(now);
        }
        self.uplink.reporter().next_due()
    }

    /// The bytes to send, or as many of them as lie together; empty if none wait.
    pub fn transmit(&self) -> &[u8] {
        self.uplink.transmit()
    }

    /// Drops so many of the bytes to send: they were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.uplink.sent(bytes);
    }

    /// Writes what the line takes without waiting, and tells how many bytes that was.
    ///
    /// # Errors
    /// [`DrainError`] if the line fails; what it did not take still waits.
    pub fn drain<W: Write + WriteReady>(&mut self, line: &mut W) -> Result<usize, DrainError<W::Error>> {
        self.uplink.drain(line)
    }

    /// Whether no phase is open, and every byte about those that were was sent.
    pub fn is_idle(&self) -> bool {
        !self.owes_report() && self.uplink.is_empty()
    }

    /// Whether the last phase is open, or not yet reported whole.
    fn owes_report(&self) -> bool {
        self.opened > 0 && !self.uplink.reporter().is_phase_reported(self.phase().index)
    }

    /// The phase that is open, or was last.
    pub const fn phase(&self) -> &PhaseStats {
        self.meter.stats()
    }

    /// The values of one metric in this phase, for a display or a line of a log: percentiles are
    /// [`HistogramView::quantile`](crate::histogram::HistogramView::quantile).
    pub fn histogram(&self, metric: usize) -> Option<&LatencyHistogram<N>> {
        self.meter.histogram(metric)
    }

    /// How many reports were due and found no room in the queue. Later ones said the same and more.
    pub const fn skipped(&self) -> u32 {
        self.uplink.reporter().skipped()
    }
}

#[cfg(test)]
mod tests;
