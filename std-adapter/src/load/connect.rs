//! Opening connections to the server, and how long each part of that takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::{Target, TargetError};
use super::tls::{self, TlsError, Trust};

/// How the server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Whose certificates are trusted, of `https://` targets.
    pub trust: Trust,
    /// HTTP/2 alone: without TLS from the first byte on (prior knowledge). Else it is used over TLS if the server offers it.
    pub http2: bool,
    /// Connects to this Unix socket; host and port of the target then only stand in the requests.
    pub unix_socket: Option<PathBuf>,
}

/// Why the server cannot be reached at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// It has no address.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The host is no name that a certificate can have.
    #[error("`{0}` is no name that a certificate can have")]
    Name(String),
    /// This system has none.
    #[error("this system has no Unix sockets")]
    NoUnixSockets,
}

/// Bytes to and from the server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that was just opened.
pub(super) struct Opened {
    pub(super) stream: Box<dyn Stream>,
    pub(super) is_http2: bool,
    pub(super) times: ConnectTimes,
}

/// How long opening a connection took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectTimes {
    /// All of it.
    pub(super) total: Duration,
    /// The TLS handshake; `None` without TLS.
    pub(super) tls: Option<Duration>,
}

/// Where connections are opened to.
#[derive(Clone)]
pub(super) struct Endpoint {
    place: Place,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    http2: bool,
}

#[derive(Clone)]
enum Place {
    Addresses(Arc<[SocketAddr]>),
    #[cfg(unix)]
    Socket(PathBuf),
}

impl Endpoint {
    /// Resolves the target's name, once for all connections, and reads the certificates.
    pub(super) fn new(target: &Target, options: &ConnectOptions) -> Result<Self, EndpointError> {
        let place = match &options.unix_socket {
            None => Place::Addresses(target.resolve()?.into()),
            #[cfg(unix)]
            Some(path) => Place::Socket(path.clone()),
            #[cfg(not(unix))]
            Some(_) => return Err(EndpointError::NoUnixSockets),
        };
        let tls = if target.is_tls {
            let alpn: &[&[u8]] = if options.http2 { &[b"h2"] } else { &[b"h2", b"http/1.1"] };
            let config = tls::client(&options.trust, alpn)?;
            let name = ServerName::try_from(target.host.clone());
            Some((TlsConnector::from(config), name.map_err(|_| EndpointError::Name(target.host.clone()))?))
        } else {
            None
        };
        Ok(Self { place, tls, http2: options.http2 })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the system or the TLS library said.
    pub(super) async fn open(&self) -> std::io::Result<Opened> {
        let start = Instant::now();
        let stream: Box<dyn Stream> = match &self.place {
            Place::Addresses(addresses) => {
                let stream = TcpStream::connect(&addresses[..]).await?;
                // Requests are small and shall not wait for each other.
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            #[cfg(unix)]
            Place::Socket(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        };
        let Some((connector, name)) = &self.tls else {
            let times = ConnectTimes { total: start.elapsed(), tls: None };
            return Ok(Opened { stream, is_http2: self.http2, times });
        };
        let tls_start = Instant::now();
        let stream = connector.connect(name.clone(), stream).await.map_err(with_remedy)?;
        let is_http2 = self.http2 || stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let times = ConnectTimes { total: start.elapsed(), tls: Some(tls_start.elapsed()) };
        Ok(Opened { stream: Box::new(stream), is_http2, times })
    }
}

/// A certificate that is not trusted, with what to do about it.
fn with_remedy(error: std::io::Error) -> std::io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if !matches!(inner, Some(rustls::Error::InvalidCertificate(_))) {
        return error;
    }
    let message = format!("{error}; --cacert FILE trusts the certificates of a file, --insecure all");
    std::io::Error::new(error.kind(), message)
}
