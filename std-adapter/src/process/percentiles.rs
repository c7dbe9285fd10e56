//! Which percentiles to report, and by which rule.

use std::str::FromStr;

use phasemeter_core::summary::Percentile;
use serde::{Deserialize, Serialize};

use super::moments::to_f64;

/// How a percentile `p` of `n` values is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PercentileRule {
    /// The `⌈p · n⌉`-th smallest value, the first at least: a value that was measured. Reports of runs have it.
    #[default]
    NearestRank,
    /// Interpolated linearly between the two values around the rank `1 + p · (n − 1)`, as `NumPy` does by default and AIPerf
    /// with it.
    Linear,
}

impl PercentileRule {
    /// Its name, in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NearestRank => "nearest_rank",
            Self::Linear => "linear",
        }
    }

    /// Where a percentile lies among values in order.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is not negative")]
    pub(super) fn position(self, percentile: f64, count: u64) -> Position {
        let last = count.saturating_sub(1);
        match self {
            Self::NearestRank => {
                let rank = (u128::from(parts(percentile)) * u128::from(count)).div_ceil(1_000_000);
                let place = u64::try_from(rank).unwrap_or(count).saturating_sub(1).min(last);
                Position { below: place, above: place, part: 0.0 }
            }
            Self::Linear => {
                let position = percentile.clamp(0.0, 100.0) / 100.0 * to_f64(last);
                let below = (position.floor() as u64).min(last);
                Position { below, above: below.saturating_add(1).min(last), part: position - to_f64(below) }
            }
        }
    }
}

/// `part` of the way from rank `below` to rank `above`, both from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) below: u64,
    pub(super) above: u64,
    pub(super) part: f64,
}

/// A percentage in parts per million.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is that of a percentage")]
fn parts(percentile: f64) -> u32 {
    (percentile.clamp(0.0, 100.0) * 1e4).round() as u32
}

/// Percentiles from 0 to 100 with four decimals at most, rising, each once; and the rule that they are chosen by.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub struct Percentiles {
    list: Vec<f64>,
    rule: PercentileRule,
}

/// p50, p75, p90, p95 and p99 by nearest rank.
impl Default for Percentiles {
    fn default() -> Self {
        Self { list: vec![50.0, 75.0, 90.0, 95.0, 99.0], rule: PercentileRule::default() }
    }
}

impl Percentiles {
    /// The same by another rule.
    #[must_use]
    pub fn by(self, rule: PercentileRule) -> Self {
        Self { rule, ..self }
    }

    /// The rule.
    pub fn rule(&self) -> PercentileRule {
        self.rule
    }

    /// The percentiles, rising.
    pub fn as_slice(&self) -> &[f64] {
        &self.list
    }

    /// Their names: `p99`, `p99.9`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|percentile| format!("p{percentile}"))
    }

    /// Their places among so many values in order.
    pub(super) fn positions(&self, count: u64) -> impl Iterator<Item = Position> {
        self.list.iter().map(move |&percentile| self.rule.position(percentile, count))
    }

    /// The same as those of a device's histogram.
    pub(super) fn of_histogram(&self) -> impl Iterator<Item = Percentile> {
        self.list.iter().map(|&percentile| Percentile::from_ppm(parts(percentile)).unwrap_or(Percentile::P100))
    }
}

impl TryFrom<Vec<f64>> for Percentiles {
    type Error = PercentileError;

    fn try_from(mut list: Vec<f64>) -> Result<Self, PercentileError> {
        let is_one = |percentile: f64| {
            (0.0..=100.0).contains(&percentile) && (f64::from(parts(percentile)) / 1e4 - percentile).abs() < 1e-9
        };
        if let Some(wrong) = list.iter().find(|percentile| !is_one(**percentile)) {
            return Err(PercentileError(wrong.to_string()));
        }
        // No negative zero: it would be named so.
        for percentile in &mut list {
            *percentile = percentile.abs();
        }
        list.sort_by(f64::total_cmp);
        list.dedup();
        Ok(Self { list, rule: PercentileRule::default() })
    }
}

/// A list with commas: `50,99,99.9`.
impl FromStr for Percentiles {
    type Err = PercentileError;

    fn from_str(list: &str) -> Result<Self, PercentileError> {
        let parse = |number: &str| number.trim().parse().map_err(|_| PercentileError(number.to_owned()));
        list.split(',').map(parse).collect::<Result<Vec<f64>, _>>()?.try_into()
    }
}

/// Not a percentile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a percentile: give numbers from 0 to 100 with four decimals at most, such as 50,99,99.9")]
pub struct PercentileError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_rise_and_come_once() {
        let list: Percentiles = "99.9, 50,99,50,0".parse().unwrap();
        assert_eq!(list.as_slice(), [0.0, 50.0, 99.0, 99.9]);
        let names: Vec<_> = list.names().collect();
        assert_eq!(names, ["p0", "p50", "p99", "p99.9"]);
        assert_eq!(Percentiles::try_from(vec![-0.0]).unwrap().as_slice()[0].to_string(), "0");
    }

    #[test]
    fn what_is_no_percentile_is_refused() {
        for wrong in ["", "p50", "50;99", "-1", "100.1", "NaN", "inf"] {
            assert!(wrong.parse::<Percentiles>().is_err(), "{wrong}");
        }
    }
}
