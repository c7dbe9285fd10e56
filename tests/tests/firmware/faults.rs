//! Servers that misbehave: every request is accounted for, and the firmware goes on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter_tests::assert_no_frame_dropped;
use serde_json::Value;

use super::bench::{self, Bench};

const REQUESTS: u64 = 40;

fn plan() -> String {
    let phase = |kind: &str, stop: &str| {
        let load = "workload: {get: {path: /}}, arrival: {constant: {rate: 40}}";
        format!("  - {{kind: {kind}, {load}, stop: {{{stop}}}, grace: 1s}}\n")
    };
    format!("phases:\n{}", phase("profiling", &format!("requests: {REQUESTS}, duration: 3s")))
}

/// A server that treats each request in this way; it ends with the test.
fn serve(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let treat = Arc::new(treat);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let treat = Arc::clone(&treat);
            thread::spawn(move || treat(stream));
        }
    });
    port
}

/// Reads requests, and answers each with these bytes; then goes on, or closes the connection.
fn answer(mut stream: TcpStream, bytes: &[u8], goes_on: bool) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer) {
        // The firmware may have closed it.
        if stream.write_all(bytes).is_err() || !goes_on {
            return;
        }
    }
}

/// What the firmware counted.
fn counts(port: u16) -> Value {
    let done = Bench::new().run(&plan(), port, |_| ());
    // No request succeeds.
    assert_eq!(done.exited.code, Some(1), "{}\n{}", done.exited.stderr, done.exited.stdout);
    assert_no_frame_dropped(&done.qemu);
    let summary = done.summary.unwrap();
    assert_eq!(summary["coverage"]["ratio"], 1.0);
    assert_eq!(summary["devices"].as_array().unwrap().len(), 1, "it was not reset");
    bench::phase(&summary, 0)["counts"].clone()
}

#[track_caller]
fn assert_all_fail(port: u16) {
    let counts = counts(port);
    assert_eq!((&counts["sent"], &counts["errors"]), (&REQUESTS.into(), &REQUESTS.into()), "{counts}");
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Its own port is in use, so that no other process can listen there.
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_all_fail(client.local_addr().unwrap().port());
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_response_is_cut_off() {
    assert_all_fail(serve(|stream| answer(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", false)));
}

/// A socket that is closed with something unread in it resets its connection.
#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_connection_is_reset_in_mid_response() {
    assert_all_fail(serve(|mut stream| {
        let has_request = stream.peek(&mut [0; 1]);
        if matches!(has_request, Ok(1..)) {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
            // The firmware has the first half before.
            thread::sleep(Duration::from_millis(50));
        }
    }));
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_response_is_garbage() {
    assert_all_fail(serve(|stream| answer(stream, &[0xa5, 0xff, 0x00, b'\r', b'\n'].repeat(600), true)));
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn every_answer_is_an_error() {
    let config = MockConfig { faults: "status=500:1".parse().unwrap(), ..MockConfig::default() };
    let server = MockServer::start(config, ([127, 0, 0, 1], 0).into(), None).unwrap();
    assert_all_fail(server.addr().port());
}

#[test]
#[ignore = "needs QEMU and the image: cargo xtask firmware test"]
fn a_server_that_never_answers() {
    let counts = counts(serve(|stream| {
        thread::sleep(Duration::from_secs(30));
        drop(stream);
    }));
    // Each connection takes one request, which is given up at the end.
    assert_eq!((&counts["completed"], &counts["cancelled"]), (&0.into(), &counts["sent"]), "{counts}");
    assert!(counts["sent"].as_u64() > Some(0), "{counts}");
}
