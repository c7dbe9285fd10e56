//! `phasemeter run`: uploads a plan to devices, starts them, and records what they measure.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::prepare::{Prepare, prepare};
use super::record::{Place, to_report};
use super::run_config::RunConfigArgs;
use super::source_args::{Opened, SourceArgs};
use super::thresholds::ThresholdArgs;
use super::{interrupt, ports, run_info::RunInfo, values};
use crate::plan;
use crate::recorder::{RecordingOptions, RecordingSource};

const NOTES: &str = "\
Devices: /dev/ttyACM0 or COM3, tcp:HOST:PORT, tcp-listen:PORT, unix:PATH. The
line must have both directions.

Of several devices, each is sent the plan; once all have it, all are started. If
one does not take it, none is started.

Ctrl-C stops the run on the devices; what they measured up to then is reported.
A second Ctrl-C ends at once.

Examples:
  phasemeter run plan.yaml --device /dev/ttyACM0 --target http://192.168.0.7:8080
  phasemeter run plan.yaml --listen 0.0.0.0:7000 --devices 50";

/// Upload a plan to devices, start it there, and record their telemetry.
///
/// A device checks the plan and echoes its hash before anything starts, or refuses it and says why. It repeats the
/// end of each phase until this program has it whole.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// The plan file.
    plan: PathBuf,
    /// Where a device is, see below; repeatable.
    #[arg(long, value_name = "SOURCE", required_unless_present_any = ["listen", "all"])]
    device: Vec<String>,
    /// Every serial port on USB, as `phasemeter ports` lists them, has a device.
    #[arg(long, conflicts_with = "device")]
    all: bool,
    #[command(flatten)]
    source: SourceArgs,
    /// The server as the devices reach it: `http://HOST:PORT`. Their own choice unless given.
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The run directory; a new one under ./phasemeter-runs unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// End after so long, whatever the devices do, for example 10m.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    max_duration: Option<Duration>,
    /// Cancel the run that a device may be at.
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
    let devices = if args.all { ports::boards()? } else { args.device.clone() };
    if args.all && devices.is_empty() {
        bail!("there is no serial port on USB: is a board plugged in? `phasemeter ports` lists all ports");
    }
    let components = args.run_config.create(args.source.count(&devices))?;
    let Opened { lines, news } = args.source.open(&devices)?;
    let stop = interrupt::watch(|| {})?;
    let wanted = Prepare {
        plan: plan.run(),
        target: &target,
        stop_running: args.stop_running,
        reconnect: args.source.reconnect,
    };
    let prepared = prepare(lines, &wanted, &stop, news.as_ref())?;
    let sources = prepared.into_iter().zip(components.hooks);
    let sources = sources.map(|((identity, line, remote), hooks)| RecordingSource {
        identity,
        line,
        hooks,
        remote: Some(remote),
    });
    let place = Place::new(args.out.as_deref())?;
    let thresholds = args.thresholds.thresholds();
    RunInfo::new(Some(&plan), args.target.as_deref()).with(thresholds, components.stored).write(&place.directory)?;
    let options = RecordingOptions {
        max_duration: args.max_duration,
        thresholds,
        ..RecordingOptions::new(&place.directory, &place.run_id)
    };
    to_report(sources.collect(), news, &options, &stop, components.processors, false)
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
