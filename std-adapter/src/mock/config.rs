//! What the server does to its requests, and its limits.

use std::fmt;

use super::delay::LogNormalDelay;
use super::fault::Faults;

/// The most output tokens a request may ask for.
pub const MAX_OUTPUT_TOKENS: u32 = 65_535;

/// What the server does to its requests.
#[derive(Debug, Clone, PartialEq)]
pub struct MockConfig {
    /// The same seed deals the same delays and faults.
    pub seed: u64,
    /// Before the answer to a plain request.
    pub latency: LogNormalDelay,
    /// Before the first token of an answer.
    pub first_token: LogNormalDelay,
    /// Between successive tokens.
    pub inter_token: LogNormalDelay,
    /// What goes wrong, and how often.
    pub faults: Faults,
    /// Tokens of an answer when the request does not say, `1..=`[`MAX_OUTPUT_TOKENS`].
    pub output_tokens: u32,
    /// What requests must have as `Authorization: Bearer …`, if anything.
    pub api_key: Option<ApiKey>,
}

impl Default for MockConfig {
    /// No delays, no faults, seed 0, 16 tokens, no key.
    fn default() -> Self {
        Self {
            seed: 0,
            latency: LogNormalDelay::ZERO,
            first_token: LogNormalDelay::ZERO,
            inter_token: LogNormalDelay::ZERO,
            faults: Faults::NONE,
            output_tokens: 16,
            api_key: None,
        }
    }
}

/// A secret: its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Whether an `Authorization` header has this key.
    pub(super) fn is_in(&self, authorization: &[u8]) -> bool {
        let (scheme, key) = authorization.split_at_checked(7).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"Bearer ") && key.trim_ascii() == self.0.as_bytes()
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}
