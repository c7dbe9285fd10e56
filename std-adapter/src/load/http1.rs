//! A client's connection in HTTP/1.1 (RFC 9112), one request at a time.
//!
//! Not a general HTTP library's: what the client costs, a server on the same machine is short of. The grammar of heads and
//! chunk sizes is `httparse`'s.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use httparse::{ParserConfig, Status};
use tokio::io::{AsyncWriteExt, ReadBuf};

use super::answer::{Fault, Head, is_event_stream};
use super::connect::Stream;

/// An answer's head and the lines of its chunks are this long at most.
const MAX_HEAD: usize = 64 * 1024;
/// What is read at once, at first.
const BUFFER: usize = 4 * 1024;
/// An answer has so many headers at most.
const MAX_HEADERS: usize = 128;

/// A connection, and how far its last answer was read.
pub(super) struct Http1 {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// What was read and not yet used: `buffer[start..end]`.
    start: usize,
    end: usize,
    body: Framing,
    /// Another request may follow this one.
    keeps_alive: bool,
    /// Nothing of the answer has come.
    is_unanswered: bool,
}

/// What is left of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Whole,
    Length(u64),
    UntilClose,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
}

impl Http1 {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            body: Framing::Whole,
            keeps_alive: true,
            is_unanswered: true,
        }
    }

    /// Whether the server has closed the connection, or sent what nobody asked for, while it waited.
    pub(super) fn is_stale(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(std::task::Waker::noop());
        let read = Pin::new(&mut *self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte));
        !matches!(read, Poll::Pending)
    }

    /// Whether another request can follow: the answer was read to its end.
    pub(super) fn is_reusable(&self) -> bool {
        self.keeps_alive && self.body == Framing::Whole && self.start == self.end
    }

    /// Whether the answer was read to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.body == Framing::Whole
    }

    /// Sends a request, which is its whole bytes, and reads the head of the answer.
    pub(super) async fn send(&mut self, request: &[u8], is_head: bool) -> Result<Head, Fault> {
        self.is_unanswered = true;
        let written = self.stream.write_all(request).await;
        // A server may answer before it has read all, and hang up.
        match (self.head(is_head).await, written) {
            (Err(Fault::Unanswered(_)), Err(error)) => Err(Fault::Unanswered(error.to_string())),
            (head, _) => head,
        }
    }

    async fn head(&mut self, is_head: bool) -> Result<Head, Fault> {
        loop {
            if self.start < self.end
                && let Some((head, length)) = self.parse(is_head)?
            {
                self.start += length;
                // Informational answers precede the real one.
                if head.status >= 200 {
                    return Ok(head);
                }
                continue;
            }
            self.more().await?;
        }
    }

    fn parse(&mut self, is_head: bool) -> Result<Option<(Head, usize)>, Fault> {
        // Filling them first would take longer than the parsing.
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            &self.buffer[self.start..self.end],
            &mut headers,
        );
        let length = match parsed.map_err(|error| Fault::Malformed(format!("no HTTP/1.1: {error}")))? {
            Status::Complete(length) => length,
            Status::Partial => return Ok(None),
        };
        let status = response.code.unwrap_or(0);
        let mut head = Head { status, is_event_stream: false };
        let (mut framing, mut keeps_alive) = (None, response.version == Some(1));
        for header in response.headers.iter() {
            let (name, value) = (header.name, header.value.trim_ascii());
            if name.eq_ignore_ascii_case("content-length") {
                let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                let length = length.ok_or_else(|| Fault::Malformed("a content length that is no number".to_owned()))?;
                // Chunks count if both are there (RFC 9112, section 6.3).
                framing = framing.or(Some(Framing::Length(length)));
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Malformed("a transfer encoding other than chunked".to_owned()));
                }
                framing = Some(Framing::ChunkSize);
            } else if name.eq_ignore_ascii_case("connection") {
                let has = |token: &[u8]| {
                    value.split(|byte| *byte == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(token))
                };
                keeps_alive = (keeps_alive || has(b"keep-alive")) && !has(b"close");
            } else if name.eq_ignore_ascii_case("content-type") {
                head.is_event_stream = is_event_stream(value);
            }
        }
        if status >= 200 {
            self.keeps_alive = keeps_alive;
            self.body = match framing {
                _ if is_head || status == 204 || status == 304 => Framing::Whole,
                Some(Framing::Length(0)) => Framing::Whole,
                Some(framing) => framing,
                None => Framing::UntilClose,
            };
        } else if status == 101 {
            return Err(Fault::Malformed("the server switched protocols".to_owned()));
        }
        Ok(Some((head, length)))
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>, Fault> {
        loop {
            match self.body {
                Framing::Whole => return Ok(None),
                Framing::Length(left) | Framing::Chunk(left) => {
                    if self.start == self.end {
                        self.more().await?;
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.end - self.start);
                    let left = left - length as u64;
                    self.body = match self.body {
                        Framing::Length(_) if left == 0 => Framing::Whole,
                        Framing::Length(_) => Framing::Length(left),
                        _ if left == 0 => Framing::ChunkEnd,
                        _ => Framing::Chunk(left),
                    };
                    return Ok(Some(self.take(length)));
                }
                Framing::UntilClose => {
                    self.keeps_alive = false;
                    if self.start == self.end
                        && self.fill().await.map_err(|error| Fault::Broken(error.to_string()))? == 0
                    {
                        self.body = Framing::Whole;
                        return Ok(None);
                    }
                    let length = self.end - self.start;
                    return Ok(Some(self.take(length)));
                }
                Framing::ChunkSize => {
                    let parsed = httparse::parse_chunk_size(&self.buffer[self.start..self.end]);
                    match parsed.map_err(|_| Fault::Malformed("a chunk size that is no number".to_owned()))? {
                        Status::Partial => self.more().await?,
                        Status::Complete((length, size)) => {
                            self.start += length;
                            self.body = if size == 0 { Framing::Trailers } else { Framing::Chunk(size) };
                        }
                    }
                }
                Framing::ChunkEnd => match self.line_length() {
                    Some(0 | 1) => {
                        self.skip_line();
                        self.body = Framing::ChunkSize;
                    }
                    Some(_) => return Err(Fault::Malformed("a chunk longer than its size".to_owned())),
                    None => self.more().await?,
                },
                Framing::Trailers => match self.line_length() {
                    Some(length) => {
                        let is_last = self.buffer[self.start..self.start + length].trim_ascii().is_empty();
                        self.skip_line();
                        if is_last {
                            self.body = Framing::Whole;
                        }
                    }
                    None => self.more().await?,
                },
            }
        }
    }

    /// How many bytes stand before the next line feed.
    fn line_length(&self) -> Option<usize> {
        self.buffer[self.start..self.end].iter().position(|byte| *byte == b'\n')
    }

    fn skip_line(&mut self) {
        self.start += self.line_length().map_or(0, |length| length + 1);
    }

    fn take(&mut self, length: usize) -> &[u8] {
        let from = self.start;
        self.start += length;
        &self.buffer[from..self.start]
    }

    /// Reads more of an answer that is not whole.
    async fn more(&mut self) -> Result<(), Fault> {
        let fault = |is_unanswered: bool, what: String| {
            if is_unanswered { Fault::Unanswered(what) } else { Fault::Broken(what) }
        };
        match self.fill().await {
            Ok(0) => Err(fault(self.is_unanswered, "the server closed the connection".to_owned())),
            Ok(_) => {
                self.is_unanswered = false;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Fault::Malformed(error.to_string())),
            Err(error) => Err(fault(self.is_unanswered, error.to_string())),
        }
    }

    /// Reads what there is behind what is kept; 0 at the end of the connection.
    async fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.buffer.len() >= MAX_HEAD {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a head or a line longer than 64 KB"));
            } else {
                self.buffer.resize(self.buffer.len() * 4, 0);
            }
        }
        let Self { stream, buffer, end, .. } = self;
        let read = poll_fn(|context| {
            let mut free = ReadBuf::new(&mut buffer[*end..]);
            Pin::new(&mut **stream).poll_read(context, &mut free).map_ok(|()| free.filled().len())
        })
        .await?;
        *end += read;
        Ok(read)
    }
}
