//! A client's connection in HTTP/2 (RFC 9113), many requests at a time: hyper's.

use std::cell::Cell;
use std::rc::Rc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use super::answer::{Fault, Head, is_event_stream};
use super::connect::Stream;

/// So many requests share a connection at most, as servers allow by default.
pub(super) const MAX_STREAMS: usize = 100;

/// A connection; dropping the last part of it closes it.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    streams: Rc<Cell<usize>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A connection whose protocol has begun.
pub(super) struct Handshaken {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Handshaken {
    pub(super) async fn new(stream: Box<dyn Stream>) -> std::io::Result<Self> {
        let made = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(std::io::Error::other)?;
        let driver = tokio::spawn(async {
            // What goes wrong is reported to the requests that are under way.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }
}

impl Link {
    pub(super) fn new(Handshaken { sender, driver }: Handshaken) -> Self {
        Self { sender, driver, streams: Rc::default() }
    }

    /// Whether the connection is open and takes another request.
    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < MAX_STREAMS && self.is_open()
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// A place for one request.
    pub(super) fn place(&self) -> Http2 {
        self.streams.set(self.streams.get() + 1);
        Http2 { sender: self.sender.clone(), streams: Rc::clone(&self.streams), answer: None, piece: Bytes::new() }
    }
}

/// One request's place on a connection.
pub(super) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    streams: Rc<Cell<usize>>,
    answer: Option<Incoming>,
    piece: Bytes,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.streams.set(self.streams.get().saturating_sub(1));
    }
}

impl Http2 {
    /// Sends a request and reads the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Head, Fault> {
        let unanswered = |error: hyper::Error| Fault::Unanswered(told(&error));
        self.sender.ready().await.map_err(unanswered)?;
        let response = self.sender.send_request(request).await.map_err(unanswered)?;
        let media_type = response.headers().get(header::CONTENT_TYPE);
        let head = Head {
            status: response.status().as_u16(),
            is_event_stream: media_type.is_some_and(|value| is_event_stream(value.as_bytes())),
        };
        self.answer = Some(response.into_body());
        Ok(head)
    }

    /// Whether the answer was read to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.answer.is_none()
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>, Fault> {
        let Some(answer) = &mut self.answer else { return Ok(None) };
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|error| Fault::Broken(told(&error)))?;
            if let Ok(data) = frame.into_data() {
                self.piece = data;
                return Ok(Some(&self.piece));
            }
        }
        self.answer = None;
        Ok(None)
    }
}

/// With the cause behind it, which hyper's own message does not have.
fn told(error: &hyper::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
