//! The whole fault table, for `cargo xtask faults`: prints it, and fails if anything in it was wrong or broken.

use std::process::ExitCode;

use phasemeter_tests::faults::{Scale, table};

/// `faults TRIALS PROCESSES SEED [FAULT]` prints the table by intensity, and after an empty line by fault.
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<u64>().ok());
    let (Some(trials), Some(processes), Some(seed)) = (number(0), number(1), number(2)) else {
        eprintln!("usage: faults TRIALS PROCESSES SEED [FAULT]");
        return ExitCode::from(2);
    };
    let [trials, processes] = [trials, processes].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    // A trial that panics is in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let table = table(&Scale { trials, processes, seed, filter: arguments.get(3).cloned() });
    print!("{}\n{}", table.markdown(), table.summary());
    let failures = table.failures();
    for failure in &failures {
        eprintln!("{failure}");
    }
    if failures.is_empty() && table.trials() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
