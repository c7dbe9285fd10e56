//! What only Unix has: `poll`, Unix sockets, pseudo-terminals.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::{Line, LineRead, READ_TIMEOUT, WRITE_TIMEOUT, line_read};

/// Any file descriptor as a line: waits with `poll`, then reads without a buffer of its own.
pub(super) struct FdLine<F>(F);

impl<F: AsFd + Send> FdLine<F> {
    pub(super) fn new(fd: F) -> Self {
        Self(fd)
    }
}

impl<F: AsFd + Send> Line for FdLine<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        if !wait_readable(&self.0)? {
            return Ok(LineRead::Idle);
        }
        line_read(rustix::io::read(&self.0, buf).map_err(io::Error::from))
    }
}

/// Whether reading would return at once: with bytes, the end or an error.
fn wait_readable(fd: impl AsFd) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: READ_TIMEOUT.subsec_nanos().into() };
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Opens a file or a FIFO. Without `NONBLOCK`, opening a FIFO would wait for its writer.
pub(super) fn open_file(path: &Path) -> io::Result<FdLine<File>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path).map(FdLine)
}

pub(super) fn connect(path: &Path) -> io::Result<SocketLine> {
    let stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(SocketLine(FdLine(stream)))
}

/// A Unix socket.
pub(super) struct SocketLine(FdLine<UnixStream>);

impl Line for SocketLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        self.0.read(buf)
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.0.0.try_clone()?))
    }
}

/// Opens a character device for writing; a terminal is made raw and set to `baud`.
pub(super) fn open_device(path: &Path, baud: u32) -> io::Result<File> {
    // Without `NONBLOCK`, opening a serial port could wait for a modem's carrier.
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
    let device = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    if device.is_terminal() {
        set_raw(&device, Some(baud))?;
    }
    let flags = rustix::fs::fcntl_getfl(&device)?;
    rustix::fs::fcntl_setfl(&device, flags - OFlags::NONBLOCK)?;
    Ok(device)
}

fn set_raw(tty: &File, baud: Option<u32>) -> io::Result<()> {
    let mut settings = tcgetattr(tty)?;
    settings.make_raw();
    if let Some(baud) = baud {
        settings.set_speed(baud)?;
    }
    Ok(tcsetattr(tty, OptionalActions::Now, &settings)?)
}

/// A pseudo-terminal: a serial line without hardware. A program opens [`slave_path`](Self::slave_path) as its serial
/// port; this side reads and writes the master. All bytes pass unchanged.
///
/// The pty holds its own slave side open, so that neither the raw mode nor the first bytes depend on how early the
/// other program comes.
#[derive(Debug)]
pub struct Pty {
    master: File,
    slave: Option<File>,
    slave_path: PathBuf,
}

impl Pty {
    /// Makes a new pseudo-terminal, raw: no echo, no translation.
    ///
    /// # Errors
    ///
    /// If the system has no (more) pseudo-terminals.
    pub fn open() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        let flags = flags | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        // Where it cannot be had at once. A child that inherits the master would keep the line alive.
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let slave_path = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let slave = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&slave_path)?;
        set_raw(&slave, None)?;
        Ok(Self { master: master.into(), slave: Some(slave), slave_path })
    }

    /// The device that the other program opens, such as `/dev/pts/4`.
    pub fn slave_path(&self) -> &Path {
        &self.slave_path
    }

    /// Gives up this side's hold on the slave: from now on the line ends as soon as no program has the slave open.
    /// For callers that know that the other program has opened it (or has already gone).
    fn release_slave(&mut self) {
        self.slave = None;
    }

    /// The master as a line.
    ///
    /// It is idle, never ended, until the first byte comes: whoever sent it had the slave open. Then the hold on the
    /// slave is released, and the line ends when the last program closes the slave. A program that shall open and
    /// close the slave several times must therefore be kept company by a handle of the caller's.
    pub fn into_line(self) -> PtyLine {
        PtyLine(self)
    }
}

impl Read for Pty {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.master.read(buf)
    }
}

impl Write for Pty {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.master.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.master.flush()
    }
}

/// The master side of a [`Pty`], as a [`Line`].
#[derive(Debug)]
pub struct PtyLine(Pty);

impl Line for PtyLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        if !wait_readable(&self.0.master)? {
            return Ok(LineRead::Idle);
        }
        match line_read(self.0.master.read(buf)) {
            // Linux says EIO, others say "end of file", when no program has the slave open.
            Err(e) if e.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(LineRead::Ended),
            Ok(LineRead::Bytes(bytes)) => {
                self.0.release_slave();
                Ok(LineRead::Bytes(bytes))
            }
            other => other,
        }
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.0.master.try_clone()?))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Duration;

    use super::super::tests::{assert_idle, every_byte, open_now, read_to_end, read_until};
    use super::super::{DEFAULT_BAUD, SourceSpec};
    use super::*;

    fn spec(path: &Path) -> SourceSpec {
        SourceSpec::parse(path.to_str().unwrap(), DEFAULT_BAUD).unwrap()
    }

    #[test]
    fn a_pty_carries_every_byte_unchanged_from_an_output() {
        let pty = Pty::open().unwrap();
        let path = pty.slave_path().to_owned();
        let mut line = pty.into_line();
        assert_idle(&mut line);
        let mut output = open_now(path.to_str().unwrap()).unwrap();
        output.write_all(&every_byte()).unwrap();
        assert_eq!(read_until(&mut line, 512), (every_byte(), false));
        output.write_all(b"last").unwrap();
        drop(output);
        assert_eq!(read_to_end(&mut line), b"last", "what was written before closing arrives, then the end");
    }

    #[test]
    fn a_pty_line_outwaits_a_slow_program_but_not_one_that_has_gone() {
        let pty = Pty::open().unwrap();
        let path = pty.slave_path().to_owned();
        let mut line = pty.into_line();
        // A program that opens and closes the port without a word is not the end.
        drop(open_now(path.to_str().unwrap()).unwrap());
        assert_idle(&mut line);
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(250));
            open_now(path.to_str().unwrap()).unwrap().write_all(b"late").unwrap();
        });
        assert_eq!(read_to_end(&mut line), b"late");
        writer.join().unwrap();

        let mut pty = Pty::open().unwrap();
        pty.release_slave();
        assert_eq!(read_to_end(&mut pty.into_line()), b"");
    }

    #[test]
    fn a_device_that_is_no_terminal_takes_output() {
        open_now("/dev/null").unwrap().write_all(b"gone").unwrap();
    }

    #[test]
    fn a_unix_socket_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let server = UnixListener::bind(&path).unwrap();
        let mut line = SourceSpec::parse(&format!("unix:{}", path.display()), 0).unwrap().open().unwrap();
        let (mut peer, _) = server.accept().unwrap();
        assert_idle(&mut *line);
        peer.write_all(&every_byte()).unwrap();
        drop(peer);
        assert_eq!(read_to_end(&mut *line), every_byte());
        let error = SourceSpec::parse(path.to_str().unwrap(), 0).unwrap_err().to_string();
        assert!(error.contains("write unix:PATH"), "{error}");
    }

    // Apple's systems have no `mkfifoat`.
    #[cfg(not(target_vendor = "apple"))]
    #[test]
    fn a_fifo_is_read_like_a_file_once_a_writer_comes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        assert_eq!(spec(&path), SourceSpec::File(path.clone()));
        let mut line = spec(&path).open().unwrap();
        assert_idle(&mut *line);
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        assert_idle(&mut *line);
        writer.write_all(&every_byte()).unwrap();
        drop(writer);
        assert_eq!(read_to_end(&mut *line), every_byte());
    }

    #[test]
    fn a_pipe_such_as_standard_input_is_polled() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut line = FdLine::new(reader);
        assert_idle(&mut line);
        writer.write_all(&every_byte()).unwrap();
        drop(writer);
        assert_eq!(read_to_end(&mut line), every_byte());
    }
}
