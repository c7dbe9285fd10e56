//! `phasemeter bench`: measures a URL, from this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use phasemeter_core::plan::{Arrival, PhaseKind, PhasePlan, Rate, Stop};

use super::connect_args::ConnectArgs;
use super::record::{Place, to_report};
use super::run_config::RunConfigArgs;
use super::thresholds::ThresholdArgs;
use super::{interrupt, run_info::RunInfo, values};
use crate::hook::Hooks;
use crate::load::{Load, LoadOptions, Target, split_url};
use crate::plan::{Body, ChatRequest, Order, PlainRequest, Plan, RequestSpec, body_file, body_lines, prompts};
use crate::recorder::{RecordingOptions, RecordingSource};
use crate::source::in_process;

const NOTES: &str = "\
Examples:
  phasemeter bench http://127.0.0.1:8080/
      50 connections for 10 s, each with a new request once the last is answered
  phasemeter bench https://shop.example/search -q 200 --poisson -z 1m --warmup 5s
      200 requests a second at random times, whatever the server does: what users
      that do not wait for each other would see
  phasemeter bench http://127.0.0.1:8080/orders -d '{\"item\": 7}' -c 20 -n 10000
      POST, 10,000 in all
  phasemeter bench http://127.0.0.1:4000/v1 --chat --model m --api-key-env KEY -c 8
      streaming chats, with the key from the environment variable KEY

What is given with -H stands in the process list while it runs; --api-key-env
keeps a key out of it. Neither is in the files of the run.

Ctrl-C ends the load; what was measured up to then is reported. A second Ctrl-C
ends at once.";

/// Measure a URL: load it, record, report.
///
/// A closed loop (-c) keeps so many requests in flight; an open loop (-q) sends at its rate whatever the server does, and
/// so shows what waiting the server's slowness causes.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// The URL; of chats the base URL, with or without `/v1`. `http://` unless it says otherwise.
    url: String,
    /// Requests in flight, in a closed loop: 50, or 8 chats, unless given.
    #[arg(short = 'c', long, value_name = "REQUESTS", conflicts_with = "rate", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
    /// Requests a second, in an open loop, such as 200 or 0.5.
    #[arg(short = 'q', long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// Random arrivals at the mean rate of -q, as of users that do not know each other.
    #[arg(long, requires = "rate")]
    poisson: bool,
    /// How many requests in all.
    #[arg(short = 'n', long, value_name = "REQUESTS", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// For how long, such as 30s or 5m: 10s unless this or -n is given.
    #[arg(short = 'z', long, value_name = "TIME", value_parser = values::time)]
    duration: Option<Duration>,
    /// Load the server for so long before it is measured.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    warmup: Option<Duration>,
    /// For how long requests in flight at the end may still take.
    #[arg(long, value_name = "TIME", value_parser = values::wait, default_value = "30s")]
    grace: Duration,
    /// Makes what is random repeatable: arrivals, prompts, the order of bodies.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// The run directory; a new one under ./phasemeter-runs unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print summary.json instead of text.
    #[arg(long)]
    json: bool,
    // In place of the switch of all commands, and read where that is.
    /// Say nothing on standard error but errors; `-q` is the rate here.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    #[command(flatten)]
    run_config: RunConfigArgs,
    // Headings hold for what follows them.
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    chat: ChatArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What each request asks for.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Requests")]
struct RequestArgs {
    /// The method: GET, or POST with a body, unless given.
    #[arg(short = 'X', long, value_name = "METHOD", conflicts_with = "chat")]
    method: Option<String>,
    /// A header, `Name: value`; repeatable.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// A body.
    #[arg(short = 'd', long = "data", value_name = "TEXT", conflicts_with_all = ["body_file", "body_lines", "chat"])]
    body: Option<String>,
    /// A file with the body.
    #[arg(short = 'D', value_name = "FILE", long, conflicts_with_all = ["body_lines", "chat"])]
    body_file: Option<PathBuf>,
    /// A file of bodies, one a line; each request sends the next.
    #[arg(long, value_name = "FILE", conflicts_with = "chat")]
    body_lines: Option<PathBuf>,
    /// Draw bodies or prompts at random.
    #[arg(long)]
    random: bool,
    /// The environment variable with a key, sent as `Authorization: Bearer`.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
}

/// What each chat asks for.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Chats")]
struct ChatArgs {
    /// Send streaming chat completions, OpenAI-compatible.
    #[arg(long)]
    chat: bool,
    /// The model to ask for.
    #[arg(long, value_name = "NAME", requires = "chat", default_value = "default")]
    model: String,
    /// Words of a synthetic prompt, about as many tokens; each prompt is another.
    #[arg(long, value_name = "TOKENS", requires = "chat", default_value_t = 128)]
    prompt_tokens: u16,
    /// Tokens to ask for.
    #[arg(long, value_name = "TOKENS", requires = "chat", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    output_tokens: u16,
    /// A file of prompts, JSON Lines: texts, or objects with `text`, `prompt` or `messages`.
    #[arg(long, value_name = "FILE", requires = "chat")]
    prompts: Option<PathBuf>,
    /// More fields of the request's body, as a JSON object; a null takes a field away.
    #[arg(long, value_name = "JSON", requires = "chat", value_parser = parse_object)]
    extra: Option<serde_json::Map<String, serde_json::Value>>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (target, request) = args.request()?;
    let plan = args.plan(&request)?;
    let mut components = args.run_config.create(1)?;
    let hooks = components.hooks.pop().unwrap_or_default();
    let load = Load::new(target.clone(), &args.connect.options())?;
    let options = LoadOptions {
        max_in_flight: args.connect.max_in_flight.max(u32::from(args.concurrency.unwrap_or(0))),
        ..LoadOptions::new("bench")
    };
    load.check(&plan, &options)?;
    load.try_connect().with_context(|| format!("cannot connect to {target}"))?;
    let place = Place::new(args.out.as_deref())?;
    let thresholds = args.thresholds.thresholds();
    RunInfo::new(Some(&plan), Some(&args.url)).with(thresholds, components.stored).write(&place.directory)?;
    let (output, line) = in_process().context("cannot start the recorder")?;
    let stopper = load.stopper();
    let stop = interrupt::watch(move || stopper.stop())?;
    let source = RecordingSource { identity: "bench".to_owned(), line, hooks, remote: None };
    let recording = RecordingOptions {
        thresholds,
        // The load ends, and says so.
        stop_within: Duration::from_nanos(options.telemetry.line_patience.as_nanos()),
        ..RecordingOptions::new(&place.directory, &place.run_id)
    };
    std::thread::scope(|scope| {
        let load = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn_scoped(scope, || load.run(&plan, Box::new(output), &options, Hooks::new()));
        let load = load.context("cannot start the load")?;
        let code = to_report(vec![source], None, &recording, &stop, components.processors, args.json);
        match load.join() {
            Ok(Ok(_)) => code,
            Ok(Err(error)) => Err(error.into()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl Args {
    /// The server, and what each request asks of it.
    fn request(&self) -> anyhow::Result<(Target, RequestSpec)> {
        let order = if self.request.random { Order::Random } else { Order::InTurn };
        let (headers, api_key_env) = (self.request.headers.clone(), self.request.api_key_env.clone());
        if self.request.random && self.request.body_lines.is_none() && self.chat.prompts.is_none() {
            bail!("--random draws from --body-lines or --prompts, and neither is given");
        }
        if self.chat.chat {
            let url = if self.url.contains("://") { self.url.clone() } else { format!("http://{}", self.url) };
            let prompts = self.chat.prompts.as_deref().map(prompts).transpose()?;
            let chat = ChatRequest {
                model: Some(self.chat.model.clone()),
                api_key_env,
                headers,
                extra: self.chat.extra.clone().unwrap_or_default(),
                prompts: prompts.map(|prompts| (prompts, order)),
                ..ChatRequest::new(self.chat.prompt_tokens, self.chat.output_tokens)
            };
            return Ok((Target::parse(&url)?, RequestSpec::Chat(chat)));
        }
        let (target, path) = split_url(&self.url)?;
        let body = match (&self.request.body, &self.request.body_file, &self.request.body_lines) {
            (Some(text), _, _) => Body::Fixed(text.clone().into_bytes()),
            (_, Some(file), _) => Body::Fixed(body_file(file)?),
            (_, _, Some(file)) => Body::Lines { lines: body_lines(file)?, order },
            _ => Body::None,
        };
        let usual = if body == Body::None { "GET" } else { "POST" };
        let method = self.request.method.clone().unwrap_or_else(|| usual.to_owned());
        Ok((target, RequestSpec::Plain(PlainRequest { method, path, headers, body, api_key_env })))
    }

    fn plan(&self, request: &RequestSpec) -> anyhow::Result<Plan> {
        let arrival = match (self.rate, self.concurrency) {
            (Some(rate), _) if self.poisson => Arrival::Poisson { rate },
            (Some(rate), _) => Arrival::Constant { rate },
            (None, Some(concurrency)) => Arrival::ClosedLoop { concurrency },
            (None, None) => Arrival::ClosedLoop { concurrency: if self.chat.chat { 8 } else { 50 } },
        };
        let usual = self.requests.is_none().then_some(Duration::from_secs(10));
        let stop = Stop { requests: self.requests, duration: self.duration.or(usual).map(length) };
        let grace = length(self.grace);
        let warmup = self.warmup.map(|time| (PhaseKind::Warmup, Stop::after(length(time))));
        let mut plan = Plan::new(self.seed);
        for (kind, stop) in warmup.into_iter().chain([(PhaseKind::Profiling, stop)]) {
            let phase = PhasePlan { kind, workload: request.workload(), arrival, stop, grace };
            plan.push(request.clone(), phase)?;
        }
        Ok(plan)
    }
}

fn length(time: Duration) -> phasemeter_core::time::Duration {
    phasemeter_core::time::Duration::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    let rate: f64 = text.parse().map_err(|_| "write requests a second as a number, such as 200 or 0.5".to_owned())?;
    crate::plan::rate(rate)
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a header as `Name: value`")?;
    let (name, value) = (name.trim(), value.trim());
    crate::plan::check_header(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_object(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
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

    fn args(arguments: &[&str]) -> Result<Args, String> {
        let all = std::iter::once(&"bench").chain(arguments);
        Command::try_parse_from(all).map(|command| command.args).map_err(|error| error.to_string())
    }

    fn phases(arguments: &[&str]) -> Vec<PhasePlan> {
        let args = args(arguments).unwrap();
        args.plan(&args.request().unwrap().1).unwrap().run().phases().to_vec()
    }

    #[test]
    fn a_url_alone_is_ten_seconds_of_a_closed_loop() {
        let [phase] = &phases(&["h:1/x"])[..] else { panic!() };
        assert_eq!(phase.arrival, Arrival::ClosedLoop { concurrency: 50 });
        assert_eq!(phase.stop, Stop::after(phasemeter_core::time::Duration::from_secs(10)));
        let [phase] = &phases(&["h", "--chat", "-n", "5"])[..] else { panic!() };
        assert_eq!((phase.arrival, phase.stop), (Arrival::ClosedLoop { concurrency: 8 }, Stop::requests(5)));
    }

    #[test]
    fn a_rate_is_an_open_loop_and_a_warmup_a_phase() {
        let rate = Rate::per_kilosecond(500);
        let [warmup, profiling] = &phases(&["h", "-q", "0.5", "--poisson", "-z", "1m", "--warmup", "2s"])[..] else {
            panic!()
        };
        assert_eq!((warmup.kind, profiling.kind), (PhaseKind::Warmup, PhaseKind::Profiling));
        assert_eq!((warmup.arrival, profiling.arrival), (Arrival::Poisson { rate }, Arrival::Poisson { rate }));
        assert_eq!(profiling.stop.duration, Some(phasemeter_core::time::Duration::from_secs(60)));
    }

    #[test]
    fn a_body_is_posted_unless_a_method_is_given() {
        let method = |arguments: &[&str]| match args(arguments).unwrap().request().unwrap().1 {
            RequestSpec::Plain(plain) => plain.method,
            RequestSpec::Chat(_) => panic!(),
        };
        assert_eq!(method(&["h"]), "GET");
        assert_eq!(method(&["h", "-d", "x"]), "POST");
        assert_eq!(method(&["h", "-d", "x", "-X", "PUT"]), "PUT");
    }

    #[test]
    fn wrong_arguments_are_told() {
        for (arguments, message) in [
            (&["h", "-q", "fast"][..], "such as 200 or 0.5"),
            (&["h", "-q=-1"], "0.001"),
            (&["h", "-z", "0s"], "above 0"),
            (&["h", "-z", "x"], "30s or 5m"),
            (&["h", "-c", "0"], "0"),
            (&["h", "-c", "1", "-q", "1"], "cannot be used with"),
            (&["h", "--poisson"], "--rate"),
            (&["h", "-H", "x"], "Name: value"),
            (&["h", "-H", "x y: z"], "no header's name"),
            (&["h", "--model", "m"], "--chat"),
            (&["h", "--chat", "--extra", "[]"], "JSON object"),
            (&["h", "-d", "a", "-D", "b"], "cannot be used with"),
        ] {
            let error = args(arguments).map_or_else(|error| error, |_| String::new());
            assert!(error.contains(message), "{arguments:?}: {error}");
        }
    }
}
