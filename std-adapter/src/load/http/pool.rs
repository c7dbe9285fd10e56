//! Kept-alive connections to one server.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A connection that carries one request at a time. Dropping it closes it at once, whatever it was doing.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    reused: bool,
}

impl Connection {
    async fn open(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driver = tokio::spawn(async {
            // What goes wrong is reported to the request that is under way, if there is one.
            let _ = connection.await;
        });
        Ok(Self { sender, driver, reused: false })
    }

    /// Sends a request; one that never went out comes back with the error.
    pub(super) async fn try_send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        self.sender.try_send_request(request).await
    }

    /// It waited in the pool before, so the server may have closed it.
    pub(super) fn reused(&self) -> bool {
        self.reused
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The connections that no request is using, the last used on top: the fewest that suffice stay warm.
#[derive(Debug)]
pub(super) struct Pool {
    host: String,
    port: u16,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(host: String, port: u16) -> Self {
        Self { host, port, idle: Mutex::default() }
    }

    /// A connection that can take a request now: a waiting one, or else a new one.
    pub(super) async fn take(&self) -> io::Result<Connection> {
        loop {
            let Some(mut connection) = self.idle().pop() else {
                return Connection::open(&self.host, self.port).await;
            };
            // An error here means that the server has closed it.
            if connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    /// Gives back a connection whose answer was read to the end.
    pub(super) fn put_back(&self, mut connection: Connection) {
        connection.reused = true;
        self.idle().push(connection);
    }

    /// Opens connections until `count` are waiting or one cannot be opened.
    pub(super) async fn warm(&self, count: usize) {
        while self.idle_count() < count {
            let Ok(connection) = Connection::open(&self.host, self.port).await else { return };
            self.put_back(connection);
        }
    }

    /// How many connections are waiting, without those that the server has closed.
    pub(super) fn idle_count(&self) -> usize {
        self.idle().iter().filter(|connection| !connection.sender.is_closed()).count()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
