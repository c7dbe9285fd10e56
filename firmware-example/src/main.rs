//! spike
#![no_std]
#![no_main]
mod board;
use board::Board;
use cortex_m_rt::entry;
use phasemeter_core::time::{Clock, Nanos};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::*;
use embedded_io::Write as _;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    #[cfg(feature="semihosting")]
    { board::semihosting::print(format_args!("{info}")); board::semihosting::exit(false); }
    loop {}
}

#[entry]
fn main() -> ! {
    let mac = [2,0,0,0,0,1];
    let mut b = match Board::start(mac) { Ok(b)=>b, Err(e)=>panic!("{e}") };
    let mut iface = Interface::new(Config::new(HardwareAddress::Ethernet(EthernetAddress(mac))), &mut b.network, Instant::ZERO);
    iface.update_ip_addrs(|a| { a.push(IpCidr::new(IpAddress::v4(10,0,2,15),24)).ok(); });
    iface.routes_mut().add_default_ipv4_route(Ipv4Address::new(10,0,2,2)).ok();
    let mut rx = [0;2048]; let mut tx=[0;1024];
    let mut s = tcp::Socket::new(tcp::SocketBuffer::new(&mut rx[..]), tcp::SocketBuffer::new(&mut tx[..]));
    s.set_ack_delay(None); s.set_nagle_enabled(false);
    let mut st: [_;1] = Default::default();
    let mut set = SocketSet::new(&mut st[..]);
    let h = set.add(s);
    let mut n = 0u32; let mut waiting=false; let mut tail=[0u8;4];
    let mut last = b.clock.now();
    let mut buf=[0;64];
    board::semihosting::print(format_args!("cmd {:?} boot {:x}", board::semihosting::command_line(&mut buf), board::boot::id(0)));
    loop {
        let now = b.clock.now();
        iface.poll(Instant::from_micros((now.get()/1000) as i64), &mut b.network, &mut set);
        let s = set.get_mut::<tcp::Socket>(h);
        if !s.is_open() { s.connect(iface.context(), (IpAddress::v4(10,0,2,2), 18080), 49152).unwrap(); waiting=false; }
        if s.can_recv() { s.recv(|d| { for x in d.iter() { tail=[tail[1],tail[2],tail[3],*x]; } (d.len(),()) }).unwrap(); if tail==*b"ok\r\n" || tail.ends_with(b"k\n") || true { n+=1; waiting=false; } }
        if s.can_send() && !waiting { s.send_slice(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap(); waiting=true; iface.poll(Instant::from_micros((now.get()/1000) as i64), &mut b.network, &mut set); }
        let now = b.clock.now();
        if now.since(last) > Nanos::from_secs(1) { last = now; let (sl,up)=b.sleep.statistics();
            board::semihosting::print(format_args!("{n} slept {} of {} stack {}", sl.get()/1000, up.get()/1000, board::stack::high_water()));
            let _ = b.serial.write(b"tick\n"); n=0; if up > Nanos::from_secs(5) { board::semihosting::exit(true); } }
        b.sleep.until(now.saturating_add(Nanos::from_millis(1)));
    }
}
