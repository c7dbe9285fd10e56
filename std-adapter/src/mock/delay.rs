//! Delays drawn from a log-normal distribution, the usual shape of server latencies.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use futures_timer::Delay;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::StandardNormal;
use thiserror::Error;

/// A log-normal delay: half of the draws are shorter than the median, and `ln(delay)` has standard deviation sigma.
///
/// Parsed from `MEDIAN,SIGMA` (`20ms,0.5`) or from `MEDIAN` alone, which makes the delay constant.
///
/// ```
/// use phasemeter::mock::LogNormalDelay;
///
/// let delay: LogNormalDelay = "20ms,0.5".parse()?;
/// assert_eq!(delay.to_string(), "20ms,0.5");
/// # Ok::<(), phasemeter::mock::DelayError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormalDelay {
    median: Duration,
    sigma: f64,
}

/// Why a [`LogNormalDelay`] was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum DelayError {
    /// The median is not a duration.
    #[error("`{0}` is not a duration; write a number and a unit, such as 20ms or 1.5s")]
    Median(String),
    /// The median is longer than [`LogNormalDelay::MAX`].
    #[error("a median of {} is too long; the limit is {}", humantime::format_duration(*.0), humantime::format_duration(LogNormalDelay::MAX))]
    MedianTooLong(Duration),
    /// Sigma is not a number in `0..=`[`LogNormalDelay::MAX_SIGMA`].
    #[error("sigma `{0}` is not a number from 0 to {max}; 0 is a constant delay, 0.5 a usual one", max = LogNormalDelay::MAX_SIGMA)]
    Sigma(String),
}

impl LogNormalDelay {
    /// No draw is longer than this; longer ones are cut to it.
    pub const MAX: Duration = Duration::from_hours(1);
    /// The widest distribution accepted: at 4, one draw in forty is 2500 times the median.
    pub const MAX_SIGMA: f64 = 4.0;
    /// No delay at all.
    pub const ZERO: Self = Self { median: Duration::ZERO, sigma: 0.0 };

    /// A delay with this median (at most [`MAX`](Self::MAX)) and this sigma (`0.0..=4.0`).
    ///
    /// # Errors
    /// [`DelayError`] when either is out of range.
    pub fn new(median: Duration, sigma: f64) -> Result<Self, DelayError> {
        if median > Self::MAX {
            return Err(DelayError::MedianTooLong(median));
        }
        if !(0.0..=Self::MAX_SIGMA).contains(&sigma) {
            return Err(DelayError::Sigma(sigma.to_string()));
        }
        Ok(Self { median, sigma })
    }

    /// The delay that half of the draws stay below.
    pub fn median(self) -> Duration {
        self.median
    }

    /// The standard deviation of the delay's natural logarithm; 0 makes every draw the median.
    pub fn sigma(self) -> f64 {
        self.sigma
    }

    /// One draw. It takes the same amount of randomness whatever the parameters are.
    pub(super) fn draw(self, rng: &mut impl Rng) -> Duration {
        let normal: f64 = rng.sample(StandardNormal);
        let seconds = self.median.as_secs_f64() * (self.sigma * normal).exp();
        Duration::try_from_secs_f64(seconds).map_or(Self::MAX, |delay| delay.min(Self::MAX))
    }
}

impl FromStr for LogNormalDelay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let (median, sigma) = text.split_once(',').unwrap_or((text, "0"));
        let (median, sigma) = (median.trim(), sigma.trim());
        let median = humantime::parse_duration(median).map_err(|_| DelayError::Median(median.to_owned()))?;
        let parsed = sigma.parse().map_err(|_| DelayError::Sigma(sigma.to_owned()))?;
        Self::new(median, parsed)
    }
}

impl fmt::Display for LogNormalDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One token per side of the comma, so that the text parses back.
        let median = humantime::format_duration(self.median).to_string().replace(' ', "");
        write!(f, "{median},{}", self.sigma)
    }
}

/// Resolves at `due`, at once if that has passed.
pub(super) async fn sleep_until(due: Instant) {
    if let Some(wait) = due.checked_duration_since(Instant::now()) {
        Delay::new(wait).await;
    }
}

/// The random numbers of request `number`. Each request has a generator of its own, so what it draws depends neither
/// on the requests beside it nor on the order in which they are served.
pub(super) fn request_rng(seed: u64, number: u64) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    StdRng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_median_and_sigma() {
        let delay: LogNormalDelay = " 1.5s , 0.25 ".parse().unwrap();
        assert_eq!((delay.median(), delay.sigma()), (Duration::from_millis(1500), 0.25));
        assert_eq!("3ms".parse(), LogNormalDelay::new(Duration::from_millis(3), 0.0));
    }

    #[test]
    fn its_text_parses_back() {
        for text in ["20ms,0.5", "1s500ms,0", "0s,0", "1m,4"] {
            let delay: LogNormalDelay = text.parse().unwrap();
            assert_eq!(delay.to_string().parse(), Ok(delay), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_out_of_range() {
        for text in ["", "20", "fast", "-1ms", "2h", "20ms,", "20ms,x", "20ms,-0.1", "20ms,4.1", "20ms,NaN", "20ms,inf"]
        {
            let refused = text.parse::<LogNormalDelay>().unwrap_err().to_string();
            assert!(!refused.contains('\n'), "{text}: {refused}");
        }
        assert!(matches!("2h".parse::<LogNormalDelay>(), Err(DelayError::MedianTooLong(_))));
    }

    #[test]
    fn draws_have_the_median_and_spread_asked_for() {
        let delay: LogNormalDelay = "20ms,0.5".parse().unwrap();
        let mut draws: Vec<_> = (0..4000).map(|k| delay.draw(&mut request_rng(7, k)).as_secs_f64()).collect();
        draws.sort_by(f64::total_cmp);
        assert!((0.019..0.021).contains(&draws[2000]), "median {}", draws[2000]);
        // One sigma above the median, at the 84th percentile: 20 ms * e^0.5 = 33 ms.
        assert!((0.031..0.035).contains(&draws[3365]), "p84 {}", draws[3365]);
    }

    #[test]
    fn a_draw_never_exceeds_the_limit() {
        let delay = LogNormalDelay::new(LogNormalDelay::MAX, LogNormalDelay::MAX_SIGMA).unwrap();
        let draws: Vec<_> = (0..64).map(|k| delay.draw(&mut request_rng(1, k))).collect();
        assert_eq!(draws.iter().max(), Some(&LogNormalDelay::MAX));
    }

    #[test]
    fn requests_draw_alike_from_one_seed_only() {
        let draw = |seed, number| request_rng(seed, number).random::<u64>();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}
