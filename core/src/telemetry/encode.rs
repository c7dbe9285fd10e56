//! Frame to bytes.

use core::fmt;

use serde::Serialize;

use super::answer::Answer;
use super::checksum::crc32;
use super::frame::{
    Buckets, Envelope, FailureDetail, FailureReport, Finished, Frame, Hello, MAX_ENCODED, MetricTable, MetricTotals,
    PhasePlanned, PhaseReport,
};
use crate::outcome::Failures;
use crate::phase::PhaseStats;
use crate::plan::PhasePlan;
use crate::time::Instant;
use crate::wire::{self, Message, Overlong, Writer};

/// The frame does not fit in [`MAX_ENCODED`] bytes, or not in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct EncodeError;

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the frame is longer than the buffer, or than a frame may be")
    }
}

impl core::error::Error for EncodeError {}

/// Writes a frame with both its delimiters into `buffer`, and tells its length. A buffer of [`MAX_ENCODED`] bytes
/// suffices for every frame.
///
/// Payload, checksum and byte stuffing are made in place, without a second buffer.
///
/// # Errors
/// [`EncodeError`] if the frame does not fit.
pub fn encode(envelope: &Envelope<'_>, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    let Envelope { version, boot, sequence, uptime, ref frame } = *envelope;
    let head = (version, boot, sequence, uptime);
    let outgoing = match frame {
        Frame::Hello(hello) => Outgoing::Hello(hello),
        Frame::Metrics(table) => Outgoing::Metrics(table),
        Frame::Phase(PhaseReport { stats, samples, skipped }) => {
            Outgoing::Phase { stats, samples: *samples, skipped: *skipped }
        }
        Frame::Failures(FailureReport { phase, failures }) => Outgoing::Failures { phase: *phase, failures },
        Frame::Buckets(buckets) => Outgoing::Buckets(buckets),
        Frame::Totals(totals) => Outgoing::Totals(totals),
        Frame::Finished(finished) => Outgoing::Finished(finished),
        Frame::Answer(answer) => Outgoing::Answer(answer),
        Frame::PhasePlanned(PhasePlanned { index, phase }) => Outgoing::PhasePlanned { index: *index, phase },
        Frame::FailureDetail(detail) => {
            return seal(&Enveloped { head, kind: FailureDetail::KIND, fields: detail }, buffer);
        }
    };
    seal(&Enveloped { head, kind: outgoing.kind(), fields: &outgoing }, buffer)
}

/// A frame as it is sent, kind by kind as [`Frame`] has them: what it tells of stays where it is.
///
/// Without [`FailureDetail`], which only some firmwares send: the others need not have the code for it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Outgoing<'f> {
    Hello(&'f Hello<'f>),
    Metrics(&'f MetricTable<'f>),
    Phase { stats: &'f PhaseStats, samples: u64, skipped: u32 },
    Failures { phase: u16, failures: &'f Failures },
    Buckets(&'f Buckets<'f>),
    Totals(&'f MetricTotals),
    Finished(&'f Finished),
    Answer(&'f Answer),
    PhasePlanned { index: u16, phase: &'f PhasePlan },
}

impl Outgoing<'_> {
    /// The number on the wire, which is the variant's place in [`Frame`].
    pub(super) const fn kind(&self) -> u32 {
        match self {
            Self::Hello(_) => 0,
            Self::Metrics(_) => 1,
            Self::Phase { .. } => 2,
            Self::Failures { .. } => 3,
            Self::Buckets(_) => 4,
            Self::Totals(_) => 5,
            Self::Finished(_) => 6,
            Self::Answer(_) => 7,
            Self::PhasePlanned { .. } => 8,
        }
    }
}

/// A frame in its [`Envelope`].
pub(super) struct Enveloped<'f> {
    /// Version, boot, sequence and uptime.
    pub(super) head: (u8, u32, u32, Instant),
    pub(super) kind: u32,
    pub(super) fields: &'f dyn Message,
}

impl Message for Enveloped<'_> {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Overlong> {
        (self.head, self.kind).serialize(&mut *writer)?;
        self.fields.write(writer)
    }
}

/// Writes any message as [`encode`] does a frame.
pub(super) fn seal(message: &dyn Message, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    let limit = buffer.len().min(MAX_ENCODED);
    let Some([start, code, body @ .., _]) = buffer.get_mut(..limit) else { return Err(EncodeError) };
    let length = wire::write(message, body).map_err(|_| EncodeError)?;
    *start = 0;
    let end = close(code, body, length).ok_or(EncodeError)? + 2;
    *buffer.get_mut(end).ok_or(EncodeError)? = 0;
    Ok(end + 1)
}

/// Appends the checksum to a payload of `length` bytes and stuffs both; tells their length if there is room.
fn close(code: &mut u8, body: &mut [u8], length: usize) -> Option<usize> {
    let (payload, rest) = body.split_at_mut_checked(length)?;
    *rest.first_chunk_mut()? = crc32(payload).to_le_bytes();
    let sealed = length + 4;
    stuff(code, body.get_mut(..sealed)?);
    Some(sealed)
}

/// COBS in place: each zero becomes the distance to the next one, and `code` the distance to the first.
fn stuff(code: &mut u8, body: &mut [u8]) {
    const { assert!(MAX_ENCODED - 3 < 255, "a longer body takes more than one byte of overhead") };
    let (mut zero, mut distance) = (code, 1);
    for byte in body {
        if *byte == 0 {
            *zero = distance;
            (zero, distance) = (byte, 1);
        } else {
            distance += 1;
        }
    }
    *zero = distance;
}
