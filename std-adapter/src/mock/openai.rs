//! The `OpenAI` API: what requests ask for, and the objects that answer them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::MAX_OUTPUT_TOKENS;

/// A model's name may have this many bytes: every token repeats it.
const MAX_MODEL: usize = 256;
/// What answers if the request names no model, and the one that there is to list.
const MODEL: &str = "mock";

/// Which of the two ways to ask for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
}

/// A request for tokens. What else it says is accepted and ignored.
#[derive(Debug)]
pub(super) struct Prompt {
    api: Api,
    model: String,
    pub(super) stream: bool,
    include_usage: bool,
    /// How many tokens it wants, `1..=`[`MAX_OUTPUT_TOKENS`], if it says.
    pub(super) max_tokens: Option<u32>,
    /// Words of the prompt; of a prompt that is given as tokens, their number.
    pub(super) tokens: u64,
}

#[derive(Deserialize)]
struct Fields {
    model: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    messages: Option<Vec<Message>>,
    prompt: Option<PromptField>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "the content of a message is neither a string nor a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "the prompt is neither a string, nor a list of strings or of tokens")]
enum PromptField {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u64>),
    Lists(Vec<Vec<u64>>),
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

impl Content {
    fn words(&self) -> usize {
        match self {
            Self::Text(text) => words(text),
            Self::Parts(parts) => parts.iter().filter_map(|part| part.text.as_deref()).map(words).sum(),
        }
    }
}

impl PromptField {
    fn tokens(&self) -> usize {
        match self {
            Self::Text(text) => words(text),
            Self::Texts(texts) => texts.iter().map(|text| words(text)).sum(),
            Self::Tokens(tokens) => tokens.len(),
            Self::Lists(lists) => lists.iter().map(Vec::len).sum(),
        }
    }
}

impl Prompt {
    /// Reads a body; says why it is refused.
    pub(super) fn parse(api: Api, body: &[u8]) -> Result<Self, String> {
        let fields: Fields =
            serde_json::from_slice(body).map_err(|error| format!("the body is no such request: {error}"))?;
        let model = fields.model.unwrap_or_else(|| MODEL.to_owned());
        if model.len() > MAX_MODEL {
            return Err(format!("the model's name has more than {MAX_MODEL} bytes"));
        }
        let max_tokens = fields.max_completion_tokens.or(fields.max_tokens);
        if let Some(tokens) = max_tokens.filter(|tokens| !(1..=MAX_OUTPUT_TOKENS).contains(tokens)) {
            return Err(format!("max_tokens is {tokens}; it must be in 1..={MAX_OUTPUT_TOKENS}"));
        }
        let tokens = match api {
            Api::Chat => fields
                .messages
                .iter()
                .flatten()
                .filter_map(|message| message.content.as_ref())
                .map(Content::words)
                .sum(),
            Api::Completions => fields.prompt.as_ref().map_or(0, PromptField::tokens),
        };
        Ok(Self {
            api,
            model,
            stream: fields.stream == Some(true),
            include_usage: fields.stream_options.and_then(|options| options.include_usage) == Some(true),
            max_tokens,
            tokens: u64::try_from(tokens).unwrap_or(u64::MAX),
        })
    }

    /// An empty chat, streamed.
    pub(super) fn empty() -> Self {
        let model = MODEL.to_owned();
        Self { api: Api::Chat, model, stream: true, include_usage: false, max_tokens: None, tokens: 0 }
    }
}

/// Writes the objects of one answer.
pub(super) struct Script {
    prompt: Prompt,
    /// What all objects of the answer have in common.
    object: Value,
    tokens: u32,
}

impl Script {
    /// The answer to request `number`, of so many tokens.
    pub(super) fn new(number: u64, prompt: Prompt, tokens: u32) -> Self {
        let (id, name) = match (prompt.api, prompt.stream) {
            (Api::Chat, false) => ("chatcmpl", "chat.completion"),
            (Api::Chat, true) => ("chatcmpl", "chat.completion.chunk"),
            (Api::Completions, _) => ("cmpl", "text_completion"),
        };
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let object =
            json!({ "id": format!("{id}-mock-{number}"), "object": name, "created": created, "model": prompt.model });
        Self { prompt, object, tokens }
    }

    /// All of it in one object.
    pub(super) fn whole(mut self) -> String {
        let text: String = (0..self.tokens).map(token_text).collect();
        let choice = match self.prompt.api {
            Api::Chat => json!({ "message": { "role": "assistant", "content": text } }),
            Api::Completions => json!({ "text": text }),
        };
        self.choose(choice, Some(self.finish_reason()));
        self.object["usage"] = self.usage();
        self.object.to_string()
    }

    /// The event of the token with this index.
    pub(super) fn token(&mut self, index: u32) -> String {
        let text = token_text(index);
        let choice = match (self.prompt.api, index) {
            (Api::Chat, 0) => json!({ "delta": { "role": "assistant", "content": text } }),
            (Api::Chat, _) => json!({ "delta": { "content": text } }),
            (Api::Completions, _) => json!({ "text": text }),
        };
        self.choose(choice, None);
        self.event()
    }

    /// The events behind the last token.
    pub(super) fn end(&mut self) -> String {
        let choice = match self.prompt.api {
            Api::Chat => json!({ "delta": {} }),
            Api::Completions => json!({ "text": "" }),
        };
        self.choose(choice, Some(self.finish_reason()));
        let mut events = self.event();
        if self.prompt.include_usage {
            self.object["choices"] = json!([]);
            self.object["usage"] = self.usage();
            events += &event(&self.object);
        }
        events + "data: [DONE]\n\n"
    }

    fn choose(&mut self, mut choice: Value, finish_reason: Option<&str>) {
        choice["index"] = json!(0);
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = json!(finish_reason);
        self.object["choices"] = json!([choice]);
    }

    fn event(&mut self) -> String {
        if self.prompt.include_usage {
            // As `OpenAI` does: it is there, but only the last event has it.
            self.object["usage"] = Value::Null;
        }
        event(&self.object)
    }

    fn finish_reason(&self) -> &'static str {
        if self.prompt.max_tokens.is_some() { "length" } else { "stop" }
    }

    fn usage(&self) -> Value {
        let (prompt, completion) = (self.prompt.tokens, u64::from(self.tokens));
        let total = prompt.saturating_add(completion);
        json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total })
    }
}

fn event(object: &Value) -> String {
    format!("data: {object}\n\n")
}

/// The text of the token with this index: numbered words, so that a lost or doubled token can be seen.
fn token_text(index: u32) -> String {
    format!("token{index} ")
}

/// What `GET /v1/models` answers.
pub(super) fn models() -> String {
    let model = json!({ "id": MODEL, "object": "model", "created": 0, "owned_by": "phasemeter" });
    json!({ "object": "list", "data": [model] }).to_string()
}

/// An error, as the API words it.
pub(super) fn error(kind: &str, code: Option<&str>, message: &str) -> String {
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } }).to_string()
}
