//! The client against the mock server, whose log says what it really did, and against servers that misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use super::*;
use crate::mock::{MockConfig, MockServer, ServedRequest};

fn mock(config: MockConfig, log: Option<&Path>) -> (MockServer, HttpClient) {
    let server = MockServer::start(config, ([127, 0, 0, 1], 0).into(), log.map(Path::to_owned)).unwrap();
    let client = HttpClient::new(&server.url(), Instant::now()).unwrap();
    (server, client)
}

fn records(path: &Path) -> Vec<ServedRequest> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Answers the first request of each of the next connections with these bytes and hangs up.
fn canned(answers: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(&answer);
            let _ = stream.shutdown(Shutdown::Write);
            // Until the client has hung up too: closing earlier could reset the answer away.
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        }
    });
    addr
}

async fn chat_with(answer: &str) -> Exchange {
    let addr = canned(vec![answer.as_bytes().to_vec()]);
    HttpClient::new(&format!("http://{addr}"), Instant::now()).unwrap().chat(1, 1).await
}

fn event_stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{events}", events.len())
}

fn millis(from_ns: u64, to_ns: u64) -> f64 {
    Duration::from_nanos(to_ns - from_ns).as_secs_f64() * 1e3
}

/// What the client, the loopback and a busy host may add to what the server did.
const OVERHEAD_MS: f64 = 250.0;

#[track_caller]
fn assert_measures(measured_ms: f64, applied_ms: f64) {
    assert!(
        measured_ms >= applied_ms && measured_ms < applied_ms + OVERHEAD_MS,
        "measured {measured_ms} ms, applied {applied_ms} ms"
    );
}

#[tokio::test]
async fn a_get_measures_what_the_server_applied() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let (server, client) =
        mock(MockConfig { latency: "8ms,0.5".parse().unwrap(), ..MockConfig::default() }, Some(&log));
    let mut exchanges = Vec::new();
    for _ in 0..10 {
        exchanges.push(client.get("/").await);
    }
    server.stop();
    let records = records(&log);
    assert_eq!(records.len(), 10);
    for (exchange, record) in exchanges.iter().zip(&records) {
        assert_eq!((exchange.outcome, exchange.tokens, exchange.first_token_ns), (Ok(()), 0, None));
        assert_measures(millis(exchange.sent_ns, exchange.end_ns), record.first_byte_ms.unwrap());
    }
    assert!(exchanges.windows(2).all(|pair| pair[0].end_ns <= pair[1].sent_ns));
}

#[tokio::test]
async fn a_chat_measures_what_the_server_applied() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let config = MockConfig {
        first_token: "20ms,0.5".parse().unwrap(),
        inter_token: "5ms,0.5".parse().unwrap(),
        ..MockConfig::default()
    };
    let (server, client) = mock(config, Some(&log));
    let mut exchanges = Vec::new();
    for _ in 0..4 {
        exchanges.push(client.chat(100, 8).await);
    }
    server.stop();
    for (exchange, record) in exchanges.iter().zip(records(&log)) {
        assert_eq!((exchange.outcome, exchange.tokens, record.gaps_ms.len()), (Ok(()), 8, 7));
        let (first, last) = (exchange.first_token_ns.unwrap(), exchange.last_token_ns.unwrap());
        let applied_first = record.first_byte_ms.unwrap();
        let applied_last = applied_first + record.gaps_ms.iter().sum::<f64>();
        // The sum of rounded gaps may exceed the rounded whole by a few nanoseconds.
        assert_measures(millis(exchange.sent_ns, first), applied_first - 1e-5);
        assert_measures(millis(exchange.sent_ns, last), applied_last - 1e-5);
        assert!(last <= exchange.end_ns);
    }
    assert_eq!(client.pool.idle_count(), 1, "one connection served all requests");
}

#[tokio::test]
async fn an_injected_error_is_a_status() {
    let (_server, client) = mock(MockConfig { error_rate: 1.0, ..MockConfig::default() }, None);
    assert_eq!(client.get("/").await.outcome, Err(ExchangeError::Status(500)));
    assert_eq!(client.chat(1, 1).await.outcome, Err(ExchangeError::Status(500)));
    assert_eq!(client.get("nowhere").await.outcome, Err(ExchangeError::Status(404)));
    assert_eq!(client.pool.idle_count(), 1, "an error does not cost the connection");
}

#[tokio::test]
async fn nobody_listening_is_connect() {
    // Port 1 (tcpmux) takes privileges to listen on, and no system does; a port just freed may be taken again.
    let client = HttpClient::new("http://127.0.0.1:1", Instant::now()).unwrap();
    client.warm(3).await;
    let exchange = client.get("/").await;
    assert_eq!(exchange.outcome, Err(ExchangeError::Connect));
    assert!(exchange.sent_ns <= exchange.end_ns && exchange.end_ns > 0);
}

#[tokio::test]
async fn warmed_connections_are_used() {
    let (_server, client) = mock(MockConfig::default(), None);
    client.warm(3).await;
    assert_eq!(client.pool.idle_count(), 3);
    let (one, two) = tokio::join!(client.get("/"), client.get("/healthz"));
    assert_eq!((one.outcome, two.outcome), (Ok(()), Ok(())));
    assert_eq!(client.pool.idle_count(), 3);
}

#[tokio::test]
async fn a_connection_closed_while_it_waited_is_replaced() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let addr = canned(vec![answer.clone(), answer]);
    let client = HttpClient::new(&format!("http://{addr}"), Instant::now()).unwrap();
    assert_eq!(client.get("/").await.outcome, Ok(()));
    // The server hangs up after each answer: wait until that has been noticed here.
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.pool.idle_count() > 0 {
        assert!(Instant::now() < deadline, "the closed connection still counts as open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(client.get("/").await.outcome, Ok(()));
}

#[tokio::test]
async fn dropping_a_request_closes_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let (server, client) = mock(MockConfig { inter_token: "1h".parse().unwrap(), ..MockConfig::default() }, Some(&log));
    let abandoned = tokio::time::timeout(Duration::from_millis(100), client.chat(1, 9)).await;
    assert!(abandoned.is_err());
    assert_eq!(client.pool.idle_count(), 0);
    let deadline = Instant::now() + Duration::from_secs(10);
    while records(&log).is_empty() {
        assert!(Instant::now() < deadline, "the server did not notice");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(records(&log)[0].cancelled);
    server.stop();
}

#[tokio::test]
async fn a_cut_answer_is_broken() {
    for cut in [
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: ",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n",
    ] {
        assert_eq!(chat_with(cut).await.outcome, Err(ExchangeError::Broken), "{cut:?}");
    }
    let cut = chat_with(&event_stream("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")).await;
    assert_eq!((cut.outcome, cut.tokens), (Err(ExchangeError::Broken), 1), "a whole body without [DONE]");
}

#[tokio::test]
async fn what_is_no_chat_stream_is_malformed() {
    let plain = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let events = event_stream("data: {\"error\":{\"message\":\"out of memory\"}}\n\ndata: [DONE]\n\n");
    for answer in ["SSH-2.0-OpenSSH_9.9\r\n\r\n", plain, &events] {
        assert_eq!(chat_with(answer).await.outcome, Err(ExchangeError::Malformed), "{answer:?}");
    }
    let (_server, client) = mock(MockConfig::default(), None);
    assert_eq!(client.get("/a b").await.outcome, Err(ExchangeError::Malformed));
}

#[tokio::test]
async fn only_chunks_with_content_are_tokens() {
    let chunks =
        [r#"{"role":"assistant","content":""}"#, r#"{"reasoning_content":"hm"}"#, r#"{"content":"\u00e9\"\n"}"#, "{}"];
    let mut events = ": comment\n\ndata: {\"choices\":[],\"usage\":{}}\n\n".to_owned();
    for delta in chunks {
        events.extend(["data: {\"choices\":[{\"delta\":", delta, "}]}\r\n\r\n"]);
    }
    events += "data: [DONE]\n\ndata: not for us\n\n";
    let exchange = chat_with(&event_stream(&events)).await;
    assert_eq!((exchange.outcome, exchange.tokens), (Ok(()), 2));
}

#[test]
fn targets() {
    let new = |target| HttpClient::new(target, Instant::now());
    for good in ["http://h", "http://127.0.0.1:8080/", "http://[::1]:80/base/", "HTTP://h:1"] {
        assert!(new(good).is_ok(), "{good}");
    }
    assert_eq!(new("http://h/base/").unwrap().url("/v1/x"), "/base/v1/x");
    assert_eq!(new("http://h").unwrap().url("/"), "/");
    assert!(matches!(new("https://h"), Err(TargetError::Https(_))));
    for bad in [
        "",
        "h",
        "h:80",
        "/x",
        "ftp://h",
        "http://",
        "http://h:",
        "http://h:0",
        "http://h:99999",
        "http://u:p@h",
        "http://h?q",
        "http://h/#f",
    ] {
        assert!(matches!(new(bad), Err(TargetError::Malformed(_))), "{bad}");
    }
}
