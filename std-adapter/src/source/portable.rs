//! Where a blocking read cannot be given a timeout: a thread reads, and the line waits on a channel.

use std::io::{self, PipeWriter, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

use super::{Line, LineRead, READ_TIMEOUT};

/// A line within this process, such as between a load generator and its recorder: what is written to the one end is read
/// from the other, until the writer is dropped.
///
/// # Errors
/// If the system has no pipe or no thread left.
pub fn in_process() -> io::Result<(PipeWriter, Box<dyn Line>)> {
    let (reader, writer) = io::pipe()?;
    Ok((writer, Box::new(ThreadLine::spawn(reader)?)))
}

/// Chunks that may wait between the thread and the line.
const QUEUED: usize = 16;

/// Any blocking reader as a line. Dropping the line leaves the thread in its last read.
pub(super) struct ThreadLine {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// What did not fit the caller's buffer, from `start` on.
    pending: Vec<u8>,
    start: usize,
}

impl ThreadLine {
    pub(super) fn spawn(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(QUEUED);
        thread::Builder::new().name("blocking read".into()).spawn(move || {
            let mut buf = vec![0; 8192];
            loop {
                let chunk = match reader.read(&mut buf) {
                    Ok(0) => return,
                    Ok(bytes) => Ok(buf[..bytes].to_vec()),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => Err(e),
                };
                let failed = chunk.is_err();
                if sender.send(chunk).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self { chunks, pending: Vec::new(), start: 0 })
    }
}

impl Line for ThreadLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        if self.start == self.pending.len() {
            self.pending = match self.chunks.recv_timeout(READ_TIMEOUT) {
                Ok(chunk) => chunk?,
                Err(RecvTimeoutError::Timeout) => return Ok(LineRead::Idle),
                Err(RecvTimeoutError::Disconnected) => return Ok(LineRead::Ended),
            };
            self.start = 0;
        }
        let rest = &self.pending[self.start..];
        let bytes = rest.len().min(buf.len());
        buf[..bytes].copy_from_slice(&rest[..bytes]);
        self.start += bytes;
        Ok(LineRead::Bytes(bytes))
    }
}
