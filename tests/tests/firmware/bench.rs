//! `phasemeter run` at one end of the line, the firmware in QEMU at the other.

use std::fs;
use std::path::Path;

use phasemeter_tests::{Exited, LIMIT, Monitor, Running, image, parse, phasemeter, qemu};
use serde_json::Value;
use tempfile::TempDir;

/// A directory for one run.
pub(crate) struct Bench(TempDir);

/// Both ends while they run.
pub(crate) struct Both {
    pub(crate) recorder: Running,
    pub(crate) monitor: Monitor,
}

/// What came of it.
pub(crate) struct Done {
    pub(crate) exited: Exited,
    pub(crate) summary: Option<Value>,
    /// What QEMU said on standard error.
    pub(crate) qemu: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Starts the recorder, which uploads the plan to the device at `source`, to be run against the host's `port`.
    pub(crate) fn start(&self, plan: &str, source: &str, port: u16) -> Running {
        fs::write(self.path().join("plan.yaml"), plan).unwrap();
        let target = format!("http://10.0.2.2:{port}");
        let arguments = ["run", "plan.yaml", "--device", source, "--out", "run", "--target", &target];
        Running::start(&mut phasemeter(self.path(), arguments))
    }

    /// Runs the plan against the host's `port`; `meanwhile` may interfere.
    pub(crate) fn run(&self, plan: &str, port: u16, meanwhile: impl FnOnce(&mut Both)) -> Done {
        let recorder = self.start(plan, "tcp-listen:0", port);
        let address = recorder.wait_for_rest_of("waiting for a device to connect to ");
        let mut command = qemu(image("PHASEMETER_IMAGE"), &format!("tcp:{address}"), &[]);
        let monitor = Monitor::of(&mut command);
        let emulator = Running::start(&mut command);
        let mut both = Both { recorder, monitor };
        meanwhile(&mut both);
        let exited = both.recorder.wait(LIMIT * 3);
        Done { exited, summary: self.summary(), qemu: emulator.stderr() }
    }

    /// What the recorder wrote.
    pub(crate) fn summary(&self) -> Option<Value> {
        fs::read_to_string(self.path().join("run/summary.json")).ok().map(|text| parse(&text))
    }
}

/// A phase, by its place in the plan.
pub(crate) fn phase(summary: &Value, index: usize) -> &Value {
    let phases = summary["phases"].as_array().unwrap();
    phases.iter().filter(|phase| phase["device"].is_null()).nth(index).unwrap()
}
