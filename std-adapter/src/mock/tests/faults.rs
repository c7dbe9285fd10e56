//! What goes wrong on demand, as a client sees it.

use super::*;

/// Sends one request and reads to the end, however that comes: all bytes, and whether they ended in order.
fn suffer(server: &MockServer, request_line: &str, body: &str) -> (Vec<u8>, std::io::Result<()>) {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let length = body.len();
    write!(stream, "{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map(drop);
    (bytes, end)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const STREAM: &str = r#"{"stream":true,"max_tokens":6}"#;

#[test]
fn a_status_keeps_the_connection() {
    let server = start(MockConfig::default(), None);
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    for status in ["503", "429"] {
        write!(stream, "GET /fault/status/{status} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut seen = String::new();
        while !seen.ends_with("}}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.push(char::from(byte[0]));
        }
        assert!(seen.starts_with(&format!("HTTP/1.1 {status}")) && seen.contains("server_error"), "{seen}");
    }
}

#[test]
fn a_reset_is_no_end() {
    let server = start(MockConfig::default(), None);
    let (bytes, end) = suffer(&server, "GET /fault/reset", "");
    assert_eq!(text(&bytes), "");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

    let (bytes, end) = suffer(&server, "GET /fault/reset/mid", "");
    let seen = text(&bytes);
    assert!(seen.contains("content-length: 38") && seen.ends_with("hello from the phas"), "{seen}");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

    let (bytes, end) = suffer(&server, "POST /fault/reset/mid/v1/chat/completions", STREAM);
    let seen = text(&bytes);
    assert!(seen.contains("token2 ") && !seen.contains("token3 ") && !seen.contains("[DONE]"), "{seen}");
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(exchange(&server, "GET /", "").0.starts_with("HTTP/1.1 200"), "the server goes on");
}

#[test]
fn one_token_has_a_middle_too() {
    let server = start(MockConfig::default(), None);
    let one = r#"{"stream":true,"max_tokens":1}"#;
    let (bytes, end) = suffer(&server, "POST /fault/reset/mid/v1/completions", one);
    assert!(end.is_err() && text(&bytes).contains("token0 ") && !text(&bytes).contains("[DONE]"));
    let asked = Instant::now();
    let (bytes, end) = suffer(&server, "POST /fault/slow-token/30ms/v1/completions", one);
    assert!(end.is_ok() && text(&bytes).contains("[DONE]"));
    assert!(asked.elapsed() >= Duration::from_millis(30));
}

#[test]
fn garbage_is_no_http() {
    let server = start(MockConfig::default(), None);
    let (bytes, end) = suffer(&server, "GET /fault/garbage", "");
    assert!(end.is_ok() && !bytes.is_empty() && !text(&bytes).contains("HTTP/1"), "{}", text(&bytes));
    assert!(std::str::from_utf8(&bytes).is_err());

    let (bytes, end) = suffer(&server, "GET /fault/garbage/mid", "");
    let (head, body) = bytes.split_at(bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4);
    assert!(end.is_ok() && text(head).starts_with("HTTP/1.1 200"));
    assert_eq!(body.len(), 38);
    assert!(body.starts_with(b"hello from the phas\xff\xff"), "{}", text(body));

    let (bytes, _) = suffer(&server, "POST /fault/garbage/mid/v1/chat/completions", STREAM);
    let seen = text(&bytes);
    let place = |what: &str| seen.find(what).unwrap_or_else(|| panic!("no {what} in {seen}"));
    assert!(place("token2 ") < place("\"\u{fffd}\u{fffd}\n\n") && place("\u{fffd}") < place("token3 "));
    assert!(seen.contains("[DONE]"), "{seen}");
}

/// How long after the request the first byte came, and the longest silence after it.
fn silences(server: &MockServer, request_line: &str, body: &str) -> (Duration, Duration) {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let length = body.len();
    let mut last = Instant::now();
    write!(stream, "{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut silences = Vec::new();
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).unwrap() > 0 {
        silences.push(last.elapsed());
        last = Instant::now();
    }
    (silences[0], silences[1..].iter().max().copied().unwrap_or_default())
}

#[test]
fn a_stall_and_a_slow_token_are_silence() {
    const LENGTH: Duration = Duration::from_millis(400);
    /// Clearly less than the length, for a reader that wakes up late.
    const QUIET: Duration = Duration::from_millis(300);
    let server = start(MockConfig::default(), None);
    let cases = [
        ("GET /fault/stall/400ms", "", false),
        ("POST /fault/stall/400ms/v1/chat/completions", STREAM, false),
        ("POST /fault/stall/400ms/v1/chat/completions", "{}", false),
        ("GET /fault/stall/400ms/mid", "", true),
        ("POST /fault/stall/400ms/mid/v1/chat/completions", STREAM, true),
        ("POST /fault/slow-token/400ms/v1/chat/completions", STREAM, true),
        ("POST /fault/slow-token/400ms", STREAM, true),
        ("GET /fault/slow-token/400ms", "", true),
        ("POST /fault/slow-token/400ms/v1/chat/completions", "{}", false),
        ("GET /fault/slow-token/400ms/", "", false),
    ];
    let check = |(request, body, mid): (&str, &str, bool)| {
        let (first, later) = silences(&server, request, body);
        let (silent, other) = if mid { (later, first) } else { (first, later) };
        assert!(silent >= QUIET && (mid || first >= LENGTH), "{request}: {first:?}, {later:?}");
        assert!(other < QUIET, "{request}: {first:?}, {later:?}");
    };
    let check = &check;
    thread::scope(|scope| cases.into_iter().for_each(|case| drop(scope.spawn(move || check(case)))));
}

#[test]
fn what_was_due_in_a_stall_comes_at_once_after_it_and_after_a_slow_token_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let config = MockConfig { inter_token: "50ms".parse().unwrap(), ..MockConfig::default() };
    let server = start(config, Some(&log));
    let _ = suffer(&server, "POST /fault/stall/150ms/mid/v1/completions", STREAM);
    let _ = suffer(&server, "POST /fault/slow-token/150ms/v1/completions", STREAM);
    server.stop();
    let [stalled, slow] = &served(&log)[..] else { panic!("not two lines") };
    // Tokens 3, 4 and 5 were due after 50, 100 and 150 ms of it.
    assert!(stalled.gaps_ms[2] >= 150.0 && stalled.last_token_ms.unwrap() < 400.0, "{stalled:?}");
    assert!(slow.gaps_ms[2] >= 150.0 && slow.last_token_ms.unwrap() >= 400.0, "{slow:?}");
}

#[test]
fn each_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let server = start(MockConfig::default(), Some(&log));
    let expected = [
        ("/fault/status/503", "status=503", 503, None),
        ("/fault/reset", "reset", 0, Some(0)),
        ("/fault/reset/mid", "reset@mid", 200, Some(3)),
        ("/fault/stall/1ms", "stall=1ms", 200, Some(6)),
        ("/fault/stall/1ms/mid", "stall=1ms@mid", 200, Some(6)),
        ("/fault/garbage", "garbage", 0, Some(0)),
        ("/fault/garbage/mid", "garbage@mid", 200, Some(6)),
        ("/fault/slow-token/1ms", "slow-token=1ms", 200, Some(6)),
    ];
    for (path, ..) in expected {
        let _ = suffer(&server, &format!("POST {path}/v1/chat/completions"), STREAM);
    }
    server.stop();
    for (line, (path, fault, status, tokens)) in served(&log).iter().zip(expected) {
        assert_eq!(line.route, format!("{path}/v1/chat/completions"));
        assert_eq!((line.fault.as_deref(), line.status, line.cancelled), (Some(fault), status, false));
        assert_eq!(line.output_tokens, tokens.unwrap_or_default(), "{path}");
    }
}

#[test]
fn a_head_request_has_no_middle() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let server = start(MockConfig::default(), Some(&log));
    let (bytes, end) = suffer(&server, "HEAD /fault/reset/mid", "");
    assert!(bytes.is_empty() && end.is_err());
    let (bytes, end) = suffer(&server, "HEAD /fault/stall/1ms/mid", "");
    assert!(text(&bytes).starts_with("HTTP/1.1 200") && end.is_ok());
    server.stop();
    let faults: Vec<_> = served(&log).into_iter().map(|line| (line.fault.unwrap(), line.cancelled)).collect();
    assert_eq!(faults, [("reset".into(), false), ("stall=1ms".into(), false)]);
}

#[test]
fn they_happen_to_the_share_asked_for_and_alike_for_one_seed() {
    let deal = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log.jsonl");
        let faults = "status=500:0.2,reset:0.1,reset@mid:0.05,garbage:0.1,stall=1us:0.1,slow-token=1us:0.1";
        let server = start(MockConfig { seed, ..failing(faults) }, Some(&log));
        for _ in 0..50 {
            let _ = suffer(&server, "GET /", "");
            let _ = suffer(&server, "GET /echo", "");
            let _ = suffer(&server, "GET /v1/models", "");
            let _ = suffer(&server, "POST /v1/completions", "{}");
            // Has none of its own, and takes none from the others.
            let _ = suffer(&server, "GET /healthz", "");
            let _ = suffer(&server, "GET /nothing", "");
        }
        server.stop();
        let lines: Vec<_> = served(&log).into_iter().filter(|line| line.request.is_some()).collect();
        assert_eq!(lines.len(), 200);
        lines.into_iter().map(|line| line.fault).collect::<Vec<_>>()
    };
    let one = deal(1);
    assert_eq!(one, deal(1));
    assert_ne!(one, deal(2));
    let count = |name: &str| one.iter().flatten().filter(|fault| fault.starts_with(name)).count();
    assert!((20..60).contains(&count("status=500")), "{one:?}");
    assert!((12..50).contains(&count("reset")), "{one:?}");
    assert!((6..38).contains(&count("garbage")), "{one:?}");
    assert!((40..100).contains(&one.iter().filter(|fault| fault.is_none()).count()), "{one:?}");
}
