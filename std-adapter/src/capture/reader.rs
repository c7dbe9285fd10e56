use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{CaptureError, CaptureRecord, MAGIC, MAX_PAYLOAD, checksum};

/// Records that may be looked for inside an incomplete last record: bounds the work on hostile files.
const MAX_CANDIDATES: usize = 1024;

/// Reads a capture record by record, in memory bounded by one record.
///
/// The iterator ends at the last sound record. Then [`torn_tail`](Self::torn_tail) and
/// [`damaged_at`](Self::damaged_at) say whether that was the end of the file. An item is an error only if the file
/// could not be read or holds a sound record of an unknown kind; nothing follows an error.
#[derive(Debug)]
pub struct CaptureReader<R = BufReader<File>> {
    input: R,
    path: PathBuf,
    /// The frame being read: length, payload, CRC.
    frame: Vec<u8>,
    /// Where the next record starts.
    offset: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The end of the file, at the end of a record.
    Ended,
    Torn,
    Damaged,
    Failed,
}

impl CaptureReader {
    /// Opens a capture and checks its first eight bytes.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] if the path cannot be read, is a directory, is empty, is no capture or is of a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let failed = |cause| CaptureError::Io { path: path.to_owned(), cause };
        if std::fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(CaptureError::Directory(path.to_owned()));
        }
        Self::new(BufReader::new(File::open(path).map_err(failed)?), path)
    }
}

impl<R: Read> CaptureReader<R> {
    /// Reads a capture from `input`; `path` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`open`](CaptureReader::open).
    pub fn new(input: R, path: impl Into<PathBuf>) -> Result<Self, CaptureError> {
        let mut reader = Self { input, path: path.into(), frame: Vec::new(), offset: 0, state: State::Reading };
        let bytes = match reader.fill(MAGIC.len()) {
            Ok(_) => reader.frame.len(),
            Err(cause) => return Err(CaptureError::Io { path: reader.path, cause }),
        };
        let path = reader.path.clone();
        match reader.frame.as_slice() {
            [] => Err(CaptureError::Empty(path)),
            magic if *magic == MAGIC => {
                reader.offset = bytes as u64;
                Ok(reader)
            }
            [name @ .., version] if *name == MAGIC[..MAGIC.len() - 1] => {
                Err(CaptureError::NewerVersion { path, version: *version })
            }
            part if MAGIC.starts_with(part) => Err(CaptureError::TooShort { path, bytes }),
            _ => Err(CaptureError::NotACapture(path)),
        }
    }

    /// The offset at which a torn tail starts, once the iterator has ended: a killed recorder or a power cut leaves
    /// one, and it is not an error. `None` if the file ends with a whole record.
    pub fn torn_tail(&self) -> Option<u64> {
        (self.state == State::Torn).then_some(self.offset)
    }

    /// The offset of a damaged record, once the iterator has ended there.
    pub fn damaged_at(&self) -> Option<u64> {
        (self.state == State::Damaged).then_some(self.offset)
    }

    /// Bytes read so far that belong to whole, sound records (the first eight bytes included).
    pub fn sound_bytes(&self) -> u64 {
        self.offset
    }

    /// Extends `self.frame` to `len` bytes, or to what the input still has. Returns whether it is full.
    fn fill(&mut self, len: usize) -> io::Result<bool> {
        let missing = len.saturating_sub(self.frame.len()) as u64;
        let got = (&mut self.input).take(missing).read_to_end(&mut self.frame)?;
        Ok(got as u64 == missing)
    }

    /// Reads the next record's frame into `self.frame`; `Err` is how reading ends.
    fn read_frame(&mut self) -> io::Result<Result<(), State>> {
        self.frame.clear();
        if !self.fill(4)? {
            return Ok(Err(if self.frame.is_empty() { State::Ended } else { State::Torn }));
        }
        let length = self.frame.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        if length == 0 {
            // A power cut can leave a file longer than what was written to it, filled up with zeros.
            return Ok(Err(if self.rest_is_zero()? { State::Torn } else { State::Damaged }));
        }
        if length > MAX_PAYLOAD {
            return Ok(Err(State::Damaged));
        }
        if !self.fill(4 + length + 4)? {
            return Ok(Err(if holds_record(&self.frame[1..]) { State::Damaged } else { State::Torn }));
        }
        if sound_payload(&self.frame).is_some() {
            return Ok(Ok(()));
        }
        let more = (&mut self.input).take(1).read_to_end(&mut Vec::new())? > 0;
        Ok(Err(if more || holds_record(&self.frame[1..]) { State::Damaged } else { State::Torn }))
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        loop {
            self.frame.clear();
            self.fill(4096)?;
            if self.frame.is_empty() {
                return Ok(true);
            }
            if self.frame.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }
}

impl<R: Read> Iterator for CaptureReader<R> {
    type Item = Result<CaptureRecord<'static>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state != State::Reading {
            return None;
        }
        match self.read_frame() {
            Err(cause) => {
                self.state = State::Failed;
                Some(Err(CaptureError::Io { path: self.path.clone(), cause }))
            }
            Ok(Err(end)) => {
                self.state = end;
                None
            }
            Ok(Ok(())) => {
                let payload = sound_payload(&self.frame)?;
                if let Ok((record, [])) = postcard::take_from_bytes::<CaptureRecord<'_>>(payload) {
                    self.offset += self.frame.len() as u64;
                    Some(Ok(record.into_owned()))
                } else {
                    self.state = State::Failed;
                    Some(Err(CaptureError::UnknownRecord { path: self.path.clone(), offset: self.offset }))
                }
            }
        }
    }
}

/// Length, payload and CRC of the record at the start of `bytes`, if it is whole.
fn split_frame(bytes: &[u8]) -> Option<([u8; 4], &[u8], u32)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let payload_len = u32::from_le_bytes(*length) as usize;
    if payload_len == 0 || payload_len > MAX_PAYLOAD {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(payload_len)?;
    Some((*length, payload, u32::from_le_bytes(*rest.first_chunk()?)))
}

/// The payload of the record at the start of `bytes`, if it is whole and its CRC agrees.
fn sound_payload(bytes: &[u8]) -> Option<&[u8]> {
    split_frame(bytes)
        .filter(|(length, payload, crc)| checksum(*length, payload) == *crc)
        .map(|(_, payload, _)| payload)
}

/// Whether a whole record stands anywhere in an incomplete one: then its length was altered, and it is not torn.
fn holds_record(tail: &[u8]) -> bool {
    (0..tail.len())
        .map(|start| &tail[start..])
        .filter(|bytes| split_frame(bytes).is_some())
        .take(MAX_CANDIDATES)
        .any(|bytes| sound_payload(bytes).is_some())
}
