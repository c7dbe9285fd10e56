//! One TCP address for many devices, told apart by the names with which they introduce themselves.
//!
//! Each device has a line of its own. A connection belongs to none until its first hello has come; what came before the
//! hello goes to the line unchanged. A device that connects again continues its line.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use phasemeter_core::telemetry::{self, Frame, Received};

use super::net::{ACCEPT_INTERVAL, TcpLine};
use super::{Line, LineRead, READ_TIMEOUT, is_idle};

/// So many connections that have not introduced themselves are kept; then the oldest is closed.
const MAX_STRANGERS: usize = 64;
/// A device says hello every second: what sends so much without one is none.
const MAX_BEFORE_HELLO: usize = 256 * 1024;
/// A device of the same name with another boot is the same one, restarted, if its old connection has been silent for so
/// long; else there are two of one name.
const RESTARTED_AFTER: Duration = Duration::from_secs(2);
/// So many connections of a device wait for its line to come to them.
const MAX_NEXT: usize = 8;
/// So much news waits for who wants to know; more is left out.
const QUEUED_NEWS: usize = 256;

/// Lines that wait for their devices.
#[derive(Debug)]
pub struct Listening {
    /// Where devices connect to.
    pub address: SocketAddr,
    /// A line for each device, in the order in which they come. It ends when its device has gone and does not come back in
    /// time.
    pub lines: Vec<Box<dyn Line>>,
    /// Who came, and who was refused.
    pub news: Receiver<ListenNews>,
}

/// What happened at the address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenNews {
    /// A device has come.
    Came {
        /// Its name.
        device_id: String,
        /// Its address.
        from: SocketAddr,
        /// How many have come with it,
        count: usize,
        /// of so many.
        devices: usize,
    },
    /// A device that had come before has connected again.
    Back {
        /// Its name.
        device_id: String,
        /// Its address.
        from: SocketAddr,
    },
    /// A connection was closed.
    Refused {
        /// Its address.
        from: SocketAddr,
        /// Why, in words.
        reason: String,
    },
}

impl fmt::Display for ListenNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Came { device_id, from, count, devices } => {
                write!(f, "device {device_id} has come from {from} ({count} of {devices})")
            }
            Self::Back { device_id, from } => write!(f, "device {device_id} is back, from {from}"),
            Self::Refused { from, reason } => write!(f, "{from} was refused: {reason}"),
        }
    }
}

/// Listens on `HOST:PORT` for so many devices; each may be away for `reconnect` before its line ends.
///
/// # Errors
///
/// That the address cannot be listened on.
pub fn listen(address: &str, devices: usize, reconnect: Duration) -> io::Result<Listening> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let seats: Vec<_> = (0..devices).map(|_| Arc::<Seat>::default()).collect();
    let (sender, news) = sync_channel(QUEUED_NEWS);
    let in_use = Arc::new(());
    let lines = seats.iter().map(|seat| -> Box<dyn Line> {
        let (seat, in_use) = (Arc::clone(seat), Arc::clone(&in_use));
        Box::new(DeviceLine { seat, connected: None, before: Vec::new(), reconnect, _in_use: in_use })
    });
    let lines = lines.collect();
    let door = Door { listener, seats, in_use: Arc::downgrade(&in_use), strangers: VecDeque::new(), news: sender };
    thread::Builder::new().name("listener".to_owned()).spawn(move || door.keep())?;
    Ok(Listening { address, lines, news })
}

/// The place of one device, between the listener and the device's line.
#[derive(Default)]
struct Seat {
    state: Mutex<SeatState>,
    came: Condvar,
}

#[derive(Default)]
struct SeatState {
    /// The name and the boot that the device told last; `None` until it has come.
    device: Option<(String, u32)>,
    /// Its connections that the line has not taken yet, and what came over them.
    next: VecDeque<(TcpStream, Vec<u8>)>,
    /// For commands; `None` while it is away.
    writer: Option<Arc<TcpStream>>,
    /// When something came last, or the device went.
    last_sign: Option<Instant>,
    has_ended: bool,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, SeatState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeatState {
    fn is_away(&self) -> bool {
        self.writer.is_none()
    }

    /// A connection has ended.
    fn went(&mut self) {
        if self.next.is_empty() {
            (self.writer, self.last_sign) = (None, Some(Instant::now()));
        }
    }

    /// Whether a device of this name and boot is the one that sits here.
    fn is_of(&self, device_id: &str, boot: u32) -> bool {
        let Some((known, known_boot)) = &self.device else { return false };
        let is_silent = || self.last_sign.is_none_or(|at| at.elapsed() >= RESTARTED_AFTER);
        known == device_id && (*known_boot == boot || self.is_away() || is_silent())
    }
}

/// The line of one device.
struct DeviceLine {
    seat: Arc<Seat>,
    connected: Option<TcpLine>,
    /// What came before the line had the connection, and has not been read.
    before: Vec<u8>,
    reconnect: Duration,
    /// The door is kept as long as there are lines.
    _in_use: Arc<()>,
}

impl DeviceLine {
    /// Takes the next connection, or waits a moment for it.
    fn wait(&mut self) -> LineRead {
        let mut state = self.seat.lock();
        if state.next.is_empty() {
            if let (Some(_), Some(gone)) = (&state.device, state.last_sign)
                && gone.elapsed() >= self.reconnect
            {
                state.has_ended = true;
                return LineRead::Ended;
            }
            state = self.seat.came.wait_timeout(state, READ_TIMEOUT).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some((stream, before)) = state.next.pop_front() {
            drop(state);
            self.before = before;
            self.connected = TcpLine::new(stream).ok();
            if self.connected.is_none() {
                self.seat.lock().went();
            }
        }
        LineRead::Idle
    }
}

impl Line for DeviceLine {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        if !self.before.is_empty() {
            let length = self.before.len().min(buf.len());
            buf[..length].copy_from_slice(&self.before[..length]);
            self.before.drain(..length);
            return Ok(LineRead::Bytes(length));
        }
        let Some(connected) = &mut self.connected else { return Ok(self.wait()) };
        let read = connected.read(buf);
        let mut state = self.seat.lock();
        match read {
            Ok(LineRead::Bytes(length)) => {
                state.last_sign = Some(Instant::now());
                return Ok(LineRead::Bytes(length));
            }
            // The old connection has nothing more to give; the new one is taken with the next call.
            Ok(LineRead::Idle) if !state.next.is_empty() => self.connected = None,
            Ok(LineRead::Idle) => {}
            Ok(LineRead::Ended) | Err(_) => {
                self.connected = None;
                state.went();
            }
        }
        Ok(LineRead::Idle)
    }

    fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        if self.seat.lock().is_away() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(Box::new(DeviceWriter(Arc::clone(&self.seat))))
    }
}

/// Writes to the connection that the device has.
struct DeviceWriter(Arc<Seat>);

impl Write for DeviceWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let writer = self.0.lock().writer.clone();
        writer.map_or(Err(io::ErrorKind::NotConnected.into()), |stream| (&*stream).write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that has not introduced itself.
struct Stranger {
    stream: TcpStream,
    from: SocketAddr,
    receiver: telemetry::Receiver<1024>,
    said: Vec<u8>,
}

/// What a look at a stranger shows.
enum Look {
    Waits,
    Gone,
    Introduced(String, u32),
    Talks,
}

impl Stranger {
    fn look(&mut self) -> Look {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Look::Gone,
                Ok(length) => {
                    self.said.extend_from_slice(&buffer[..length]);
                    if let Some((device_id, boot)) = self.hello(&buffer[..length]) {
                        return Look::Introduced(device_id, boot);
                    }
                    if self.said.len() > MAX_BEFORE_HELLO {
                        return Look::Talks;
                    }
                }
                Err(error) if is_idle(&error) => return Look::Waits,
                Err(_) => return Look::Gone,
            }
        }
    }

    fn hello(&mut self, mut bytes: &[u8]) -> Option<(String, u32)> {
        while let Some(received) = self.receiver.take(&mut bytes) {
            if let Received::Frame(envelope) = received
                && let Frame::Hello(hello) = &envelope.frame
            {
                return Some((hello.device_id.to_owned(), envelope.boot));
            }
        }
        None
    }
}

/// Lets devices in.
struct Door {
    listener: TcpListener,
    seats: Vec<Arc<Seat>>,
    in_use: Weak<()>,
    strangers: VecDeque<Stranger>,
    news: SyncSender<ListenNews>,
}

impl Door {
    /// Until nobody reads the lines any more.
    fn keep(mut self) {
        while self.in_use.strong_count() > 0 {
            self.accept();
            for _ in 0..self.strangers.len() {
                let Some(mut stranger) = self.strangers.pop_front() else { break };
                match stranger.look() {
                    Look::Waits => self.strangers.push_back(stranger),
                    Look::Gone => {}
                    Look::Introduced(device_id, boot) => self.seat(stranger, device_id, boot),
                    Look::Talks => self.refuse(
                        stranger.from,
                        format!("it sent {MAX_BEFORE_HELLO} bytes and did not introduce itself as a device"),
                    ),
                }
            }
            thread::sleep(ACCEPT_INTERVAL);
        }
    }

    /// Takes who has connected. Any failure is that of one client, or passes: there may be too many open files.
    fn accept(&mut self) {
        while let Ok((stream, from)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.strangers.len() >= MAX_STRANGERS {
                self.strangers.pop_front();
            }
            self.strangers.push_back(Stranger { stream, from, receiver: telemetry::Receiver::new(), said: Vec::new() });
        }
    }

    fn seat(&self, stranger: Stranger, device_id: String, boot: u32) {
        let from = stranger.from;
        if device_id.trim().is_empty() {
            return self.refuse(from, "it has no name to be told from others by".to_owned());
        }
        let own = self.seats.iter().find(|seat| seat.lock().is_of(&device_id, boot));
        let free = || self.seats.iter().find(|seat| seat.lock().device.is_none());
        let Some(seat) = own.or_else(free) else {
            let devices = self.seats.len();
            return self.refuse(from, format!("device {device_id} is one too many (--devices {devices})"));
        };
        let mut state = seat.lock();
        if state.has_ended || state.next.len() >= MAX_NEXT {
            return self.refuse(from, format!("device {device_id} comes back too late or too often"));
        }
        // Blocking again, as a line is read.
        let writer = stranger.stream.set_nonblocking(false).and_then(|()| stranger.stream.try_clone());
        let Ok(writer) = writer else { return };
        let is_new = state.device.is_none();
        state.device = Some((device_id.clone(), boot));
        (state.writer, state.last_sign) = (Some(Arc::new(writer)), Some(Instant::now()));
        state.next.push_back((stranger.stream, stranger.said));
        drop(state);
        seat.came.notify_all();
        self.tell(if is_new {
            let count = self.seats.iter().filter(|seat| seat.lock().device.is_some()).count();
            ListenNews::Came { device_id, from, count, devices: self.seats.len() }
        } else {
            ListenNews::Back { device_id, from }
        });
    }

    fn refuse(&self, from: SocketAddr, reason: String) {
        self.tell(ListenNews::Refused { from, reason });
    }

    fn tell(&self, news: ListenNews) {
        // If nobody wants to know, devices are let in all the same.
        let _ = self.news.try_send(news);
    }
}

#[cfg(test)]
mod tests;
