//! Serial ports: the same on every system, through the `serialport` crate.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serialport::SerialPort;

use super::{Line, LineRead, READ_TIMEOUT, WRITE_TIMEOUT, is_idle};

/// Opens a port, 8N1, raw. Exclusively, since a second reader would steal half of the bytes; a pty is shared, since
/// the program that made it often keeps it open.
pub(super) fn open_port(path: &Path, baud: u32) -> io::Result<Box<dyn SerialPort>> {
    let port = serialport::new(path.to_string_lossy(), baud).timeout(READ_TIMEOUT);
    // Elsewhere ports are always exclusive.
    #[cfg(unix)]
    let port = port.exclusive(!is_pty(path));
    port.open().map_err(|e| explain(&e))
}

/// A serial port that may go away and come back.
pub(super) struct SerialLine {
    path: PathBuf,
    baud: u32,
    reconnect: Duration,
    is_pty: bool,
    /// When waiting for the port ends. Set by a hang-up, cleared once an open port has proven alive: a port that
    /// opens and hangs up again and again must not be waited for without end.
    deadline: Option<Instant>,
    state: State,
    /// The way back to the device, of the port as it was opened last.
    writing: Writing,
}

/// `None` while the port is away, and until a writer was asked for.
type Writing = Arc<Mutex<Option<Box<dyn SerialPort>>>>;

enum State {
    Open(Box<dyn SerialPort>),
    /// Gone; the text says how that showed.
    Away(String),
    Ended,
}

impl SerialLine {
    pub(super) fn open(path: PathBuf, baud: u32, reconnect: Duration) -> io::Result<Self> {
        let port = open_port(&path, baud)?;
        let (is_pty, state) = (is_pty(&path), State::Open(port));
        Ok(Self { is_pty, path, baud, reconnect, deadline: None, state, writing: Writing::default() })
    }

    /// The port hung up. On a pty that is a program closing it, an orderly end; a real port was unplugged.
    fn hung_up(&mut self, why: &str) -> LineRead {
        *lock(&self.writing) = None;
        if self.is_pty && self.reconnect.is_zero() {
            self.state = State::Ended;
            return LineRead::Ended;
        }
        self.deadline.get_or_insert_with(|| Instant::now() + self.reconnect);
        self.state = State::Away(why.into());
        LineRead::Idle
    }

    /// Waits a little, then tries once to open the port again.
    fn try_again(&mut self, why: &str) -> io::Result<LineRead> {
        let left = self.deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            let waited = match self.reconnect {
                Duration::ZERO => String::new(),
                limit => format!(" and did not come back within {limit:?}"),
            };
            let message = format!("the port vanished{waited} ({why})");
            return Err(io::Error::new(io::ErrorKind::NotConnected, message));
        }
        thread::sleep(READ_TIMEOUT.min(left));
        if let Ok(port) = open_port(&self.path, self.baud) {
            *lock(&self.writing) = writable(&*port).ok();
            self.state = State::Open(port);
        }
        Ok(LineRead::Idle)
    }
}

impl Line for SerialLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        let port = match &mut self.state {
            State::Open(port) => port,
            State::Ended => return Ok(LineRead::Ended),
            State::Away(why) => {
                let why = why.clone();
                return self.try_again(&why);
            }
        };
        match port.read(buf) {
            Ok(0) => Ok(self.hung_up("hang-up")),
            Ok(bytes) => {
                self.deadline = None;
                Ok(LineRead::Bytes(bytes))
            }
            Err(e) if is_idle(&e) => {
                self.deadline = None;
                Ok(LineRead::Idle)
            }
            // `serialport` reports a hang-up as a broken pipe, and the rest (EIO, ENXIO, ENODEV) as `Other`.
            Err(e) => Ok(self.hung_up(&e.to_string())),
        }
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        let State::Open(port) = &self.state else { return Err(io::ErrorKind::NotConnected.into()) };
        *lock(&self.writing) = Some(writable(&**port)?);
        Ok(Box::new(PortWriter(Arc::clone(&self.writing))))
    }
}

fn lock(writing: &Writing) -> MutexGuard<'_, Option<Box<dyn SerialPort>>> {
    writing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A second handle of the port, for writing.
fn writable(port: &dyn SerialPort) -> io::Result<Box<dyn SerialPort>> {
    let mut port = port.try_clone().map_err(|e| explain(&e))?;
    // The clone's own: reading keeps its time-out.
    port.set_timeout(WRITE_TIMEOUT).map_err(|e| explain(&e))?;
    Ok(port)
}

/// Writes to the port, also after it has come back.
struct PortWriter(Writing);

impl Write for PortWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        lock(&self.0).as_mut().map_or(Err(io::ErrorKind::NotConnected.into()), |port| port.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.0).as_mut().map_or(Err(io::ErrorKind::NotConnected.into()), Write::flush)
    }
}

fn is_pty(path: &Path) -> bool {
    // Also by way of a link, as socat makes them.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let prefixes: &[&str] = if cfg!(target_os = "macos") { &["/dev/ttys"] } else { &["/dev/pts/"] };
    real.to_str().is_some_and(|real| prefixes.iter().any(|prefix| real.starts_with(prefix)))
}

fn explain(error: &serialport::Error) -> io::Error {
    use serialport::ErrorKind;
    let kind = match error.kind() {
        ErrorKind::NoDevice => io::ErrorKind::NotFound,
        ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        ErrorKind::Unknown => io::ErrorKind::Other,
        ErrorKind::Io(kind) => kind,
    };
    let hint = match error.kind() {
        ErrorKind::NoDevice => ": does another program use the port?",
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => ": may this user open it (group dialout or uucp)?",
        ErrorKind::Unknown => ": is it a serial port?",
        _ => "",
    };
    io::Error::new(kind, format!("{}{hint}", error.description))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_port_that_hangs_up_has_vanished() {
        let away = State::Away(String::new());
        let mut line = SerialLine {
            path: "x".into(),
            baud: 1,
            reconnect: Duration::ZERO,
            is_pty: false,
            deadline: None,
            state: away,
            writing: Writing::default(),
        };
        assert_eq!(line.hung_up("No such device"), LineRead::Idle);
        let error = line.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.to_string(), "the port vanished (No such device)");
    }

    #[test]
    fn a_port_that_keeps_hanging_up_is_not_waited_for_longer() {
        let away = State::Away(String::new());
        let reconnect = Duration::from_mins(1);
        let writing = Writing::default();
        let mut line =
            SerialLine { path: "x".into(), baud: 1, reconnect, is_pty: true, deadline: None, state: away, writing };
        line.hung_up("once");
        let deadline = line.deadline;
        assert!(deadline.is_some());
        line.hung_up("twice");
        assert_eq!(line.deadline, deadline);
    }

    /// A pty is a serial port without hardware.
    #[cfg(unix)]
    mod on_a_pty {
        use std::os::unix::fs::symlink;

        use super::*;
        use crate::source::tests::{LIMIT, assert_idle, every_byte, read_to_end, read_until};
        use crate::source::unix::Pty;
        use crate::source::{DEFAULT_BAUD, SourceSpec};

        fn spec(path: &Path) -> SourceSpec {
            SourceSpec::parse(path.to_str().unwrap(), DEFAULT_BAUD).unwrap()
        }

        /// Reads a line until it fails.
        fn failure(line: &mut dyn Line) -> io::Error {
            let deadline = Instant::now() + LIMIT;
            loop {
                assert!(Instant::now() < deadline, "the line does not fail");
                match line.read(&mut [0; 100]) {
                    Ok(LineRead::Ended) => panic!("ended"),
                    Ok(_) => {}
                    Err(e) => return e,
                }
            }
        }

        #[test]
        fn a_pty_carries_every_byte_unchanged_to_a_serial_port() {
            let mut pty = Pty::open().unwrap();
            let mut line = spec(pty.slave_path()).open().unwrap();
            assert_idle(&mut *line);
            pty.write_all(&every_byte()).unwrap();
            assert_eq!(read_until(&mut *line, 512), (every_byte(), false));
            assert_idle(&mut *line);
        }

        #[test]
        fn a_serial_port_on_a_pty_ends_when_its_program_does() {
            let pty = Pty::open().unwrap();
            let mut line = spec(pty.slave_path()).open().unwrap();
            drop(pty);
            assert_eq!(read_to_end(&mut *line), b"");
        }

        #[test]
        fn a_vanished_port_is_waited_for() {
            let dir = tempfile::tempdir().unwrap();
            let alias = dir.path().join("ttyBoard");
            let mut pty = Pty::open().unwrap();
            symlink(pty.slave_path(), &alias).unwrap();
            let mut line = spec(&alias).with_reconnect(LIMIT).open().unwrap();
            pty.write_all(b"before").unwrap();
            assert_eq!(read_until(&mut *line, 6).0, b"before");

            // First the name, then the port: another pty may get the old number at once.
            std::fs::remove_file(&alias).unwrap();
            drop(pty);
            assert_idle(&mut *line);
            let mut other = Pty::open().unwrap();
            symlink(other.slave_path(), &alias).unwrap();
            other.write_all(b"after").unwrap();
            assert_eq!(read_until(&mut *line, 5).0, b"after");
        }

        #[test]
        fn a_port_that_stays_away_fails_by_name() {
            let dir = tempfile::tempdir().unwrap();
            let alias = dir.path().join("ttyBoard");
            let pty = Pty::open().unwrap();
            symlink(pty.slave_path(), &alias).unwrap();
            let mut line = spec(&alias).with_reconnect(Duration::from_millis(150)).open().unwrap();
            std::fs::remove_file(&alias).unwrap();
            drop(pty);
            let error = failure(&mut *line);
            assert_eq!(error.kind(), io::ErrorKind::NotConnected);
            assert!(error.to_string().contains("the port vanished and did not come back within 150ms"), "{error}");
        }

        #[test]
        fn what_cannot_be_a_serial_port_is_refused() {
            let error = spec(Path::new("/dev/null")).open().unwrap_err().to_string();
            assert!(
                error.starts_with("serial:/dev/null@115200: ") && error.contains("is it a serial port?"),
                "{error}"
            );
            let error = SourceSpec::parse("/dev/null", 0).unwrap_err().to_string();
            assert!(error.contains("baud"), "{error}");
        }
    }
}
