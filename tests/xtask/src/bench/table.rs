//! What was measured, as tables in Markdown.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::baseline::grouped;

const SUBJECT: &str = "phasemeter N=1024";
const SMALLER: &str = "phasemeter N=512";

/// What the histogram may take of a peer's time.
const RATIOS: [(&str, &str, &str, f64); 5] = [
    ("hdrhistogram (2 digits)", "loop ratio", "time in a loop", 0.75),
    ("hdrhistogram (2 digits)", "call ratio", "time for a call", 0.8),
    ("sketches-ddsketch (1 %)", "call ratio", "time for a call", 0.2),
    ("opentelemetry_sdk (160 buckets)", "call ratio", "time for a call", 0.15),
    ("histogram", "call ratio", "time for a call", 1.4),
];

/// What the histogram may take by itself.
const LIMITS: [(&str, &str, &str, f64); 5] = [
    (SUBJECT, "rising ratio", "time in a loop when each value is a new maximum, beside log-normal ones", 1.5),
    (SUBJECT, "call instructions", "record with all moments, instructions for a call", 50.0),
    (SUBJECT, "percentiles ns", "7 percentiles at N = 1024, ns", 600.0),
    (SUBJECT, "merge ns", "merge at N = 1024, ns", 400.0),
    (SMALLER, "wire encode", "wire bytes at ≤ 1.09 % (OTLP: 774)", 773.0),
];

/// What a receiver has to take in a second, in MB: frames, and what is none.
const DECODE: (&str, f64, f64) = ("frames of a run", 200.0, 20.0);

/// Subject, quantity and value, in the order in which they came.
#[derive(Default)]
pub(super) struct Numbers(Vec<(String, String, f64)>);

impl Numbers {
    /// Takes lines of subject, quantity and value, separated by tabs.
    ///
    /// # Errors
    /// When a line is something else.
    pub(super) fn read(&mut self, lines: &str) -> Result<()> {
        for line in lines.lines() {
            let number = || {
                let (subject, rest) = line.split_once('\t')?;
                let (quantity, value) = rest.split_once('\t')?;
                Some((subject, quantity, value.parse().ok()?))
            };
            let (subject, quantity, value) = number().with_context(|| format!("`{line}` is no measurement"))?;
            self.put(subject, quantity, value);
        }
        Ok(())
    }

    pub(super) fn put(&mut self, subject: &str, quantity: &str, value: f64) {
        self.0.push((subject.to_owned(), quantity.to_owned(), value));
    }

    fn get(&self, subject: &str, quantity: &str) -> Option<f64> {
        self.0.iter().find(|number| number.0 == subject && number.1 == quantity).map(|number| number.2)
    }

    /// Everything about everyone.
    pub(super) fn peers(&self) -> String {
        let mut text = String::from(
            "| crate | record, ns loop / call | each a new maximum / minimum, ns | instructions loop / call | bytes \
             | worst error | 7 percentiles, ns | merge, ns | wire bytes |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for (subject, _, _) in self.0.iter().filter(|number| number.1 == "loop ns") {
            let cell = |quantity| number(self.get(subject, quantity));
            let error = self.get(subject, "worst error").map_or("–".into(), percent);
            let _ = writeln!(
                text,
                "| {subject} | {} / {} | {} / {} | {} / {} | {} | {error} | {} | {} | {} |",
                cell("loop ns"),
                cell("call ns"),
                cell("rising ns"),
                cell("falling ns"),
                cell("loop instructions"),
                cell("call instructions"),
                cell("bytes"),
                cell("percentiles ns"),
                cell("merge ns"),
                self.wire(subject),
            );
        }
        text
    }

    fn wire(&self, subject: &str) -> String {
        let formats = self.0.iter().filter(|number| number.0 == subject);
        let cells = formats.filter_map(|(_, quantity, value)| {
            let format = quantity.strip_prefix("wire ")?;
            Some(format!("{} ({format})", number(Some(*value))))
        });
        cells.collect::<Vec<_>>().join(", ")
    }

    /// The targets and what came of them.
    pub(super) fn targets(&self) -> String {
        let mut text = String::from("| target | measured | at most | |\n|---|---|---|---|\n");
        let mut row = |what: &str, measured: Option<f64>, limit: f64| {
            let verdict = verdict(measured.map(|measured| measured <= limit));
            let _ = writeln!(text, "| {what} | {} | {} | {verdict} |", number(measured), number(Some(limit)));
        };
        for (peer, quantity, what, limit) in RATIOS {
            row(&format!("{what}, beside {peer}"), self.get(peer, quantity), limit);
        }
        for (subject, quantity, what, limit) in LIMITS {
            row(what, self.get(subject, quantity), limit);
        }
        text
    }

    /// How fast a receiver takes what is on a line.
    pub(super) fn decode(&self) -> String {
        let (frames, frames_limit, limit) = DECODE;
        let mut text = String::from("| bytes on the line | MB/s | at least | |\n|---|---|---|---|\n");
        for (line, _, rate) in self.0.iter().filter(|number| number.1 == "decode MB/s") {
            let limit = if line == frames { frames_limit } else { limit };
            let verdict = verdict(Some(*rate >= limit));
            let _ = writeln!(text, "| {line} | {rate:.0} | {limit} | {verdict} |");
        }
        text
    }

    /// What a capacity costs and holds: 32 buckets an octave keep 1.09 %, 64 keep 0.55 %, and there are 64 octaves.
    pub(super) fn capacities(&self) -> String {
        let mut text = String::from("| N | bytes | octaves at ≤ 1.09 % | octaves at ≤ 0.55 % |\n|---|---|---|---|\n");
        for (subject, _, bytes) in &self.0 {
            let Some(capacity) = subject.strip_prefix("N=").and_then(|n| n.parse::<u32>().ok()) else { continue };
            let [coarse, fine] = [32, 64].map(|an_octave| (capacity / an_octave).min(64));
            let _ = writeln!(text, "| {capacity} | {} | {coarse} | {fine} |", number(Some(*bytes)));
        }
        text
    }
}

const fn verdict(is_met: Option<bool>) -> &'static str {
    match is_met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "not measured",
    }
}

/// Two decimals below 10, none above, and thousands set apart.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".into() };
    if value.fract() != 0.0 && value < 10.0 {
        return format!("{value:.2}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is measured is positive")]
    grouped(value.round() as u64)
}

fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent < 100.0 { format!("{percent:.2} %") } else { format!("{} %", number(Some(percent.round()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!(number(Some(0.656)), "0.66");
        assert_eq!(number(Some(64.6)), "65");
        assert_eq!(number(Some(1_234_567.0)), "1,234,567");
        assert_eq!(number(Some(773.0)), "773");
        assert_eq!(number(None), "–");
        assert_eq!((percent(0.010_73), percent(1.203)), ("1.07 %".into(), "120 %".into()));
    }

    #[test]
    fn tables_have_what_was_read() {
        let mut numbers = Numbers::default();
        numbers.read("phasemeter N=1024\tloop ns\t3.5\nphasemeter N=1024\twire encode\t600\nhistogram\tcall ratio\t1.5\nN=64\tbytes\t336\nnoise\tdecode MB/s\t1500.4\nframes of a run\tdecode MB/s\t199.4").unwrap();
        assert!(
            numbers.peers().contains("| phasemeter N=1024 | 3.50 / – |") && numbers.peers().contains("600 (encode)")
        );
        assert!(numbers.targets().contains("beside histogram | 1.50 | 1.40 | **missed** |"));
        assert!(numbers.targets().contains("| not measured |"));
        assert!(numbers.capacities().contains("| 64 | 336 | 2 | 1 |"));
        assert!(numbers.decode().contains("| noise | 1500 | 20 | met |"));
        assert!(numbers.decode().contains("| frames of a run | 199 | 200 | **missed** |"));
        assert!(numbers.read("two\twords").is_err());
    }
}
