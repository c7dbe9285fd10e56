//! The server's routes: reads a request, deals its delays and faults, answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use rand::rngs::StdRng;
use serde_json::json;

use super::config::MockConfig;
use super::delay::{LogNormalDelay, request_rng, sleep_until};
use super::fault::{Fault, FaultProblem, Place};
use super::log::LogSender;
use super::openai::{self, Api, Prompt, Script};
use super::stream::{Paced, Reset, Schedule, Tokens, halves};
use super::trace::{Trace, Tracer};
use super::wire::Wire;

/// A request body may have this many bytes: some 200 000 words of prompt.
const MAX_BODY: usize = 1024 * 1024;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const GREETING: &str = "hello from the phasemeter mock server\n";

/// What all requests share.
pub(super) struct Server {
    config: MockConfig,
    arrivals: AtomicU64,
    tracer: Tracer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Plain,
    Echo,
    Models,
    Tokens(Api),
    Health,
    Metrics,
}

const ROUTES: [(&str, Route); 7] = [
    ("/", Route::Plain),
    ("/echo", Route::Echo),
    ("/v1/models", Route::Models),
    ("/v1/chat/completions", Route::Tokens(Api::Chat)),
    ("/v1/completions", Route::Tokens(Api::Completions)),
    ("/healthz", Route::Health),
    ("/metrics", Route::Metrics),
];
/// As the metrics call all paths that ask for a fault.
const FAULTS: &str = "/fault";

impl Route {
    fn methods(self) -> &'static str {
        match self {
            Self::Plain | Self::Echo => "GET, HEAD, POST, PUT, PATCH, DELETE",
            Self::Models | Self::Health | Self::Metrics => "GET, HEAD",
            Self::Tokens(_) => "POST",
        }
    }

    fn allows(self, method: &Method) -> bool {
        self.methods().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// What a request asks for.
enum Asked {
    /// At once: neither numbered nor delayed.
    Health,
    Metrics,
    /// By its path with a fault.
    Content(Content, Option<Fault>),
}

/// What is dealt delays and faults.
enum Content {
    /// In one piece, after a delay.
    Whole(&'static str, String, LogNormalDelay),
    Tokens(Prompt),
}

/// What a request is told in place of an answer.
struct Refusal {
    status: StatusCode,
    message: String,
    code: Option<&'static str>,
    header: Option<(hyper::header::HeaderName, &'static str)>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: None, header: None }
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Reset>>;

/// Answers a request, or fails if its connection shall be reset.
pub(super) async fn answer(
    server: Arc<Server>,
    wire: Arc<Wire>,
    tls: bool,
    request: Request<Incoming>,
) -> Result<Answer, Reset> {
    let (head, body) = request.into_parts();
    let mut trace = server.tracer.begin(&head, tls, Instant::now());
    let mut answer = match server.read(&head, body, &mut trace).await {
        Ok(Asked::Health) => whole(TEXT, "ok\n".into(), trace),
        Ok(Asked::Metrics) => {
            trace.byte();
            trace.finish();
            // Before they are told, so that they have this request too, and not in flight.
            drop(trace);
            response("text/plain; version=0.0.4; charset=utf-8", Full::from(server.tracer.metrics.render()))
        }
        Ok(Asked::Content(content, fault)) => {
            let deal = server.deal(&content, fault, &head, &mut trace);
            server.fulfil(content, deal, trace, wire).await?
        }
        Err(refusal) => {
            trace.status(refusal.status.as_u16());
            let text = openai::error("invalid_request_error", refusal.code, &refusal.message);
            let mut answer = whole(JSON, text.into(), trace);
            *answer.status_mut() = refusal.status;
            answer.headers_mut().extend(refusal.header.map(|(name, value)| (name, HeaderValue::from_static(value))));
            answer
        }
    };
    if head.method == Method::HEAD {
        let length = answer.body().size_hint().exact().map(HeaderValue::from);
        answer.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, length)));
        *answer.body_mut() = boxed(Full::default());
    }
    Ok(answer)
}

impl Server {
    pub(super) fn new(config: MockConfig, log: Option<LogSender>) -> Self {
        Self { config, arrivals: AtomicU64::new(0), tracer: Tracer::new(log) }
    }

    /// Reads a request to its end, and finds out what it asks for.
    async fn read(&self, head: &Parts, body: Incoming, trace: &mut Trace) -> Result<Asked, Refusal> {
        let mut path = head.uri.path();
        let find = |path| ROUTES.into_iter().find(|(known, _)| *known == path);
        let route = find(path);
        trace.known_as(route.map_or("other", |(known, _)| known));
        let is_watching = matches!(route, Some((_, Route::Health | Route::Metrics)));
        if let Some(key) = self.config.api_key.as_ref().filter(|_| !is_watching) {
            let authorization = head.headers.get(AUTHORIZATION);
            if !authorization.is_some_and(|header| key.is_in(header.as_bytes())) {
                let message = "the request has no `Authorization: Bearer` with the server's key";
                let header = Some((WWW_AUTHENTICATE, "Bearer"));
                let code = Some("invalid_api_key");
                return Err(Refusal { code, header, ..Refusal::new(StatusCode::UNAUTHORIZED, message) });
            }
        }
        let mut fault = None;
        if let Some(asked) = path.strip_prefix("/fault/") {
            let (asked, rest) = Fault::from_path(asked).map_err(|problem| {
                let is_unknown = matches!(problem, FaultProblem::Name(_));
                let status = if is_unknown { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
                Refusal::new(status, problem.to_string())
            })?;
            trace.known_as(FAULTS);
            (fault, path) = (Some(asked), rest);
        }
        // The one fault that needs tokens to be seen gets some.
        let chats = path.is_empty() && matches!(fault, Some(Fault::SlowToken(_)));
        let route = if path.is_empty() { find("/") } else { find(path) };
        let (_, route) = route.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such path"))?;
        if !route.allows(&head.method) {
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
            return Err(Refusal { header: Some((ALLOW, route.methods())), ..refusal });
        }
        let body = read_body(body).await?;
        trace.read();
        let prompt = |api| Prompt::parse(api, &body).map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, why));
        let content = match route {
            Route::Plain if chats && body.is_empty() => Content::Tokens(Prompt::empty()),
            Route::Plain if chats => Content::Tokens(prompt(Api::Chat)?),
            Route::Plain => Content::Whole(TEXT, GREETING.to_owned(), self.config.latency),
            Route::Echo => Content::Whole(JSON, echo(head, body.len()), LogNormalDelay::ZERO),
            Route::Models => Content::Whole(JSON, openai::models(), LogNormalDelay::ZERO),
            Route::Tokens(api) => Content::Tokens(prompt(api)?),
            Route::Health => return Ok(Asked::Health),
            Route::Metrics => return Ok(Asked::Metrics),
        };
        if let Content::Tokens(prompt) = &content {
            trace.prompt(prompt.tokens);
        }
        Ok(Asked::Content(content, fault))
    }

    fn deal(&self, content: &Content, asked: Option<Fault>, head: &Parts, trace: &mut Trace) -> Deal {
        let number = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let mut rng = request_rng(self.config.seed, number);
        let first = match content {
            Content::Whole(_, _, delay) => *delay,
            Content::Tokens(_) => self.config.first_token,
        };
        let first = first.draw(&mut rng);
        let drawn = self.config.faults.draw(&mut rng);
        let fault = asked.or(drawn);
        // An answer without a body has no middle.
        let fault = if head.method == Method::HEAD { fault.map(Fault::before) } else { fault };
        trace.dealt(number, first, fault);
        Deal { number, rng, first_at: trace.received() + first, fault }
    }

    async fn fulfil(&self, content: Content, deal: Deal, mut trace: Trace, wire: Arc<Wire>) -> Result<Answer, Reset> {
        let Deal { number, rng, first_at, fault } = deal;
        let (mut slow, mut stall) = (Duration::ZERO, Duration::ZERO);
        match fault {
            Some(fault @ (Fault::Status(_) | Fault::Reset(Place::Before) | Fault::Garbage(Place::Before))) => {
                sleep_until(first_at).await;
                return fail(fault, trace, &wire);
            }
            Some(Fault::Stall(duration, Place::Before)) => stall = duration,
            Some(Fault::SlowToken(duration)) => slow = duration,
            _ => {}
        }
        let (kind, text) = match content {
            Content::Whole(kind, text, _) => {
                sleep_until(first_at + slow + stall).await;
                (kind, text)
            }
            Content::Tokens(prompt) => {
                let tokens = prompt.max_tokens.unwrap_or(self.config.output_tokens);
                let schedule = Schedule::new(first_at, self.config.inter_token, rng, tokens, slow);
                let streams = prompt.stream;
                let script = Script::new(number, prompt, tokens);
                if streams {
                    sleep_until(schedule.next_at() + stall).await;
                    let body = Paced::new(Tokens::new(schedule, script, fault), wire, trace);
                    let mut answer = response("text/event-stream", body);
                    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                    return Ok(answer);
                }
                sleep_until(schedule.last_at() + stall).await;
                trace.tokens(tokens);
                (JSON, script.whole())
            }
        };
        Ok(match fault.filter(|fault| fault.is_mid()) {
            Some(fault) => {
                let length = HeaderValue::from(text.len());
                let mut answer = response(kind, Paced::new(halves(text.into(), fault), wire, trace));
                answer.headers_mut().insert(CONTENT_LENGTH, length);
                answer
            }
            None => whole(kind, text.into(), trace),
        })
    }
}

/// What a request was dealt: its number, its random numbers, when its first byte is due, and what goes wrong.
struct Deal {
    number: u64,
    rng: StdRng,
    first_at: Instant,
    fault: Option<Fault>,
}

/// In place of an answer: an error, or the end of the connection.
fn fail(fault: Fault, mut trace: Trace, wire: &Wire) -> Result<Answer, Reset> {
    if let Fault::Status(status) = fault {
        trace.status(status);
        let text = openai::error("server_error", None, "the mock server was asked to fail");
        let mut answer = whole(JSON, text.into(), trace);
        *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Ok(answer);
    }
    trace.unanswered();
    if let Fault::Garbage(_) = fault {
        wire.spoil();
        return Ok(Response::new(boxed(Full::default())));
    }
    wire.reset();
    Err(Reset)
}

async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {MAX_BODY} bytes")))
        }
        Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body could not be read")),
    }
}

/// What came of a request, as JSON.
fn echo(head: &Parts, length: usize) -> String {
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| json!({ "name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes()) }))
        .collect();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    json!({ "method": head.method.as_str(), "path": path, "headers": headers, "body_length": length }).to_string()
}

/// An answer in one piece, which ends the trace.
fn whole(kind: &'static str, text: Bytes, mut trace: Trace) -> Answer {
    trace.byte();
    trace.finish();
    response(kind, Full::new(text))
}

fn response(kind: &'static str, body: impl Body<Data = Bytes, Error: Into<Reset>> + Send + 'static) -> Answer {
    let mut answer = Response::new(boxed(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn boxed(body: impl Body<Data = Bytes, Error: Into<Reset>> + Send + 'static) -> UnsyncBoxBody<Bytes, Reset> {
    body.map_err(Into::into).boxed_unsync()
}
