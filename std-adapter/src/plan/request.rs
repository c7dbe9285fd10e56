//! What the requests of a phase ask for, in full: core knows plain GETs and chats, a host's load generator more.

use std::fmt;

use crc::{CRC_64_XZ, Crc};
use phasemeter_core::plan::{MAX_PATH, Workload};
use serde_json::{Map, Value, json};

use super::secret;
#[cfg(feature = "load")]
use super::secrets::Secrets;
use crate::text::quoted;

const CONTENT: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);

/// What the requests of a phase ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestSpec {
    /// Plain requests.
    Plain(PlainRequest),
    /// Streaming chat completions.
    Chat(ChatRequest),
}

/// A plain request: the answer is read to its end.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path from its `/` on, with the query.
    pub path: String,
    /// Headers beside those that every request has: names and values. The values are secrets.
    pub headers: Vec<(String, String)>,
    /// What is sent behind the headers.
    pub body: Body,
    /// The environment variable with a key, sent as `Authorization: Bearer KEY`.
    pub api_key_env: Option<String>,
}

/// The body of a plain request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    #[default]
    None,
    /// The same in each request.
    Fixed(Vec<u8>),
    /// One of these in each request; there is at least one.
    Lines {
        /// The bodies.
        lines: Vec<String>,
        /// Which comes next.
        order: Order,
    },
}

/// In which order bodies and prompts are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// One after the other, and from the first again.
    #[default]
    InTurn,
    /// Each drawn at random, repeatable by the plan's seed.
    Random,
}

/// A chat as OpenAI's `POST /v1/chat/completions` with `stream: true`.
#[derive(Clone, PartialEq)]
pub struct ChatRequest {
    /// The size of a synthetic prompt, in words, which are about as many tokens.
    pub prompt_tokens: u16,
    /// How many tokens to ask for, at least one.
    pub output_tokens: u16,
    /// The model to ask for; `default` unless given.
    pub model: Option<String>,
    /// The environment variable with a key, sent as `Authorization: Bearer KEY`.
    pub api_key_env: Option<String>,
    /// Headers beside those that every request has: names and values. The values are secrets.
    pub headers: Vec<(String, String)>,
    /// What else goes into the request's body, over what is there; a null takes a field away.
    pub extra: Map<String, Value>,
    /// The messages of each prompt, in place of synthetic ones, and in which order they are taken.
    pub prompts: Option<(Vec<Value>, Order)>,
}

impl PlainRequest {
    /// `GET path`, and nothing more.
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Body::None,
            api_key_env: None,
        }
    }
}

impl ChatRequest {
    /// A chat with synthetic prompts of so many words, that asks for so many tokens.
    pub fn new(prompt_tokens: u16, output_tokens: u16) -> Self {
        Self {
            prompt_tokens,
            output_tokens,
            model: None,
            api_key_env: None,
            headers: Vec::new(),
            extra: Map::new(),
            prompts: None,
        }
    }
}

impl RequestSpec {
    /// What core, and with it a device, knows of it.
    pub fn workload(&self) -> Workload {
        let known = match self {
            Self::Plain(plain) if *plain == PlainRequest::get(&plain.path) && plain.path.len() <= MAX_PATH => {
                Workload::get(&plain.path)
            }
            Self::Chat(chat) if *chat == ChatRequest::new(chat.prompt_tokens, chat.output_tokens) => {
                Some(Workload::Chat { prompt_tokens: chat.prompt_tokens, output_tokens: chat.output_tokens })
            }
            _ => None,
        };
        known.unwrap_or_else(|| Workload::Host { content: CONTENT.checksum(self.describe().to_string().as_bytes()) })
    }

    /// What it says that may be a secret: header values, and texts among the extra fields.
    #[cfg(feature = "load")]
    pub(crate) fn secrets(&self) -> Secrets {
        let (headers, extra) = match self {
            Self::Plain(plain) => (&plain.headers, None),
            Self::Chat(chat) => (&chat.headers, Some(&chat.extra)),
        };
        let mut secrets = Secrets::default();
        for (name, value) in headers {
            secrets.add_header(name, value);
        }
        for text in extra.into_iter().flat_map(Map::values).filter_map(Value::as_str) {
            secrets.add(text);
        }
        secrets
    }

    /// What it asks for, as a plan file has it, for people and for the plan's hash. Keys, header values and the values of
    /// query parameters that may be keys are left out; of a body there are its length and a checksum.
    pub fn describe(&self) -> Value {
        match self {
            Self::Plain(PlainRequest { method, path, headers, body, api_key_env }) => {
                let mut fields = Map::new();
                fields.insert("method".into(), method.as_str().into());
                fields.insert("path".into(), secret::hide_in_query(path).into());
                describe_headers(&mut fields, headers, api_key_env.as_deref());
                match body {
                    Body::None => {}
                    Body::Fixed(bytes) => drop(fields.insert("body".into(), describe_bytes(&[bytes]))),
                    Body::Lines { lines, order } => {
                        let lines: Vec<_> = lines.iter().map(String::as_bytes).collect();
                        fields.insert("body_lines".into(), describe_bytes(&lines));
                        fields.insert("order".into(), order.name().into());
                    }
                }
                json!({ "request": fields })
            }
            Self::Chat(ChatRequest { prompt_tokens, output_tokens, model, api_key_env, headers, extra, prompts }) => {
                let mut fields = Map::new();
                match prompts {
                    None => drop(fields.insert("prompt_tokens".into(), (*prompt_tokens).into())),
                    Some((prompts, order)) => {
                        let prompts: Vec<_> = prompts.iter().map(Value::to_string).collect();
                        let prompts: Vec<_> = prompts.iter().map(String::as_bytes).collect();
                        fields.insert("prompts".into(), describe_bytes(&prompts));
                        fields.insert("order".into(), order.name().into());
                    }
                }
                fields.insert("output_tokens".into(), (*output_tokens).into());
                if let Some(model) = model {
                    fields.insert("model".into(), model.as_str().into());
                }
                describe_headers(&mut fields, headers, api_key_env.as_deref());
                if !extra.is_empty() {
                    fields.insert("extra".into(), secret::hide_in_fields(extra).into());
                }
                json!({ "chat": fields })
            }
        }
    }
}

fn describe_headers(fields: &mut Map<String, Value>, headers: &[(String, String)], api_key_env: Option<&str>) {
    if !headers.is_empty() {
        let shown = headers.iter().map(|(name, value)| (name.clone(), secret::header_value(name, value).into()));
        fields.insert("headers".into(), Value::Object(shown.collect()));
    }
    if let Some(name) = api_key_env {
        fields.insert("api_key_env".into(), name.into());
    }
}

fn describe_bytes(parts: &[impl AsRef<[u8]>]) -> Value {
    let mut digest = CONTENT.digest();
    let mut bytes = 0;
    for part in parts {
        digest.update(&(part.as_ref().len() as u64).to_le_bytes());
        digest.update(part.as_ref());
        bytes += part.as_ref().len();
    }
    json!({ "count": parts.len(), "bytes": bytes, "crc64": format!("{:016x}", digest.finalize()) })
}

/// Whether the text is a token of HTTP (RFC 9110, section 5.6.2), as methods and names of headers are.
pub(crate) fn is_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_token)
}

/// Checks the name and the value of a header.
///
/// # Errors
/// What is wrong. The value, which may be a secret, is not quoted.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    if !is_token(name) {
        return Err(format!("{} is no header's name", quoted(name)));
    }
    if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(format!("the value of the header {name} has a line break or another control character in it"));
    }
    Ok(())
}

impl Order {
    /// The name used in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InTurn => "in_turn",
            Self::Random => "random",
        }
    }
}

/// Header values are left out: a panic or a log must not tell keys.
impl fmt::Debug for PlainRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainRequest({})", RequestSpec::Plain(self.clone()).describe())
    }
}

/// Header values are left out: a panic or a log must not tell keys.
impl fmt::Debug for ChatRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChatRequest({})", RequestSpec::Chat(self.clone()).describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_knows_what_a_device_can_do() {
        assert_eq!(RequestSpec::Plain(PlainRequest::get("/a")).workload(), Workload::get("/a").unwrap());
        let chat = ChatRequest::new(8, 9);
        let known = Workload::Chat { prompt_tokens: 8, output_tokens: 9 };
        assert_eq!(RequestSpec::Chat(chat.clone()).workload(), known);
        let long = RequestSpec::Plain(PlainRequest::get(&format!("/{}", "x".repeat(MAX_PATH))));
        let post = RequestSpec::Plain(PlainRequest { method: "POST".into(), ..PlainRequest::get("/a") });
        let model = RequestSpec::Chat(ChatRequest { model: Some("m".into()), ..chat });
        let contents = [long, post, model].map(|spec| match spec.workload() {
            Workload::Host { content } => content,
            other => panic!("{other:?}"),
        });
        assert!(contents[0] != contents[1] && contents[1] != contents[2]);
    }

    #[test]
    fn no_secret_is_described_or_hashed() {
        let with = |secret: &str| PlainRequest {
            headers: vec![("Authorization".into(), secret.to_owned()), ("X-Key".into(), secret.to_owned())],
            ..PlainRequest::get(&format!("/a?q=word&api_key={secret}"))
        };
        let [one, other] = ["hunter2", "correct horse"].map(|secret| RequestSpec::Plain(with(secret)));
        assert_eq!(one.workload(), other.workload());
        let told = format!("{one:?} {}", one.describe());
        assert!(!told.contains("hunter2") && told.contains("q=word") && told.contains("Authorization"), "{told}");
    }

    #[test]
    fn a_body_is_named_by_its_content() {
        let with = |body| RequestSpec::Plain(PlainRequest { body, ..PlainRequest::get("/") }).workload();
        let lines = |lines: &[&str], order| {
            with(Body::Lines { lines: lines.iter().map(|line| (*line).to_owned()).collect(), order })
        };
        let all = [
            with(Body::Fixed(b"ab".to_vec())),
            with(Body::Fixed(b"ac".to_vec())),
            lines(&["a", "b"], Order::InTurn),
            lines(&["ab", ""], Order::InTurn),
            lines(&["a", "b"], Order::Random),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(all[place + 1..].iter().all(|other| other != one), "{place}");
        }
    }
}
