//! A line of the mock server's ground-truth log, whose form `mock::ServedRequest` documents.

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer};

use super::request_record::{Outcome, RequestRecord, Text};
use crate::process::REQUEST_LATENCY;

/// Reads a line into the record.
pub(super) struct Truth<'a>(pub(super) &'a mut RequestRecord);

#[derive(Deserialize)]
#[serde(expecting = "a line of the mock server's log: an object with route, status, started_unix_ns and total_ms")]
struct Fields<'a> {
    request: Option<u64>,
    /// What tells this form from others.
    #[serde(borrow, rename = "route")]
    _route: Text<'a>,
    status: u16,
    #[serde(borrow)]
    fault: Option<Text<'a>>,
    started_unix_ns: u64,
    first_byte_ms: Option<f64>,
    last_token_ms: Option<f64>,
    total_ms: f64,
    prompt_tokens: Option<u32>,
    output_tokens: Option<u32>,
    #[serde(default)]
    cancelled: bool,
}

impl Fields<'_> {
    fn outcome(&self) -> Outcome {
        let breaks = |fault: &str| fault.starts_with("reset") || fault.starts_with("garbage");
        if self.cancelled {
            Outcome::Cancelled
        } else if !(100..400).contains(&self.status) || self.fault.as_ref().is_some_and(|fault| breaks(&fault.0)) {
            Outcome::Failed
        } else {
            Outcome::Successful
        }
    }

    /// Tags, units and values, of a streamed answer all.
    fn metrics(&self) -> impl Iterator<Item = (&'static str, &'static str, f64)> {
        let streamed = self.first_byte_ms.zip(self.last_token_ms);
        let tokens = self.output_tokens.filter(|tokens| *tokens > 0).map(f64::from);
        // One mean a request, as with AIPerf.
        let gaps = streamed.zip(tokens.filter(|tokens| *tokens > 1.0));
        [
            Some((REQUEST_LATENCY, "ms", self.total_ms)),
            streamed.map(|(first, _)| ("time_to_first_token", "ms", first)),
            gaps.map(|((first, last), tokens)| ("inter_token_latency", "ms", (last - first) / (tokens - 1.0))),
            self.prompt_tokens.map(|tokens| ("input_sequence_length", "tokens", f64::from(tokens))),
            tokens.map(|tokens| ("output_sequence_length", "tokens", tokens)),
        ]
        .into_iter()
        .flatten()
    }
}

impl<'de> DeserializeSeed<'de> for Truth<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        if let Some((tag, _, value)) = fields.metrics().find(|(_, _, value)| *value < 0.0) {
            return Err(de::Error::custom(format_args!("{tag} is negative: {value}")));
        }
        let record = self.0;
        record.outcome = fields.outcome();
        // Who only watches the server, at /healthz or /metrics, is no load.
        record.skip = fields.request.is_none() && record.outcome == Outcome::Successful;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative, and saturates"
        )]
        let total_ns = (fields.total_ms * 1e6).round() as u64;
        record.start_ns = Some(fields.started_unix_ns);
        record.end_ns = Some(fields.started_unix_ns.saturating_add(total_ns));
        if record.outcome == Outcome::Successful {
            for (tag, unit, value) in fields.metrics() {
                let number = record.tags.number(tag, unit);
                let start = record.values.len();
                record.metrics.extend(number.map(|number| (number, start..start + 1)));
                record.values.push(value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use crate::process::{Format, ReadOptions, Reader, ResultSet};

    fn line(fields: &str) -> String {
        let mut line = r#"{"route":"/","started_unix_ns":1000,"status":200,"total_ms":2.5,"request":0"#.to_owned();
        let _ = writeln!(line, "{fields}}}");
        line
    }

    fn read(text: &str, format: Option<Format>) -> ResultSet {
        let mut reader = Reader::new("test", ReadOptions { format, exact: true, ..ReadOptions::default() });
        reader.read("test", text.as_bytes(), &mut ()).unwrap();
        reader.finish()
    }

    #[test]
    fn a_line_is_told_from_other_forms() {
        let set = read(&line(""), None);
        let phase = &set.phases()["all"];
        assert_eq!((set.records(), phase.counts.successful), (1, 1));
        assert_eq!(phase.metrics()["request_latency"].sum(), Some(2.5));
        let window = phase.windows.only().unwrap();
        assert_eq!((window.start_ns, window.end_ns), (1000, 2_501_000));
        // With escapes it is read by the other parser.
        let set = read(&line(r#","method":"\u0047ET","last_token_ms":2,"first_byte_ms":1,"output_tokens":3"#), None);
        assert_eq!(set.phases()["all"].metrics()["inter_token_latency"].sum(), Some(0.5));
        for other in [r#"{"latency_ms":1,"status":"success"}"#, r#"{"metadata":{},"metrics":{}}"#] {
            assert_eq!(read(other, None).records(), 1, "{other}");
            assert_eq!(read(other, Some(Format::Truth)).records(), 0, "{other}");
        }
    }

    #[test]
    fn what_a_client_sees_fail_has_failed() {
        for (fields, counts) in [
            ("", [1, 0, 0]),
            (r#","fault":null"#, [1, 0, 0]),
            (r#","fault":"stall=2s@mid""#, [1, 0, 0]),
            (r#","fault":"slow-token=2s""#, [1, 0, 0]),
            (r#","fault":"reset@mid""#, [0, 1, 0]),
            (r#","fault":"garbage""#, [0, 1, 0]),
            (r#","cancelled":true"#, [0, 0, 1]),
        ] {
            let set = read(&line(fields), None);
            let phase = &set.phases()["all"];
            let counted = [phase.counts.successful, phase.counts.errors, phase.counts.cancelled];
            assert_eq!(counted, counts, "{fields}");
            assert_eq!(phase.metrics().contains_key("request_latency"), counts[0] == 1, "{fields}");
        }
        for status in ["0", "404", "500"] {
            let set = read(&line("").replace("200", status), None);
            assert_eq!(set.phases()["all"].counts.errors, 1, "{status}");
        }
        let watching = line("").replace("\"request\":0", "\"request\":null");
        assert_eq!((read(&watching, None).skipped(), read(&watching, None).records()), (1, 0));
        assert_eq!(read(&watching.replace("200", "401"), None).records(), 1, "who is refused is load");
    }

    #[test]
    fn strange_lines_are_rejected() {
        let replaced = |from: &str, to: &str| line("").replace(from, to);
        for bad in [
            replaced("2.5", "-1"),
            replaced("2.5", "null"),
            replaced("1000", "-1"),
            replaced("1000", "1e99"),
            replaced("200", "99999"),
            replaced("\"/\"", "3"),
            replaced("\"route\"", "\"rout\""),
            line(r#","output_tokens":-1"#),
            line(r#","first_byte_ms":5,"last_token_ms":4,"output_tokens":2"#),
        ] {
            let set = read(&bad, Some(Format::Truth));
            assert_eq!((set.records(), set.rejected()), (0, 1), "{bad}");
        }
        let endless = replaced("2.5", "1e300").replace("1000", "18446744073709551615");
        assert_eq!(read(&endless, None).phases()["all"].windows.only().unwrap().end_ns, u64::MAX);
    }
}
