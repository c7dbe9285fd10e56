//! TCP: the same on every system.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::{Line, LineRead, READ_TIMEOUT, WRITE_TIMEOUT, line_read};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long after it connected a client may have to wait to be accepted.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(10);

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
    fn new(stream: TcpStream) -> io::Result<Self> {
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

/// Waits for one client, then reads it. Later clients are refused: two devices on one line would mix their bytes.
pub(super) struct ListenLine {
    address: SocketAddr,
    state: ListenState,
}

enum ListenState {
    Listening(TcpListener),
    Connected(TcpLine),
}

impl ListenLine {
    pub(super) fn bind(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { address: listener.local_addr()?, state: ListenState::Listening(listener) })
    }
}

impl Line for ListenLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        let listener = match &mut self.state {
            ListenState::Connected(line) => return line.read(buf),
            ListenState::Listening(listener) => listener,
        };
        let deadline = Instant::now() + READ_TIMEOUT;
        while Instant::now() < deadline {
            match listener.accept() {
                Ok((stream, _)) => {
                    // Some systems hand the listener's mode on.
                    stream.set_nonblocking(false)?;
                    self.state = ListenState::Connected(TcpLine::new(stream)?);
                    break;
                }
                // The client may have gone again before it was accepted.
                Err(e) if super::is_idle(&e) || e.kind() == io::ErrorKind::ConnectionAborted => {
                    thread::sleep(ACCEPT_INTERVAL);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(LineRead::Idle)
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        match &self.state {
            ListenState::Connected(line) => line.writer(),
            ListenState::Listening(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}
