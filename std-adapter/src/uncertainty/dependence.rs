//! How many independent samples dependent ones are worth.
//!
//! Neighbouring requests are often alike: they share a queue, a cache, a busy moment. Then a run says less than its number of
//! samples promises. In an autoregressive process of first order with correlation `ρ`, the mean of `n` samples varies as that of
//! `n (1 − ρ) / (1 + ρ)` independent ones.
//!
//! # From the autocorrelation of the values to that of ranks
//!
//! Percentiles depend on which samples lie below a value, and not on how far. A few huge values hide the correlation of
//! all others: values that are log-normal with coefficient of variation `v`, of a normal process with correlation `ρ`, have the
//! lag-1 autocorrelation `r = ((1 + v²)^ρ − 1) / v²`, which is less. Turned around, `ρ = ln(1 + r v²) / ln(1 + v²)`: that is
//! taken, which is never less than `r` and tends to it for small `v`. Whether a normal process lies below a threshold is
//! correlated less than the process itself, so that an interval is too wide rather than too narrow.
//!
//! # When it counts
//!
//! An estimate of `r` from `n` independent samples has a standard deviation of about `1 / √n`. Up to 1.645 of these (one-sided
//! 5 %) it is taken for chance, and all samples count. Beyond, `ρ` is raised by what the estimate is too low on average,
//! `(1 + 4ρ) / n`, and by one standard deviation, `√((1 − ρ²) / n)`.
//!
//! Sources: Bayley, Hammersley, "The 'Effective' Number of Independent Observations in an Autocorrelated Time Series", Supplement
//! to the Journal of the Royal Statistical Society 8, 1946 (the effective number); Bartlett, the same volume (the deviation);
//! Marriott, Pope, "Bias in the Estimation of Autocorrelations", Biometrika 41, 1954 (the bias); Liu, Der Kiureghian,
//! "Multivariate Distribution Models with Prescribed Marginals and Covariances", Probabilistic Engineering Mechanics 1, 1986
//! (log-normal values). `tests/trust/intervals.md` has simulations.

use super::binomial::float;

/// So many standard deviations are exceeded by chance in 5 % of runs.
const SIGNIFICANT: f64 = 1.645;

/// How many independent samples `count` samples with this lag-1 autocorrelation and coefficient of variation are worth: from 1
/// to `count`. An autocorrelation that is not known or not positive leaves all.
pub fn effective_count(count: u64, lag1: Option<f64>, variation: Option<f64>) -> u64 {
    let samples = float(count);
    let Some(lag1) = lag1.filter(|lag1| *lag1 > SIGNIFICANT / samples.sqrt()) else { return count };
    let of_ranks = of_ranks(lag1.min(1.0), variation.unwrap_or(0.0));
    let low_by = (1.0 + 4.0 * of_ranks) / samples;
    let correlation = of_ranks + low_by + ((1.0 - of_ranks * of_ranks).max(0.0) / samples).sqrt();
    let effective = samples * (1.0 - correlation) / (1.0 + correlation);
    whole(effective).clamp(count.min(1), count)
}

/// The correlation of the normal process behind log-normal values.
fn of_ranks(lag1: f64, variation: f64) -> f64 {
    let square = variation * variation;
    if square.is_finite() && square > 1e-6 { (lag1 * square).ln_1p() / square.ln_1p() } else { lag1 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion from a float saturates")]
fn whole(number: f64) -> u64 {
    number as u64
}
