//! What comes back: an HTTP/1.1 response (RFC 9112) read byte by byte in fixed memory, however it is cut.
//!
//! Nothing of the body is kept. Whatever a server sends, reading ends: the head is bounded, and a body ends where its
//! framing says or with the connection.

use phasemeter_core::outcome::{Failure, Outcome};

use crate::sse::{Event, SseParser};

/// The longest line that is looked at. Longer fields are passed over, unless they decide how the body is framed.
const MAX_LINE: usize = 128;
/// The longest head, with interim responses and trailers.
const MAX_HEAD: u32 = 16 * 1024;

/// How every response starts: what does not is refused at once.
const START: &[u8] = b"HTTP/1.";

/// What the request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any body.
    Plain,
    /// A stream of chat completion chunks.
    Chat,
}

/// Why a response is of no use. The connection is not either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HttpError {
    /// It is no HTTP/1 response, or not the kind of body that was asked for.
    Malformed,
    /// The connection ended before the response did.
    Truncated,
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Malformed => Self::Malformed,
            HttpError::Truncated => Self::Broken,
        }
    }
}

/// What [`Response::feed`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All bytes were taken, and more are expected.
    More,
    /// A token of a chat came.
    Token,
    /// A chat's `[DONE]` came: the answer is whole, though its framing is not. Feed the rest to have the connection back.
    Answered,
    /// The response has ended.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Status,
    Fields,
    /// So many bytes of the body are left.
    Length(u64),
    ChunkSize,
    /// So many bytes of the chunk are left.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    UntilClosed,
    Done,
}

/// A response, as far as it has come.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Response {
    expect: Expect,
    state: State,
    line: [u8; MAX_LINE],
    /// Longer than `line` if the line was.
    line_length: usize,
    head: u32,
    status: u16,
    keep_alive: bool,
    /// Outweighs whatever speaks for keeping the connection.
    says_close: bool,
    is_chunked: bool,
    is_stream: bool,
    length: Option<u64>,
    events: SseParser,
    answered: bool,
}

impl Response {
    /// A response of which nothing has come.
    pub const fn new(expect: Expect) -> Self {
        Self {
            expect,
            state: State::Status,
            line: [0; MAX_LINE],
            line_length: 0,
            head: 0,
            status: 0,
            keep_alive: false,
            says_close: false,
            is_chunked: false,
            is_stream: false,
            length: None,
            events: SseParser::new(),
            answered: false,
        }
    }

    /// Whether the status is one of success.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// What the status says of the request, once the response has ended.
    pub const fn outcome(&self) -> Outcome {
        if self.is_success() { Outcome::Success } else { Outcome::Failed(Failure::Status(self.status)) }
    }

    /// Whether nothing more belongs to the response.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the connection can take another request once the response has ended.
    pub const fn keeps_alive(&self) -> bool {
        self.keep_alive && !self.says_close
    }

    /// Takes bytes up to the next thing worth telling; gives how many it took, and what that is.
    ///
    /// # Errors
    /// [`HttpError::Malformed`], or [`HttpError::Truncated`] if a chat's body ends without a `[DONE]`.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Progress), HttpError> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if self.state == State::Done {
                break;
            }
            let (taken, progress) = match self.state {
                State::Length(left) => self.body(rest, left, State::Length)?,
                State::Chunk(left) => self.body(rest, left, State::Chunk)?,
                State::UntilClosed => self.body(rest, u64::MAX, |_| State::UntilClosed)?,
                _ => {
                    rest.first().map_or(Ok(()), |byte| self.head(*byte))?;
                    (1, Progress::More)
                }
            };
            used += taken;
            if progress != Progress::More {
                return Ok((used, progress));
            }
        }
        Ok((used, if self.state == State::Done { self.done()? } else { Progress::More }))
    }

    /// The server has closed the connection.
    ///
    /// # Errors
    /// [`HttpError::Truncated`] unless that is how this response ends.
    pub fn end(&mut self) -> Result<Progress, HttpError> {
        if self.state != State::UntilClosed {
            return Err(HttpError::Truncated);
        }
        self.keep_alive = false;
        self.state = State::Done;
        self.done()
    }

    fn done(&self) -> Result<Progress, HttpError> {
        let is_whole = self.answered || self.expect == Expect::Plain || !self.is_success();
        if is_whole { Ok(Progress::Done) } else { Err(HttpError::Truncated) }
    }

    /// Takes bytes of the body, of which `left` are left.
    fn body(&mut self, bytes: &[u8], left: u64, state: fn(u64) -> State) -> Result<(usize, Progress), HttpError> {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let body = bytes.get(..here).unwrap_or_default();
        let (taken, progress) = if self.expect == Expect::Chat && self.is_success() && !self.answered {
            self.events(body)?
        } else {
            (here, Progress::More)
        };
        self.state = match left.saturating_sub(taken as u64) {
            0 if matches!(self.state, State::Chunk(_)) => State::ChunkEnd,
            0 => State::Done,
            left => state(left),
        };
        Ok((taken, progress))
    }

    fn events(&mut self, body: &[u8]) -> Result<(usize, Progress), HttpError> {
        for (byte, taken) in body.iter().zip(1..) {
            match self.events.push(*byte).map_err(|_| HttpError::Malformed)? {
                Some(Event::Token) => return Ok((taken, Progress::Token)),
                Some(Event::Done) => {
                    self.answered = true;
                    return Ok((taken, Progress::Answered));
                }
                None => {}
            }
        }
        Ok((body.len(), Progress::More))
    }

    /// Takes a byte outside of the body.
    fn head(&mut self, byte: u8) -> Result<(), HttpError> {
        self.head = self.head.saturating_add(1);
        // Each chunk has a line of its own: what they take together is not bounded.
        if self.state == State::ChunkSize && self.line_length == 0 {
            self.head = 0;
        }
        if self.head > MAX_HEAD {
            return Err(HttpError::Malformed);
        }
        if self.state == State::Status && START.get(self.line_length).is_some_and(|start| *start != byte) {
            return Err(HttpError::Malformed);
        }
        if byte != b'\n' {
            if let Some(place) = self.line.get_mut(self.line_length) {
                *place = byte;
            }
            self.line_length = self.line_length.saturating_add(1);
            return Ok(());
        }
        let line = self.line;
        let length = core::mem::take(&mut self.line_length);
        let whole = line.get(..length).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = || line.get(..length.min(MAX_LINE)).unwrap_or_default();
        self.state = match self.state {
            State::Status => self.status_line(start())?,
            State::Fields => match whole {
                Some(b"") => self.end_of_head()?,
                Some(field) => self.field(field)?,
                None => long_field(start())?,
            },
            // Of a long line, the size is known if it ends before an extension.
            State::ChunkSize if whole.is_none() && !start().contains(&b';') => return Err(HttpError::Malformed),
            State::ChunkSize => match chunk_size(start())? {
                0 => State::Trailers,
                size => State::Chunk(size),
            },
            State::ChunkEnd if whole == Some(b"") => State::ChunkSize,
            State::Trailers if whole == Some(b"") => State::Done,
            State::Trailers => State::Trailers,
            _ => return Err(HttpError::Malformed),
        };
        Ok(())
    }

    fn status_line(&mut self, line: &[u8]) -> Result<State, HttpError> {
        let rest = line.strip_prefix(START).ok_or(HttpError::Malformed)?;
        let [minor @ b'0'..=b'9', b' ', digits @ ..] = rest else { return Err(HttpError::Malformed) };
        let (digits, rest) = digits.split_at_checked(3).ok_or(HttpError::Malformed)?;
        if !matches!(rest, [] | [b' ' | b'\r', ..]) {
            return Err(HttpError::Malformed);
        }
        self.status = decimal(digits).and_then(|status| u16::try_from(status).ok()).ok_or(HttpError::Malformed)?;
        if !(100..=599).contains(&self.status) {
            return Err(HttpError::Malformed);
        }
        self.keep_alive = *minor > b'0';
        (self.says_close, self.is_chunked, self.is_stream, self.length) = (false, false, false, None);
        Ok(State::Fields)
    }

    fn field(&mut self, line: &[u8]) -> Result<State, HttpError> {
        if matches!(line, [b' ' | b'\t', ..]) {
            // A folded value: obsolete, and of no field of interest.
            return Ok(State::Fields);
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HttpError::Malformed)?;
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
            // What else reads this response may take it for another field, or for none.
            return Err(HttpError::Malformed);
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(HttpError::Malformed)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(HttpError::Malformed);
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpError::Malformed);
            }
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.says_close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case(b"content-type") {
            const STREAM: &[u8] = b"text/event-stream";
            self.is_stream = value.get(..STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(STREAM));
        }
        Ok(State::Fields)
    }

    /// RFC 9112, section 6.3.
    fn end_of_head(&mut self) -> Result<State, HttpError> {
        let state = match (self.status, self.is_chunked, self.length) {
            // An interim response; the real one follows. Nobody asked for another protocol.
            (100 | 102..=199, ..) => return Ok(State::Status),
            (101, ..) => return Err(HttpError::Malformed),
            (204 | 304, ..) | (_, false, Some(0)) => State::Done,
            (_, true, _) => State::ChunkSize,
            (_, false, Some(length)) => State::Length(length),
            (_, false, None) => State::UntilClosed,
        };
        if self.expect == Expect::Chat && self.is_success() && !self.is_stream {
            return Err(HttpError::Malformed);
        }
        Ok(state)
    }
}

/// A field that is too long to be looked at may be passed over, if it is not about the body's framing.
fn long_field(start: &[u8]) -> Result<State, HttpError> {
    let is = |name: &[u8]| start.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if is(b"content-length") || is(b"transfer-encoding") { Err(HttpError::Malformed) } else { Ok(State::Fields) }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The size of a chunk; extensions are passed over.
fn chunk_size(line: &[u8]) -> Result<u64, HttpError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if digits.is_empty() {
        return Err(HttpError::Malformed);
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(u64::from(digit))
    });
    number.ok_or(HttpError::Malformed)
}

#[cfg(test)]
mod tests;
