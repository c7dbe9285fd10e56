//! One connection to the server, and the request that it carries.
//!
//! ```text
//! closed ─▶ opening ─▶ idle ─▶ busy ─▶ draining ─▶ idle
//! ```
//!
//! A request is sent once: when its connection breaks it has failed. A connection that the server has closed while it
//! was idle is opened again.

use phasemeter_core::outcome::{Failure, Outcome};
use phasemeter_core::request::Ticket;
use phasemeter_core::time::{Clock, Duration, Instant};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;

use crate::http::{Expect, Progress, Response};
use crate::net::SEGMENT;
use crate::request::Request;

/// How long a connection that could not be opened, or was closed unused, is left alone: such a server would else be asked
/// without end.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// How long a server may say nothing while a response is due.
const SILENCE: Duration = Duration::from_secs(60);

/// How long the end of an answered response may take to arrive for the connection to be used again.
const DRAIN_WITHIN: Duration = Duration::from_millis(50);

/// How the request that a connection carries has ended.
pub(crate) struct Ended {
    pub(crate) at: Instant,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not to be opened before this time.
    Closed(Instant),
    Opening,
    Idle,
    Busy,
    /// The answer is whole; its framing has until then to end.
    Draining(Instant),
}

/// Whether an idle connection can carry a request.
fn is_usable(socket: &tcp::Socket<'_>) -> bool {
    socket.may_send() && socket.may_recv() && !socket.can_recv()
}

/// A connection, open or not.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) handle: SocketHandle,
    state: State,
    /// The request that it carries, or will once it is open.
    pub(crate) ticket: Option<Ticket>,
    /// How much of the request was written, and whether that is all of it.
    written: usize,
    is_written: bool,
    response: Response,
    /// When the server last said something, or was asked.
    heard_at: Instant,
}

impl Connection {
    pub(crate) const fn new(handle: SocketHandle) -> Self {
        let response = Response::new(Expect::Plain);
        Self {
            handle,
            state: State::Closed(Instant::BOOT),
            ticket: None,
            written: 0,
            is_written: false,
            response,
            heard_at: Instant::BOOT,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether it is being opened, and for no request yet.
    pub(crate) fn is_opening(&self) -> bool {
        self.state == State::Opening && self.ticket.is_none()
    }

    pub(crate) fn can_open(&self, now: Instant) -> bool {
        matches!(self.state, State::Closed(not_before) if not_before <= now)
    }

    /// When it has something to do, if nothing comes.
    pub(crate) fn next_due(&self) -> Instant {
        match self.state {
            State::Closed(at) | State::Draining(at) => at,
            State::Busy => self.heard_at.saturating_add(SILENCE),
            _ => Instant::MAX,
        }
    }

    /// The connection is being opened, unless that was not `possible`.
    pub(crate) fn opening(&mut self, possible: bool, now: Instant) {
        self.state = if possible { State::Opening } else { State::Closed(now.saturating_add(RETRY_AFTER)) };
    }

    /// Takes a request to be sent: at once with the next poll if it is idle, else when it has opened.
    pub(crate) fn take(&mut self, ticket: Ticket, expect: Expect) {
        self.ticket = Some(ticket);
        (self.written, self.is_written) = (0, false);
        self.response = Response::new(expect);
    }

    /// Gives up what it carries. The server sees a reset.
    pub(crate) fn abort(&mut self, socket: &mut tcp::Socket<'_>, now: Instant) {
        if self.ticket.take().is_some() {
            self.close(socket, now);
        }
    }

    /// Does what can be done now. If its request has ended with that, the ticket is to be taken.
    pub(crate) fn poll(
        &mut self,
        socket: &mut tcp::Socket<'_>,
        request: Option<&Request>,
        clock: &mut impl Clock,
        now: Instant,
    ) -> Option<Ended> {
        match self.state {
            State::Closed(_) => self.failed(now, Failure::NotConnected),
            State::Opening if socket.may_send() => {
                // The stack's own time-out also ends connections that only wait: for a first token, or a request.
                socket.set_timeout(None);
                self.state = State::Idle;
                self.start(socket, request, clock)
            }
            State::Opening if !socket.is_open() => {
                self.state = State::Closed(now.saturating_add(RETRY_AFTER));
                self.failed(now, Failure::NotConnected)
            }
            State::Opening => None,
            // Nobody has asked for anything: the server has closed the connection, or is out of step.
            State::Idle if !is_usable(socket) => {
                self.close(socket, now.saturating_add(RETRY_AFTER));
                self.failed(now, Failure::Broken)
            }
            State::Idle => self.start(socket, request, clock),
            State::Busy | State::Draining(_) => {
                if self.state == State::Busy {
                    self.write(socket, request);
                }
                self.read(socket, clock, now)
            }
        }
    }

    /// Begins to send the request that was taken.
    fn start(
        &mut self,
        socket: &mut tcp::Socket<'_>,
        request: Option<&Request>,
        clock: &mut impl Clock,
    ) -> Option<Ended> {
        if let Some(ticket) = &mut self.ticket {
            self.state = State::Busy;
            self.heard_at = clock.now();
            ticket.mark_sent(self.heard_at);
            self.write(socket, request);
        }
        None
    }

    /// Writes a segment's worth, if there is room for it.
    fn write(&mut self, socket: &mut tcp::Socket<'_>, request: Option<&Request>) {
        let Some(request) = request else { return };
        let mut left = SEGMENT.min(request.length().saturating_sub(self.written));
        if socket.send_capacity().saturating_sub(socket.send_queue()) < left {
            return;
        }
        // Twice if the buffer ends before the segment does.
        while left > 0
            && let Ok(count @ 1..) = socket.send(|room| {
                let here = room.len().min(left);
                let count = request.write(self.written, room.get_mut(..here).unwrap_or_default());
                (count, count)
            })
        {
            self.written = self.written.saturating_add(count);
            left = left.saturating_sub(count);
        }
        self.is_written = self.written >= request.length();
    }

    fn read(&mut self, socket: &mut tcp::Socket<'_>, clock: &mut impl Clock, now: Instant) -> Option<Ended> {
        let mut ended = None;
        let mut at = None;
        while socket.can_recv() {
            let at = *at.get_or_insert_with(|| clock.now());
            self.heard_at = at;
            let fed = socket.recv(|bytes| match self.response.feed(bytes) {
                Ok((used, progress)) => (used, Ok((progress, used < bytes.len()))),
                Err(error) => (bytes.len(), Err(error)),
            });
            match fed {
                Ok(Ok((Progress::More, _))) => {}
                Ok(Ok((Progress::Token, _))) => {
                    if let Some(ticket) = &mut self.ticket {
                        ticket.mark_token(at);
                    }
                }
                Ok(Ok((progress, has_more))) => {
                    if progress == Progress::Answered {
                        ended = self.ended(at, Outcome::Success);
                        self.state = State::Draining(at.saturating_add(DRAIN_WITHIN));
                    }
                    if self.response.is_done() {
                        let end = self.done(at);
                        // What follows was not asked for; the rest of a request would be taken for another; and the end
                        // of the connection may have come with the response.
                        if has_more || !self.is_written || !self.response.keeps_alive() || !is_usable(socket) {
                            self.close(socket, at);
                        }
                        return ended.or(end);
                    }
                }
                Ok(Err(error)) => {
                    self.close(socket, at);
                    return ended.or_else(|| self.failed(at, error.into()));
                }
                Err(_) => break,
            }
        }
        if !socket.may_recv() {
            let outcome = match self.response.end() {
                // A reset also ends a response that ends with its connection, but not well.
                Ok(_) if socket.is_open() => self.response.outcome(),
                _ => Outcome::Failed(Failure::Broken),
            };
            self.close(socket, now);
            return ended.or_else(|| self.ended(at.unwrap_or(now), outcome));
        }
        if ended.is_none() && now >= self.next_due() {
            self.close(socket, now);
            return self.failed(now, Failure::TimedOut);
        }
        ended
    }

    /// The response has ended, and the connection is free.
    fn done(&mut self, at: Instant) -> Option<Ended> {
        self.state = State::Idle;
        self.ended(at, self.response.outcome())
    }

    fn failed(&self, at: Instant, failure: Failure) -> Option<Ended> {
        self.ended(at, Outcome::Failed(failure))
    }

    fn ended(&self, at: Instant, outcome: Outcome) -> Option<Ended> {
        self.ticket.is_some().then_some(Ended { at, outcome })
    }

    pub(crate) fn close(&mut self, socket: &mut tcp::Socket<'_>, not_before: Instant) {
        socket.abort();
        self.state = State::Closed(not_before);
    }
}
