//! `phasemeter demo`: server, device and recorder on this machine, over a real tty.

use std::path::PathBuf;

/// See the whole of it in half a minute: a mock server, a device that loads it, a recorder, a report.
///
/// The device is a process of its own. It sends real HTTP requests to the mock server and streams telemetry over a
/// pseudo-terminal, as a board does over its serial line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run directory; a new one under ./phasemeter-runs unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The seed of arrivals and delays.
    #[arg(long, value_name = "NUMBER", default_value_t = 42)]
    seed: u64,
}

#[cfg(not(unix))]
pub(super) fn run(_: &Args) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("the demo needs a pseudo-terminal, which this system does not have; use mock-server, load and record")
}

#[cfg(unix)]
pub(super) use unix::run;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::path::Path;
    use std::process::{Child, Command, ExitCode, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use anyhow::Context;

    use super::Args;
    use crate::cli::record::{could_not_write, fail_if_a_line_failed};
    use crate::cli::thresholds::exit_code;
    use crate::cli::{interrupt, print_report, progress::RecordingProgress, run_directory, run_info::RunInfo, say};
    use crate::hook::Hooks;
    use crate::mock::{LogNormalDelay, MockConfig, MockServer};
    use crate::recorder::{RecordError, RecordingOptions, RecordingSource, RecordingWatcher, record};
    use crate::replay::RecordedRun;
    use crate::session::Note;
    use crate::source::unix::Pty;

    /// The demo's phases take 15 s; a machine that is far too slow still gets a report in time.
    const MAX_DURATION: Duration = Duration::from_secs(27);

    fn plan(seed: u64) -> String {
        format!(
            "# What the demo's device runs; `phasemeter load --help` explains the form.\n\
             seed: {seed}\n\
             phases:\n\
             \x20 - kind: warmup\n\
             \x20   workload: {{get: {{path: /}}}}\n\
             \x20   arrival: {{poisson: {{rate: 300}}}}\n\
             \x20   stop: {{duration: 5s}}\n\
             \x20   grace: 2s\n\
             \x20 - kind: profiling\n\
             \x20   workload: {{chat: {{prompt_tokens: 64, output_tokens: 24}}}}\n\
             \x20   arrival: {{poisson: {{rate: 150}}}}\n\
             \x20   stop: {{duration: 10s}}\n\
             \x20   grace: 5s\n"
        )
    }

    fn server(seed: u64) -> anyhow::Result<MockConfig> {
        let delay = |millis, sigma| LogNormalDelay::new(Duration::from_millis(millis), sigma);
        Ok(MockConfig {
            seed,
            latency: delay(20, 0.5)?,
            first_token: delay(60, 0.4)?,
            inter_token: delay(8, 0.3)?,
            faults: "status=500:0.01".parse()?,
            ..MockConfig::default()
        })
    }

    pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
        let stop = interrupt::watch(|| {})?;
        let run_id = run_directory::new_run_id();
        let directory = run_directory::create(args.out.as_deref(), &run_id)?;
        let loopback = ([127, 0, 0, 1], 0).into();
        let server = MockServer::start(server(args.seed)?, loopback, Some(directory.join("server.jsonl")))?;
        RunInfo::new(None, Some(&server.url())).write(&directory)?;
        let pty = Pty::open().context("cannot open a pseudo-terminal")?;
        let mut device = Device::start(&directory, &plan(args.seed), &server.url(), pty.slave_path())?;
        say(format_args!("a mock server at {}, a device on {}", server.url(), pty.slave_path().display()));
        let options =
            RecordingOptions { max_duration: Some(MAX_DURATION), ..RecordingOptions::new(&directory, run_id) };
        let mut watcher = DemoWatcher {
            progress: RecordingProgress::new(vec!["demo".to_owned()], None),
            device: &mut device,
            stop: &stop,
        };
        let source = RecordingSource {
            identity: "pty:demo".to_owned(),
            line: Box::new(pty.into_line()),
            hooks: Hooks::new(),
            remote: None,
        };
        let recorded = record(vec![source], &options, &stop, &mut watcher);
        watcher.progress.finish();
        device.end();
        server.stop();
        let recorded = recorded.map_err(|error| match error {
            RecordError::Unwritten(unwritten) => could_not_write(&unwritten, &directory),
            error => error.into(),
        })?;
        let summary = recorded.summary();
        print_report(&summary)?;
        say(format_args!("the run is in {}; the server's own log of its delays is server.jsonl", directory.display()));
        fail_if_a_line_failed(&recorded)?;
        Ok(exit_code(&summary))
    }

    /// Shows progress, and ends the recording of a device that never spoke.
    struct DemoWatcher<'a> {
        progress: RecordingProgress,
        device: &'a mut Device,
        stop: &'a AtomicBool,
    }

    impl RecordingWatcher for DemoWatcher<'_> {
        fn note(&mut self, source: u16, note: &Note) {
            self.progress.note(source, note);
        }

        fn tick(&mut self, run: &RecordedRun) {
            self.progress.tick(run);
            let silent = run.sources().iter().all(|source| source.session.frames() == 0);
            if silent && self.device.has_ended() && !self.stop.swap(true, Ordering::Relaxed) {
                say("the device ended without a word: device.log in the run directory says why");
            }
        }
    }

    /// The device process. It ends when this one does, however that is: its standard input ends then.
    struct Device(Child);

    impl Device {
        fn start(directory: &Path, plan: &str, target: &str, tty: &Path) -> anyhow::Result<Self> {
            let plan_file = directory.join("plan.yaml");
            std::fs::write(&plan_file, plan).with_context(|| format!("cannot write {}", plan_file.display()))?;
            let log_file = directory.join("device.log");
            let log = File::create(&log_file).with_context(|| format!("cannot write {}", log_file.display()))?;
            let program = std::env::current_exe().context("cannot find this program to start the device")?;
            let child = Command::new(program)
                .arg("load")
                .arg(plan_file)
                .args(["--target", target, "--device-id", "demo-device", "--exit-with-stdin", "--output"])
                .arg(tty)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .context("cannot start the device process")?;
            Ok(Self(child))
        }

        fn has_ended(&mut self) -> bool {
            !matches!(self.0.try_wait(), Ok(None))
        }

        /// Waits a moment for the device to end by itself, then ends it.
        fn end(&mut self) {
            drop(self.0.stdin.take());
            let deadline = Instant::now() + Duration::from_secs(1);
            while Instant::now() < deadline {
                if self.has_ended() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    impl Drop for Device {
        fn drop(&mut self) {
            self.end();
        }
    }
}
