//! The way to the kernel: straight, or through an HTTP proxy that opens a tunnel.
//!
//! The configuration goes before the environment (`HTTPS_PROXY`, `NO_PROXY`). TLS runs from end to
//! end through the tunnel: a proxy sees where it leads, when, and how much, and nothing else. The
//! name of the kernel is resolved by the proxy, for behind one there is often no other way to.

mod bypass;
mod error;
mod proxy;
mod tunnel;

use std::fmt;

use serde::Deserialize;
use tokio::net::TcpStream;

use self::{bypass::Bypass, proxy::Proxy};
pub use error::ProxyError;

/// What a configuration says of proxies. It may hold a password, and is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ProxySetting(String);

impl ProxySetting {
    /// `http://[user:password@]host:port`, or `none` for no proxy whatever the environment says.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Says whether it can be used.
    ///
    /// # Errors
    /// [`ProxyError::Malformed`] or [`ProxyError::Scheme`].
    pub fn check(&self) -> Result<(), ProxyError> {
        self.proxy().map(drop)
    }

    fn proxy(&self) -> Result<Option<Proxy>, ProxyError> {
        if self.0 == NO_PROXY_AT_ALL {
            return Ok(None);
        }
        self.0.parse().map(Some)
    }
}

impl From<String> for ProxySetting {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxySetting(…)")
    }
}

/// How one address is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// By a connection of our own.
    Straight,
    /// Through a proxy's tunnel.
    Through(Proxy),
}

impl Route {
    /// The way to `addr` (`host:port`), by the configuration or else by the environment.
    pub(crate) fn to(addr: &str, chosen: Option<&ProxySetting>) -> Result<Self, ProxyError> {
        Self::choose(addr, chosen, |name| std::env::var(name).ok())
    }

    fn choose(
        addr: &str,
        chosen: Option<&ProxySetting>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ProxyError> {
        if let Some(setting) = chosen {
            return Ok(setting.proxy()?.map_or(Self::Straight, Self::Through));
        }
        let either = |upper: &str, lower: &str| {
            let said = |name: &str| env(name).filter(|value| !value.trim().is_empty());
            said(upper).or_else(|| said(lower))
        };
        let Some(proxy) = either("HTTPS_PROXY", "https_proxy") else {
            return Ok(Self::Straight);
        };
        let bypass = Bypass::parse(&either("NO_PROXY", "no_proxy").unwrap_or_default());
        if bypass.holds(addr) {
            return Ok(Self::Straight);
        }
        proxy.trim().parse().map(Self::Through)
    }

    /// An open tunnel to `addr`, where the way leads through a proxy.
    pub(crate) async fn tunnel(&self, addr: &str) -> Result<Option<TcpStream>, ProxyError> {
        match self {
            Self::Straight => Ok(None),
            Self::Through(proxy) => tunnel::open(proxy, addr).await.map(Some),
        }
    }
}

/// In place of an address: the environment's proxy is not for this connector.
const NO_PROXY_AT_ALL: &str = "none";

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(addr: &str, chosen: Option<&str>, env: &[(&str, &str)]) -> Result<Route, ProxyError> {
        let setting = chosen.map(ProxySetting::new);
        Route::choose(addr, setting.as_ref(), |name| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn through(text: &str) -> Result<Route, ProxyError> {
        text.parse().map(Route::Through)
    }

    #[test]
    fn the_configuration_goes_before_the_environment_and_large_letters_before_small() {
        let env = [
            ("HTTPS_PROXY", "http://large:1"),
            ("https_proxy", "http://small:1"),
            ("NO_PROXY", ""),
            ("no_proxy", "kernel.example"),
        ];
        let kernel = "other.example:7443";
        assert_eq!(choose(kernel, None, &[]), Ok(Route::Straight));
        assert_eq!(choose(kernel, None, &env), through("http://large:1"));
        assert_eq!(choose(kernel, None, &env[1..]), through("http://small:1"));
        let chosen = choose("kernel.example:7443", Some("http://chosen:1"), &env);
        assert_eq!(
            chosen,
            through("http://chosen:1"),
            "NO_PROXY is of the environment"
        );
        assert_eq!(choose(kernel, Some("none"), &env), Ok(Route::Straight));
        assert_eq!(
            choose("kernel.example:7443", None, &env),
            Ok(Route::Straight)
        );
    }

    #[test]
    fn an_unusable_proxy_is_an_error_only_where_it_would_be_used() {
        let env = [
            ("HTTPS_PROXY", "socks5://p:1"),
            ("NO_PROXY", "kernel.example"),
        ];
        assert!(choose("other.example:1", None, &env).is_err());
        assert_eq!(choose("kernel.example:1", None, &env), Ok(Route::Straight));
    }

    #[test]
    fn a_password_is_never_shown() {
        let text = "http://ada:s3cret@proxy:3128";
        let shown = format!("{:?} {:?}", ProxySetting::new(text), through(text).unwrap());
        assert!(
            !shown.contains("s3cret") && !shown.contains("czNjcmV0"),
            "{shown}"
        );
    }
}
