//! What the server does to its requests, and its limits.

use super::delay::LogNormalDelay;

/// The most output tokens a request may ask for.
pub const MAX_OUTPUT_TOKENS: u32 = 65_535;

/// What the server does to its requests.
#[derive(Debug, Clone, PartialEq)]
pub struct MockConfig {
    /// The same seed deals the same delays and errors.
    pub seed: u64,
    /// Before the answer to `GET /`.
    pub latency: LogNormalDelay,
    /// Before the first token of a chat answer.
    pub first_token: LogNormalDelay,
    /// Between successive tokens.
    pub inter_token: LogNormalDelay,
    /// The share of requests answered with HTTP 500, `0.0..=1.0`.
    pub error_rate: f64,
    /// Tokens of a chat answer when the request does not say, `1..=`[`MAX_OUTPUT_TOKENS`].
    pub output_tokens: u32,
}

impl Default for MockConfig {
    /// No delays, no errors, seed 0, 16 tokens.
    fn default() -> Self {
        Self {
            seed: 0,
            latency: LogNormalDelay::ZERO,
            first_token: LogNormalDelay::ZERO,
            inter_token: LogNormalDelay::ZERO,
            error_rate: 0.0,
            output_tokens: 16,
        }
    }
}
