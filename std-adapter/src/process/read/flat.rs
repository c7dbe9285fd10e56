//! A flat record: a request's latency, time and status in one object.

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny};

use super::request_record::{Outcome, RequestRecord};
use super::status::{IsError, Status};
use crate::process::REQUEST_LATENCY;

/// Reads a line into the record.
pub(super) struct Flat<'a>(pub(super) &'a mut RequestRecord);

#[derive(Deserialize)]
#[serde(expecting = "a record: an object with latency_ms, timestamp, status or error")]
struct Fields<'a> {
    latency_ms: Option<f64>,
    latency: Option<f64>,
    response_time: Option<f64>,
    timestamp: Option<f64>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
    error: Option<IsError>,
    cancelled: Option<bool>,
    /// Only AIPerf's records have these.
    metadata: Option<IgnoredAny>,
    metrics: Option<IgnoredAny>,
}

impl<'de> DeserializeSeed<'de> for Flat<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        if fields.metadata.is_some() || fields.metrics.is_some() {
            return Err(de::Error::custom("an object with metadata or metrics is a record of AIPerf, no flat one"));
        }
        let latency = fields.latency_ms.or(fields.latency).or(fields.response_time);
        if latency.is_none() && fields.timestamp.is_none() && fields.status.is_none() && fields.error.is_none() {
            return Err(de::Error::custom("no field of a record: latency_ms, timestamp, status or error"));
        }
        if let Some(negative) = latency.filter(|latency| *latency < 0.0) {
            return Err(de::Error::custom(format_args!("the latency is negative: {negative}")));
        }
        let record = self.0;
        if let Some(seconds) = fields.timestamp {
            let nanos = (seconds * 1e9).round();
            if !(0.0..1.8e19).contains(&nanos) {
                return Err(de::Error::custom(format_args!(
                    "the timestamp is no time in seconds since 1970: {seconds}"
                )));
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked")]
            let nanos = nanos as u64;
            record.start_ns = Some(nanos);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
            let length = (latency.unwrap_or(0.0) * 1e6).round() as u64;
            record.end_ns = Some(nanos.saturating_add(length));
        }
        let status = fields.status.map_or(Ok(Outcome::Successful), |status| status.outcome());
        record.outcome = match (fields.cancelled, &status, fields.error) {
            (Some(true), ..) | (_, Ok(Outcome::Cancelled), _) => Outcome::Cancelled,
            (_, Ok(Outcome::Failed), _) | (.., Some(IsError(true))) => Outcome::Failed,
            _ => Outcome::Successful,
        };
        record.unknown_status = status.err();
        if let Some(latency) = latency.filter(|_| record.outcome == Outcome::Successful) {
            let tag = record.tags.number(REQUEST_LATENCY, "ms");
            record.metrics.extend(tag.map(|tag| (tag, 0..1)));
            record.values.push(latency);
        }
        Ok(())
    }
}
