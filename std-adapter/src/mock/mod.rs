//! A mock HTTP and LLM server whose delays and faults are known: the ground truth to check a measurement against.
//!
//! | request | answer |
//! |---|---|
//! | `/`, by any method | after a drawn delay: a short text |
//! | `POST /v1/chat/completions`, `POST /v1/completions` | `OpenAI`-compatible, streamed token by token (`"stream": true`) or in one piece |
//! | `GET /v1/models` | the one model there is; requests may name any |
//! | `/echo`, by any method | at once: the request's method, path, headers and length, as JSON |
//! | `/fault/…` | as the path behind it, or `/`, but with the [`Fault`]: `/fault/stall/2s/mid/v1/completions` |
//! | `GET /healthz`, `GET /metrics` | at once: `ok`; counters in Prometheus' format |
//!
//! It speaks HTTP/1.1 and HTTP/2 on every connection, as the client begins or, with TLS, as ALPN chooses.
//!
//! Requests are numbered in order of arrival, and request `k` draws its delays and faults from its own generator made of
//! (seed, `k`): the same seed deals the same however the requests overlap (with one version of `rand`; its generator may
//! change between releases). Timers are a tenth of a millisecond late and a busy host adds to that, so the server measures
//! what it really applied and logs that, see [`ServedRequest`]. A delay begins when the whole request is there, body included, as no
//! server can answer a prompt that it has not read.
//!
//! ```
//! use phasemeter::mock::{MockConfig, MockServer};
//!
//! let config = MockConfig {
//!     seed: 7,
//!     latency: "5ms,0.3".parse()?,
//!     faults: "status=503:0.02,reset:0.01".parse()?,
//!     ..MockConfig::default()
//! };
//! let server = MockServer::start(config, ([127, 0, 0, 1], 0).into(), None)?;
//! println!("listening on {}", server.url());
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod delay;
mod fault;
mod config;
mod log;
mod metrics;
mod trace;
mod wire;
mod tls;
mod listen;
mod openai;
mod stream;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime;
use tokio::sync::oneshot;

pub use config::{ApiKey, MAX_OUTPUT_TOKENS, MockConfig};
pub use delay::{DelayError, LogNormalDelay};
pub use fault::{Fault, FaultError, FaultProblem, Faults, Place};
pub use listen::{Listen, ListenError};
pub use log::ServedRequest;

use listen::Listener;
use log::LogWriter;
use routes::Server;

/// How long the server's threads may take to end after [`serve::GRACE`]. Together: within one second.
const TEARDOWN: Duration = Duration::from_millis(150);

/// Why the server did not start. The message is complete: what the system said is part of it, not a source behind it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MockError {
    /// The default number of output tokens is out of range.
    #[error("{0} output tokens are not in 1..={MAX_OUTPUT_TOKENS}")]
    OutputTokens(u32),
    /// The address or the path cannot be listened on.
    #[error("cannot listen on {addr}: {cause}; choose another place, or port 0 for any free port")]
    Bind {
        /// The place asked for.
        addr: Listen,
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
    listen: Listen,
    certificate: Option<String>,
    /// Dropped to tell the server to stop.
    running: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockServer {
    /// Listens (port 0: any free one, see [`addr`](Self::addr)) and serves until stopped. `log` is created, or emptied, and
    /// gets one [`ServedRequest`] a line.
    ///
    /// # Errors
    /// [`MockError`] when the configuration is out of range, the log cannot be created or the place is taken.
    pub fn start(config: MockConfig, listen: Listen, log: Option<PathBuf>) -> Result<Self, MockError> {
        if !(1..=MAX_OUTPUT_TOKENS).contains(&config.output_tokens) {
            return Err(MockError::OutputTokens(config.output_tokens));
        }
        let bound = Listener::bind(&listen);
        let (listener, listen) = bound.map_err(|cause| MockError::Bind { addr: listen, cause })?;
        let certificate = listener.certificate();
        // After the place is ours: a server that cannot start must not empty the log of the one that runs.
        let writer = match log {
            Some(path) => Some(LogWriter::create(&path).map_err(|cause| MockError::Log { path, cause })?),
            None => None,
        };
        let server = Arc::new(Server::new(config, writer.as_ref().map(LogWriter::sender)));
        let (running, stop) = oneshot::channel();
        // The runtime lives and dies on this thread, so the server may be started and stopped inside another runtime.
        let (started, outcome) = mpsc::sync_channel(1);
        let body = move || {
            match runtime::Builder::new_multi_thread().enable_io().enable_time().build() {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    runtime.block_on(serve::serve(listener, server, stop));
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
        Ok(Self { listen, certificate, running: Some(running), thread: Some(thread) })
    }

    /// The TCP address listened on, with the real port; `0.0.0.0:0` if it is a Unix socket.
    pub fn addr(&self) -> SocketAddr {
        self.listen.addr()
    }

    /// The server's base URL, without a slash at the end: `http://127.0.0.1:8080`. Of a Unix socket: `unix:` and its path.
    pub fn url(&self) -> String {
        self.listen.to_string()
    }

    /// The certificate to trust, in PEM, if it serves with TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
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
