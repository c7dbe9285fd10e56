//! The whole application against the mock server, in real time: its counts and its latencies are those of the server's
//! log.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time;

use phasemeter::mock::{LogNormalDelay, MockConfig, MockServer, ServedRequest};
use phasemeter_core::metric::LoadMetric;
use phasemeter_core::outcome::Failures;
use phasemeter_core::phase::PhaseCounts;
use phasemeter_core::plan::{Arrival, Stop};
use phasemeter_core::summary::Percentile;
use phasemeter_core::telemetry::Command;
use phasemeter_core::time::Duration;

use support::{CHAT, Loopback, config, get, plan};

/// By how much the application's order statistics may exceed the server's, in milliseconds, by percentile: the loopback
/// interface, the bridge, an unoptimized build and other processes on few processors.
const OVERHEAD_MS: [(u32, f64); 3] = [(50, 5.0), (90, 15.0), (99, 60.0)];

fn delay(millis: u64, sigma: f64) -> LogNormalDelay {
    LogNormalDelay::new(time::Duration::from_millis(millis), sigma).unwrap()
}

/// A server, and where its log will be.
fn server(name: &str, config: MockConfig) -> (MockServer, PathBuf) {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    (MockServer::start(config, ([127, 0, 0, 1], 0).into(), Some(log.clone())).unwrap(), log)
}

/// What a server that has stopped has logged.
fn requests(log: &Path) -> Vec<ServedRequest> {
    fs::read_to_string(log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Nearest rank on the server's side against the proven bounds on the application's.
#[track_caller]
fn assert_order_statistics(loopback: &Loopback, phase: u16, metric: LoadMetric, mut truth: Vec<f64>) {
    truth.sort_by(f64::total_cmp);
    let histogram = loopback.histogram(phase, metric);
    assert_eq!(histogram.count(), truth.len() as u64);
    for (percent, overhead) in OVERHEAD_MS {
        let quantile = histogram.quantile(Percentile::from_ppm(percent * 10_000).unwrap()).unwrap();
        let [lower, upper] =
            [quantile.lower, quantile.upper].map(|nanos| time::Duration::from_nanos(nanos).as_secs_f64() * 1e3);
        let truth = truth[(truth.len() * percent as usize).div_ceil(100) - 1];
        assert!(
            truth <= upper && lower <= truth + overhead,
            "{metric} p{percent}: the server took {truth} ms, measured {lower} to {upper}"
        );
    }
}

#[test]
fn counts_and_latencies_agree_with_the_servers_log() {
    let (server, log) = server(
        "agrees.jsonl",
        MockConfig {
            latency: delay(5, 0.4),
            first_token: delay(20, 0.4),
            inter_token: delay(3, 0.3),
            faults: "status=500:0.05".parse().unwrap(),
            ..MockConfig::default()
        },
    );
    let mut loopback = Loopback::new(config(), server.addr());
    let closed = Arrival::ClosedLoop { concurrency: 6 };
    let poisson = Arrival::poisson(80);
    loopback.carry_out(&plan(&[(get(), closed, Stop::requests(500)), (CHAT, poisson, Stop::requests(120))]));
    server.stop();
    let log = requests(&log);
    for (phase, route, sent) in [(0, "/", 500), (1, "/v1/chat/completions", 120)] {
        let requests: Vec<&ServedRequest> = log.iter().filter(|request| request.route == route).collect();
        assert_eq!(requests.len(), sent);
        let (succeeded, failed): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.status == 200);
        let (sent, errors) = (sent as u64, failed.len() as u64);
        let counts = PhaseCounts { sent, completed: sent, errors, ..PhaseCounts::default() };
        assert_eq!(loopback.counts(phase), counts);
        assert!(errors > 0, "no error was injected");
        let total = succeeded.iter().map(|request| request.total_ms).collect();
        assert_order_statistics(&loopback, phase, LoadMetric::ServiceTime, total);
        if phase == 1 {
            let first = succeeded.iter().map(|request| request.first_byte_ms.unwrap()).collect();
            assert_order_statistics(&loopback, phase, LoadMetric::TimeToFirstToken, first);
            // One mean a response.
            assert_eq!(loopback.observed(phase, LoadMetric::InterTokenLatency), succeeded.len() as u64);
        }
    }
}

#[test]
fn a_server_that_stops_in_mid_run_ends_in_a_report() {
    let (server, log) = server("stops.jsonl", MockConfig { latency: delay(5, 0.0), ..MockConfig::default() });
    let mut loopback = Loopback::new(config(), server.addr());
    let constant = Arrival::constant(100);
    let plan = plan(&[(get(), constant, Stop::requests(200)), (CHAT, constant, Stop::requests(20))]);
    loopback.start(&plan);
    loopback.run_for(Duration::from_secs(1));
    // It lets the requests in flight end, for which they have to be carried on.
    let stopping = thread::spawn(move || server.stop());
    loopback.await_end();
    stopping.join().unwrap();
    loopback.session.check_whole().unwrap();
    let [first, second] = [0, 1].map(|phase| loopback.counts(phase));
    let answered = requests(&log).len() as u64;
    assert!((50..150).contains(&answered), "{answered}");
    let errors = 200 - answered;
    // While nobody listens, a connection that was refused waits before it is tried again, and requests wait for it.
    let PhaseCounts { held, .. } = first;
    assert_eq!(first, PhaseCounts { sent: 200, completed: 200, errors, held, ..PhaseCounts::default() });
    let PhaseCounts { held, .. } = second;
    assert_eq!(second, PhaseCounts { sent: 20, completed: 20, errors: 20, held, ..PhaseCounts::default() });
    assert_eq!(loopback.observed(0, LoadMetric::ServiceTime), answered);
    assert_eq!(loopback.failures(1), Failures { not_connected: 20, ..Failures::default() });
}

#[test]
fn a_run_that_is_stopped_leaves_the_server_alone() {
    let (server, log) = server("left.jsonl", MockConfig { latency: delay(1_000, 0.0), ..MockConfig::default() });
    let mut loopback = Loopback::new(config(), server.addr());
    let plan = plan(&[(get(), Arrival::ClosedLoop { concurrency: 5 }, Stop::requests(100))]);
    loopback.start(&plan);
    loopback.run_for(Duration::from_millis(300));
    assert_eq!(loopback.ask(Command::Stop), None);
    loopback.await_end();
    assert_eq!(loopback.counts(0), PhaseCounts { sent: 5, cancelled: 5, ..PhaseCounts::default() });
    server.stop();
    let cancelled = requests(&log).iter().map(|request| request.cancelled).collect::<Vec<_>>();
    assert_eq!(cancelled, [true; 5]);
}

#[test]
fn a_response_that_its_connection_ends_is_whole_unless_the_server_resets_it() {
    for (is_reset, errors) in [(false, 0), (true, 20)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut loopback = Loopback::new(config(), listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut connection in listener.incoming().map_while(Result::ok) {
                // The system resets a connection that is closed before all of it was read. One that was opened ahead of
                // need may carry nothing.
                let mut request = vec![0; if is_reset { 1 } else { 4_096 }];
                if let Ok(1..) = connection.read(&mut request) {
                    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole");
                }
            }
        });
        let one = Arrival::ClosedLoop { concurrency: 1 };
        loopback.carry_out(&plan(&[(get(), one, Stop::requests(20))]));
        assert_eq!(loopback.counts(0), PhaseCounts { sent: 20, completed: 20, errors, ..PhaseCounts::default() });
        assert_eq!(loopback.failures(0), Failures { broken: errors, ..Failures::default() });
    }
}
