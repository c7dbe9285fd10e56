//! The server that is measured: its URL, and its addresses.

use std::net::{SocketAddr, ToSocketAddrs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use thiserror::Error;

use crate::plan::secret::hide_in_url;

/// Why a target was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not `http[s]://HOST[:PORT][/PATH]`.
    #[error("`{0}` is not a URL to send requests to; write http://HOST[:PORT], such as http://127.0.0.1:8080")]
    Malformed(String),
    /// A target goes before every request's path.
    #[error("`{0}` has a query, and a target is what goes before every request's path: put the query into the path")]
    Query(String),
    /// The host has no address.
    #[error("DNS: the host name `{host}` does not resolve: {cause}")]
    Unresolved {
        /// The host.
        host: String,
        /// What the system said.
        cause: String,
    },
}

/// A server as a URL names it: `http[s]://[USER:PASSWORD@]HOST[:PORT][/PATH]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as the `Host` header has them.
    pub(super) authority: String,
    /// Goes before every request's path; without a slash at its end.
    pub(super) base_path: String,
    /// The `Authorization` header for user and password.
    pub(super) basic_auth: Option<String>,
    shown: String,
}

impl Target {
    /// Reads a URL. A path in it goes before every request's path; user and password go into an `Authorization` header.
    ///
    /// # Errors
    /// [`TargetError`] for anything that is not such a URL, and for one with a query.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let shown = hide_in_url(url);
        let malformed = || TargetError::Malformed(shown.clone());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(malformed()),
        };
        let full = uri.authority().ok_or_else(malformed)?.as_str();
        let (user, authority) = full.rsplit_once('@').map_or((None, full), |(user, rest)| (Some(user), rest));
        // A port that is no number is a fault, not a part of the host.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|port| *port > 0)),
            _ => (authority, Some(if is_tls { 443 } else { 80 })),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.ok_or_else(malformed)?;
        if host.is_empty() || url.contains('#') {
            return Err(malformed());
        }
        if uri.query().is_some() {
            return Err(TargetError::Query(shown));
        }
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            base_path: uri.path().trim_end_matches('/').to_owned(),
            basic_auth: user.map(|user| format!("Basic {}", BASE64_STANDARD.encode(decode(user)))),
            shown,
        })
    }

    /// The server's addresses, as the system resolves the name.
    ///
    /// # Errors
    /// [`TargetError::Unresolved`] if it has none.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, TargetError> {
        let unresolved = |cause: String| TargetError::Unresolved { host: self.host.clone(), cause };
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses: Vec<_> = addresses.map_err(|error| unresolved(error.to_string()))?.collect();
        if addresses.is_empty() { Err(unresolved("it has no address".to_owned())) } else { Ok(addresses) }
    }

    /// The path of a request on the server: the target's own path, and then this one.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}/{}", self.base_path, path.strip_prefix('/').unwrap_or(path))
    }

    /// The path of chat completions: OpenAI's base URLs end with `/v1`, and some users leave that out.
    pub(super) fn chat_path(&self) -> String {
        match self.base_path.as_str() {
            whole if whole.ends_with("/chat/completions") => whole.to_owned(),
            base if base.ends_with("/v1") => format!("{base}/chat/completions"),
            base => format!("{base}/v1/chat/completions"),
        }
    }
}

/// Without user, password and what may be a key.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({self})")
    }
}

/// Decodes `%41` (RFC 3986, section 2.1); what is no such escape stays.
fn decode(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = behind.first_chunk::<2>().filter(|_| byte == b'%');
        let value = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &behind[2..] } else { behind };
    }
    bytes
}

/// Cuts a URL into the target, which ends before the path, and the path with its query; without a scheme it is `http://`.
///
/// # Errors
/// [`TargetError`] if the target is none.
pub fn split_url(url: &str) -> Result<(Target, String), TargetError> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let without_fragment = with_scheme.split_once('#').map_or(with_scheme.as_str(), |(url, _)| url);
    let host_at = without_fragment.find("://").map_or(0, |at| at + 3);
    let end = without_fragment[host_at..].find(['/', '?']).map_or(without_fragment.len(), |at| host_at + at);
    let (origin, path) = without_fragment.split_at(end);
    let path = match path.strip_prefix('?') {
        Some(query) => format!("/?{query}"),
        None if path.is_empty() => "/".to_owned(),
        None => path.to_owned(),
    };
    Ok((Target::parse(origin)?, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, is_tls, host, port, base) in [
            ("http://h", false, "h", 80, ""),
            ("https://h", true, "h", 443, ""),
            ("http://127.0.0.1:8080/", false, "127.0.0.1", 8080, ""),
            ("http://[::1]:81/base/", false, "::1", 81, "/base"),
            ("http://[::1]/base/v1", false, "::1", 80, "/base/v1"),
            ("HTTP://h:1", false, "h", 1, ""),
        ] {
            let target = Target::parse(url).unwrap();
            let parts = (target.is_tls, target.host.as_str(), target.port, target.base_path.as_str());
            assert_eq!(parts, (is_tls, host, port, base), "{url}");
        }
        for bad in
            ["", "h", "h:80", "/x", "ftp://h", "http://", "http://h:", "http://h:0", "http://h:99999", "http://h/#f"]
        {
            assert!(matches!(Target::parse(bad), Err(TargetError::Malformed(_))), "{bad}");
        }
        assert!(matches!(Target::parse("http://h?q"), Err(TargetError::Query(_))));
    }

    #[test]
    fn a_url_with_a_path_is_cut_in_two() {
        for (url, target, path) in [
            ("http://h:1/a/b?c=d", "http://h:1", "/a/b?c=d"),
            ("h:1", "http://h:1", "/"),
            ("localhost/x", "http://localhost", "/x"),
            ("https://h?q=1#f", "https://h", "/?q=1"),
        ] {
            assert_eq!(split_url(url).unwrap(), (Target::parse(target).unwrap(), path.to_owned()), "{url}");
        }
        assert!(split_url("http:///x").is_err());
    }

    #[test]
    fn chats_have_one_path_with_and_without_v1() {
        for (url, path) in [
            ("http://h", "/v1/chat/completions"),
            ("http://h/v1", "/v1/chat/completions"),
            ("http://h/openai/v1/", "/openai/v1/chat/completions"),
            ("http://h/proxy", "/proxy/v1/chat/completions"),
            ("http://h/x/chat/completions", "/x/chat/completions"),
        ] {
            assert_eq!(Target::parse(url).unwrap().chat_path(), path, "{url}");
        }
        assert_eq!(Target::parse("http://h/base/").unwrap().path("/x"), "/base/x");
        assert_eq!(Target::parse("http://h").unwrap().path("/"), "/");
    }

    #[test]
    fn user_and_password_are_sent_and_never_shown() {
        // The example of RFC 7617, section 2.
        let target = Target::parse("http://Aladdin:open%20sesame@h:1").unwrap();
        assert_eq!(target.basic_auth.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!((target.host.as_str(), target.authority.as_str()), ("h", "h:1"));
        assert_eq!(format!("{target} {target:?}"), "http://<hidden>@h:1 Target(http://<hidden>@h:1)");
        let refused = Target::parse("http://u:secret@h:port").unwrap_err().to_string();
        assert!(!refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_name_that_does_not_resolve_says_dns() {
        let error = Target::parse("http://no-such-host.invalid").unwrap().resolve().unwrap_err().to_string();
        assert!(error.starts_with("DNS: the host name `no-such-host.invalid` does not resolve"), "{error}");
    }
}
