//! The HTTP side of the load generator: performs one request and says when each part of it happened.
//!
//! Every time is nanoseconds since the `origin` given to [`HttpClient::new`], so that a client's times can be compared
//! with the load generator's own clock. The clock is read where the event is seen: just before the request is written,
//! and when a piece of the answer has been read. Opening a connection comes before `sent_ns`: it delays the sending,
//! and so shows in the schedule lag, not in the service time. Connections are kept and used again; a request is never
//! silently repeated once any of it went out.

mod pool;
mod sse;
#[cfg(all(test, feature = "mock"))]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Uri, header};
use phasemeter_core::outcome::Failure;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use pool::{Connection, Pool};
use sse::SseParser;

/// How long the rest of an answer (after the `[DONE]` of a chat, or an error's text) may take to arrive for its
/// connection to be used again.
const TRAILER_PATIENCE: Duration = Duration::from_millis(50);

/// Why a target URL was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Encrypted connections are not supported.
    #[error("`{0}` is an https URL, and only http:// is supported; measure behind the TLS terminator")]
    Https(String),
    /// Not `http://HOST[:PORT][/PATH]`.
    #[error("`{0}` is not a URL to send requests to; write http://HOST[:PORT], such as http://127.0.0.1:8080")]
    Malformed(String),
}

/// Why a request has no complete, successful answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No connection could be opened.
    #[error("cannot connect")]
    Connect,
    /// The server answered with this status, which is not a 2xx.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The connection broke, or the answer ended too early.
    #[error("the connection broke before the answer was whole")]
    Broken,
    /// The answer is not HTTP, or not a stream of chat completion chunks; or the request's path is not a path.
    #[error("not a well-formed request or answer")]
    Malformed,
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Connect => Self::NotConnected,
            ExchangeError::Status(code) => Self::Status(code),
            ExchangeError::Broken => Self::Broken,
            ExchangeError::Malformed => Self::Malformed,
        }
    }
}

/// One request and its answer. Times are nanoseconds since the client's origin, and never decrease from `sent_ns` over
/// `first_token_ns` and `last_token_ns` to `end_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Just before the request was written; when no connection could be opened, when that was first tried.
    pub sent_ns: u64,
    /// When the first chunk with content was read; `None` for plain requests and answers without content.
    pub first_token_ns: Option<u64>,
    /// When the last chunk with content was read.
    pub last_token_ns: Option<u64>,
    /// The number of chunks with content: servers send one token in each.
    pub tokens: u32,
    /// When the last byte of the answer (of a chat its `[DONE]`, of an error its text) was read, or the failure was noticed.
    pub end_ns: u64,
    /// Whether the answer was complete and successful.
    pub outcome: Result<(), ExchangeError>,
}

/// An HTTP/1.1 client for one server. Clones share their connections. Use it inside a tokio runtime.
///
/// Dropping the future of a request closes its connection at once: that is how a request is cancelled.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pool: Arc<Pool>,
    /// The target's path, without a slash at the end; goes before every request's path.
    base_path: Arc<str>,
    host_header: header::HeaderValue,
    model: Arc<str>,
    origin: Instant,
}

impl HttpClient {
    /// A client for `http://HOST[:PORT][/PATH]` (port 80 unless given); a path there goes before every request's path.
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// [`TargetError`] for `https://`, and for anything that is not such a URL.
    pub fn new(target: &str, origin: Instant) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed(target.to_owned());
        let url: Uri = target.parse().map_err(|_| malformed())?;
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(TargetError::Https(target.to_owned())),
            _ => return Err(malformed()),
        }
        let authority = url.authority().ok_or_else(malformed)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // `port_u16` is also `None` for a port that is no number: the text after the host tells these apart.
        let port_text = authority.as_str().strip_prefix(authority.host()).ok_or_else(malformed)?;
        let port = match (port_text, authority.port_u16()) {
            ("", None) => 80,
            (_, Some(port)) if port > 0 => port,
            _ => return Err(malformed()),
        };
        if host.is_empty() || url.query().is_some() || target.contains('#') {
            return Err(malformed());
        }
        Ok(Self {
            pool: Arc::new(Pool::new(host.to_owned(), port)),
            base_path: url.path().trim_end_matches('/').into(),
            host_header: header::HeaderValue::from_str(authority.as_str()).map_err(|_| malformed())?,
            model: "default".into(),
            origin,
        })
    }

    /// Asks for this model in chat requests; servers that serve several, or check the name, need it.
    #[must_use]
    pub fn with_model(self, model: &str) -> Self {
        Self { model: model.into(), ..self }
    }

    /// Opens connections until `connections` are waiting, so that the first requests need not. A failure to connect
    /// ends it quietly: the first request meets it again and reports it.
    pub async fn warm(&self, connections: usize) {
        self.pool.warm(connections).await;
    }

    /// `GET path`, read to the end. A path that contains what no path can is [`ExchangeError::Malformed`].
    pub async fn get(&self, path: &str) -> Exchange {
        self.perform(Request::get(self.url(path)), Bytes::new(), Answer::Plain).await
    }

    /// One streaming chat completion with a prompt of about `prompt_tokens` tokens (a word each), asking for
    /// `output_tokens` tokens.
    pub async fn chat(&self, prompt_tokens: u16, output_tokens: u16) -> Exchange {
        let body = json!({
            "model": &*self.model,
            "messages": [{ "role": "user", "content": "hello ".repeat(usize::from(prompt_tokens)) }],
            "max_tokens": output_tokens,
            "stream": true,
        });
        let request = Request::post(self.url("/v1/chat/completions"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream");
        self.perform(request, body.to_string().into(), Answer::Chat).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{}", self.base_path, path.strip_prefix('/').unwrap_or(path))
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    async fn perform(&self, request: hyper::http::request::Builder, body: Bytes, expected: Answer) -> Exchange {
        let mut exchange = Exchange {
            sent_ns: self.now_ns(),
            first_token_ns: None,
            last_token_ns: None,
            tokens: 0,
            end_ns: 0,
            outcome: Ok(()),
        };
        let request = request
            .header(header::HOST, &self.host_header)
            .header(header::USER_AGENT, concat!("phasemeter/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body));
        let answered = match request {
            Ok(request) => self.converse(request, expected, &mut exchange).await,
            Err(_) => Err(ExchangeError::Malformed),
        };
        exchange.end_ns = self.now_ns();
        match answered {
            Ok((connection, body)) => self.keep(connection, body).await,
            Err(error) => exchange.outcome = Err(error),
        }
        exchange
    }

    /// Returns the connection, and the body when it was read as far as it is of interest.
    async fn converse(
        &self,
        request: Request<Full<Bytes>>,
        expected: Answer,
        exchange: &mut Exchange,
    ) -> Result<(Connection, Incoming), ExchangeError> {
        let (connection, response) = self.send(request, &mut exchange.sent_ns).await?;
        let status = response.status();
        let is_stream = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
        let mut body = response.into_body();
        if !status.is_success() {
            // What the server has to say about its error is read for the connection's sake only.
            self.keep(connection, body).await;
            return Err(ExchangeError::Status(status.as_u16()));
        }
        match expected {
            Answer::Plain => discard(&mut body).await?,
            Answer::Chat if is_stream => self.read_tokens(&mut body, exchange).await?,
            Answer::Chat => return Err(ExchangeError::Malformed),
        }
        Ok((connection, body))
    }

    /// Puts the connection back for the next request if what is left of the answer arrives soon.
    async fn keep(&self, connection: Connection, mut body: Incoming) {
        if let Ok(Ok(())) = tokio::time::timeout(TRAILER_PATIENCE, discard(&mut body)).await {
            self.pool.put_back(connection);
        }
    }

    /// Sends the request over a waiting connection, or a new one when there is none or the server has closed them.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        sent_ns: &mut u64,
    ) -> Result<(Connection, Response<Incoming>), ExchangeError> {
        loop {
            let mut connection = self.pool.take().await.map_err(|_| ExchangeError::Connect)?;
            *sent_ns = self.now_ns();
            match connection.try_send(request).await {
                Ok(response) => return Ok((connection, response)),
                Err(mut failed) => match failed.take_message() {
                    // The connection was closed while it waited, and nothing of the request has gone out.
                    Some(unsent) if connection.reused() => request = unsent,
                    _ => return Err(broken_or_malformed(failed.error())),
                },
            }
        }
    }

    /// Reads the stream until its `[DONE]`.
    async fn read_tokens(&self, body: &mut Incoming, exchange: &mut Exchange) -> Result<(), ExchangeError> {
        let mut parser = SseParser::default();
        let mut done = false;
        let mut malformed = false;
        while !done {
            let frame = body.frame().await.ok_or(ExchangeError::Broken)?;
            let frame = frame.map_err(|error| broken_or_malformed(&error))?;
            let now = self.now_ns();
            let Some(data) = frame.data_ref() else { continue };
            let fed = parser.feed(data, |event| {
                if done {
                } else if event == b"[DONE]" {
                    done = true;
                } else if let Ok(chunk) = serde_json::from_slice::<Chunk>(event) {
                    if chunk.has_content() {
                        exchange.first_token_ns.get_or_insert(now);
                        exchange.last_token_ns = Some(now);
                        exchange.tokens = exchange.tokens.saturating_add(1);
                    }
                } else {
                    malformed = true;
                }
            });
            if malformed || fed.is_err() {
                return Err(ExchangeError::Malformed);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Answer {
    Plain,
    Chat,
}

/// The part of a `chat.completion.chunk` that says whether it carries a token.
#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    /// Where reasoning models put their tokens before the answer proper.
    reasoning_content: Option<String>,
}

impl Chunk {
    fn has_content(&self) -> bool {
        let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        self.choices.iter().any(|choice| filled(&choice.delta.content) || filled(&choice.delta.reasoning_content))
    }
}

/// Reads to the end of the body and keeps nothing.
async fn discard(body: &mut Incoming) -> Result<(), ExchangeError> {
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| broken_or_malformed(&error))?;
    }
    Ok(())
}

fn broken_or_malformed(error: &hyper::Error) -> ExchangeError {
    if error.is_parse() { ExchangeError::Malformed } else { ExchangeError::Broken }
}
