//! Plan files: YAML to [`phasemeter_core::plan`].
//!
//! ```
//! let plan = phasemeter::plan::parse("plan.yaml", "
//! seed: 42                             # makes random arrivals repeatable; 0 unless given
//! phases:
//!   - kind: warmup                     # warmup, profiling or cooldown
//!     workload: {get: {path: /}}       # a plain request
//!     arrival: {constant: {rate: 50}}  # requests a second, whatever the server does
//!     stop: {duration: 2s}             # duration, requests or both: whichever comes first
//!     grace: 5s                        # for requests in flight at the end; 30s unless given
//!   - kind: profiling
//!     workload: {chat: {prompt_tokens: 128, output_tokens: 32}}
//!     arrival: {poisson: {rate: 12.5}} # or closed_loop: {concurrency: 8}
//!     stop: {requests: 1000, duration: 1m}
//! ")?;
//! assert_eq!(plan.phases().len(), 2);
//! # Ok::<(), phasemeter::plan::PlanFileError>(())
//! ```

use std::path::Path;

use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, PlanError, Rate, RunPlan, Stop, Workload};
use phasemeter_core::time::Duration;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::yaml::{self, At, YamlError};

/// The most phases that a plan file can have.
pub const MAX_PHASES: usize = 32;
/// A plan file is small; a larger file is something else.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A plan as it was read.
pub type Plan = RunPlan<MAX_PHASES>;

/// Why a plan file was refused.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct PlanFileError {
    /// The file; with line and column if the fault lies in its content.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl From<YamlError> for PlanFileError {
    fn from(YamlError { place, message }: YamlError) -> Self {
        Self { place, message }
    }
}

/// Reads a plan from a file.
///
/// # Errors
/// [`PlanFileError`] if the file cannot be read, or names the place that is wrong.
pub fn load(path: &Path) -> Result<Plan, PlanFileError> {
    let text = yaml::read(path, MAX_FILE_BYTES, "a plan")?;
    parse(&path.display().to_string(), &text)
}

/// Reads a plan from YAML text; `name` names it in errors.
///
/// # Errors
/// [`PlanFileError`] names the place that is wrong.
pub fn parse(name: &str, text: &str) -> Result<Plan, PlanFileError> {
    let file: PlanFile = yaml::parse(name, text)?;
    if file.phases.is_empty() {
        let message = "the plan has no phases: list at least one under `phases`".into();
        return Err(PlanFileError { place: name.to_owned(), message });
    }
    let mut plan = Plan::new(file.seed);
    for phase in file.phases {
        let (phase_at, stop_at) = (At::from(phase.referenced), At::from(phase.value.stop.referenced));
        plan.push(phase.value.into_core()).map_err(|error| {
            let (at, message) = match error {
                PlanError::Endless(_) => {
                    (stop_at, "the phase would never end: give `requests`, `duration` or both".to_owned())
                }
                PlanError::Full(_) => (phase_at, format!("a plan has at most {MAX_PHASES} phases: leave this one out")),
                other => (phase_at, other.to_string()),
            };
            PlanFileError { place: at.place(name), message }
        })?;
    }
    Ok(plan)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    #[serde(default)]
    seed: u64,
    phases: Vec<Spanned<PhaseFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseFile {
    kind: KindFile,
    workload: WorkloadFile,
    arrival: ArrivalFile,
    stop: Spanned<StopFile>,
    #[serde(default = "default_grace")]
    grace: Length,
}

fn default_grace() -> Length {
    Length(Duration::from_secs(30))
}

/// The kinds that a plan can name; core has one that it cannot, for devices that measure themselves.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindFile {
    Warmup,
    Profiling,
    Cooldown,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WorkloadFile {
    Get { path: RequestPath },
    Chat { prompt_tokens: u16, output_tokens: OutputTokens },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ArrivalFile {
    ClosedLoop { concurrency: Concurrency },
    Constant { rate: RateFile },
    Poisson { rate: RateFile },
}

#[derive(Deserialize)]
#[serde(try_from = "StopFields")]
struct StopFile(Stop);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StopFields {
    requests: Option<u64>,
    duration: Option<Length>,
}

impl TryFrom<StopFields> for StopFile {
    type Error = &'static str;

    fn try_from(fields: StopFields) -> Result<Self, Self::Error> {
        let stop = Stop { requests: fields.requests, duration: fields.duration.map(|length| length.0) };
        if stop.requests == Some(0) || stop.duration == Some(Duration::ZERO) {
            return Err("the phase would send nothing: `requests` and `duration` have to be above 0");
        }
        Ok(Self(stop))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct RequestPath(Workload);

impl TryFrom<String> for RequestPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err(format!("the path `{path}` has to begin with `/`"));
        }
        Workload::get(&path).map(Self).ok_or_else(|| {
            format!("the path is {} bytes long; at most {} fit", path.len(), phasemeter_core::plan::MAX_PATH)
        })
    }
}

#[derive(Deserialize)]
#[serde(try_from = "u16")]
struct OutputTokens(u16);

impl TryFrom<u16> for OutputTokens {
    type Error = &'static str;

    fn try_from(tokens: u16) -> Result<Self, Self::Error> {
        if tokens == 0 { Err("a chat has to ask for at least one output token") } else { Ok(Self(tokens)) }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "u16")]
struct Concurrency(u16);

impl TryFrom<u16> for Concurrency {
    type Error = &'static str;

    fn try_from(concurrency: u16) -> Result<Self, Self::Error> {
        if concurrency == 0 { Err("a concurrency of 0 sends nothing: give at least 1") } else { Ok(Self(concurrency)) }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct RateFile(Rate);

impl TryFrom<f64> for RateFile {
    type Error = String;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
    fn try_from(rate: f64) -> Result<Self, String> {
        let scaled = (rate * 1_000.0).round();
        if scaled >= 1.0 && scaled <= f64::from(u32::MAX) {
            Ok(Self(Rate::per_kilosecond(scaled as u32)))
        } else {
            Err(format!("a rate of {rate} requests a second: it has to be from 0.001 to 4294967"))
        }
    }
}

/// A length of time such as `500ms`, `2s` or `1m 30s`.
struct Length(Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = humantime::parse_duration(&text)
            .map_err(|error| serde::de::Error::custom(format!("`{text}` is no length of time ({error}): try `2s`")))?;
        let nanos = u64::try_from(length.as_nanos())
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is longer than 584 years")))?;
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl PhaseFile {
    fn into_core(self) -> PhasePlan {
        PhasePlan {
            kind: match self.kind {
                KindFile::Warmup => PhaseKind::Warmup,
                KindFile::Profiling => PhaseKind::Profiling,
                KindFile::Cooldown => PhaseKind::Cooldown,
            },
            workload: match self.workload {
                WorkloadFile::Get { path } => path.0,
                WorkloadFile::Chat { prompt_tokens, output_tokens } => {
                    Workload::Chat { prompt_tokens, output_tokens: output_tokens.0 }
                }
            },
            arrival: match self.arrival {
                ArrivalFile::ClosedLoop { concurrency } => Arrival::ClosedLoop { concurrency: concurrency.0 },
                ArrivalFile::Constant { rate } => Arrival::Constant { rate: rate.0 },
                ArrivalFile::Poisson { rate } => Arrival::Poisson { rate: rate.0 },
            },
            stop: self.stop.value.0,
            grace: self.grace.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One phase with a line of it replaced.
    fn with(line: &str) -> String {
        let key = line.split(':').next().unwrap_or_default();
        let lines = [
            "kind: warmup",
            "workload: {get: {path: /}}",
            "arrival: {poisson: {rate: 1}}",
            "stop: {requests: 1}",
            "grace: 1s",
        ];
        let kept = lines.iter().filter(|other| other.split(':').next() != Some(key)).chain([&line]);
        let indented: Vec<_> = kept.map(|line| format!("    {line}\n")).collect();
        format!("phases:\n  -\n{}", indented.concat())
    }

    #[test]
    fn faults_are_told_with_their_place() {
        for (line, place, message) in [
            ("arrival: {poisson: {rate: -1}}", "p:7:31", "rate of -1 requests a second"),
            ("arrival: {poisson: {rate: .nan}}", "p:7:31", "rate of NaN"),
            ("arrival: {closed_loop: {concurrency: 0}}", "p:7:42", "give at least 1"),
            ("arival: {poisson: {rate: 1}}", "p:8:5", "unknown field `arival`"),
            ("stop: {}", "p:7:11", "would never end"),
            ("stop: {duration: 0s}", "p:7:11", "would send nothing"),
            ("stop: {duration: soon}", "p:7:22", "no length of time"),
            ("workload: {get: {path: x}}", "p:7:28", "begin with `/`"),
            ("workload: {chat: {prompt_tokens: 1, output_tokens: 0}}", "p:7:56", "at least one output token"),
            ("kind: cooking", "p:7:11", "unknown variant `cooking`"),
            ("kind: monitor", "p:7:11", "unknown variant `monitor`"),
        ] {
            let error = parse("p", &with(line)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(&format!("{place}: ")) && error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn hostile_text_is_refused() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n";
        let deep = format!("phases: {}", "[".repeat(20_000));
        for text in ["", "phases: []", "phases: 3", "\u{feff}", "- a", bomb, &deep, "phases: [", "\tphases: []"] {
            assert!(parse("p", text).is_err());
        }
    }

    #[test]
    fn too_many_phases_are_refused() {
        let one = with("kind: warmup");
        let phase = one.strip_prefix("phases:\n").unwrap_or_default();
        let text = format!("phases:\n{}", phase.repeat(MAX_PHASES + 1));
        let error = parse("p", &text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("p:195:5: a plan has at most 32 phases"), "{error}");
    }
}
