//! The `phasemeter` command; everything is in the library.

fn main() -> std::process::ExitCode {
    phasemeter::cli::main()
}
