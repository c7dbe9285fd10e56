//! The telemetry line of a host: a thread that writes, so that a slow line never delays the run.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, channel, sync_channel};

use embedded_io::{ErrorType, Write, WriteReady};
use tokio::sync::mpsc::UnboundedSender;

use super::Event;

/// Small enough that a slow line is seen to move: half a second at 9,600 baud.
const MAX_PIECE: usize = 512;

/// Takes one piece at a time; ready again once the system has taken it.
#[derive(Debug)]
pub(super) struct LineWriter {
    pieces: Option<SyncSender<Vec<u8>>>,
    written: Receiver<io::Result<()>>,
    /// A piece is with the thread.
    busy: bool,
}

impl LineWriter {
    /// Starts the thread; it sends [`Event::LineReady`] whenever the line is ready again.
    pub(super) fn spawn(mut output: Box<dyn io::Write + Send>, ready: UnboundedSender<Event>) -> Self {
        let (pieces, todo) = sync_channel::<Vec<u8>>(1);
        let (done, written) = channel();
        std::thread::spawn(move || {
            for piece in todo {
                let result = output.write_all(&piece).and_then(|()| output.flush());
                let failed = result.is_err();
                // Nobody listens once the run has ended.
                let _ = done.send(result);
                let _ = ready.send(Event::LineReady);
                if failed {
                    break;
                }
            }
        });
        Self { pieces: Some(pieces), written, busy: false }
    }

    /// Closes the line once the last piece was written.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.pieces = None;
        if self.busy {
            self.busy = false;
            return self.written.recv().unwrap_or_else(|_| Err(gone()));
        }
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the line is closed")
}

impl ErrorType for LineWriter {
    type Error = io::Error;
}

impl WriteReady for LineWriter {
    fn write_ready(&mut self) -> io::Result<bool> {
        if self.busy {
            match self.written.try_recv() {
                Ok(result) => {
                    self.busy = false;
                    result?;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(gone()),
            }
        }
        Ok(!self.busy)
    }
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pieces = self.pieces.as_ref().ok_or_else(gone)?;
        let piece = bytes.get(..MAX_PIECE).unwrap_or(bytes);
        match pieces.try_send(piece.to_vec()) {
            Ok(()) => {
                self.busy = true;
                Ok(piece.len())
            }
            Err(TrySendError::Full(_)) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
