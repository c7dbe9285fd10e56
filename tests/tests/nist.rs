//! NIST's reference data sets: mean, standard deviation and lag-1 autocorrelation to 14 digits, on a device's way to a
//! summary and in `process`.

use std::fs;
use std::path::Path;

use phasemeter::process::Distribution;
use phasemeter::report::{MetricSummary, Observed, RunInfo, summarize};
use phasemeter::session::Session;
use phasemeter_core::metric::Metric;
use phasemeter_core::monitor::{Monitor, Storage};
use phasemeter_core::telemetry::{Identity, TelemetryConfig};
use phasemeter_core::time::{Duration, Instant};

const SETS: [&str; 9] = ["Lew", "Lottery", "Mavro", "Michelso", "NumAcc1", "NumAcc2", "NumAcc3", "NumAcc4", "PiDigits"];

/// A set, as it is written.
struct Set {
    name: &'static str,
    mean: f64,
    deviation: f64,
    autocorrelation: f64,
    values: Vec<String>,
}

impl Set {
    fn read(name: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nist").join(format!("{name}.txt"));
        let text = fs::read_to_string(path).unwrap();
        let certified = |what: &str| {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(&format!("# {what} ")));
            lines.next().unwrap().parse::<f64>().unwrap()
        };
        Self {
            name,
            mean: certified("mean"),
            deviation: certified("deviation"),
            autocorrelation: certified("autocorrelation"),
            values: text
                .lines()
                .filter(|line| !line.starts_with('#'))
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The values as integers, which a device measures, with what they were multiplied by and what was added then.
    fn integers(&self) -> (Vec<u64>, u32, u32) {
        let decimals = |value: &str| value.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let most = self.values.iter().map(|value| decimals(value)).max().unwrap();
        let scale = 10_u32.pow(u32::try_from(most).unwrap());
        // An offset costs digits of the mean: it is in the sum.
        let offset = if self.values.iter().any(|value| value.starts_with('-')) { 1_000 } else { 0 };
        let integers = self.values.iter().map(|value| {
            let digits = value.replace('.', "") + &"0".repeat(most - decimals(value));
            u64::try_from(digits.parse::<i64>().unwrap() + i64::from(offset)).unwrap()
        });
        (integers.collect(), scale, offset)
    }

    #[expect(clippy::cast_precision_loss, reason = "there are few values")]
    fn of_sample(&self, stdev_of_population: f64) -> f64 {
        let n = self.values.len() as f64;
        stdev_of_population * (n / (n - 1.0)).sqrt()
    }

    fn assert(&self, what: &str, computed: f64, certified: f64) {
        let digits = -((computed - certified) / certified).abs().log10();
        assert!(digits >= 14.0, "{what} of {}: {computed} has {digits:.1} digits of {certified}", self.name);
    }
}

/// What a host makes of a device that measures these values as plain numbers and as nanoseconds.
fn measured(values: &[u64]) -> [MetricSummary; 2] {
    let mut storage = Box::new(Storage::<2, 512, 8192>::new());
    let metrics = [Metric::count("number"), Metric::time("time")];
    let mut monitor = Monitor::new(&mut storage, Identity::new("nist", 1), &metrics, TelemetryConfig::default());
    let (mut now, mut session) = (Instant::BOOT, Session::new());
    monitor.open("values", now).unwrap();
    for value in values {
        assert!(monitor.record(0, *value) && monitor.record(1, *value));
    }
    monitor.close(now);
    while !monitor.is_idle() {
        monitor.poll(now);
        now = now.saturating_add(Duration::from_millis(1));
        session.feed(monitor.transmit(), |_| {});
        monitor.sent(monitor.transmit().len());
    }
    let summary =
        summarize(&RunInfo::default(), &[Observed { source: "line", session: &session, failure: None, faults: None }]);
    assert_eq!(summary.coverage.samples.observed, 2 * values.len() as u64);
    ["number", "time"].map(|metric| summary.phases[0].metrics[metric].clone())
}

#[test]
fn devices_meet_them() {
    for set in SETS.map(Set::read) {
        let (integers, scale, offset) = set.integers();
        let [number, time] = measured(&integers);
        for (metric, unit) in [(number, f64::from(scale)), (time, f64::from(scale) / 1e6)] {
            let mean = metric.mean.unwrap() / unit - f64::from(offset) / f64::from(scale);
            set.assert("the mean", mean, set.mean);
            set.assert("the deviation", set.of_sample(metric.stdev.unwrap()) / unit, set.deviation);
            set.assert("the autocorrelation", metric.lag1_autocorrelation.unwrap(), set.autocorrelation);
        }
    }
}

#[test]
fn process_meets_them() {
    for set in SETS.map(Set::read) {
        let values: Vec<f64> = set.values.iter().map(|value| value.parse().unwrap()).collect();
        for batch in [1, 7, values.len()] {
            let mut distribution = Distribution::new("ms");
            values.chunks(batch).for_each(|values| distribution.extend(values));
            set.assert("the mean", distribution.mean().unwrap(), set.mean);
            set.assert("the deviation", set.of_sample(distribution.stdev().unwrap()), set.deviation);
        }
    }
}
