//! Segment to frame.

use core::fmt;

use serde::Deserialize;

use super::checksum::crc32;
use super::deframe::{Deframer, Segment};
use super::frame::{Envelope, Frame, VERSION};
use crate::time::Instant;

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
        /// The boot that the frame belongs to.
        boot: u32,
        /// The frame's sequence number.
        sequence: u32,
    },
    /// The frame is whole, of a kind that this version does not know.
    UnknownKind {
        /// That kind.
        kind: u32,
        /// The boot that the frame belongs to.
        boot: u32,
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
            Self::NewerVersion { version, sequence, .. } => {
                write!(f, "frame {sequence} is of protocol version {version}; this program knows {VERSION}: update it")
            }
            Self::UnknownKind { kind, sequence, .. } => {
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
    boot: u32,
    sequence: u32,
    #[expect(dead_code, reason = "has to be read to get past it")]
    uptime: Instant,
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
    let Header { version, boot, sequence, kind, .. } = header;
    if version > VERSION {
        return Err(DecodeError::NewerVersion { version, boot, sequence });
    }
    if kind >= Frame::KINDS {
        return Err(DecodeError::UnknownKind { kind, boot, sequence });
    }
    match postcard::take_from_bytes(payload) {
        Ok((envelope, [])) => Ok(envelope),
        _ => Err(DecodeError::Malformed),
    }
}

/// The payload of a segment whose checksum matches.
pub(super) fn open(segment: &mut [u8]) -> Result<&[u8], DecodeError> {
    let (payload, checksum) = unstuff(segment).and_then(<[u8]>::split_last_chunk::<4>).ok_or(DecodeError::Framing)?;
    if crc32(payload) != u32::from_le_bytes(*checksum) {
        return Err(DecodeError::Checksum);
    }
    Ok(payload)
}

/// Undoes COBS in place, as the `cobs` crate does with bounds checks that panic.
///
/// Without the first code, each code stands where its zero belongs, and nothing moves. No zero belongs to a code after
/// 255, of which frames of this version are too short: from there on everything moves to close the gap.
pub(super) fn unstuff(segment: &mut [u8]) -> Option<&[u8]> {
    let (mut code, mut from, mut to) = (*segment.first()?, 1, 1);
    loop {
        // A code is never zero: that would be a delimiter.
        let end = from + usize::from(code.checked_sub(1)?);
        if to == from {
            to = end;
        } else {
            for from in from..end {
                *segment.get_mut(to)? = *segment.get(from)?;
                to += 1;
            }
        }
        let Some(&next) = segment.get(end) else { return segment.get(1..to) };
        if code != u8::MAX {
            *segment.get_mut(to)? = 0;
            to += 1;
        }
        (code, from) = (next, end + 1);
    }
}

/// What came over the line.
#[derive(Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "most of what comes is frames, and there is no heap for them")]
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

    /// Takes the next bytes from the line, up to the one that completes something, and gives that; `bytes` is left with
    /// those behind it.
    ///
    /// `None` says that all of `bytes` has been taken and what it began is not complete yet. Call it until then, or
    /// what is left in `bytes` is lost.
    ///
    /// ```
    /// use phasemeter_core::telemetry::{MAX_ENCODED, Received, Receiver};
    ///
    /// let mut receiver = Receiver::<MAX_ENCODED>::new();
    /// let mut text = Vec::new();
    /// for mut bytes in [&b"boot"[..], b"ing\0rea", b"dy\0"] {
    ///     while let Some(received) = receiver.take(&mut bytes) {
    ///         if let Received::Text(piece) = received {
    ///             text.push(piece.to_vec());
    ///         }
    ///     }
    /// }
    /// assert_eq!(text, [&b"booting"[..], b"ready"]);
    /// ```
    pub fn take(&mut self, bytes: &mut &[u8]) -> Option<Received<'_>> {
        Some(match self.0.take(bytes)? {
            Segment::Whole(segment) => match decode(segment) {
                Ok(envelope) => Received::Frame(envelope),
                Err(error) => Received::Broken(error),
            },
            Segment::Text(text) => Received::Text(text),
            Segment::Overlong(length) => Received::Overlong(length),
        })
    }
}
