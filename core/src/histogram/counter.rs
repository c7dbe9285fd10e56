//! The width of a bucket's counter.

/// The type of one bucket's counter: `u16`, `u32` or `u64`.
///
/// A counter that is full stays full and sets [`Saturation::buckets`](super::Saturation::buckets).
pub trait Counter: sealed::Counter {}

pub(super) mod sealed {
    /// What the histogram needs of a counter; private, so that no other type can be one.
    pub trait Counter: Copy + Eq + core::fmt::Debug + 'static {
        /// The empty counter.
        const ZERO: Self;
        /// Longest encoding of one count in the canonical bytes.
        const MAX_ENCODED_LEN: usize;

        /// The count.
        fn get(self) -> u64;

        /// One more, or nothing when the counter is full.
        fn successor(self) -> Option<Self>;

        /// The sum, and whether it was cut to the largest count.
        fn saturating_add(self, more: u64) -> (Self, bool);

        /// A counter with this count, or nothing when it is too large.
        fn exactly(count: u64) -> Option<Self>;
    }
}

macro_rules! counter {
    ($type:ty, $encoded:expr) => {
        impl sealed::Counter for $type {
            const ZERO: Self = 0;
            const MAX_ENCODED_LEN: usize = $encoded;

            #[inline]
            fn get(self) -> u64 {
                u64::from(self)
            }

            #[inline]
            fn successor(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[inline]
            fn saturating_add(self, more: u64) -> (Self, bool) {
                match <$type>::try_from(more) {
                    Ok(more) => {
                        let (sum, over) = self.overflowing_add(more);
                        (if over { <$type>::MAX } else { sum }, over)
                    }
                    Err(_) => (<$type>::MAX, true),
                }
            }

            #[inline]
            fn exactly(count: u64) -> Option<Self> {
                <$type>::try_from(count).ok()
            }
        }

        impl Counter for $type {}
    };
}

// A count is encoded as a difference, which has one bit more than the counter, in groups of seven bits;
// differences of 64-bit counts wrap.
counter!(u16, 3);
counter!(u32, 5);
counter!(u64, 10);
