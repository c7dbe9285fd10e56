//! How `bench` and `load` reach the server.

use std::path::PathBuf;

use crate::load::{ConnectOptions, Trust};

/// How the server is reached.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connections")]
pub(super) struct ConnectArgs {
    /// Trust the certificates of this PEM file in place of the system's.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Trust every certificate; the report says so.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Use HTTP/2 alone; without TLS from the first byte on. Over TLS it is used anyway if the server offers it.
    #[arg(long)]
    http2: bool,
    /// Connect to a Unix socket; the URL's host then only stands in the requests.
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// Requests in flight at most; more wait, and show as schedule lag.
    #[arg(long, value_name = "REQUESTS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(super) max_in_flight: u32,
}

impl ConnectArgs {
    pub(super) fn options(&self) -> ConnectOptions {
        let trust = match &self.cacert {
            _ if self.insecure => Trust::Anyone,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        ConnectOptions { trust, http2: self.http2, unix_socket: self.unix_socket.clone() }
    }
}
