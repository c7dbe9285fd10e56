//! One run: a mock server, `phasemeter run`, and the firmware in QEMU between them.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::process::{Process, rest_of_line};
use super::{QEMU, build};
use crate::command::{cargo, output, program, root, run as run_command};
use crate::toolchain::ensure_program;

/// How long `phasemeter` may take to write its report after the firmware's line has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the plan; gives the exit code of `phasemeter run`.
///
/// # Errors
/// When something cannot be built or started, or QEMU ends in mid-run.
pub(super) fn run(plan: &Path, json: bool, features: &str) -> Result<ExitCode> {
    let plan = std::path::absolute(plan).context("the current directory is not known")?;
    ensure_program(QEMU, QEMU)?;
    run_command(cargo().args(["build", "-p", "phasemeter"]))?;
    let image = build::image(features)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let directory = build::directory().join(format!("runs/{}", since_1970.as_secs()));
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let phasemeter = build::directory().with_file_name("debug").join(format!("phasemeter{EXE_SUFFIX}"));

    let mut command = program(&phasemeter);
    command.args(["mock-server", "--listen", "127.0.0.1:0", "--log"]).arg(directory.join("server.jsonl"));
    let mut server = Process::start("the mock server", command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = server.child.stdout.take().context("it is piped")?;
    let port = rest_of_line(stdout, "listening on http://127.0.0.1:", |_| ())?;

    let out = directory.join("run");
    let mut command = program(&phasemeter);
    command.arg("run").arg(plan).args(["--device", "tcp-listen:127.0.0.1:0", "--target"]);
    // So the firmware sees the host's own address.
    command.arg(format!("http://10.0.2.2:{port}")).arg("--out").arg(&out).stderr(Stdio::piped());
    if json {
        command.stdout(Stdio::null());
    }
    let mut recorder = Process::start("phasemeter run", &mut command)?;
    let stderr = recorder.child.stderr.take().context("it is piped")?;
    let line = rest_of_line(stderr, "waiting for the device to connect to ", |line| eprintln!("{line}"))?;

    let mut command = program(QEMU);
    command.args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none", "-nic", "user,model=lan9118"]);
    command.args(["-serial", "null", "-serial", &format!("tcp:{line}"), "-kernel"]).arg(&image);
    if features.contains("semihosting") {
        command.args(["-semihosting-config", "enable=on,target=native,arg=exit=over"]);
    }
    let mut emulator = Process::start("QEMU", command.stdin(Stdio::null()))?;

    let mut ended = None;
    let status = recorder.wait(|| {
        if ended.is_none() && emulator.child.try_wait().context("cannot wait for QEMU")?.is_some() {
            ended = Some(Instant::now());
        }
        match ended {
            Some(ended) if ended.elapsed() > PATIENCE => bail!("QEMU has ended, and the run goes on without it"),
            _ => Ok(()),
        }
    })?;
    if json {
        println!("{}", output(program(&phasemeter).args(["report", "--json"]).arg(&out))?);
    }
    let shown = directory.strip_prefix(root()).unwrap_or(&directory);
    eprintln!("run and server.jsonl are in {}", shown.display());
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
