//! One request, as a line tells it, before it is known to be valid to the end.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::tags::Tags;

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    #[default]
    Successful,
    Failed,
    Cancelled,
}

/// The line that was read last. It is used again and again, so that reading allocates nothing.
#[derive(Debug, Default)]
pub(super) struct RequestRecord {
    /// Counts the lines of this thread.
    pub(super) number: u64,
    /// Empty if the line names none.
    pub(super) phase: String,
    pub(super) warmup: bool,
    pub(super) outcome: Outcome,
    /// A status that says nothing that is known.
    pub(super) unknown_status: Option<String>,
    /// AIPerf says that the request counts nowhere.
    pub(super) skip: bool,
    pub(super) context_overflow: bool,
    pub(super) credit_issued_ns: Option<u64>,
    pub(super) start_ns: Option<u64>,
    pub(super) end_ns: Option<u64>,
    /// Metrics by number, and where their values lie in `values`.
    pub(super) metrics: Vec<(usize, Range<usize>)>,
    pub(super) values: Vec<f64>,
    pub(super) tags: Tags,
}

impl RequestRecord {
    /// Forgets the last line.
    pub(super) fn clear(&mut self) {
        self.number = self.number.wrapping_add(1);
        self.phase.clear();
        self.metrics.clear();
        self.values.clear();
        (self.warmup, self.skip, self.context_overflow) = (false, false, false);
        self.outcome = Outcome::Successful;
        self.unknown_status = None;
        (self.credit_issued_ns, self.start_ns, self.end_ns) = (None, None, None);
    }
}

/// Text that is borrowed from the line if it has no escapes.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub(super) std::borrow::Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Appends a number, or a list of numbers, to the values.
pub(super) struct Numbers<'a>(pub(super) &'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for Numbers<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Numbers<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.0.push(value);
        Ok(())
    }
    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles to most writers")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }
    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles to most writers")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<f64>()? {
            self.0.push(value);
        }
        Ok(())
    }
}
