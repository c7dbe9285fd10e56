//! The ground-truth log: what the server really did to each request, as it measured it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::text::printable;

/// A line written this long ago is on disk, whatever happens next.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// One line of the ground-truth log. Times are milliseconds with nanosecond digits, measured by a monotonic clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServedRequest {
    /// The request's number in order of arrival, from 0. Refused requests (4xx) and `/healthz` have none.
    pub request: u64,
    /// `/` or `/v1/chat/completions`.
    pub route: Cow<'static, str>,
    /// 200, or 500 for an injected error. For a cancelled request: what it would have been answered with.
    pub status: u16,
    /// The host's wall clock on handler entry, nanoseconds since the Unix epoch.
    pub started_unix_ns: u64,
    /// From handler entry until just before the first token or the body was handed to the connection; `None` when the
    /// client went away before that.
    pub first_byte_ms: Option<f64>,
    /// Between successive tokens, likewise: one fewer than there were tokens.
    pub gaps_ms: Vec<f64>,
    /// From handler entry until the end of the answer was handed to the connection, or until the client was gone.
    pub total_ms: f64,
    /// The delay that was drawn before the first byte. The delay applied is `first_byte_ms`: timers round up to 1 ms.
    pub drawn_first_ms: f64,
    /// The client went away before the answer was whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// Measures one request; its line is logged when it is dropped, and says `cancelled` unless [`finish`](Self::finish)
/// came first. The server drops the work on a request whose client went away, so no other signal is needed.
#[derive(Debug)]
pub(super) struct Trace {
    served: ServedRequest,
    entered: Instant,
    last_token: Option<Instant>,
    log: Option<LogSender>,
}

impl Trace {
    pub(super) fn new(route: &'static str, request: u64, entered: Instant, log: Option<LogSender>) -> Self {
        let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = unix_now.saturating_sub(entered.elapsed());
        let served = ServedRequest {
            request,
            route: Cow::Borrowed(route),
            status: 200,
            started_unix_ns: u64::try_from(started.as_nanos()).unwrap_or(u64::MAX),
            cancelled: true,
            ..ServedRequest::default()
        };
        Self { served, entered, last_token: None, log }
    }

    /// Notes what the request was dealt: the delay before its first byte, and the status of its answer.
    pub(super) fn dealt(&mut self, first: Duration, status: u16) {
        self.served.drawn_first_ms = millis(first);
        self.served.status = status;
    }

    /// Call just before a token is handed to the connection.
    pub(super) fn token(&mut self) {
        let now = Instant::now();
        match self.last_token.replace(now) {
            None => self.served.first_byte_ms = Some(millis(now - self.entered)),
            Some(last) => self.served.gaps_ms.push(millis(now - last)),
        }
    }

    /// Call just before the end of the answer is handed to the connection.
    pub(super) fn finish(&mut self) {
        self.served.total_ms = millis(self.entered.elapsed());
        self.served.first_byte_ms.get_or_insert(self.served.total_ms);
        self.served.cancelled = false;
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let Some(log) = self.log.take() else { return };
        if self.served.cancelled {
            self.served.total_ms = millis(self.entered.elapsed());
        }
        log.send(std::mem::take(&mut self.served));
    }
}

/// Rounded to whole nanoseconds, so that the decimal text has no floating-point noise.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e9).round() / 1e6
}

/// Hands requests to the writer thread; never waits for the disk.
#[derive(Debug, Clone)]
pub(super) struct LogSender(Sender<Message>);

#[derive(Debug)]
enum Message {
    Served(ServedRequest),
    Close,
}

impl LogSender {
    fn send(&self, request: ServedRequest) {
        // The writer is gone only after `LogWriter::close`; nothing served later is promised a line.
        let _ = self.0.send(Message::Served(request));
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

    fn lines(path: &Path) -> Vec<ServedRequest> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_finished_trace_has_one_gap_fewer_than_tokens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let log = LogWriter::create(&path).unwrap();
        let mut trace = Trace::new("/", 3, Instant::now(), Some(log.sender()));
        trace.dealt(Duration::from_millis(2), 200);
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(1));
            trace.token();
        }
        trace.finish();
        drop(trace);
        log.close();

        let [served] = &lines(&path)[..] else { panic!("not one line") };
        assert_eq!((served.request, served.gaps_ms.len(), served.cancelled), (3, 3, false));
        assert!(served.gaps_ms.iter().all(|gap| *gap >= 1.0), "{served:?}");
        let applied = served.first_byte_ms.unwrap() + served.gaps_ms.iter().sum::<f64>();
        assert!(applied <= served.total_ms + 1e-6, "{served:?}");
        assert!(!std::fs::read_to_string(&path).unwrap().contains("cancelled"));
    }

    #[test]
    fn a_dropped_trace_says_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let log = LogWriter::create(&path).unwrap();
        drop(Trace::new("/", 0, Instant::now(), Some(log.sender())));
        log.close();
        assert!(lines(&path)[0].cancelled);
        assert_eq!(lines(&path)[0].first_byte_ms, None);
    }

    #[test]
    fn lines_reach_the_file_while_the_server_runs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let log = LogWriter::create(&path).unwrap();
        drop(Trace::new("/", 0, Instant::now(), Some(log.sender())));
        let deadline = Instant::now() + Duration::from_secs(10);
        while lines(&path).is_empty() {
            assert!(Instant::now() < deadline, "nothing was flushed");
            thread::sleep(Duration::from_millis(20));
        }
        log.close();
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
        for number in 0..10_000 {
            drop(Trace::new("/", number, Instant::now(), Some(log.sender())));
        }
        log.close();
    }
}
