//! Metric names made into small numbers, as each is seen tens of times in every line.

use std::collections::HashMap;

use crate::process::aiperf::Request;

/// The place of a metric among what is known of a request.
pub(super) type Field = for<'a> fn(&'a mut Request<'static>) -> &'a mut Option<f64>;

/// Where AIPerf's derived metrics need the value; in another unit than AIPerf's, nowhere.
fn field(name: &str, unit: &str) -> Option<Field> {
    let is_time = matches!(name, "request_latency" | "time_to_first_token" | "decode_duration" | "inter_token_latency");
    if is_time && unit != "ms" {
        return None;
    }
    Some(match name {
        "request_latency" => |request| &mut request.request_latency_ms,
        "time_to_first_token" => |request| &mut request.time_to_first_token_ms,
        "decode_duration" => |request| &mut request.decode_duration_ms,
        "inter_token_latency" => |request| &mut request.inter_token_latency_ms,
        "input_sequence_length" => |request| &mut request.input_sequence_length,
        "output_sequence_length" => |request| &mut request.output_sequence_length,
        "osl_mismatch_diff_pct" => |request| &mut request.osl_mismatch_diff_pct,
        "usage_prompt_tokens_diff_pct" => |request| &mut request.usage_prompt_tokens_diff_pct,
        "usage_completion_tokens_diff_pct" => |request| &mut request.usage_completion_tokens_diff_pct,
        "usage_reasoning_tokens_diff_pct" => |request| &mut request.usage_reasoning_tokens_diff_pct,
        _ => return None,
    })
}

/// A metric: a tag and a unit.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) name: Box<str>,
    pub(super) unit: Box<str>,
    /// The last record with this tag, to find a tag that comes twice in one.
    pub(super) record: u64,
    /// Where AIPerf's derived metrics need its value.
    pub(super) field: Option<Field>,
    /// Which tag came after this one last time.
    next: usize,
}

/// The metrics of one thread, by number.
#[derive(Debug, Default)]
pub(super) struct Tags {
    all: Vec<Tag>,
    numbers: HashMap<Box<str>, Vec<usize>>,
    last: usize,
}

/// More tags than any benchmark has; the set of results takes no more either.
const MAX_TAGS: usize = 1024;

impl Tags {
    /// All of them, by number.
    pub(super) fn all(&self) -> &[Tag] {
        &self.all
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Tag> {
        self.all.get_mut(number)
    }

    /// The number of the metric with this name in this unit; `None` if it is new and there are too many.
    ///
    /// Writers keep to one order, so the tag that followed the last one before is tried first.
    pub(super) fn number(&mut self, name: &str, unit: &str) -> Option<usize> {
        let is_it = |tag: &Tag| *tag.name == *name && *tag.unit == *unit;
        let guess = self.all.get(self.last).map_or(0, |last| last.next);
        let number = if self.all.get(guess).is_some_and(is_it) {
            guess
        } else {
            let numbers = self.numbers.get(name).map_or(&[][..], Vec::as_slice);
            match numbers.iter().find(|number| self.all.get(**number).is_some_and(is_it)) {
                Some(number) => *number,
                None => self.add(name, unit)?,
            }
        };
        if let Some(last) = self.all.get_mut(self.last) {
            last.next = number;
        }
        self.last = number;
        Some(number)
    }

    fn add(&mut self, name: &str, unit: &str) -> Option<usize> {
        let number = self.all.len();
        if number >= MAX_TAGS {
            return None;
        }
        self.all.push(Tag { name: name.into(), unit: unit.into(), record: 0, field: field(name, unit), next: 0 });
        self.numbers.entry(name.into()).or_default().push(number);
        Some(number)
    }
}
