use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::net;

/// How long to wait before the other side is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Why an output cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// A device that is not there must not become a file.
    #[error("{}: no such device: is it plugged in? `phasemeter ports` lists serial ports", .0.display())]
    NoDevice(PathBuf),
    /// Opening failed.
    #[error("{output}: {cause}")]
    Open {
        /// What the user wrote.
        output: String,
        /// Why.
        cause: io::Error,
    },
}

/// Opens where a device's bytes go: `tcp:HOST:PORT` connects, a terminal device is opened raw at `baud` bits a
/// second, `-` is standard output, and any other path is a file, created or emptied.
///
/// A TCP server that is not there yet is tried again for `patience`, as long as `goes_on`.
///
/// Writes may block until the other side reads. Bytes are not held back except by standard output: flush after each
/// frame.
///
/// # Errors
/// [`OutputError`] if it cannot be opened, or names a device under `/dev` that is not there.
pub fn open_output(
    output: &str,
    baud: u32,
    patience: Duration,
    goes_on: impl Fn() -> bool,
) -> Result<Box<dyn Write + Send>, OutputError> {
    let opened: io::Result<Box<dyn Write + Send>> = if output == "-" {
        Ok(Box::new(io::stdout()))
    } else if let Some(address) = output.strip_prefix("tcp:") {
        connect(address, patience, goes_on).map(|stream| Box::new(stream) as Box<_>)
    } else if output.starts_with("/dev/") && !Path::new(output).exists() {
        return Err(OutputError::NoDevice(output.into()));
    } else {
        open_path(Path::new(output), baud)
    };
    opened.map_err(|cause| OutputError::Open { output: output.to_owned(), cause })
}

fn connect(address: &str, patience: Duration, goes_on: impl Fn() -> bool) -> io::Result<TcpStream> {
    let deadline = Instant::now() + patience;
    loop {
        match net::connect_stream(address) {
            Ok(stream) => {
                // Frames are small and shall not wait for each other.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline && goes_on() =>
            {
                thread::sleep(RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn open_path(path: &Path, baud: u32) -> io::Result<Box<dyn Write + Send>> {
    use std::os::unix::fs::FileTypeExt;

    if path.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device()) {
        return Ok(Box::new(super::unix::open_device(path, baud)?));
    }
    Ok(Box::new(File::create(path)?))
}

#[cfg(not(unix))]
#[cfg_attr(not(feature = "serial"), expect(unused_variables, reason = "only a serial port has a baud rate"))]
fn open_path(path: &Path, baud: u32) -> io::Result<Box<dyn Write + Send>> {
    #[cfg(feature = "serial")]
    if super::spec::is_com_port(path) {
        return Ok(Box::new(super::serial::open_port(path, baud)?));
    }
    #[cfg(not(feature = "serial"))]
    if super::spec::is_com_port(path) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, super::SourceError::NoSerial(path.into())));
    }
    Ok(Box::new(File::create(path)?))
}
