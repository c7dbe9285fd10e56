//! What hooks fail at: reported once, counted after that.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::HookError;
use crate::text::printable;

type Report = Box<dyn FnMut(&HookError) + Send>;

/// How often a hook failed. The first failure is reported, on standard error unless [`HookFailures::report_to`] gives
/// another place; the others are only counted, and the run goes on.
///
/// A clone is a handle to the same count, for whoever gives the hook away.
#[derive(Clone)]
pub struct HookFailures(Arc<Inner>);

struct Inner {
    count: AtomicU64,
    report: Mutex<Report>,
}

impl HookFailures {
    pub(super) fn new(hook: &'static str) -> Self {
        let report: Report = Box::new(move |error| {
            // If nobody reads that any more, the run goes on.
            let error = printable(&error.to_string());
            let _ = writeln!(std::io::stderr(), "phasemeter: {hook}: {error} (further failures are only counted)");
        });
        Self(Arc::new(Inner { count: AtomicU64::new(0), report: Mutex::new(report) }))
    }

    /// How often the hook failed.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Where the first failure is reported, instead of on standard error. It is called on the hook's thread.
    pub fn report_to(&self, report: impl FnMut(&HookError) + Send + 'static) {
        *self.0.report.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(report);
    }

    /// Counts a failure, and reports the first.
    pub(super) fn check(&self, result: Result<(), HookError>) {
        if let Err(error) = result
            && self.0.count.fetch_add(1, Ordering::Relaxed) == 0
        {
            (self.0.report.lock().unwrap_or_else(PoisonError::into_inner))(&error);
        }
    }
}

impl std::fmt::Debug for HookFailures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HookFailures").field(&self.count()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn the_first_failure_is_reported_and_each_is_counted() {
        let failures = HookFailures::new("test");
        let (sender, reported) = channel();
        failures.clone().report_to(move |error| sender.send(error.to_string()).unwrap());
        failures.check(Ok(()));
        assert_eq!(failures.count(), 0);
        failures.check(Err(HookError::Config("one")));
        failures.check(Err(HookError::Config("two")));
        assert_eq!((failures.count(), reported.try_iter().collect::<Vec<_>>()), (2, vec!["one".to_owned()]));
    }
}
