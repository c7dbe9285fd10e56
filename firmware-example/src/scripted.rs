//! A server that follows a script, at the other end of a [`Wire`](crate::wire::Wire): the same requests get the same
//! answers at the same times, and the failures that were asked for.

use heapless::String;
use phasemeter_core::time::{Duration, Instant};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

use crate::net::{SocketMemory, device_time, stack_time};

/// One more than the application opens, so that a connection in its last moments is in nobody's way.
const SOCKETS: usize = 9;
const BUFFER: usize = 1_024;

/// What the server does to its requests.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Before the answer to a plain request.
    pub latency: Duration,
    /// Before the first token of a chat,
    pub first_token: Duration,
    /// and between two.
    pub inter_token: Duration,
    /// How many tokens a chat has.
    pub tokens: u32,
    /// What is to go wrong with the request of this number, from 0.
    pub fault: fn(u32) -> Fault,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The connection is reset in mid-response.
    Reset,
    /// The connection is closed in mid-response.
    Truncate,
    /// No answer comes.
    Stall,
    /// The answer is an error.
    Status500,
    /// The answer is an error, and comes before the request is whole.
    EarlyError,
    /// The answer is no HTTP.
    Garbage,
    /// The connection is closed after the response.
    Close,
}

/// The memory of the server's sockets.
pub type ScriptedStorage = SocketMemory<SOCKETS, BUFFER, BUFFER>;

/// The server.
pub struct ScriptedPeer<D> {
    device: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    sessions: [Session; SOCKETS],
    port: u16,
    script: Script,
    requests: u32,
}

impl<D: Device> ScriptedPeer<D> {
    /// A server at `address` and `port`.
    pub fn new(
        mut device: D,
        address: Ipv4Cidr,
        port: u16,
        script: Script,
        storage: &'static mut ScriptedStorage,
    ) -> Self {
        let mac = EthernetAddress([2, 0, 0, 0, 0, 2]);
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ethernet(mac)), &mut device, stack_time(Instant::BOOT));
        interface.update_ip_addrs(|addresses| {
            // It is the first.
            let _ = addresses.push(IpCidr::Ipv4(address));
        });
        let (sockets, handles) = storage.open();
        let sessions = handles.map(|handle| Session { handle, stage: Stage::Listening });
        Self { device, interface, sockets, sessions, port, script, requests: 0 }
    }

    /// How many requests have come.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// Stops listening, or listens again: connections that are being opened are refused meanwhile.
    pub const fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Does what can be done now, and tells when it has more to do.
    pub fn poll(&mut self, now: Instant) -> Instant {
        self.interface.poll(stack_time(now), &mut self.device, &mut self.sockets);
        let mut due = Instant::MAX;
        for session in &mut self.sessions {
            let socket = self.sockets.get_mut::<tcp::Socket>(session.handle);
            due = due.min(session.poll(socket, self.port, &self.script, &mut self.requests, now));
        }
        self.interface.poll(stack_time(now), &mut self.device, &mut self.sockets);
        let stack = self.interface.poll_at(stack_time(now), &self.sockets);
        due.min(stack.map_or(Instant::MAX, device_time))
    }
}

/// One connection.
#[derive(Debug)]
struct Session {
    handle: SocketHandle,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Listening,
    Reading(Incoming),
    Answering { is_chat: bool, fault: Fault, sent: u32, due: Instant },
    Stalled,
}

impl Session {
    fn poll(
        &mut self,
        socket: &mut tcp::Socket<'_>,
        port: u16,
        script: &Script,
        requests: &mut u32,
        now: Instant,
    ) -> Instant {
        if socket.state() == tcp::State::CloseWait {
            socket.close();
        }
        if !socket.is_open() || (socket.is_listening() && socket.listen_endpoint().port != port) {
            socket.abort();
            // Fails for port 0: nothing listens then.
            let _ = socket.listen(port);
            self.stage = Stage::Listening;
        }
        if matches!(self.stage, Stage::Listening) && socket.may_recv() && socket.may_send() {
            self.stage = Stage::Reading(Incoming::default());
        }
        if let Stage::Reading(incoming) = &mut self.stage {
            let fault = (script.fault)(*requests);
            let is_read = |incoming: &Incoming| match fault {
                Fault::EarlyError => incoming.body.is_some(),
                _ => incoming.is_whole(),
            };
            while socket.can_recv() && !is_read(incoming) {
                let taken = socket.recv(|bytes| {
                    let used = bytes.iter().take_while(|byte| incoming.push(**byte)).count();
                    // The byte that completes the request was taken as well.
                    let used = if incoming.is_whole() { used + 1 } else { used };
                    (used.min(bytes.len()), ())
                });
                if taken.is_err() {
                    break;
                }
            }
            if is_read(incoming) {
                *requests = requests.saturating_add(1);
                let is_chat = incoming.is_chat;
                let due = now.saturating_add(if is_chat { script.first_token } else { script.latency });
                self.stage = match fault {
                    Fault::Stall => Stage::Stalled,
                    fault => Stage::Answering { is_chat, fault, sent: 0, due },
                };
            }
        }
        self.answer(socket, script, now)
    }

    fn answer(&mut self, socket: &mut tcp::Socket<'_>, script: &Script, now: Instant) -> Instant {
        loop {
            let Stage::Answering { is_chat, fault, sent, due } = &mut self.stage else { return Instant::MAX };
            if now < *due {
                return *due;
            }
            if *fault == Fault::Reset && *sent > 0 {
                socket.abort();
                return Instant::MAX;
            }
            let (piece, steps) = piece(*is_chat, *fault, *sent, script.tokens);
            if socket.send_capacity().saturating_sub(socket.send_queue()) < piece.len() {
                return Instant::MAX;
            }
            // There is room, unless the client has gone.
            let _ = socket.send_slice(piece.as_bytes());
            *sent = sent.saturating_add(1);
            match (*fault, steps) {
                // What was sent is to arrive before.
                (Fault::Reset, _) => *due = now.saturating_add(Duration::from_millis(1)),
                (Fault::Truncate | Fault::Garbage, _) | (Fault::Close, Steps::Last) => {
                    socket.close();
                    self.stage = Stage::Stalled;
                }
                (_, Steps::Last) => self.stage = Stage::Reading(Incoming::default()),
                (_, Steps::AtOnce) => {}
                (_, Steps::Later) => *due = due.saturating_add(script.inter_token),
            }
        }
    }
}

/// What comes after a piece of a response.
enum Steps {
    AtOnce,
    Later,
    Last,
}

const PLAIN_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n";
const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";
const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nno.\n";
const CHAT_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const TOKEN: &str = "39\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"t\"}}]}\n\n\r\n";
const DONE: &str = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

/// The piece of this number: a response to a plain request has one; a chat has its head, then its tokens.
fn piece(is_chat: bool, fault: Fault, number: u32, tokens: u32) -> (&'static str, Steps) {
    match (fault, is_chat, number) {
        (Fault::Garbage, ..) => ("220 this is no web server\r\n", Steps::Last),
        (Fault::Status500 | Fault::EarlyError, ..) => (ERROR, Steps::Last),
        (Fault::Reset | Fault::Truncate, false, _) => (PLAIN_HEAD, Steps::Last),
        (_, false, _) => (PLAIN, Steps::Last),
        (_, true, 0) => (CHAT_HEAD, Steps::AtOnce),
        (_, true, number) if number < tokens => (TOKEN, Steps::Later),
        (_, true, number) if number == tokens => (TOKEN, Steps::AtOnce),
        _ => (DONE, Steps::Last),
    }
}

/// A request, as far as it has come: whether it is a chat, and where it ends.
#[derive(Debug, Default)]
struct Incoming {
    is_chat: bool,
    line: String<24>,
    line_length: usize,
    lines: usize,
    body: Option<usize>,
    length: usize,
}

impl Incoming {
    fn is_whole(&self) -> bool {
        self.body == Some(0)
    }

    /// Takes a byte; tells whether more are to come.
    fn push(&mut self, byte: u8) -> bool {
        if let Some(left) = &mut self.body {
            *left = left.saturating_sub(1);
        } else if byte == b'\n' {
            self.end_line();
        } else if byte != b'\r' {
            // Only the beginning of a line matters.
            let _ = self.line.push(char::from(byte));
            self.line_length = self.line_length.saturating_add(1);
        }
        !self.is_whole()
    }

    fn end_line(&mut self) {
        if self.lines == 0 {
            self.is_chat = self.line.starts_with("POST ");
        } else if let Some(length) = self.line.strip_prefix("Content-Length: ") {
            self.length = length.parse().unwrap_or(0);
        } else if self.line_length == 0 {
            self.body = Some(self.length);
        }
        self.lines = self.lines.saturating_add(1);
        self.line.clear();
        self.line_length = 0;
    }
}
