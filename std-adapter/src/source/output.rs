use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::net;

/// Opens where a device's bytes go: `tcp:HOST:PORT` connects, a terminal device is opened raw at `baud` bits a
/// second, `-` is standard output, and any other path is a file, created or emptied.
///
/// Writes may block until the other side reads. Bytes are not held back except by standard output: flush after each
/// frame.
///
/// # Errors
///
/// If it cannot be opened; the message names `spec`.
pub fn open_output(spec: &str, baud: u32) -> io::Result<Box<dyn Write + Send>> {
    let opened: io::Result<Box<dyn Write + Send>> = if spec == "-" {
        Ok(Box::new(io::stdout()))
    } else if let Some(address) = spec.strip_prefix("tcp:") {
        net::connect_stream(address).and_then(|stream| {
            // Frames are small and shall not wait for each other.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<_>)
        })
    } else {
        open_path(Path::new(spec), baud)
    };
    opened.map_err(|e| io::Error::new(e.kind(), format!("{spec}: {e}")))
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
