//! Prints the page of `tests/trust/intervals.md`; `cargo xtask intervals` writes it.

/// Of each kind. More would take minutes for another digit that says nothing.
const RUNS: u32 = 1_000;

fn main() {
    print!("{}", phasemeter_tests::intervals::page(RUNS));
}
