//! The API: its paths, and what it answers.

use serde_json::{Value, json};

use super::*;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn events(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

#[test]
fn streams_one_chunk_a_token() {
    let server = start(MockConfig::default(), None);
    let (head, body) = chat(&server, r#"{"model":"m","stream":true,"max_tokens":3,"messages":[]}"#);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    let events = events(&body);
    let [tokens @ .., stop, done] = &events[..] else { panic!("{body}") };
    assert_eq!(*done, "[DONE]");
    assert_eq!(json(stop)["choices"][0]["finish_reason"], "length");
    for (index, token) in tokens.iter().enumerate() {
        let token = json(token);
        assert_eq!((&token["object"], &token["model"]), (&"chat.completion.chunk".into(), &"m".into()));
        assert_eq!(token["choices"][0]["delta"]["content"], format!("token{index} "));
        assert_eq!(token["choices"][0]["delta"]["role"].is_null(), index > 0);
        assert!(!token.as_object().unwrap().contains_key("usage"));
        assert!(token["choices"][0]["finish_reason"].is_null());
    }
    assert_eq!(tokens.len(), 3);
}

#[test]
fn the_last_event_has_the_usage_if_it_is_asked_for() {
    let server = start(MockConfig { output_tokens: 2, ..MockConfig::default() }, None);
    let (_, body) = chat(
        &server,
        r#"{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"one  two"},
            {"role":"user","content":[{"type":"text","text":"three"},{"type":"image_url","image_url":{"url":"x"}}]},
            {"role":"assistant","content":null}]}"#,
    );
    let [first, second, stop, usage, done] = &events(&body)[..] else { panic!("{body}") };
    for event in [first, second, stop] {
        assert_eq!(json(event).as_object().unwrap()["usage"], Value::Null);
    }
    assert_eq!(json(stop)["choices"][0]["finish_reason"], "stop");
    let usage = json(usage);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 }));
    assert_eq!(*done, "[DONE]");
}

#[test]
fn answers_in_one_piece_after_all_delays() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.jsonl");
    let delay: LogNormalDelay = "5ms".parse().unwrap();
    let config = MockConfig { first_token: delay, inter_token: delay, ..MockConfig::default() };
    let server = start(config, Some(&log));
    let body = r#"{"max_completion_tokens":4,"max_tokens":9,"messages":[{"role":"user","content":"a b c"}]}"#;
    let (_, body) = chat(&server, body);
    server.stop();
    let answer = json(&body);
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("mock")));
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"], json!({ "role": "assistant", "content": "token0 token1 token2 token3 " }));
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(answer["usage"], json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7 }));
    let request = &served(&log)[0];
    assert!(request.first_byte_ms.unwrap() >= 20.0 && request.gaps_ms.is_empty(), "{request:?}");
    assert_eq!((request.last_token_ms, request.output_tokens, request.prompt_tokens), (None, 4, Some(3)));
}

#[test]
fn completes_both_ways() {
    let server = start(MockConfig { output_tokens: 2, ..MockConfig::default() }, None);
    let complete = |body: &str| exchange(&server, "POST /v1/completions", body).1;
    for (prompt, tokens) in
        [(json!("one two"), 2), (json!(["one two", "three"]), 3), (json!([5, 6, 7]), 3), (json!([[5], [6, 7]]), 3)]
    {
        let answer = json(&complete(&json!({ "model": "m", "prompt": prompt }).to_string()));
        assert_eq!((&answer["object"], &answer["model"]), (&json!("text_completion"), &json!("m")));
        assert_eq!(answer["choices"][0]["text"], "token0 token1 ");
        assert_eq!(answer["usage"]["prompt_tokens"], tokens);
    }
    let body = complete(r#"{"prompt":"x","stream":true,"stream_options":{"include_usage":true}}"#);
    let [first, second, stop, usage, done] = &events(&body)[..] else { panic!("{body}") };
    let text = |event: &str| json(event)["choices"][0]["text"].clone();
    assert_eq!([text(first), text(second), text(stop)], [json!("token0 "), json!("token1 "), json!("")]);
    assert_eq!(json(usage)["usage"]["total_tokens"], 3);
    assert_eq!(*done, "[DONE]");
}

#[test]
fn lists_its_model() {
    let server = start(MockConfig::default(), None);
    let (head, body) = exchange(&server, "GET /v1/models", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
    assert_eq!(json(&body)["data"][0]["id"], "mock");
}

#[test]
fn echoes_what_was_sent() {
    let server = start(MockConfig::default(), None);
    let headers = "X-A: 1\r\nx-a: \u{e9}\r\n";
    let (_, body) = exchange_with(&server, "PUT /echo?a=b%20c", headers, "five!");
    let echo = json(&body);
    assert_eq!((&echo["method"], &echo["path"]), (&json!("PUT"), &json!("/echo?a=b%20c")));
    assert_eq!(echo["body_length"], 5);
    let sent: Vec<_> = echo["headers"].as_array().unwrap().iter().filter(|header| header["name"] == "x-a").collect();
    assert_eq!(sent, [&json!({ "name": "x-a", "value": "1" }), &json!({ "name": "x-a", "value": "\u{e9}" })]);
}

#[test]
fn plain_paths_take_any_method() {
    let server = start(MockConfig::default(), None);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let (head, body) = exchange(&server, &format!("{method} /"), "a body");
        assert!(head.starts_with("HTTP/1.1 200") && body.starts_with("hello"), "{method}: {head}");
    }
    let (head, body) = exchange(&server, "HEAD /", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 38"), "{head}");
    assert_eq!(body, "");
    let (head, _) = exchange(&server, "OPTIONS /", "");
    assert!(head.starts_with("HTTP/1.1 405") && head.contains("allow: GET, HEAD, POST"), "{head}");
}

#[test]
fn refuses_bad_requests_the_way_openai_does() {
    let server = start(MockConfig::default(), None);
    let long_name = json!({ "model": "x".repeat(257) }).to_string();
    for body in [
        "",
        "{",
        "[]",
        r#"{"stream":1}"#,
        r#"{"max_tokens":0}"#,
        r#"{"max_tokens":-1}"#,
        r#"{"max_tokens":65536}"#,
        r#"{"messages":{}}"#,
        r#"{"messages":[{"content":1}]}"#,
        r#"{"prompt":{}}"#,
        &long_name,
    ] {
        for path in ["/v1/chat/completions", "/v1/completions"] {
            let (head, answer) = exchange(&server, &format!("POST {path}"), body);
            assert!(head.starts_with("HTTP/1.1 400"), "{body}: {head}");
            let answer = json(&answer);
            assert_eq!(answer["error"]["type"], "invalid_request_error");
            assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
        }
    }
    for (request, status) in [
        ("GET /nothing", "404"),
        ("POST /nothing", "404"),
        ("GET /v1/chat/completions", "405"),
        ("POST /v1/models", "405"),
        ("GET /fault", "404"),
        ("GET /fault/stal/2s", "404"),
        ("GET /fault/stall", "400"),
        ("GET /fault/status/200", "400"),
        ("GET /fault/reset/nothing", "404"),
    ] {
        let (head, answer) = exchange(&server, request, "");
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
        assert_eq!(json(&answer)["error"]["type"], "invalid_request_error");
    }
    assert!(exchange(&server, "GET /fault/stal/2s", "").1.contains("did you mean stall?"));
}

#[test]
fn a_body_that_is_too_long_is_not_kept() {
    let server = start(MockConfig::default(), None);
    for path in ["/v1/chat/completions", "/", "/echo"] {
        // The server may hang up before all of the body was sent; it must not answer 200.
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n").unwrap();
        stream.write_all(&vec![b'x'; 1024 * 1024 + 1]).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 413");
    }
}

#[test]
fn lets_in_who_has_the_key() {
    let config = MockConfig { api_key: Some("secret".to_owned().into()), ..MockConfig::default() };
    assert!(!format!("{config:?}").contains("secret"));
    let server = start(config, None);
    for request in ["GET /", "GET /v1/models", "POST /v1/chat/completions", "GET /nothing", "GET /fault/reset"] {
        for headers in ["", "Authorization: Bearer secre\r\n", "Authorization: Basic secret\r\n", "Authorization: \r\n"]
        {
            let (head, answer) = exchange_with(&server, request, headers, "{}");
            assert!(head.starts_with("HTTP/1.1 401") && head.contains("www-authenticate: Bearer"), "{request}: {head}");
            assert_eq!(json(&answer)["error"]["code"], "invalid_api_key");
        }
    }
    for headers in ["Authorization: Bearer secret\r\n", "authorization: bearer secret\r\n"] {
        assert!(exchange_with(&server, "GET /", headers, "").0.starts_with("HTTP/1.1 200"));
    }
    for open in ["GET /healthz", "GET /metrics"] {
        assert!(exchange(&server, open, "").0.starts_with("HTTP/1.1 200"), "{open}");
    }
}

#[test]
fn metrics_count_requests_tokens_and_faults() {
    let server = start(MockConfig::default(), None);
    let _ = exchange(&server, "GET /", "");
    let _ = exchange(&server, "GET /no\"thing", "");
    let _ = exchange(&server, "GET /nothing?x=1", "");
    let _ = exchange(&server, "GET /fault/status/503", "");
    let _ = chat(&server, r#"{"stream":true,"max_tokens":3}"#);
    let _ = chat(&server, r#"{"max_tokens":2}"#);
    let (head, text) = exchange(&server, "GET /metrics", "");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        r#"requests_total{path="/",status="200"} 1"#,
        r#"requests_total{path="other",status="404"} 2"#,
        r#"requests_total{path="/fault",status="503"} 1"#,
        r#"requests_total{path="/v1/chat/completions",status="200"} 2"#,
        r#"requests_total{path="/metrics",status="200"} 1"#,
        "requests_in_flight 0",
        "output_tokens_total 5",
        r#"faults_total{fault="status"} 1"#,
    ] {
        assert!(text.contains(&format!("\nphasemeter_mock_{line}\n")), "{line} is not in\n{text}");
    }
}
