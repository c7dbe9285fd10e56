//! The ground-truth log: what the server really did to each request, as it measured it.
//!
//! JSON Lines: one [`ServedRequest`] a line, in the order in which the requests ended. Every request has one, whatever became
//! of it: answered, refused, failed on demand, or given up by the client. A field that does not apply is `null`; `tls` and
//! `cancelled` are left out when they are false. A streamed chat of three tokens:
//!
//! ```json
//! {"request":0,"method":"POST","route":"/v1/chat/completions","http_version":"1.1","status":200,"fault":null,
//!  "started_unix_ns":1767225600000000000,"started_ns":1204113977,"read_ms":0.021,"drawn_first_ms":20.0,
//!  "first_byte_ms":20.084,"last_token_ms":30.161,"gaps_ms":[5.031,5.046],"total_ms":30.2,
//!  "prompt_tokens":7,"output_tokens":3}
//! ```
//!
//! `phasemeter process` makes metrics of it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::text::printable;

/// A line written this long ago is on disk, whatever happens next.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// One line of the ground-truth log. Times in `…_ms` are milliseconds with nanosecond digits, by a monotonic clock, since the
/// head of the request was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServedRequest {
    /// The request's number in order of arrival, from 0. Refused requests (4xx), `/healthz` and `/metrics` have none.
    pub request: Option<u64>,
    /// `GET`, `POST` …
    pub method: Cow<'static, str>,
    /// The path without the query: `/`, `/v1/chat/completions` … No more than the first 1024 bytes of it.
    pub route: Cow<'static, str>,
    /// `1.0`, `1.1` or `2`.
    pub http_version: Cow<'static, str>,
    /// It came over TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// 0 if a fault left the client without one. For a cancelled request: what it would have been answered with.
    pub status: u16,
    /// What went wrong on demand: `status=503`, `stall=2s@mid` …, see [`Fault`](super::Fault).
    pub fault: Option<Cow<'static, str>>,
    /// When the head of the request was read, by the host's wall clock: nanoseconds since the Unix epoch.
    pub started_unix_ns: u64,
    /// The same by the monotonic clock: nanoseconds since the server started.
    pub started_ns: u64,
    /// Until the body was read; `None` if it was not, as of a request that is refused by its head.
    pub read_ms: Option<f64>,
    /// The delay that was drawn before the first byte. The delay applied is `first_byte_ms` less `read_ms`: timers are late.
    pub drawn_first_ms: f64,
    /// Until just before the first token or the body was handed to the connection; `None` when the client went away before
    /// that, or there was none.
    pub first_byte_ms: Option<f64>,
    /// Until just before the last token was; `None` if the answer was not streamed.
    pub last_token_ms: Option<f64>,
    /// Between successive tokens, likewise: one fewer than there were tokens, of which there are
    /// [`MAX_OUTPUT_TOKENS`](super::MAX_OUTPUT_TOKENS) at most. Empty if the answer was not streamed.
    pub gaps_ms: Vec<f64>,
    /// Until the end of the answer was handed to the connection, a fault ended it, or the client was gone.
    pub total_ms: f64,
    /// Words of the prompt, if it has one.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer that were handed to the connection.
    pub output_tokens: u32,
    /// The client went away before the answer was whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// Hands requests to the writer thread; never waits for the disk.
#[derive(Debug, Clone)]
pub(super) struct LogSender(Sender<Message>);

#[derive(Debug)]
enum Message {
    Served(Box<ServedRequest>),
    Close,
}

impl LogSender {
    pub(super) fn send(&self, request: ServedRequest) {
        // The writer is gone only after `LogWriter::close`; nothing served later is promised a line.
        let _ = self.0.send(Message::Served(Box::new(request)));
    }
}

/// The thread that writes the log.
#[derive(Debug)]
pub(super) struct LogWriter {
    sender: LogSender,
    thread: JoinHandle<()>,
}

impl LogWriter {
    /// Creates (or empties) the file and starts writing.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        Self::start(file, path.display().to_string())
    }

    fn start(out: impl Write + Send + 'static, name: String) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("mock-log".to_owned()).spawn(move || {
            if let Err(error) = write_lines(&receiver, BufWriter::new(out)) {
                let error = printable(&format!("cannot write {name}: {error}"));
                eprintln!("mock server: {error}; going on without the log");
                // Keep taking requests until closed, so that they do not pile up in the channel.
                while let Ok(Message::Served(_)) = receiver.recv() {}
            }
        })?;
        Ok(Self { sender: LogSender(sender), thread })
    }

    pub(super) fn sender(&self) -> LogSender {
        self.sender.clone()
    }

    /// Writes out everything sent so far and ends the thread.
    pub(super) fn close(self) {
        let _ = self.sender.0.send(Message::Close);
        let _ = self.thread.join();
    }
}

/// Writes whole lines until closed; flushes when [`FLUSH_INTERVAL`] has passed since the last flush.
fn write_lines(receiver: &Receiver<Message>, mut out: BufWriter<impl Write>) -> io::Result<()> {
    let mut flush_due = Instant::now() + FLUSH_INTERVAL;
    loop {
        match receiver.recv_timeout(flush_due.saturating_duration_since(Instant::now())) {
            Ok(Message::Served(request)) => {
                let mut line = serde_json::to_vec(&request)?;
                line.push(b'\n');
                out.write_all(&line)?;
            }
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return out.flush(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= flush_due {
            out.flush()?;
            flush_due = Instant::now() + FLUSH_INTERVAL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_reach_the_file_while_the_server_runs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let log = LogWriter::create(&path).unwrap();
        let request = ServedRequest { request: Some(3), gaps_ms: vec![0.5], ..ServedRequest::default() };
        log.sender().send(request.clone());
        let deadline = Instant::now() + Duration::from_secs(10);
        let line = loop {
            assert!(Instant::now() < deadline, "nothing was flushed");
            match std::fs::read_to_string(&path).unwrap() {
                line if line.is_empty() => thread::sleep(Duration::from_millis(20)),
                line => break line,
            }
        };
        log.close();
        assert_eq!(serde_json::from_str::<ServedRequest>(&line).unwrap(), request);
        assert!(!line.contains("cancelled") && !line.contains("tls"), "{line}");
    }

    #[test]
    fn a_full_disk_stops_the_log_and_nothing_else() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = LogWriter::start(Full, "nowhere".to_owned()).unwrap();
        for _ in 0..10_000 {
            log.sender().send(ServedRequest::default());
        }
        log.close();
    }
}
