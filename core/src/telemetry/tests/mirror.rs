//! What a host keeps of the boots that it hears, put together as the protocol's text says.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::histogram::{LatencyHistogram, Totals};
use crate::metric::Unit;
use crate::outcome::{Failure, Failures};
use crate::phase::PhaseState;
use crate::plan::PhasePlan;
use crate::telemetry::{
    Buckets, Envelope, FailureDetail, Finished, Frame, Hello, MAX_ENCODED, MetricTotals, PhasePlanned, PhaseReport,
    Received, Receiver,
};

/// One histogram.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirror {
    /// At the lowest scale that was told of; nothing was before the first frame.
    scale: Option<i8>,
    counts: BTreeMap<i32, u64>,
    /// The last totals that made a snapshot whole.
    pub(crate) whole: Option<Totals>,
}

impl Mirror {
    /// Adds what is kept up for a lower scale; tells whether what is of this scale is to be taken.
    fn lower(&mut self, scale: i8) -> bool {
        let kept = *self.scale.get_or_insert(scale);
        if scale < kept {
            for (index, count) in core::mem::take(&mut self.counts) {
                *self.counts.entry(index >> (kept - scale)).or_default() += count;
            }
            self.scale = Some(scale);
        }
        scale <= kept
    }

    fn buckets(&mut self, buckets: &Buckets<'_>) {
        if self.lower(buckets.scale) {
            let set = |index, count: u64| {
                let kept = self.counts.entry(index).or_default();
                *kept = count.max(*kept);
            };
            buckets.for_each(set).unwrap();
        }
    }

    fn totals(&mut self, totals: Totals) {
        if self.lower(totals.scale) && totals.zero + self.counts.values().sum::<u64>() == totals.count {
            self.whole = Some(totals);
        }
    }

    /// How many values were received whole.
    fn samples(&self) -> u64 {
        self.whole.map_or(0, |totals| totals.count)
    }

    /// Whether the counts are those of `histogram`.
    pub(crate) fn equals<const N: usize>(&self, histogram: &LatencyHistogram<N>) -> bool {
        let held = self.counts.iter().filter(|(_, count)| **count > 0).map(|(index, count)| (*index, *count));
        self.scale.is_none_or(|scale| scale == histogram.scale())
            && held.eq(histogram.buckets().map(|bucket| (bucket.index, bucket.count)))
    }
}

/// A phase of a boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct PhaseMirror {
    pub(crate) report: Option<PhaseReport>,
    pub(crate) failures: Failures,
    metrics: BTreeMap<u8, Mirror>,
    pub(crate) plan: Option<PhasePlan>,
    /// How often it was told.
    pub(crate) plans: u32,
    pub(crate) details: Vec<(Failure, String)>,
    /// How many reports said that the phase is complete.
    pub(crate) ends: u32,
}

impl PhaseMirror {
    pub(crate) fn metric(&self, metric: u8) -> Mirror {
        self.metrics.get(&metric).cloned().unwrap_or_default()
    }

    pub(crate) fn is_whole(&self) -> bool {
        let samples = self.metrics.values().map(Mirror::samples).sum::<u64>();
        self.report.is_some_and(|report| report.stats.state == PhaseState::Complete && report.samples == samples)
    }

    /// Whether what was received whole is what these histograms hold.
    pub(crate) fn equals<const N: usize>(&self, histograms: &[LatencyHistogram<N>]) -> bool {
        (0..).zip(histograms).all(|(place, histogram)| {
            let mirror = self.metric(place);
            mirror.equals(histogram) && mirror.whole.is_none_or(|totals| totals == histogram.totals())
        })
    }
}

/// A boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boot {
    /// How many frames were received, and the number that the next one has if none is lost.
    pub(crate) frames: u32,
    pub(crate) sequence: u32,
    /// Names of the device and its firmware.
    pub(crate) names: [String; 3],
    /// The last hello without its names.
    pub(crate) hello: Hello<'static>,
    pub(crate) hellos: u32,
    pub(crate) table: BTreeMap<u8, (String, Unit)>,
    pub(crate) phases: BTreeMap<u16, PhaseMirror>,
    pub(crate) finished: Option<Finished>,
    /// How many frames said that the run is over.
    pub(crate) ends: u32,
    /// The answers by the command's id: reason as text, and the plan's hash.
    pub(crate) answers: Vec<(u32, Option<String>, u64)>,
}

/// Everything that was received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    /// In the order of their first frames.
    pub(crate) boots: Vec<(u32, Boot)>,
}

impl Host {
    /// What a stream tells that holds nothing but frames.
    pub(crate) fn of(stream: &[u8]) -> Self {
        let mut host = Self::default();
        frames(stream, |envelope, _| host.take(envelope));
        host
    }

    /// The last boot that frames came from.
    pub(crate) fn boot(&self) -> &Boot {
        &self.boots.last().expect("a frame came").1
    }

    pub(crate) fn take(&mut self, envelope: &Envelope<'_>) {
        if !self.boots.iter().any(|(name, _)| *name == envelope.boot) {
            self.boots.push((envelope.boot, Boot::default()));
        }
        let (_, boot) = self.boots.iter_mut().find(|(name, _)| *name == envelope.boot).unwrap();
        boot.take(envelope);
    }
}

impl Boot {
    /// Whether each of its phases was received whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.phases.values().all(PhaseMirror::is_whole)
    }

    fn take(&mut self, envelope: &Envelope<'_>) {
        self.frames += 1;
        self.sequence = envelope.sequence.wrapping_add(1);
        match &envelope.frame {
            Frame::Hello(hello) => {
                self.names = [hello.device_id, hello.firmware, hello.firmware_version].map(ToString::to_string);
                self.hello = Hello { device_id: "", firmware: "", firmware_version: "", ..*hello };
                self.hellos += 1;
            }
            Frame::Metrics(table) => {
                for (id, metric) in (table.first..).zip(&table.metrics) {
                    let known = self.table.insert(id, (metric.name.into(), metric.unit));
                    assert!(known.is_none_or(|known| known.0 == metric.name), "a table never changes");
                }
            }
            Frame::Phase(report) => {
                let phase = self.phases.entry(report.stats.index).or_default();
                phase.ends += u32::from(report.stats.state == PhaseState::Complete);
                phase.report = Some(*report);
            }
            Frame::Failures(report) => {
                self.phases.entry(report.phase).or_default().failures = report.failures.clone();
            }
            Frame::Buckets(buckets) => {
                self.phases
                    .entry(buckets.phase)
                    .or_default()
                    .metrics
                    .entry(buckets.metric)
                    .or_default()
                    .buckets(buckets);
            }
            Frame::Totals(MetricTotals { phase, metric, totals, .. }) => {
                self.phases.entry(*phase).or_default().metrics.entry(*metric).or_default().totals(*totals);
            }
            Frame::Finished(finished) => {
                self.finished = Some(*finished);
                self.ends += 1;
            }
            Frame::PhasePlanned(PhasePlanned { index, phase }) => {
                let known = self.phases.entry(*index).or_default();
                assert!(known.plan.as_ref().is_none_or(|known| known == phase), "a plan never changes");
                (known.plan, known.plans) = (Some(phase.clone()), known.plans + 1);
            }
            Frame::FailureDetail(FailureDetail { phase, failure, detail }) => {
                self.phases.entry(*phase).or_default().details.push((*failure, (*detail).to_string()));
            }
            Frame::Answer(answer) => {
                let refusal = answer.refusal().map(|refusal| refusal.to_string());
                self.answers.push((answer.command, refusal, answer.plan_hash));
            }
        }
    }
}

/// Calls `each` with the frames of a stream that holds nothing else, and how many bytes came up to their end.
pub(crate) fn frames(stream: &[u8], mut each: impl FnMut(&Envelope<'_>, usize)) {
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let mut rest = stream;
    while let Some(received) = receiver.take(&mut rest) {
        match received {
            Received::Frame(envelope) => each(&envelope, stream.len() - rest.len()),
            other => panic!("{other:?} before byte {}", stream.len() - rest.len()),
        }
    }
}
