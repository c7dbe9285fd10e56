//! The form of plan files.

use std::collections::BTreeMap;
use std::path::Path;

use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, PlanError, Rate, Stop};
use phasemeter_core::time::Duration;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

use super::lines::{body_file, body_lines, prompts};
use super::request::{Body, ChatRequest, Order, PlainRequest, RequestSpec, check_header, is_token};
use super::{MAX_PHASES, Plan, PlanFileError};
use crate::text::quoted;
use crate::yaml::{self, At};

/// A plan file is small; a larger file is something else.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Reads a plan from a file.
///
/// # Errors
/// [`PlanFileError`] if the file, or one that it names, cannot be read, or names the place that is wrong.
pub fn load(path: &Path) -> Result<Plan, PlanFileError> {
    let text = yaml::read(path, MAX_FILE_BYTES, "a plan")?;
    parse(&path.display().to_string(), &text)
}

/// Reads a plan from YAML text; `name` names it in errors, and files that it names are looked for beside it.
///
/// # Errors
/// [`PlanFileError`] names the place that is wrong.
pub fn parse(name: &str, text: &str) -> Result<Plan, PlanFileError> {
    let file: PlanFile = yaml::parse(name, text)?;
    if file.phases.is_empty() {
        let message = "the plan has no phases: list at least one under `phases`".into();
        return Err(PlanFileError { place: name.to_owned(), message });
    }
    let directory = Path::new(name).parent().unwrap_or(Path::new(""));
    let mut plan = Plan::new(file.seed);
    for phase in file.phases {
        let (phase_at, stop_at) = (At::from(phase.referenced), At::from(phase.value.stop.referenced));
        let workload_at = At::from(phase.value.workload.referenced);
        let at = |at: At, message: String| PlanFileError { place: at.place(name), message };
        let (request, phase) = phase.value.into_request(directory).map_err(|fault| match fault {
            Fault::Here(message) => at(workload_at, message),
            Fault::InFile(error) => at(workload_at, error.to_string()),
        })?;
        plan.push(request, phase).map_err(|error| match error {
            PlanError::Endless(_) => {
                at(stop_at, "the phase would never end: give `requests`, `duration` or both".to_owned())
            }
            PlanError::Full(_) => at(phase_at, format!("a plan has at most {MAX_PHASES} phases: leave this one out")),
            other => at(phase_at, other.to_string()),
        })?;
    }
    Ok(plan)
}

/// A phase in the form of a plan file.
pub(super) fn describe_phase((phase, request): (&PhasePlan, &RequestSpec)) -> Value {
    let length =
        |length: Duration| humantime::format_duration(std::time::Duration::from_nanos(length.as_nanos())).to_string();
    let rate = |rate: Rate| f64::from(rate.get()) / 1_000.0;
    let arrival = match phase.arrival {
        Arrival::ClosedLoop { concurrency } => json!({ "closed_loop": { "concurrency": concurrency } }),
        Arrival::Constant { rate: of } => json!({ "constant": { "rate": rate(of) } }),
        Arrival::Poisson { rate: of } => json!({ "poisson": { "rate": rate(of) } }),
        _ => Value::Null,
    };
    let mut stop = Map::new();
    stop.extend(phase.stop.requests.map(|requests| ("requests".to_owned(), requests.into())));
    stop.extend(phase.stop.duration.map(|duration| ("duration".to_owned(), length(duration).into())));
    json!({
        "kind": phase.kind,
        "workload": request.describe(),
        "arrival": arrival,
        "stop": stop,
        "grace": length(phase.grace),
    })
}

/// Why the requests of a phase are not to be had.
enum Fault {
    Here(String),
    InFile(PlanFileError),
}

impl From<PlanFileError> for Fault {
    fn from(error: PlanFileError) -> Self {
        Self::InFile(error)
    }
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
    workload: Spanned<WorkloadFile>,
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
    Request(RequestFile),
    Chat(ChatFile),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    #[serde(default = "get")]
    method: Method,
    path: RequestPath,
    #[serde(default)]
    headers: HeadersFile,
    body: Option<String>,
    body_file: Option<String>,
    body_lines: Option<String>,
    order: Option<OrderFile>,
    api_key_env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatFile {
    prompt_tokens: Option<u16>,
    output_tokens: OutputTokens,
    model: Option<String>,
    api_key_env: Option<String>,
    #[serde(default)]
    headers: HeadersFile,
    #[serde(default)]
    extra: Map<String, Value>,
    prompts: Option<String>,
    order: Option<OrderFile>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderFile {
    InTurn,
    Random,
}

impl From<OrderFile> for Order {
    fn from(order: OrderFile) -> Self {
        match order {
            OrderFile::InTurn => Self::InTurn,
            OrderFile::Random => Self::Random,
        }
    }
}

fn get() -> Method {
    Method("GET".to_owned())
}

impl RequestFile {
    fn into_request(self, directory: &Path) -> Result<PlainRequest, Fault> {
        let order = self.order;
        let body = match (self.body, self.body_file, self.body_lines) {
            (None, None, None) => Body::None,
            (Some(text), None, None) => Body::Fixed(text.into_bytes()),
            (None, Some(file), None) => Body::Fixed(body_file(&directory.join(file))?),
            (None, None, Some(file)) => Body::Lines {
                lines: body_lines(&directory.join(file))?,
                order: order.map_or(Order::default(), Order::from),
            },
            _ => return Err(Fault::Here("give one of `body`, `body_file` and `body_lines`".to_owned())),
        };
        if order.is_some() && !matches!(body, Body::Lines { .. }) {
            return Err(Fault::Here("`order` is that of `body_lines`, which are not given".to_owned()));
        }
        Ok(PlainRequest {
            method: self.method.0,
            path: self.path.0,
            headers: self.headers.0,
            body,
            api_key_env: self.api_key_env,
        })
    }
}

impl ChatFile {
    fn into_request(self, directory: &Path) -> Result<ChatRequest, Fault> {
        let prompts = match (&self.prompts, self.order) {
            (Some(file), order) => Some((prompts(&directory.join(file))?, order.map_or(Order::default(), Order::from))),
            (None, Some(_)) => return Err(Fault::Here("`order` is that of `prompts`, which are not given".to_owned())),
            (None, None) if self.prompt_tokens.is_none() => {
                return Err(Fault::Here(
                    "a chat has `prompt_tokens`, the size of its prompt, or `prompts`, a file".to_owned(),
                ));
            }
            (None, None) => None,
        };
        Ok(ChatRequest {
            prompt_tokens: self.prompt_tokens.unwrap_or(0),
            output_tokens: self.output_tokens.0,
            model: self.model,
            api_key_env: self.api_key_env,
            headers: self.headers.0,
            extra: self.extra,
            prompts,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
struct HeadersFile(Vec<(String, String)>);

impl TryFrom<BTreeMap<String, String>> for HeadersFile {
    type Error = String;

    fn try_from(headers: BTreeMap<String, String>) -> Result<Self, String> {
        headers.iter().try_for_each(|(name, value)| check_header(name, value))?;
        Ok(Self(headers.into_iter().collect()))
    }
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
struct RequestPath(String);

impl TryFrom<String> for RequestPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err(format!("the path {} has to begin with `/`", quoted(&path)));
        }
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(format!("the path {} has a space or a control character in it: write %20", quoted(&path)));
        }
        Ok(Self(path))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Method(String);

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(method: String) -> Result<Self, String> {
        if is_token(&method) {
            Ok(Self(method))
        } else {
            Err(format!("{} is no method, such as POST", quoted(&method)))
        }
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

    fn try_from(requests: f64) -> Result<Self, String> {
        rate(requests).map(Self)
    }
}

/// A rate of so many requests a second, to the thousandth.
///
/// # Errors
/// What is wrong with a rate that is not from 0.001 to 4,294,967.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
pub fn rate(requests: f64) -> Result<Rate, String> {
    let scaled = (requests * 1_000.0).round();
    if scaled >= 1.0 && scaled <= f64::from(u32::MAX) {
        Ok(Rate::per_kilosecond(scaled as u32))
    } else {
        Err(format!("a rate of {requests} requests a second: it has to be from 0.001 to 4294967"))
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
    /// What its requests ask for, and the phase, whose own workload is yet to be made from that.
    fn into_request(self, directory: &Path) -> Result<(RequestSpec, PhasePlan), Fault> {
        let request = match self.workload.value {
            WorkloadFile::Get { path } => RequestSpec::Plain(PlainRequest::get(&path.0)),
            WorkloadFile::Request(request) => RequestSpec::Plain(request.into_request(directory)?),
            WorkloadFile::Chat(chat) => RequestSpec::Chat(chat.into_request(directory)?),
        };
        let phase = PhasePlan {
            kind: match self.kind {
                KindFile::Warmup => PhaseKind::Warmup,
                KindFile::Profiling => PhaseKind::Profiling,
                KindFile::Cooldown => PhaseKind::Cooldown,
            },
            workload: request.workload(),
            arrival: match self.arrival {
                ArrivalFile::ClosedLoop { concurrency } => Arrival::ClosedLoop { concurrency: concurrency.0 },
                ArrivalFile::Constant { rate } => Arrival::Constant { rate: rate.0 },
                ArrivalFile::Poisson { rate } => Arrival::Poisson { rate: rate.0 },
            },
            stop: self.stop.value.0,
            grace: self.grace.0,
        };
        Ok((request, phase))
    }
}
