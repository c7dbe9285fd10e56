use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::{Line, LineRead};

/// The longest `Bytes` of one event.
const CHUNK: usize = 8192;

/// Something that happened on a line.
#[derive(Debug)]
pub struct LineEvent {
    /// The line's number.
    pub source: u16,
    /// When the host had noticed: for bytes, right after they were read.
    pub at: Instant,
    /// What happened.
    pub kind: LineEventKind,
}

/// What happened on a line.
#[derive(Debug)]
pub enum LineEventKind {
    /// Bytes came in; at least one.
    Bytes(Vec<u8>),
    /// The other side closed the line. The last event of the line.
    Ended,
    /// Reading failed. The last event of the line.
    Failed(io::Error),
}

/// Reads `line` on a new thread into `tx` until it ends, fails, `stop` is set or nobody receives any more.
///
/// The last event says [`Ended`](LineEventKind::Ended) or [`Failed`](LineEventKind::Failed), unless `stop` ended it: then
/// the thread ends without a word within [`READ_TIMEOUT`](super::READ_TIMEOUT). While the channel is full the
/// thread waits and does not look at `stop`: keep receiving, or drop the receiver, before joining.
///
/// # Panics
///
/// If the system cannot make a thread, as [`std::thread::spawn`].
pub fn spawn_reader(
    mut line: Box<dyn Line>,
    source: u16,
    tx: SyncSender<LineEvent>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buf = vec![0; CHUNK];
        while !stop.load(Ordering::Relaxed) {
            let kind = match line.read(&mut buf) {
                Ok(LineRead::Idle) => continue,
                Ok(LineRead::Bytes(bytes)) => LineEventKind::Bytes(buf[..bytes].to_vec()),
                Ok(LineRead::Ended) => LineEventKind::Ended,
                Err(e) => LineEventKind::Failed(e),
            };
            let last = !matches!(kind, LineEventKind::Bytes(_));
            if tx.send(LineEvent { source, at: Instant::now(), kind }).is_err() || last {
                return;
            }
        }
    })
}
