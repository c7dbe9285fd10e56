//! Against the mock server, whose log says what it really did, and against servers that misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Instant as HostInstant;

use super::super::connect::{ConnectOptions, Endpoint};
use super::super::requests::Requests;
use super::super::target::Target;
use super::*;
use crate::mock::{MockConfig, MockServer, ServedRequest};
use crate::plan::{Body, ChatRequest, PlainRequest, RequestSpec};

/// What one task does of a load.
#[derive(Clone)]
struct Client {
    target: Target,
    pool: Rc<Pool>,
    clock: LoadClock,
}

impl Client {
    fn new(url: &str) -> Self {
        let target = Target::parse(url).unwrap();
        let endpoint = Endpoint::new(&target, &ConnectOptions::default()).unwrap();
        Self { target, pool: Rc::new(Pool::new(endpoint)), clock: LoadClock::start() }
    }

    async fn ask(&self, spec: &RequestSpec) -> Exchange {
        let requests = Requests::new(spec, &self.target, None, 1, 0).unwrap();
        let mut exchange = Box::pin(exchange(Rc::clone(&self.pool), requests.get(0), self.clock));
        std::future::poll_fn(|context| {
            // As a driver does.
            self.pool.poll_opened(context);
            exchange.as_mut().poll(context)
        })
        .await
    }

    async fn get(&self, path: &str) -> Exchange {
        self.ask(&RequestSpec::Plain(PlainRequest::get(path))).await
    }

    async fn post(&self, body: &str) -> Exchange {
        let body = Body::Fixed(body.as_bytes().to_vec());
        self.ask(&RequestSpec::Plain(PlainRequest { method: "POST".into(), body, ..PlainRequest::get("/") })).await
    }

    async fn chat(&self, prompt: u16, output: u16) -> Exchange {
        self.ask(&RequestSpec::Chat(ChatRequest::new(prompt, output))).await
    }
}

fn failure(exchange: &Exchange) -> Option<Failure> {
    exchange.outcome.as_ref().err().map(|failed| failed.failure)
}

fn detail(exchange: &Exchange) -> &str {
    exchange.outcome.as_ref().err().map_or("", |failed| failed.detail.as_str())
}

fn mock(config: MockConfig, log: Option<&Path>) -> (MockServer, Client) {
    let server = MockServer::start(config, ([127, 0, 0, 1], 0).into(), log.map(Path::to_owned)).unwrap();
    let client = Client::new(&server.url());
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
    Client::new(&format!("http://{addr}")).chat(1, 1).await
}

fn event_stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{events}", events.len())
}

fn millis(from: Instant, to: Instant) -> f64 {
    Duration::from_nanos(to.since(from).as_nanos()).as_secs_f64() * 1e3
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
        assert_eq!((failure(exchange), exchange.tokens.chunks, exchange.tokens.span), (None, 0, None));
        assert_measures(millis(exchange.sent, exchange.end), record.first_byte_ms.unwrap());
    }
    assert!(exchanges.windows(2).all(|pair| pair[0].end <= pair[1].sent));
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
        assert_eq!((failure(exchange), exchange.tokens.gaps.len(), record.gaps_ms.len()), (None, 7, 7));
        let (first, last) = exchange.tokens.span.unwrap();
        let applied_first = record.first_byte_ms.unwrap();
        let applied_last = applied_first + record.gaps_ms.iter().sum::<f64>();
        // The sum of rounded gaps may exceed the rounded whole by a few nanoseconds.
        assert_measures(millis(exchange.sent, first), applied_first - 1e-5);
        assert_measures(millis(exchange.sent, last), applied_last - 1e-5);
        assert!(last <= exchange.end);
    }
    assert_eq!(client.pool.room(), 1, "one connection served all requests");
}

#[tokio::test]
async fn an_injected_error_is_a_status() {
    let (_server, client) = mock(MockConfig { faults: "status=500:1".parse().unwrap(), ..MockConfig::default() }, None);
    assert_eq!(failure(&client.get("/").await), Some(Failure::Status(500)));
    assert_eq!(failure(&client.chat(1, 1).await), Some(Failure::Status(500)));
    assert_eq!(failure(&client.get("nowhere").await), Some(Failure::Status(404)));
    assert_eq!(client.pool.room(), 1, "an error does not cost the connection");
}

#[tokio::test]
async fn nobody_listening_is_connect() {
    // Port 1 (tcpmux) takes privileges to listen on, and no system does; a port just freed may be taken again.
    let client = Client::new("http://127.0.0.1:1");
    client.pool.warm(3).await;
    let exchange = client.get("/").await;
    assert_eq!(failure(&exchange), Some(Failure::NotConnected));
    assert!(detail(&exchange).contains("refused"), "{}", detail(&exchange));
    assert!(exchange.sent <= exchange.end && exchange.end > Instant::BOOT);
}

#[tokio::test]
async fn warmed_connections_are_used() {
    let (_server, client) = mock(MockConfig::default(), None);
    client.pool.warm(3).await;
    assert_eq!(client.pool.room(), 3);
    let (one, two) = tokio::join!(client.get("/"), client.get("/healthz"));
    assert_eq!((failure(&one), failure(&two)), (None, None));
    assert_eq!(client.pool.room(), 3);
}

#[tokio::test]
async fn a_connection_closed_while_it_waited_is_replaced() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let addr = canned(vec![answer.clone(), answer]);
    let client = Client::new(&format!("http://{addr}"));
    assert_eq!(failure(&client.get("/").await), None);
    // The server hangs up after each answer: wait until that has been noticed here.
    let deadline = HostInstant::now() + Duration::from_secs(10);
    while client.pool.room() > 0 {
        assert!(HostInstant::now() < deadline, "the closed connection still counts as open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(failure(&client.get("/").await), None);
}

#[tokio::test]
async fn dropping_a_request_closes_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let (server, client) = mock(MockConfig { inter_token: "1h".parse().unwrap(), ..MockConfig::default() }, Some(&log));
    let abandoned = tokio::time::timeout(Duration::from_millis(100), client.chat(1, 9)).await;
    assert!(abandoned.is_err());
    assert_eq!(client.pool.room(), 0);
    let deadline = HostInstant::now() + Duration::from_secs(10);
    while records(&log).is_empty() {
        assert!(HostInstant::now() < deadline, "the server did not notice");
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
        assert_eq!(failure(&chat_with(cut).await), Some(Failure::Broken), "{cut:?}");
    }
    let cut = chat_with(&event_stream("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")).await;
    assert_eq!((failure(&cut), cut.tokens.chunks), (Some(Failure::Broken), 1), "a whole body without [DONE]");
}

#[tokio::test]
async fn what_is_no_chat_stream_is_malformed() {
    let plain = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let events = event_stream("data: {\"error\":{\"message\":\"out of memory\"}}\n\ndata: [DONE]\n\n");
    for answer in ["SSH-2.0-OpenSSH_9.9\r\n\r\n", plain, &events] {
        assert_eq!(failure(&chat_with(answer).await), Some(Failure::Malformed), "{answer:?}");
    }
}

#[tokio::test]
async fn only_chunks_with_content_are_tokens() {
    let chunks =
        [r#"{"role":"assistant","content":""}"#, r#"{"reasoning_content":"hm"}"#, r#"{"content":"\u00e9\"\n"}"#, "{}"];
    let mut events =
        ": comment\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n".to_owned();
    for delta in chunks {
        events.extend(["data: {\"choices\":[{\"delta\":", delta, "}]}\r\n\r\n"]);
    }
    events += "data: [DONE]\n\ndata: not for us\n\n";
    let exchange = chat_with(&event_stream(&events)).await;
    assert_eq!((failure(&exchange), exchange.tokens.chunks), (None, 2));
    assert_eq!(exchange.tokens.usage, Some(Usage { prompt_tokens: 7, completion_tokens: 2 }));
}

#[tokio::test]
async fn a_chat_that_says_nothing_or_fails_at_its_end_is_no_success() {
    let done = "data: [DONE]\n\n";
    let token = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let error = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n";
    let in_stream = "data: {\"error\":{\"message\":\"out of memory\"}}\n\n";
    for (events, words) in [
        (done.to_owned(), "without a token"),
        (format!("{token}{error}{done}"), "finish_reason"),
        (format!("{token}{in_stream}{done}"), "out of memory"),
    ] {
        let exchange = chat_with(&event_stream(&events)).await;
        assert_eq!(failure(&exchange), Some(Failure::Malformed), "{events}");
        assert!(detail(&exchange).contains(words), "{}", detail(&exchange));
    }
}

#[tokio::test]
async fn an_error_is_kept_in_its_own_words() {
    let answer = "HTTP/1.1 503 Busy\r\nContent-Length: 13\r\n\r\ntry it later\n";
    let addr = canned(vec![answer.into()]);
    let exchange = Client::new(&format!("http://{addr}")).get("/").await;
    assert_eq!((failure(&exchange), detail(&exchange)), (Some(Failure::Status(503)), "try it later"));
}

#[tokio::test]
async fn a_kept_connection_that_ends_costs_a_request_only_if_it_may_have_been_handled() {
    // Both answers come over new connections: the server closes each once the next request has come.
    let addr = closing_late(4);
    let client = Client::new(&format!("http://{addr}"));
    assert_eq!(failure(&client.get("/").await), None);
    assert_eq!(failure(&client.get("/").await), None, "sent again over a new connection");
    assert_eq!(failure(&client.post("x").await), Some(Failure::Broken), "a POST is never sent twice");
    assert_eq!(failure(&client.post("x").await), None);
}

/// Answers the first request of each connection, and hangs up when a second one comes.
fn closing_late(connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            let _ = stream.read(&mut buffer);
        }
    });
    addr
}

#[tokio::test]
async fn answers_are_read_however_they_are_framed_and_cut() {
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
    for (answer, keeps) in [
        (format!("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n{head}Content-Length: 2\r\n\r\nok"), true),
        (format!("{head}{chunked}"), true),
        (format!("{head}Content-Length: 0\r\n\r\n"), true),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), true),
        (format!("{head}Content-Length: 2\r\nConnection: close\r\n\r\nok"), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok".to_owned(), true),
        (format!("{head}X: {}\r\nContent-Length: 2\r\n\r\nok", "y".repeat(20_000)), true),
    ] {
        for size in [1, 7, answer.len()] {
            let client = Client::new(&format!("http://{}", slow(answer.clone().into_bytes(), size)));
            assert_eq!(client.get("/").await.outcome, Ok(()), "{answer}");
            assert_eq!(client.pool.idle(), usize::from(keeps), "{answer}");
            if answer.len() > 1_000 {
                break;
            }
        }
    }
    let until_close = canned(vec![format!("{head}\r\nto the end").into_bytes()]);
    assert_eq!(Client::new(&format!("http://{until_close}")).get("/").await.outcome, Ok(()));
    for (answer, expected) in [
        (format!("{head}Content-Length: x\r\n\r\n"), Failure::Malformed),
        (format!("{head}Transfer-Encoding: gzip\r\n\r\n"), Failure::Malformed),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), Failure::Malformed),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"), Failure::Malformed),
        (format!("{head}X: {}", "y".repeat(100_000)), Failure::Malformed),
        (format!("{head}Content-Length: 5\r\n\r\nabc"), Failure::Broken),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), Failure::Broken),
    ] {
        let addr = canned(vec![answer.clone().into_bytes()]);
        let exchange = Client::new(&format!("http://{addr}")).get("/").await;
        assert_eq!(failure(&exchange), Some(expected), "{}", &answer[..answer.len().min(80)]);
    }
}

/// Answers one request in pieces of this size, and keeps the connection.
fn slow(answer: Vec<u8>, size: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        for piece in answer.chunks(size) {
            let _ = stream.write_all(piece);
        }
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    addr
}
