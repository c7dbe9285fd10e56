//! A mock HTTP and LLM server whose delays are known: the ground truth to check a measurement against.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | after a drawn delay: 200 and a short text, or an injected 500 |
//! | `POST /v1/chat/completions` | OpenAI-compatible chat, streamed token by token (`"stream": true`) or in one piece |
//! | `GET /healthz` | 200 at once; neither delayed, logged nor counted |
//!
//! Requests are numbered in order of arrival, and request `k` draws its delays from its own generator made of
//! (seed, `k`): the same seed deals the same delays however the requests overlap (with one version of `rand`; its
//! generator may change between releases). Timers are a tenth of a millisecond late and a busy host adds to that, so the
//! server measures what it really applied and logs that, see [`ServedRequest`].
//!
//! ```
//! use phasemeter::mock::{MockConfig, MockServer};
//!
//! let config = MockConfig { seed: 7, latency: "5ms,0.3".parse()?, ..MockConfig::default() };
//! let server = MockServer::start(config, ([127, 0, 0, 1], 0).into(), None)?;
//! println!("listening on {}", server.url());
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod delay;
mod config;
mod log;
mod stream;
mod routes;
#[cfg(test)]
mod tests;

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;

pub use config::{MAX_OUTPUT_TOKENS, MockConfig};
pub use delay::{DelayError, LogNormalDelay};
pub use log::ServedRequest;

use crate::text::printable;
use log::LogWriter;

/// How long requests in flight may go on once the server is told to stop.
const GRACE: Duration = Duration::from_millis(800);
/// How long the server's threads may take to end after that. With [`GRACE`]: within one second.
const TEARDOWN: Duration = Duration::from_millis(150);

/// Why the server did not start. The message is complete: what the system said is part of it, not a source behind it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MockError {
    /// The error rate is not a share.
    #[error("error rate {0} is not in 0..=1; write 0.01 for one request in a hundred")]
    ErrorRate(f64),
    /// The default number of output tokens is out of range.
    #[error("{0} output tokens are not in 1..={MAX_OUTPUT_TOKENS}")]
    OutputTokens(u32),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {cause}; choose another address, or port 0 for any free port")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The log file cannot be created.
    #[error("cannot create the log {}: {cause}", path.display())]
    Log {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The system has no threads to spare.
    #[error("cannot start the server's threads: {0}")]
    Threads(io::Error),
}

/// A running mock server on threads of its own; needs no async runtime around it. Dropping it stops it.
#[derive(Debug)]
pub struct MockServer {
    addr: SocketAddr,
    /// Dropped to tell the server to stop.
    running: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockServer {
    /// Listens on `addr` (port 0: any free one, see [`addr`](Self::addr)) and serves until stopped. `log` is created,
    /// or emptied, and gets one [`ServedRequest`] a line.
    ///
    /// # Errors
    /// [`MockError`] when the configuration is out of range, the log cannot be created or the address is taken.
    pub fn start(config: MockConfig, addr: SocketAddr, log: Option<PathBuf>) -> Result<Self, MockError> {
        if !(0.0..=1.0).contains(&config.error_rate) {
            return Err(MockError::ErrorRate(config.error_rate));
        }
        if !(1..=MAX_OUTPUT_TOKENS).contains(&config.output_tokens) {
            return Err(MockError::OutputTokens(config.output_tokens));
        }
        let bind_error = |cause| MockError::Bind { addr, cause };
        let listener = std::net::TcpListener::bind(addr).map_err(bind_error)?;
        listener.set_nonblocking(true).map_err(bind_error)?;
        let addr = listener.local_addr().map_err(bind_error)?;
        // After the address is ours: a server that cannot start must not empty the log of the one that runs.
        let writer = match log {
            Some(path) => Some(LogWriter::create(&path).map_err(|cause| MockError::Log { path, cause })?),
            None => None,
        };
        let app = routes::router(config, writer.as_ref().map(LogWriter::sender));
        let (running, stop) = oneshot::channel();
        // The runtime lives and dies on this thread, so the server may be started and stopped inside another runtime.
        let (started, outcome) = mpsc::sync_channel(1);
        let body = move || {
            match runtime::Builder::new_multi_thread().enable_io().enable_time().build() {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    runtime.block_on(serve(listener, app, stop));
                    // Drops the requests still in flight, which logs them as cancelled.
                    runtime.shutdown_timeout(TEARDOWN);
                }
                Err(error) => drop(started.send(Err(error))),
            }
            if let Some(writer) = writer {
                writer.close();
            }
        };
        let thread = thread::Builder::new().name("mock-server".to_owned()).spawn(body).map_err(MockError::Threads)?;
        outcome.recv().unwrap_or_else(|gone| Err(io::Error::other(gone))).map_err(MockError::Threads)?;
        Ok(Self { addr, running: Some(running), thread: Some(thread) })
    }

    /// The address listened on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The server's base URL, without a slash at the end: `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops listening, lets requests in flight end for up to a second, cancels the rest, and writes out the log.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Serves until `stop` resolves, then for at most [`GRACE`].
async fn serve(listener: std::net::TcpListener, app: Router, stop: oneshot::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("mock server: cannot watch its socket: {}", printable(&error.to_string())),
    };
    // Without this, Nagle's algorithm would hold tokens back and the log would no longer tell when they left.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (stopping, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = stop.await;
        drop(stopping);
    });
    let grace_over = async {
        let _ = stopped.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        _ = server.into_future() => {}
        () = grace_over => {}
    }
}
