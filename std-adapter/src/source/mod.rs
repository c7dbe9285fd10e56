//! Where bytes come from and go to: serial ports, files, sockets, standard input.
//!
//! [`SourceSpec::parse`] turns what the user wrote into a checked description, [`SourceSpec::open`] into a [`Line`],
//! and [`spawn_reader`] reads a line on its own thread into a channel. [`open_output`] is the other direction,
//! for a program that plays the device. [`listen`] waits at one TCP address for many devices, with a line for each.
//! [`Faulty`] makes a bad line of a good one.
//!
//! | written | read from |
//! |---|---|
//! | `/dev/ttyACM0`, `COM3` | a serial port, 8N1, raw (a character device is a serial port); needs the feature `serial` |
//! | `telemetry.bin` | a file or a FIFO |
//! | `-` | standard input |
//! | `tcp:HOST:PORT` | a TCP server |
//! | `tcp-listen:PORT`, `tcp-listen:HOST:PORT` | the first TCP client that connects; `PORT` alone listens on 127.0.0.1 |
//! | `unix:PATH` | a Unix stream socket's server |

mod net;
mod listen;
#[cfg(feature = "serial")]
mod serial;
mod portable;
#[cfg(unix)]
pub mod unix;
mod spec;
mod output;
mod reader;
mod faulty;
#[cfg(test)]
mod tests;

pub use faulty::{FaultInjector, FaultSpec, FaultSpecError, Faulty};
pub use listen::{ListenNews, Listening, listen};
pub use output::{OutputError, open_output};
pub use portable::in_process;
pub use reader::{LineEvent, LineEventKind, spawn_reader};
pub use spec::{SourceError, SourceSpec};

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// How long one write to a device waits at most.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The baud rate of a serial port when none is given, in bits per second.
pub const DEFAULT_BAUD: u32 = 115_200;

/// How long one [`Line::read`] waits for bytes at most.
pub const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// An open stream of bytes that never blocks for long.
///
/// An implementation of `read` must return within about [`READ_TIMEOUT`], must not return `Bytes(0)`, and must hand
/// out every byte that the system still has before it returns `Ended`. After `Ended` or an error, the caller must not
/// read again.
pub trait Line: Send {
    /// Waits for bytes and puts them into `buf`, which must not be empty.
    ///
    /// # Errors
    ///
    /// The line is broken; further reads are pointless.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead>;

    /// The way back to the device, for commands. Its writes wait at most about a second; while the device is away, they fail.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the source has one direction only, `NotConnected` while a `tcp-listen` line waits for its
    /// client, or that the system has no second handle for the line.
    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the source has no way back to the device"))
    }

    /// The address a `tcp-listen` line waits on; tells the port when port 0 was asked for.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// The faults that are injected into what it brings, as [`FaultSpec`] is written: a [`Faulty`] line has some.
    fn faults(&self) -> Option<&str> {
        None
    }
}

impl<L: Line + ?Sized> Line for Box<L> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        (**self).read(buf)
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        (**self).writer()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        (**self).local_addr()
    }

    fn faults(&self) -> Option<&str> {
        (**self).faults()
    }
}

impl std::fmt::Debug for dyn Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

/// What one [`Line::read`] brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineRead {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing came in time. The caller may look at a stop flag and read again.
    Idle,
    /// The other side closed the line.
    Ended,
}

/// What a plain `read` call returned, in terms of a line: no bytes is the end, a timeout is idle.
fn line_read(result: io::Result<usize>) -> io::Result<LineRead> {
    match result {
        Ok(0) => Ok(LineRead::Ended),
        Ok(bytes) => Ok(LineRead::Bytes(bytes)),
        Err(e) if is_idle(&e) => Ok(LineRead::Idle),
        Err(e) => Err(e),
    }
}

fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
