//! Which faults, and how often.

use std::fmt;
use std::str::FromStr;

use crate::yaml::suggestion;

/// Which faults to inject, and how often. Written `drop=0.1,flip=1e-4,seed=7`: names of [`RATES`](Self::RATES) with rates
/// from 0 to 1, and the seed.
///
/// A frame is what ends with a delimiter, as devices send it; text that is printed between two frames goes with the
/// second one. Of one frame the faults come in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultSpec {
    /// The part of frames before which up to 32 random bytes come, as from a line that floats. They may hold delimiters.
    pub noise: f64,
    /// The part of frames before which a line of text comes, as from a `printf` to the same port.
    pub text: f64,
    /// The part of frames that get lost.
    pub drop: f64,
    /// The part of frames that lose everything from a random byte on, their delimiter included.
    pub truncate: f64,
    /// The part of bytes that get lost, as in a receiver that is overrun.
    pub lose: f64,
    /// The part of bytes in which one bit is wrong.
    pub flip: f64,
    /// The part of frames that come twice, the second time up to 8 frames later.
    pub dup: f64,
    /// The part of frames that come up to 8 frames late.
    pub reorder: f64,
    /// Chooses which ones.
    pub seed: u64,
}

/// Why a [`FaultSpec`] cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {problem}")]
pub struct FaultSpecError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong there, and what to write instead.
    pub problem: String,
}

impl FaultSpec {
    /// The names of the rates, and what each is a part of.
    pub const RATES: [(&'static str, &'static str); 8] = [
        ("noise", "frames"),
        ("text", "frames"),
        ("drop", "frames"),
        ("truncate", "frames"),
        ("lose", "bytes"),
        ("flip", "bytes"),
        ("dup", "frames"),
        ("reorder", "frames"),
    ];

    const SEED: &'static str = "seed";

    fn rate_mut(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "noise" => &mut self.noise,
            "text" => &mut self.text,
            "drop" => &mut self.drop,
            "truncate" => &mut self.truncate,
            "lose" => &mut self.lose,
            "flip" => &mut self.flip,
            "dup" => &mut self.dup,
            "reorder" => &mut self.reorder,
            _ => return None,
        })
    }

    /// Takes `name=value`; the error is the offset of what is wrong, in bytes, and what it is.
    fn take(&mut self, part: &str) -> Result<(), (usize, String)> {
        let (name, value) =
            part.split_once('=').ok_or_else(|| (0, format!("`{part}` has no value: write {part}=0.01")))?;
        let value_at = name.len() + 1;
        if name == Self::SEED {
            self.seed = value.parse().map_err(|_| (value_at, format!("`{value}` is no seed: an integer from 0 on")))?;
            return Ok(());
        }
        let Some(rate) = self.rate_mut(name) else {
            let names = Self::RATES.map(|(name, _)| name);
            let near = suggestion(name, names.into_iter().chain([Self::SEED]));
            let hint = if near.is_empty() { format!(": there are {} and seed", names.join(", ")) } else { near };
            return Err((0, format!("there is no fault `{name}`{hint}")));
        };
        match value.parse() {
            Ok(part) if (0.0..=1.0).contains(&part) => *rate = part,
            _ => return Err((value_at, format!("`{value}` is no rate: a number from 0 to 1, such as 0.01 or 1e-4"))),
        }
        Ok(())
    }
}

impl FromStr for FaultSpec {
    type Err = FaultSpecError;

    fn from_str(text: &str) -> Result<Self, FaultSpecError> {
        let (mut spec, mut start, mut seen) = (Self::default(), 0, Vec::new());
        for part in text.split(',') {
            let error = |(offset, problem): (usize, String)| {
                let before = text.get(..start + offset).unwrap_or_default();
                FaultSpecError { column: before.chars().count() + 1, problem }
            };
            let name = part.split('=').next().unwrap_or_default();
            if part.is_empty() {
                return Err(error((0, "a fault is missing: write one such as drop=0.01".to_owned())));
            }
            spec.take(part).map_err(error)?;
            if seen.contains(&name) {
                return Err(error((0, format!("`{name}` is given twice"))));
            }
            seen.push(name);
            start += part.len() + 1;
        }
        Ok(spec)
    }
}

/// As it is written; rates of zero are left out.
impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = self.clone();
        for (name, _) in Self::RATES {
            match copy.rate_mut(name) {
                Some(rate) if *rate > 0.0 => write!(f, "{name}={rate},")?,
                _ => {}
            }
        }
        write!(f, "{}={}", Self::SEED, self.seed)
    }
}
