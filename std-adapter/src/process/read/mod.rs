//! JSON Lines to a result set: files in chunks of whole lines, on all processors, in memory that does not grow.
//!
//! Each thread takes the next chunk and reads it into columns, then waits for its turn to add them: chunks are added in
//! the order of the input, so that results do not depend on the number of threads.

mod tags;
mod request_record;
mod status;
mod flat;
mod profile;
mod truth;
mod json;
mod chunks;
mod batch;
mod accumulator;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use accumulator::Accumulator;
use batch::Batch;
use chunks::Chunks;

use super::{Percentiles, ProcessError, ResultSet, phase_manifest};

/// What lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object a request: `latency_ms` (or `latency`, `response_time`) in milliseconds, `timestamp` in seconds,
    /// `status`, `error`.
    Flat,
    /// AIPerf's `profile_export.jsonl`.
    Aiperf,
    /// The ground-truth log of the mock server.
    Truth,
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The format; that of the first valid record if it is not given.
    pub format: Option<Format>,
    /// Keep all samples, for exact percentiles: 8 bytes each, and what [`aiperf`](super::aiperf) needs of AIPerf's requests.
    pub exact: bool,
    /// Take a bad line for an error.
    pub strict: bool,
    /// How many bytes the values may take, unless they are kept for exact percentiles; any number if it is not given.
    pub memory: Option<usize>,
    /// Which percentiles AIPerf's derived metrics shall have.
    pub percentiles: Percentiles,
    /// How many threads to read with; one for each processor if it is not given.
    pub threads: Option<usize>,
}

/// A line that is no valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection<'a> {
    /// The file.
    pub input: &'a str,
    /// Counts lines from 1.
    pub line: u64,
    /// Counts bytes from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: &'a str,
}

impl fmt::Display for Rejection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.input, self.line, self.column, self.reason)
    }
}

/// Gets told how reading goes.
pub trait ReadWatcher: Send {
    /// A line was rejected. The first ten of each input are told, all are counted.
    fn rejected(&mut self, rejection: &Rejection<'_>) {
        let _ = rejection;
    }

    /// So many bytes of the input were read.
    fn progress(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

/// Nobody watches.
impl ReadWatcher for () {}

/// Reads any number of inputs into one result set.
#[derive(Debug)]
pub struct Reader {
    options: ReadOptions,
    accumulator: Accumulator,
}

impl Reader {
    /// A reader that has read nothing; `name` is that of the result set.
    pub fn new(name: impl Into<String>, options: ReadOptions) -> Self {
        let limit = options.memory.filter(|_| !options.exact);
        Self { accumulator: Accumulator::new(ResultSet::new(name), options.exact, limit), options }
    }

    /// Reads a file as [`read`](Self::read) does. If the records are AIPerf's, the windows of the phases are those of
    /// `phase_manifest.json` beside the file, where it has them.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`ProcessError::PhaseManifest`].
    pub fn read_file(&mut self, path: &Path, watcher: &mut dyn ReadWatcher) -> Result<(), ProcessError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|cause| ProcessError::Read { input: name.clone(), cause })?;
        let windows = match self.read_chunks(&name, file, watcher)? {
            Some(Format::Aiperf) => phase_manifest::beside(path)?,
            _ => Vec::new(),
        };
        self.accumulator.end_input(&windows)
    }

    /// Reads a stream, plain or compressed by gzip, to its end. `name` stands for it in messages. The windows of the phases
    /// are from the first to the last time in the records.
    ///
    /// # Errors
    /// [`ProcessError`] if it cannot be read, there are too many phases, the values take too much [`memory`](ReadOptions::memory), or with [`strict`](ReadOptions::strict) at the first bad line.
    pub fn read(
        &mut self,
        name: &str,
        input: impl Read + Send,
        watcher: &mut dyn ReadWatcher,
    ) -> Result<(), ProcessError> {
        self.read_chunks(name, input, watcher)?;
        self.accumulator.end_input(&[])
    }

    /// Adds all chunks; returns the format, if there was any record.
    fn read_chunks(
        &mut self,
        name: &str,
        input: impl Read + Send,
        watcher: &mut dyn ReadWatcher,
    ) -> Result<Option<Format>, ProcessError> {
        let position = &AtomicU64::new(0);
        let chunks = Chunks::new(Counted { input, position })
            .map_err(|cause| ProcessError::Read { input: name.to_owned(), cause })?;
        self.accumulator.begin_input(name);
        let ReadOptions { format, strict, threads, .. } = self.options;
        let turn = Turn { next: 0, accumulator: &mut self.accumulator, watcher, strict, failure: None };
        let shared = Shared {
            name,
            position,
            chunks: Mutex::new(chunks),
            format: format.map_or_else(OnceLock::new, OnceLock::from),
            turn: Mutex::new(turn),
            moved: Condvar::new(),
        };
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, MAX_THREADS) {
                scope.spawn(|| shared.work());
            }
        });
        let Shared { chunks, format, turn, .. } = shared;
        let turn = turn.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = turn.failure {
            return Err(failure);
        }
        if let Some(cause) = chunks.into_inner().unwrap_or_else(PoisonError::into_inner).broken() {
            turn.accumulator.mark_partial(&format!("{name}: the compressed data breaks off ({cause})"));
        }
        Ok(format.into_inner())
    }

    /// What was read.
    pub fn finish(self) -> ResultSet {
        self.accumulator.finish(&self.options.percentiles)
    }
}

/// More threads than this only wait for their turn.
const MAX_THREADS: usize = 16;

/// What the threads share.
struct Shared<'a> {
    name: &'a str,
    position: &'a AtomicU64,
    chunks: Mutex<Chunks<'a>>,
    format: OnceLock<Format>,
    turn: Mutex<Turn<'a>>,
    moved: Condvar,
}

/// Whose turn it is, and what belongs to it alone.
struct Turn<'a> {
    next: u64,
    accumulator: &'a mut Accumulator,
    watcher: &'a mut dyn ReadWatcher,
    strict: bool,
    failure: Option<ProcessError>,
}

impl<'a> Shared<'a> {
    /// Reads chunks until there are no more, or someone failed.
    fn work(&self) {
        let _leaving = Leaving(self);
        let mut batch = Batch::default();
        let mut buffer = Vec::new();
        loop {
            let chunk = match lock(&self.chunks).next(buffer) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return,
                Err(cause) => return self.fail(ProcessError::Read { input: self.name.to_owned(), cause }),
            };
            let known = self.format.get().copied();
            let format = known.or_else(|| batch.detect(&chunk));
            batch.read(&chunk, format);
            let Some(mut turn) = self.wait_for(chunk.number) else { return };
            // A chunk before this one may have had the first record meanwhile, of another format than the first one here.
            let first = self.format.get().copied();
            if known.is_none() && first.is_some() && first != format {
                batch.read(&chunk, first);
            } else if let Some(format) = format {
                self.format.get_or_init(|| format);
            }
            if !turn.accumulator.has_room(&batch) {
                // Those that came first have room, whichever thread read them.
                batch.set_phases(turn.accumulator.phases());
                batch.read(&chunk, self.format.get().copied());
            }
            let added = turn.add(&batch, self.name);
            turn.watcher.progress(self.position.load(Ordering::Relaxed));
            turn.next += 1;
            drop(turn);
            self.moved.notify_all();
            if let Err(failure) = added {
                return self.fail(failure);
            }
            buffer = chunk.bytes;
        }
    }

    fn wait_for(&self, number: u64) -> Option<MutexGuard<'_, Turn<'a>>> {
        let turn = lock(&self.turn);
        let waiting = |turn: &mut Turn<'_>| turn.next != number && turn.failure.is_none();
        let turn = self.moved.wait_while(turn, waiting).unwrap_or_else(PoisonError::into_inner);
        turn.failure.is_none().then_some(turn)
    }

    fn fail(&self, failure: ProcessError) {
        lock(&self.turn).failure.get_or_insert(failure);
        self.moved.notify_all();
    }
}

impl Turn<'_> {
    fn add(&mut self, batch: &Batch, input: &str) -> Result<(), ProcessError> {
        for bad in &batch.bad_lines {
            let line = self.accumulator.lines() + bad.line;
            let rejection = Rejection { input, line, column: bad.column, reason: &bad.reason };
            if self.strict {
                return Err(ProcessError::Rejected(rejection.to_string()));
            }
            if self.accumulator.tells() {
                self.watcher.rejected(&rejection);
            }
        }
        self.accumulator.add(batch)
    }
}

/// A thread that panics lets the others go, who would wait for its turn to pass.
struct Leaving<'s, 'a>(&'s Shared<'a>);

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let cause = io::Error::other("a reading thread broke down");
            self.0.fail(ProcessError::Read { input: self.0.name.to_owned(), cause });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts what is read.
struct Counted<'a, R> {
    input: R,
    position: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
