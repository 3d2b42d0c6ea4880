//! A proxy's address: `http://[user:password@]host:port`, and nothing else.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::ProxyError;

/// A proxy, with what it is to be told of who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// `host:port`.
    authority: String,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl Proxy {
    /// Where it listens, `host:port`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The value of `Proxy-Authorization`, where it has credentials.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse("it does not begin with http://");
        };
        if !scheme.eq_ignore_ascii_case("http") {
            // A password stands behind the scheme only: the scheme may be shown.
            return Err(ProxyError::Scheme {
                scheme: scheme.chars().take(SCHEME_CHARS_SHOWN).collect(),
            });
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (userinfo, authority) = match rest.rsplit_once('@') {
            Some((userinfo, authority)) => (Some(userinfo), authority),
            None => (None, rest),
        };
        check_authority(authority)?;
        Ok(Self {
            authority: authority.to_owned(),
            authorization: userinfo.map(basic).transpose()?,
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("authority", &self.authority)
            .field("authorization", &self.authorization.as_ref().map(|_| "…"))
            .finish()
    }
}

fn check_authority(authority: &str) -> Result<(), ProxyError> {
    let Some((host, port)) = authority.rsplit_once(':') else {
        return refuse("it names no port");
    };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return refuse("its port is none");
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let good = match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    if good {
        Ok(())
    } else {
        refuse("its host is none")
    }
}

/// RFC 7617; user and password are percent-encoded in the address, and nothing is in the header.
fn basic(userinfo: &str) -> Result<String, ProxyError> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);
    if user.contains(&b':') {
        return refuse("its user holds a colon");
    }
    if user.iter().chain(&password).any(u8::is_ascii_control) {
        return refuse("its credentials hold control characters");
    }
    let together = [user.as_slice(), b":", password.as_slice()].concat();
    Ok(format!("Basic {}", STANDARD.encode(together)))
}

fn decoded(text: &str) -> Result<Vec<u8>, ProxyError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next(), rest.next()];
        let [Some(high), Some(low)] = pair.map(|digit| digit.and_then(hex_digit)) else {
            return refuse("a % in its credentials has no two hex digits after it");
        };
        bytes.push((high << 4) | low);
    }
    Ok(bytes)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn refuse<T>(why: &'static str) -> Result<T, ProxyError> {
    Err(ProxyError::Malformed { why })
}

/// Every scheme there is; more is text that was mistaken for one.
const SCHEME_CHARS_SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, authority, authorization) in [
            ("http://proxy:3128", "proxy:3128", None),
            ("HTTP://10.0.0.1:80/", "10.0.0.1:80", None),
            ("http://[::1]:8080", "[::1]:8080", None),
            // RFC 7617, section 2, and the same with what must be encoded.
            (
                "http://Aladdin:open%20sesame@proxy.corp:3128",
                "proxy.corp:3128",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("http://ada@p:1", "p:1", Some("Basic YWRhOg==")),
            ("http://a:b%40c@p:1", "p:1", Some("Basic YTpiQGM=")),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.authority(), authority);
            assert_eq!(proxy.authorization(), authorization, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_its_password() {
        for (text, said) in [
            ("proxy:3128", "does not begin"),
            ("https://ada:s3cret@proxy:3128", "\"https\""),
            ("socks5://proxy:1080", "\"socks5\""),
            ("http://ada:s3cret@proxy", "no port"),
            ("http://ada:s3cret@proxy:0", "port"),
            ("http://ada:s3cret@proxy:70000", "port"),
            ("http://ada:s3cret@:3128", "host"),
            ("http://ada:s3cret@pro xy:3128", "host"),
            ("http://[::1:3128", "host"),
            ("http://proxy:3128/path", "port"),
            ("http://ada:s3cret%2@proxy:3128", "hex digits"),
            ("http://ada:s3cret%0d%0a@proxy:3128", "control"),
            ("http://a%3Ab:s3cret@proxy:3128", "colon"),
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(said), "{text}: {shown}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
