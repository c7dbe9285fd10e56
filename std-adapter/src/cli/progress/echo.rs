//! What devices print, as much of it as a terminal takes without holding up the recording.

use std::time::{Duration, Instant};

/// So many lines a second of all devices together,
pub(in crate::cli) const LINES: u32 = 200;
/// and so many bytes.
pub(in crate::cli) const BYTES: usize = 16 * 1024;

const WINDOW: Duration = Duration::from_secs(1);

/// Decides which lines are shown, and counts the others.
#[derive(Debug)]
pub(in crate::cli) struct Echo {
    since: Instant,
    lines: u32,
    bytes: usize,
    withheld: Withheld,
}

/// What was not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Withheld {
    pub(in crate::cli) lines: u64,
    pub(in crate::cli) bytes: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Shown {
    Yes,
    /// It is the first that is only counted.
    NoMore,
    No,
}

impl Echo {
    pub(in crate::cli) fn new() -> Self {
        Self { since: Instant::now(), lines: 0, bytes: 0, withheld: Withheld::default() }
    }

    /// Takes a line that was printed at this time.
    pub(in crate::cli) fn take(&mut self, line: &str, now: Instant) -> Shown {
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.lines, self.bytes) = (now, 0, 0);
        }
        if self.lines < LINES && self.bytes.saturating_add(line.len()) <= BYTES {
            (self.lines, self.bytes) = (self.lines + 1, self.bytes + line.len());
            return Shown::Yes;
        }
        let is_first = self.withheld.lines == 0;
        self.withheld.lines += 1;
        self.withheld.bytes = self.withheld.bytes.saturating_add(line.len() as u64);
        if is_first { Shown::NoMore } else { Shown::No }
    }

    pub(in crate::cli) fn withheld(&self) -> Withheld {
        self.withheld
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_and_bytes_a_second_are_shown_and_the_rest_is_counted() {
        let mut echo = Echo::new();
        let start = echo.since;
        let mut take = |line: &str, millis| echo.take(line, start + Duration::from_millis(millis));
        assert!((0..LINES).all(|_| take("abc", 10) == Shown::Yes));
        assert_eq!([take("abc", 999), take("abcd", 999)], [Shown::NoMore, Shown::No]);
        // The next second has room again, for one line that is as long as all.
        assert_eq!([take(&"x".repeat(BYTES), 1_000), take("y", 1_001)], [Shown::Yes, Shown::No]);
        assert_eq!(take(&"x".repeat(BYTES + 1), 3_000), Shown::No);
        assert_eq!(echo.withheld(), Withheld { lines: 4, bytes: 3 + 4 + 1 + BYTES as u64 + 1 });
    }
}
