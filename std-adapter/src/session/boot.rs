//! What one boot of a device told.

use std::collections::BTreeMap;

use phasemeter_core::meter::{Metric, PerMetric};
use phasemeter_core::phase::{PhaseState, PhaseStats};
use phasemeter_core::telemetry::{Answer, Finished, Frame, Hello, MetricTotals, PhaseReport};

use super::mirror::Mirror;
use super::printable;

/// As many phases as a plan file can have: what a hostile device can make the host keep is bounded.
const MAX_PHASES: usize = crate::plan::MAX_PHASES;

/// Who a device said it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Names the device.
    pub device_id: String,
    /// The firmware's name and version.
    pub firmware: String,
    /// Names the plan's content.
    pub plan_hash: u64,
    /// How many phases the plan has.
    pub phases: u16,
}

/// One phase as far as it was told of.
#[derive(Debug, Default)]
pub struct PhaseRecord {
    /// Its states, times and counts; `None` if only its histograms were seen.
    pub stats: Option<PhaseStats>,
    /// Its histograms.
    pub metrics: PerMetric<Mirror>,
}

impl PhaseRecord {
    /// Whether the phase is over.
    pub fn is_over(&self) -> bool {
        self.stats.is_some_and(|stats| stats.state == PhaseState::Complete)
    }

    /// Whether the phase is over, and every sample that it told of is in a whole snapshot.
    pub fn is_whole(&self) -> bool {
        self.is_over() && self.metrics.iter().all(|(_, mirror)| mirror.observed() == mirror.expected())
    }
}

/// What one boot of a device told.
#[derive(Debug, Default)]
pub struct Boot {
    /// Differs from boot to boot; `None` until a hello came.
    pub id: Option<u64>,
    /// Who the device is; `None` until a hello came.
    pub info: Option<DeviceInfo>,
    /// The phases by their place in the plan.
    pub phases: BTreeMap<u16, PhaseRecord>,
    /// The end of the run, once it was told.
    pub finished: Option<Finished>,
    /// Reports that the device had no room for in its queue.
    pub skipped: u32,
    /// The last answer to a command.
    pub answer: Option<Answer>,
    pub(super) next_sequence: u32,
    pub(super) last_uptime: u64,
}

impl Boot {
    /// Takes a frame of this boot; tells whether its content made sense.
    pub(super) fn take(&mut self, frame: Frame<'_>) -> bool {
        match frame {
            Frame::Hello(hello) => {
                self.take_hello(&hello);
                true
            }
            Frame::Phase(report) => self.take_report(&report),
            Frame::Buckets(buckets) => {
                self.mirror(buckets.phase, buckets.metric).is_some_and(|mirror| mirror.set(&buckets))
            }
            Frame::Totals(MetricTotals { phase, metric, totals }) => {
                // A snapshot with frames missing is no fault of this frame.
                self.mirror(phase, metric).map(|mirror| mirror.commit(&totals)).is_some()
            }
            Frame::Finished(finished) => {
                self.skipped = self.skipped.max(finished.skipped);
                self.finished = Some(finished);
                true
            }
            Frame::Answer(answer) => {
                self.answer = Some(answer);
                true
            }
            _ => false,
        }
    }

    pub(super) fn saw_every_end(&self) -> bool {
        self.finished
            .is_some_and(|run| (0..run.phases).all(|index| self.phases.get(&index).is_some_and(PhaseRecord::is_over)))
    }

    /// Every phase that the run has, whole; `Err` says what is missing.
    pub(super) fn check_whole(&self) -> Result<(), String> {
        let phases = match (&self.finished, &self.info) {
            (Some(Finished { cancelled: true, .. }), _) => return Err("its run was cancelled".into()),
            (Some(finished), _) => finished.phases,
            (None, Some(_)) => return Err("it did not finish".into()),
            (None, None) => return Err("it never introduced itself, and did not finish".into()),
        };
        for index in 0..phases {
            match self.phases.get(&index) {
                None => return Err(format!("nothing was received of phase {index}")),
                Some(record) if !record.is_whole() => return Err(format!("phase {index} was not received whole")),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// A later boot has begun.
    pub(super) fn close(&mut self) {
        for record in self.phases.values_mut() {
            for (_, mirror) in record.metrics.iter_mut() {
                mirror.close();
            }
        }
    }

    fn take_hello(&mut self, hello: &Hello<'_>) {
        self.id = Some(hello.boot_id);
        self.skipped = self.skipped.max(hello.skipped);
        // A device that has ended its run has no plan any more: that of the run stays.
        let (plan_hash, phases) = match &self.info {
            Some(known) if hello.plan_hash == 0 => (known.plan_hash, known.phases),
            _ => (hello.plan_hash, hello.phases),
        };
        self.info = Some(DeviceInfo {
            device_id: printable(hello.device_id),
            firmware: printable(&format!("{} {}", hello.firmware, hello.firmware_version)),
            plan_hash,
            phases,
        });
    }

    fn take_report(&mut self, report: &PhaseReport) -> bool {
        self.skipped = self.skipped.max(report.skipped);
        if !is_possible(report) {
            return false;
        }
        let Some(record) = self.record(report.stats.index) else { return false };
        record.stats = Some(report.stats);
        for ((_, mirror), samples) in record.metrics.iter_mut().zip(&report.samples) {
            mirror.expect(*samples);
        }
        true
    }

    fn mirror(&mut self, phase: u16, metric: u8) -> Option<&mut Mirror> {
        let metric = *Metric::ALL.get(usize::from(metric))?;
        Some(&mut self.record(phase)?.metrics[metric])
    }

    fn record(&mut self, phase: u16) -> Option<&mut PhaseRecord> {
        if self.phases.len() >= MAX_PHASES && !self.phases.contains_key(&phase) {
            return None;
        }
        Some(self.phases.entry(phase).or_default())
    }
}

/// Counts that add up, times in order, and no more samples than requests.
fn is_possible(report: &PhaseReport) -> bool {
    let stats = &report.stats;
    let times = [stats.started_at, stats.sending_complete_at, stats.completed_at];
    stats.counts.is_consistent()
        && times.iter().flatten().is_sorted()
        && times.is_sorted_by_key(Option::is_none)
        && times.iter().flatten().count() == stats.state as usize
        && report.samples.iter().all(|samples| *samples <= stats.counts.sent)
}
