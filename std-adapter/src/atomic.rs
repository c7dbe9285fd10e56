//! Files that a reader sees whole: the old content or the new one, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub cause: io::Error,
}

impl WriteError {
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self { path: path.clone(), cause }
    }
}

/// Replaces the content of `path`: written beside it, synced, renamed over it.
///
/// A process that is killed leaves the old file or the new one, and at most one file `.NAME.RANDOM.tmp` beside it.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let replace = || {
        let beside = Beside::create(path)?;
        let mut file = &beside.file;
        file.write_all(bytes)?;
        file.sync_all()?;
        beside.rename(path)
    };
    replace().map_err(WriteError::at(path))
}

/// Checks that [`write_atomically`] can work at `path`, and changes nothing there.
///
/// A device, a pipe or a directory is refused: the rename would replace or miss it.
pub(crate) fn check_writable(path: &Path) -> Result<(), WriteError> {
    let check = || match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is no regular file; name one")),
        _ => Beside::create(path).map(drop),
    };
    check().map_err(WriteError::at(path))
}

/// Makes the file's name survive a power cut. Best effort: systems that cannot open a directory do not need it, and not
/// every file system can sync one.
pub(crate) fn sync_directory(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Ok(directory) = File::open(parent.unwrap_or(Path::new("."))) {
        let _ = directory.sync_all();
    }
}

/// The file beside the target. It is removed unless it takes the target's place.
struct Beside {
    path: PathBuf,
    file: File,
}

impl Beside {
    fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or_else(|| io::Error::other("it has no file name"))?;
        // Random, and only created if it is new: two writers never share one, not even from two machines.
        let name = format!(".{}.{:016x}.tmp", name.to_string_lossy(), rand::random::<u64>());
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }

    fn rename(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        sync_directory(target);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone after a rename.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn the_file_is_replaced_and_nothing_stays_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary.json");
        for content in ["first", "second, and longer", ""] {
            check_writable(&path).unwrap();
            write_atomically(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(directory.path()), ["summary.json"]);
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let occupied = directory.path().join("occupied");
        fs::create_dir(&occupied).unwrap();
        fs::write(occupied.join("file"), "").unwrap();
        let error = write_atomically(&occupied, b"text").unwrap_err().to_string();
        assert!(error.starts_with(occupied.to_str().unwrap()), "{error}");
        assert!(check_writable(&occupied).unwrap_err().to_string().contains("no regular file"));
        assert_eq!(names(directory.path()), ["occupied"]);
        check_writable(&directory.path().join("missing/file")).unwrap_err();
        check_writable(Path::new("/")).unwrap_err();
    }

    #[test]
    fn writers_at_the_same_time_do_not_tear_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shared");
        std::thread::scope(|scope| {
            for letter in [b'a', b'b'] {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|_| write_atomically(path, &[letter; 10_000]).unwrap()));
            }
            for _ in 0..200 {
                let content = fs::read(&path).unwrap_or_else(|_| vec![b'a'; 10_000]);
                assert!(content == [b'a'; 10_000] || content == [b'b'; 10_000]);
            }
        });
        assert_eq!(names(directory.path()), ["shared"]);
    }
}
