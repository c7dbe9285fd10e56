//! One run: a mock server, `phasemeter run`, and the firmware in QEMU between them.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::process::{Process, rest_of_line};
use super::{QEMU, build};
use crate::command::{cargo, program, root, run as run_command};
use crate::packages::ensure_program;

/// How long `phasemeter` may take to write its report after the firmware's line has ended, or somebody wanted it to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// After so long the server has written its log, and the last message was shown.
const FLUSHED: Duration = Duration::from_millis(300);

/// Somebody wants the run to end.
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What is run, and where its files go.
pub(super) struct Setup<'a> {
    /// The `phasemeter` command.
    pub(super) phasemeter: &'a Path,
    pub(super) plan: &'a Path,
    /// Gets `server.jsonl` and the run directory `run`.
    pub(super) directory: &'a Path,
    pub(super) image: &'a Path,
    /// Of the mock server.
    pub(super) server: &'a [&'a str],
    /// Of the firmware; it has to be an image with semihosting if there are any.
    pub(super) parameters: &'a [&'a str],
    /// More arguments of QEMU.
    pub(super) qemu: &'a [&'a str],
    /// Whether the report is shown.
    pub(super) shows: bool,
}

impl Setup<'_> {
    /// Runs it; gives how `phasemeter run` ended.
    ///
    /// # Errors
    /// When something cannot be started, or QEMU ends in mid-run.
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let mut command = program(self.phasemeter);
        command.args(["mock-server", "--listen", "127.0.0.1:0", "--log"]).arg(self.directory.join("server.jsonl"));
        command.args(self.server).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Process::start_apart("the mock server", &mut command)?;
        let stdout = server.child.stdout.take().context("it is piped")?;
        let port = rest_of_line(stdout, "listening on http://127.0.0.1:", |_| ())?;

        let mut command = program(self.phasemeter);
        command.arg("run").arg(self.plan).args(["--device", "tcp-listen:127.0.0.1:0", "--out"]);
        command.arg(self.directory.join("run"));
        // A server within the firmware is its own choice.
        if !self.parameters.contains(&"peer=scripted") {
            // So the firmware sees the host's own address.
            command.arg("--target").arg(format!("http://10.0.2.2:{port}"));
        }
        command.stderr(Stdio::piped());
        if !self.shows {
            command.stdout(Stdio::null());
        }
        let mut recorder = Process::start("phasemeter run", &mut command)?;
        let stderr = recorder.child.stderr.take().context("it is piped")?;
        let (shows, said) = (self.shows, Arc::new(Mutex::new(String::new())));
        let show = {
            let said = Arc::clone(&said);
            move |line: &str| {
                if shows {
                    eprintln!("{line}");
                }
                said.lock().unwrap_or_else(PoisonError::into_inner).extend([line, "\n"]);
            }
        };
        let line = rest_of_line(stderr, "waiting for a device to connect to ", show).with_context(|| {
            let said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if shows { "`phasemeter run` did not start".to_owned() } else { said.trim_end().to_owned() }
        })?;
        let mut emulator = Process::start_apart("QEMU", &mut self.emulator(&line))?;

        let (mut ended, mut interrupted) = (None, None);
        let status = recorder.wait(|| {
            if ended.is_none() && emulator.child.try_wait().context("cannot wait for QEMU")?.is_some() {
                ended = Some(Instant::now());
            }
            if interrupted.is_none() && IS_INTERRUPTED.load(Ordering::Relaxed) {
                interrupted = Some(Instant::now());
            }
            let is_late = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() > PATIENCE);
            if is_late(interrupted) {
                bail!("interrupted");
            }
            if is_late(ended) {
                bail!("QEMU has ended, and the run goes on without it");
            }
            Ok(())
        })?;
        thread::sleep(FLUSHED);
        if !status.success() && !shows {
            eprint!("{}", said.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(status)
    }

    fn emulator(&self, line: &str) -> Command {
        let mut command = program(QEMU);
        command.args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none", "-nic", "user,model=lan9118"]);
        command.args(["-serial", "null", "-serial", &format!("tcp:{line}"), "-kernel"]).arg(self.image);
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter().map(|parameter| format!(",arg={parameter}"));
            let config = format!("enable=on,target=native{}", parameters.collect::<String>());
            command.args(["-semihosting-config", &config]);
        }
        command.args(self.qemu).stdin(Stdio::null());
        command
    }
}

/// Runs the plan; gives the exit code of `phasemeter run`.
///
/// # Errors
/// When something cannot be built or started, or QEMU ends in mid-run.
pub(super) fn run(plan: &Path, json: bool, features: &str) -> Result<ExitCode> {
    let plan = std::path::absolute(plan).context("the current directory is not known")?;
    ensure_program(QEMU, QEMU)?;
    let phasemeter = phasemeter("debug")?;
    let image = build::image(features)?;
    // `phasemeter run` ends the run on the device, and reports it; then everything else is ended here.
    ctrlc::set_handler(|| IS_INTERRUPTED.store(true, Ordering::Relaxed)).context("cannot watch for Ctrl-C")?;
    let directory = directory()?;
    let parameters: &[&str] = if features.contains("semihosting") { &["exit=over"] } else { &[] };
    let setup = Setup {
        phasemeter: &phasemeter,
        plan: &plan,
        directory: &directory,
        image: &image,
        server: &[],
        parameters,
        qemu: &[],
        shows: !json,
    };
    let status = setup.run()?;
    if json {
        // As it was written, also of a run that is not complete.
        let summary = directory.join("run/summary.json");
        print!("{}", fs::read_to_string(&summary).with_context(|| format!("cannot read {}", summary.display()))?);
    }
    let shown = directory.strip_prefix(root()).unwrap_or(&directory);
    eprintln!("run and server.jsonl are in {}", shown.display());
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Builds the command with this profile, `debug` or `release`, and gives its path.
///
/// # Errors
/// When it does not compile.
pub(super) fn phasemeter(profile: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "-p", "phasemeter"]);
    if profile == "release" {
        command.arg("--release");
    }
    run_command(&mut command)?;
    Ok(build::directory().with_file_name(profile).join(format!("phasemeter{EXE_SUFFIX}")))
}

/// A new directory for a run.
///
/// # Errors
/// When it cannot be made.
pub(super) fn directory() -> Result<PathBuf> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let runs = build::directory().join("runs");
    let directory = runs.join(since_1970.as_nanos().to_string());
    fs::create_dir_all(&runs)
        .and_then(|()| fs::create_dir(&directory))
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    Ok(directory)
}
