//! Frames as a test wants them, of one boot.

use phasemeter_core::autocorrelation::Lag1;
use phasemeter_core::histogram::{MAX_SCALE, Totals};
use phasemeter_core::metric::Metric;
use phasemeter_core::name::Name;
use phasemeter_core::outcome::Failure;
use phasemeter_core::phase::{PhaseCounts, PhaseState, PhaseStats, Sends};
use phasemeter_core::plan::{PhaseKind, PhasePlan};
use phasemeter_core::telemetry::{
    FailureDetail, Finished, Frame, Hello, MetricTable, MetricTotals, Mode, PhasePlanned, PhaseReport,
};
use phasemeter_core::time::Instant;

use super::device::frame;
use crate::session::Missing;

/// Frames of one boot, numbered as they are said.
#[derive(Clone, Default)]
pub(crate) struct Script(pub(crate) Vec<Vec<u8>>);

impl Script {
    pub(crate) fn say(mut self, said: Frame<'_>) -> Self {
        let sequence = u32::try_from(self.0.len()).unwrap();
        self.0.push(frame(1, sequence, said));
        self
    }

    /// Of a run of plan 7 with two metrics.
    pub(crate) fn hello(self, phases: u16) -> Self {
        self.say(Frame::Hello(Hello {
            device_id: "d",
            mode: Mode::Load,
            plan_hash: 7,
            phases,
            metrics: 2,
            ..Hello::default()
        }))
    }

    pub(crate) fn table(self) -> Self {
        let metrics = [Metric::time("a"), Metric::count("b")].into_iter().collect();
        self.say(Frame::Metrics(MetricTable { first: 0, metrics }))
    }

    pub(crate) fn phase(self, stats: PhaseStats, samples: u64) -> Self {
        self.say(Frame::Phase(PhaseReport { stats, samples, skipped: 0 }))
    }

    pub(crate) fn planned(self, index: u16, phase: PhasePlan) -> Self {
        self.say(Frame::PhasePlanned(PhasePlanned { index, phase }))
    }

    pub(crate) fn detail(self, phase: u16, failure: Failure, detail: &str) -> Self {
        self.say(Frame::FailureDetail(FailureDetail { phase, failure, detail }))
    }

    /// So many zeros of a metric.
    pub(crate) fn zeros(self, phase: u16, metric: u8, count: u64) -> Self {
        let totals = Totals { scale: MAX_SCALE, count, zero: count, ..Totals::default() };
        self.say(Frame::Totals(MetricTotals { phase, metric, totals, lag1: Lag1::NONE }))
    }

    pub(crate) fn finished(self, phases: u16) -> Self {
        self.say(Frame::Finished(Finished { phases, cancelled: false, skipped: 0 }))
    }

    /// What a session lacks that has heard all of it.
    pub(crate) fn check(&self) -> Result<(), Missing> {
        super::session(&self.0).check_whole()
    }
}

/// All requests of a phase, at its start.
const AT_ONCE: Sends = Sends { first: Instant::from_nanos(1), last: Instant::from_nanos(1), squared_gaps: 0 };

/// A phase of ten requests in this state.
pub(crate) fn stats(index: u16, state: PhaseState) -> PhaseStats {
    let at = |from: PhaseState| (state >= from).then_some(Instant::from_nanos(from as u64));
    PhaseStats {
        index,
        kind: PhaseKind::Profiling,
        label: Name::EMPTY,
        instance: index,
        state,
        timed_out: false,
        cancelled: false,
        started_at: at(PhaseState::Started),
        sending_complete_at: at(PhaseState::SendingComplete),
        completed_at: at(PhaseState::Complete),
        counts: PhaseCounts { sent: 10, completed: 10, ..PhaseCounts::default() },
        sends: AT_ONCE,
    }
}

pub(crate) fn complete(index: u16) -> PhaseStats {
    stats(index, PhaseState::Complete)
}
