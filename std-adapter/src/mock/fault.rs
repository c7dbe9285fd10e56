//! What the server does wrong on demand.
//!
//! One grammar for the command line, the paths and the log: a fault is `NAME`, `=VALUE` where it takes one, and `@mid` for in
//! the middle of an answer. In a path the parts stand between slashes: `stall=2s@mid` is `/fault/stall/2s/mid`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::Rng;
use thiserror::Error;

use super::delay::LogNormalDelay;
use crate::text::quoted;
use crate::yaml::nearest;

/// Something that the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `status=503`: this status, `400..=599`, after the first delay, with an error in the words of the `OpenAI` API.
    Status(u16),
    /// `reset`: the connection is reset, with everything else that it carries.
    Reset(Place),
    /// `stall=2s`: no byte leaves for this long; what was due meanwhile comes at once after it.
    Stall(Duration, Place),
    /// `garbage`: bytes that are no HTTP and the end of the connection; in mid-answer an event or half a body that is no JSON.
    Garbage(Place),
    /// `slow-token=200ms`: one token in the middle, and all behind it, come so much later. An answer without tokens comes
    /// later as a whole.
    SlowToken(Duration),
}

/// Where in an answer the fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the first byte.
    Before,
    /// When half of it was sent: of the tokens if it is streamed, else of the body.
    Mid,
}

/// A fault's name, an example of its value if it takes one, and whether it can be in mid-answer.
const KINDS: [(&str, Option<&str>, bool); 5] = [
    ("status", Some("503"), false),
    ("reset", None, true),
    ("stall", Some("2s"), true),
    ("garbage", None, true),
    ("slow-token", Some("200ms"), false),
];
const MID: &str = "mid";

impl Fault {
    /// No stall and no slow token takes longer.
    pub const MAX: Duration = LogNormalDelay::MAX;

    /// The fault's name without its value.
    pub fn name(self) -> &'static str {
        let index = match self {
            Self::Status(_) => 0,
            Self::Reset(_) => 1,
            Self::Stall(..) => 2,
            Self::Garbage(_) => 3,
            Self::SlowToken(_) => 4,
        };
        KINDS[index].0
    }

    /// Whether it is in the middle of an answer.
    pub(super) fn is_mid(self) -> bool {
        matches!(self, Self::Reset(Place::Mid) | Self::Stall(_, Place::Mid) | Self::Garbage(Place::Mid))
    }

    /// The same before the answer.
    pub(super) fn before(self) -> Self {
        match self {
            Self::Reset(_) => Self::Reset(Place::Before),
            Self::Stall(duration, _) => Self::Stall(duration, Place::Before),
            Self::Garbage(_) => Self::Garbage(Place::Before),
            Self::Status(_) | Self::SlowToken(_) => self,
        }
    }

    /// The fault at the start of a path behind `/fault/`, and the rest of the path: empty, or with a slash in front.
    pub(super) fn from_path(path: &str) -> Result<(Self, &str), FaultProblem> {
        let (name, mut rest) = segment(path);
        let value = match kind(name)?.1 {
            Some(_) if !rest.is_empty() => {
                let (value, behind) = segment(&rest[1..]);
                rest = behind;
                Some(value)
            }
            _ => None,
        };
        let mid = match segment(rest.strip_prefix('/').unwrap_or_default()) {
            (MID, behind) => {
                rest = behind;
                Some(MID)
            }
            _ => None,
        };
        Ok((Self::of(name, value, mid)?, rest))
    }

    fn of(name: &str, value: Option<&str>, place: Option<&str>) -> Result<Self, FaultProblem> {
        let (name, example, can_be_mid) = kind(name)?;
        let value = match (value, example) {
            (None, Some(example)) => return Err(FaultProblem::NoValue { name, example }),
            (Some(_), None) => return Err(FaultProblem::Value(name)),
            (value, _) => value.unwrap_or_default(),
        };
        let place = match place {
            None => Place::Before,
            Some(MID) if can_be_mid => Place::Mid,
            Some(MID) => return Err(FaultProblem::Mid(name)),
            Some(other) => return Err(FaultProblem::Place(other.to_owned())),
        };
        let duration = || {
            let duration = humantime::parse_duration(value).ok().filter(|duration| *duration <= Self::MAX);
            duration.ok_or_else(|| FaultProblem::Duration(value.to_owned()))
        };
        Ok(match name {
            "status" => {
                let status = value.parse().ok().filter(|status| (400..=599).contains(status));
                Self::Status(status.ok_or_else(|| FaultProblem::Status(value.to_owned()))?)
            }
            "reset" => Self::Reset(place),
            "stall" => Self::Stall(duration()?, place),
            "garbage" => Self::Garbage(place),
            _ => Self::SlowToken(duration()?),
        })
    }
}

/// Up to the next slash, and the rest from there.
fn segment(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

fn kind(name: &str) -> Result<(&'static str, Option<&'static str>, bool), FaultProblem> {
    KINDS.into_iter().find(|(known, ..)| *known == name).ok_or_else(|| FaultProblem::Name(name.to_owned()))
}

impl FromStr for Fault {
    type Err = FaultProblem;

    fn from_str(text: &str) -> Result<Self, FaultProblem> {
        let (text, place) = text.split_once('@').map_or((text, None), |(text, place)| (text, Some(place.trim())));
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.trim())));
        Self::of(name.trim(), value, place)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Status(status) => write!(f, "={status}")?,
            Self::Stall(duration, _) | Self::SlowToken(duration) => {
                write!(f, "={}", humantime::format_duration(*duration).to_string().replace(' ', ""))?;
            }
            Self::Reset(_) | Self::Garbage(_) => {}
        }
        if self.is_mid() { write!(f, "@{MID}") } else { Ok(()) }
    }
}

/// Faults, and the share of requests that each happens to.
///
/// ```
/// use phasemeter::mock::Faults;
///
/// let faults: Faults = "status=503:0.02, reset@mid:0.01, stall=2s:0.005".parse()?;
/// assert_eq!(faults.to_string(), "status=503:0.02,reset@mid:0.01,stall=2s:0.005");
/// # Ok::<(), phasemeter::mock::FaultError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults(Vec<(Fault, f64)>);

impl Faults {
    /// None at all.
    pub const NONE: Self = Self(Vec::new());

    /// The fault of one request, if it has one. It takes the same amount of randomness whatever the faults are.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Option<Fault> {
        let mut left: f64 = rng.random();
        self.0.iter().find_map(|(fault, share)| {
            left -= share;
            (left < 0.0).then_some(*fault)
        })
    }
}

impl FromStr for Faults {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (mut faults, mut column, mut all) = (Vec::new(), 1, 0.0);
        for part in text.split(',') {
            let start = column + part.chars().take_while(|c| c.is_whitespace()).count();
            column += part.chars().count() + 1;
            let part = part.trim();
            let error = |problem| FaultError { part: part.to_owned(), column: start, problem };
            let (fault, share) = part.rsplit_once(':').unwrap_or((part, ""));
            let fault: Fault = fault.parse().map_err(error)?;
            if share.is_empty() {
                return Err(error(FaultProblem::NoShare(fault)));
            }
            let number = share.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
            let number = number.ok_or_else(|| error(FaultProblem::Share(share.to_owned())))?;
            all += number;
            // Ten times 0.1 is a little more than 1.
            if all > 1.0 + 1e-9 {
                return Err(error(FaultProblem::Sum(all)));
            }
            faults.push((fault, number));
        }
        Ok(Self(faults))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (fault, share)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{fault}:{share}")?;
        }
        Ok(())
    }
}

/// Why a list of [`Faults`] was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("column {column}, {}: {problem}", quoted(part))]
pub struct FaultError {
    /// The part of the list.
    pub part: String,
    /// Where it begins, in characters from 1.
    pub column: usize,
    /// What is wrong with it.
    pub problem: FaultProblem,
}

/// Why a [`Fault`] was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum FaultProblem {
    /// There is no such fault.
    #[error("there is no fault {}; {}", quoted(.0), suggestion(.0))]
    Name(String),
    /// It has no value.
    #[error("{name} needs a value, such as {name}={example}")]
    NoValue {
        /// The fault.
        name: &'static str,
        /// A value that it could have.
        example: &'static str,
    },
    /// It has a value.
    #[error("{0} takes no value")]
    Value(&'static str),
    /// It cannot be in mid-answer.
    #[error("{0} cannot be @mid")]
    Mid(&'static str),
    /// What follows the `@` is no place.
    #[error("{} is no place in an answer; write @mid, or nothing for before it", quoted(.0))]
    Place(String),
    /// The status is no error.
    #[error("{} is not the status of an error, from 400 to 599", quoted(.0))]
    Status(String),
    /// The duration is none, or longer than [`Fault::MAX`].
    #[error("{} is not a duration up to {}; write a number and a unit, such as 200ms or 2s", quoted(.0), humantime::format_duration(Fault::MAX))]
    Duration(String),
    /// The share is missing.
    #[error("it has no share; write {0}:0.01 for one request in a hundred")]
    NoShare(Fault),
    /// The share is not in `0.0..=1.0`.
    #[error("{} is not a share from 0 to 1", quoted(.0))]
    Share(String),
    /// The shares are more than 1 in all.
    #[error("up to here the shares add up to {0}, and may add up to 1")]
    Sum(f64),
}

/// What to write in place of an unknown name.
fn suggestion(name: &str) -> String {
    let names = KINDS.map(|(known, ..)| known);
    nearest(name, names)
        .map_or_else(|| format!("there are {}", names.join(", ")), |known| format!("did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::super::delay::request_rng;
    use super::*;

    const ALL: [Fault; 8] = [
        Fault::Status(503),
        Fault::Reset(Place::Before),
        Fault::Reset(Place::Mid),
        Fault::Stall(Duration::from_millis(1500), Place::Before),
        Fault::Stall(Duration::from_secs(2), Place::Mid),
        Fault::Garbage(Place::Before),
        Fault::Garbage(Place::Mid),
        Fault::SlowToken(Duration::from_millis(200)),
    ];

    #[test]
    fn its_text_parses_back() {
        for fault in ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        let text = ALL.map(|fault| format!(" {fault} : 0.1 ")).join(",");
        let faults: Faults = text.parse().unwrap();
        assert_eq!(faults, Faults(ALL.map(|fault| (fault, 0.1)).to_vec()));
        assert_eq!(faults.to_string().parse(), Ok(faults));
        assert!(["reset:0.1"; 10].join(",").parse::<Faults>().is_ok(), "rounding makes it more than 1");
    }

    #[test]
    fn a_path_says_the_same() {
        for fault in ALL {
            let path = fault.to_string().replace(['=', '@'], "/");
            assert_eq!(Fault::from_path(&path), Ok((fault, "")));
            let longer = format!("{path}/v1/chat/completions");
            assert_eq!(Fault::from_path(&longer), Ok((fault, "/v1/chat/completions")));
        }
        for path in ["", "/", "reset/", "reset//", "status", "status/", "stall/mid", "middle", "status/503/mid"] {
            let _ = Fault::from_path(path);
        }
        assert_eq!(Fault::from_path("stall/mid"), Err(FaultProblem::Duration("mid".to_owned())));
        assert_eq!(Fault::from_path("status/503/mid"), Err(FaultProblem::Mid("status")));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, expected) in [
            ("reset:0.1, stal=2s:0.1", r#"column 12, "stal=2s:0.1": there is no fault "stal"; did you mean stall?"#),
            ("x:1", r#"there is no fault "x"; there are status, reset, stall, garbage, slow-token"#),
            ("", r#"column 1, "": there is no fault "";"#),
            ("reset:0.1,", r#"column 11, "": there is no fault"#),
            ("status:0.1", "status needs a value, such as status=503"),
            ("status=200:0.1", r#""200" is not the status of an error, from 400 to 599"#),
            ("status=5xx:0.1", r#""5xx" is not the status"#),
            ("stall=2:0.1", r#""2" is not a duration up to 1h"#),
            ("slow-token=2h:0.1", r#""2h" is not a duration up to 1h"#),
            ("reset=1:0.1", "reset takes no value"),
            ("status=503@mid:0.1", "status cannot be @mid"),
            ("reset@end:0.1", r#""end" is no place in an answer"#),
            ("reset", "it has no share; write reset:0.01"),
            ("reset:", "it has no share"),
            ("reset:2", r#""2" is not a share from 0 to 1"#),
            ("reset:NaN", r#""NaN" is not a share"#),
            ("größe:1", r#"column 1, "größe:1": there is no fault "größe""#),
            ("stall=1s :\u{a0}0,reset:-1", r#"column 14, "reset:-1": "-1" is not a share"#),
            ("reset:0.6,status=500:0.6", "column 11, \"status=500:0.6\": up to here the shares add up to 1.2"),
            (&format!("{}\u{1b}:1", "x".repeat(99)), "…"),
        ] {
            let error = text.parse::<Faults>().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains(char::is_control), "{text}: {error}");
        }
    }

    #[test]
    fn happens_to_the_share_asked_for() {
        let faults: Faults = "reset:0.3,status=500:0.1".parse().unwrap();
        let drawn: Vec<_> = (0..4000).map(|number| faults.draw(&mut request_rng(3, number))).collect();
        let share = |fault| drawn.iter().filter(|drawn| **drawn == fault).count();
        assert!((1100..1300).contains(&share(Some(Fault::Reset(Place::Before)))), "{}", share(None));
        assert!((340..460).contains(&share(Some(Fault::Status(500)))), "{}", share(Some(Fault::Status(500))));
        let always: Faults = "garbage:1".parse().unwrap();
        assert!((0..4000).all(|number| always.draw(&mut request_rng(3, number)).is_some()));
        assert_eq!(Faults::NONE.draw(&mut request_rng(3, 0)), None);
    }
}
