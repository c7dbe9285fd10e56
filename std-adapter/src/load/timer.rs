//! Waiting for the moment of the next request, finer than tokio's millisecond.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

pub(super) use system::Timer;

/// A wait is cut into pieces of this length at most.
const LONGEST: Duration = Duration::from_hours(1);

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use super::{Context, Duration, LONGEST, Poll, io};

    /// A timer of the kernel that the reactor waits for, accurate to some microseconds.
    #[derive(Debug)]
    pub(in super::super) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        /// A timer that is not set. Make it inside a runtime.
        #[expect(
            deprecated,
            reason = "what takes its place is unsafe, for files that change; an owned one stays the same"
        )]
        pub(in super::super) fn new() -> io::Result<Self> {
            let file = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
            Ok(Self(AsyncFd::new(file)?))
        }

        /// Wakes the task after so long, once, unless set again before.
        pub(in super::super) fn set(&mut self, after: Duration) -> io::Result<()> {
            // Zero would switch it off.
            let after = after.clamp(Duration::from_nanos(1), LONGEST);
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value = Timespec {
                tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(after.subsec_nanos()),
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: value })?;
            Ok(())
        }

        /// Ready when the time has passed.
        pub(in super::super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
            match self.0.poll_read_ready(context) {
                // Setting it again takes back what has run out.
                Poll::Ready(Ok(mut ready)) => {
                    ready.clear_ready();
                    Poll::Ready(())
                }
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::future::Future;
    use std::pin::Pin;

    use futures_timer::Delay;

    use super::{Context, Duration, LONGEST, Poll, io};

    /// A timer with a thread of its own, as accurate as the system wakes threads.
    #[derive(Debug)]
    pub(in super::super) struct Timer(Delay);

    impl Timer {
        /// A timer that is not set.
        pub(in super::super) fn new() -> io::Result<Self> {
            Ok(Self(Delay::new(LONGEST)))
        }

        /// Wakes the task after so long, once, unless set again before.
        pub(in super::super) fn set(&mut self, after: Duration) -> io::Result<()> {
            self.0.reset(after.min(LONGEST));
            Ok(())
        }

        /// Ready when the time has passed.
        pub(in super::super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
            Pin::new(&mut self.0).poll(context)
        }
    }
}
