//! The log: a line for every request, whatever became of it.

use super::*;

#[test]
fn every_request_has_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let config = MockConfig { api_key: Some("k".to_owned().into()), ..MockConfig::default() };
    let server = start(config, Some(&log));
    let key = "Authorization: Bearer k\r\n";
    let too_long = format!("GET /{}", "x".repeat(5000));
    let sent = [
        ("GET /", ""),
        ("DELETE /?query", key),
        ("GET /nothing", key),
        ("PUT /v1/models", key),
        ("POST /v1/completions", key),
        ("GET /healthz", ""),
        ("GET /fault/status/429", key),
        (&too_long, key),
    ];
    for (request, headers) in sent {
        let _ = exchange_with(&server, request, headers, "");
    }
    server.stop();
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<ServedRequest> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brief: Vec<_> =
        lines.iter().map(|line| (&*line.method, line.status, line.request, line.read_ms.is_some())).collect();
    assert_eq!(
        brief,
        [
            ("GET", 401, None, false),
            ("DELETE", 200, Some(0), true),
            ("GET", 404, None, false),
            ("PUT", 405, None, false),
            ("POST", 400, None, true),
            ("GET", 200, None, true),
            ("GET", 429, Some(1), true),
            ("GET", 404, None, false),
        ]
    );
    assert_eq!((&*lines[1].route, lines[6].fault.as_deref()), ("/", Some("status=429")));
    assert_eq!(lines[7].route.len(), 1024);
    assert!(lines.iter().all(|line| line.http_version == "1.1" && !line.cancelled && !line.tls));
    assert!(lines.windows(2).all(|pair| pair[0].started_ns < pair[1].started_ns));
    assert!(lines.windows(2).all(|pair| pair[0].started_unix_ns < pair[1].started_unix_ns));
}

#[test]
fn a_stream_has_one_gap_fewer_than_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let config = MockConfig {
        first_token: "5ms".parse().unwrap(),
        inter_token: "2ms,0.5".parse().unwrap(),
        ..MockConfig::default()
    };
    let server = start(config, Some(&log));
    let _ = chat(&server, r#"{"stream":true,"max_tokens":4,"messages":[{"content":"one two"}]}"#);
    server.stop();
    let [line] = &served(&log)[..] else { panic!("not one line") };
    assert_eq!((line.gaps_ms.len(), line.output_tokens, line.prompt_tokens), (3, 4, Some(2)));
    let (read, first, last) = (line.read_ms.unwrap(), line.first_byte_ms.unwrap(), line.last_token_ms.unwrap());
    assert!(read <= first && first >= 5.0 && last <= line.total_ms, "{line:?}");
    assert!((first + line.gaps_ms.iter().sum::<f64>() - last).abs() < 1e-4, "{line:?}");
}

#[cfg(feature = "process")]
#[test]
fn is_made_into_metrics() {
    use crate::process::{Document, Format, MetricDocument, Percentiles, ReadOptions, Reader};

    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let delay: LogNormalDelay = "4ms,0.3".parse().unwrap();
    let server = start(MockConfig { first_token: delay, inter_token: delay, ..MockConfig::default() }, Some(&log));
    for request in
        ["GET /healthz", "GET /fault/status/500", "GET /fault/reset/mid", "GET /fault/garbage", "GET /nothing"]
    {
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    for _ in 0..3 {
        let _ = chat(&server, r#"{"stream":true,"max_tokens":5,"messages":[{"content":"one two"}]}"#);
    }
    let _ = chat(&server, r#"{"max_tokens":1}"#);
    server.stop();
    let lines = served(&log);
    let streamed: Vec<_> = lines.iter().filter(|line| line.last_token_ms.is_some()).collect();
    assert_eq!(streamed.len(), 3);

    let mut reader = Reader::new("log", ReadOptions::default());
    reader.read_file(&log, &mut ()).unwrap();
    let document = Document::new(&reader.finish(), Vec::new(), &Percentiles::default());
    assert_eq!((document.records, document.skipped, document.rejected), (8, 1, 0));
    let phase = &document.phases["all"];
    assert_eq!((phase.request_counts.successful, phase.request_counts.failed), (4, 4));
    let assert_sum = |tag: &str, expected: Vec<f64>| {
        let MetricDocument::Statistics(metric) = &phase.metrics[tag] else { panic!("{tag}") };
        assert_eq!(metric.count, Some(expected.len() as u64), "{tag}");
        let sum = expected.iter().sum::<f64>();
        assert!((metric.sum.unwrap() - sum).abs() < 1e-6, "{tag}: {metric:?}, not {sum}");
    };
    let of = |value: fn(&ServedRequest) -> f64| streamed.iter().map(|line| value(line)).collect::<Vec<_>>();
    assert_sum("time_to_first_token", of(|line| line.first_byte_ms.unwrap()));
    assert_sum("inter_token_latency", of(|line| line.gaps_ms.iter().sum::<f64>() / 4.0));
    assert_sum("output_sequence_length", vec![5.0, 5.0, 5.0, 1.0]);
    assert_sum("input_sequence_length", vec![2.0, 2.0, 2.0, 0.0]);
    let succeeded = lines.iter().filter(|line| line.request.is_some() && line.status == 200 && line.fault.is_none());
    assert_sum("request_latency", succeeded.map(|line| line.total_ms).collect());

    // Told to be another form, it is refused.
    let mut reader = Reader::new("log", ReadOptions { format: Some(Format::Aiperf), ..ReadOptions::default() });
    reader.read_file(&log, &mut ()).unwrap();
    assert_eq!(reader.finish().records(), 0);
}
