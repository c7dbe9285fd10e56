//! A hook on a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, SystemTime};

use phasemeter_core::hook::{PhaseEvent, PhaseHook};
use phasemeter_core::phase::PhaseStats;
use phasemeter_core::time::Instant;

use super::{HookError, HookFailures, host_time, told_at};

/// Events that may wait for the hook: those of a whole plan, and minutes of progress.
const QUEUED: usize = 1024;
/// How long the hook may take at the end of the run for what is queued.
const PATIENCE: Duration = Duration::from_secs(15);

/// An event, and when it reached the host.
type Told = (PhaseEvent, PhaseStats, Instant, SystemTime);

/// Tells a hook on a thread of its own, so that whoever has an event never waits for the hook.
///
/// Up to 1,024 events wait. What finds no room is left out, and counted as a failure; so is what comes after the hook
/// panicked. Dropping it waits until the hook was told of everything and was dropped, for 15 s at most.
#[derive(Debug)]
pub struct Background {
    /// `None` once no more events come.
    events: Option<SyncSender<Told>>,
    /// Closed when the thread is done with the hook.
    done: Receiver<()>,
    failures: HookFailures,
    patience: Duration,
}

impl Background {
    /// Starts the thread that tells `hook`.
    ///
    /// # Errors
    /// [`HookError::Thread`] if the system has no thread left.
    pub fn spawn(hook: impl PhaseHook + Send + 'static) -> Result<Self, HookError> {
        Self::with(hook, QUEUED, PATIENCE, HookFailures::new("hooks"))
    }

    pub(super) fn with(
        mut hook: impl PhaseHook + Send + 'static,
        queued: usize,
        patience: Duration,
        failures: HookFailures,
    ) -> Result<Self, HookError> {
        let (events, queue) = sync_channel::<Told>(queued);
        let (sender, done) = channel();
        let work = move || {
            for (event, phase, now, time) in queue {
                told_at(time, || hook.on_event(event, &phase, now));
            }
            drop(hook);
            drop(sender);
        };
        std::thread::Builder::new().name("hooks".into()).spawn(work).map_err(HookError::Thread)?;
        Ok(Self { events: Some(events), done, failures, patience })
    }

    /// Counts the events that the hook was not told of.
    pub fn failures(&self) -> &HookFailures {
        &self.failures
    }
}

impl PhaseHook for Background {
    fn on_event(&mut self, event: PhaseEvent, phase: &PhaseStats, now: Instant) {
        let Some(events) = &self.events else { return };
        self.failures.check(events.try_send((event, *phase, now, host_time())).map_err(|error| match error {
            TrySendError::Full(_) => HookError::Busy(event),
            TrySendError::Disconnected(_) => HookError::Panicked(event),
        }));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.events = None;
        if self.done.recv_timeout(self.patience) == Err(RecvTimeoutError::Timeout) {
            self.failures.check(Err(HookError::LeftBehind(self.patience)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::event::tests::PHASE;
    use std::sync::mpsc::Sender;

    /// Waits for a word before it takes an event.
    struct Slow(Receiver<()>, Sender<Instant>);

    impl PhaseHook for Slow {
        fn on_progress(&mut self, _: &PhaseStats, now: Instant) {
            let _ = self.0.recv();
            self.1.send(now).unwrap();
        }

        fn on_phase_timeout(&mut self, _: &PhaseStats, _: Instant) {
            panic!("as a hook might");
        }
    }

    fn slow(queued: usize, patience: Duration) -> (Background, Sender<()>, Receiver<Instant>, Receiver<String>) {
        let ((go, wait), (told, seen), (report, reported)) = (channel(), channel(), channel());
        let failures = HookFailures::new("test");
        failures.report_to(move |error| report.send(error.to_string()).unwrap());
        let background = Background::with(Slow(wait, told), queued, patience, failures).unwrap();
        (background, go, seen, reported)
    }

    #[test]
    fn nobody_waits_for_a_slow_hook_and_what_does_not_fit_is_counted() {
        let (mut background, go, seen, reported) = slow(8, Duration::from_secs(10));
        let start = std::time::Instant::now();
        for now in 0..100 {
            background.on_event(PhaseEvent::Progress, &PHASE, Instant::from_nanos(now));
        }
        assert!(start.elapsed() < Duration::from_secs(1));
        // One may be with the hook already.
        let lost = background.failures().count();
        assert!((91..=92).contains(&lost), "{lost}");
        assert!(reported.recv().unwrap().contains("still busy"));
        drop(go);
        drop(background);
        let seen: Vec<u64> = seen.iter().map(Instant::as_nanos).collect();
        assert_eq!(seen, (0..100 - lost).collect::<Vec<_>>(), "drained in order, and nothing else");
    }

    #[test]
    fn a_hook_that_hangs_is_left_behind() {
        let (mut background, _go, _seen, reported) = slow(8, Duration::from_millis(20));
        background.on_event(PhaseEvent::Progress, &PHASE, Instant::BOOT);
        let start = std::time::Instant::now();
        drop(background);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(reported.recv().unwrap().contains("was left behind"));
    }

    #[test]
    fn a_hook_that_panics_does_not_take_the_run_with_it() {
        let (mut background, _go, seen, reported) = slow(8, Duration::from_secs(10));
        background.on_event(PhaseEvent::Timeout, &PHASE, Instant::BOOT);
        // The hook is gone once its end of the channel is.
        assert!(seen.recv().is_err());
        while background.failures().count() == 0 {
            background.on_event(PhaseEvent::Progress, &PHASE, Instant::BOOT);
        }
        assert_eq!(reported.recv().unwrap(), "the hook panicked before phase_progress and is told no more");
    }
}
