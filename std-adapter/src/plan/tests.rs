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
        ("arival: {poisson: {rate: 1}}", "p:8:5", "unknown field `arival`"),
        ("stop: {}", "p:7:11", "would never end"),
        ("stop: {duration: 0s}", "p:7:11", "would send nothing"),
        ("stop: {duration: soon}", "p:7:22", "no length of time"),
        ("workload: {get: {path: x}}", "p:7:28", "begin with `/`"),
        ("workload: {chat: {prompt_tokens: 1, output_tokens: 0}}", "p:7:56", "at least one output token"),
        ("kind: cooking", "p:7:11", "unknown variant `cooking`"),
        ("kind: monitor", "p:7:11", "unknown variant `monitor`"),
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
