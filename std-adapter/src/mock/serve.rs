//! Connections: accepts them, speaks HTTP over them, and ends them when the server stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use super::listen::Listener;
use super::routes::Server;
use super::wire::{Breakable, Socket, Wire};
use crate::text::printable;

/// How long requests in flight may go on once the server is told to stop.
pub(super) const GRACE: Duration = Duration::from_millis(800);
/// After a connection could not be accepted, mostly because there are too many: until the next try.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Requests at the same time over one connection of HTTP/2.
const MAX_STREAMS: u32 = 10_000;

/// Serves until `stop` resolves, then for at most [`GRACE`].
pub(super) async fn serve(listener: Listener, server: Arc<Server>, mut stop: oneshot::Receiver<()>) {
    let mut acceptor = match Acceptor::new(listener) {
        Ok(acceptor) => acceptor,
        Err(error) => return eprintln!("mock server: cannot watch its socket: {}", printable(&error.to_string())),
    };
    let (stopping, stopped) = watch::channel(());
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            _ = &mut stop => break,
        };
        match accepted {
            Ok(accepted) => drop(tokio::spawn(accepted.serve(server.clone(), stopped.clone()))),
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
    drop((acceptor, stopped));
    stopping.send_replace(());
    // Every connection has a receiver.
    let _ = tokio::time::timeout(GRACE, stopping.closed()).await;
}

/// A [`Listener`] in the async runtime.
enum Acceptor {
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        _file: super::listen::unix::SocketFile,
    },
}

/// A connection, before any TLS.
enum Accepted {
    Tcp(TcpStream),
    Tls(TcpStream, TlsAcceptor),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Acceptor {
    fn new(listener: Listener) -> io::Result<Self> {
        Ok(match listener {
            Listener::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Listener::Tls(listener, tls) => Self::Tls(TcpListener::from_std(listener)?, tls.acceptor),
            #[cfg(unix)]
            Listener::Unix(listener, file) => {
                Self::Unix { listener: tokio::net::UnixListener::from_std(listener)?, _file: file }
            }
        })
    }

    async fn accept(&mut self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => Accepted::Tcp(prompt(listener.accept().await?.0)),
            Self::Tls(listener, tls) => Accepted::Tls(prompt(listener.accept().await?.0), tls.clone()),
            #[cfg(unix)]
            Self::Unix { listener, .. } => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

/// Without this, Nagle's algorithm would hold tokens back and the log would no longer tell when they left.
fn prompt(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

impl Accepted {
    async fn serve(self, server: Arc<Server>, mut stopped: watch::Receiver<()>) {
        match self {
            Self::Tcp(stream) => speak(stream, false, server, stopped).await,
            Self::Tls(stream, tls) => {
                let accepted = tokio::select! {
                    accepted = tls.accept(stream) => accepted,
                    _ = stopped.changed() => return,
                };
                // A client whose handshake failed was told so.
                if let Ok(stream) = accepted {
                    speak(stream, true, server, stopped).await;
                }
            }
            #[cfg(unix)]
            Self::Unix(stream) => speak(stream, false, server, stopped).await,
        }
    }
}

/// HTTP/1 or HTTP/2, as the client begins, until it ends or the server stops.
async fn speak(socket: impl Socket, tls: bool, server: Arc<Server>, mut stopped: watch::Receiver<()>) {
    let wire = Arc::new(Wire::default());
    let io = TokioIo::new(Breakable::new(socket, wire.clone()));
    let service = service_fn(move |request| super::routes::answer(server.clone(), wire.clone(), tls, request));
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http2().max_concurrent_streams(MAX_STREAMS);
    let mut connection = std::pin::pin!(http.serve_connection(io, service));
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
