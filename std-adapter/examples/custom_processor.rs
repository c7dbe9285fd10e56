//! A post-processor of one's own: how many requests met a service level objective.
//!
//! ```sh
//! cargo run --example custom_processor -- tests/data/aiperf/profile_export.jsonl 300
//! ```

use std::path::Path;

use phasemeter::process::{
    OutcomeCounts, PostProcessor, ProcessError, ProcessingResult, REQUEST_LATENCY, ReadOptions, Reader, ResultSet,
};
use serde_json::{Map, json};

/// Counts the requests that succeeded within a time.
struct Goodput {
    within_ms: f64,
}

impl PostProcessor for Goodput {
    fn process(&mut self, results: &[ResultSet]) -> Result<ProcessingResult, ProcessError> {
        let total = results.iter().map(ResultSet::counts).sum::<OutcomeCounts>().total();
        let phases = results.iter().flat_map(ResultSet::measured);
        let latencies = phases.filter_map(|phase| phase.metrics().get(REQUEST_LATENCY));
        // A sketch knows the share only to within a bucket: at least `sure` of them, at most `possible`.
        let (sure, possible) = latencies.fold((0, 0), |(sure, possible), latencies| {
            let (low, high) = latencies.count_within(self.within_ms);
            (sure + low, possible + high)
        });
        let mut metrics = Map::new();
        metrics.insert("within_ms".to_owned(), json!(self.within_ms));
        metrics.insert("requests".to_owned(), json!(total));
        metrics.insert("good_at_least".to_owned(), json!(sure));
        metrics.insert("good_at_most".to_owned(), json!(possible));
        Ok(ProcessingResult::new(results, metrics))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("give a file of records, and a limit in ms")?;
    let within_ms = arguments.next().map_or(Ok(300.0), |limit| limit.parse())?;
    let mut reader = Reader::new(&file, ReadOptions::default());
    reader.read_file(Path::new(&file), &mut ())?;
    let mut processor: Box<dyn PostProcessor> = Box::new(Goodput { within_ms });
    let result = processor.process(&[reader.finish()])?;
    println!("{}", serde_json::to_string_pretty(result.metrics())?);
    Ok(())
}
