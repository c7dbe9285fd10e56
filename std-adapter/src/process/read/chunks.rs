//! A stream cut into chunks of whole lines.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// Chunks are this long, but for a longer line. It is the same for any number of threads, and so are the results.
const CHUNK: usize = 256 << 10;
/// Longer lines are rejected without being kept.
pub(super) const MAX_LINE: usize = 16 << 20;
/// How every gzip file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What some editors put at the start of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole lines of the input.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Counts chunks from 0.
    pub(super) number: u64,
    /// Lines, each with its end but for the last one of the input.
    pub(super) bytes: Vec<u8>,
    /// Another line follows, which is too long and is not here.
    pub(super) overlong: bool,
}

/// Reads plain text or gzip, told apart by the first bytes.
pub(super) struct Chunks<'a> {
    input: Box<dyn BufRead + Send + 'a>,
    /// Read, but behind the last whole line that was handed out.
    rest: Vec<u8>,
    next: u64,
    /// Within a line that is too long.
    skipping: bool,
    ended: bool,
    /// Where gzip breaks off, all before counts.
    is_gzip: bool,
    broken: Option<io::Error>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(input: impl Read + Send + 'a) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(1 << 17, input);
        // A pipe may give less than two bytes at first; gzip never does so in practice, and one byte is no record.
        let is_gzip = input.fill_buf()?.starts_with(&GZIP);
        let input: Box<dyn BufRead + Send + 'a> = if is_gzip {
            Box::new(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        let mut chunks =
            Self { input, rest: Vec::new(), next: 0, skipping: false, ended: false, is_gzip, broken: None };
        chunks.skip_byte_order_mark()?;
        Ok(chunks)
    }

    /// The next chunk, in the buffer of an earlier one; `None` at the end.
    pub(super) fn next(&mut self, mut bytes: Vec<u8>) -> io::Result<Option<Chunk>> {
        bytes.clear();
        bytes.append(&mut self.rest);
        let mut overlong = false;
        while !self.ended {
            if self.skipping {
                self.skip_line()?;
                continue;
            }
            self.ended = match self.input.by_ref().take(CHUNK as u64).read_to_end(&mut bytes) {
                Ok(read) => read < CHUNK,
                Err(cause) => self.broken_off(cause)?,
            };
            if let Some(end) = memchr::memrchr(b'\n', &bytes).map(|end| end + 1) {
                self.rest.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
                break;
            }
            if bytes.len() > MAX_LINE {
                bytes.clear();
                (self.skipping, overlong) = (true, true);
                break;
            }
        }
        if bytes.is_empty() && !overlong {
            return Ok(None);
        }
        let number = self.next;
        self.next += 1;
        Ok(Some(Chunk { number, bytes, overlong }))
    }

    /// Why the input broke off before its end, if it did.
    pub(super) fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// What was unpacked before gzip broke off stays good: then the input has ended.
    fn broken_off(&mut self, cause: io::Error) -> io::Result<bool> {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if !self.is_gzip || !matches!(cause.kind(), InvalidData | InvalidInput | UnexpectedEof) {
            return Err(cause);
        }
        self.broken = Some(cause);
        Ok(true)
    }

    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        let mut start = Vec::with_capacity(BYTE_ORDER_MARK.len());
        if let Err(cause) = self.input.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start) {
            self.ended = self.broken_off(cause)?;
        }
        if start != BYTE_ORDER_MARK {
            self.rest = start;
        }
        Ok(())
    }

    /// Passes over the input up to the end of the line, or as much as is buffered.
    fn skip_line(&mut self) -> io::Result<()> {
        let available = match self.input.fill_buf() {
            Ok(available) => available,
            Err(cause) => {
                self.ended = self.broken_off(cause)?;
                return Ok(());
            }
        };
        let end = memchr::memchr(b'\n', available);
        let skipped = end.map_or(available.len(), |end| end + 1);
        self.ended = available.is_empty();
        self.skipping = end.is_none();
        self.input.consume(skipped);
        Ok(())
    }
}
