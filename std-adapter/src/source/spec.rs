use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "serial")]
use super::serial::SerialLine;
use super::{Line, net};

/// A source of bytes, as the user described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// A serial port, 8 data bits, no parity, 1 stop bit, no flow control.
    Serial {
        /// The device (`/dev/ttyACM0`) or port name (`COM3`).
        path: PathBuf,
        /// Bits per second.
        baud: u32,
        /// How long to wait for the port to come back after it vanished (a board being reset or replugged).
        reconnect: Duration,
    },
    /// A file or FIFO.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// A TCP server to connect to, `HOST:PORT`.
    Tcp(String),
    /// A TCP address to listen on, `HOST:PORT`, for one client.
    TcpListen(String),
    /// A Unix stream socket to connect to.
    Unix(PathBuf),
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing was given.
    #[error("the source is empty: give a serial port, a file, `-`, tcp:HOST:PORT, tcp-listen:PORT or unix:PATH")]
    Empty,
    /// Not an address.
    #[error("{spec}: {problem}: write it as {expected}")]
    Address {
        /// What was given.
        spec: String,
        /// What is wrong with it.
        problem: &'static str,
        /// The form it should have.
        expected: &'static str,
    },
    /// Nothing is at the path.
    #[error("{}: no such file or device: is it plugged in? `phasemeter ports` lists serial ports", .0.display())]
    Missing(PathBuf),
    /// Something is at the path, but nothing that can be read as a line.
    #[error("{}: is a {kind}, not a serial port or a file{hint}", path.display())]
    NotALine {
        /// The path.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
        /// What to do instead; empty or starting with `: `.
        hint: &'static str,
    },
    /// A baud rate of zero.
    #[error("{}: the baud rate must be above 0", .0.display())]
    Baud(PathBuf),
    /// The operating system has no such kind of source.
    #[error("{0}: Unix sockets are not available on this system: use tcp:HOST:PORT")]
    Unsupported(String),
    /// The program was built without the feature `serial`.
    #[error("{}: this program has no serial ports: build it with phasemeter's feature `serial`", .0.display())]
    NoSerial(PathBuf),
    /// Opening failed.
    #[error("{identity}: {cause}")]
    Open {
        /// The source, as [`SourceSpec::identity`] names it.
        identity: String,
        /// Why.
        cause: io::Error,
    },
}

impl SourceSpec {
    /// Reads a source from its text (see the [module](super)). A path is looked at, and what is there decides what
    /// it is; `baud` is for serial ports.
    ///
    /// # Errors
    ///
    /// [`SourceError`] with one line that names the source and what to do.
    pub fn parse(spec: &str, baud: u32) -> Result<Self, SourceError> {
        if let Some(address) = spec.strip_prefix("tcp:") {
            return Ok(Self::Tcp(host_and_port(spec, address, "tcp:HOST:PORT")?));
        }
        if let Some(address) = spec.strip_prefix("tcp-listen:") {
            let address = if address.contains(':') { address.to_owned() } else { format!("127.0.0.1:{address}") };
            return Ok(Self::TcpListen(host_and_port(spec, &address, "tcp-listen:PORT or tcp-listen:HOST:PORT")?));
        }
        match (spec, spec.strip_prefix("unix:")) {
            ("", _) => Err(SourceError::Empty),
            ("-", _) => Ok(Self::Stdin),
            (_, Some("")) => Err(SourceError::Address { spec: spec.into(), problem: "no path", expected: "unix:PATH" }),
            (_, Some(_)) if cfg!(not(unix)) => Err(SourceError::Unsupported(spec.into())),
            (_, Some(path)) => Ok(Self::Unix(path.into())),
            (_, None) => Self::from_path(Path::new(spec), baud),
        }
    }

    fn from_path(path: &Path, baud: u32) -> Result<Self, SourceError> {
        let kind = if cfg!(windows) && is_com_port(path) {
            Kind::Tty
        } else {
            kind_of(&fs::metadata(path).map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound => SourceError::Missing(path.into()),
                _ => SourceError::Open { identity: path.display().to_string(), cause },
            })?)
        };
        match kind {
            Kind::File => Ok(Self::File(path.into())),
            Kind::Tty if baud == 0 => Err(SourceError::Baud(path.into())),
            Kind::Tty => Ok(Self::Serial { path: path.into(), baud, reconnect: Duration::ZERO }),
            Kind::Other(kind, hint) => Err(SourceError::NotALine { path: path.into(), kind, hint }),
        }
    }

    /// For a serial port, waits up to `limit` for the port to come back after it vanished; changes no other source.
    #[must_use]
    pub fn with_reconnect(mut self, limit: Duration) -> Self {
        if let Self::Serial { reconnect, .. } = &mut self {
            *reconnect = limit;
        }
        self
    }

    /// A stable name for the capture and for messages: the kind of source and where it is.
    pub fn identity(&self) -> String {
        match self {
            Self::Serial { path, baud, .. } => format!("serial:{}@{baud}", path.display()),
            Self::File(path) => format!("file:{}", path.display()),
            Self::Stdin => "stdin".into(),
            Self::Tcp(address) => format!("tcp:{address}"),
            Self::TcpListen(address) => format!("tcp-listen:{address}"),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Opens the source. A `tcp-listen` source is only bound: its client is waited for while reading.
    ///
    /// # Errors
    ///
    /// [`SourceError::Open`] if the system refuses, [`SourceError::Unsupported`] or [`SourceError::NoSerial`].
    pub fn open(self) -> Result<Box<dyn Line>, SourceError> {
        let identity = self.identity();
        let opened: io::Result<Box<dyn Line>> = match self {
            #[cfg(feature = "serial")]
            Self::Serial { path, baud, reconnect } => SerialLine::open(path, baud, reconnect).map(boxed),
            #[cfg(not(feature = "serial"))]
            Self::Serial { path, .. } => return Err(SourceError::NoSerial(path)),
            Self::Tcp(address) => net::connect(&address).map(boxed),
            Self::TcpListen(address) => net::ListenLine::bind(&address).map(boxed),
            #[cfg(unix)]
            Self::File(path) => super::unix::open_file(&path).map(boxed),
            #[cfg(unix)]
            Self::Stdin => Ok(boxed(super::unix::FdLine::new(io::stdin()))),
            #[cfg(unix)]
            Self::Unix(path) => super::unix::connect(&path).map(boxed),
            #[cfg(not(unix))]
            Self::File(path) => fs::File::open(path).and_then(super::portable::ThreadLine::spawn).map(boxed),
            #[cfg(not(unix))]
            Self::Stdin => super::portable::ThreadLine::spawn(io::stdin()).map(boxed),
            #[cfg(not(unix))]
            Self::Unix(_) => return Err(SourceError::Unsupported(identity)),
        };
        opened.map_err(|cause| SourceError::Open { identity, cause })
    }
}

fn boxed(line: impl Line + 'static) -> Box<dyn Line> {
    Box::new(line)
}

fn host_and_port(spec: &str, address: &str, expected: &'static str) -> Result<String, SourceError> {
    let wrong = |problem| SourceError::Address { spec: spec.into(), problem, expected };
    let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
    if host.is_empty() {
        return Err(wrong("no host (127.0.0.1 is this machine, 0.0.0.0 every interface)"));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(wrong("an IPv6 address needs brackets, as in [::1]:9000"));
    }
    port.parse::<u16>().map_err(|_| wrong("the port is not a number from 0 to 65535"))?;
    Ok(address.to_owned())
}

/// Whether Windows would take the path for a serial port: `COM3`, `\\.\COM12`.
pub(super) fn is_com_port(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_uppercase();
    name.trim_start_matches(r"\\.\")
        .strip_prefix("COM")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

enum Kind {
    File,
    Tty,
    /// What it is, and what to do about it.
    Other(&'static str, &'static str),
}

fn kind_of(metadata: &fs::Metadata) -> Kind {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_char_device() {
            return Kind::Tty;
        }
        if kind.is_fifo() {
            return Kind::File;
        }
        if kind.is_socket() {
            return Kind::Other("Unix socket", ": write unix:PATH");
        }
        if kind.is_block_device() {
            return Kind::Other("block device", "");
        }
    }
    if metadata.is_file() {
        Kind::File
    } else if metadata.is_dir() {
        Kind::Other("directory", "")
    } else {
        Kind::Other("special file", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(spec: &str) -> String {
        let message = SourceSpec::parse(spec, 9600).unwrap_err().to_string();
        assert!(!message.contains('\n') && message.contains(spec), "{message}");
        message
    }

    #[test]
    fn addresses_are_checked_and_kept() {
        let parse = |spec| SourceSpec::parse(spec, 9600).unwrap();
        assert_eq!(parse("tcp:board.local:9000"), SourceSpec::Tcp("board.local:9000".into()));
        assert_eq!(parse("tcp:[::1]:9000"), SourceSpec::Tcp("[::1]:9000".into()));
        assert_eq!(parse("tcp-listen:9000"), SourceSpec::TcpListen("127.0.0.1:9000".into()));
        assert_eq!(parse("tcp-listen:0.0.0.0:0"), SourceSpec::TcpListen("0.0.0.0:0".into()));
        assert_eq!(parse("-"), SourceSpec::Stdin);
        for (spec, problem) in [
            ("tcp:host", "no port"),
            ("tcp:host:http", "not a number"),
            ("tcp:host:65536", "not a number"),
            ("tcp::9000", "no host"),
            ("tcp:::1:9000", "brackets"),
            ("tcp-listen:", "not a number"),
            ("tcp-listen::9000", "no host"),
            ("unix:", if cfg!(unix) { "no path" } else { "" }),
        ] {
            assert!(message(spec).contains(problem), "{}", message(spec));
        }
        assert!(SourceSpec::parse("", 9600).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn what_is_at_a_path_decides() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bytes.bin");
        fs::write(&file, "x").unwrap();
        assert_eq!(SourceSpec::parse(file.to_str().unwrap(), 9600).unwrap(), SourceSpec::File(file));
        assert!(message(dir.path().to_str().unwrap()).contains("is a directory"));
        assert!(message(dir.path().join("none").to_str().unwrap()).contains("no such file or device"));
    }

    #[cfg(not(feature = "serial"))]
    #[test]
    fn without_serial_ports_the_feature_is_named() {
        let spec = SourceSpec::Serial { path: "COM3".into(), baud: 9600, reconnect: Duration::ZERO };
        let error = spec.open().unwrap_err().to_string();
        assert!(error.starts_with("COM3: ") && error.contains("feature `serial`"), "{error}");
    }

    #[test]
    fn identities_are_stable() {
        let serial = SourceSpec::Serial { path: "COM3".into(), baud: 9600, reconnect: Duration::ZERO };
        assert_eq!(serial.identity(), "serial:COM3@9600");
        assert_eq!(serial.clone().with_reconnect(Duration::from_secs(5)).identity(), serial.identity());
        assert_eq!(SourceSpec::Stdin.with_reconnect(Duration::from_secs(5)), SourceSpec::Stdin);
        assert_eq!(SourceSpec::File("a/b".into()).identity(), "file:a/b");
        assert_eq!(SourceSpec::Tcp("h:1".into()).identity(), "tcp:h:1");
        assert_eq!(SourceSpec::TcpListen("h:1".into()).identity(), "tcp-listen:h:1");
        assert_eq!(SourceSpec::Unix("/s".into()).identity(), "unix:/s");
    }

    #[test]
    fn com_ports_are_recognised() {
        for (name, is) in [("COM3", true), (r"\\.\COM12", true), ("com1", true), ("COM", false), ("COMx", false)] {
            assert_eq!(is_com_port(Path::new(name)), is, "{name}");
        }
    }
}
