//! The fault table at a reduced size, the one that is checked in, and faults that a user injects.

use std::fs;
use std::path::Path;

use phasemeter_tests::faults::{Scale, table};
use phasemeter_tests::{Device, parse, run};

#[test]
fn every_fault_gives_exact_totals_or_is_said() {
    let table = table(&Scale { trials: 5, processes: 1, seed: 77, filter: None });
    assert!(table.rows().len() > 60, "{}", table.rows().len());
    assert_eq!(table.failures(), Vec::<String>::new(), "{}", table.markdown());
    let sum = |of: fn(&phasemeter_tests::faults::Row) -> u32| table.rows().iter().map(of).sum::<u32>();
    assert_eq!(sum(|row| row.exact) + sum(|row| row.said), table.trials());
    assert!(sum(|row| row.exact) > table.trials() / 4 && sum(|row| row.said) > table.trials() / 4);
}

/// The rows of a table in Markdown: name and numbers.
fn rows(table: &str) -> Vec<(String, Vec<u32>)> {
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.contains("trials"));
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.replace('*', "")).collect();
        let numbers = cells[cells.len() - 5..].iter().map(|cell| cell.trim().parse().unwrap());
        (cells[0].trim().to_owned(), numbers.collect())
    };
    rows.map(row).collect()
}

/// The README shows what the whole table comes to, fault by fault.
#[test]
fn the_summary_is_that_of_the_table() {
    let read =
        |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("faults").join(file)).unwrap();
    let (shown, whole) = (rows(&read("summary.md")), rows(&read("table.md")));
    assert!(shown.len() > 20 && shown.iter().all(|(_, numbers)| numbers[3..] == [0, 0]), "{shown:?}");
    for (fault, numbers) in &shown {
        let mut sums = vec![0; 5];
        for (_, of_row) in whole.iter().filter(|(name, _)| name == fault) {
            sums.iter_mut().zip(of_row).for_each(|(sum, number)| *sum += number);
        }
        assert_eq!(numbers, &sums, "{fault}: run `cargo xtask faults --update`");
    }
    assert!(whole.iter().all(|(name, _)| shown.iter().any(|(fault, _)| fault == name)));
}

#[test]
fn injected_faults_are_repeatable_and_said_wherever_the_run_is_shown() {
    let place = tempfile::tempdir().unwrap();
    let device = Device { id: "d", boot_id: 1, seed: 5, requests: 200, line_bytes: usize::MAX };
    fs::write(place.path().join("line.bin"), device.bytes()).unwrap();
    let record = |out: &str, faults: &str| run(place.path(), ["record", "line.bin", "--out", out, "--inject", faults]);
    let summary = |out: &str| parse(&fs::read_to_string(place.path().join(out).join("summary.json")).unwrap());
    let exited = record("bad", "drop=0.6,flip=1e-4,seed=7");
    assert_eq!(exited.code, Some(3), "{}", exited.stderr);
    let warning = "file:line.bin: faults were injected into its line on purpose (drop=0.6,flip=0.0001,seed=7): this is a test, not a measurement";
    assert_eq!(summary("bad")["run"]["warnings"][0], warning);
    assert!(exited.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(warning), "{}", exited.stdout);
    let asked = fs::read_to_string(place.path().join("bad/run.json")).unwrap();
    assert!(asked.contains("drop=0.6,flip=1e-4,seed=7"), "{asked}");
    record("again", "drop=0.6,flip=1e-4,seed=7");
    let coverage = |out: &str| summary(out)["coverage"].clone();
    assert_eq!(coverage("bad"), coverage("again"));
    let replayed = run(place.path(), ["replay", "bad", "--out", "replayed"]);
    assert_eq!((replayed.code, summary("replayed")), (Some(3), summary("bad")));
    // Faults that every device survives.
    assert_eq!(record("late", "dup=0.5,reorder=0.5,seed=1").code, Some(0));
    let exited = record("none", "drop=0.2,flipp=1");
    assert_eq!(exited.code, Some(2));
    assert!(exited.stderr.contains("column 10: there is no fault `flipp`: did you mean `flip`?"), "{}", exited.stderr);
    assert!(!place.path().join("none").exists());
}
