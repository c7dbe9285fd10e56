//! Kept connections to one server.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::answer::{Fault, Head};
use super::connect::{ConnectTimes, Endpoint, Opened};
use super::http1::Http1;
use super::http2::{Handshaken, Http2, Link, MAX_STREAMS};
use super::requests::Request;

/// So many connections are opened at a time: a server that stalls for a moment must not be met with a connection for each
/// request that is due meanwhile.
const OPENED_AT_A_TIME: usize = 64;

/// What carries a request. Dropping it gives the request up: its connection, or its stream, is closed.
pub(super) struct Carrier {
    kind: Kind,
    /// It carried a request before, so the server may have closed it.
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

    /// Whether the answer was read to its end, as far as is known without reading.
    pub(super) fn is_whole(&self) -> bool {
        match &self.kind {
            Kind::Http1(connection) => connection.is_whole(),
            Kind::Http2(stream) => stream.is_whole(),
        }
    }
}

/// The connections that no request is using, the last used on top: the fewest that suffice stay warm. HTTP/2 connections
/// are shared by up to [`MAX_STREAMS`] requests.
///
/// A request that finds none has one opened, and takes that or the first that another request gives back.
pub(super) struct Pool {
    endpoint: Endpoint,
    idle: RefCell<Vec<Http1>>,
    links: RefCell<Vec<Link>>,
    /// Requests that wait for a connection, the first in front.
    waiting: RefCell<VecDeque<Rc<Waiting>>>,
    /// How many connections are being opened.
    opening: Cell<usize>,
    sender: UnboundedSender<io::Result<NewConnection>>,
    opened: RefCell<UnboundedReceiver<io::Result<NewConnection>>>,
    times: RefCell<Vec<ConnectTimes>>,
}

/// A request that waits for a connection.
#[derive(Default)]
struct Waiting {
    given: RefCell<Option<io::Result<Carrier>>>,
    waker: RefCell<Option<Waker>>,
}

/// A connection that was just opened.
enum NewConnection {
    Http1(Box<dyn super::connect::Stream>, ConnectTimes),
    Http2(Handshaken, ConnectTimes),
}

impl Pool {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let (sender, opened) = unbounded_channel();
        Self {
            endpoint,
            idle: RefCell::default(),
            links: RefCell::default(),
            waiting: RefCell::default(),
            opening: Cell::default(),
            sender,
            opened: RefCell::new(opened),
            times: RefCell::default(),
        }
    }

    /// What carries a request: a kept connection, or the first that is opened or given back.
    pub(super) async fn take(&self) -> io::Result<Carrier> {
        match self.kept() {
            Some(kind) => Ok(Carrier { kind, is_reused: true }),
            None => self.wait().await,
        }
    }

    /// A new connection, whatever is kept: for a request that has met one which the server had closed.
    pub(super) async fn take_new(&self) -> io::Result<Carrier> {
        let kind = self.enter(open(self.endpoint.clone()).await?);
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

    async fn wait(&self) -> io::Result<Carrier> {
        let waiting = Rc::<Waiting>::default();
        self.waiting.borrow_mut().push_back(Rc::clone(&waiting));
        self.open_for_those_that_wait();
        poll_fn(|context| {
            if let Some(given) = waiting.given.take() {
                return Poll::Ready(given);
            }
            *waiting.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn open_for_those_that_wait(&self) {
        while self.opening.get() < self.waiting.borrow().len().min(OPENED_AT_A_TIME) {
            self.opening.set(self.opening.get() + 1);
            let (endpoint, sender) = (self.endpoint.clone(), self.sender.clone());
            tokio::spawn(async move {
                // The pool may be gone.
                let _ = sender.send(open(endpoint).await);
            });
        }
    }

    /// Hands out the connections that have been opened, as they come. The driver calls it whenever it looks for news.
    pub(super) fn poll_opened(&self, context: &mut Context<'_>) {
        loop {
            let Poll::Ready(Some(opened)) = self.opened.borrow_mut().poll_recv(context) else { return };
            self.opening.set(self.opening.get() - 1);
            self.give(opened.map(|opened| Carrier { kind: self.enter(opened), is_reused: false }));
            self.open_for_those_that_wait();
        }
    }

    /// Counts a new connection in; gives what carries a request over it.
    fn enter(&self, opened: NewConnection) -> Kind {
        match opened {
            NewConnection::Http1(stream, times) => {
                self.times.borrow_mut().push(times);
                Kind::Http1(Http1::new(stream))
            }
            NewConnection::Http2(handshaken, times) => {
                self.times.borrow_mut().push(times);
                let link = Link::new(handshaken);
                let place = link.place();
                self.links.borrow_mut().push(link);
                Kind::Http2(place)
            }
        }
    }

    /// Gives what carries a request to the first that waits, or keeps it.
    fn give(&self, mut given: io::Result<Carrier>) {
        loop {
            let first = self.waiting.borrow_mut().pop_front();
            match (first, given) {
                // A request that was given up waits no more.
                (Some(waiting), of) if Rc::strong_count(&waiting) == 1 => given = of,
                (Some(waiting), of) => {
                    *waiting.given.borrow_mut() = Some(of);
                    if let Some(waker) = waiting.waker.take() {
                        waker.wake();
                    }
                    return;
                }
                (None, Ok(Carrier { kind: Kind::Http1(connection), .. })) => {
                    return self.idle.borrow_mut().push(connection);
                }
                // The link stays; a fault that nobody waits for is met again.
                (None, _) => return,
            }
        }
    }

    /// Gives back what carried a request whose answer was read.
    pub(super) fn put_back(&self, carrier: Carrier) {
        let Carrier { kind, .. } = carrier;
        let may_be_given = match &kind {
            Kind::Http1(connection) => connection.is_reusable(),
            // Its connection stays.
            Kind::Http2(_) => !self.waiting.borrow().is_empty(),
        };
        if may_be_given {
            self.give(Ok(Carrier { kind, is_reused: true }));
        }
    }

    /// Opens what so many requests at a time need, unless it is there; ends at the first connection that cannot be opened.
    pub(super) async fn warm(&self, requests: usize) {
        // The first one shows which protocol it is.
        let mut at_a_time = 1;
        while self.room() < requests {
            let missing = requests - self.room();
            let missing = if self.links.borrow().is_empty() { missing } else { missing.div_ceil(MAX_STREAMS) };
            let opening: Vec<_> =
                (0..missing.min(at_a_time)).map(|_| tokio::spawn(open(self.endpoint.clone()))).collect();
            for opened in opening {
                let Ok(Ok(opened)) = opened.await else { return };
                let kind = self.enter(opened);
                self.put_back(Carrier { kind, is_reused: false });
            }
            at_a_time = OPENED_AT_A_TIME;
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

    /// Appends how long it took to open each connection since this was asked last.
    pub(super) fn take_times(&self, times: &mut Vec<ConnectTimes>) {
        times.append(&mut self.times.borrow_mut());
    }
}

async fn open(endpoint: Endpoint) -> io::Result<NewConnection> {
    let Opened { stream, is_http2, times } = endpoint.open().await?;
    Ok(if is_http2 {
        NewConnection::Http2(Handshaken::new(stream).await?, times)
    } else {
        NewConnection::Http1(stream, times)
    })
}
