//! `phasemeter process` over records of single requests: flat ones, AIPerf's own, and what is neither.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use phasemeter_tests::{Exited, LIMIT, Running, phasemeter, process_document, run};
use serde_json::Value;

/// Four requests in three seconds; the last timed out.
const FLAT: &str = r#"{"timestamp": 1000.0, "latency_ms": 50.5, "status": "success"}
{"timestamp": 1001.0, "latency_ms": 45.2, "status": "success", "error": null}
{"timestamp": 1002.0, "latency_ms": 100.1, "status": "success"}
{"timestamp": 1003.0, "latency_ms": 5000.0, "status": "error", "error": "timeout"}
"#;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/aiperf").join(name)
}

fn process(arguments: &[&str]) -> Exited {
    run(&std::env::temp_dir(), [&["process"], arguments].concat())
}

/// Runs the command with these bytes on standard input.
fn feed(input: &[u8], arguments: &[&str]) -> Exited {
    let arguments = [&["process", "-"], arguments].concat();
    let mut running = Running::start(phasemeter(&std::env::temp_dir(), arguments).stdin(Stdio::piped()));
    let mut stdin = running.take_stdin().unwrap();
    // It may refuse the input before its end.
    let _ = stdin.write_all(input);
    drop(stdin);
    running.wait(LIMIT)
}

fn fed(input: &[u8], arguments: &[&str]) -> Value {
    let exited = feed(input, &[arguments, &["--json"]].concat());
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    process_document(&exited.stdout)
}

fn counts(document: &Value, phase: &str) -> [u64; 3] {
    let counts = &document["phases"][phase]["request_counts"];
    ["total", "successful", "failed"].map(|name| counts[name].as_u64().unwrap())
}

#[test]
fn flat_records_are_counted_and_failures_have_no_latency() {
    for arguments in [&[][..], &["--exact"]] {
        let document = fed(FLAT.as_bytes(), arguments);
        assert_eq!((&document["records"], &document["rejected"]), (&4.into(), &0.into()));
        assert_eq!(counts(&document, "all"), [4, 3, 1]);
        let phase = &document["phases"]["all"];
        assert_eq!((&phase["error_rate"], &phase["request_counts"]["success_rate"]), (&0.25.into(), &0.75.into()));
        assert_eq!(phase["throughput_rps"], 3.0 / 8.0, "the last one ended after 8 s");
        assert_eq!(phase["window_s"], 8.0);
        assert_eq!(phase["window"]["source"], "records");
        let latency = &phase["metrics"]["request_latency"];
        assert_eq!((&latency["unit"], &latency["count"]), (&"ms".into(), &3.into()));
        assert_eq!((&latency["min"], &latency["max"]), (&45.2.into(), &100.1.into()));
        let p50 = &latency["percentiles"]["p50"];
        let [value, lower, upper] = ["value", "lower", "upper"].map(|name| p50[name].as_f64().unwrap());
        // Few are exact. By nearest rank and between the closest ranks, it is the same one.
        assert_eq!([value, lower, upper].map(Some), [Some(50.5); 3], "{p50}");
    }
}

/// The names of percentiles in AIPerf's summary.
const LEVELS: [&str; 9] = ["1", "5", "10", "25", "50", "75", "90", "95", "99"];

/// Compares a phase with AIPerf's own numbers: everything, or without `all` the plain distributions and scalars.
/// Returns how many metrics were compared.
fn compare(metrics: &Value, summary: &Value, exact: bool) -> usize {
    let mut compared = 0;
    for (tag, theirs) in summary.as_object().unwrap() {
        if theirs.get("unit").is_none() {
            continue;
        }
        let ours = &metrics[tag];
        if ours.is_null() {
            // What needs all requests in memory.
            let needs_all = ["adj_", "effective_", "active_", "tokens_in_flight", "credit_to_start"];
            assert!(!exact && needs_all.iter().any(|start| tag.starts_with(start)), "{tag} is missing");
            continue;
        }
        compared += 1;
        assert_eq!(ours["unit"], theirs["unit"], "{tag}");
        let close = |name: &str, ours: &Value, theirs: &Value| {
            let (Some(a), Some(b)) = (ours.as_f64(), theirs.as_f64()) else { panic!("{tag} {name}: {ours} {theirs}") };
            assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-12), "{tag} {name}: {a} is not AIPerf's {b}");
        };
        if let Some(value) = ours.get("value") {
            close("value", value, &theirs["avg"]);
            continue;
        }
        for (name, own) in [("avg", "mean"), ("min", "min"), ("max", "max"), ("std", "std"), ("sum", "sum")] {
            if let Some(theirs) = theirs.get(name) {
                close(name, &ours[own], theirs);
            }
        }
        if let Some(count) = theirs.get("count") {
            assert_eq!(ours["count"], *count, "{tag}");
        }
        for level in LEVELS.map(|level| format!("p{level}")) {
            let (Some(theirs), bounded) = (theirs.get(&level), &ours["percentiles"][&level]) else { continue };
            let [value, lower, upper] = ["value", "lower", "upper"].map(|name| &bounded[name]);
            if exact {
                close(&level, value, theirs);
            } else {
                let [lower, upper, theirs] = [lower, upper, theirs].map(|value| value.as_f64().unwrap());
                // AIPerf's interpolation rounds otherwise than ours.
                let rounding = 1e-12 * theirs.abs();
                assert!(lower <= theirs + rounding && theirs <= upper + rounding, "{tag} {level}: {theirs} {bounded}");
            }
        }
    }
    compared
}

#[test]
fn the_numbers_are_those_of_aiperf() {
    let read = |name: &str| serde_json::from_str::<Value>(&fs::read_to_string(data(name)).unwrap()).unwrap();
    let summary = read("profile_export_aiperf.json");
    let records = data("profile_export.jsonl");
    for (exact, least) in [(false, 50), (true, 70)] {
        // `--exact` is AIPerf's rule by itself.
        let mode: &[&str] = if exact { &["--exact"] } else { &["--percentile-rule", "linear"] };
        let levels = LEVELS.join(",");
        let arguments = [&[records.to_str().unwrap(), "--json", "--percentiles", &levels], mode].concat();
        let exited = process(&arguments);
        assert_eq!((exited.code, exited.stderr.as_str()), (Some(0), ""));
        let document = process_document(&exited.stdout);
        assert_eq!((&document["records"], &document["skipped"]), (&250.into(), &0.into()));
        assert_eq!(document["percentile_rule"], "linear");
        assert_eq!(counts(&document, "profiling"), [200, 196, 4]);
        assert_eq!(counts(&document, "warmup"), [50, 49, 1]);
        for (phase, warmup) in [("warmup", true), ("profiling", false)] {
            let ours = &document["phases"][phase];
            assert_eq!((&ours["warmup"], &ours["window"]["source"]), (&warmup.into(), &"manifest".into()));
            let theirs = read(&format!("phases/{phase}/profile_export_aiperf.json"));
            let rates =
                [&ours["throughput_rps"], &theirs["request_throughput"]["avg"]].map(|rate| rate.as_f64().unwrap());
            assert!((rates[0] / rates[1] - 1.0).abs() < 1e-12, "{rates:?}");
            let compared = compare(&ours["metrics"], &theirs, exact);
            assert!(compared >= least, "only {compared} metrics of {phase}");
        }
        compare(&document["phases"]["profiling"]["metrics"], &summary, exact);
        compare(&document["phases"]["warmup"]["metrics"], &summary["warmup_metrics"], exact);
    }
}

#[test]
fn bad_lines_are_told_with_their_place_counted_and_skipped() {
    let deep = format!("{{\"latency_ms\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bad = [
        "not json",
        r#"{"latency_ms": true}"#,
        r#"{"latency_ms": "50"}"#,
        r#"{"latency_ms": NaN}"#,
        r#"{"latency_ms": 1e999}"#,
        r#"{"latency_ms": -1}"#,
        r#"{"latency_ms": 1, "latency_ms": 2}"#,
        r#"{"latency_ms": 1, "timestamp": -5}"#,
        r#"{"other": 1}"#,
        "[1]",
        r#"{"latency_ms": 1} {"latency_ms": 2}"#,
        &deep,
        "\u{0}",
    ];
    let input = format!("{FLAT}\n  \n{}\n{FLAT}", bad.join("\n"));
    let beyond = feed(input.as_bytes(), &["--json"]);
    assert_eq!(beyond.code, Some(3));
    assert!(beyond.stderr.ends_with("13 of 21 lines were rejected: --max-rejected allows 1 %\n"), "{}", beyond.stderr);
    let exited = feed(input.as_bytes(), &["--json", "--max-rejected", "62"]);
    assert_eq!((exited.code, &exited.stdout), (Some(0), &beyond.stdout), "{}", exited.stderr);
    let document = process_document(&exited.stdout);
    assert_eq!(document["rejected"], bad.len());
    assert_eq!(counts(&document, "all"), [8, 6, 2]);
    let told: Vec<_> = exited.stderr.lines().collect();
    assert_eq!(told.len(), 11, "ten and the number of the others: {}", exited.stderr);
    for (number, line) in told[..10].iter().enumerate() {
        assert!(line.starts_with(&format!("phasemeter: -:{}:", number + 7)), "{line}");
    }
    assert!(told[10].contains("3 more bad lines, 13 in all"), "{}", told[10]);
    let strict = feed(input.as_bytes(), &["--strict"]);
    assert_eq!((strict.code, strict.stdout.as_str()), (Some(2), ""));
    assert!(strict.stderr.starts_with("phasemeter: -:7:2: "), "{}", strict.stderr);
}

#[test]
fn a_long_line_is_rejected_and_what_follows_is_read() {
    let mut input = FLAT.as_bytes().to_vec();
    input.extend(std::iter::repeat_n(b'x', 40 << 20));
    input.push(b'\n');
    input.extend(FLAT.as_bytes());
    let exited = feed(&input, &["--json"]);
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    assert!(exited.stderr.contains("-:5:") && exited.stderr.contains("longer than 16 MiB"), "{}", exited.stderr);
    assert_eq!(counts(&process_document(&exited.stdout), "all"), [8, 6, 2]);
}

#[test]
fn what_editors_pipes_and_crashes_do_to_lines_is_borne() {
    let expected = fed(FLAT.as_bytes(), &[]);
    let crlf = FLAT.replace('\n', "\r\n");
    let marked = format!("\u{feff}{FLAT}");
    for same in [crlf.as_str(), &marked, FLAT.trim_end()] {
        assert_eq!(fed(same.as_bytes(), &[]), expected);
    }
    let torn = feed(&FLAT.as_bytes()[..FLAT.len() - 20], &["--json"]);
    assert_eq!(counts(&process_document(&torn.stdout), "all"), [3, 3, 0]);
    assert!(torn.stderr.starts_with("phasemeter: -:4:"), "{}", torn.stderr);
}

#[test]
fn gzip_files_are_read_as_plain_ones() {
    let place = tempfile::tempdir().unwrap();
    let plain = fs::read(data("profile_export.jsonl")).unwrap();
    let (first, second) = plain.split_at(plain.len() / 2);
    // Two members, as of appended files.
    let mut packed = Vec::new();
    for part in [first, second] {
        let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    fs::write(place.path().join("records.gz"), &packed).unwrap();
    fs::write(place.path().join("records"), &plain).unwrap();
    let phases = |name| {
        let exited = run(place.path(), ["process", name, "--json"]);
        process_document(&exited.stdout)["phases"].clone()
    };
    assert_eq!(phases("records.gz"), phases("records"));
    fs::write(place.path().join("torn.gz"), &packed[..packed.len() / 2]).unwrap();
    let torn = run(place.path(), ["process", "torn.gz"]);
    assert_eq!(torn.code, Some(3));
    assert!(torn.stderr.contains("torn.gz: the compressed data breaks off ("), "{}", torn.stderr);
    assert!(torn.stdout.contains("PARTIAL: torn.gz: the compressed data breaks off ("), "{}", torn.stdout);
    // All that was packed before is there, but for the line within which it breaks off.
    let document = process_document(&run(place.path(), ["process", "torn.gz", "--json"]).stdout);
    assert!((120..=130).contains(&document["records"].as_u64().unwrap()), "{}", document["records"]);
    assert!(document["rejected"].as_u64().unwrap() <= 1 && document["partial_reason"].is_string());
    let mut flipped = packed.clone();
    let middle = flipped.len() * 3 / 4;
    flipped[middle..].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(place.path().join("flipped.gz"), &flipped).unwrap();
    let flipped = run(place.path(), ["process", "flipped.gz", "--json"]);
    assert_eq!(flipped.code, Some(3), "{}", flipped.stderr);
    assert!(process_document(&flipped.stdout)["records"].as_u64().unwrap() >= 125);
}

#[test]
fn without_any_record_there_is_no_success() {
    for nothing in ["", "\n\n", "nothing\n"] {
        let exited = feed(nothing.as_bytes(), &["--json"]);
        assert_eq!((exited.code, exited.stdout.as_str()), (Some(3), ""));
        assert!(exited.stderr.contains("no valid record in -"), "{}", exited.stderr);
    }
    let warmup = r#"{"metadata": {"benchmark_phase": "warmup"}, "metrics": {}}"#;
    let (failed, odd) = (r#"{"status": "TIMEOUT"}"#, r#"{"latency_ms": 1, "status": "odd"}"#);
    for (line, code, said) in [
        (warmup, 3, "nothing was measured: every request only warms the server up"),
        (failed, 1, "no request succeeded"),
        (odd, 0, "1 records have the status \"odd\", of which it is not known what it says"),
    ] {
        let exited = feed(line.as_bytes(), &[]);
        assert_eq!(exited.code, Some(code), "{}", exited.stderr);
        assert!(exited.stderr.contains(said), "{}", exited.stderr);
    }
    for (arguments, said) in [
        (&["missing.jsonl"][..], "missing.jsonl"),
        (&["-", "-"], "only be read once"),
        (&["-", "--percentiles", "101"], "percentile"),
        (&["-", "--report"], "--aggregate"),
    ] {
        let exited = process(arguments);
        assert_eq!(exited.code, Some(2), "{arguments:?}");
        assert!(exited.stderr.contains(said), "{arguments:?}: {}", exited.stderr);
    }
}

#[test]
fn the_format_can_be_forced() {
    let aiperf = fs::read(data("profile_export.jsonl")).unwrap();
    let flat = feed(&aiperf, &["--format", "flat", "--json"]);
    assert!(flat.stderr.contains("250 in all") && flat.stderr.contains("no flat one"), "{}", flat.stderr);
    assert_eq!(flat.code, Some(3));
    // The first bad lines do not decide.
    let after_garbage = [b"garbage\n\n[]\n".as_slice(), &aiperf].concat();
    let document = fed(&after_garbage, &[]);
    assert_eq!((&document["rejected"], counts(&document, "warmup")), (&2.into(), [50, 49, 1]));
}

#[test]
fn files_are_one_set_or_aggregated() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a"), FLAT).unwrap();
    fs::write(place.path().join("b"), FLAT.replace("100", "200")).unwrap();
    let exited = run(place.path(), ["process", "a", "b", "--json"]);
    let together = process_document(&exited.stdout);
    assert_eq!(counts(&together, "all"), [8, 6, 2]);
    assert_eq!(together["phases"]["all"]["throughput_rps"], 6.0 / 16.0, "three in 8 s, twice");
    let exited = run(place.path(), ["process", "a", "b", "--json", "--aggregate", "--output", "out.json"]);
    let aggregated = process_document(&exited.stdout);
    assert_eq!(aggregated["phases"], together["phases"]);
    assert_eq!(process_document(&fs::read_to_string(place.path().join("out.json")).unwrap()), aggregated);
    let metrics = &aggregated["aggregate"]["metrics"];
    assert_eq!((&metrics["total_records"], &metrics["total_sets"]), (&8.into(), &2.into()));
    assert_eq!((&metrics["timing"], &metrics["throughput_rps"]), (&"union".into(), &(6.0 / 16.0).into()));
    let exited = run(place.path(), ["process", "a", "./a", "b", "--aggregate", "--report"]);
    assert_eq!(exited.stderr, "phasemeter: ./a is given twice: its records count twice\n");
    let over = run(place.path(), ["process", "a", "b", "--output", "./b"]);
    assert_eq!(over.code, Some(2));
    assert!(over.stderr.contains("./b is an input: the output goes elsewhere"), "{}", over.stderr);
    let exited = run(place.path(), ["process", "a", "a", "b", "--aggregate", "--report"]);
    for line in ["Total Records: 12", "Result Sets: 3", "Success Rate: 75.00%", "Throughput: 0.562 req/s (union)"] {
        assert!(exited.stdout.contains(line), "{line} is not in {}", exited.stdout);
    }
}

/// 132 of the 196 successful requests took at most 300 ms.
#[test]
fn an_example_counts_what_met_an_objective() {
    let example = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/custom_processor");
    let example = example.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(example.exists(), "run `cargo build -p phasemeter --examples` with the same profile");
    let mut command = std::process::Command::new(example);
    let exited = Running::start(command.arg(data("profile_export.jsonl")).arg("300").stdin(Stdio::null())).wait(LIMIT);
    let result: Value = serde_json::from_str(&exited.stdout).unwrap();
    assert_eq!((exited.code, &result["requests"]), (Some(0), &200.into()));
    let [least, most] = ["good_at_least", "good_at_most"].map(|name| result[name].as_u64().unwrap());
    assert!(least <= 132 && 132 <= most && most - least < 5, "{result}");
}

#[test]
fn the_table_has_each_phase() {
    let exited = process(&[data("profile_export.jsonl").to_str().unwrap()]);
    for part in ["== profiling", "== warmup", "throughput 28.11 req/s", "request_latency (ms)", "total_osl (tokens)"] {
        assert!(exited.stdout.contains(part), "{part} is not in {}", exited.stdout);
    }
}
