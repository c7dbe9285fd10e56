//! A line of AIPerf's `profile_export.jsonl`.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::request_record::{Numbers, Outcome, RequestRecord, Text};
use crate::process::aiperf::is_context_overflow;

/// Reads a line into the record.
pub(super) struct Profile<'a>(pub(super) &'a mut RequestRecord);

#[derive(Deserialize)]
#[serde(expecting = "metadata, which is an object")]
struct Metadata<'a> {
    #[serde(borrow)]
    benchmark_phase: Option<Text<'a>>,
    #[serde(borrow)]
    phase_name: Option<Text<'a>>,
    #[serde(borrow)]
    phase_kind: Option<Text<'a>>,
    credit_issued_ns: Option<u64>,
    request_start_ns: Option<u64>,
    request_end_ns: Option<u64>,
    was_cancelled: Option<bool>,
    context_overflow_skip: Option<bool>,
}

impl<'de> DeserializeSeed<'de> for Profile<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Profile<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record of AIPerf: an object with metadata and metrics")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut metadata, mut metrics, mut error) = (None::<Metadata<'_>>, false, None::<ErrorField>);
        while let Some(key) = map.next_key::<Text<'_>>()? {
            match &*key.0 {
                "metadata" if metadata.is_some() => return Err(de::Error::duplicate_field("metadata")),
                "metadata" => metadata = Some(map.next_value()?),
                "metrics" if metrics => return Err(de::Error::duplicate_field("metrics")),
                "metrics" => {
                    map.next_value_seed(Metrics(self.0))?;
                    metrics = true;
                }
                "error" if error.is_some() => return Err(de::Error::duplicate_field("error")),
                "error" => error = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let metadata = metadata.ok_or_else(|| de::Error::missing_field("metadata"))?;
        if !metrics {
            return Err(de::Error::missing_field("metrics"));
        }
        let record = self.0;
        let phase = metadata.phase_name.as_ref().or(metadata.benchmark_phase.as_ref());
        record.phase.push_str(phase.map_or("", |phase| &phase.0));
        let kind = metadata.phase_kind.as_ref().or(metadata.benchmark_phase.as_ref()).or(phase);
        record.warmup = kind.is_some_and(|kind| kind.0 == "warmup");
        record.credit_issued_ns = metadata.credit_issued_ns;
        record.start_ns = metadata.request_start_ns;
        record.end_ns = metadata.request_end_ns;
        record.skip = metadata.context_overflow_skip == Some(true);
        let error = error.unwrap_or_default();
        record.context_overflow = error.context_overflow;
        record.outcome = match (metadata.was_cancelled, error.failed) {
            (Some(true), _) => Outcome::Cancelled,
            (_, true) => Outcome::Failed,
            _ => Outcome::Successful,
        };
        Ok(())
    }
}

/// What `error` says: anything but null is a failure.
#[derive(Default)]
struct ErrorField {
    failed: bool,
    context_overflow: bool,
}

impl<'de> Deserialize<'de> for ErrorField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Error {
            Details { message: Option<String> },
            Message(String),
            Other(IgnoredAny),
        }
        let message = match Option::<Error>::deserialize(deserializer)? {
            None => return Ok(Self::default()),
            Some(Error::Details { message }) => message,
            Some(Error::Message(message)) => Some(message),
            Some(Error::Other(_)) => None,
        };
        Ok(Self { failed: true, context_overflow: message.is_some_and(|message| is_context_overflow(&message)) })
    }
}

/// Metrics by tag.
struct Metrics<'a>(&'a mut RequestRecord);

impl<'de> DeserializeSeed<'de> for Metrics<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metrics<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metrics by tag")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(tag) = map.next_key::<Text<'_>>()? {
            map.next_value_seed(Metric { record: self.0, tag: &tag.0 })?;
        }
        Ok(())
    }
}

/// `{"value": …, "unit": …}`.
struct Metric<'a> {
    record: &'a mut RequestRecord,
    tag: &'a str,
}

impl<'de> DeserializeSeed<'de> for Metric<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metric<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value and the unit of {}", self.tag)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let RequestRecord { tags, values, metrics, number: record, .. } = self.record;
        let start = values.len();
        let (mut has_value, mut metric) = (false, None);
        while let Some(key) = map.next_key::<Text<'_>>()? {
            match &*key.0 {
                "value" if has_value => return Err(de::Error::duplicate_field("value")),
                "value" => {
                    map.next_value_seed(Numbers(values))?;
                    has_value = true;
                }
                "unit" if metric.is_some() => return Err(de::Error::duplicate_field("unit")),
                "unit" => {
                    let unit = map.next_value::<Text<'_>>()?.0;
                    let number = tags.number(self.tag, &unit);
                    metric = Some(number.ok_or_else(|| de::Error::custom("there are too many metrics"))?);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !has_value {
            return Err(de::Error::missing_field("value"));
        }
        let number = metric.ok_or_else(|| de::Error::missing_field("unit"))?;
        if let Some(tag) = tags.get_mut(number) {
            if tag.record == *record {
                return Err(de::Error::custom(format_args!("the metric {} comes twice", self.tag)));
            }
            tag.record = *record;
        }
        metrics.push((number, start..values.len()));
        Ok(())
    }
}
