//! TCP: the same on every system.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::{Line, LineRead, READ_TIMEOUT, WRITE_TIMEOUT, line_read};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long after it connected a client may have to wait to be accepted.
pub(super) const ACCEPT_INTERVAL: Duration = Duration::from_millis(10);

/// Connects to `HOST:PORT`, trying each address of the host.
pub(super) fn connect(address: &str) -> io::Result<TcpLine> {
    TcpLine::new(connect_stream(address)?)
}

pub(super) fn connect_stream(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

/// A connected TCP stream.
pub(super) struct TcpLine(TcpStream);

impl TcpLine {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        // Commands are small and shall not wait for each other.
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

impl Line for TcpLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        line_read(self.0.read(buf))
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.0.try_clone()?))
    }
}

/// Waits for a client that has something to say, then reads it. Who leaves without a word was a stray. Later clients are
/// refused: two devices on one line would mix their bytes.
pub(super) struct ListenLine {
    address: SocketAddr,
    /// `None` once a client has said something.
    listener: Option<TcpListener>,
    client: Option<TcpLine>,
}

impl ListenLine {
    pub(super) fn bind(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { address: listener.local_addr()?, listener: Some(listener), client: None })
    }

    /// Waits a moment for a client.
    fn accept(listener: &TcpListener) -> io::Result<Option<TcpLine>> {
        let deadline = Instant::now() + READ_TIMEOUT;
        while Instant::now() < deadline {
            match listener.accept() {
                Ok((stream, _)) => {
                    // Some systems hand the listener's mode on.
                    stream.set_nonblocking(false)?;
                    return TcpLine::new(stream).map(Some);
                }
                // The client may have gone again before it was accepted.
                Err(e) if super::is_idle(&e) || e.kind() == io::ErrorKind::ConnectionAborted => {
                    thread::sleep(ACCEPT_INTERVAL);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }
}

impl Line for ListenLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        let Some(client) = &mut self.client else {
            self.client = self.listener.as_ref().map_or(Ok(None), Self::accept)?;
            return Ok(LineRead::Idle);
        };
        match client.read(buf) {
            Ok(LineRead::Bytes(bytes)) => {
                self.listener = None;
                Ok(LineRead::Bytes(bytes))
            }
            Ok(LineRead::Idle) => Ok(LineRead::Idle),
            _ if self.listener.is_some() => {
                self.client = None;
                Ok(LineRead::Idle)
            }
            ended => ended,
        }
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        self.client.as_ref().map_or(Err(io::ErrorKind::NotConnected.into()), Line::writer)
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}
