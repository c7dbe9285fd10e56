use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use same_file::Handle;

use super::{CaptureError, CaptureRecord, EndReason, LineEnd, MAGIC};
use crate::atomic::sync_directory;

/// How often appended records are also forced to the disk: what a power cut can cost.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of line data in one record; leaves ample room for the other fields below [`super::MAX_PAYLOAD`].
const MAX_DATA: usize = 60 * 1024;

/// Appends records to a new capture file.
///
/// Every append is one write to the operating system: nothing is kept back in the process. Dropping the writer
/// therefore loses nothing, but [`finish`](Self::finish) also reports whether the bytes are on the disk.
#[derive(Debug)]
pub struct CaptureWriter {
    file: File,
    path: PathBuf,
    /// The file, whatever is at its path.
    identity: Handle,
    /// Reused for each frame.
    frame: Vec<u8>,
    /// Bytes of whole records in the file.
    len: u64,
    synced: Instant,
    /// A write failed, or the file is gone.
    poisoned: bool,
}

impl CaptureWriter {
    /// Creates the file and writes its [`Start`](CaptureRecord::Start), stamped with the wall clock.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Exists`] if there is anything at `path`: a capture is never overwritten.
    /// [`CaptureError::Io`] if the file cannot be created or written.
    pub fn create(path: impl AsRef<Path>, run_id: &str) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let io = |cause| CaptureError::Io { path: path.to_owned(), cause };
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(|cause| {
            if cause.kind() == io::ErrorKind::AlreadyExists { CaptureError::Exists(path.to_owned()) } else { io(cause) }
        })?;
        let identity = file.try_clone().and_then(Handle::from_file).map_err(io)?;
        let mut writer = Self {
            file,
            path: path.to_owned(),
            identity,
            frame: Vec::new(),
            len: 0,
            synced: Instant::now(),
            poisoned: false,
        };
        writer.frame.extend_from_slice(&MAGIC);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        CaptureRecord::Start {
            run_id: Cow::Borrowed(run_id),
            unix_ns: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
            tool: Cow::Borrowed(concat!("phasemeter ", env!("CARGO_PKG_VERSION"))),
        }
        .encode(&mut writer.frame)?;
        writer.write_frame()?;
        writer.sync()?;
        sync_directory(path);
        Ok(writer)
    }

    /// Appends one record and hands it to the operating system before returning.
    ///
    /// # Errors
    ///
    /// [`CaptureError::TooLong`] and nothing is written; [`CaptureError::Io`] if writing fails, the partial record
    /// is then cut off again; [`CaptureError::Poisoned`] after that, whatever the record.
    pub fn append(&mut self, record: &CaptureRecord<'_>) -> Result<(), CaptureError> {
        if self.poisoned {
            return Err(CaptureError::Poisoned(self.path.clone()));
        }
        self.frame.clear();
        record.encode(&mut self.frame)?;
        self.write_frame()?;
        if self.synced.elapsed() >= SYNC_INTERVAL {
            self.sync()?;
        }
        Ok(())
    }

    /// Records that line number `source` was opened, `at_ns` nanoseconds after the start, to a device that runs what it
    /// likes.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn source(&mut self, source: u16, identity: &str, at_ns: u64) -> Result<(), CaptureError> {
        self.append(&CaptureRecord::Source { source, identity: Cow::Borrowed(identity), at_ns, plan_hash: None })
    }

    /// Records bytes from line `source`; any number of them: what does not fit one record makes several.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn data(&mut self, source: u16, at_ns: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        bytes
            .chunks(MAX_DATA)
            .try_for_each(|chunk| self.append(&CaptureRecord::Data { source, at_ns, bytes: Cow::Borrowed(chunk) }))
    }

    /// Records that line `source` has ended, how, and why.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn source_end(&mut self, source: u16, at_ns: u64, kind: LineEnd, reason: &str) -> Result<(), CaptureError> {
        self.append(&CaptureRecord::SourceEnd { source, at_ns, kind, reason: Cow::Borrowed(reason) })
    }

    /// Records that recording ended, and why. [`finish`](Self::finish) then closes the file.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn end(&mut self, at_ns: u64, reason: EndReason) -> Result<(), CaptureError> {
        self.append(&CaptureRecord::End { at_ns, reason })
    }

    /// Looks whether the file is still at its path. One that is not takes what is written with it when it is closed, and
    /// nothing more is appended.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Gone`].
    pub fn check_in_place(&mut self) -> Result<(), CaptureError> {
        let is_gone = match Handle::from_path(&self.path) {
            Ok(there) => there != self.identity,
            // Any other failure, such as too many open files, says nothing about the file.
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        self.poisoned |= is_gone;
        if is_gone { Err(CaptureError::Gone(self.path.clone())) } else { Ok(()) }
    }

    /// Forces everything to the disk and closes the file. Returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] if the disk did not take it, [`CaptureError::Gone`] if the file is not at its path.
    pub fn finish(mut self) -> Result<u64, CaptureError> {
        self.sync()?;
        self.check_in_place()?;
        Ok(self.len)
    }

    /// Where the capture is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file so far.
    pub fn bytes_written(&self) -> u64 {
        self.len
    }

    fn write_frame(&mut self) -> Result<(), CaptureError> {
        if let Err(cause) = self.file.write_all(&self.frame) {
            // What came later would stand behind a hole.
            self.poisoned = true;
            // Best effort: a reader takes a partial record for a torn tail.
            let _ = self.file.set_len(self.len);
            return Err(CaptureError::Io { path: self.path.clone(), cause });
        }
        self.len += self.frame.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), CaptureError> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(|cause| {
            // A disk may take late what it promised, and then not have the room for it.
            self.poisoned = true;
            CaptureError::Io { path: self.path.clone(), cause }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created() -> (tempfile::TempDir, PathBuf, CaptureWriter) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("capture.pmcap");
        let writer = CaptureWriter::create(&path, "run").unwrap();
        (dir, path, writer)
    }

    #[test]
    fn after_a_write_that_failed_nothing_is_appended() {
        let (_dir, path, mut writer) = created();
        let sound = writer.bytes_written();
        // A handle that cannot write.
        let writable = std::mem::replace(&mut writer.file, File::open(&path).unwrap());
        assert!(matches!(writer.data(0, 1, b"x"), Err(CaptureError::Io { .. })));
        writer.file = writable;
        assert!(matches!(writer.data(0, 2, b"y"), Err(CaptureError::Poisoned(_))));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), sound);
    }

    #[cfg(unix)]
    #[test]
    fn a_capture_that_is_not_at_its_path_is_noticed() {
        let takes_away: [fn(&Path); 4] = [
            |path| std::fs::remove_file(path).unwrap(),
            |path| std::fs::rename(path, path.with_extension("moved")).unwrap(),
            |path| {
                let copy = path.with_extension("copy");
                std::fs::copy(path, &copy).unwrap();
                std::fs::rename(copy, path).unwrap();
            },
            |path| std::fs::remove_dir_all(path.parent().unwrap()).unwrap(),
        ];
        for take_away in takes_away {
            let (_dir, path, mut writer) = created();
            writer.check_in_place().unwrap();
            take_away(&path);
            assert!(matches!(writer.check_in_place(), Err(CaptureError::Gone(_))));
            assert!(matches!(writer.data(0, 1, b"x"), Err(CaptureError::Poisoned(_))));
            assert!(matches!(writer.finish(), Err(CaptureError::Gone(_))));
        }
    }
}
