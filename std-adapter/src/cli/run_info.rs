//! `run.json`: what was asked for, beside what came of it. It has no secrets.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::atomic::write_atomically;
use crate::plan::secret::hide_in_url;
use crate::plan::secrets::Secrets;
use crate::plan::{Body, PlainRequest, Plan, RequestSpec};
use crate::registry::StoredComponents;
use crate::report::Thresholds;
use crate::text::to_json;

/// The version of the file's form. Keys are only ever added to it.
const SCHEMA: &str = "phasemeter.run/1";
/// The file's name in the run directory.
const FILE: &str = "run.json";
/// It is not read beyond this.
const MAX_BYTES: u64 = 16 << 20;

/// What was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RunInfo {
    schema: String,
    version: String,
    command: Vec<String>,
    target: Option<String>,
    plan: Value,
    /// What the run is judged by.
    #[serde(default)]
    pub(super) thresholds: Thresholds,
    /// Its hooks and post-processors.
    #[serde(default)]
    pub(super) plugins: StoredComponents,
}

impl RunInfo {
    /// A run that this program was started for: its command line and version.
    pub(super) fn new(plan: Option<&Plan>, target: Option<&str>) -> Self {
        let given = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        let arguments = std::iter::once("phasemeter".to_owned()).chain(given);
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: shown(arguments, plan),
            target: target.map(hide_in_url),
            plan: plan.map_or(Value::Null, Plan::describe),
            thresholds: Thresholds::default(),
            plugins: StoredComponents::default(),
        }
    }

    /// The same with what it is judged by, and its hooks and post-processors.
    pub(super) fn with(self, thresholds: Thresholds, plugins: StoredComponents) -> Self {
        Self { thresholds, plugins, ..self }
    }

    /// Writes it into the run directory.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let text = to_json(self).context("cannot write what was asked for as JSON")?;
        Ok(write_atomically(&directory.join(FILE), text.as_bytes())?)
    }

    /// What was asked for of the run that has this capture; `None` if the capture stands alone.
    pub(super) fn beside(capture: &Path) -> anyhow::Result<Option<Self>> {
        let path = capture.with_file_name(FILE);
        let of_file = || format!("cannot read {}; move it away to do without", path.display());
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.with_context(of_file)?,
        };
        let mut json = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut json).with_context(of_file)?;
        let info: Self = serde_json::from_slice(&json).with_context(of_file)?;
        if info.schema != SCHEMA {
            bail!(
                "{}: its schema is {:?}, and this program reads {SCHEMA}; move it away to do without",
                path.display(),
                info.schema
            );
        }
        Ok(Some(info))
    }
}

/// The command line without what may be a secret: of that, the plan knows what it is.
fn shown(arguments: impl IntoIterator<Item = String>, plan: Option<&Plan>) -> Vec<String> {
    let requests = plan.map_or(&[][..], Plan::requests);
    let mut secrets: Vec<_> = requests.iter().map(RequestSpec::secrets).collect();
    for request in requests {
        if let RequestSpec::Plain(PlainRequest { body: Body::Fixed(body), .. }) = request {
            let mut text = Secrets::default();
            text.add(&String::from_utf8_lossy(body));
            secrets.push(text);
        }
    }
    let hide = |argument: String| secrets.iter().fold(hide_in_url(&argument), |text, secrets| secrets.hide(&text));
    arguments.into_iter().map(hide).collect()
}

#[cfg(test)]
mod tests {
    use phasemeter_core::plan::{Arrival, PhasePlan, Stop};

    use super::*;
    use crate::plan::ChatRequest;

    #[test]
    fn no_secret_is_in_the_command_line() {
        let mut plan = Plan::new(0);
        let header = |name: &str| (name.to_owned(), "hunter2".to_owned());
        let request = PlainRequest {
            headers: vec![header("X-Key"), header("Authorization"), ("Accept".to_owned(), "text/plain".to_owned())],
            body: Body::Fixed(b"password=hunter3".to_vec()),
            ..PlainRequest::get("/")
        };
        let extra = serde_json::json!({ "k": "hunter4" }).as_object().cloned().unwrap_or_default();
        let chat = ChatRequest { extra, ..ChatRequest::new(1, 1) };
        for request in [RequestSpec::Plain(request), RequestSpec::Chat(chat)] {
            let phase = PhasePlan::profiling(request.workload(), Arrival::constant(1), Stop::requests(1));
            plan.push(request, phase).unwrap();
        }
        let arguments = [
            "phasemeter",
            "bench",
            "http://user:hunter2@h/?key=hunter2",
            "-kH",
            "X-Key: hunter2",
            "-HX-key:hunter2",
            "--header=Authorization: Bearer hunter2",
            "-d",
            "password=hunter3",
            "--data=password=hunter3",
            "--extra",
            "{\"k\":\"hunter4\"}",
            "-H",
            "Accept: text/plain",
            "-n",
            "5",
        ];
        let shown = shown(arguments.map(str::to_owned), Some(&plan)).join(" ");
        assert!(!shown.contains("hunter"), "{shown}");
        for kept in ["X-Key", "Authorization", "Accept: text/plain", "-n 5", "@h/?key=", "--data=", "--extra"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
}
