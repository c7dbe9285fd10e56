//! A post-processor of one's own: how many requests were good, that is, fast enough.
//!
//! It works on whatever was measured: records of single requests (`phasemeter process`), or the histograms of a run.

use std::error::Error;

use phasemeter::process::{PostProcessor, ProcessError, ProcessingResult, REQUEST_LATENCY, ResultSet};
use serde_json::{Map, json};

/// Counts the requests that took at most so many milliseconds, to a thousandth of them.
struct Goodput {
    limit_ms: f64,
}

impl PostProcessor for Goodput {
    fn process(&mut self, results: &[ResultSet]) -> Result<ProcessingResult, ProcessError> {
        let mut metrics = Map::new();
        for set in results {
            for latency in set.measured().filter_map(|phase| phase.metrics().get(REQUEST_LATENCY)) {
                // The largest share of the requests that is surely within the limit: its upper bound is.
                let shares: Vec<f64> = (0..=1_000).map(|share| f64::from(share) / 10.0).collect();
                let within = shares.iter().zip(latency.percentiles(&shares));
                let good = within.take_while(|(_, latency)| latency.upper <= self.limit_ms).map(|(share, _)| *share);
                metrics.insert(set.name().to_owned(), json!({"good_pct": good.last().unwrap_or(0.0)}));
            }
        }
        Ok(ProcessingResult::new(results, metrics))
    }
}

/// Four requests, of which three took at most 60 ms.
pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let mut set = ResultSet::new("example");
    let phase = set.phase("profiling")?;
    phase.counts.successful = 4;
    phase.metric(REQUEST_LATENCY, "ms", "example")?.extend(&[10.0, 20.0, 50.0, 100.0]);
    let result = Goodput { limit_ms: 60.0 }.process(&[set])?;
    println!("{}", serde_json::to_string_pretty(&result)?);
    let good = result.metrics()["example"]["good_pct"].as_f64();
    // Between 50 and 100 ms, percentiles interpolate: 60 ms is a fifth of the way.
    assert!(good.is_some_and(|good| (66.7..=73.4).contains(&good)), "{good:?}");
    Ok(())
}
