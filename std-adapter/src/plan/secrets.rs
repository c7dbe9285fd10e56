//! The secrets that a load generator knows, to be hidden where somebody quotes them.

use super::secret::{HIDDEN, header_value};

/// What is shorter is no secret, and would be found everywhere.
const SHORTEST: usize = 4;

/// The secrets that are known, to be hidden in text that may quote them: a command line, the words of a server.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() >= SHORTEST {
            self.0.push(secret.to_owned());
        }
    }

    /// Adds the value of a header, if it may be one; of `Bearer KEY` and the like the key too.
    pub(crate) fn add_header(&mut self, name: &str, value: &str) {
        if header_value(name, value) == HIDDEN {
            self.add(value);
            self.add(value.trim().split_once(' ').map_or("", |(_, behind)| behind));
        }
    }

    /// The text without them.
    pub(crate) fn hide(&self, text: &str) -> String {
        // The longest first: one may be a part of another.
        let mut secrets: Vec<_> = self.0.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_are_quoted() {
        let mut secrets = Secrets::default();
        secrets.add_header("Authorization", "Bearer sk-12345");
        secrets.add_header("Accept", "text/plain");
        secrets.add("abc");
        assert_eq!(secrets.hide("key sk-12345, not text/plain abc"), "key <hidden>, not text/plain abc");
        assert_eq!(secrets.hide("Bearer sk-12345"), "<hidden>");
    }
}
