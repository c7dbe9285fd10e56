//! Kept connections to one server.

use std::cell::RefCell;
use std::io;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::answer::{Fault, Head};
use super::connect::{ConnectTimes, Endpoint, Opened};
use super::http1::Http1;
use super::http2::{Http2, Link, MAX_STREAMS};
use super::requests::Request;

/// So many connections are opened at a time.
const OPENED_AT_A_TIME: usize = 64;

/// What carries a request. Dropping it gives the request up: its connection, or its stream, is closed.
pub(super) struct Carrier {
    kind: Kind,
    /// It waited in the pool before, so the server may have closed it.
    pub(super) is_reused: bool,
}

enum Kind {
    Http1(Http1),
    Http2(Http2),
}

impl Carrier {
    /// Sends a request and reads the head of the answer.
    pub(super) async fn send(&mut self, request: &Request) -> Result<Head, Fault> {
        match &mut self.kind {
            Kind::Http1(connection) => connection.send(&request.http1, request.is_head).await,
            Kind::Http2(stream) => stream.send(request.http2()).await,
        }
    }

    /// The next piece of the answer's body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>, Fault> {
        match &mut self.kind {
            Kind::Http1(connection) => connection.piece().await,
            Kind::Http2(stream) => stream.piece().await,
        }
    }
}

/// The connections that no request is using, the last used on top: the fewest that suffice stay warm. HTTP/2 connections
/// are shared by up to [`MAX_STREAMS`] requests.
pub(super) struct Pool {
    endpoint: Endpoint,
    idle: RefCell<Vec<Http1>>,
    links: RefCell<Vec<Link>>,
    opened: RefCell<Vec<ConnectTimes>>,
}

impl Pool {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, idle: RefCell::default(), links: RefCell::default(), opened: RefCell::default() }
    }

    /// A carrier for a request, now: a kept one, or else a new one. `fresh` wants a new one.
    pub(super) async fn take(&self, fresh: bool) -> io::Result<Carrier> {
        if !fresh && let Some(kind) = self.kept() {
            return Ok(Carrier { kind, is_reused: true });
        }
        let kind = match self.open().await? {
            Connection::Http1(connection) => Kind::Http1(connection),
            Connection::Http2(link) => {
                let place = link.place();
                self.links.borrow_mut().push(link);
                Kind::Http2(place)
            }
        };
        Ok(Carrier { kind, is_reused: false })
    }

    fn kept(&self) -> Option<Kind> {
        while let Some(mut connection) = self.idle.borrow_mut().pop() {
            if !connection.is_stale() {
                return Some(Kind::Http1(connection));
            }
        }
        let mut links = self.links.borrow_mut();
        links.retain(Link::is_open);
        links.iter().find(|link| link.has_room()).map(|link| Kind::Http2(link.place()))
    }

    /// Gives back what carried a request whose answer was read.
    pub(super) fn put_back(&self, carrier: Carrier) {
        if let Kind::Http1(connection) = carrier.kind
            && connection.is_reusable()
        {
            self.idle.borrow_mut().push(connection);
        }
    }

    /// Opens what so many requests at a time need, unless it is there; ends at the first connection that cannot be opened.
    pub(super) async fn warm(&self, requests: usize) {
        if self.room() >= requests {
            return;
        }
        // The first one shows which protocol it is.
        let Ok(first) = self.open().await else { return };
        self.keep(first);
        let missing = requests.saturating_sub(self.room());
        let missing = if self.links.borrow().is_empty() { missing } else { missing.div_ceil(MAX_STREAMS) };
        let mut opening: FuturesUnordered<_> = (0..missing.min(OPENED_AT_A_TIME)).map(|_| self.open()).collect();
        let mut left = missing - opening.len();
        while let Some(Ok(connection)) = opening.next().await {
            self.keep(connection);
            if left > 0 {
                left -= 1;
                opening.push(self.open());
            }
        }
    }

    fn keep(&self, connection: Connection) {
        match connection {
            Connection::Http1(connection) => self.idle.borrow_mut().push(connection),
            Connection::Http2(link) => self.links.borrow_mut().push(link),
        }
    }

    /// How many requests can be carried at once without a new connection.
    pub(super) fn room(&self) -> usize {
        self.idle.borrow_mut().retain_mut(|connection| !connection.is_stale());
        let links = self.links.borrow();
        self.idle.borrow().len() + links.iter().filter(|link| link.has_room()).count() * MAX_STREAMS
    }

    /// How many HTTP/1.1 connections wait.
    #[cfg(all(test, feature = "mock"))]
    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    async fn open(&self) -> io::Result<Connection> {
        let Opened { stream, is_http2, times } = self.endpoint.open().await?;
        let connection =
            if is_http2 { Connection::Http2(Link::new(stream).await?) } else { Connection::Http1(Http1::new(stream)) };
        self.opened.borrow_mut().push(times);
        Ok(connection)
    }

    /// How long it took to open each connection since this was asked last.
    pub(super) fn take_opened(&self) -> Vec<ConnectTimes> {
        self.opened.take()
    }
}

enum Connection {
    Http1(Http1),
    Http2(Link),
}
