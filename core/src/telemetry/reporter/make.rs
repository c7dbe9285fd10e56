//! The frames, one by one, from the live phase to the queue.

use heapless::Vec;

use super::{Reporter, RunFacts};
use crate::meter::Meter;
use crate::metric::Metric;
use crate::name::cut;
use crate::telemetry::config::Identity;
use crate::telemetry::encode::Outgoing;
use crate::telemetry::frame::{Hello, MetricTable};
use crate::telemetry::queue::{Line, TxQueue};
use crate::telemetry::snapshot::Progress;
use crate::time::Instant;
use crate::wire::Message;

impl<'a, const M: usize> Reporter<'a, M> {
    /// Says who the device is; tells whether it fitted.
    pub(super) fn tell_hello<const Q: usize>(&mut self, now: Instant, capacity: usize, queue: &mut TxQueue<Q>) -> bool {
        let RunFacts { mode, plan_hash, phases } = self.facts;
        let Identity { device_id, firmware, firmware_version, clock_hz, .. } = self.identity;
        let hello = Hello {
            device_id: cut(device_id),
            firmware: cut(firmware),
            firmware_version: cut(firmware_version),
            clock_hz,
            mode,
            plan_hash,
            phases,
            capacity: u16::try_from(capacity).unwrap_or(u16::MAX),
            counter_bits: 32,
            metrics: Self::METRICS,
            outside: self.outside,
            skipped: self.skipped,
        };
        self.line(now, queue).push(&Outgoing::Hello(&hello))
    }

    /// Names metrics from this one on, as many as a frame takes; gives the one to go on with, unless they did not fit.
    pub(super) fn tell_metrics<const Q: usize>(
        &mut self,
        now: Instant,
        first: u8,
        queue: &mut TxQueue<Q>,
    ) -> Option<u8> {
        let mut table = MetricTable { first, metrics: Vec::new() };
        let mut next = first;
        while next < Self::METRICS && table.metrics.push(self.metric(next)).is_ok() {
            next += 1;
        }
        self.line(now, queue).push(&Outgoing::Metrics(&table)).then_some(next)
    }

    /// The metric of this id; one without a name if the tables are shorter than the meter.
    fn metric(&self, id: u8) -> Metric<'a> {
        let [first, second] = self.tables;
        let place = usize::from(id);
        let metric = first.get(place).or_else(|| second.get(place.checked_sub(first.len())?));
        metric.map_or_else(Metric::default, |metric| Metric { name: cut(metric.name), ..*metric })
    }

    /// Puts a frame that is not a report into the queue; tells whether it fitted.
    pub(in crate::telemetry) fn say<const Q: usize>(
        &mut self,
        now: Instant,
        kind: u32,
        fields: &dyn Message,
        queue: &mut TxQueue<Q>,
    ) -> bool {
        self.line(now, queue).push_kind(kind, fields)
    }

    /// Reports the phase, and its failures if it has any; tells whether all fitted. Failures that were told are not told
    /// again before the report that belongs to them: where they fit and it does not, they would take its room for ever.
    pub(super) fn tell_phase<const N: usize, const Q: usize>(
        &mut self,
        now: Instant,
        meter: &Meter<M, N>,
        queue: &mut TxQueue<Q>,
    ) -> bool {
        let stats = meter.stats();
        let (samples, skipped) = (meter.samples(), self.skipped);
        let told = Some((stats.index, stats.counts.errors));
        if stats.counts.errors > 0 && self.failures_told != told {
            if !self
                .line(now, queue)
                .push(&Outgoing::Failures { phase: stats.index, failures: meter.phase().failures() })
            {
                return false;
            }
            self.failures_told = told;
        }
        let fitted = self.line(now, queue).push(&Outgoing::Phase { stats, samples, skipped });
        if fitted {
            self.failures_told = None;
        }
        fitted
    }

    /// Has the next snapshot send all buckets of every metric.
    #[inline(never)]
    pub(super) fn restart<const N: usize>(&mut self, meter: &mut Meter<M, N>) {
        self.metrics_done = 0;
        self.progress.fill(Progress::START);
        meter.mark_all();
    }

    /// Sends what changed of every metric, as far as it fits; tells whether all of it did. The next call goes on where
    /// this one stopped.
    pub(super) fn snapshot<const N: usize, const Q: usize>(
        &mut self,
        now: Instant,
        meter: &mut Meter<M, N>,
        queue: &mut TxQueue<Q>,
    ) -> bool {
        while self.metrics_done < M {
            if !self.next_metric(now, meter, queue) {
                return false;
            }
        }
        true
    }

    /// Sends what changed of the next metric that has changed; tells whether it fitted.
    pub(super) fn next_metric<const N: usize, const Q: usize>(
        &mut self,
        now: Instant,
        meter: &mut Meter<M, N>,
        queue: &mut TxQueue<Q>,
    ) -> bool {
        let phase = meter.stats().index;
        let Self { numbering, progress, metrics_done, .. } = self;
        let first = numbering.sequence;
        let mut line = Line { numbering, now, queue };
        while let (Some(progress), Some((metric, view))) =
            (progress.get_mut(*metrics_done), meter.metric_mut(*metrics_done))
        {
            if !progress.send(phase, metric, view, &mut line) {
                return false;
            }
            *metrics_done += 1;
            if line.numbering.sequence != first {
                break;
            }
        }
        true
    }

    pub(super) fn line<'q, const Q: usize>(&'q mut self, now: Instant, queue: &'q mut TxQueue<Q>) -> Line<'q, Q> {
        Line { numbering: &mut self.numbering, now, queue }
    }
}
