//! `phasemeter bench` against nginx: what a server that is not ours says of the requests.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use phasemeter_tests::{Exited, Nginx, parse, run};
use serde_json::Value;

const REQUESTS: usize = 200;

fn bench(directory: &Path, url: &str, arguments: &[&str]) -> Exited {
    let count = REQUESTS.to_string();
    let usual = ["bench", url, "--out", "run", "-c", "10", "-n", &count];
    run(directory, usual.iter().chain(arguments))
}

fn profiling(directory: &Path) -> Value {
    let summary = parse(&fs::read_to_string(directory.join("run/summary.json")).unwrap());
    summary["phases"][0].clone()
}

fn assert_passed(exited: &Exited, directory: &Path) {
    assert_eq!(exited.code, Some(0), "{}{}", exited.stdout, exited.stderr);
    let counts = profiling(directory)["counts"].clone();
    assert_eq!((&counts["completed"], &counts["errors"]), (&REQUESTS.into(), &0.into()));
}

/// A server with a certificate for `localhost` that it has signed itself.
fn with_tls(directory: &Path, listen: &str) -> Nginx {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(directory.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let directives = "ssl_certificate cert.pem; ssl_certificate_key key.pem; location / { return 200 \"hello\\n\"; }";
    Nginx::start(directory, listen, directives)
}

#[test]
fn https_is_http_2_where_the_server_offers_it() {
    for (listen, protocol) in [(" ssl", "HTTP/1.1"), (" ssl http2", "HTTP/2.0")] {
        let directory = tempfile::tempdir().unwrap();
        let nginx = with_tls(directory.path(), listen);
        let url = format!("https://localhost:{}/a", nginx.port());
        let untrusted = bench(directory.path(), &url, &[]);
        assert_eq!(untrusted.code, Some(2));
        assert!(untrusted.stderr.contains("--cacert FILE trusts"), "{}", untrusted.stderr);
        assert_passed(&bench(directory.path(), &url, &["--cacert", "cert.pem"]), directory.path());
        let lines = nginx.log("/a", REQUESTS);
        assert_eq!(lines.len(), REQUESTS);
        assert!(lines.iter().all(|line| line.starts_with(&format!("{protocol} GET /a 200 "))), "{}", lines[0]);
        let phase = profiling(directory.path());
        let handshakes = phase["metrics"]["tls_handshake_time"]["count"].as_u64().unwrap();
        assert_eq!(handshakes, if protocol == "HTTP/2.0" { 1 } else { 10 }, "one connection for 100 streams");
    }
}

#[test]
fn who_trusts_everyone_is_told_of_in_the_report() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = with_tls(directory.path(), " ssl");
    let exited = bench(directory.path(), &format!("https://127.0.0.1:{}/", nginx.port()), &["--insecure"]);
    assert_passed(&exited, directory.path());
    assert!(exited.stdout.contains("--insecure"), "{}", exited.stdout);
}

#[test]
fn http_2_without_tls_is_by_flag() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(directory.path(), " http2", "location / { return 200 \"hello\\n\"; }");
    let exited = bench(directory.path(), &format!("http://127.0.0.1:{}/h2c", nginx.port()), &["--http2"]);
    assert_passed(&exited, directory.path());
    let lines = nginx.log("/h2c", REQUESTS);
    assert!(lines.len() == REQUESTS && lines.iter().all(|line| line.starts_with("HTTP/2.0 GET")), "{}", lines[0]);
}

#[test]
fn methods_bodies_and_credentials_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(directory.path(), "", "location / { return 200 \"hello\\n\"; }");
    let url = |path: &str| format!("http://user:word@127.0.0.1:{}{path}", nginx.port());
    let long = format!("/long?{}", "x=1&".repeat(500));
    for (path, arguments, line) in [
        ("/post", &["-d", "{\"a\": 1}"][..], "HTTP/1.1 POST /post 200 8 Basic dXNlcjp3b3Jk"),
        ("/put", &["-X", "PUT", "-d", "0123456789"], "HTTP/1.1 PUT /put 200 10 Basic dXNlcjp3b3Jk"),
        ("/key", &["-H", "Authorization: Bearer k"], "HTTP/1.1 GET /key 200 - Bearer k"),
        (&long, &["-X", "DELETE"], &format!("HTTP/1.1 DELETE {long} 200 - Basic dXNlcjp3b3Jk")),
    ] {
        fs::remove_dir_all(directory.path().join("run")).ok();
        assert_passed(&bench(directory.path(), &url(path), arguments), directory.path());
        let lines = nginx.log(path, REQUESTS);
        assert!(lines.len() == REQUESTS && lines.iter().all(|told| told == line), "{line}: {}", lines[0]);
    }
}

#[test]
fn a_unix_socket_is_a_server_too() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let directives = format!("listen unix:{}; location / {{ return 200 \"hello\\n\"; }}", socket.display());
    let nginx = Nginx::start(directory.path(), "", &directives);
    let exited = bench(directory.path(), "http://anything/by-socket", &["--unix-socket", "s"]);
    assert_passed(&exited, directory.path());
    assert_eq!(nginx.log("/by-socket", REQUESTS).len(), REQUESTS);
}

#[test]
fn a_server_that_quotes_the_key_does_not_bring_it_into_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(directory.path(), "", "location / { return 403 \"not you, $http_authorization\\n\"; }");
    let url = format!("http://127.0.0.1:{}/", nginx.port());
    let exited = bench(directory.path(), &url, &["-H", "Authorization: Bearer hunter2-long"]);
    assert_eq!(exited.code, Some(1), "{}", exited.stderr);
    assert!(exited.stdout.contains("not you, <hidden>"), "{}", exited.stdout);
    for entry in fs::read_dir(directory.path().join("run")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    }
}

#[test]
fn what_a_server_refuses_is_told_by_its_status_and_words() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(directory.path(), "", "location / { return 401 \"no key, no answer\\n\"; }");
    let exited = bench(directory.path(), &format!("http://127.0.0.1:{}/", nginx.port()), &[]);
    assert_eq!(exited.code, Some(1), "{}", exited.stderr);
    assert_eq!(profiling(directory.path())["failures"]["statuses"]["401"], REQUESTS);
    assert!(exited.stdout.contains("no key, no answer"), "{}", exited.stdout);
}
