//! Rows of trials, and how they are shown.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::trial::Outcome;
use crate::random::Random;

/// A trial takes milliseconds: one that takes so long hangs.
const HANG: Duration = Duration::from_mins(1);

/// The trials of one fault at one intensity.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub fault: &'static str,
    /// How much of it.
    pub intensity: String,
    /// How many trials there were.
    pub trials: u32,
    /// In so many, exit code 0 and every number right.
    pub exact: u32,
    /// In so many, the run said what it lacks.
    pub said: u32,
    /// In so many, a number was wrong and the exit code 0, or the phase said to be whole.
    pub wrong: u32,
    /// In so many, a reset that never was, a panic, or no end.
    pub broken: u32,
    /// The first that was wrong or broken.
    pub example: Option<String>,
}

/// The rows, as they come.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    trials: u32,
    seed: u64,
    filter: Option<String>,
}

impl Table {
    pub(super) fn new(trials: u32, seed: u64, filter: Option<String>) -> Self {
        Self { rows: Vec::new(), trials, seed, filter }
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many trials there were in all.
    pub fn trials(&self) -> u32 {
        self.rows.iter().map(|row| row.trials).sum()
    }

    /// The rows in which something was wrong or broken, in words.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.rows.iter().filter(|row| row.wrong + row.broken > 0);
        let say = |row: &Row| {
            let Row { fault, intensity, wrong, broken, example, .. } = row;
            let example = example.as_deref().unwrap_or_default();
            format!("{fault}, {intensity}: {wrong} wrong, {broken} broken: {example}")
        };
        failed.map(say).collect()
    }

    /// Tries a fault as often as was asked for.
    pub(super) fn add(
        &mut self,
        fault: &'static str,
        intensity: impl Into<String>,
        trial: impl FnMut(&mut Random) -> Outcome,
    ) {
        self.add_some(fault, intensity, self.trials, trial);
    }

    /// Tries a fault so often.
    pub(super) fn add_some(
        &mut self,
        fault: &'static str,
        intensity: impl Into<String>,
        trials: u32,
        mut trial: impl FnMut(&mut Random) -> Outcome,
    ) {
        let intensity = intensity.into();
        if trials == 0 || self.filter.as_ref().is_some_and(|filter| !fault.contains(filter.as_str())) {
            return;
        }
        let mut row = Row { fault, intensity, trials, exact: 0, said: 0, wrong: 0, broken: 0, example: None };
        for number in 0..u64::from(trials) {
            let mut random = Random::new(self.seed.wrapping_mul(0x1_0000_0001).wrapping_add(number << 40));
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| trial(&mut random)));
            let outcome = match outcome {
                _ if started.elapsed() > HANG => Outcome::Broken(format!("it took {:?}", started.elapsed())),
                Ok(outcome) => outcome,
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                    Outcome::Broken(format!("panicked: {}", text.unwrap_or("without words")))
                }
            };
            let (count, example) = match outcome {
                Outcome::Exact => (&mut row.exact, None),
                Outcome::Said => (&mut row.said, None),
                Outcome::Wrong(why) => (&mut row.wrong, Some(why)),
                Outcome::Broken(why) => (&mut row.broken, Some(why)),
            };
            *count += 1;
            if let Some(why) = example {
                row.example.get_or_insert(format!("trial {number}: {why}"));
            }
        }
        self.rows.push(row);
    }

    /// The table in Markdown: each fault at each intensity.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| fault | intensity | trials | exact | said so | wrong with exit 0 | false reset, crash, hang |\n\
             |---|---|---:|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let _ = writeln!(text, "| {} | {} | {}", row.fault, row.intensity, numbers(&[row], ""));
        }
        let _ = writeln!(text, "| **all** | | {}", numbers(&self.rows.iter().collect::<Vec<_>>(), "**"));
        text
    }

    /// The table with all intensities of a fault in one row.
    pub fn summary(&self) -> String {
        let mut text = String::from(
            "| fault | trials | exact | said so | wrong with exit 0 | false reset, crash, hang |\n\
             |---|---:|---:|---:|---:|---:|\n",
        );
        let mut shown = Vec::new();
        for Row { fault, .. } in &self.rows {
            if !shown.contains(fault) {
                shown.push(*fault);
                let rows: Vec<_> = self.rows.iter().filter(|row| row.fault == *fault).collect();
                let _ = writeln!(text, "| {fault} | {}", numbers(&rows, ""));
            }
        }
        let _ = writeln!(text, "| **all** | {}", numbers(&self.rows.iter().collect::<Vec<_>>(), "**"));
        text
    }
}

/// The sums of rows, as the cells of one row.
fn numbers(rows: &[&Row], mark: &str) -> String {
    let sum = |of: fn(&Row) -> u32| rows.iter().map(|row| of(row)).sum::<u32>();
    let sums =
        [sum(|row| row.trials), sum(|row| row.exact), sum(|row| row.said), sum(|row| row.wrong), sum(|row| row.broken)];
    let cells: Vec<_> = sums.iter().map(|sum| format!("{mark}{sum}{mark} |")).collect();
    cells.join(" ")
}
