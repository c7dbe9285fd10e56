//! Plan files, right and wrong.

use super::*;

/// One phase with a line of it replaced.
fn with(line: &str) -> String {
    let key = line.split(':').next().unwrap_or_default();
    let lines = [
        "kind: warmup",
        "workload: {get: {path: /}}",
        "arrival: {poisson: {rate: 1}}",
        "stop: {requests: 1}",
        "grace: 1s",
    ];
    let kept = lines.iter().filter(|other| other.split(':').next() != Some(key)).chain([&line]);
    let indented: Vec<_> = kept.map(|line| format!("    {line}\n")).collect();
    format!("phases:\n  -\n{}", indented.concat())
}

#[test]
fn faults_are_told_with_their_place() {
    for (line, place, message) in [
        ("arrival: {poisson: {rate: -1}}", "p:7:31", "rate of -1 requests a second"),
        ("arrival: {poisson: {rate: .nan}}", "p:7:31", "rate of NaN"),
        ("arrival: {closed_loop: {concurrency: 0}}", "p:7:42", "give at least 1"),
        ("arival: {poisson: {rate: 1}}", "p:8:5", "\"arival\" is no key here: did you mean `arrival`?"),
        ("stop: {}", "p:7:11", "would never end"),
        ("stop: {duration: 0s}", "p:7:11", "would send nothing"),
        ("stop: {duration: soon}", "p:7:22", "no length of time"),
        ("workload: {get: {path: x}}", "p:7:28", "begin with `/`"),
        ("workload: {chat: {prompt_tokens: 1, output_tokens: 0}}", "p:7:56", "at least one output token"),
        ("kind: cooking", "p:7:11", "\"cooking\" is not known here: there are `warmup`, `profiling` and `cooldown`"),
        ("kind: monitor", "p:7:11", "\"monitor\" is not known here"),
    ] {
        let error = parse("p", &with(line)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(&format!("{place}: ")) && error.contains(message), "{line}: {error}");
    }
}

#[test]
fn hostile_text_is_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n";
    let deep = format!("phases: {}", "[".repeat(20_000));
    for text in ["", "phases: []", "phases: 3", "\u{feff}", "- a", bomb, &deep, "phases: [", "\tphases: []"] {
        assert!(parse("p", text).is_err());
    }
}

#[test]
fn too_many_phases_are_refused() {
    let one = with("kind: warmup");
    let phase = one.strip_prefix("phases:\n").unwrap_or_default();
    let text = format!("phases:\n{}", phase.repeat(MAX_PHASES + 1));
    let error = parse("p", &text).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("p:195:5: a plan has at most 32 phases"), "{error}");
}

/// The phase's request with this workload.
fn request(workload: &str) -> Result<RequestSpec, String> {
    let plan = parse("p", &with(&format!("workload: {workload}"))).map_err(|error| error.to_string())?;
    Ok(plan.requests()[0].clone())
}

#[test]
fn requests_of_a_host_have_methods_headers_and_bodies() {
    let spec = request(
        "{request: {method: PUT, path: '/x?y=z', headers: {X-A: b, Accept: text/plain}, body: hello, api_key_env: K}}",
    );
    let expected = PlainRequest {
        method: "PUT".into(),
        path: "/x?y=z".into(),
        headers: vec![("Accept".into(), "text/plain".into()), ("X-A".into(), "b".into())],
        body: Body::Fixed(b"hello".to_vec()),
        api_key_env: Some("K".into()),
    };
    assert_eq!(spec, Ok(RequestSpec::Plain(expected)));
    let long = format!("/{}", "x".repeat(5_000));
    assert_eq!(request(&format!("{{get: {{path: {long}}}}}")), Ok(RequestSpec::Plain(PlainRequest::get(&long))));
    let Ok(RequestSpec::Chat(chat)) = request(
        "{chat: {prompt_tokens: 3, output_tokens: 4, model: m, api_key_env: K, extra: {temperature: 0.5, stop: null}}}",
    ) else {
        panic!()
    };
    assert_eq!((chat.model.as_deref(), chat.api_key_env.as_deref(), chat.extra.len()), (Some("m"), Some("K"), 2));
}

#[test]
fn what_no_request_can_be_is_told() {
    for (workload, message) in [
        ("{request: {path: /a b}}", "%20"),
        ("{request: {method: 'A B', path: /}}", "is no method"),
        ("{request: {path: /, headers: {'a b': c}}}", "no header's name"),
        ("{request: {path: /, headers: {a: \"b\\nsecret\"}}}", "header a has a line break"),
        ("{request: {path: /, body: a, body_file: b}}", "give one of"),
        ("{request: {path: /, order: random}}", "`order` is that of `body_lines`"),
        ("{request: {path: /, body_lines: none.jsonl}}", "none.jsonl: No such file"),
        ("{chat: {output_tokens: 1}}", "`prompt_tokens`, the size of its prompt, or `prompts`"),
        ("{chat: {output_tokens: 1, prompt_tokens: 1, order: random}}", "`order` is that of `prompts`"),
    ] {
        let error = request(workload).unwrap_err();
        assert!(error.starts_with("p:7:") && error.contains(message), "{workload}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn files_are_looked_for_beside_the_plan() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("bodies.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    write("plan.yaml", &with("workload: {request: {method: POST, path: /, body_lines: bodies.jsonl, order: random}}"));
    let plan = load(&directory.path().join("plan.yaml")).unwrap();
    let RequestSpec::Plain(PlainRequest { body, .. }) = &plan.requests()[0] else { panic!() };
    let lines = ["{\"a\":1}", "{\"a\":2}"].map(str::to_owned).to_vec();
    assert_eq!(*body, Body::Lines { lines, order: Order::Random });
}

#[test]
fn a_plan_is_described_in_the_form_of_a_plan_file() {
    let text = with("workload: {get: {path: /a}}");
    let plan = parse("p", &text).unwrap();
    let described = plan.describe();
    let phases = serde_json::json!({ "seed": described["seed"], "phases": described["phases"] }).to_string();
    assert_eq!(parse("described", &phases).unwrap().run().content_hash(), plan.run().content_hash());
}
