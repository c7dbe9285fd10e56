//! `phasemeter run`: uploads a plan to a device, starts it, and records what it measures.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use phasemeter_core::telemetry::{Reason, Refusal};

use super::record::{Place, to_report};
use super::run_config::RunConfigArgs;
use super::thresholds::ThresholdArgs;
use super::{interrupt, run_info::RunInfo, values};
use crate::plan;
use crate::recorder::{RecordingOptions, RecordingSource};
use crate::remote::{Remote, RemoteError};
use crate::source::{DEFAULT_BAUD, SourceSpec};

const NOTES: &str = "\
Devices: /dev/ttyACM0 or COM3, tcp:HOST:PORT, tcp-listen:PORT, unix:PATH. The
line must have both directions.

Ctrl-C stops the run on the device; what it measured up to then is reported. A
second Ctrl-C ends at once.

Example:
  phasemeter run plan.yaml --device /dev/ttyACM0 --target http://192.168.0.7:8080";

/// Upload a plan to a device, start it there, and record its telemetry.
///
/// The device checks the plan and echoes its hash before anything starts, or refuses it and says why. It repeats the
/// end of each phase until this program has it whole.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// The plan file.
    plan: PathBuf,
    /// Where the device is, see below.
    #[arg(long, value_name = "SOURCE")]
    device: String,
    /// The server as the device reaches it: `http://HOST:PORT`. The device's own choice unless given.
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The run directory; a new one under ./phasemeter-runs unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Bits a second of a serial port.
    #[arg(long, default_value_t = DEFAULT_BAUD, value_parser = clap::value_parser!(u32).range(1..))]
    baud: u32,
    /// End after so long, whatever the device does, for example 10m.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    max_duration: Option<Duration>,
    /// Cancel the run that the device may be at.
    #[arg(long)]
    stop_running: bool,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    #[command(flatten)]
    run_config: RunConfigArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let plan = plan::load(&args.plan)?;
    let target = args.target.as_deref().map_or(Ok(String::new()), address)?;
    let components = args.run_config.create(1)?;
    let spec = SourceSpec::parse(&args.device, args.baud)?;
    let identity = spec.identity();
    let line = spec.open()?;
    if let Some(address) = line.local_addr() {
        super::say(format_args!("waiting for the device to connect to {address}"));
    }
    let flag = interrupt::watch(|| {})?;
    let stop = || flag.load(Ordering::Relaxed);
    let text = |text: &str| text.lines().for_each(|line| super::say(format_args!("| {line}")));
    let at_device = |error: RemoteError| {
        let hint = match error {
            RemoteError::Refused(Refusal { reason: Reason::BUSY, .. }) => " (--stop-running does)",
            _ => "",
        };
        anyhow::anyhow!("{identity}: {error}{hint}")
    };
    let (mut device, name) = Remote::identify(line, stop, text).map_err(at_device)?;
    super::say(format_args!("device {name}"));
    if args.stop_running {
        device.stop_running(stop, text).map_err(at_device)?;
    }
    device.upload(&target, plan.run(), stop, text).map_err(at_device)?;
    super::say(format_args!("the device has plan {:016x}", plan.run().content_hash()));
    let (line, remote) = device.into_recording(plan.run().content_hash());
    let hooks = components.hooks.into_iter().next().unwrap_or_default();
    let source = RecordingSource { identity, line, hooks, remote: Some(remote) };
    let place = Place::new(args.out.as_deref())?;
    let thresholds = args.thresholds.thresholds();
    RunInfo::new(Some(&plan), args.target.as_deref()).with(thresholds, components.stored).write(&place.directory)?;
    let options = RecordingOptions {
        max_duration: args.max_duration,
        thresholds,
        ..RecordingOptions::new(&place.directory, &place.run_id)
    };
    to_report(vec![source], &options, &flag, components.processors, false)
}

/// The address and port that a URL names: a device has no resolver.
fn address(url: &str) -> anyhow::Result<String> {
    let form = || format!("{url}: a target is http://HOST[:PORT]");
    let rest = url.strip_prefix("http://").with_context(form)?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.is_empty() || host.contains(['/', '@', '?', '#']) {
        bail!(form());
    }
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let addresses = with_port.to_socket_addrs().with_context(|| format!("{url}: cannot be resolved"))?;
    let Some(address) = addresses.into_iter().find(SocketAddr::is_ipv4) else {
        bail!("{url}: has no IPv4 address, which is what devices reach");
    };
    if address.ip().is_loopback() {
        super::say(format_args!("{url} is the device itself, as the device sees it"));
    }
    Ok(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_target_is_an_address_and_a_port() {
        assert_eq!(address("http://192.0.2.7:8080").unwrap(), "192.0.2.7:8080");
        assert_eq!(address("http://192.0.2.7/").unwrap(), "192.0.2.7:80");
        for wrong in ["192.0.2.7:80", "https://192.0.2.7", "http://", "http://192.0.2.7/path", "http://192.0.2.7:x"] {
            assert!(address(wrong).unwrap_err().to_string().starts_with(wrong), "{wrong}");
        }
    }
}
