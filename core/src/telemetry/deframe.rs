//! Bytes to segments between delimiters.

use core::mem;

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
    /// More came than fits: so many bytes before those in the buffer. Nothing counts before the next delimiter.
    Discarding(usize),
}

/// Splits a byte stream at its delimiters, with a buffer of `N` bytes.
///
/// After more bytes than fit, it discards up to the next delimiter: the tail of an over-long frame is never given as
/// a segment. It never panics and never allocates; each byte costs a few instructions, however the stream is cut.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Deframer<const N: usize> {
    buffer: [u8; N],
    length: usize,
    state: State,
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
        Self { buffer: [0; N], length: 0, state: State::Collecting }
    }

    /// Takes the next bytes of the stream, up to the one that completes a segment, and gives that segment; `bytes` is
    /// left with those behind it. Empty segments are not given.
    ///
    /// `None` says that all of `bytes` has been taken and what it began is not complete yet. Call it until then, or
    /// what is left in `bytes` is lost.
    pub fn take(&mut self, bytes: &mut &[u8]) -> Option<Segment<'_>> {
        let is_delimited = self.fill(bytes)?;
        let segment = self.buffer.get_mut(..mem::take(&mut self.length))?;
        if !is_delimited {
            self.state = State::LongText;
            return Some(Segment::Text(segment));
        }
        Some(match mem::replace(&mut self.state, State::Collecting) {
            State::Discarding(before) => Segment::Overlong(before.saturating_add(segment.len())),
            State::LongText if is_text(segment) => Segment::Text(segment),
            State::LongText => Segment::Overlong(segment.len()),
            State::Collecting if is_text(segment) && str::from_utf8(segment).is_ok() => Segment::Text(segment),
            State::Collecting => Segment::Whole(segment),
        })
    }

    /// Fills the buffer until a segment is complete, and tells whether a delimiter completed it; else it is text, and
    /// there is no room for more. `None` if the bytes end before.
    fn fill(&mut self, bytes: &mut &[u8]) -> Option<bool> {
        while let Some(&next) = bytes.first() {
            if next == 0 {
                bytes.split_off_first();
                if self.length > 0 {
                    return Some(true);
                }
                self.state = State::Collecting;
                continue;
            }
            if self.length == N {
                let before = if let State::Discarding(before) = self.state { before } else { 0 };
                self.state = State::Discarding(before.saturating_add(N));
                self.length = 0;
            }
            self.length += copy_undelimited(self.buffer.get_mut(self.length..)?, bytes);
            if self.length == N && !matches!(self.state, State::Discarding(_)) && is_text(&self.buffer) {
                return Some(false);
            }
        }
        None
    }
}

/// Moves bytes up to the first delimiter, as many as fit, and tells how many.
fn copy_undelimited(free: &mut [u8], bytes: &mut &[u8]) -> usize {
    let length = undelimited(bytes.get(..free.len()).unwrap_or(bytes));
    let copied = bytes.split_off(..length).unwrap_or_default();
    free.iter_mut().zip(copied).for_each(|(to, from)| *to = *from);
    length
}

/// How many bytes come before the first delimiter. They are counted by blocks as long as there is none: a host compares
/// all bytes of a block at once.
fn undelimited(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let is_clear = |block: &&[u8; 16]| block.iter().fold(0, |any, byte| any | u8::from(*byte == 0)) == 0;
    let clear = 16 * blocks.iter().take_while(is_clear).count();
    clear + bytes.iter().skip(clear).take_while(|byte| **byte != 0).count()
}

/// Whether bytes occur in text: printable ASCII, tab, line feed, carriage return, escape, or a part of UTF-8.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | 0x20..=0x7e | 0x80..))
}
