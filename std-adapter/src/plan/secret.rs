//! What may be a key or a password is left out of whatever is shown, stored or hashed.

use serde_json::{Map, Value};

/// Stands where a secret was.
pub(crate) const HIDDEN: &str = "<hidden>";

/// Headers whose values are never secrets; those of all others are hidden.
const OPEN_HEADERS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-type",
    "host",
    "user-agent",
];

/// A query parameter whose name has one of these in it may be a secret.
const SECRET_NAMES: [&str; 9] = ["key", "token", "secret", "pass", "pwd", "auth", "sig", "credential", "session"];

/// A header's value as it may be shown.
pub(crate) fn header_value<'a>(name: &str, value: &'a str) -> &'a str {
    if OPEN_HEADERS.iter().any(|open| name.eq_ignore_ascii_case(open)) { value } else { HIDDEN }
}

/// A path or URL without the values of query parameters that may be secrets.
pub(crate) fn hide_in_query(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let shown: Vec<_> = query.split('&').map(hide_parameter).collect();
    format!("{path}?{}", shown.join("&"))
}

fn hide_parameter(parameter: &str) -> String {
    let Some((name, value)) = parameter.split_once('=') else { return parameter.to_owned() };
    let hidden = !value.is_empty() && names_secret(name);
    format!("{name}={}", if hidden { HIDDEN } else { value })
}

fn names_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| lower.contains(part))
}

/// Fields of JSON without the texts of those that may be secrets. Numbers, such as those of `max_tokens`, are none.
pub(crate) fn hide_in_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    let hide = |(name, value): (&String, &Value)| {
        let shown = match value {
            Value::String(_) if names_secret(name) => HIDDEN.into(),
            Value::Object(fields) => Value::Object(hide_in_fields(fields)),
            value => value.clone(),
        };
        (name.clone(), shown)
    };
    fields.iter().map(hide).collect()
}

/// A URL without user, password and the values of query parameters that may be secrets.
#[cfg(any(feature = "load", test))]
pub(crate) fn hide_in_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return hide_in_query(url) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or_else(|| authority.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
    format!("{scheme}://{host}{}", hide_in_query(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_urls_are_hidden() {
        for (url, shown) in [
            ("http://h/a?b=c", "http://h/a?b=c"),
            ("https://user:pw@h:1/a", "https://<hidden>@h:1/a"),
            ("http://a@b@h", "http://<hidden>@h"),
            ("http://h?apiKey=x&n=1&access_token=y&token", "http://h?apiKey=<hidden>&n=1&access_token=<hidden>&token"),
            ("/p?X-Amz-Signature=z", "/p?X-Amz-Signature=<hidden>"),
        ] {
            assert_eq!(hide_in_url(url), shown);
        }
    }

    #[test]
    fn header_values_are_hidden_unless_known_to_be_open() {
        assert_eq!(header_value("Content-Type", "text/plain"), "text/plain");
        assert_eq!(header_value("x-anything", "v"), HIDDEN);
    }
}
