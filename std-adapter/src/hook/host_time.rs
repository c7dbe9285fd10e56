//! When an event reached the host.

use std::cell::Cell;
use std::time::SystemTime;

thread_local! {
    /// The time of what this thread's hooks are told of, where that is known.
    static TOLD: Cell<Option<SystemTime>> = const { Cell::new(None) };
}

/// When the event that a hook is told of reached the host, by its wall clock: while it is recorded and when the capture is
/// replayed, the time of the capture's record. A hook that writes this time, and not that of its own clock, writes the
/// same in a replay. Outside of both it is the time now.
pub fn host_time() -> SystemTime {
    TOLD.get().unwrap_or_else(SystemTime::now)
}

/// Tells hooks of what reached the host at `time`.
pub(crate) fn told_at<T>(time: SystemTime, tell: impl FnOnce() -> T) -> T {
    /// Puts back what was, also after a panic.
    struct Before(Option<SystemTime>);

    impl Drop for Before {
        fn drop(&mut self) {
            TOLD.set(self.0);
        }
    }

    let _before = Before(TOLD.replace(Some(time)));
    tell()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_time_holds_while_hooks_are_told() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        told_at(at(5), || {
            assert_eq!(told_at(at(7), host_time), at(7));
            assert_eq!(host_time(), at(5));
        });
        std::panic::catch_unwind(|| told_at(at(9), || panic!("a hook fails"))).unwrap_err();
        assert!(host_time() > at(9), "the time now");
    }
}
