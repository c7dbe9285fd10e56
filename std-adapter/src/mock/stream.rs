//! A chat answer streamed as server-sent events, one token at a time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Bytes, HttpBody};
use futures_timer::Delay;
use hyper::body::Frame;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::delay::LogNormalDelay;
use super::log::Trace;

/// When the tokens of one answer are due. Each is due a drawn gap after the one before it *was due*, so that the
/// rounding of timers does not add up over a long answer.
pub(super) struct Schedule {
    next_at: Instant,
    inter_token: LogNormalDelay,
    rng: StdRng,
    remaining: u32,
}

impl Schedule {
    /// `tokens` (at least one) tokens, the first of them due at `first_at`.
    pub(super) fn new(first_at: Instant, inter_token: LogNormalDelay, rng: StdRng, tokens: u32) -> Self {
        Self { next_at: first_at, inter_token, rng, remaining: tokens }
    }

    /// When the last token is due.
    pub(super) fn last_token_at(mut self) -> Instant {
        while self.advance() {}
        self.next_at
    }

    /// How long from now until the next token is due.
    fn wait(&self) -> Duration {
        self.next_at.saturating_duration_since(Instant::now())
    }

    /// Goes on to the next token; false when the one that was due is the last.
    fn advance(&mut self) -> bool {
        self.remaining = self.remaining.saturating_sub(1);
        if self.remaining > 0 {
            self.next_at += self.inter_token.draw(&mut self.rng);
        }
        self.remaining > 0
    }
}

/// The response body. Dropped unfinished by the server when the client goes away; its trace then says so.
pub(super) struct TokenStream {
    schedule: Schedule,
    timer: Delay,
    chunk: Value,
    sent: u32,
    stage: Stage,
    trace: Trace,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Tokens,
    Stop,
    Ended,
}

impl TokenStream {
    pub(super) fn new(schedule: Schedule, mut chunk: Value, trace: Trace) -> Self {
        chunk["object"] = json!("chat.completion.chunk");
        let timer = Delay::new(schedule.wait());
        Self { schedule, timer, chunk, sent: 0, stage: Stage::Tokens, trace }
    }

    fn event(&mut self, delta: &Value, finish_reason: Option<&str>) -> String {
        self.chunk["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]);
        format!("data: {}\n\n", self.chunk)
    }
}

impl HttpBody for TokenStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let event = match this.stage {
            Stage::Tokens => {
                // A token that is late does not wait for the timer's thread.
                if !this.schedule.wait().is_zero() {
                    ready!(Pin::new(&mut this.timer).poll(context));
                }
                let event = this.event(&json!({ "content": token_text(this.sent) }), None);
                this.sent += 1;
                if this.schedule.advance() {
                    this.timer.reset(this.schedule.wait());
                } else {
                    this.stage = Stage::Stop;
                }
                this.trace.token();
                event
            }
            Stage::Stop => {
                this.stage = Stage::Ended;
                let event = this.event(&json!({}), Some("stop")) + "data: [DONE]\n\n";
                this.trace.finish();
                event
            }
            Stage::Ended => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Ended
    }
}

/// The text of the token with this index: numbered words, so that a lost or doubled token can be seen.
pub(super) fn token_text(index: u32) -> String {
    format!("token{index} ")
}
