//! HTTP/2, TLS and Unix sockets, with hyper's client.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn h2c(server: &MockServer) -> Sender {
    http2(tokio::net::TcpStream::connect(server.addr()).await.unwrap()).await
}

fn request(method: &str, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(format!("http://localhost{path}")).body(Full::from(body)).unwrap()
}

async fn tls(server: &MockServer, name: &str, protocols: &[&str]) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.certificate().unwrap().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(server.addr()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

async fn text(answer: Response<hyper::body::Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn http2_with_prior_knowledge_carries_many_requests_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let config = MockConfig { latency: "150ms".parse().unwrap(), ..MockConfig::default() };
    let server = start(config, Some(&log));
    let client = h2c(&server).await;
    let asked = Instant::now();
    let all: Vec<_> = (0..300).map(|_| tokio::spawn(client.clone().send_request(request("GET", "/", "")))).collect();
    for one in all {
        let answer = one.await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    }
    assert!(asked.elapsed() < Duration::from_secs(20), "one after the other");
    let answer = client.clone().send_request(request("POST", "/v1/completions", r#"{"stream":true}"#)).await.unwrap();
    assert!(text(answer).await.ends_with("data: [DONE]\n\n"));
    let answer = client.clone().send_request(request("HEAD", "/", "")).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "38");
    assert_eq!(text(answer).await, "");
    drop(client);
    server.stop();
    let lines = served(&log);
    assert_eq!(lines.len(), 302);
    assert!(lines.iter().all(|line| line.http_version == "2" && !line.cancelled && !line.tls));
}

#[tokio::test]
async fn tls_speaks_what_alpn_chose() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let server = MockServer::start(MockConfig::default(), Listen::Tls(LOOPBACK.into()), Some(log.clone())).unwrap();
    assert_eq!(server.url(), format!("https://{}", server.addr()));
    for name in ["localhost", "127.0.0.1", "::1"] {
        let stream = tls(&server, name, &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let answer = http2(stream).await.send_request(request("GET", "/", "")).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
    }
    for protocols in [&["http/1.1"][..], &[]] {
        let stream = tls(&server, "localhost", protocols).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = request("POST", "/v1/chat/completions", r#"{"stream":true}"#);
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_11);
        assert!(text(answer).await.ends_with("data: [DONE]\n\n"));
    }
    assert!(tls(&server, "example.org", &[]).await.is_err(), "the certificate is for this host only");
    // Who does not speak TLS is turned away, and does no harm.
    let mut plain = TcpStream::connect(server.addr()).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    let _ = plain.read_to_end(&mut seen);
    assert!(!seen.starts_with(b"HTTP"), "{seen:?}");
    server.stop();
    let lines = served(&log);
    let versions: Vec<_> = lines.iter().map(|line| (&*line.http_version, line.tls)).collect();
    assert_eq!(versions, [("2", true), ("2", true), ("2", true), ("1.1", true), ("1.1", true)]);
}

#[tokio::test]
async fn each_server_has_a_certificate_of_its_own() {
    let servers =
        [(); 2].map(|()| MockServer::start(MockConfig::default(), Listen::Tls(LOOPBACK.into()), None).unwrap());
    assert_ne!(servers[0].certificate(), servers[1].certificate());
    assert_eq!(start(MockConfig::default(), None).certificate(), None);
}

#[tokio::test]
async fn faults_break_the_whole_connection_of_http2() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let clear = start(MockConfig { latency: "1h".parse().unwrap(), ..MockConfig::default() }, Some(&log));
    for path in ["/fault/reset/echo", "/fault/garbage/echo", "/fault/reset/mid/echo"] {
        let client = h2c(&clear).await;
        let waiting = tokio::spawn(client.clone().send_request(request("GET", "/", "")));
        // One after the other: the first is on its way before the second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = client.clone().send_request(request("GET", path, "")).await;
        let broke = match answer {
            Ok(answer) => answer.into_body().collect().await.is_err(),
            Err(_) => true,
        };
        assert!(broke, "{path}");
        assert!(waiting.await.unwrap().is_err(), "{path}");
    }
    let answer = h2c(&clear).await.send_request(request("GET", "/fault/status/503", ""));
    let answer = tokio::time::timeout(Duration::from_millis(1), answer).await;
    assert!(answer.is_err(), "a status waits for the delay");
    clear.stop();
    let lines = served(&log);
    let broken = |line: &&ServedRequest| line.fault.as_deref().is_some_and(|fault| !fault.starts_with("status"));
    assert_eq!(lines.iter().filter(broken).filter(|line| !line.cancelled).count(), 3, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.route == "/" && line.cancelled).count(), 3, "{lines:?}");
}

#[tokio::test]
async fn faults_break_tls_below_it() {
    let server = MockServer::start(MockConfig::default(), Listen::Tls(LOOPBACK.into()), None).unwrap();
    for (path, what) in [("/fault/reset", "reset"), ("/fault/garbage", "garbage")] {
        let mut stream = tls(&server, "localhost", &[]).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut seen).await;
        if what == "reset" {
            assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        } else {
            assert!(end.is_ok() && !seen.is_empty() && !seen.starts_with(b"HTTP"), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_of_http2_that_is_given_up_is_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let server = start(MockConfig { inter_token: "20ms".parse().unwrap(), ..MockConfig::default() }, Some(&log));
    let client = h2c(&server).await;
    let given_up = request("POST", "/v1/chat/completions", r#"{"stream":true,"max_tokens":60000}"#);
    let mut answer = client.clone().send_request(given_up).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    drop(answer);
    let deadline = Instant::now() + Duration::from_secs(10);
    while served(&log).is_empty() {
        assert!(Instant::now() < deadline, "the server did not notice");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(served(&log)[0].cancelled);
    let next = client.clone().send_request(request("GET", "/", "")).await.unwrap();
    assert_eq!(next.status(), 200, "the connection goes on");
}

#[tokio::test]
async fn connections_of_http2_and_tls_do_not_hold_up_the_end() {
    let server = start(MockConfig::default(), None);
    let mut client = h2c(&server).await;
    let answer = client.send_request(request("GET", "/", "")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let tls_server = MockServer::start(MockConfig::default(), Listen::Tls(LOOPBACK.into()), None).unwrap();
    let _no_handshake = TcpStream::connect(tls_server.addr()).unwrap();
    let _idle = tls(&tls_server, "localhost", &[]).await.unwrap();
    let stopping = tokio::task::spawn_blocking(move || {
        let asked = Instant::now();
        server.stop();
        tls_server.stop();
        asked.elapsed()
    });
    let took = stopping.await.unwrap();
    assert!(took < GRACE, "{took:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_listened_on() {
    use std::os::unix::net::{UnixListener, UnixStream};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    // Left over by a server that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let listen = Listen::Unix(path.clone());
    let server = MockServer::start(MockConfig::default(), listen.clone(), None).unwrap();
    assert_eq!(server.url(), format!("unix:{}", path.display()));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello"), "{answer}");
    let mut client = http2(tokio::net::UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(client.send_request(request("GET", "/", "")).await.unwrap().version(), Version::HTTP_2);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /fault/reset/mid HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    let _ = stream.read_to_end(&mut seen);
    assert!(seen.ends_with(b"hello from the phas"));

    let taken = MockServer::start(MockConfig::default(), listen, None).unwrap_err();
    assert!(matches!(&taken, MockError::Bind { .. }) && taken.to_string().contains("unix:"), "{taken}");
    server.stop();
    assert!(!path.exists());
    std::fs::write(&path, "kept").unwrap();
    assert!(MockServer::start(MockConfig::default(), Listen::Unix(path.clone()), None).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
}
