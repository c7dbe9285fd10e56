//! What was measured over one set of requests.

use std::collections::BTreeMap;
use std::iter::Sum;

use super::moments::to_f64;
use super::{Distribution, Percentiles, ProcessError, Window, Windows, aiperf};
use crate::session::CoverageCounts;

/// More phases than any benchmark has.
pub(super) const MAX_PHASES: usize = 64;
/// More metrics than any benchmark has.
const MAX_METRICS: usize = 512;

/// How requests ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Requests that succeeded.
    pub successful: u64,
    /// Requests that came back with an error.
    pub errors: u64,
    /// Requests that were given up.
    pub cancelled: u64,
}

impl OutcomeCounts {
    /// All requests.
    pub fn total(&self) -> u64 {
        self.successful.saturating_add(self.failed())
    }

    /// Requests that failed: with an error, or cancelled.
    pub fn failed(&self) -> u64 {
        self.errors.saturating_add(self.cancelled)
    }

    /// Successful of all requests, from 0 to 1; `None` if there are none.
    pub fn success_rate(&self) -> Option<f64> {
        (self.total() > 0).then(|| to_f64(self.successful) / to_f64(self.total()))
    }

    /// Failed of all requests, from 0 to 1; `None` if there are none.
    pub fn error_rate(&self) -> Option<f64> {
        (self.total() > 0).then(|| to_f64(self.failed()) / to_f64(self.total()))
    }
}

impl Sum for OutcomeCounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            successful: sum.successful.saturating_add(part.successful),
            errors: sum.errors.saturating_add(part.errors),
            cancelled: sum.cancelled.saturating_add(part.cancelled),
        })
    }
}

/// One phase of a result set.
#[derive(Clone, Debug, Default)]
pub struct PhaseResults {
    /// How its requests ended.
    pub counts: OutcomeCounts,
    /// When they ran, as far as that is known.
    pub windows: Windows,
    /// Successful requests without a time.
    pub(super) untimed: u64,
    /// Whether its requests only warm the server up: then no statistics over phases have them.
    pub warmup: bool,
    /// What AIPerf derives from the requests of one set, beside their metrics; empty for other records.
    pub derived: DerivedMetrics,
    metrics: BTreeMap<String, Distribution>,
}

/// AIPerf's derived metrics, and which percentiles their distributions have.
#[derive(Clone, Debug, Default)]
pub struct DerivedMetrics {
    /// The percentiles, in the order of the values.
    pub percentiles: Percentiles,
    /// The metrics by AIPerf's names.
    pub metrics: aiperf::Metrics,
}

impl PhaseResults {
    /// A phase without metrics.
    pub fn new(counts: OutcomeCounts, window: Option<Window>) -> Self {
        Self { counts, windows: window.into(), ..Self::default() }
    }

    /// Its metrics, by tag.
    pub fn metrics(&self) -> &BTreeMap<String, Distribution> {
        &self.metrics
    }

    /// Every distribution, to be changed.
    pub(super) fn distributions_mut(&mut self) -> impl Iterator<Item = &mut Distribution> {
        self.metrics.values_mut()
    }

    /// Successful requests whose time is known.
    pub fn timed(&self) -> u64 {
        if self.windows.is_empty() { 0 } else { self.counts.successful.saturating_sub(self.untimed) }
    }

    /// Successful requests a second: those whose time is known, over the windows without the gaps between them. `None` if
    /// they have no length.
    pub fn throughput_rps(&self) -> Option<f64> {
        Some(to_f64(self.timed()) / self.windows.seconds()?)
    }

    /// The distribution of this metric, empty if it is new.
    ///
    /// # Errors
    /// [`ProcessError`] if the metric has another unit, or there are too many metrics. `input` names what is read.
    pub fn metric(&mut self, tag: &str, unit: &str, input: &str) -> Result<&mut Distribution, ProcessError> {
        if !self.metrics.contains_key(tag) {
            if self.metrics.len() >= MAX_METRICS {
                return Err(ProcessError::TooMany { input: input.to_owned(), what: "metrics", limit: MAX_METRICS });
            }
            self.metrics.insert(tag.to_owned(), Distribution::new(unit));
        }
        match self.metrics.get_mut(tag) {
            Some(distribution) if distribution.unit() == unit => Ok(distribution),
            found => Err(ProcessError::Units {
                input: input.to_owned(),
                metric: tag.to_owned(),
                unit: unit.to_owned(),
                other: found.map_or_else(String::new, |distribution| distribution.unit().to_owned()),
            }),
        }
    }

    fn merge(&mut self, other: &Self, input: &str) -> Result<(), ProcessError> {
        let timed = self.timed().saturating_add(other.timed());
        self.counts = [self.counts, other.counts].into_iter().sum();
        self.untimed = self.counts.successful.saturating_sub(timed);
        self.windows.join(&other.windows);
        self.warmup |= other.warmup;
        // Rates and time-weighted metrics of both cannot be made from those of each.
        self.derived = DerivedMetrics::default();
        for (tag, distribution) in &other.metrics {
            self.metric(tag, distribution.unit(), input)?.merge(distribution);
        }
        Ok(())
    }
}

/// Counts by what was found in the input, in bounded memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// So many different ones are told apart,
    const MOST: usize = 16;
    /// by so many characters.
    const LENGTH: usize = 256;
    /// What further ones are counted as.
    const OTHERS: &str = "(others)";

    pub(super) fn add(&mut self, found: &str, times: u64) {
        let cut: String = found.chars().take(Self::LENGTH).collect();
        let told_apart = self.0.len() - usize::from(self.0.contains_key(Self::OTHERS));
        let is_kept = self.0.contains_key(&cut) || told_apart < Self::MOST;
        let count = self.0.entry(if is_kept { cut } else { Self::OTHERS.to_owned() }).or_default();
        *count = count.saturating_add(times);
    }
}

/// What was measured over one set of requests, by phase.
#[derive(Clone, Debug, Default)]
pub struct ResultSet {
    name: String,
    coverage: Option<CoverageCounts>,
    partial_reason: Option<String>,
    rejected: u64,
    skipped: u64,
    unknown_statuses: Tally,
    left_out: Tally,
    phases: BTreeMap<String, PhaseResults>,
}

impl ResultSet {
    /// A set without records; the name says where they come from.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Where the records come from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Observed of expected samples of the device that the set is from; `None` of records, which do not tell.
    pub fn coverage(&self) -> Option<CoverageCounts> {
        self.coverage
    }

    /// The same set of a device of which so much was observed.
    #[must_use]
    pub fn with_coverage(self, coverage: CoverageCounts) -> Self {
        Self { coverage: Some(coverage), ..self }
    }

    /// Why the set is only a part of what was measured; `None` if it is not known to be.
    pub fn partial_reason(&self) -> Option<&str> {
        self.partial_reason.as_deref()
    }

    /// Marks the set as a part, for one more reason unless it is the same one.
    pub fn mark_partial(&mut self, reason: &str) {
        match &mut self.partial_reason {
            Some(reasons) if reasons != reason => *reasons = format!("{reasons}; {reason}"),
            Some(_) => {}
            none => *none = Some(reason.to_owned()),
        }
    }

    /// How many lines were no valid record.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Counts lines that were no valid record.
    pub fn reject(&mut self, lines: u64) {
        self.rejected = self.rejected.saturating_add(lines);
    }

    /// How many valid records count nowhere: AIPerf marked them so, or somebody watched the mock server.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Statuses of which it is not known what they say, and how many records have each.
    pub fn unknown_statuses(&self) -> &BTreeMap<String, u64> {
        &self.unknown_statuses.0
    }

    pub(super) fn take_unknown(&mut self, statuses: &Tally) {
        statuses.0.iter().for_each(|(status, records)| self.unknown_statuses.add(status, *records));
    }

    /// Values of valid records that are in no distribution, by the reason: a metric in another unit than before, or one more
    /// than the 512 of its phase.
    pub fn left_out(&self) -> &BTreeMap<String, u64> {
        &self.left_out.0
    }

    pub(super) fn leave_out(&mut self, reason: &str, values: u64) {
        self.left_out.add(reason, values);
    }

    pub(super) fn skip(&mut self, records: u64) {
        self.skipped = self.skipped.saturating_add(records);
    }

    /// The phases, by name.
    pub fn phases(&self) -> &BTreeMap<String, PhaseResults> {
        &self.phases
    }

    /// How much memory the values of all its metrics take, in bytes.
    pub fn bytes(&self) -> usize {
        let metrics = self.phases.values().flat_map(|phase| phase.metrics.values());
        metrics.map(Distribution::bytes).fold(0, usize::saturating_add)
    }

    pub(super) fn phases_mut(&mut self) -> impl Iterator<Item = (&str, &mut PhaseResults)> {
        self.phases.iter_mut().map(|(name, phase)| (name.as_str(), phase))
    }

    /// All valid records, warm-up included.
    pub fn records(&self) -> u64 {
        self.phases.values().map(|phase| phase.counts.total()).fold(0, u64::saturating_add)
    }

    /// The phases that count: all but warm-up.
    pub fn measured(&self) -> impl Iterator<Item = &PhaseResults> {
        self.phases.values().filter(|phase| !phase.warmup)
    }

    /// How the requests of the phases that count ended.
    pub fn counts(&self) -> OutcomeCounts {
        self.measured().map(|phase| phase.counts).sum()
    }

    /// The phase of this name, empty if it is new.
    ///
    /// # Errors
    /// [`ProcessError::TooMany`] if there are too many phases.
    pub fn phase(&mut self, name: &str) -> Result<&mut PhaseResults, ProcessError> {
        if !self.phases.contains_key(name) && self.phases.len() >= MAX_PHASES {
            return Err(ProcessError::TooMany { input: self.name.clone(), what: "phases", limit: MAX_PHASES });
        }
        Ok(self.phases.entry(name.to_owned()).or_default())
    }

    /// Adds the records of another set, as if both were one. Windows are joined; the gaps between them stay gaps.
    ///
    /// # Errors
    /// [`ProcessError`] if a metric has another unit there, or there are too many phases or metrics.
    pub fn merge(&mut self, other: &Self) -> Result<(), ProcessError> {
        self.reject(other.rejected);
        self.skip(other.skipped);
        self.take_unknown(&other.unknown_statuses);
        other.left_out().iter().for_each(|(reason, values)| self.leave_out(reason, *values));
        self.coverage = match (self.coverage, other.coverage) {
            (Some(own), Some(other)) => Some(CoverageCounts::sum([own, other])),
            (own, other) => own.or(other),
        };
        if let Some(reason) = &other.partial_reason {
            self.mark_partial(reason);
        }
        for (name, phase) in &other.phases {
            if self.phases.contains_key(name) {
                self.phase(name)?.merge(phase, &other.name)?;
            } else {
                *self.phase(name)? = phase.clone();
            }
        }
        Ok(())
    }
}
