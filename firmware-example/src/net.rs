//! The network: one interface, and a TCP socket for each connection.

use core::net::SocketAddrV4;

use heapless::Vec;
use phasemeter_core::time::{Duration, Instant};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Address, Ipv4Cidr};

/// How many connections there are: so many requests are in flight at most.
pub const CONNECTIONS: usize = 8;

/// All receive buffers together have to fit into the network controller's memory: what a server sends to all
/// connections at once must not overflow it.
const RECEIVE: usize = 1_152;
const TRANSMIT: usize = SEGMENTS * SEGMENT;

/// How much of a request goes into one segment. Two of them are under way: a receiver may keep the acknowledgement of one back,
/// for 40 ms on Linux, which would be measured as the server's time; that of a second one it sends (RFC 1122, section 4.2.3.2).
pub(crate) const SEGMENT: usize = 256;
pub(crate) const SEGMENTS: usize = 2;

/// How long a connection may take to open.
const OPEN_WITHIN: time::Duration = time::Duration::from_secs(5);

/// Ports that are free for outgoing connections (RFC 6335).
const FIRST_PORT: u16 = 49_152;

/// Where the device is in its network.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The Ethernet address: unicast, its first byte even.
    pub mac: [u8; 6],
    /// The IPv4 address, unicast, and how much of it names the network.
    pub address: Ipv4Cidr,
    /// The way to other networks.
    pub gateway: Option<Ipv4Address>,
}

/// The memory of `N` TCP sockets with buffers of `R` and `T` bytes, for receiving and transmitting.
#[derive(Debug)]
pub struct SocketMemory<const N: usize, const R: usize, const T: usize> {
    /// Empty until it is used, so that all of this begins as zeros and takes no flash.
    sockets: Vec<SocketStorage<'static>, N>,
    receive: [[u8; R]; N],
    transmit: [[u8; T]; N],
}

impl<const N: usize, const R: usize, const T: usize> SocketMemory<N, R, T> {
    /// Memory that is not in use.
    pub const fn new() -> Self {
        Self { sockets: Vec::new(), receive: [[0; R]; N], transmit: [[0; T]; N] }
    }

    /// The sockets, closed.
    pub(crate) fn open(&'static mut self) -> (SocketSet<'static>, [SocketHandle; N]) {
        let Self { sockets, receive, transmit } = self;
        sockets.clear();
        sockets.extend([const { SocketStorage::EMPTY }; N]);
        let mut sockets = SocketSet::new(sockets.as_mut_slice());
        let mut buffers = receive.iter_mut().zip(transmit);
        let handles = core::array::from_fn(|_| {
            let (receive, transmit) = buffers
                .next()
                .map_or_else(Default::default, |(receive, transmit)| (receive.as_mut_slice(), transmit.as_mut_slice()));
            let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(transmit));
            // Delays of the stack's own making would be measured as the server's.
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            sockets.add(socket)
        });
        (sockets, handles)
    }
}

impl<const N: usize, const R: usize, const T: usize> Default for SocketMemory<N, R, T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The memory of the application's sockets.
pub type NetStorage = SocketMemory<CONNECTIONS, RECEIVE, TRANSMIT>;

/// The network interface and its sockets.
pub(crate) struct Net<D> {
    device: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    next_port: u16,
}

impl<D: Device> Net<D> {
    /// Brings the interface up; `seed` differs from boot to boot, so that a server never takes a connection for an old one.
    pub(crate) fn new(
        mut device: D,
        place: Place,
        seed: u64,
        now: Instant,
        storage: &'static mut NetStorage,
    ) -> (Self, [SocketHandle; CONNECTIONS]) {
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(place.mac)));
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, stack_time(now));
        interface.update_ip_addrs(|addresses| {
            // It is the first.
            let _ = addresses.push(IpCidr::Ipv4(place.address));
        });
        if let Some(gateway) = place.gateway {
            // So is this.
            let _ = interface.routes_mut().add_default_ipv4_route(gateway);
        }
        let (sockets, handles) = storage.open();
        #[expect(clippy::cast_possible_truncation, reason = "any part of the seed will do")]
        let next_port = FIRST_PORT | seed as u16;
        (Self { device, interface, sockets, next_port }, handles)
    }

    /// Moves frames in both directions.
    pub(crate) fn poll(&mut self, now: Instant) {
        self.interface.poll(stack_time(now), &mut self.device, &mut self.sockets);
    }

    /// Sends what waits to be sent. Takes no frame in, whose time would be read late.
    pub(crate) fn flush(&mut self, now: Instant) {
        self.interface.poll_egress(stack_time(now), &mut self.device, &mut self.sockets);
    }

    /// When the stack has something to do next of its own accord.
    pub(crate) fn next_due(&mut self, now: Instant) -> Instant {
        let due = self.interface.poll_at(stack_time(now), &self.sockets);
        due.map_or(Instant::MAX, device_time)
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Begins to open a connection; tells whether that was possible.
    pub(crate) fn connect(&mut self, handle: SocketHandle, to: SocketAddrV4, now: Instant) -> bool {
        if self.socket(handle).remote_endpoint().is_some() {
            // The reset of the last connection is still to be sent; else the server would keep its end of it.
            self.flush(now);
        }
        let port = self.free_port();
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        socket.set_timeout(Some(OPEN_WITHIN));
        socket.connect(self.interface.context(), (*to.ip(), to.port()), port).is_ok()
    }

    /// The next port that no connection has.
    fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
            let is_taken = self.sockets.iter().any(|(_, socket)| {
                let smoltcp::socket::Socket::Tcp(socket) = socket;
                socket.local_endpoint().is_some_and(|local| local.port == port)
            });
            // There are far more ports than sockets.
            if !is_taken {
                return port;
            }
        }
    }
}

/// A moment in the stack's terms, which are microseconds.
pub(crate) fn stack_time(now: Instant) -> time::Instant {
    time::Instant::from_micros(i64::try_from(now.as_nanos() / 1_000).unwrap_or(i64::MAX))
}

/// A moment of the stack's in the device's terms.
pub(crate) fn device_time(at: time::Instant) -> Instant {
    Instant::BOOT.saturating_add(Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)))
}
