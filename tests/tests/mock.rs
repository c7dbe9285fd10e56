//! `phasemeter mock-server`: what it says, what it writes, and what `phasemeter process` makes of that.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use phasemeter_tests::{phasemeter, run};
use serde_json::Value;

/// A server on a free port, stopped as by Ctrl-C.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = phasemeter(directory, [&["mock-server", "--listen", "127.0.0.1:0"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("it says {line}")).trim_end().to_owned();
        Self { child, url }
    }

    /// All that comes back until the connection ends, in order or not.
    fn ask(&self, request_line: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[cfg(unix)]
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn its_log_is_made_into_metrics() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(
        place.path(),
        &[
            "--log",
            "truth.jsonl",
            "--first-token",
            "20ms",
            "--inter-token",
            "5ms",
            "--fault",
            "status=503:0.2,reset:0.1",
        ],
    );
    let chat = r#"{"stream":true,"max_tokens":8,"messages":[{"role":"user","content":"one two three"}]}"#;
    let answers: Vec<_> = (0..40).map(|_| server.ask("POST /v1/chat/completions", chat)).collect();
    let _ = server.ask("GET /nothing", "");
    let _ = server.ask("GET /healthz", "");
    server.stop();
    let whole = answers.iter().filter(|answer| answer.contains("data: [DONE]")).count();
    let failed = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 503")).count();
    let reset = answers.iter().filter(|answer| answer.is_empty()).count();
    assert_eq!(whole + failed + reset, 40);
    assert!(whole >= 15 && failed >= 1 && reset >= 1, "{whole} {failed} {reset}");

    let log = fs::read_to_string(place.path().join("truth.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 42);
    let processed = run(place.path(), ["process", "truth.jsonl", "--exact", "--json"]);
    assert_eq!((processed.code, &*processed.stderr), (Some(0), ""));
    let document: Value = serde_json::from_str(&processed.stdout).unwrap();
    assert_eq!((&document["records"], &document["skipped"]), (&41.into(), &1.into()));
    assert_eq!(document["phases"].as_object().unwrap().len(), 1);
    let phase = &document["phases"]["all"];
    assert_eq!(phase["request_counts"]["successful"], whole);
    assert_eq!(phase["request_counts"]["failed"], 41 - whole);
    let mut first: Vec<f64> = lines
        .iter()
        .filter(|line| line["last_token_ms"].is_number())
        .map(|line| line["first_byte_ms"].as_f64().unwrap())
        .collect();
    first.sort_by(f64::total_cmp);
    let metric = |tag: &str, statistic: &str| phase["metrics"][tag][statistic].as_f64().unwrap();
    assert_eq!(metric("time_to_first_token", "min").to_bits(), first[0].to_bits());
    assert_eq!(metric("time_to_first_token", "max").to_bits(), first[whole - 1].to_bits());
    assert!(first[0] >= 20.0 && metric("request_latency", "min") >= 55.0);
    assert!((4.0..100.0).contains(&metric("inter_token_latency", "mean")), "{phase}");
    for (tag, tokens) in [("input_sequence_length", 3.0), ("output_sequence_length", 8.0)] {
        assert_eq!((metric(tag, "min"), metric(tag, "max")), (tokens, tokens), "{tag}");
    }
    let told = run(place.path(), ["process", "truth.jsonl", "--format", "truth"]);
    assert!(told.code == Some(0) && told.stdout.contains("time_to_first_token (ms)"), "{}", told.stdout);
}

#[test]
fn writes_its_certificate_before_it_says_that_it_listens() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path(), &["--tls", "--tls-cert-out", "cert.pem"]);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let certificate = fs::read_to_string(place.path().join("cert.pem")).unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"), "{certificate}");
    assert!(!certificate.contains("PRIVATE"), "{certificate}");
}

#[test]
fn says_in_one_line_why_it_does_not_start() {
    let place = tempfile::tempdir().unwrap();
    for (arguments, why) in [
        (&["--api-key-env", "PHASEMETER_NO_SUCH_VARIABLE"][..], "PHASEMETER_NO_SUCH_VARIABLE"),
        (&["--log", "."], "cannot create the log"),
        (&["--tls", "--tls-cert-out", "no/such/directory/"], "cannot write the certificate"),
        #[cfg(unix)]
        (&["--tls", "--listen", "unix:socket"], "no TLS over unix:socket"),
        #[cfg(unix)]
        (&["--listen", "unix:no/such/directory/socket"], "cannot listen on unix:"),
    ] {
        let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let exited = run(place.path(), [&["mock-server"], listen, arguments].concat());
        assert_eq!(exited.code, Some(2), "{arguments:?}");
        assert!(exited.stderr.contains(why) && exited.stderr.lines().count() == 1, "{arguments:?}: {}", exited.stderr);
        assert_eq!(exited.stdout, "");
    }
    let exited = run(place.path(), ["mock-server", "--fault", "reset:0.1,stutus=503:0.1"]);
    assert_eq!(exited.code, Some(2));
    assert!(exited.stderr.contains("column 11") && exited.stderr.contains("did you mean status?"), "{}", exited.stderr);
}
