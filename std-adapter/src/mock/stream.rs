//! Answers that take their time: token by token, or broken in the middle.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_timer::Delay;
use hyper::body::{Body, Bytes, Frame};
use rand::rngs::StdRng;

use super::delay::LogNormalDelay;
use super::fault::{Fault, Place};
use super::openai::Script;
use super::trace::Trace;
use super::wire::Wire;

/// Between half an answer and the reset: a client reads what came before only if it is quicker.
const BEFORE_RESET: Duration = Duration::from_millis(20);
/// An event that is no JSON, nor text.
const BROKEN_EVENT: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\xfe\n\n";

/// When the tokens of one answer are due. Each is due a drawn gap after the one before it *was due*, so that the
/// rounding of timers does not add up over a long answer.
pub(super) struct Schedule {
    next_at: Instant,
    inter_token: LogNormalDelay,
    rng: StdRng,
    /// Tokens before the next one, and all of them.
    before: u32,
    tokens: u32,
    slow: Duration,
}

impl Schedule {
    /// `tokens` (at least one) tokens, the first of them due at `first_at`; the one in the middle comes `slow` later, and all
    /// behind it.
    pub(super) fn new(
        first_at: Instant,
        inter_token: LogNormalDelay,
        rng: StdRng,
        tokens: u32,
        slow: Duration,
    ) -> Self {
        let mut schedule = Self { next_at: first_at, inter_token, rng, before: 0, tokens, slow };
        schedule.slow_down();
        schedule
    }

    /// When the next token is due.
    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// When the last token is due.
    pub(super) fn last_at(mut self) -> Instant {
        while self.before + 1 < self.tokens {
            self.advance();
        }
        self.next_at
    }

    /// Goes on to the next token.
    fn advance(&mut self) {
        self.before += 1;
        if self.before < self.tokens {
            self.next_at += self.inter_token.draw(&mut self.rng);
            self.slow_down();
        }
    }

    fn slow_down(&mut self) {
        if self.before == self.tokens / 2 {
            self.next_at += self.slow;
        }
    }
}

/// What an answer does next.
pub(super) enum Step {
    Wait(Instant),
    /// Send a token.
    Token(Bytes),
    /// Send something else.
    Part(Bytes),
    /// Send this, which is the end.
    Last(Bytes),
    /// Reset the connection.
    Reset,
}

/// The steps of a stream of tokens.
pub(super) struct Tokens {
    schedule: Schedule,
    script: Script,
    /// What goes wrong in the middle.
    fault: Option<Fault>,
    /// The next token was waited for.
    is_due: bool,
    resets: bool,
}

impl Tokens {
    pub(super) fn new(schedule: Schedule, script: Script, fault: Option<Fault>) -> Self {
        Self { schedule, script, fault, is_due: false, resets: false }
    }
}

impl Iterator for Tokens {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.resets {
            return Some(Step::Reset);
        }
        let Schedule { next_at, before, tokens, .. } = self.schedule;
        // Behind half of the tokens, and one at least.
        if before == (tokens / 2).max(1) {
            match self.fault.take() {
                Some(Fault::Stall(stall, Place::Mid)) => return Some(Step::Wait(Instant::now() + stall)),
                Some(Fault::Garbage(Place::Mid)) => return Some(Step::Part(Bytes::from_static(BROKEN_EVENT))),
                Some(Fault::Reset(Place::Mid)) => {
                    self.resets = true;
                    return Some(Step::Wait(next_at.max(Instant::now() + BEFORE_RESET)));
                }
                _ => {}
            }
        }
        if before == tokens {
            return Some(Step::Last(self.script.end().into()));
        }
        self.is_due = !self.is_due;
        if self.is_due {
            return Some(Step::Wait(next_at));
        }
        self.schedule.advance();
        Some(Step::Token(self.script.token(before).into()))
    }
}

/// The steps of an answer in one piece that goes wrong in the middle.
pub(super) fn halves(mut whole: Bytes, fault: Fault) -> impl Iterator<Item = Step> + Send + Unpin + use<> {
    let second = whole.split_off(whole.len() / 2);
    let (wait, then) = match fault {
        Fault::Stall(stall, _) => (stall, Step::Last(second)),
        Fault::Garbage(_) => (Duration::ZERO, Step::Last(vec![0xff; second.len()].into())),
        _ => (BEFORE_RESET, Step::Reset),
    };
    [Step::Part(whole), Step::Wait(Instant::now() + wait), then].into_iter()
}

/// A body that does one step after the other. The server drops it unfinished when the client goes away; its trace then says
/// so.
pub(super) struct Paced<S> {
    steps: S,
    timer: Delay,
    waits: bool,
    ended: bool,
    wire: Arc<Wire>,
    trace: Trace,
}

impl<S> Paced<S> {
    pub(super) fn new(steps: S, wire: Arc<Wire>, trace: Trace) -> Self {
        Self { steps, timer: Delay::new(Duration::ZERO), waits: false, ended: false, wire, trace }
    }
}

impl<S: Iterator<Item = Step> + Unpin> Body for Paced<S> {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        let this = self.get_mut();
        loop {
            if this.waits {
                ready!(Pin::new(&mut this.timer).poll(context));
                this.waits = false;
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let bytes = match this.steps.next() {
                None => return Poll::Ready(None),
                Some(Step::Wait(due)) => {
                    let wait = due.saturating_duration_since(Instant::now());
                    // What is late does not wait for the timer's thread.
                    if !wait.is_zero() {
                        this.timer.reset(wait);
                        this.waits = true;
                    }
                    continue;
                }
                Some(Step::Token(bytes)) => {
                    this.trace.token();
                    bytes
                }
                Some(Step::Part(bytes)) => {
                    this.trace.byte();
                    bytes
                }
                Some(Step::Last(bytes)) => {
                    this.ended = true;
                    this.trace.finish();
                    bytes
                }
                Some(Step::Reset) => {
                    this.ended = true;
                    this.trace.finish();
                    this.wire.reset();
                    return Poll::Ready(Some(Err(Reset)));
                }
            };
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// The connection is to be reset, as was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reset was asked for")
    }
}

impl std::error::Error for Reset {}

impl From<Infallible> for Reset {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
