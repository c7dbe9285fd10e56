//! A network with one server, a real one: each connection that comes over the wire goes on over the loopback interface.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use phasemeter_core::time::{Duration, Instant};
use phasemeter_firmware::net::CONNECTIONS;
use phasemeter_firmware::wire::End;
use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{self, SocketBuffer, State};
use smoltcp::time;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

use super::{PORT, Peer, SERVER};

/// The application may open all its connections again before the last ones are gone here.
const SOCKETS: usize = 2 * CONNECTIONS;
const BUFFER: usize = 4_096;
/// A std stream does not tell when it has something: it is asked so often.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// The far end of the wire.
pub struct Bridge {
    device: End<'static>,
    interface: Interface,
    sockets: SocketSet<'static>,
    tunnels: Vec<Tunnel>,
    server: SocketAddr,
}

impl Bridge {
    /// A bridge to `server`.
    pub fn new(mut device: End<'static>, server: SocketAddr) -> Self {
        let mac = EthernetAddress([2, 0, 0, 0, 0, 2]);
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ethernet(mac)), &mut device, time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(SERVER, 24))).unwrap());
        let mut sockets = SocketSet::new(Box::leak(Box::new([SocketStorage::EMPTY; SOCKETS])).as_mut_slice());
        let buffer = || SocketBuffer::new(Box::leak(Box::new([0; BUFFER])).as_mut_slice());
        let tunnel = |_| {
            let mut socket = tcp::Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            Tunnel { handle: sockets.add(socket), stream: None }
        };
        let tunnels = (0..SOCKETS).map(tunnel).collect();
        Self { device, interface, sockets, tunnels, server }
    }
}

impl Peer for Bridge {
    fn poll(&mut self, now: Instant) -> Instant {
        let Self { device, interface, sockets, tunnels, server } = self;
        let instant = time::Instant::from_micros(i64::try_from(now.as_nanos() / 1_000).unwrap());
        // Not all at once: a connection that the server refuses must not have been accepted here before.
        while interface.poll_ingress_single(instant, device, sockets) != PollIngressSingleResult::None {}
        let mut is_busy = false;
        for tunnel in tunnels {
            is_busy |= tunnel.poll(sockets.get_mut(tunnel.handle), *server);
        }
        interface.poll_egress(instant, device, sockets);
        if is_busy { now } else { now.saturating_add(LOOK_AGAIN) }
    }
}

/// One connection, or the readiness for one.
struct Tunnel {
    handle: SocketHandle,
    stream: Option<TcpStream>,
}

impl Tunnel {
    /// Moves what can be moved; tells whether there was anything.
    fn poll(&mut self, socket: &mut tcp::Socket<'_>, server: SocketAddr) -> bool {
        if !socket.is_open() {
            // If it was reset: so does the system as soon as the server says more, for nobody is here to take it.
            self.stream = None;
            // A reset that is still to be sent comes first.
            if socket.remote_endpoint().is_none() {
                socket.listen(PORT).unwrap();
            }
        }
        if !socket.is_active() {
            return false;
        }
        if self.stream.is_none() {
            self.stream = connect(server).ok();
        }
        let carried = self.stream.as_mut().map(|stream| carry(socket, stream));
        if let Some(Ok(is_busy)) = carried {
            return is_busy;
        }
        // Refused or reset: so it is for the application.
        socket.abort();
        true
    }
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Moves bytes and ends in both directions; tells whether there were any bytes.
fn carry(socket: &mut tcp::Socket<'_>, stream: &mut TcpStream) -> io::Result<bool> {
    let mut is_busy = false;
    if socket.can_recv() {
        let written = socket.recv(|bytes| moved(stream.write(bytes))).map_err(io::Error::other)??;
        is_busy |= written.is_some();
    } else if !socket.may_recv() && socket.state() != State::SynReceived {
        // The application's end. It may have been passed on before, and then the server may be gone.
        let _ = stream.shutdown(Shutdown::Write);
    }
    if socket.can_send() {
        let read = socket.send(|room| moved(stream.read(room))).map_err(io::Error::other)??;
        is_busy |= read.is_some();
        if read == Some(0) {
            socket.close();
        }
    }
    Ok(is_busy)
}

/// How many bytes a stream took or gave, for the socket and for the caller; `None` if it would have had to wait.
fn moved(result: io::Result<usize>) -> (usize, io::Result<Option<usize>>) {
    match result {
        Ok(count) => (count, Ok(Some(count))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, Ok(None)),
        Err(error) => (0, Err(error)),
    }
}
