//! A line with faults that are injected on purpose, so that whoever records can see how a device and its reports fare on
//! a bad line.

mod injector;
mod spec;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;

pub use injector::FaultInjector;
pub use spec::{FaultSpec, FaultSpecError};

use super::{Line, LineRead};

/// A [`Line`] whose bytes reach the reader with faults. What is written to the device passes unharmed.
///
/// The same bytes and the same [`FaultSpec`] give the same faults, whatever the sizes of the reads.
///
/// ```
/// use phasemeter::source::{FaultSpec, Faulty, Line, LineRead, in_process};
/// use std::io::Write;
///
/// let (mut device, line) = in_process()?;
/// let faults: FaultSpec = "drop=1".parse()?;
/// let mut line = Faulty::new(line, &faults);
/// device.write_all(&[0, 1, 2, 3, 0])?;
/// drop(device);
/// let mut buf = [0; 64];
/// while line.read(&mut buf)? != LineRead::Ended {}
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Faulty<L> {
    line: L,
    spec: String,
    injector: FaultInjector,
    /// What the reader is yet to get, from this place on.
    ready: (Vec<u8>, usize),
    /// How the line has ended, once it has.
    end: Option<io::Result<LineRead>>,
}

impl<L: Line> Faulty<L> {
    /// A line like this one, but for the faults.
    pub fn new(line: L, spec: &FaultSpec) -> Self {
        let injector = FaultInjector::new(spec);
        Self { line, spec: spec.to_string(), injector, ready: (Vec::new(), 0), end: None }
    }
}

impl<L: Line> Line for Faulty<L> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        let (ready, from) = &mut self.ready;
        if *from == ready.len() {
            ready.clear();
            *from = 0;
            if self.end.is_none() {
                match self.line.read(buf) {
                    Ok(LineRead::Bytes(bytes)) => self.injector.pass(&buf[..bytes], ready),
                    Ok(LineRead::Idle) => {}
                    ended => {
                        self.injector.end(ready);
                        self.end = Some(ended);
                    }
                }
            }
        }
        let bytes = buf.len().min(ready.len() - *from);
        if bytes == 0 {
            return self.end.take().unwrap_or(Ok(LineRead::Idle));
        }
        buf[..bytes].copy_from_slice(&ready[*from..*from + bytes]);
        *from += bytes;
        Ok(LineRead::Bytes(bytes))
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        self.line.writer()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.line.local_addr()
    }

    fn faults(&self) -> Option<&str> {
        Some(&self.spec)
    }
}
