//! What `GET /metrics` tells: the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counters since the server started.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// By path and status. The paths are those that the server knows, so there are few.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// By the fault's name.
    faults: Mutex<BTreeMap<&'static str, u64>>,
    in_flight: AtomicU64,
    tokens: AtomicU64,
}

impl Metrics {
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self, path: &'static str, status: u16) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        *lock(&self.requests).entry((path, status)).or_default() += 1;
    }

    pub(super) fn tokens(&self, count: u32) {
        self.tokens.fetch_add(count.into(), Ordering::Relaxed);
    }

    pub(super) fn fault(&self, name: &'static str) {
        *lock(&self.faults).entry(name).or_default() += 1;
    }

    /// All of it, in Prometheus' text format, version 0.0.4.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP phasemeter_mock_{name} {help}\n# TYPE phasemeter_mock_{name} {kind}");
        };
        head(&mut text, "requests_total", "counter", "Requests that ended; status 0 is none, because of a fault.");
        for ((path, status), count) in lock(&self.requests).iter() {
            let _ = writeln!(text, "phasemeter_mock_requests_total{{path=\"{path}\",status=\"{status}\"}} {count}");
        }
        head(&mut text, "requests_in_flight", "gauge", "Requests that did not end yet.");
        let _ = writeln!(text, "phasemeter_mock_requests_in_flight {}", self.in_flight.load(Ordering::Relaxed));
        head(&mut text, "output_tokens_total", "counter", "Tokens of answers.");
        let _ = writeln!(text, "phasemeter_mock_output_tokens_total {}", self.tokens.load(Ordering::Relaxed));
        head(&mut text, "faults_total", "counter", "What went wrong on demand.");
        for (name, count) in lock(&self.faults).iter() {
            let _ = writeln!(text, "phasemeter_mock_faults_total{{fault=\"{name}\"}} {count}");
        }
        text
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
