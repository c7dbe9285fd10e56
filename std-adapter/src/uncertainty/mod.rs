//! How far one run can be trusted: what a longer or another run of the same system would differ by.
//!
//! A histogram's own bound says how far a percentile may be from that of the samples. What is here says how far that one may be
//! from the system's: the *sampling* uncertainty, which shrinks with the number of samples and not with finer buckets. All of it
//! are pure functions of histograms, counts and a few moments, without assumptions on the distribution of the values.
//!
//! | module | answers |
//! |---|---|
//! | [`interval`] | between which values does the true percentile lie, at 95 %? |
//! | [`early_stopping`] | above which value does it not lie, as `MLPerf` `LoadGen` states it? |
//! | [`dependence`] | how many independent samples are these worth? |
//! | [`stationarity`] | does one part of the run look like the other? |
//!
//! The tables in `tests/trust/intervals.md` of the repository, printed by `cargo xtask intervals`, show how often the intervals
//! hold what they should.

mod binomial;
pub mod dependence;
pub mod interval;
pub mod early_stopping;
pub mod stationarity;

#[cfg(test)]
mod tests;
