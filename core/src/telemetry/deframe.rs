//! Bytes to segments between delimiters.

/// What the line held up to a delimiter, or up to the end of the receiver's buffer.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Segment<'a> {
    /// The whole of what stood between two delimiters; it may be a frame.
    Whole(&'a mut [u8]),
    /// Printable text: all of it, or as much as fits. More of the same may follow.
    Text(&'a [u8]),
    /// So many bytes without a delimiter, more than fit, were discarded.
    Overlong(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Since the last delimiter everything is in the buffer.
    Collecting,
    /// More came than fits, all of it text so far: passed on piece by piece, never as a frame.
    LongText,
    /// More came than fits, so many bytes: nothing counts before the next delimiter.
    Discarding(usize),
}

/// Splits a byte stream at its delimiters, with a buffer of `N` bytes.
///
/// After more bytes than fit, it discards up to the next delimiter: the tail of an over-long frame is never given as
/// a segment. It never panics and never allocates; each byte costs a few instructions.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Deframer<const N: usize> {
    buffer: [u8; N],
    length: usize,
    /// Since the last delimiter something came that is not text.
    binary: bool,
    state: State,
    /// The segment of the last push has been given: the buffer is free again.
    given: bool,
}

impl<const N: usize> Default for Deframer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deframer<N> {
    /// A deframer that takes what comes first for the beginning of a segment.
    pub const fn new() -> Self {
        const { assert!(N > 0, "a deframer needs a buffer") };
        Self { buffer: [0; N], length: 0, binary: false, state: State::Collecting, given: false }
    }

    /// Takes the next byte of the stream, and gives a segment if it completes one. Empty segments are not given.
    pub fn push(&mut self, byte: u8) -> Option<Segment<'_>> {
        if self.given {
            self.given = false;
            self.length = 0;
        }
        if byte == 0 {
            return self.delimiter();
        }
        self.binary |= !is_text(byte);
        if self.state == State::LongText && self.binary {
            self.state = State::Discarding(self.length);
        }
        if let State::Discarding(length) = &mut self.state {
            *length = length.saturating_add(1);
            return None;
        }
        let Some(free) = self.buffer.get_mut(self.length) else {
            self.state = State::Discarding(self.length.saturating_add(1));
            return None;
        };
        *free = byte;
        self.length += 1;
        if !self.binary && self.length == N {
            self.state = State::LongText;
            self.given = true;
            return Some(Segment::Text(&self.buffer));
        }
        None
    }

    fn delimiter(&mut self) -> Option<Segment<'_>> {
        let (state, binary) = (self.state, self.binary);
        self.state = State::Collecting;
        self.binary = false;
        self.given = true;
        let segment = self.buffer.get_mut(..self.length)?;
        match state {
            State::Discarding(length) => Some(Segment::Overlong(length)),
            State::Collecting | State::LongText if segment.is_empty() => None,
            State::LongText => Some(Segment::Text(segment)),
            State::Collecting if !binary && core::str::from_utf8(segment).is_ok() => Some(Segment::Text(segment)),
            State::Collecting => Some(Segment::Whole(segment)),
        }
    }
}

/// Whether a byte occurs in text: printable ASCII, tab, line feed, carriage return, escape, or a part of UTF-8.
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | 0x20..=0x7e | 0x80..)
}
