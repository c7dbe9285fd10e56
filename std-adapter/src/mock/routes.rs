//! The server's routes: reads a request, deals its delays, answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rand::Rng;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{MAX_OUTPUT_TOKENS, MockConfig};
use super::delay::{LogNormalDelay, request_rng, sleep_until};
use super::log::{LogSender, Trace};
use super::stream::{Schedule, TokenStream, token_text};

/// A request body may have this many bytes: some 200 000 words of prompt.
const MAX_BODY: usize = 1024 * 1024;

struct Server {
    config: MockConfig,
    arrivals: AtomicU64,
    log: Option<LogSender>,
}

pub(super) fn router(config: MockConfig, log: Option<LogSender>) -> Router {
    let server = Arc::new(Server { config, arrivals: AtomicU64::new(0), log });
    Router::new()
        .route("/", get(plain))
        .route("/v1/chat/completions", post(chat))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is no such path") })
        .method_not_allowed_fallback(|| async { refusal(StatusCode::METHOD_NOT_ALLOWED, "not with this method") })
        .with_state(server)
}

/// What a request was dealt: its number, its random numbers, when its first byte is due, and whether it must fail.
struct Deal {
    number: u64,
    rng: StdRng,
    first_byte_at: Instant,
    fails: bool,
    trace: Trace,
}

impl Server {
    fn deal(&self, route: &'static str, first: LogNormalDelay, entered: Instant) -> Deal {
        let number = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let mut trace = Trace::new(route, number, entered, self.log.clone());
        let mut rng = request_rng(self.config.seed, number);
        let first = first.draw(&mut rng);
        let fails = rng.random_bool(self.config.error_rate);
        trace.dealt(first, if fails { 500 } else { 200 });
        Deal { number, rng, first_byte_at: entered + first, fails, trace }
    }
}

async fn plain(State(server): State<Arc<Server>>) -> Response {
    let mut deal = server.deal("/", server.config.latency, Instant::now());
    sleep_until(deal.first_byte_at).await;
    let response =
        if deal.fails { injected_failure() } else { "hello from the phasemeter mock server\n".into_response() };
    deal.trace.finish();
    response
}

/// The part of a chat request that matters here; everything else in it is accepted and ignored.
#[derive(Deserialize)]
struct ChatRequest {
    #[serde(default = "default_model")]
    model: String,
    #[serde(default)]
    stream: bool,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
}

fn default_model() -> String {
    "mock".to_owned()
}

async fn chat(State(server): State<Arc<Server>>, request: Request) -> Response {
    let entered = Instant::now();
    let request = match read_chat_request(request.into_body()).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let tokens = request.max_completion_tokens.or(request.max_tokens).unwrap_or(server.config.output_tokens);
    if !(1..=MAX_OUTPUT_TOKENS).contains(&tokens) {
        let message = format!("max_tokens is {tokens}; it must be in 1..={MAX_OUTPUT_TOKENS}");
        return refusal(StatusCode::BAD_REQUEST, &message);
    }

    let deal = server.deal("/v1/chat/completions", server.config.first_token, entered);
    let Deal { number, rng, first_byte_at, fails, mut trace } = deal;
    let schedule = Schedule::new(first_byte_at, server.config.inter_token, rng, tokens);
    let chunk = completion(number, &request.model);
    if request.stream && !fails {
        sleep_until(first_byte_at).await;
        let body = Body::new(TokenStream::new(schedule, chunk, trace));
        return ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], body)
            .into_response();
    }
    sleep_until(if fails { first_byte_at } else { schedule.last_token_at() }).await;
    let response = if fails { injected_failure() } else { whole_answer(chunk, tokens) };
    trace.finish();
    response
}

async fn read_chat_request(body: Body) -> Result<ChatRequest, Response> {
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body has more than {MAX_BODY} bytes"))
        } else {
            refusal(StatusCode::BAD_REQUEST, "the body could not be read")
        }
    })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, &format!("the body is not a chat request: {error}")))
}

/// What every object of a chat answer has in common.
fn completion(number: u64, model: &str) -> Value {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({ "id": format!("chatcmpl-mock-{number}"), "created": created, "model": model })
}

fn whole_answer(mut answer: Value, tokens: u32) -> Response {
    let content: String = (0..tokens).map(token_text).collect();
    answer["object"] = json!("chat.completion");
    answer["choices"] =
        json!([{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }]);
    answer["usage"] = json!({ "completion_tokens": tokens });
    axum::Json(answer).into_response()
}

fn injected_failure() -> Response {
    failure(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "injected by the mock server's error rate")
}

fn refusal(status: StatusCode, message: &str) -> Response {
    failure(status, "invalid_request_error", message)
}

/// An error in the words of the `OpenAI` API.
fn failure(status: StatusCode, kind: &str, message: &str) -> Response {
    let error = json!({ "error": { "message": message, "type": kind, "param": null, "code": null } });
    (status, axum::Json(error)).into_response()
}
