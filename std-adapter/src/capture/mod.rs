//! The raw capture: every byte of every line, with host timestamps, before anything else looks at it.
//!
//! Reports, logs and exports are made from the capture, so all of them can be rebuilt from it later. The file is
//! append-only. Each record reaches the operating system before the call that appended it returns, so killing the
//! process loses nothing that was appended; a power cut loses about a second ([`SYNC_INTERVAL`]). After a write that
//! failed (the disk is full, say) nothing more is appended: what is in the file is all that came up to then, without a hole.
//!
//! # The format, byte by byte
//!
//! ```text
//! file    = magic record*
//! magic   = 50 4D 43 41 50 0D 0A 01          "PMCAP\r\n", then the version: 1
//! record  = length payload crc
//! length  = u32, little-endian               bytes in payload: 1 ..= 65536
//! crc     = u32, little-endian               CRC-32/ISO-HDLC (the CRC of zip and Ethernet) over length and payload
//! payload = kind field*
//! ```
//!
//! The payload is [postcard](https://postcard.jamesmunns.com/wire-format.html): `varint` is an unsigned LEB128
//! number (7 bits a byte, least significant first, top bit set on all but the last byte), `str` and `bytes` are a
//! `varint` byte count and that many bytes (`str` is UTF-8), an `option` is 0, or 1 and a `varint`. `kind` is one byte:
//!
//! | kind | record | fields, in this order |
//! |---|---|---|
//! | 0 | [`Start`](CaptureRecord::Start) | `run_id: str`, `unix_ns: varint`, `tool: str` |
//! | 1 | [`Source`](CaptureRecord::Source) | `source: varint`, `identity: str`, `at_ns: varint`, `plan_hash: option` |
//! | 2 | [`Data`](CaptureRecord::Data) | `source: varint`, `at_ns: varint`, `bytes: bytes` |
//! | 3 | [`SourceEnd`](CaptureRecord::SourceEnd) | `source: varint`, `at_ns: varint`, `kind: varint` (0 eof, 1 error, 2 stopped), `reason: str` |
//! | 4 | [`End`](CaptureRecord::End) | `at_ns: varint`, `reason: varint` (0 finished, 1 interrupted, 2 timed out) |
//! | 5 | [`Faults`](CaptureRecord::Faults) | `source: varint`, `at_ns: varint`, `faults: str` |
//!
//! `at_ns` is nanoseconds of the host's monotonic clock since `Start`; `unix_ns` places `Start` on the wall clock.
//! Kinds and enum values are only ever appended; anything else changes the version.
//!
//! # Records out of place
//!
//! A writer opens its lines one after the other, from 0, and appends nothing about a line before it is opened. What else
//! stands in a file is read like this: a second `Start` names the run anew, a `Source` with another number than the next one
//! and a record about a line that was never opened are passed over, and `Data` behind a line's `SourceEnd` still counts
//! as bytes of that line.
//!
//! # What a reader does with a broken file
//!
//! * **Torn tail**: the file stops inside a record, its last record fails the CRC, or only zero bytes follow. This
//!   is what a killed recorder or a power cut leaves; it is *not* an error. See [`CaptureReader::torn_tail`].
//! * **Damage**: a record that is wrong although sound data may follow it. Reading stops there and keeps what came
//!   before. See [`CaptureReader::damaged_at`]. An incomplete last record that holds a whole sound record further
//!   in is damage too: its length was altered.
//!
//! A capture whose last record is [`End`](CaptureRecord::End) was closed properly; any other was interrupted.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::CaptureReader;
pub use writer::{CaptureWriter, SYNC_INTERVAL};

use std::borrow::Cow;
use std::path::PathBuf;

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use serde::{Deserialize, Serialize, Serializer};

/// The first eight bytes of a capture; the last of them is [`VERSION`].
pub const MAGIC: [u8; 8] = *b"PMCAP\r\n\x01";

/// The format version this library writes, and the newest that it reads.
pub const VERSION: u8 = MAGIC[7];

/// The longest payload of a record, in bytes: what a reader must be ready to hold in memory.
pub const MAX_PAYLOAD: usize = 64 * 1024;

const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// One entry of a capture. `CaptureRecord<'static>` owns its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaptureRecord<'a> {
    /// The first record: when and by what the capture was made.
    Start {
        /// The run's identifier.
        #[serde(borrow)]
        run_id: Cow<'a, str>,
        /// Wall-clock time of the start: nanoseconds since 1970-01-01 UTC. All `at_ns` count from here.
        unix_ns: u64,
        /// The program that wrote the capture, and its version.
        tool: Cow<'a, str>,
    },
    /// A line was opened.
    Source {
        /// The number by which later records name the line.
        source: u16,
        /// What the line is, as [`SourceSpec::identity`](crate::source::SourceSpec::identity) says it.
        identity: Cow<'a, str>,
        /// Nanoseconds since `Start`.
        at_ns: u64,
        /// Names the plan that was uploaded to the device before, if one was.
        plan_hash: Option<u64>,
    },
    /// Bytes came in.
    Data {
        /// The line's number.
        source: u16,
        /// When the host had read them: nanoseconds since `Start`.
        at_ns: u64,
        /// The bytes as they came.
        #[serde(borrow, serialize_with = "serialize_bytes")]
        bytes: Cow<'a, [u8]>,
    },
    /// A line ended; nothing more comes from it.
    SourceEnd {
        /// The line's number.
        source: u16,
        /// Nanoseconds since `Start`.
        at_ns: u64,
        /// How it ended.
        kind: LineEnd,
        /// Why, for people; may be empty.
        reason: Cow<'a, str>,
    },
    /// The last record of a capture that was closed properly.
    End {
        /// Nanoseconds since `Start`.
        at_ns: u64,
        /// Why recording ended.
        reason: EndReason,
    },
    /// Faults are injected into what a line brings, on purpose: its bytes are not those that the device sent.
    Faults {
        /// The line's number.
        source: u16,
        /// Nanoseconds since `Start`.
        at_ns: u64,
        /// Which faults, as [`FaultSpec`](crate::source::FaultSpec) is written.
        faults: Cow<'a, str>,
    },
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineEnd {
    /// The other side closed it, or the file was read to its end.
    Eof,
    /// Reading failed.
    Error,
    /// The recorder stopped reading.
    Stopped,
}

/// Why recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The run was over, or all lines had ended.
    Finished,
    /// The user or the system asked to stop.
    Interrupted,
    /// The time set for recording had passed.
    TimedOut,
}

/// Why a capture could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// There is something at the path already; a capture is never overwritten.
    #[error("{}: already exists; a capture is never overwritten: choose another name or move it away", .0.display())]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The capture.
        path: PathBuf,
        /// What went wrong.
        cause: std::io::Error,
    },
    /// An earlier write failed: appending would hide the gap.
    #[error("{}: an earlier write failed, and nothing more is appended", .0.display())]
    Poisoned(PathBuf),
    /// The file is no longer at its path.
    #[error("{}: was deleted, moved or replaced while it was being written", .0.display())]
    Gone(PathBuf),
    /// A record is longer than the format allows.
    #[error("a capture record of {bytes} bytes does not fit: at most {MAX_PAYLOAD} are allowed")]
    TooLong {
        /// The payload's length.
        bytes: usize,
    },
    /// The path names a directory.
    #[error("{}: is a directory, not a capture file", .0.display())]
    Directory(PathBuf),
    /// The file has no bytes.
    #[error("{}: not a capture: the file is empty", .0.display())]
    Empty(PathBuf),
    /// The file ends within the first eight bytes.
    #[error("{}: not a capture: only {bytes} bytes", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// The file starts with something else.
    #[error("{}: not a capture: it does not start with \"PMCAP\"", .0.display())]
    NotACapture(PathBuf),
    /// The file's format version is not known here.
    #[error("{}: capture format {version}, but this phasemeter reads up to {VERSION}: use a newer one", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
    /// A sound record that this version does not know.
    #[error("{}: unknown record at byte {offset}: written by a newer phasemeter? use that one", path.display())]
    UnknownRecord {
        /// The file.
        path: PathBuf,
        /// Where the record starts.
        offset: u64,
    },
}

impl CaptureRecord<'_> {
    /// When it was made: nanoseconds since `Start`.
    pub fn at_ns(&self) -> u64 {
        match *self {
            CaptureRecord::Start { .. } => 0,
            CaptureRecord::Source { at_ns, .. }
            | CaptureRecord::Data { at_ns, .. }
            | CaptureRecord::SourceEnd { at_ns, .. }
            | CaptureRecord::End { at_ns, .. }
            | CaptureRecord::Faults { at_ns, .. } => at_ns,
        }
    }

    /// Appends the record to `out` as it stands in a file: length, payload, CRC.
    ///
    /// # Errors
    ///
    /// [`CaptureError::TooLong`] if the payload exceeds [`MAX_PAYLOAD`]; `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CaptureError> {
        // Writing to memory cannot fail otherwise: no field's serialiser refuses a value.
        let payload = postcard::to_stdvec(self).map_err(|_| CaptureError::TooLong { bytes: usize::MAX })?;
        let length = u32::try_from(payload.len())
            .ok()
            .filter(|_| payload.len() <= MAX_PAYLOAD)
            .ok_or(CaptureError::TooLong { bytes: payload.len() })?
            .to_le_bytes();
        out.extend_from_slice(&length);
        out.extend_from_slice(&payload);
        out.extend_from_slice(&checksum(length, &payload).to_le_bytes());
        Ok(())
    }

    /// The same record, owning its contents.
    pub fn into_owned(self) -> CaptureRecord<'static> {
        fn own(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        match self {
            CaptureRecord::Start { run_id, unix_ns, tool } => {
                CaptureRecord::Start { run_id: own(run_id), unix_ns, tool: own(tool) }
            }
            CaptureRecord::Source { source, identity, at_ns, plan_hash } => {
                CaptureRecord::Source { source, identity: own(identity), at_ns, plan_hash }
            }
            CaptureRecord::Data { source, at_ns, bytes } => {
                CaptureRecord::Data { source, at_ns, bytes: Cow::Owned(bytes.into_owned()) }
            }
            CaptureRecord::SourceEnd { source, at_ns, kind, reason } => {
                CaptureRecord::SourceEnd { source, at_ns, kind, reason: own(reason) }
            }
            CaptureRecord::End { at_ns, reason } => CaptureRecord::End { at_ns, reason },
            CaptureRecord::Faults { source, at_ns, faults } => {
                CaptureRecord::Faults { source, at_ns, faults: own(faults) }
            }
        }
    }
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&length);
    digest.update(payload);
    digest.finalize()
}

/// serde writes `[u8]` element by element; the bytes are the same, in one copy.
#[expect(clippy::ptr_arg, reason = "serde passes a reference to the field's own type")]
fn serialize_bytes<S: Serializer>(bytes: &Cow<'_, [u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
