//! Where devices are: what `record` and `run` have in common.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context, bail};

use super::values;
use crate::source::{DEFAULT_BAUD, Line, ListenNews, SourceError, SourceSpec, listen};

/// Where devices are, apart from the sources themselves.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Bits a second of serial ports.
    #[arg(long, default_value_t = DEFAULT_BAUD, value_parser = clap::value_parser!(u32).range(1..))]
    baud: u32,
    /// How long to wait for a serial port that vanished, or a device that lost its connection, to come back.
    #[arg(long, value_name = "TIME", value_parser = values::wait, default_value = "5s")]
    pub(super) reconnect: Duration,
    /// Listen for devices, on this machine alone unless a host is given; 0.0.0.0 is every interface.
    ///
    /// Devices are told apart by the ids with which they introduce themselves; one that connects again continues its line.
    #[arg(long, value_name = "[HOST:]PORT")]
    listen: Option<String>,
    /// How many devices to listen for; more are refused.
    #[arg(long, value_name = "N", requires = "listen", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    devices: u16,
}

/// Lines that are open.
pub(super) struct Opened {
    /// With the names of their sources.
    pub(super) lines: Vec<(String, Box<dyn Line>)>,
    /// Who comes, if devices are listened for.
    pub(super) news: Option<Receiver<ListenNews>>,
}

impl SourceArgs {
    /// How many lines there will be with these sources.
    pub(super) fn count(&self, sources: &[String]) -> usize {
        sources.len() + self.listen.as_ref().map_or(0, |_| self.devices.into())
    }

    /// Opens the sources, and the address to listen on.
    pub(super) fn open(&self, sources: &[String]) -> anyhow::Result<Opened> {
        let mut lines = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            if sources[..index].contains(source) {
                bail!("{source} is given twice; a source is one device");
            }
            let spec = SourceSpec::parse(source, self.baud)?.with_reconnect(self.reconnect);
            let identity = spec.identity();
            let line = spec.open()?;
            if let Some(address) = line.local_addr() {
                super::say(format_args!("waiting for a device to connect to {address}"));
            }
            lines.push((identity, line));
        }
        let Some(address) = &self.listen else { return Ok(Opened { lines, news: None }) };
        let spec = SourceSpec::parse(&format!("tcp-listen:{address}"), self.baud).context("--listen")?;
        let SourceSpec::TcpListen(address) = spec else { bail!("--listen {address}: write it as PORT or HOST:PORT") };
        let listening = listen(&address, self.devices.into(), self.reconnect)
            .map_err(|cause| SourceError::Open { identity: format!("tcp-listen:{address}"), cause })?;
        let devices = if self.devices == 1 { "a device".to_owned() } else { format!("{} devices", self.devices) };
        super::say(format_args!("waiting for {devices} to connect to {}", listening.address));
        let named = (1..)
            .zip(listening.lines)
            .map(|(number, line)| (format!("tcp-listen:{}#{number}", listening.address), line));
        lines.extend(named);
        Ok(Opened { lines, news: Some(listening.news) })
    }
}
