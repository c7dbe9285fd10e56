//! How often sampling intervals hold what they should, by simulation: the table of `tests/trust/intervals.md`.

use std::fmt::Write as _;

use phasemeter::uncertainty::dependence::effective_count;
use phasemeter::uncertainty::interval::{CONFIDENCE, SamplingInterval, interval};
use phasemeter_core::histogram::LatencyHistogram;
use phasemeter_core::summary::Percentile;
use statrs::function::erf::erfc;

use crate::random::Random;

/// Each percentile, and how many deviations it is above the mean of a normal distribution.
const PERCENTILES: [(Percentile, f64); 4] = [
    (Percentile::P50, 0.0),
    (Percentile::P90, 1.281_551_565_544_600_4),
    (Percentile::P99, 2.326_347_874_040_840_8),
    (Percentile::P99_9, 3.090_232_306_167_813),
];
/// Of fewer intervals their part says nothing.
const LEAST_STATED: u32 = 10;

/// A distribution, as what a normal value becomes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A mode and a tail.
    LogNormal,
    /// One in ten takes ten times as long.
    Bimodal,
    /// A long tail.
    Exponential,
}

/// All of them.
pub const SHAPES: [Shape; 3] = [Shape::LogNormal, Shape::Bimodal, Shape::Exponential];

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::LogNormal => "log-normal",
            Self::Bimodal => "bimodal",
            Self::Exponential => "exponential",
        }
    }

    /// In nanoseconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of some milliseconds")]
    fn at(self, normal: f64) -> u64 {
        let above = 0.5 * erfc(normal / std::f64::consts::SQRT_2);
        let millis = match self {
            Self::LogNormal => (0.5 * normal).exp(),
            Self::Bimodal if above > 0.1 => 1.2 - 0.2 * above,
            Self::Bimodal => 11.0 - 10.0 * above,
            Self::Exponential => -above.ln(),
        };
        (millis * 1e6).round() as u64
    }
}

/// What is simulated: runs of so many samples of a first-order autoregressive process.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    /// Of the values.
    pub shape: Shape,
    /// Of neighbouring normal values; 0 for independent ones.
    pub correlation: f64,
    /// In each run.
    pub samples: usize,
    /// How many.
    pub runs: u32,
}

/// In how many runs there was an interval, and in how many it held the true percentile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Runs with an interval.
    pub stated: u32,
    /// Of these, those whose interval held it.
    pub held: u32,
}

impl Held {
    fn add(&mut self, truth: u64, found: Option<SamplingInterval>) {
        self.stated += u32::from(found.is_some());
        self.held += u32::from(found.is_some_and(|found| (found.lower..=found.upper).contains(&truth)));
    }

    /// Whether they were held as often as promised, but for three standard deviations of the simulation.
    #[must_use]
    pub fn is_nominal(self) -> bool {
        let stated = f64::from(self.stated);
        f64::from(self.held) >= stated * CONFIDENCE - 3.0 * (stated * CONFIDENCE * (1.0 - CONFIDENCE)).sqrt()
    }

    fn text(self) -> String {
        if self.stated < LEAST_STATED {
            "-".to_owned()
        } else {
            format!("{:.1}", 100.0 * f64::from(self.held) / f64::from(self.stated))
        }
    }
}

/// Of each percentile: as if the samples were independent, and with what is made of their dependence.
pub type Result = [[Held; 2]; PERCENTILES.len()];

impl Simulation {
    /// Runs it; the same every time.
    #[must_use]
    pub fn run(self) -> Result {
        let Self { shape, correlation, samples, runs } = self;
        let mut random = Random::new(samples as u64 ^ correlation.to_bits() ^ shape as u64);
        let mut result = Result::default();
        for _ in 0..runs {
            let mut normal = random.normal();
            let values: Vec<_> = (0..samples)
                .map(|_| {
                    let value = shape.at(normal);
                    normal = correlation * normal + (1.0 - correlation * correlation).sqrt() * random.normal();
                    value
                })
                .collect();
            let mut histogram = LatencyHistogram::<1024>::new();
            for value in &values {
                histogram.record(*value);
            }
            let (lag1, variation) = dependence(&values);
            let effective = effective_count(histogram.count(), Some(lag1), Some(variation));
            for ((percentile, deviations), held) in PERCENTILES.iter().zip(&mut result) {
                let truth = shape.at(*deviations);
                for (held, worth) in held.iter_mut().zip([histogram.count(), effective]) {
                    held.add(truth, interval(&histogram, *percentile, worth).ok());
                }
            }
        }
        result
    }
}

/// Lag-1 autocorrelation and coefficient of variation, by their definitions.
#[expect(clippy::cast_precision_loss, reason = "times of some milliseconds")]
fn dependence(values: &[u64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|value| *value as f64).sum::<f64>() / n;
    let distances: Vec<_> = values.iter().map(|value| *value as f64 - mean).collect();
    let squares: f64 = distances.iter().map(|distance| distance * distance).sum();
    let products: f64 = distances.windows(2).map(|pair| pair[0] * pair[1]).sum();
    (products / squares, (squares / n).sqrt() / mean)
}

/// The page with so many runs of each kind, as Markdown.
///
/// # Panics
/// When a simulation does.
#[must_use]
pub fn page(runs: u32) -> String {
    let mut text = format!(
        "# How often sampling intervals hold the true percentile\n\n\
         Made by `cargo xtask intervals`; do not edit. Of {runs} simulated runs of each kind, the part in per cent whose interval \
         holds the true percentile, of those with an interval; it promises {:.0}. By chance a part differs by {:.1} once in twenty \
         times. `-`: hardly any run has enough samples.\n\n\
         ## Independent samples\n\n\
         Nothing is known of the distribution, and ranks are whole: parts above the promised one are no fault. The part behind the \
         stroke is that with the check for dependence, which may see some by chance.\n\n",
        CONFIDENCE * 100.0,
        196.0 * (CONFIDENCE * (1.0 - CONFIDENCE) / f64::from(runs)).sqrt(),
    );
    table(&mut text, &[0.0], &[100, 1_000, 10_000], runs);
    text.push_str(
        "\n## Dependent samples\n\nValues of a normal process, autoregressive of first order with this correlation, made into the \
         distribution. Before the stroke the interval takes the samples for independent; behind it, for as many independent ones \
         as the lag-1 autocorrelation of the values makes them worth.\n\n",
    );
    table(&mut text, &[0.2, 0.5, 0.8], &[1_000, 10_000], runs);
    text
}

fn table(text: &mut String, correlations: &[f64], sizes: &[usize], runs: u32) {
    let kinds = |shape| correlations.iter().flat_map(move |r| sizes.iter().map(move |n| (shape, *r, *n)));
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = SHAPES
            .map(|shape| {
                scope.spawn(move || {
                    let run = |(shape, correlation, samples)| Simulation { shape, correlation, samples, runs }.run();
                    kinds(shape).map(|kind| (kind, run(kind))).collect::<Vec<_>>()
                })
            })
            .into_iter()
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a simulation does not panic")).collect()
    });
    let percentiles: Vec<_> = PERCENTILES.iter().map(|(percentile, _)| percentile.to_string()).collect();
    let _ = writeln!(text, "| values | correlation | samples | {} |", percentiles.join(" | "));
    text.push_str("|---|---:|---:|---:|---:|---:|---:|\n");
    for ((shape, correlation, samples), result) in results {
        let cells: Vec<_> =
            result.iter().map(|[before, after]| format!("{} / {}", before.text(), after.text())).collect();
        let _ = writeln!(text, "| {} | {correlation} | {samples} | {} |", shape.name(), cells.join(" | "));
    }
}
