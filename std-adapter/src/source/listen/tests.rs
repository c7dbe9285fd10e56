use std::io::Write;
use std::net::TcpStream;

use super::*;
use crate::session::tests::device::loaded;
use crate::source::tests::LIMIT;

/// The frames of a device; the first is its hello.
fn frames(device_id: &str, boot: u64) -> Vec<Vec<u8>> {
    loaded(device_id, boot, &[vec![1_000; 5]]).remove(0).frames
}

fn connect(listening: &Listening, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(listening.address).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Reads so many bytes.
#[track_caller]
fn read(line: &mut dyn Line, length: usize) -> Vec<u8> {
    let (mut bytes, deadline) = (Vec::new(), Instant::now() + LIMIT);
    while bytes.len() < length {
        assert!(Instant::now() < deadline, "{} of {length} bytes came", bytes.len());
        let mut buffer = [0; 100];
        match line.read(&mut buffer).unwrap() {
            LineRead::Bytes(length) => bytes.extend_from_slice(&buffer[..length]),
            LineRead::Idle => {}
            LineRead::Ended => panic!("the line ended"),
        }
    }
    bytes
}

#[track_caller]
fn news(listening: &Listening) -> String {
    let news = listening.news.recv_timeout(LIMIT).unwrap().to_string();
    // The port is the client's own.
    news.split(" from 127").next().unwrap().to_owned() + news.split_once(" (").map_or("", |(_, count)| count)
}

fn open(devices: usize, reconnect: Duration) -> Listening {
    listen("127.0.0.1:0", devices, reconnect).unwrap()
}

#[test]
fn devices_have_a_line_each_in_the_order_in_which_they_introduce_themselves() {
    let mut listening = open(2, LIMIT);
    let strays: Vec<_> = (0..3).map(|_| connect(&listening, b"")).collect();
    drop(connect(&listening, b"GET / HTTP/1.1\r\n\r\n"));
    let (a, b) = (frames("a", 1).concat(), frames("b", 2).concat());
    // The first to connect is not the first to say who it is.
    let mut late = connect(&listening, b"booting\r\n");
    let _b = connect(&listening, &b);
    assert_eq!(news(&listening), "device b has come1 of 2)");
    late.write_all(&a).unwrap();
    assert_eq!(news(&listening), "device a has come2 of 2)");
    assert_eq!(read(&mut *listening.lines[0], b.len()), b);
    assert_eq!(read(&mut *listening.lines[1], 9 + a.len()), [b"booting\r\n", &a[..]].concat());
    let _c = connect(&listening, &frames("c", 3).concat());
    let refused = listening.news.recv_timeout(LIMIT).unwrap().to_string();
    assert!(refused.ends_with("was refused: device c is one too many (--devices 2)"), "{refused}");
    drop(strays);
}

#[test]
fn a_device_that_connects_again_continues_its_line() {
    let mut listening = open(1, LIMIT);
    let frames = frames("a", 1);
    let all = frames.concat();
    let (first, rest) = all.split_at(all.len() / 2);
    drop(connect(&listening, first));
    assert_eq!(news(&listening), "device a has come1 of 1)");
    // Every hello names the device.
    let again = [&frames[0][..], rest].concat();
    let mut stream = connect(&listening, &again);
    assert_eq!(news(&listening), "device a is back,");
    assert_eq!(read(&mut *listening.lines[0], first.len() + again.len()), [first, &again].concat());
    // Commands go to where the device is now.
    listening.lines[0].writer().unwrap().write_all(b"command").unwrap();
    let mut command = [0; 7];
    stream.read_exact(&mut command).unwrap();
    assert_eq!(&command, b"command");
}

#[test]
fn a_network_that_drops_in_silence_leaves_the_line_to_the_new_connection() {
    let mut listening = open(2, LIMIT);
    let hello = frames("a", 1).swap_remove(0);
    let _dead = connect(&listening, &hello);
    news(&listening);
    let _alive = connect(&listening, &hello);
    assert_eq!(news(&listening), "device a is back,");
    assert_eq!(read(&mut *listening.lines[0], 2 * hello.len()), hello.repeat(2));
    // Two that speak at the same time, in boots of their own, are two of one name.
    let _other = connect(&listening, &frames("a", 2)[0]);
    assert_eq!(news(&listening), "device a has come2 of 2)");
}

#[test]
fn a_line_ends_when_its_device_stays_away() {
    let mut listening = open(2, Duration::from_millis(200));
    let hello = frames("a", 1).swap_remove(0);
    drop(connect(&listening, &hello));
    news(&listening);
    let mut line = listening.lines.remove(0);
    read(&mut *line, hello.len());
    let deadline = Instant::now() + LIMIT;
    while line.read(&mut [0; 10]).unwrap() != LineRead::Ended {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(line.writer().err().unwrap().kind(), io::ErrorKind::NotConnected);
    drop(line);
    let _late = connect(&listening, &hello);
    let refused = listening.news.recv_timeout(LIMIT).unwrap().to_string();
    assert!(refused.contains("device a comes back too late"), "{refused}");
    // The other one is waited for, however long it takes.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(listening.lines[0].read(&mut [0; 10]).unwrap(), LineRead::Idle);
}

#[test]
fn what_is_no_device_takes_no_place_and_no_memory() {
    let listening = open(1, LIMIT);
    let mut talker = TcpStream::connect(listening.address).unwrap();
    // It is cut off in the middle.
    let _ = talker.write_all(&vec![b'x'; 4 * MAX_BEFORE_HELLO]);
    let refused = listening.news.recv_timeout(LIMIT).unwrap().to_string();
    assert!(refused.contains("did not introduce itself as a device"), "{refused}");
    let _nameless = connect(&listening, &frames(" ", 1)[0]);
    let refused = listening.news.recv_timeout(LIMIT).unwrap().to_string();
    assert!(refused.contains("it has no name"), "{refused}");
    // The silent ones give way.
    let _silent: Vec<_> = (0..2 * MAX_STRANGERS).map(|_| connect(&listening, b"")).collect();
    let _device = connect(&listening, &frames("a", 1)[0]);
    assert_eq!(news(&listening), "device a has come1 of 1)");
}

#[test]
fn nobody_listens_once_the_lines_are_gone() {
    let listening = open(2, LIMIT);
    let (address, deadline) = (listening.address, Instant::now() + LIMIT);
    drop(listening);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        std::thread::sleep(Duration::from_millis(10));
    }
}
