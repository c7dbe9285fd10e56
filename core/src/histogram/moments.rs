//! Mean and standard deviation from the exact sums.

/// A variance in square nanoseconds: `whole + part / of`, with `part < of`.
#[derive(Clone, Copy)]
pub(super) struct Variance {
    whole: u128,
    part: u128,
    of: u128,
}

impl Variance {
    /// The variance of `count` values with these sums, or `None` when no set of values has them.
    ///
    /// With `sum = q * n + r` the squared distances from the mean add up to `M − r²/n`, where
    /// `M = Σx² − q² * n − 2 * q * r`. Every step fits 128 bits when the sums are those of real values, as
    /// `q² * n + 2 * q * r ≤ sum²/n ≤ Σx²`.
    pub(super) fn of(count: u64, sum: u128, squares: u128) -> Option<Self> {
        let n = u128::from(count);
        let (q, r) = (sum.checked_div(n)?, sum.checked_rem(n)?);
        let around_floor = q.checked_mul(q)?.checked_mul(n)?.checked_add(q.checked_mul(r)?.checked_mul(2)?)?;
        let m = squares.checked_sub(around_floor)?;
        let of = n * n;
        // The variance is M/n − r²/n², split into whole and part; both products are below n².
        let (whole, above, below) = (m / n, m % n * n, r * r);
        match above.checked_sub(below) {
            Some(part) => Some(Self { whole, part, of }),
            None => Some(Self { whole: whole.checked_sub(1)?, part: of - (below - above), of }),
        }
    }

    /// The square root, rounded to the nearest integer.
    pub(super) fn sqrt(self) -> u64 {
        // ⌊√V + ½⌋ = ⌊(⌊√(4V)⌋ + 1) / 2⌋, so what is needed is ⌊4V⌋: the part's first two binary digits come by
        // doubling it without overflow.
        let (mut quarters, mut part) = (self.whole, self.part);
        for _ in 0..2 {
            let missing = self.of - part;
            let carry = part >= missing;
            part = if carry { part - missing } else { part + part };
            quarters = quarters.saturating_mul(2).saturating_add(u128::from(carry));
        }
        u64::try_from(quarters.isqrt().div_ceil(2)).unwrap_or(u64::MAX)
    }
}

/// The mean, rounded to the nearest integer and up when halfway.
pub(super) fn mean(count: u64, sum: u128) -> Option<u64> {
    let n = u128::from(count);
    let (whole, rest) = (sum.checked_div(n)?, sum.checked_rem(n)?);
    u64::try_from(whole + u128::from(rest >= n - rest)).ok()
}
