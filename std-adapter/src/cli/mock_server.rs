//! `phasemeter mock-server`: a server whose delays are known, to try a load generator against.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use anyhow::{Context, bail, ensure};

use crate::atomic::write_atomically;
use crate::mock::{ApiKey, Faults, Listen, LogNormalDelay, MockConfig, MockServer};

const NOTES: &str = "\
Paths:
  /                      a short text after --latency, by any method
  /v1/chat/completions, /v1/completions, /v1/models
                         the OpenAI API, streamed and not; usage if asked for
  /echo                  the request's method, path, headers and length as JSON
  /fault/FAULT[/PATH]    PATH, or /, with a fault: /fault/status/503,
                         /fault/stall/2s/mid/v1/chat/completions
  /healthz, /metrics     for those who watch the server; Prometheus' format

Faults come before the answer or, with @mid, when half of it was sent:
  status=503             an answer with this status, 400 to 599
  reset, reset@mid       the connection is reset
  stall=2s, stall=2s@mid no byte leaves for so long
  garbage, garbage@mid   what is no HTTP; @mid an event that is no JSON
  slow-token=200ms       the token in the middle comes so much later
--fault takes a list of FAULT:SHARE, the share of all requests that have it.

Delays are MEDIAN,SIGMA of a log-normal distribution: half of them are shorter
than MEDIAN, and SIGMA (0 to 4) is the spread; MEDIAN alone is a constant delay.
Timers are about 0.1 ms late, more on a busy host: the log has what was applied,
and `phasemeter process` makes metrics of it.

Example: a language model of moderate speed that fails now and then
  phasemeter mock-server --first-token 200ms,0.4 --inter-token 20ms,0.3 \\
      --fault status=503:0.01,reset@mid:0.005 --log truth.jsonl
and a request to it, from another terminal
  curl -N http://127.0.0.1:8080/v1/chat/completions \\
      -d '{\"stream\": true, \"max_tokens\": 8}'";

/// Serve HTTP and an OpenAI-compatible API, with delays and faults drawn from known distributions.
///
/// HTTP/1.1 and HTTP/2, in clear or over TLS. Runs until Ctrl-C. The same seed deals the same delays and faults.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = NOTES)]
pub(super) struct Args {
    /// Address and port to listen on, or unix:PATH for a Unix socket; port 0 takes a free one. Other hosts can reach the
    /// server only if you say so here, for example 0.0.0.0:8080.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: Listen,

    /// Speak TLS, with a certificate for localhost, 127.0.0.1 and `::1` that is made for this run.
    #[arg(long)]
    tls: bool,

    /// Write the certificate to this file, for clients to trust (curl --cacert FILE).
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_cert_out: Option<PathBuf>,

    /// Answer 401 to requests without the key in this environment variable as `Authorization: Bearer KEY`.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,

    /// The random seed: request number k draws the same delays and faults in every run with the same seed.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,

    /// Delay before the answer to `/`.
    #[arg(long, value_name = "MEDIAN,SIGMA", default_value = "20ms,0.5")]
    latency: LogNormalDelay,

    /// Delay before the first token of an answer.
    #[arg(long, value_name = "MEDIAN,SIGMA", default_value = "100ms,0.4")]
    first_token: LogNormalDelay,

    /// Delay between two tokens of an answer.
    #[arg(long, value_name = "MEDIAN,SIGMA", default_value = "10ms,0.3")]
    inter_token: LogNormalDelay,

    /// What goes wrong, and the share of requests that it happens to, for example status=503:0.02,stall=2s:0.005.
    #[arg(long, value_name = "LIST")]
    fault: Option<Faults>,

    /// Write what was really applied to each request to this file, one JSON object a line. The file is overwritten.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Tokens of an answer when the request has neither `max_tokens` nor `max_completion_tokens`.
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    output_tokens: u32,
}

/// Serves until Ctrl-C or a request to terminate.
///
/// # Errors
/// When the server cannot start: the address is taken, the log cannot be created, a value is out of range.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Before the server says that it is ready: whoever waits for that line may end it at once.
    let (interrupted, interrupt) = mpsc::channel();
    let on_interrupt = move || {
        // A second Ctrl-C finds nobody waiting: the server is stopping already, and takes a second at most.
        let _ = interrupted.send(());
    };
    ctrlc::set_handler(on_interrupt).context("cannot watch for Ctrl-C")?;

    let config = MockConfig {
        seed: args.seed,
        latency: args.latency,
        first_token: args.first_token,
        inter_token: args.inter_token,
        faults: args.fault.unwrap_or_default(),
        output_tokens: args.output_tokens,
        api_key: args.api_key_env.as_deref().map(api_key).transpose()?,
    };
    let listen = match args.listen {
        Listen::Tcp(addr) if args.tls => Listen::Tls(addr),
        other if args.tls => bail!("there is no TLS over {other}; use --tls with an address"),
        listen => listen,
    };
    let server = MockServer::start(config, listen, args.log)?;
    if let (Some(file), Some(certificate)) = (&args.tls_cert_out, server.certificate()) {
        write_atomically(file, certificate.as_bytes()).context("cannot write the certificate")?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {}", server.url()).and_then(|()| out.flush()).context("cannot write to stdout")?;

    interrupt.recv().context("cannot watch for Ctrl-C")?;
    server.stop();
    Ok(ExitCode::SUCCESS)
}

fn api_key(variable: &str) -> anyhow::Result<ApiKey> {
    let key =
        std::env::var(variable).with_context(|| format!("cannot read the key from the environment ({variable})"))?;
    ensure!(!key.is_empty(), "the key in the environment ({variable}) is empty");
    Ok(key.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        let name = ["mock-server"];
        Command::try_parse_from(name.iter().chain(arguments)).map(|command| command.args)
    }

    #[test]
    fn listens_on_the_loopback_interface_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().listen, ([127, 0, 0, 1], 8080).into());
        assert_eq!(parse(&["--listen", "0.0.0.0:0"]).unwrap().listen, ([0, 0, 0, 0], 0).into());
    }

    #[test]
    fn reads_delays() {
        let args = parse(&["--latency", "5ms,1", "--inter-token", "3ms"]).unwrap();
        assert_eq!(args.latency.to_string(), "5ms,1");
        assert_eq!(args.inter_token.to_string(), "3ms,0");
    }

    #[test]
    fn says_what_is_wrong_with_a_delay() {
        let error = parse(&["--latency", "5ms,9"]).unwrap_err().to_string();
        assert!(error.contains("--latency") && error.contains("sigma `9` is not a number from 0 to 4"), "{error}");
    }

    #[test]
    fn says_what_is_wrong_with_a_fault() {
        assert_eq!(parse(&["--fault", "reset:0.5"]).unwrap().fault, Some("reset:0.5".parse().unwrap()));
        assert_eq!(parse(&[]).unwrap().fault, None);
        let error = parse(&["--fault", "reset:0.5,stll=2s:0.5"]).unwrap_err().to_string();
        assert!(error.contains("column 11") && error.contains("did you mean stall?"), "{error}");
    }

    #[test]
    fn a_certificate_needs_tls() {
        assert!(parse(&["--tls", "--tls-cert-out", "a"]).is_ok());
        assert!(parse(&["--tls-cert-out", "a"]).is_err());
    }
}
