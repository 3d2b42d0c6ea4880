//! Which browsers may call: a page of another origin may not, and a name that was bent to
//! 127.0.0.1 does not help it (DNS rebinding).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, Uri,
        header::{HOST, ORIGIN},
    },
    middleware::Next,
    response::Response,
};
use provost_protocol::Code;

use crate::problem::Refusal;

/// The host names under which the admin API may be called.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    hosts: Arc<[String]>,
}

impl Guard {
    pub(super) fn new(allowed: &[String]) -> Self {
        let local = LOCAL.iter().copied().map(str::to_owned);
        let hosts = local
            .chain(allowed.iter().map(|host| host.to_ascii_lowercase()))
            .collect();
        Self { hosts }
    }

    fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let refuse = |text| Err(Refusal::new(Code::OriginRefused, text));
        let mut named = headers.get_all(HOST).iter();
        // HTTP/2 names the host in the URI.
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok().map(str::to_owned),
            (None, None) => uri.authority().map(ToString::to_string),
            _ => None,
        };
        let Some(host) = host.map(|host| host.to_ascii_lowercase()) else {
            return refuse("exactly one Host is needed");
        };
        if !self.hosts.iter().any(|allowed| allowed == name_of(&host)) {
            return refuse("this Host is not in admin.allowed_hosts");
        }
        let own = [format!("http://{host}"), format!("https://{host}")];
        let foreign = |origin: &str| !own.iter().any(|own| own.eq_ignore_ascii_case(origin));
        if headers
            .get_all(ORIGIN)
            .iter()
            .any(|origin| origin.to_str().map_or(true, foreign))
        {
            return refuse("a page of another origin may not call");
        }
        Ok(())
    }
}

/// Lets a request through, or refuses it.
pub(super) async fn check(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    guard.admit(request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

/// The host without its port and without the brackets of IPv6.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(name, _)| name);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_hosts_and_their_own_origin_are_let_in() {
        let guard = Guard::new(&["Admin.example".to_owned()]);
        for (host, origin, admitted) in [
            (Some("127.0.0.1:7480"), None, true),
            (Some("localhost"), None, true),
            (Some("LOCALHOST:1"), None, true),
            (Some("[::1]:7480"), None, true),
            (Some("admin.example"), Some("https://admin.example"), true),
            (Some("127.0.0.1:7480"), Some("http://127.0.0.1:7480"), true),
            (Some("127.0.0.1:7480"), Some("http://127.0.0.1:8080"), false),
            (Some("127.0.0.1:7480"), Some("https://evil.example"), false),
            (Some("127.0.0.1:7480"), Some("null"), false),
            (Some("evil.example:7480"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (Some(""), None, false),
            (None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(HOST, host.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            let uri = Uri::from_static("/v1/status");
            let said = guard.admit(&uri, &headers);
            assert_eq!(said.is_ok(), admitted, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, "localhost".parse().unwrap());
        headers.append(HOST, "evil.example".parse().unwrap());
        let said = Guard::new(&[]).admit(&Uri::from_static("/"), &headers);
        assert_eq!(said.unwrap_err().code(), Code::OriginRefused);
    }
}
