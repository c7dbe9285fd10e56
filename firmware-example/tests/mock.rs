//! What the firmware writes and reads, against the mock server: an HTTP implementation that is not of our making.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter_core::plan::Workload;
use phasemeter_firmware::http::{Expect, Progress, Response};
use phasemeter_firmware::request::Request;

/// Less than a frame carries, so that all is cut into many pieces.
const PIECE: usize = 50;

struct Server {
    server: MockServer,
    connection: TcpStream,
}

impl Server {
    fn start(error_rate: f64) -> Self {
        let faults = format!("status=500:{error_rate}").parse().unwrap();
        let config = MockConfig { faults, ..MockConfig::default() };
        let server = MockServer::start(config, ([127, 0, 0, 1], 0).into(), None).unwrap();
        let connection = TcpStream::connect(server.addr()).unwrap();
        connection.set_nodelay(true).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { server, connection }
    }

    /// Sends the request over the one connection; gives the response and its tokens.
    fn ask(&mut self, workload: &Workload) -> (Response, usize) {
        let request = Request::new(workload, &self.server.addr().to_string()).unwrap();
        let mut sent = 0;
        while sent < request.length() {
            let mut piece = [0; PIECE];
            let count = request.write(sent, &mut piece);
            self.connection.write_all(&piece[..count]).unwrap();
            sent += count;
        }
        let expect = if let Workload::Chat { .. } = workload { Expect::Chat } else { Expect::Plain };
        let mut response = Response::new(expect);
        let mut tokens = 0;
        loop {
            let mut piece = [0; PIECE];
            let count = self.connection.read(&mut piece).unwrap();
            assert!(count > 0, "the server closed the connection");
            let mut bytes = &piece[..count];
            while !bytes.is_empty() {
                let (used, progress) = response.feed(bytes).unwrap();
                bytes = &bytes[used..];
                match progress {
                    Progress::Token => tokens += 1,
                    Progress::Done => {
                        assert_eq!(bytes, b"", "nothing more was asked for");
                        return (response, tokens);
                    }
                    Progress::More | Progress::Answered => {}
                }
            }
        }
    }
}

#[test]
fn one_connection_carries_all_kinds_of_requests() {
    let mut server = Server::start(0.0);
    for (workload, is_success, tokens) in [
        (Workload::get("/").unwrap(), true, 0),
        (Workload::Chat { prompt_tokens: 1_000, output_tokens: 100 }, true, 100),
        (Workload::get("/nothing").unwrap(), false, 0),
        (Workload::Chat { prompt_tokens: 0, output_tokens: 1 }, true, 1),
        (Workload::Chat { prompt_tokens: 1, output_tokens: 0 }, false, 0),
        (Workload::get("/healthz").unwrap(), true, 0),
    ] {
        let (response, counted) = server.ask(&workload);
        assert_eq!((response.is_success(), counted), (is_success, tokens), "{workload:?}");
        assert!(response.keeps_alive(), "{workload:?}");
    }
}

#[test]
fn a_failure_keeps_the_connection() {
    let mut server = Server::start(1.0);
    for workload in [Workload::get("/").unwrap(), Workload::Chat { prompt_tokens: 3, output_tokens: 3 }] {
        let (response, tokens) = server.ask(&workload);
        assert_eq!((response.is_success(), response.keeps_alive(), tokens), (false, true, 0), "{workload:?}");
    }
    assert!(server.ask(&Workload::get("/healthz").unwrap()).0.is_success());
}
