//! The records of one chunk, in columns.

use std::ops::Range;

use memchr::memmem::Finder;
use serde::de::{DeserializeSeed, Deserializer};

use super::Format;
use super::chunks::{Chunk, MAX_LINE};
use super::flat::Flat;
use super::json::Json;
use super::profile::Profile;
use super::request_record::{Outcome, RequestRecord};
use super::tags::Tag;
use super::truth::Truth;
use crate::process::OutcomeCounts;
use crate::process::aiperf::Request;
use crate::process::moments::Moments;
use crate::process::set::{MAX_PHASES, Tally};

/// Bad lines of one input that are told in full; the others are counted.
pub(super) const TOLD: usize = 10;
/// Metrics of failed requests begin so; what else a failed request has is in no distribution.
const OF_FAILURES: &str = "error_";
/// The formats in the order in which they are tried, and a key that each record has: without it, none is looked for.
const FORMATS: [(Format, &str); 3] =
    [(Format::Aiperf, "\"metadata\""), (Format::Truth, "\"route\""), (Format::Flat, "")];
const GAPS: &str = "inter_chunk_latency";

/// A bad line of a chunk.
#[derive(Debug)]
pub(super) struct BadLine {
    /// Counts the lines of the chunk from 1.
    pub(super) line: u64,
    /// Counts bytes from 1.
    pub(super) column: usize,
    pub(super) reason: String,
}

/// What one thread read from its last chunk. The buffers are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Batch {
    record: RequestRecord,
    pub(super) phases: Vec<PhaseBatch>,
    /// Records were rejected because of their phase.
    pub(super) too_many_phases: bool,
    pub(super) lines: u64,
    pub(super) rejected: u64,
    pub(super) skipped: u64,
    pub(super) bad_lines: Vec<BadLine>,
    pub(super) unknown_statuses: Tally,
}

/// The records of one phase.
#[derive(Debug, Default)]
pub(super) struct PhaseBatch {
    pub(super) name: String,
    pub(super) warmup: bool,
    pub(super) counts: OutcomeCounts,
    /// First and last time.
    pub(super) times: Option<(u64, u64)>,
    /// Successful requests without a time.
    pub(super) untimed: u64,
    /// Values by the number of the tag.
    pub(super) columns: Vec<Vec<f64>>,
    /// Of each column.
    pub(super) moments: Vec<Moments>,
    /// AIPerf's requests, and where the gaps between their chunks lie in that column.
    pub(super) requests: Vec<(Request<'static>, Range<usize>)>,
}

impl PhaseBatch {
    /// The gaps between the chunks of all its requests.
    pub(super) fn gaps(&self, tags: &[Tag]) -> &[f64] {
        let column = tags.iter().position(is_gaps).and_then(|tag| self.columns.get(tag));
        column.map_or(&[], Vec::as_slice)
    }
}

impl Batch {
    /// The metrics, by the number of the column.
    pub(super) fn tags(&self) -> &[Tag] {
        self.record.tags.all()
    }

    /// Forgets the phases for these, each with whether it is warm-up.
    pub(super) fn set_phases<'p>(&mut self, phases: impl Iterator<Item = (&'p str, bool)>) {
        let empty = |(name, warmup): (&str, _)| PhaseBatch { name: name.to_owned(), warmup, ..PhaseBatch::default() };
        self.phases = phases.map(empty).collect();
    }

    /// The format of the first line that is a record.
    pub(super) fn detect(&mut self, chunk: &Chunk) -> Option<Format> {
        let mut formats = FORMATS.map(|(format, mark)| (format, Finder::new(mark))).to_vec();
        formats.retain(|(_, mark)| mark.find(&chunk.bytes).is_some());
        lines(&chunk.bytes).find_map(|line| {
            let mut marked = formats.iter().filter(|(_, mark)| mark.find(line).is_some());
            marked.find(|(format, _)| self.parse(line, *format).is_ok()).map(|(format, _)| *format)
        })
    }

    /// Reads the lines of a chunk. Without a format, there is no record in it.
    pub(super) fn read(&mut self, chunk: &Chunk, detected: Option<Format>) {
        let format = detected.unwrap_or_else(|| looks_like(&chunk.bytes));
        self.clear();
        for line in lines(&chunk.bytes) {
            self.lines += 1;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if line.len() > MAX_LINE {
                self.reject_overlong();
                continue;
            }
            if detected.is_none() && self.bad_lines.len() >= TOLD {
                // What is wrong with it is not told.
                self.rejected += 1;
                continue;
            }
            let read = self.parse(line, format).and_then(|()| self.keep(format).map_err(serde::de::Error::custom));
            if let Err(error) = read {
                let (column, reason) = (error.column().max(1), error.to_string());
                let place = format!(" at line {} column {}", error.line(), error.column());
                self.reject(column, reason.strip_suffix(&place).unwrap_or(&reason));
            }
        }
        if chunk.overlong {
            self.lines += 1;
            self.reject_overlong();
        }
        for phase in &mut self.phases {
            phase.moments.clear();
            phase.moments.extend(phase.columns.iter().map(|column| Moments::of(column)));
        }
    }

    fn clear(&mut self) {
        (self.lines, self.rejected, self.skipped) = (0, 0, 0);
        self.too_many_phases = false;
        self.unknown_statuses = Tally::default();
        self.bad_lines.clear();
        for phase in &mut self.phases {
            (phase.counts, phase.times, phase.untimed) = (OutcomeCounts::default(), None, 0);
            phase.columns.iter_mut().for_each(Vec::clear);
            phase.requests.clear();
        }
    }

    fn parse(&mut self, line: &[u8], format: Format) -> serde_json::Result<()> {
        let is_array = line.trim_ascii_start().starts_with(b"[");
        if let Some(text) = std::str::from_utf8(line).ok().filter(|_| !is_array) {
            self.record.clear();
            let mut json = Json::new(text);
            if self.deserialize(&mut json, format).and_then(|()| json.end()).is_ok() {
                return Ok(());
            }
        }
        if is_array {
            return Err(serde::de::Error::custom("an array is no record: a record is an object"));
        }
        self.record.clear();
        let mut json = serde_json::Deserializer::from_slice(line);
        self.deserialize(&mut json, format)?;
        json.end()
    }

    fn deserialize<'de, D: Deserializer<'de>>(&mut self, json: D, format: Format) -> Result<(), D::Error> {
        match format {
            Format::Aiperf => Profile(&mut self.record).deserialize(json),
            Format::Flat => Flat(&mut self.record).deserialize(json),
            Format::Truth => Truth(&mut self.record).deserialize(json),
        }
    }

    fn reject_overlong(&mut self) {
        self.reject(MAX_LINE, "the line is longer than 16 MiB");
    }

    fn reject(&mut self, column: usize, reason: &str) {
        self.rejected += 1;
        if self.bad_lines.len() < TOLD {
            self.bad_lines.push(BadLine { line: self.lines, column, reason: reason.to_owned() });
        }
    }

    /// Adds the record, which is valid, to its phase.
    fn keep(&mut self, format: Format) -> Result<(), &'static str> {
        let Self { record, phases, skipped, unknown_statuses, .. } = self;
        if record.skip {
            *skipped += 1;
            return Ok(());
        }
        let name = if record.phase.is_empty() { "all" } else { &record.phase };
        let place = match phases.iter().position(|phase| phase.name == name) {
            Some(place) => place,
            None if phases.len() < MAX_PHASES => {
                phases.push(PhaseBatch { name: name.to_owned(), warmup: record.warmup, ..PhaseBatch::default() });
                phases.len() - 1
            }
            None => {
                self.too_many_phases = true;
                return Err("there are more than 64 phases: this one is left out");
            }
        };
        let Some(phase) = phases.get_mut(place) else { return Ok(()) };
        let counter = match record.outcome {
            Outcome::Successful => &mut phase.counts.successful,
            Outcome::Failed => &mut phase.counts.errors,
            Outcome::Cancelled => &mut phase.counts.cancelled,
        };
        *counter += 1;
        if let Some(status) = record.unknown_status.take() {
            unknown_statuses.add(&status, 1);
        }
        let first = record.credit_issued_ns.or(record.start_ns);
        if let (Some(first), Some(last)) = (first.or(record.end_ns), record.end_ns.or(first)) {
            let (start, end) = phase.times.unwrap_or((first, last));
            phase.times = Some((start.min(first), end.max(last)));
        } else if record.outcome == Outcome::Successful {
            phase.untimed += 1;
        }
        let failed = record.outcome != Outcome::Successful;
        let mut request = Request {
            failed,
            context_overflow: record.context_overflow,
            credit_issued_ns: record.credit_issued_ns,
            start_ns: record.start_ns,
            end_ns: record.end_ns,
            ..Request::default()
        };
        let mut gaps = 0..0;
        let tags = record.tags.all();
        if phase.columns.len() < tags.len() {
            phase.columns.resize_with(tags.len(), Vec::new);
        }
        for (number, range) in &record.metrics {
            let (Some(tag), Some(values)) = (tags.get(*number), record.values.get(range.clone())) else { continue };
            let Some(column) = phase.columns.get_mut(*number) else { continue };
            if failed && !tag.name.starts_with(OF_FAILURES) {
                continue;
            }
            if let ([value], Some(field)) = (values, tag.field) {
                *field(&mut request) = Some(*value);
            } else if is_gaps(tag) {
                gaps = column.len()..column.len() + values.len();
            }
            column.extend_from_slice(values);
        }
        if format == Format::Aiperf {
            phase.requests.push((request, gaps));
        }
        Ok(())
    }
}

/// The gaps as AIPerf's derived metrics need them.
fn is_gaps(tag: &Tag) -> bool {
    (&*tag.name, &*tag.unit) == (GAPS, "ms")
}

/// What lines are meant to be, of which none is valid.
fn looks_like(bytes: &[u8]) -> Format {
    let has = |mark: &str| memchr::memmem::find(bytes, mark.as_bytes()).is_some();
    FORMATS.into_iter().find(|(_, mark)| has(mark)).map_or(Format::Flat, |(format, _)| format)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        Some(line)
    })
}
