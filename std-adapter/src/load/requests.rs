//! The requests of a phase, ready to be sent.

use std::rc::Rc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::prompt;
use super::target::Target;
use crate::plan::secrets::Secrets;
use crate::plan::{Body, ChatRequest, Order, PlainRequest, RequestSpec};

/// Why the requests of a phase cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A key is to come from a variable that is not there.
    #[error("the environment variable {0}, which is to hold the key, is not set")]
    NoKey(String),
    /// HTTP cannot say it.
    #[error("the request cannot be made: {0}")]
    Malformed(String),
}

/// One request.
pub(super) struct Request {
    /// All its bytes in HTTP/1.1.
    pub(super) http1: Bytes,
    pub(super) is_head: bool,
    /// Sent twice, it does what it does sent once (RFC 9110, section 9.2.2).
    pub(super) is_idempotent: bool,
    pub(super) is_chat: bool,
    parts: Rc<Parts>,
    body: Bytes,
}

/// What the requests of a phase have in common.
struct Parts {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// Method, path and headers, up to the length of the body.
    http1: Vec<u8>,
}

impl Request {
    /// The request as hyper sends it. Its body is not copied.
    pub(super) fn http2(&self) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.headers_mut() = self.parts.headers.clone();
        request
    }
}

/// The requests of a phase, by number.
pub(super) struct Requests {
    parts: Rc<Parts>,
    bodies: Bodies,
    seed: u64,
    /// What a server may quote, and nobody is to see.
    secrets: Secrets,
}

enum Bodies {
    /// Each request is the same.
    One(Rc<Request>),
    Lines(Vec<String>, Order),
    Chat(Box<ChatRequest>, Map<String, Value>),
}

impl Requests {
    /// The requests of the phase at this place of a plan of this seed. Chats ask for `model` unless they name one.
    pub(super) fn new(
        spec: &RequestSpec,
        target: &Target,
        model: Option<&str>,
        seed: u64,
        phase: u16,
    ) -> Result<Self, RequestError> {
        // Any odd number tells the phases of one seed apart.
        let seed = seed ^ u64::from(phase).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut requests = match spec {
            RequestSpec::Plain(plain) => Self::plain(plain, target, seed)?,
            RequestSpec::Chat(chat) => Self::chat(chat, target, model, seed)?,
        };
        requests.secrets = spec.secrets();
        for value in requests.parts.headers.get_all(header::AUTHORIZATION) {
            requests.secrets.add_header("authorization", value.to_str().unwrap_or_default());
        }
        Ok(requests)
    }

    /// What a server said, without keys and passwords that it may have quoted.
    pub(super) fn hide_secrets(&self, said: &str) -> String {
        self.secrets.hide(said)
    }

    fn plain(plain: &PlainRequest, target: &Target, seed: u64) -> Result<Self, RequestError> {
        let PlainRequest { method, path, headers, body, api_key_env } = plain;
        let parts = Parts::new(method, &target.path(path), target, headers, api_key_env.as_deref(), &[])?;
        let parts = Rc::new(parts);
        let bodies = match body {
            Body::None => Bodies::One(Rc::new(parts.request(Bytes::new(), false))),
            Body::Fixed(bytes) => Bodies::One(Rc::new(parts.request(bytes.clone().into(), false))),
            Body::Lines { lines, order } => Bodies::Lines(lines.clone(), *order),
        };
        Ok(Self { parts, bodies, seed, secrets: Secrets::default() })
    }

    fn chat(chat: &ChatRequest, target: &Target, model: Option<&str>, seed: u64) -> Result<Self, RequestError> {
        let own = [(header::CONTENT_TYPE, "application/json"), (header::ACCEPT, "text/event-stream")];
        let path = target.chat_path();
        let parts = Parts::new("POST", &path, target, &chat.headers, chat.api_key_env.as_deref(), &own)?;
        let mut fields = Map::new();
        fields.insert("model".into(), chat.model.as_deref().or(model).unwrap_or("default").into());
        fields.insert("max_tokens".into(), chat.output_tokens.into());
        fields.insert("stream".into(), true.into());
        fields.insert("stream_options".into(), json!({ "include_usage": true }));
        for (name, value) in &chat.extra {
            match value {
                Value::Null => drop(fields.remove(name)),
                value => drop(fields.insert(name.clone(), value.clone())),
            }
        }
        Ok(Self {
            parts: Rc::new(parts),
            bodies: Bodies::Chat(Box::new(chat.clone()), fields),
            seed,
            secrets: Secrets::default(),
        })
    }

    /// The request of this number in its phase.
    pub(super) fn get(&self, number: u64) -> Rc<Request> {
        match &self.bodies {
            Bodies::One(request) => Rc::clone(request),
            Bodies::Lines(lines, order) => {
                let line = lines.get(self.place(number, *order, lines.len())).map_or("", String::as_str);
                Rc::new(self.parts.request(line.to_owned().into(), false))
            }
            Bodies::Chat(chat, fields) => {
                let messages = match &chat.prompts {
                    Some((prompts, order)) => prompts.get(self.place(number, *order, prompts.len())).cloned(),
                    None => None,
                };
                let messages = messages.unwrap_or_else(|| {
                    let text = prompt::synthetic(chat.prompt_tokens, &mut self.random(number));
                    json!([{ "role": "user", "content": text }])
                });
                let mut body = fields.clone();
                body.insert("messages".into(), messages);
                Rc::new(self.parts.request(Value::Object(body).to_string().into(), true))
            }
        }
    }

    /// Which of `count` is the one of this request.
    fn place(&self, number: u64, order: Order, count: usize) -> usize {
        match order {
            Order::InTurn => usize::try_from(number % count.max(1) as u64).unwrap_or(0),
            Order::Random => self.random(number).random_range(0..count.max(1)),
        }
    }

    /// What is random in a request does not depend on those before it.
    fn random(&self, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_add(number))
    }
}

impl Parts {
    fn new(
        method: &str,
        path: &str,
        target: &Target,
        headers: &[(String, String)],
        api_key_env: Option<&str>,
        own: &[(HeaderName, &'static str)],
    ) -> Result<Self, RequestError> {
        let malformed = |what: &dyn std::fmt::Display| RequestError::Malformed(what.to_string());
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| malformed(&error))?;
        let scheme = if target.is_tls { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}{path}", target.authority).parse().map_err(|error| malformed(&error))?;
        let mut all = HeaderMap::new();
        all.insert(header::USER_AGENT, HeaderValue::from_static(concat!("phasemeter/", env!("CARGO_PKG_VERSION"))));
        all.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in own {
            all.insert(name, HeaderValue::from_static(value));
        }
        if let Some(authorization) = &target.basic_auth {
            all.insert(header::AUTHORIZATION, secret(authorization)?);
        }
        if let Some(name) = api_key_env {
            let key = std::env::var(name).ok().filter(|key| !key.is_empty());
            let key = key.ok_or_else(|| RequestError::NoKey(name.to_owned()))?;
            all.insert(header::AUTHORIZATION, secret(&format!("Bearer {}", key.trim()))?);
        }
        // What the user says goes over what is there.
        let mut given = HeaderMap::new();
        for (name, value) in headers {
            given.append(HeaderName::from_bytes(name.as_bytes()).map_err(|error| malformed(&error))?, secret(value)?);
        }
        for name in given.keys() {
            all.remove(name);
        }
        let host = given
            .remove(header::HOST)
            .map_or_else(|| target.authority.clone().into_bytes(), |host| host.as_bytes().to_vec());
        all.extend(given);
        let mut http1 = format!("{method} {path} HTTP/1.1\r\nhost: ").into_bytes();
        http1.extend(host);
        for (name, value) in &all {
            http1.extend_from_slice(b"\r\n");
            http1.extend_from_slice(name.as_str().as_bytes());
            http1.extend_from_slice(b": ");
            http1.extend_from_slice(value.as_bytes());
        }
        Ok(Self { method, uri, headers: all, http1 })
    }

    fn request(self: &Rc<Self>, body: Bytes, is_chat: bool) -> Request {
        let mut http1 = self.http1.clone();
        if !body.is_empty() || matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            http1.extend_from_slice(format!("\r\ncontent-length: {}", body.len()).as_bytes());
        }
        http1.extend_from_slice(b"\r\n\r\n");
        http1.extend_from_slice(&body);
        Request {
            http1: http1.into(),
            is_head: self.method == Method::HEAD,
            is_idempotent: self.method.is_idempotent(),
            is_chat,
            parts: Rc::clone(self),
            body,
        }
    }
}

/// A header's value that no log shows.
fn secret(value: &str) -> Result<HeaderValue, RequestError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| RequestError::Malformed("a header's value has a control character in it".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
