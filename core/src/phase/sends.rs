//! When requests were sent, as far as the spread of the gaps between them takes it.

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// When requests were sent: enough, with their number, for the coefficient of variation of the gaps between one and the next.
///
/// With k gaps, T from the first request to the last and Q the sum of the squared gaps, their mean is T / k, their variance
/// Q / k − (T / k)², and the coefficient of variation √(k · Q / T² − 1): 0 of evenly spaced requests, 1 of gaps that are
/// exponentially distributed, as those of a Poisson process are.
///
/// A request is sent when it is issued, as in schedule lag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sends {
    /// The first request; 0 when there is none. Device clock.
    pub first: Instant,
    /// The last request; 0 when there is none. Device clock.
    pub last: Instant,
    /// Sum of the squared gaps, in square nanoseconds. It never overflows: the gaps add up to 64 bits at most.
    pub squared_gaps: u128,
}

impl Sends {
    /// No requests.
    pub(super) const NONE: Self = Self { first: Instant::BOOT, last: Instant::BOOT, squared_gaps: 0 };

    /// Takes the next request; `is_first` says that there was none before. A clock that goes backwards stands still here.
    pub(super) fn record(&mut self, now: Instant, is_first: bool) {
        if is_first {
            (self.first, self.last) = (now, now);
        }
        let gap = u128::from(now.since(self.last).as_nanos());
        // No more than the square of 64 bits, and never wraps.
        self.squared_gaps = self.squared_gaps.wrapping_add(gap * gap);
        self.last = self.last.max(now);
    }

    /// Whether so many requests can have been sent then: no gap is negative, and neither is their variance.
    pub fn is_possible(&self, sent: u64) -> bool {
        let length = u128::from(self.last.since(self.first).as_nanos());
        match sent {
            0 => *self == Self::NONE,
            1 => self.first == self.last && self.squared_gaps == 0,
            _ => {
                let square = length * length;
                self.first <= self.last
                    && self.squared_gaps <= square
                    && square.div_ceil(u128::from(sent - 1)) <= self.squared_gaps
            }
        }
    }
}
