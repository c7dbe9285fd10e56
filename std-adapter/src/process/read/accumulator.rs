//! The sum of all batches.

use std::collections::BTreeMap;

use super::batch::{Batch, PhaseBatch, TOLD};
use super::tags::Tag;
use crate::process::aiperf::{Derivation, Request, Scalars};
use crate::process::set::{DerivedMetrics, MAX_PHASES};
use crate::process::{Percentiles, ProcessError, ResultSet, Window, WindowSource};

#[derive(Debug)]
pub(super) struct Accumulator {
    set: ResultSet,
    exact: bool,
    /// How many bytes the values may take.
    limit: Option<usize>,
    derivations: BTreeMap<String, Derive>,
    /// Of the current input: its name, its lines so far, how many bad ones were told, and the times in it by phase.
    input: String,
    lines: u64,
    told: usize,
    times: BTreeMap<String, (u64, u64)>,
}

/// What AIPerf derives: everything if samples are kept, else the part that takes constant memory.
#[derive(Debug)]
enum Derive {
    Scalars(Box<Scalars>),
    All(Box<Derivation>),
}

impl Accumulator {
    pub(super) fn new(set: ResultSet, exact: bool, limit: Option<usize>) -> Self {
        Self {
            set,
            exact,
            limit,
            derivations: BTreeMap::new(),
            input: String::new(),
            lines: 0,
            told: 0,
            times: BTreeMap::new(),
        }
    }

    pub(super) fn begin_input(&mut self, name: &str) {
        name.clone_into(&mut self.input);
        (self.lines, self.told) = (0, 0);
        self.times.clear();
    }

    /// Some of the input could not be read.
    pub(super) fn mark_partial(&mut self, reason: &str) {
        self.set.mark_partial(reason);
    }

    /// The lines of the current input before the next batch.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether one more bad line shall be told.
    pub(super) fn tells(&mut self) -> bool {
        self.told += 1;
        self.told <= TOLD
    }

    /// The phases so far, and whether each is warm-up.
    pub(super) fn phases(&self) -> impl Iterator<Item = (&str, bool)> {
        self.set.phases().iter().map(|(name, phase)| (name.as_str(), phase.warmup))
    }

    /// Whether there may be all phases of the batch beside those so far.
    pub(super) fn has_room(&self, batch: &Batch) -> bool {
        let is_new = |phase: &&PhaseBatch| phase.counts.total() > 0 && !self.set.phases().contains_key(&phase.name);
        !batch.too_many_phases && self.set.phases().len() + batch.phases.iter().filter(is_new).count() <= MAX_PHASES
    }

    pub(super) fn add(&mut self, batch: &Batch) -> Result<(), ProcessError> {
        self.lines += batch.lines;
        self.set.reject(batch.rejected);
        self.set.skip(batch.skipped);
        self.set.take_unknown(&batch.unknown_statuses);
        batch
            .phases
            .iter()
            .filter(|phase| phase.counts.total() > 0)
            .try_for_each(|phase| self.add_phase(phase, batch.tags()))?;
        match self.limit {
            Some(limit) if self.set.bytes() > limit => Err(ProcessError::Memory { input: self.input.clone(), limit }),
            _ => Ok(()),
        }
    }

    fn add_phase(&mut self, batch: &PhaseBatch, tags: &[Tag]) -> Result<(), ProcessError> {
        let mut left_out = Vec::new();
        let phase = self.set.phase(&batch.name)?;
        phase.warmup |= batch.warmup;
        phase.counts = [phase.counts, batch.counts].into_iter().sum();
        phase.untimed = phase.untimed.saturating_add(batch.untimed);
        for ((tag, column), moments) in tags.iter().zip(&batch.columns).zip(&batch.moments) {
            if column.is_empty() {
                continue;
            }
            match phase.metric(&tag.name, &tag.unit, &self.input) {
                Ok(distribution) => distribution.add(column, moments, self.exact),
                // The records are good: only these values have no place.
                Err(reason) => left_out.push((reason.to_string(), column.len() as u64)),
            }
        }
        for (reason, values) in left_out {
            self.set.leave_out(&reason, values);
        }
        if let Some((first, last)) = batch.times {
            let times = self.times.entry(batch.name.clone()).or_insert((first, last));
            *times = (times.0.min(first), times.1.max(last));
        }
        if batch.requests.is_empty() {
            return Ok(());
        }
        let exact = self.exact;
        let derive = self
            .derivations
            .entry(batch.name.clone())
            .or_insert_with(|| if exact { Derive::All(Box::default()) } else { Derive::Scalars(Box::default()) });
        match derive {
            Derive::Scalars(scalars) => batch.requests.iter().for_each(|(request, _)| scalars.add(request)),
            Derive::All(derivation) => {
                let gaps = batch.gaps(tags);
                for (request, range) in &batch.requests {
                    let inter_chunk_latency_ms = gaps.get(range.clone()).unwrap_or_default();
                    derivation.add(&Request { inter_chunk_latency_ms, ..*request });
                }
            }
        }
        Ok(())
    }

    /// Sets the windows of the phases of the current input: those told by the load generator, or from its times.
    pub(super) fn end_input(&mut self, told: &[(String, Window)]) -> Result<(), ProcessError> {
        for (name, (start_ns, end_ns)) in std::mem::take(&mut self.times) {
            let from_records = Window { start_ns, end_ns, source: WindowSource::Records };
            let window = told.iter().find(|(phase, _)| *phase == name).map_or(from_records, |(_, window)| *window);
            self.set.phase(&name)?.windows.add(window);
        }
        Ok(())
    }

    pub(super) fn finish(mut self, percentiles: &Percentiles) -> ResultSet {
        sort(&mut self.set);
        for (name, phase) in self.set.phases_mut() {
            let Some(derive) = self.derivations.remove(name) else { continue };
            let sum = |tag: &str| phase.metrics().get(tag)?.sum();
            let metrics = match derive {
                Derive::Scalars(scalars) => scalars.finish(&phase.windows, sum),
                Derive::All(derivation) => derivation.finish(&phase.windows, percentiles, sum),
            };
            phase.derived = DerivedMetrics { percentiles: percentiles.clone(), metrics };
        }
        self.set
    }
}

/// Sorts the samples of all metrics, on all processors.
fn sort(set: &mut ResultSet) {
    let mut all: Vec<_> = set.phases_mut().flat_map(|(_, phase)| phase.distributions_mut()).collect();
    all.sort_by_key(|distribution| distribution.count());
    let queue = std::sync::Mutex::new(all);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            // The longest first, so that none is left for the end.
            scope.spawn(|| {
                while let Some(next) = super::lock(&queue).pop() {
                    next.sort();
                }
            });
        }
    });
}
