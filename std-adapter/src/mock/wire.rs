//! A connection that can be broken on demand, below HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// No status line of HTTP/1, and to HTTP/2 a frame that is longer than any may be.
const GARBAGE: &[u8] = b"\0\xff\xfephasemeter: this is no HTTP, as was asked for\r\n\r\n\xf0\x28\x8c\x28";

/// What becomes of a connection.
#[derive(Debug, Default)]
pub(super) struct Wire(AtomicU8);

const SOUND: u8 = 0;
const RESET: u8 = 1;
const SPOILT: u8 = 2;

impl Wire {
    /// Nothing is written or read any more, and the connection is reset when it is closed.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// In place of what is written next there is garbage, and then the end.
    pub(super) fn spoil(&self) {
        self.0.store(SPOILT, Ordering::Release);
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

/// What a connection can be made of.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Closing it shall tell the client that it broke, not that it ended.
    fn reset_when_closed(&self);
}

impl Socket for TcpStream {
    fn reset_when_closed(&self) {
        let _ = self.set_zero_linger();
    }
}

impl Socket for TlsStream<TcpStream> {
    fn reset_when_closed(&self) {
        self.get_ref().0.reset_when_closed();
    }
}

#[cfg(unix)]
impl Socket for tokio::net::UnixStream {
    // Such a socket has no way to say so: it ends in the middle.
    fn reset_when_closed(&self) {}
}

/// The connection, as its [`Wire`] says.
pub(super) struct Breakable<S: Socket> {
    socket: S,
    wire: Arc<Wire>,
    /// Of the garbage, what was not written yet.
    garbage: &'static [u8],
}

impl<S: Socket> Breakable<S> {
    pub(super) fn new(socket: S, wire: Arc<Wire>) -> Self {
        Self { socket, wire, garbage: GARBAGE }
    }

    /// Passes the call on if the wire is sound; never succeeds if it is not.
    fn write(
        &mut self,
        context: &mut Context<'_>,
        sound: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match self.wire.state() {
            SOUND => return sound(Pin::new(&mut self.socket), context),
            SPOILT => {
                while !self.garbage.is_empty() {
                    let written = ready!(Pin::new(&mut self.socket).poll_write(context, self.garbage))?;
                    self.garbage = self.garbage.get(written.max(1)..).unwrap_or_default();
                }
                ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
            }
            _ => {}
        }
        Poll::Ready(Err(broken()))
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "a fault was asked for")
}

impl<S: Socket> AsyncRead for Breakable<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.state() == RESET {
            return Poll::Ready(Err(broken()));
        }
        Pin::new(&mut this.socket).poll_read(context, buffer)
    }
}

impl<S: Socket> AsyncWrite for Breakable<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |socket, context| socket.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |socket, context| socket.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.state() == RESET {
            return Poll::Ready(Err(broken()));
        }
        Pin::new(&mut this.socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.state() == RESET {
            return Poll::Ready(Err(broken()));
        }
        Pin::new(&mut this.socket).poll_shutdown(context)
    }
}

impl<S: Socket> Drop for Breakable<S> {
    fn drop(&mut self) {
        if self.wire.state() == RESET {
            self.socket.reset_when_closed();
        }
    }
}
