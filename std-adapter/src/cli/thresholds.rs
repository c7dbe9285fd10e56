//! What a run is judged by, and the exit code that it comes to.

use std::process::ExitCode;

use crate::report::{Judgement, Summary, Thresholds};

/// Exit code of a run that failed: no request succeeded, or a threshold was exceeded.
pub(super) const FAILED_RUN: u8 = 1;
/// Exit code of a run that was not observed whole.
pub(super) const INCOMPLETE: u8 = 3;

/// What a run is judged by.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ThresholdArgs {
    /// The run fails (exit code 1) if more of the requests that ended failed or were cancelled. The profiling phases
    /// count; without one, all phases do. 100 lets all but the last one fail. 50 unless given; `replay` and
    /// `report` take what the run was recorded with.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    max_error_rate: Option<u32>,
}

impl ThresholdArgs {
    /// Those that were given, the usual ones for others.
    pub(super) fn thresholds(self) -> Thresholds {
        self.over(Thresholds::default())
    }

    /// Those that were given, those of the recording for others.
    pub(super) fn over(self, recorded: Thresholds) -> Thresholds {
        Thresholds { max_error_rate_ppm: self.max_error_rate.unwrap_or(recorded.max_error_rate_ppm) }
    }
}

/// A percentage in parts per million.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
pub(super) fn parse_percent(text: &str) -> Result<u32, String> {
    let number = text.trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 1e4).round() as u32),
        _ => Err("a percentage is a number from 0 to 100, such as 2.5".to_owned()),
    }
}

/// The exit code of a command whose result is this run.
pub(super) fn exit_code(summary: &Summary) -> ExitCode {
    ExitCode::from(code(&summary.judgement(), summary.run.complete))
}

/// The exit code of a run of which this was judged. That nothing succeeded is known whatever was not observed; of an error
/// rate, more would have been known.
pub(super) fn code(judgement: &Judgement, is_complete: bool) -> u8 {
    let failed = !judgement.reasons.is_empty();
    match is_complete {
        _ if judgement.nothing_succeeded => FAILED_RUN,
        false => INCOMPLETE,
        true => {
            if failed {
                FAILED_RUN
            } else {
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_parsed() {
        let parsed = ["0", "50", "2.5", "29%", "100 %", "0.0001"].map(|text| parse_percent(text).unwrap());
        assert_eq!(parsed, [0, 500_000, 25_000, 290_000, 1_000_000, 1]);
        for wrong in ["", "-1", "100.1", "many", "NaN", "inf"] {
            assert!(parse_percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_weighs_more_than_that_nothing_succeeded() {
        let judged = |reasons: &[&str], nothing_succeeded| Judgement {
            reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
            nothing_succeeded,
            verdict: None,
        };
        let codes = |judgement| [true, false].map(|is_complete| code(&judgement, is_complete));
        assert_eq!(codes(judged(&["nothing"], true)), [1, 1]);
        assert_eq!(codes(judged(&["rate"], false)), [1, 3]);
        assert_eq!(codes(judged(&[], false)), [0, 3]);
    }
}
