//! One trial: lines into a capture, that into a summary, and the summary against what is known to be true.

use std::borrow::Cow;

use phasemeter::capture::{CaptureReader, CaptureRecord, EndReason, LineEnd};
use phasemeter::replay::RecordedRun;
use phasemeter::report::Summary;

use super::known::Sent;
use super::truth;
use crate::random::Random;

/// The first eight bytes of a capture, as its documentation has them.
const MAGIC: [u8; 8] = *b"PMCAP\r\n\x01";

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Exit code 0, and every number is right.
    Exact,
    /// The run says that it is incomplete, that a counter was full, or that the capture cannot be read.
    Said,
    /// Exit code 0, or a phase that is said to be whole, with a number that is wrong.
    Wrong(String),
    /// A reset that never was, a panic, or no end.
    Broken(String),
}

/// What is true of a run.
#[derive(Clone, Debug)]
pub(super) struct Truth<'a> {
    /// The boots that measured something and were seen.
    pub(super) runs: Vec<&'a Sent>,
    /// All of these told their end.
    pub(super) is_whole: bool,
    /// So many resets there were at most.
    pub(super) resets: u64,
    /// Each value was recorded so many times.
    pub(super) times: u64,
    /// Phases of a run that is incomplete are right if they are said to be whole. Not so of a device that lies: nobody knows
    /// which of its words to believe.
    pub(super) is_honest: bool,
}

impl<'a> Truth<'a> {
    /// What honest devices measured that came to their ends.
    pub(super) fn of(runs: impl IntoIterator<Item = &'a Sent>) -> Self {
        Self { runs: runs.into_iter().collect(), is_whole: true, resets: 0, times: 1, is_honest: true }
    }

    /// What boots of one device measured of which this came over a line: those of which nothing came are nobody's business.
    pub(super) fn of_line(boots: [&'a Sent; 2], line: &[u8]) -> Self {
        let seen: Vec<_> = boots.into_iter().filter(|sent| sent.is_seen_in(line)).collect();
        Self { is_whole: seen.iter().all(|sent| sent.has_end_in(line)), resets: 1, ..Self::of(seen) }
    }

    /// Judges what a summary says.
    pub(super) fn judge(&self, summary: &Summary) -> Outcome {
        if summary.coverage.resets > self.resets {
            return Outcome::Broken(format!("{} resets were counted", summary.coverage.resets));
        }
        let Some(reason) = &summary.run.partial_reason else {
            if !self.is_whole {
                return Outcome::Wrong("complete, and a device had not come to its end".to_owned());
            }
            return match truth::check(summary, self) {
                Ok(()) if truth::is_saturated(summary) => Outcome::Said,
                Ok(()) => Outcome::Exact,
                Err(wrong) => Outcome::Wrong(wrong),
            };
        };
        if reason.is_empty() || summary.run.complete {
            return Outcome::Wrong("partial without a reason".to_owned());
        }
        match truth::check_whole_phases(summary, self) {
            Err(wrong) if self.is_honest => Outcome::Wrong(format!("in a run said to be partial, {reason}: {wrong}")),
            _ => Outcome::Said,
        }
    }

    /// Records the lines, reads the capture again, and judges that.
    pub(super) fn of_lines(&self, lines: &[Vec<u8>], random: &mut Random) -> Outcome {
        self.of_capture(&encode(&records(lines, random)))
    }

    /// Judges what a capture says. One that cannot be read says so.
    pub(super) fn of_capture(&self, capture: &[u8]) -> Outcome {
        summary(capture).map_or(Outcome::Said, |summary| self.judge(&summary))
    }
}

/// What a recorder writes that reads these lines side by side, in pieces of any size.
pub(super) fn records(lines: &[Vec<u8>], random: &mut Random) -> Vec<CaptureRecord<'static>> {
    let mut records =
        vec![CaptureRecord::Start { run_id: "faults".into(), unix_ns: 1_700_000_000_000_000_000, tool: "test".into() }];
    let numbers = || (0_u16..).zip(lines);
    records.extend(numbers().map(|(source, _)| CaptureRecord::Source {
        source,
        identity: format!("line-{source}").into(),
        at_ns: 0,
        plan_hash: None,
    }));
    let (mut places, mut at_ns) = (vec![0; lines.len()], 0);
    while numbers().any(|(source, line)| places[usize::from(source)] < line.len()) {
        for (source, line) in numbers() {
            let from = places[usize::from(source)];
            let to = line.len().min(from + 1 + random.index(400));
            places[usize::from(source)] = to;
            at_ns += 1_000_000;
            if from < to {
                records.push(CaptureRecord::Data { source, at_ns, bytes: Cow::Owned(line[from..to].to_vec()) });
            }
        }
    }
    records.extend(numbers().map(|(source, _)| CaptureRecord::SourceEnd {
        source,
        at_ns,
        kind: LineEnd::Eof,
        reason: "".into(),
    }));
    records.push(CaptureRecord::End { at_ns, reason: EndReason::Finished });
    records
}

/// The capture with these records.
pub(super) fn encode(records: &[CaptureRecord<'_>]) -> Vec<u8> {
    let mut capture = MAGIC.to_vec();
    for record in records {
        record.encode(&mut capture).expect("the records are short");
    }
    capture
}

/// What a capture says, as far as it can be read.
pub(super) fn summary(capture: &[u8]) -> Option<Summary> {
    let mut run = RecordedRun::new();
    for record in CaptureReader::new(capture, "capture").ok()? {
        run.apply(&record.ok()?, |_, _| {});
    }
    Some(run.summary())
}
