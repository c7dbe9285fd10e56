//! Which percentiles to tell.

use std::str::FromStr;

use serde::Deserialize;

/// Percentiles from 0 to 100, rising, each once.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub struct Percentiles(Vec<f64>);

/// p50, p75, p90, p95 and p99.
impl Default for Percentiles {
    fn default() -> Self {
        Self(vec![50.0, 75.0, 90.0, 95.0, 99.0])
    }
}

impl Percentiles {
    /// The percentiles, rising.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Their names: `p99`, `p99.9`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|percentile| format!("p{percentile}"))
    }
}

impl TryFrom<Vec<f64>> for Percentiles {
    type Error = PercentileError;

    fn try_from(mut list: Vec<f64>) -> Result<Self, PercentileError> {
        if let Some(wrong) = list.iter().find(|percentile| !(0.0..=100.0).contains(*percentile)) {
            return Err(PercentileError(wrong.to_string()));
        }
        // No negative zero: it would be named so.
        for percentile in &mut list {
            *percentile = percentile.abs();
        }
        list.sort_by(f64::total_cmp);
        list.dedup();
        Ok(Self(list))
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
#[error("{0:?} is not a percentile: give numbers from 0 to 100, such as 50,99,99.9")]
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
