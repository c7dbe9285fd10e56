//! Where the server listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::str::FromStr;

use thiserror::Error;

use super::tls::Tls;
use crate::text::quoted;

/// Where to listen, and whether with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listen {
    /// HTTP at this address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// HTTPS at this address, with a certificate for `localhost`, `127.0.0.1` and `::1` that is made anew.
    Tls(SocketAddr),
    /// HTTP over a Unix socket. The file is made, and removed when the server stops.
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

impl Listen {
    /// The address; the unspecified one with port 0 if it is a Unix socket.
    pub(super) fn addr(&self) -> SocketAddr {
        match self {
            Self::Tcp(addr) | Self::Tls(addr) => *addr,
            #[cfg(unix)]
            Self::Unix(_) => ([0, 0, 0, 0], 0).into(),
        }
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Listen {
    fn from(addr: (I, u16)) -> Self {
        Self::Tcp(addr.into())
    }
}

impl From<SocketAddr> for Listen {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

/// `http://ADDRESS`, `https://ADDRESS` or `unix:PATH`.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "http://{addr}"),
            Self::Tls(addr) => write!(f, "https://{addr}"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The text is no place to listen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is neither an address and a port, such as 127.0.0.1:8080, nor unix: and the path of a socket", quoted(.0))]
pub struct ListenError(String);

/// From `ADDRESS:PORT` or, on Unix, `unix:PATH`.
impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        #[cfg(unix)]
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| ListenError(text.to_owned()))
    }
}

/// A socket that listens, ready for an async runtime.
pub(super) enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener, Tls),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, unix::SocketFile),
}

impl Listener {
    /// Listens; also says where that is, with the real port.
    pub(super) fn bind(listen: &Listen) -> io::Result<(Self, Listen)> {
        Ok(match listen {
            Listen::Tcp(addr) => {
                let (listener, addr) = bind(*addr)?;
                (Self::Tcp(listener), Listen::Tcp(addr))
            }
            Listen::Tls(addr) => {
                let tls = Tls::new().map_err(io::Error::other)?;
                let (listener, addr) = bind(*addr)?;
                (Self::Tls(listener, tls), Listen::Tls(addr))
            }
            #[cfg(unix)]
            Listen::Unix(path) => {
                let (listener, file) = unix::bind(path)?;
                (Self::Unix(listener, file), Listen::Unix(path.clone()))
            }
        })
    }

    /// In PEM, if it serves with TLS.
    pub(super) fn certificate(&self) -> Option<String> {
        match self {
            Self::Tls(_, tls) => Some(tls.certificate.clone()),
            _ => None,
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

#[cfg(unix)]
pub(super) mod unix {
    //! Unix sockets, and their files.

    use std::fs;
    use std::io;
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    /// The file of a socket, removed when this is dropped.
    pub(in crate::mock) struct SocketFile(PathBuf);

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    /// Listens. A socket that nobody listens on any more, as a server that was killed leaves it, is replaced.
    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            listener => listener?,
        };
        let file = SocketFile(path.to_owned());
        listener.set_nonblocking(true)?;
        Ok((listener, file))
    }

    fn is_left_over(path: &Path) -> bool {
        let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_an_address_or_a_socket() {
        assert_eq!("127.0.0.1:80".parse::<Listen>(), Ok(([127, 0, 0, 1], 80).into()));
        assert_eq!("[::1]:0".parse::<Listen>(), Ok(([0_u16, 0, 0, 0, 0, 0, 0, 1], 0).into()));
        #[cfg(unix)]
        assert_eq!("unix:a b".parse(), Ok(Listen::Unix("a b".into())));
        for text in ["", "8080", "localhost:80", "unix:", "127.0.0.1", "http://127.0.0.1:80", "\u{1b}"] {
            let error = text.parse::<Listen>().unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:8080") && !error.contains(char::is_control), "{error}");
        }
    }
}
