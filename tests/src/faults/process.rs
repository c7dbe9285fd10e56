//! Recorders that are killed, and disks that are full: with the command itself.

use super::table::Table;

#[cfg(unix)]
pub(super) fn add(table: &mut Table, trials: u32) {
    unix::add(table, trials);
}

#[cfg(not(unix))]
pub(super) fn add(_: &mut Table, _: u32) {}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::super::known::Sent;
    use super::super::table::Table;
    use super::super::trial::{Outcome, Truth};
    use crate::random::Random;
    use crate::{LIMIT, Running, phasemeter};

    pub(super) fn add(table: &mut Table, trials: u32) {
        table.add_some("recorder killed", "SIGKILL at any moment", trials, |random| {
            in_directory(|place| killed(place, &sent(random), random))
        });
        table.add_some("disk full", "at any block", trials, |random| {
            in_directory(|place| full(place, &sent(random), random))
        });
    }

    fn sent(random: &mut Random) -> Sent {
        Sent::load("board-1", 1 + random.below(10_000), 300)
    }

    fn in_directory(trial: impl FnOnce(&Path) -> Outcome) -> Outcome {
        let place = tempfile::tempdir().expect("there is room for a directory");
        trial(place.path())
    }

    /// Writes to the recorder's standard input, and kills it at a moment of the first half second.
    fn killed(place: &Path, sent: &Sent, random: &mut Random) -> Outcome {
        let mut command = phasemeter(place, ["record", "-", "--out", "run"]);
        let mut recorder = Running::start(command.stdin(Stdio::piped()));
        let mut line = recorder.take_stdin().expect("it is piped");
        let after = Duration::from_millis(random.below(500));
        let piece = 1 + random.index(2_000);
        let writer = std::thread::spawn({
            let bytes = sent.bytes();
            move || {
                // Whoever was killed takes nothing.
                let _ = bytes.chunks(piece).try_for_each(|piece| {
                    std::thread::sleep(Duration::from_millis(10));
                    line.write_all(piece)
                });
            }
        });
        std::thread::sleep(after);
        drop(recorder);
        writer.join().expect("a writer does not panic");
        replayed(place, sent)
    }

    /// The system lets no file grow beyond some blocks: the write fails in the middle of a record.
    fn full(place: &Path, sent: &Sent, random: &mut Random) -> Outcome {
        let bytes = sent.bytes();
        fs::write(place.join("line.bin"), &bytes).expect("there is room for a file");
        let recorder = phasemeter(place, ["record", "line.bin", "--out", "run"]);
        let blocks = random.index(bytes.len() / 512 + 4);
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &limited, "sh"]).arg(recorder.get_program()).args(recorder.get_args());
        let exited = Running::start(command.current_dir(place).stdin(Stdio::null())).wait(LIMIT);
        match exited.code {
            Some(0) => judged(place, sent, 0),
            Some(2) => replayed(place, sent),
            code => Outcome::Broken(format!("the recorder ended with {code:?}: {}", exited.stderr)),
        }
    }

    /// What a replay of the run directory says, and its exit code.
    fn replayed(place: &Path, sent: &Sent) -> Outcome {
        if !place.join("run/capture.pmcap").exists() {
            return Outcome::Said;
        }
        let exited = Running::start(&mut phasemeter(place, ["replay", "run"])).wait(LIMIT);
        match exited.code {
            Some(code @ (0 | 3)) => judged(place, sent, code),
            // The capture breaks off within its first bytes.
            Some(2) => Outcome::Said,
            code => Outcome::Broken(format!("the replay ended with {code:?}: {}", exited.stderr)),
        }
    }

    fn judged(place: &Path, sent: &Sent, code: i32) -> Outcome {
        let text = fs::read_to_string(place.join("run/summary.json")).expect("there is a summary");
        let summary = serde_json::from_str(&text).expect("a summary is JSON");
        match Truth::of([sent]).judge(&summary) {
            Outcome::Exact if code != 0 => Outcome::Broken(format!("complete, with exit code {code}")),
            Outcome::Said if code == 0 => Outcome::Wrong("exit code 0 of an incomplete run".to_owned()),
            outcome => outcome,
        }
    }
}
