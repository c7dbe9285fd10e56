//! When the requests of a phase ran.

use serde::Serialize;

use super::moments::to_f64;

/// Where a window was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSource {
    /// The load generator told when the phase began and ended.
    Manifest,
    /// From the first to the last time in the records.
    Records,
}

/// The time in which the requests of a phase ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Nanoseconds, since the epoch of the records.
    pub start_ns: u64,
    /// Nanoseconds, since the epoch of the records; not before `start_ns`.
    pub end_ns: u64,
    /// How it is known.
    pub source: WindowSource,
}

impl Window {
    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        to_f64(self.end_ns.saturating_sub(self.start_ns)) / 1e9
    }

    /// From the earlier start to the later end.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let source = if self.source == other.source { self.source } else { WindowSource::Records };
        Self { start_ns: self.start_ns.min(other.start_ns), end_ns: self.end_ns.max(other.end_ns), source }
    }
}

/// The windows of several runs of a phase, joined where they overlap or touch: rising, with a gap between any two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// Adds a window.
    pub fn add(&mut self, window: Window) {
        // Those that it reaches are next to each other.
        let from = self.0.partition_point(|own| own.end_ns < window.start_ns);
        let to = self.0.partition_point(|own| own.start_ns <= window.end_ns).max(from);
        let joined = self.0[from..to].iter().copied().fold(window, Window::union);
        self.0.splice(from..to, [joined]);
    }

    /// Adds those of others.
    pub fn join(&mut self, others: &Self) {
        others.0.iter().for_each(|window| self.add(*window));
    }

    /// From the first start to the last end; `None` if there is no window.
    pub fn whole(&self) -> Option<Window> {
        self.0.iter().copied().reduce(Window::union)
    }

    /// The window, if it is one without gaps.
    pub fn only(&self) -> Option<Window> {
        if let [only] = self.0[..] { Some(only) } else { None }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long they are together, without the gaps, in seconds; `None` if they have no length.
    pub fn seconds(&self) -> Option<f64> {
        let lengths = self.0.iter().map(|window| window.end_ns.saturating_sub(window.start_ns));
        let length = lengths.fold(0, u64::saturating_add);
        (length > 0).then(|| to_f64(length) / 1e9)
    }
}

impl From<Option<Window>> for Windows {
    fn from(window: Option<Window>) -> Self {
        Self(window.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever their order: as many nanoseconds as lie in any of them.
        #[test]
        fn windows_are_as_long_as_their_union(spans in proptest::collection::vec((0..60_u64, 0..12_u64), 0..20)) {
            let mut windows = Windows::default();
            for (start_ns, length) in &spans {
                windows.add(Window { start_ns: *start_ns, end_ns: start_ns + length, source: WindowSource::Records });
            }
            let inside = |at: &u64| spans.iter().any(|(start, length)| start <= at && *at < start + length);
            let length = (0..80).filter(inside).count() as u64;
            prop_assert_eq!(windows.seconds(), (length > 0).then(|| to_f64(length) / 1e9));
            prop_assert!(windows.0.windows(2).all(|pair| pair[0].end_ns < pair[1].start_ns));
            prop_assert_eq!(windows.whole().map(|all| all.start_ns), spans.iter().map(|(start, _)| *start).min());
            prop_assert_eq!(windows.whole().map(|all| all.end_ns), spans.iter().map(|(start, length)| start + length).max());
            prop_assert_eq!(windows.only().is_some(), windows.0.len() == 1);
        }
    }
}
