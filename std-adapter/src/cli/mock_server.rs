//! `phasemeter mock-server`: a server whose delays are known, to try a load generator against.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use anyhow::Context;

use crate::mock::{LogNormalDelay, MockConfig, MockServer};

const NOTES: &str = "\
Delays are MEDIAN,SIGMA of a log-normal distribution: half of them are shorter
than MEDIAN, and SIGMA (0 to 4) is the spread; MEDIAN alone is a constant delay.
Timers are about 0.1 ms late, more on a busy host: the log has what was applied.

Example: a language model of moderate speed that fails one request in a hundred
  phasemeter mock-server --first-token 200ms,0.4 --inter-token 20ms,0.3 \\
      --error-rate 0.01 --log truth.jsonl
and a request to it, from another terminal
  curl -N http://127.0.0.1:8080/v1/chat/completions \\
      -d '{\"stream\": true, \"max_tokens\": 8}'";

/// Serve HTTP and OpenAI-compatible chat with delays drawn from known distributions.
///
/// `GET /` answers after one delay; `POST /v1/chat/completions` streams tokens (or, without "stream": true, answers in
/// one piece); `GET /healthz` answers at once. Runs until Ctrl-C. The same seed deals the same delays.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = NOTES)]
pub(super) struct Args {
    /// Address and port to listen on; port 0 takes a free one. Other hosts can reach the server only if you say so
    /// here, for example 0.0.0.0:8080.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The random seed: request number k draws the same delays in every run with the same seed.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,

    /// Delay before the answer to `GET /`.
    #[arg(long, value_name = "MEDIAN,SIGMA", default_value = "20ms,0.5")]
    latency: LogNormalDelay,

    /// Delay before the first token of a chat answer.
    #[arg(long, value_name = "MEDIAN,SIGMA", default_value = "100ms,0.4")]
    first_token: LogNormalDelay,

    /// Delay between two tokens of a chat answer.
    #[arg(long, value_name = "MEDIAN,SIGMA", default_value = "10ms,0.3")]
    inter_token: LogNormalDelay,

    /// Share of requests answered with HTTP 500, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    error_rate: f64,

    /// Write what was really applied to each request to this file, one JSON object a line. The file is overwritten.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Tokens of a chat answer when the request has neither `max_tokens` nor `max_completion_tokens`.
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
        error_rate: args.error_rate,
        output_tokens: args.output_tokens,
    };
    let server = MockServer::start(config, args.listen, args.log)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {}", server.url()).and_then(|()| out.flush()).context("cannot write to stdout")?;

    interrupt.recv().context("cannot watch for Ctrl-C")?;
    server.stop();
    Ok(ExitCode::SUCCESS)
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
        assert!(parse(&[]).unwrap().listen.ip().is_loopback());
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
}
