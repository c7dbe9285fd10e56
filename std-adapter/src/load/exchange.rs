//! One request and its answer, and when each part of that happened.
//!
//! The clock is read where the event is seen: just before the request is written, and when a piece of the answer has been
//! read. Opening a connection comes before the request is sent: it is in the response time, and in neither the service time
//! nor the schedule lag. A request is repeated only if a kept connection had ended before anything of the answer came, and
//! its method may be repeated; and then once, over a new connection.

use std::rc::Rc;
use std::time::Duration;

use phasemeter_core::outcome::Failure;
use phasemeter_core::time::Instant;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Fault, Head};
use super::pool::{Carrier, Pool};
use super::requests::Request;
use super::sse::SseParser;

/// How long the rest of an answer (after the `[DONE]` of a chat, or an error's text) may take to arrive for its
/// connection to be used again.
const TRAILER_PATIENCE: Duration = Duration::from_millis(50);
/// So much of an error's text is kept.
const DETAIL: usize = 512;

/// Nanoseconds since the load generator was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadClock(std::time::Instant);

impl LoadClock {
    pub(super) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(super) fn now(self) -> Instant {
        Instant::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// One request and its answer. The times never decrease from `sent` over `first_token` and `last_token` to `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Just before the request was written; when no connection could be opened, when that was noticed.
    pub(super) sent: Instant,
    pub(super) tokens: Tokens,
    /// When the last byte of the answer (of a chat its `[DONE]`) was read, or the failure was noticed.
    pub(super) end: Instant,
    pub(super) outcome: Result<(), Failed>,
}

/// A failure, and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) detail: String,
}

impl Failed {
    fn malformed(detail: impl Into<String>) -> Self {
        Self { failure: Failure::Malformed, detail: detail.into() }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unanswered(detail) | Fault::Broken(detail) => Self { failure: Failure::Broken, detail },
            Fault::Malformed(detail) => Self { failure: Failure::Malformed, detail },
        }
    }
}

/// When the tokens of a chat came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// When the first and the last chunk with content were read.
    pub(super) span: Option<(Instant, Instant)>,
    /// The number of chunks with content: servers send one token in each.
    pub(super) chunks: u32,
    /// The time from each chunk with content to the next, in nanoseconds.
    pub(super) gaps: Vec<u64>,
    /// Tokens of prompt and answer as the server counts them, if it does.
    pub(super) usage: Option<Usage>,
}

/// What the server says of how many tokens there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

impl Tokens {
    fn mark(&mut self, now: Instant) {
        let first = match self.span {
            Some((first, last)) => {
                self.gaps.push(now.since(last).as_nanos());
                first
            }
            None => now,
        };
        self.span = Some((first, now));
        self.chunks = self.chunks.saturating_add(1);
    }
}

/// Sends a request and reads its answer. Dropping the future gives the request up: its connection is closed at once.
pub(super) async fn exchange(pool: Rc<Pool>, request: Rc<Request>, clock: LoadClock) -> Exchange {
    let mut exchange = Exchange { sent: clock.now(), tokens: Tokens::default(), end: Instant::BOOT, outcome: Ok(()) };
    let carrier = converse(&pool, &request, clock, &mut exchange).await;
    exchange.end = clock.now();
    let carrier = match carrier {
        Ok(carrier) => Some(carrier),
        Err((failed, carrier)) => {
            exchange.outcome = Err(failed);
            carrier
        }
    };
    if let Some(carrier) = carrier {
        keep(&pool, carrier).await;
    }
    exchange
}

/// Gives the carrier back for the next request, if what is left of the answer comes soon. Usually nothing is left.
async fn keep(pool: &Pool, mut carrier: Carrier) {
    if carrier.is_whole() || matches!(tokio::time::timeout(TRAILER_PATIENCE, discard(&mut carrier)).await, Ok(Ok(()))) {
        pool.put_back(carrier);
    }
}

/// Returns what carried the request, if it may carry another one once the rest of the answer was read.
async fn converse(
    pool: &Pool,
    request: &Request,
    clock: LoadClock,
    exchange: &mut Exchange,
) -> Result<Carrier, (Failed, Option<Carrier>)> {
    let (mut carrier, head) = send(pool, request, clock, exchange).await.map_err(|failed| (failed, None))?;
    if !(200..300).contains(&head.status) {
        let detail = text(&mut carrier).await;
        return Err((Failed { failure: Failure::Status(head.status), detail }, Some(carrier)));
    }
    let read = match request.is_chat {
        false => discard(&mut carrier).await.map_err(Failed::from),
        true if head.is_event_stream => read_tokens(&mut carrier, clock, &mut exchange.tokens).await,
        true => {
            let detail = format!("the answer is no event stream: {}", text(&mut carrier).await);
            return Err((Failed::malformed(detail), Some(carrier)));
        }
    };
    match read {
        Ok(()) => Ok(carrier),
        Err(failed) => Err((failed, None)),
    }
}

async fn send(
    pool: &Pool,
    request: &Request,
    clock: LoadClock,
    exchange: &mut Exchange,
) -> Result<(Carrier, Head), Failed> {
    let mut is_again = false;
    loop {
        let carrier = if is_again { pool.take_new().await } else { pool.take().await };
        exchange.sent = clock.now();
        let not_connected =
            |error: std::io::Error| Failed { failure: Failure::NotConnected, detail: error.to_string() };
        let mut carrier = carrier.map_err(not_connected)?;
        match carrier.send(request).await {
            Ok(head) => return Ok((carrier, head)),
            Err(Fault::Unanswered(_)) if carrier.is_reused && request.is_idempotent && !is_again => is_again = true,
            Err(fault) => return Err(fault.into()),
        }
    }
}

/// Reads the stream until its `[DONE]`.
async fn read_tokens(carrier: &mut Carrier, clock: LoadClock, tokens: &mut Tokens) -> Result<(), Failed> {
    let mut parser = SseParser::default();
    let mut done = false;
    while !done {
        let Some(piece) = carrier.piece().await? else {
            return Err(Failed { failure: Failure::Broken, detail: "the stream ended without [DONE]".to_owned() });
        };
        let now = clock.now();
        let mut failed = None;
        let fed = parser.feed(piece, |event| {
            if done || failed.is_some() {
            } else if event == b"[DONE]" {
                done = true;
            } else {
                failed = read_chunk(event, now, tokens).err();
            }
        });
        if let Some(failed) = failed {
            return Err(failed);
        }
        fed.map_err(|_| Failed::malformed("an event longer than 1 MB"))?;
    }
    if tokens.chunks == 0 { Err(Failed::malformed("the chat ended without a token")) } else { Ok(()) }
}

fn read_chunk(event: &[u8], now: Instant, tokens: &mut Tokens) -> Result<(), Failed> {
    let malformed = || Failed::malformed(format!("an event that is no chunk: {}", String::from_utf8_lossy(event)));
    let chunk: Chunk = serde_json::from_slice(event).map_err(|_| malformed())?;
    if let Some(error) = chunk.error {
        let message = error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
        return Err(Failed::malformed(format!("an error in mid-stream: {message}")));
    }
    for choice in chunk.choices.ok_or_else(malformed)? {
        if choice.finish_reason.as_deref() == Some("error") {
            return Err(Failed::malformed("the chat's finish_reason is `error`"));
        }
        if choice.delta.is_some_and(|delta| delta.has_content()) {
            tokens.mark(now);
        }
    }
    tokens.usage = chunk.usage.or(tokens.usage);
    Ok(())
}

/// The part of a `chat.completion.chunk` that matters.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    /// Where reasoning models put their tokens before the answer proper: one name or the other.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    /// The parts of calls of tools are tokens too.
    tool_calls: Option<Vec<Value>>,
}

impl Delta {
    fn has_content(&self) -> bool {
        let texts = [&self.content, &self.reasoning_content, &self.reasoning];
        let has_text = texts.into_iter().any(|text| text.as_ref().is_some_and(|text| !text.is_empty()));
        has_text || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
    }
}

/// Reads to the end of the body and keeps nothing.
async fn discard(carrier: &mut Carrier) -> Result<(), Fault> {
    while carrier.piece().await?.is_some() {}
    Ok(())
}

/// The beginning of the body, as far as it comes soon.
async fn text(carrier: &mut Carrier) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while bytes.len() < DETAIL {
            let Ok(Some(piece)) = carrier.piece().await else { break };
            bytes.extend_from_slice(&piece[..piece.len().min(DETAIL)]);
        }
    };
    let _ = tokio::time::timeout(TRAILER_PATIENCE, read).await;
    bytes.truncate(DETAIL);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

#[cfg(all(test, feature = "mock"))]
mod tests;
