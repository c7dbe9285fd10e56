//! What a client measured, against the log of the server.

use serde_json::Value;

/// By how much the client's order statistics may exceed the server's: the loopback, two processes and their scheduling
/// on a busy machine. In milliseconds, by percentile.
const OVERHEAD_MS: [(&str, usize, f64); 5] =
    [("p50", 50, 10.0), ("p75", 75, 20.0), ("p90", 90, 40.0), ("p95", 95, 60.0), ("p99", 99, 150.0)];

/// Nearest rank on the server's side against the proven bounds on the client's.
///
/// `truth` is sorted, in milliseconds. `shortfall` is the part of the overhead by which the client may have measured less
/// than the server.
pub fn assert_order_statistics(metric: &Value, truth: &[f64], shortfall: f64) {
    assert_eq!(metric["count"], truth.len());
    for (name, percent, overhead) in OVERHEAD_MS {
        let truth = truth[(truth.len() * percent).div_ceil(100) - 1];
        let percentile = &metric["percentiles"][name];
        let number = |bound: &str| percentile[bound].as_f64();
        let (Some(lower), Some(upper)) = (number("lower"), number("upper")) else {
            panic!("{name} is missing: {metric}");
        };
        assert!(truth - overhead * shortfall <= upper, "{name}: the server took {truth} ms, measured {percentile}");
        assert!(lower <= truth + overhead, "{name}: the server took {truth} ms, measured {percentile}");
    }
}
