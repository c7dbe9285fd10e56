use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::portable::ThreadLine;
use super::*;

/// Far above what anything here takes: no test may hang.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn every_byte() -> Vec<u8> {
    (0..=255).chain((0..=255).rev()).collect()
}

pub(super) fn open_now(output: &str) -> Result<Box<dyn Write + Send>, OutputError> {
    open_output(output, DEFAULT_BAUD, Duration::ZERO, || true)
}

/// Reads until `enough` bytes came or the line ended; says whether it ended.
pub(super) fn read_until(line: &mut dyn Line, enough: usize) -> (Vec<u8>, bool) {
    let (deadline, mut got, mut buf) = (Instant::now() + LIMIT, Vec::new(), [0; 100]);
    while Instant::now() < deadline {
        match line.read(&mut buf).unwrap() {
            LineRead::Bytes(bytes) => got.extend_from_slice(&buf[..bytes]),
            LineRead::Idle => {}
            LineRead::Ended => return (got, true),
        }
        if got.len() >= enough {
            return (got, false);
        }
    }
    panic!("no end after {LIMIT:?}: {} bytes", got.len());
}

pub(super) fn read_to_end(line: &mut dyn Line) -> Vec<u8> {
    let (got, ended) = read_until(line, usize::MAX);
    assert!(ended);
    got
}

/// Checks that a silent line returns soon.
pub(super) fn assert_idle(line: &mut dyn Line) {
    let begin = Instant::now();
    assert_eq!(line.read(&mut [0; 10]).unwrap(), LineRead::Idle);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

fn open(spec: &str) -> Box<dyn Line> {
    SourceSpec::parse(spec, DEFAULT_BAUD).unwrap().open().unwrap()
}

#[test]
fn tcp_listen_waits_reads_and_ends() {
    let mut line = open("tcp-listen:0");
    let address = line.local_addr().unwrap();
    assert_ne!(address.port(), 0);
    assert!(address.ip().is_loopback());
    assert_idle(&mut *line);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&every_byte()).unwrap();
    assert_eq!(read_until(&mut *line, 512), (every_byte(), false));
    assert_idle(&mut *line);
    assert!(TcpStream::connect(address).is_err(), "a second client is refused");
    client.write_all(b"last").unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut *line), b"last");
}

#[test]
fn tcp_connects_reads_and_ends() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut line = open(&format!("tcp:{}", server.local_addr().unwrap()));
    let (mut peer, _) = server.accept().unwrap();
    assert_idle(&mut *line);
    peer.write_all(&every_byte()).unwrap();
    drop(peer);
    assert_eq!(read_to_end(&mut *line), every_byte());

    let address = server.local_addr().unwrap();
    drop(server);
    let error = SourceSpec::Tcp(address.to_string()).open().unwrap_err().to_string();
    assert!(error.starts_with(&format!("tcp:{address}: ")), "{error}");
}

#[test]
fn a_file_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes");
    std::fs::write(&path, every_byte()).unwrap();
    assert_eq!(read_to_end(&mut *open(path.to_str().unwrap())), every_byte());
}

#[test]
fn a_blocking_reader_on_a_thread_is_a_line() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut line = ThreadLine::spawn(reader).unwrap();
    assert_idle(&mut line);
    writer.write_all(&every_byte()).unwrap();
    drop(writer);
    assert_eq!(read_to_end(&mut line), every_byte());
}

#[test]
fn output_goes_to_tcp_and_files() {
    let mut line = open("tcp-listen:0");
    let mut output = open_now(&format!("tcp:{}", line.local_addr().unwrap())).unwrap();
    output.write_all(&every_byte()).unwrap();
    drop(output);
    assert_eq!(read_to_end(&mut *line), every_byte());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.bin");
    std::fs::write(&path, "something longer that was there").unwrap();
    open_now(path.to_str().unwrap()).unwrap().write_all(b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    let error = open_now(dir.path().to_str().unwrap()).err().unwrap().to_string();
    assert!(error.starts_with(dir.path().to_str().unwrap()), "{error}");
}

/// A line that says what a list says, then is idle.
struct Script(std::vec::IntoIter<io::Result<&'static [u8]>>);

impl Line for Script {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<LineRead> {
        match self.0.next() {
            None => {
                thread::sleep(Duration::from_millis(1));
                Ok(LineRead::Idle)
            }
            Some(Ok(bytes)) => {
                buf[..bytes.len()].copy_from_slice(bytes);
                line_read(Ok(bytes.len()))
            }
            Some(Err(e)) => Err(e),
        }
    }
}

fn spawn(script: Vec<io::Result<&'static [u8]>>) -> (Receiver<LineEvent>, Arc<AtomicBool>, thread::JoinHandle<()>) {
    let (tx, rx) = sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let thread = spawn_reader(Box::new(Script(script.into_iter())), 7, tx, stop.clone());
    (rx, stop, thread)
}

fn join(thread: thread::JoinHandle<()>) {
    let deadline = Instant::now() + LIMIT;
    while !thread.is_finished() {
        assert!(Instant::now() < deadline, "the reader does not stop");
        thread::sleep(Duration::from_millis(5));
    }
    thread.join().unwrap();
}

#[test]
fn a_reader_reports_bytes_and_the_end_in_order() {
    let before = Instant::now();
    let (rx, _, thread) = spawn(vec![Ok(b"ab"), Ok(b"c"), Ok(b"")]);
    let events: Vec<LineEvent> = rx.iter().collect();
    assert!(events.iter().all(|event| event.source == 7 && event.at >= before));
    assert!(events.is_sorted_by_key(|event| event.at));
    let [LineEventKind::Bytes(ab), LineEventKind::Bytes(c), LineEventKind::Ended] =
        &events.iter().map(|event| &event.kind).collect::<Vec<_>>()[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((&ab[..], &c[..]), (&b"ab"[..], &b"c"[..]));
    join(thread);
}

#[test]
fn a_reader_reports_failure_last() {
    let (rx, _, thread) = spawn(vec![Ok(b"ab"), Err(io::Error::other("unplugged")), Ok(b"never")]);
    let events: Vec<LineEvent> = rx.iter().collect();
    assert_eq!(events.len(), 2);
    assert!(matches!(&events[1].kind, LineEventKind::Failed(e) if e.to_string() == "unplugged"));
    join(thread);
}

#[test]
fn a_reader_stops_when_told_and_when_nobody_listens() {
    let (rx, stop, thread) = spawn(vec![]);
    stop.store(true, Ordering::Relaxed);
    join(thread);
    assert!(rx.recv().is_err(), "no event, and the sender is gone");

    let (rx, _, thread) = spawn(vec![Ok(b"a"), Ok(b"b"), Ok(b"c"), Ok(b"d")]);
    drop(rx);
    join(thread);
}

#[test]
fn a_device_that_is_not_there_is_no_new_file() {
    let error = open_now("/dev/ttyNONE").err().unwrap();
    assert!(matches!(error, OutputError::NoDevice(_)), "{error}");
    assert!(!std::path::Path::new("/dev/ttyNONE").exists());
}

#[test]
fn a_server_that_comes_later_is_waited_for() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = format!("tcp:{address}");
    assert!(open_now(&output).is_err(), "it is gone");
    let server = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        TcpListener::bind(address).unwrap().accept().unwrap()
    });
    assert!(open_output(&output, DEFAULT_BAUD, LIMIT, || true).is_ok());
    server.join().unwrap();
}

#[test]
fn what_is_written_within_the_process_is_read_until_the_writer_is_gone() {
    let (mut writer, mut line) = in_process().unwrap();
    writer.write_all(&every_byte()).unwrap();
    drop(writer);
    assert_eq!(read_until(&mut *line, usize::MAX), (every_byte(), true));
}

#[test]
fn a_client_that_leaves_without_a_word_was_not_the_device() {
    let mut line = SourceSpec::parse("tcp-listen:0", DEFAULT_BAUD).unwrap().open().unwrap();
    let address = line.local_addr().unwrap();
    for _ in 0..3 {
        drop(TcpStream::connect(address).unwrap());
        let deadline = Instant::now() + Duration::from_millis(300);
        while Instant::now() < deadline {
            assert_eq!(line.read(&mut [0; 8]).unwrap(), LineRead::Idle);
        }
    }
    TcpStream::connect(address).unwrap().write_all(b"the device").unwrap();
    assert_eq!(read_until(&mut *line, usize::MAX), (b"the device".to_vec(), true));
    assert!(TcpStream::connect(address).is_err(), "a second device is refused");
}
