//! Segment to frame.

use core::fmt;

use serde::Deserialize;

use super::checksum::crc32;
use super::deframe::{Deframer, Segment};
use super::frame::{Envelope, Frame, VERSION};
use crate::time::Nanos;

/// Why a segment is not a frame of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// The byte stuffing is broken or the segment too short.
    Framing,
    /// The checksum does not match.
    Checksum,
    /// The frame is whole, of a newer protocol version.
    NewerVersion {
        /// That version.
        version: u8,
        /// The frame's sequence number.
        sequence: u32,
    },
    /// The frame is whole, of a kind that this version does not know.
    UnknownKind {
        /// That kind.
        kind: u32,
        /// The frame's sequence number.
        sequence: u32,
    },
    /// The checksum matches and the content does not: a fault of the sender.
    Malformed,
    /// A whole command, as hosts send them: the line echoes what is sent.
    Echo,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing => f.write_str("bytes that are no frame"),
            Self::Checksum => f.write_str("a frame whose checksum does not match: it was damaged on the line"),
            Self::NewerVersion { version, sequence } => {
                write!(f, "frame {sequence} is of protocol version {version}; this program knows {VERSION}: update it")
            }
            Self::UnknownKind { kind, sequence } => {
                write!(f, "frame {sequence} is of kind {kind}, which this program does not know: update it")
            }
            Self::Malformed => f.write_str("a whole frame with content that makes no sense: the sender is at fault"),
            Self::Echo => f.write_str("a command of this host came back: turn the line's echo off"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// The part of an envelope that is the same in every version.
#[derive(Deserialize)]
struct Header {
    version: u8,
    sequence: u32,
    #[expect(dead_code, reason = "has to be read to get past it")]
    uptime: Nanos,
    kind: u32,
}

/// Reads the frame that a segment holds, in place: the segment's bytes are overwritten.
///
/// # Errors
/// [`DecodeError`] tells why the segment is not a frame of this version.
pub fn decode(segment: &mut [u8]) -> Result<Envelope<'_>, DecodeError> {
    let payload = open(segment)?;
    // Of whichever version the command is.
    if payload.first().is_some_and(|version| version & 0x80 != 0) {
        return Err(DecodeError::Echo);
    }
    let (header, _): (Header, _) = postcard::take_from_bytes(payload).map_err(|_| DecodeError::Malformed)?;
    let Header { version, sequence, kind, .. } = header;
    if version > VERSION {
        return Err(DecodeError::NewerVersion { version, sequence });
    }
    if kind >= Frame::KINDS {
        return Err(DecodeError::UnknownKind { kind, sequence });
    }
    match postcard::take_from_bytes(payload) {
        Ok((envelope, [])) => Ok(envelope),
        _ => Err(DecodeError::Malformed),
    }
}

/// The payload of a segment whose checksum matches.
pub(super) fn open(segment: &mut [u8]) -> Result<&[u8], DecodeError> {
    let length = unstuff(segment).ok_or(DecodeError::Framing)?;
    let decoded = segment.get(..length).ok_or(DecodeError::Framing)?;
    let (payload, checksum) = decoded.split_last_chunk::<4>().ok_or(DecodeError::Framing)?;
    if crc32(payload) != u32::from_le_bytes(*checksum) {
        return Err(DecodeError::Checksum);
    }
    Ok(payload)
}

/// Undoes COBS in place and gives the length of what is left, as the `cobs` crate does with bounds checks that panic.
fn unstuff(segment: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while let Some(&code) = segment.get(from) {
        let end = from + usize::from(code);
        // A code is never zero: that would be a delimiter.
        if code == 0 || end > segment.len() {
            return None;
        }
        from += 1;
        while from < end {
            let byte = *segment.get(from)?;
            *segment.get_mut(to)? = byte;
            (from, to) = (from + 1, to + 1);
        }
        if code != u8::MAX && from < segment.len() {
            *segment.get_mut(to)? = 0;
            to += 1;
        }
    }
    Some(to)
}

/// What came over the line.
#[derive(Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::large_enum_variant, reason = "there is no heap for a frame, and a receiver gives one at a time")]
#[non_exhaustive]
pub enum Received<'a> {
    /// A frame.
    Frame(Envelope<'a>),
    /// Text that something printed between frames: UTF-8, though a long text may be cut within a character.
    Text(&'a [u8]),
    /// Something else.
    Broken(DecodeError),
    /// So many bytes without a delimiter were discarded.
    Overlong(usize),
}

/// Bytes to frames: a [`Deframer`] with a buffer of `N` bytes, and [`decode`].
///
/// `N` bounds the longest frame that is taken; [`MAX_ENCODED`](super::MAX_ENCODED) takes all of this version.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Receiver<const N: usize>(Deframer<N>);

impl<const N: usize> Receiver<N> {
    /// A receiver that may attach in the middle of a frame.
    pub const fn new() -> Self {
        Self(Deframer::new())
    }

    /// Takes the next byte, and gives what it completes.
    pub fn push(&mut self, byte: u8) -> Option<Received<'_>> {
        Some(match self.0.push(byte)? {
            Segment::Whole(segment) => match decode(segment) {
                Ok(envelope) => Received::Frame(envelope),
                Err(error) => Received::Broken(error),
            },
            Segment::Text(text) => Received::Text(text),
            Segment::Overlong(length) => Received::Overlong(length),
        })
    }
}
