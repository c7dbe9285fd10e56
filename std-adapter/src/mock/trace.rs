//! Measures each request while it is served, for the log and the metrics.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Version;
use hyper::http::request::Parts;

use super::fault::Fault;
use super::log::{LogSender, ServedRequest};
use super::metrics::Metrics;

/// No more of a path is logged.
const MAX_PATH: usize = 1024;

/// Begins traces.
#[derive(Debug)]
pub(super) struct Tracer {
    started: Instant,
    log: Option<LogSender>,
    pub(super) metrics: Arc<Metrics>,
}

impl Tracer {
    pub(super) fn new(log: Option<LogSender>) -> Self {
        Self { started: Instant::now(), log, metrics: Arc::default() }
    }

    /// The trace of a request whose head was read at `entered`.
    pub(super) fn begin(&self, head: &Parts, tls: bool, entered: Instant) -> Trace {
        let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = head.uri.path();
        let served = ServedRequest {
            method: Cow::Owned(head.method.as_str().chars().take(MAX_PATH).collect()),
            route: Cow::Owned(path[..path.floor_char_boundary(MAX_PATH)].to_owned()),
            http_version: Cow::Borrowed(match head.version {
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2",
                _ => "1.1",
            }),
            tls,
            status: 200,
            started_unix_ns: nanos(unix_now.saturating_sub(entered.elapsed())),
            started_ns: nanos(entered.saturating_duration_since(self.started)),
            cancelled: true,
            ..ServedRequest::default()
        };
        self.metrics.begin();
        let (log, metrics) = (self.log.clone(), self.metrics.clone());
        Trace { served, entered, received: entered, last_token: None, path: "other", log, metrics }
    }
}

/// One request. It is logged and counted when this is dropped, and its line says `cancelled` unless [`finish`](Self::finish)
/// came first. The server drops the work on a request whose client went away, so no other signal is needed.
#[derive(Debug)]
pub(super) struct Trace {
    served: ServedRequest,
    /// When its head was read,
    entered: Instant,
    /// and its body.
    received: Instant,
    last_token: Option<Instant>,
    /// As the metrics call it.
    path: &'static str,
    log: Option<LogSender>,
    metrics: Arc<Metrics>,
}

impl Trace {
    /// When what has come of the request was read: its body, or its head before that.
    pub(super) fn received(&self) -> Instant {
        self.received
    }

    /// The path is one that the server knows; the metrics count the requests of each.
    pub(super) fn known_as(&mut self, path: &'static str) {
        self.path = path;
    }

    /// The body was read just now.
    pub(super) fn read(&mut self) {
        self.received = Instant::now();
        self.served.read_ms = Some(millis(self.received - self.entered));
    }

    /// The prompt has so many tokens.
    pub(super) fn prompt(&mut self, tokens: u64) {
        self.served.prompt_tokens = Some(tokens);
    }

    /// Notes what the request was dealt: its number, the delay before its first byte, and what goes wrong.
    pub(super) fn dealt(&mut self, number: u64, first: Duration, fault: Option<Fault>) {
        self.served.request = Some(number);
        self.served.drawn_first_ms = millis(first);
        if let Some(fault) = fault {
            self.served.fault = Some(Cow::Owned(fault.to_string()));
            self.metrics.fault(fault.name());
        }
    }

    /// It is answered with this status, which is 200 unless this is called; 0 is none.
    pub(super) fn status(&mut self, status: u16) {
        self.served.status = status;
    }

    /// Call just before a token of a stream is handed to the connection.
    pub(super) fn token(&mut self) {
        let now = Instant::now();
        match self.last_token.replace(now) {
            None => self.served.first_byte_ms = Some(millis(now - self.entered)),
            Some(last) => self.served.gaps_ms.push(millis(now - last)),
        }
        self.tokens(1);
    }

    /// So many tokens are handed to the connection.
    pub(super) fn tokens(&mut self, count: u32) {
        self.served.output_tokens = self.served.output_tokens.saturating_add(count);
        self.metrics.tokens(count);
    }

    /// Call just before something else than a token is handed to the connection.
    pub(super) fn byte(&mut self) {
        let elapsed = self.elapsed_ms();
        self.served.first_byte_ms.get_or_insert(elapsed);
    }

    /// Call just before the end of the answer is handed to the connection, or a fault ends it.
    pub(super) fn finish(&mut self) {
        self.served.total_ms = self.elapsed_ms();
        self.served.cancelled = false;
    }

    /// A fault ends the request without an answer.
    pub(super) fn unanswered(&mut self) {
        self.status(0);
        self.finish();
    }

    fn elapsed_ms(&self) -> f64 {
        millis(self.entered.elapsed())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if self.served.cancelled {
            self.served.total_ms = self.elapsed_ms();
        }
        self.served.last_token_ms = self.last_token.map(|last| millis(last - self.entered));
        self.metrics.end(self.path, self.served.status);
        if let Some(log) = self.log.take() {
            log.send(std::mem::take(&mut self.served));
        }
    }
}

/// Rounded to whole nanoseconds, so that the decimal text has no floating-point noise.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e9).round() / 1e6
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
