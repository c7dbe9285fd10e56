//! The server over a plain socket, so that nothing of the load generator's client is taken on trust.

mod api;
mod faults;
mod logged;
mod transports;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use super::serve::GRACE;
use super::*;

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn start(config: MockConfig, log: Option<&Path>) -> MockServer {
    MockServer::start(config, LOOPBACK.into(), log.map(Path::to_owned)).unwrap()
}

fn failing(faults: &str) -> MockConfig {
    MockConfig { faults: faults.parse().unwrap(), ..MockConfig::default() }
}

/// Sends one request and reads until the server closes the connection: the head and the body with its chunk framing.
fn exchange(server: &MockServer, request_line: &str, body: &str) -> (String, String) {
    exchange_with(server, request_line, "", body)
}

/// As [`exchange`], with more headers, each with its end of line.
fn exchange_with(server: &MockServer, request_line: &str, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn chat(server: &MockServer, body: &str) -> (String, String) {
    exchange(server, "POST /v1/chat/completions", body)
}

fn served(path: &Path) -> Vec<ServedRequest> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut requests: Vec<ServedRequest> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    requests.sort_by_key(|served| served.request);
    requests
}

#[test]
fn answers_after_the_drawn_delay_and_logs_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let server = start(MockConfig { latency: "15ms".parse().unwrap(), ..MockConfig::default() }, Some(&log));
    let asked = Instant::now();
    let (head, _) = exchange(&server, "GET /", "");
    let took_ms = asked.elapsed().as_secs_f64() * 1e3;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(exchange(&server, "GET /healthz", "").0.starts_with("HTTP/1.1 200"));
    server.stop();

    let [watched, request] = &served(&log)[..] else { panic!("not two lines") };
    assert_eq!((watched.request, &*watched.route, watched.drawn_first_ms), (None, "/healthz", 0.0));
    assert_eq!((request.request, &*request.route, request.status), (Some(0), "/", 200));
    assert!((request.drawn_first_ms - 15.0).abs() < 1e-6, "{request:?}");
    let applied = request.first_byte_ms.unwrap();
    assert!((15.0..=took_ms).contains(&applied), "{request:?}, seen from outside: {took_ms} ms");
}

#[test]
fn concurrency_does_not_change_what_is_dealt() {
    let deal = |workers: usize| {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log.jsonl");
        let delay: LogNormalDelay = "2ms,0.8".parse().unwrap();
        let server = start(
            MockConfig { seed: 11, latency: delay, ..failing("status=500:0.1,stall=1ms:0.1,slow-token=1ms:0.1") },
            Some(&log),
        );
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| (0..32 / workers).for_each(|_| drop(exchange(&server, "GET /", ""))));
            }
        });
        server.stop();
        served(&log)
            .iter()
            .map(|request| (request.drawn_first_ms, request.status, request.fault.clone()))
            .collect::<Vec<_>>()
    };
    let alone = deal(1);
    assert_eq!(alone.len(), 32);
    assert_eq!(alone, deal(8));
}

#[test]
fn a_client_that_leaves_is_logged_as_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let config = MockConfig { inter_token: "20ms".parse().unwrap(), ..MockConfig::default() };
    let server = start(config, Some(&log));
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let body = r#"{"stream":true,"max_tokens":60000}"#;
    write!(stream, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    let mut seen = Vec::new();
    while !seen.windows(6).any(|window| window == b"token1") {
        let mut buffer = [0; 512];
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0);
        seen.extend_from_slice(&buffer[..count]);
    }
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(10);
    while served(&log).is_empty() {
        assert!(Instant::now() < deadline, "the server did not notice");
        thread::sleep(Duration::from_millis(20));
    }
    let request = &served(&log)[0];
    assert!(request.cancelled && request.first_byte_ms.is_some() && !request.gaps_ms.is_empty(), "{request:?}");
}

#[test]
fn stops_within_a_second_whatever_is_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let server = start(MockConfig { latency: "1h".parse().unwrap(), ..MockConfig::default() }, Some(&log));
    let addr = server.addr();
    let mut waiting = TcpStream::connect(addr).unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    let asked = Instant::now();
    server.stop();
    assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
    assert!(served(&log)[0].cancelled);
    assert!(TcpStream::connect(addr).is_err(), "still listening");
}

#[test]
fn an_idle_server_stops_at_once() {
    let server = start(MockConfig::default(), None);
    let mut kept_alive = TcpStream::connect(server.addr()).unwrap();
    kept_alive.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 64];
    assert_ne!(kept_alive.read(&mut answer).unwrap(), 0);
    let _never_used = TcpStream::connect(server.addr()).unwrap();
    let asked = Instant::now();
    drop(server);
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
}

#[test]
fn says_in_one_line_why_it_cannot_start() {
    let server = start(MockConfig::default(), None);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    std::fs::write(&log, "kept").unwrap();
    let taken = MockServer::start(MockConfig::default(), server.addr().into(), Some(log.clone())).unwrap_err();
    assert!(matches!(&taken, MockError::Bind { addr, .. } if *addr == server.addr().into()));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "kept");

    let refused = |config| MockServer::start(config, LOOPBACK.into(), None).unwrap_err();
    let errors = [
        taken,
        refused(MockConfig { output_tokens: 0, ..MockConfig::default() }),
        MockServer::start(MockConfig::default(), LOOPBACK.into(), Some(dir.path().to_owned())).unwrap_err(),
    ];
    for error in errors {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
