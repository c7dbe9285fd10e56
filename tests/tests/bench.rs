//! `phasemeter bench`, the load generator and the recorder in one: against servers that answer, fail, stall and are not there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use phasemeter::mock::{MockConfig, MockServer};
use phasemeter_tests::{Exited, parse, run};
use serde_json::Value;

fn server(config: MockConfig) -> MockServer {
    MockServer::start(config, ([127, 0, 0, 1], 0).into(), None).unwrap()
}

fn bench(directory: &Path, url: &str, arguments: &[&str]) -> Exited {
    run(directory, ["bench", url, "--out", "run"].iter().chain(arguments))
}

fn summary(directory: &Path) -> Value {
    parse(&fs::read_to_string(directory.join("run/summary.json")).unwrap())
}

/// The entry of all devices for the phase of this kind.
fn phase<'a>(summary: &'a Value, kind: &str) -> &'a Value {
    let phases = summary["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["kind"] == kind && phase["device"].is_null()).unwrap()
}

#[test]
fn a_url_is_measured_and_leaves_a_run_that_replays() {
    let server = server(MockConfig { latency: "2ms,0.3".parse().unwrap(), ..MockConfig::default() });
    let directory = tempfile::tempdir().unwrap();
    let measured = bench(directory.path(), &server.url(), &["-n", "300", "-c", "4", "--warmup", "200ms"]);
    assert_eq!(measured.code, Some(0), "{}", measured.stderr);
    let summary = summary(directory.path());
    assert_eq!(phase(&summary, "profiling")["counts"]["completed"], 300);
    assert!(phase(&summary, "warmup")["counts"]["completed"].as_u64() > Some(0));
    let report = fs::read_to_string(directory.path().join("run/report.txt")).unwrap();
    assert_eq!(report, measured.stdout);
    let info: Value =
        serde_json::from_str(&fs::read_to_string(directory.path().join("run/run.json")).unwrap()).unwrap();
    assert_eq!(info["command"][1], "bench");
    assert_eq!(info["plan"]["hash"], summary["run"]["plan_hash"]);
    assert_eq!(info["target"], server.url());
    let replayed = run(directory.path(), ["replay", "run"]);
    assert_eq!((replayed.code, replayed.stdout), (Some(0), report), "{}", replayed.stderr);
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for (url, words) in [
        ("http://no-such-host.invalid", "DNS: the host name `no-such-host.invalid` does not resolve"),
        ("http://127.0.0.1:1", "cannot connect to http://127.0.0.1:1: Connection refused"),
        ("ftp://h", "is not a URL"),
    ] {
        let failed = bench(directory.path(), url, &[]);
        assert_eq!(failed.code, Some(2), "{url}");
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
        assert!(!directory.path().join("run").exists(), "{url}");
    }
}

#[test]
fn no_secret_is_in_any_file_of_a_run() {
    const SECRET: &str = "hunter2";
    let server = server(MockConfig::default());
    let with_user = server.url().replace("http://", "http://user:hunter2@");
    let directory = tempfile::tempdir().unwrap();
    let url = format!("{with_user}/?api_key={SECRET}&q=word");
    let header = format!("X-Key: {SECRET}");
    let mut command = phasemeter_tests::phasemeter(
        directory.path(),
        ["bench", &url, "--out", "run", "-n", "20", "-c", "2", "-H", &header, "--api-key-env", "TEST_KEY"],
    );
    let plain = phasemeter_tests::Running::start(command.env("TEST_KEY", SECRET)).wait(phasemeter_tests::LIMIT);
    let chat = bench_chat(directory.path(), &with_user, SECRET);
    for exited in [&plain, &chat] {
        assert_eq!(exited.code, Some(0), "{}", exited.stderr);
        assert!(!exited.stdout.contains(SECRET) && !exited.stderr.contains(SECRET), "{}", exited.stderr);
    }
    let mut files = 0;
    for entry in ["run", "chat"].into_iter().flat_map(|run| fs::read_dir(directory.path().join(run)).unwrap()) {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{} has the secret", path.display());
        files += 1;
    }
    assert!(files >= 8, "{files} files");
}

/// Chats whose key comes from a plan, by way of `load` and `record`.
fn bench_chat(directory: &Path, url: &str, secret: &str) -> Exited {
    let plan = "\
phases:
  - kind: profiling
    workload: {chat: {prompt_tokens: 4, output_tokens: 3, api_key_env: TEST_KEY, headers: {X-Key: hunter2}}}
    arrival: {closed_loop: {concurrency: 2}}
    stop: {requests: 6}
";
    fs::write(directory.join("plan.yaml"), plan).unwrap();
    let mut load =
        phasemeter_tests::phasemeter(directory, ["load", "plan.yaml", "--target", url, "--output", "telemetry.bin"]);
    let load = phasemeter_tests::Running::start(load.env("TEST_KEY", secret)).wait(phasemeter_tests::LIMIT);
    assert_eq!(load.code, Some(0), "{}", load.stderr);
    assert!(!load.stderr.contains(secret), "{}", load.stderr);
    run(directory, ["record", "telemetry.bin", "--out", "chat"])
}

#[test]
fn a_stall_between_tokens_shows_in_the_gaps_and_hides_in_the_mean_of_each_answer() {
    let config = MockConfig {
        first_token: "1ms".parse().unwrap(),
        inter_token: "1ms".parse().unwrap(),
        faults: "slow-token=200ms:0.25".parse().unwrap(),
        ..MockConfig::default()
    };
    let server = server(config);
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--chat", "-n", "40", "-c", "4", "--output-tokens", "50"];
    let measured = bench(directory.path(), &server.url(), &arguments);
    assert_eq!(measured.code, Some(0), "{}", measured.stderr);
    let summary = summary(directory.path());
    let metrics = &phase(&summary, "profiling")["metrics"];
    let value = |metric: &str, which: &str| metrics[metric]["percentiles"][which]["value"].as_f64().unwrap();
    assert_eq!(metrics["inter_chunk_latency"]["count"], 40 * 49);
    assert!(value("inter_chunk_latency", "p50") < 20.0 && value("inter_chunk_latency", "p99.9") >= 199.0);
    assert!(metrics["inter_token_latency"]["max"].as_f64() < Some(50.0), "an answer's mean hides its stall");
    assert_eq!(metrics["output_sequence_length"]["max"], 50);
}

#[test]
fn a_key_that_is_not_set_is_told_before_anything_is_sent() {
    let server = server(MockConfig::default());
    let directory = tempfile::tempdir().unwrap();
    let failed = bench(directory.path(), &server.url(), &["--chat", "--api-key-env", "NO_SUCH_KEY_HERE"]);
    assert_eq!(failed.code, Some(2));
    assert!(failed.stderr.contains("NO_SUCH_KEY_HERE"), "{}", failed.stderr);
}

#[test]
fn more_in_flight_than_may_be_is_refused() {
    let server = server(MockConfig::default());
    let directory = tempfile::tempdir().unwrap();
    let plan = "\
phases:
  - {kind: profiling, workload: {get: {path: /}}, arrival: {closed_loop: {concurrency: 9}}, stop: {requests: 9}}
";
    fs::write(directory.path().join("plan.yaml"), plan).unwrap();
    let arguments = ["load", "plan.yaml", "--target", &server.url(), "--output", "t.bin", "--max-in-flight", "8"];
    let failed = run(directory.path(), arguments);
    assert_eq!(failed.code, Some(2));
    assert!(failed.stderr.contains("phase 0 wants 9 requests in flight, and at most 8 may be"), "{}", failed.stderr);
}

#[cfg(unix)]
mod signals {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use phasemeter_tests::{LIMIT, Running, phasemeter};
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};

    use super::*;

    /// A server as a process of its own, so that it can be stopped.
    struct Server {
        process: Child,
        url: String,
    }

    impl Server {
        fn start(directory: &Path) -> Self {
            let mut command = phasemeter(directory, ["mock-server", "--listen", "127.0.0.1:0"]);
            let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            Self { process, url: line.trim().strip_prefix("listening on ").unwrap().to_owned() }
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    fn signal(signal: Signal, process: &Child) {
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    fn wait_for_start(bench: &Running) {
        bench.wait_for_rest_of("profiling started");
    }

    #[test]
    fn ctrl_c_ends_with_all_that_was_measured() {
        let server = server(MockConfig::default());
        let directory = tempfile::tempdir().unwrap();
        let bench = Running::start(&mut phasemeter(
            directory.path(),
            ["bench", &server.url(), "--out", "run", "-q", "100", "-z", "5m"],
        ));
        wait_for_start(&bench);
        std::thread::sleep(Duration::from_millis(700));
        signal(Signal::INT, bench.child());
        let ended = bench.wait(LIMIT);
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        let summary = summary(directory.path());
        assert_eq!(summary["coverage"]["ratio"], 1.0, "{}", summary["coverage"]);
        assert_eq!(summary["run"]["partial_reason"], "bench: its run was cancelled");
        assert!(phase(&summary, "profiling")["counts"]["completed"].as_u64() > Some(20));
    }

    #[test]
    fn ctrl_c_on_a_pipe_of_load_and_record_loses_nothing() {
        let server = server(MockConfig::default());
        let directory = tempfile::tempdir().unwrap();
        let plan = "\
phases:
  - {kind: profiling, workload: {get: {path: /}}, arrival: {constant: {rate: 100}}, stop: {duration: 5m}}
";
        fs::write(directory.path().join("plan.yaml"), plan).unwrap();
        let program = phasemeter(directory.path(), [""; 0]).get_program().to_owned();
        let line = format!(
            "trap : INT; {p} load plan.yaml --target {url} --output - | {p} record - --out run",
            p = program.display(),
            url = server.url()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(directory.path()).stdin(Stdio::null()).process_group(0);
        let shell = Running::start(&mut shell);
        wait_for_start(&shell);
        std::thread::sleep(Duration::from_millis(700));
        kill_process_group(Pid::from_child(shell.child()), Signal::INT).unwrap();
        let ended = shell.wait(LIMIT);
        let summary = summary(directory.path());
        assert_eq!(summary["coverage"]["ratio"], 1.0, "{}", ended.stderr);
        assert_eq!(summary["run"]["partial_reason"], "phasemeter-load: its run was cancelled");
        assert_eq!(
            (&summary["coverage"]["line"]["noise"], &summary["coverage"]["lost_frames"]),
            (&0.into(), &0.into())
        );
    }

    fn on_one_line(report: &str) -> String {
        report.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What the report says of a generator that was late.
    const LATE: &str = "the load generator was the cause";

    /// 100 requests a second for 4 s; in the middle, `who` is stopped for a second. A server's queue of connections holds those
    /// of that second.
    fn with_a_stop(who: impl FnOnce(&Child, &Child)) -> (Value, String) {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(directory.path());
        let arguments = ["bench", &server.url, "--out", "run", "-q", "100", "-z", "4s"];
        let bench = Running::start(&mut phasemeter(directory.path(), arguments));
        wait_for_start(&bench);
        std::thread::sleep(Duration::from_secs(1));
        who(&server.process, bench.child());
        let ended = bench.wait(LIMIT);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        (summary(directory.path()), on_one_line(&ended.stdout))
    }

    fn stop_for_a_second(process: &Child) {
        signal(Signal::STOP, process);
        std::thread::sleep(Duration::from_secs(1));
        signal(Signal::CONT, process);
    }

    fn millis(summary: &Value, metric: &str, percentile: &str) -> f64 {
        phase(summary, "profiling")["metrics"][metric]["percentiles"][percentile]["value"].as_f64().unwrap()
    }

    #[test]
    fn a_server_that_stops_shows_in_the_response_times_and_does_not_blame_the_generator() {
        let (summary, report) = with_a_stop(|server, _| stop_for_a_second(server));
        assert_eq!(phase(&summary, "profiling")["counts"]["completed"], 400);
        // A quarter of the requests came in the second in which nothing was answered, and waited for its end: the one at
        // the place p of all waited 1 s × (p − 0.75) / 0.25. Who waits for answers would have sent one, and hidden it.
        for (percentile, place) in [("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
            let expected = 1_000.0 * (place - 0.75) / 0.25;
            let told = millis(&summary, "response_time", percentile);
            assert!((told - expected).abs() < 120.0, "{percentile}: {told} ms where {expected} ms are expected");
        }
        assert!(millis(&summary, "schedule_lag", "p99") < 100.0, "the generator went on sending");
        assert!(!report.contains(LATE), "{report}");
    }

    #[test]
    fn a_generator_that_stops_is_blamed() {
        let (summary, report) = with_a_stop(|_, bench| stop_for_a_second(bench));
        assert!(millis(&summary, "schedule_lag", "p99") > 500.0);
        assert!(report.contains(LATE), "{report}");
    }

    #[test]
    fn a_fast_server_and_a_low_rate_do_not_blame_the_generator() {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(directory.path());
        // A busy machine may well be the cause, once.
        let reports = [(); 3].map(|()| {
            fs::remove_dir_all(directory.path().join("run")).ok();
            let ended = bench(directory.path(), &server.url, &["-q", "50", "-z", "2s"]);
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            on_one_line(&ended.stdout)
        });
        assert!(reports.iter().any(|report| !report.contains(LATE)), "{}", reports[0]);
    }

    #[test]
    fn a_load_waits_for_a_recorder_that_comes_later() {
        let server = server(MockConfig::default());
        let directory = tempfile::tempdir().unwrap();
        let plan = "\
phases:
  - {kind: profiling, workload: {get: {path: /}}, arrival: {closed_loop: {concurrency: 1}}, stop: {requests: 50}}
";
        fs::write(directory.path().join("plan.yaml"), plan).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output = format!("tcp:127.0.0.1:{port}");
        let load = Running::start(&mut phasemeter(
            directory.path(),
            ["load", "plan.yaml", "--target", &server.url(), "--output", &output],
        ));
        std::thread::sleep(Duration::from_millis(500));
        let source = format!("tcp-listen:{port}");
        let recorded = run(directory.path(), ["record", &source, "--out", "run"]);
        assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
        assert_eq!(load.wait(LIMIT).code, Some(0));
    }
}
