//! Fetching a provider's keys: one document, from a public address, within a deadline.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use provost_actors::TokenRefused;
use reqwest::{
    Client, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use tokio::sync::OnceCell;

use super::{
    address::is_public,
    jwks::{JWKS_BYTES_MAX, Jwks},
};

/// Fetches documents. Follows no redirect, uses no proxy, connects to exactly the addresses that
/// were vetted.
pub(super) struct Fetcher {
    allow_private: bool,
    client: OnceCell<Client>,
}

/// Resolves a host name and gives the addresses to the connection only if all are public: a name
/// that also has a private address is not to be trusted on the next look-up either.
#[derive(Debug)]
struct PublicOnly;

/// A name that leads inside.
#[derive(Debug)]
struct NotPublic;

impl Fetcher {
    /// Makes a fetcher. With `allow_private`, any address and plain HTTP will do.
    pub(super) fn new(allow_private: bool) -> Self {
        Self {
            allow_private,
            client: OnceCell::new(),
        }
    }

    /// Fetches and reads the keys at a URL.
    pub(super) async fn fetch(&self, url: &str) -> Result<Jwks, TokenRefused> {
        let url = self.vetted(url)?;
        let fetched = tokio::time::timeout(DEADLINE, self.get(url)).await;
        let body = fetched.map_err(|_| TokenRefused::Unavailable("no answer in time"))??;
        Jwks::parse(&body).ok_or(TokenRefused::Unavailable("the answer is no key document"))
    }

    /// Takes a URL apart; an address written out is judged here, a name when it is resolved.
    fn vetted(&self, url: &str) -> Result<Url, TokenRefused> {
        let url = Url::parse(url).map_err(|_| TokenRefused::Unavailable("the URL is no URL"))?;
        let scheme_fits = url.scheme() == "https" || (self.allow_private && url.scheme() == "http");
        if !scheme_fits {
            return Err(TokenRefused::Unavailable("the URL is not https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TokenRefused::Unavailable("the URL carries a password"));
        }
        let host = url.host_str().unwrap_or_default();
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        if !self.allow_private && literal.is_ok_and(|address| !is_public(address)) {
            return Err(PRIVATE);
        }
        Ok(url)
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, TokenRefused> {
        let client = self
            .client
            .get_or_try_init(|| client(self.allow_private))
            .await?;
        let response = client.get(url).send().await.map_err(|error| {
            let mut cause: Option<&dyn Error> = Some(&error);
            while let Some(one) = cause {
                // The connector hides the type of a resolver's error and keeps its words.
                if one.to_string() == NotPublic.to_string() {
                    return PRIVATE;
                }
                cause = one.source();
            }
            TokenRefused::Unavailable("the provider cannot be reached")
        })?;
        if response.status().is_redirection() {
            return Err(TokenRefused::Unavailable("redirects are not followed"));
        }
        if !response.status().is_success() {
            return Err(TokenRefused::Unavailable(
                "the provider answered with an error",
            ));
        }
        capped(response).await
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("allow_private", &self.allow_private)
            .finish_non_exhaustive()
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            if found.iter().all(|address| is_public(address.ip())) {
                Ok(Box::new(found.into_iter()) as Addrs)
            } else {
                Err(Box::new(NotPublic).into())
            }
        })
    }
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to an address that is not public")
    }
}

impl Error for NotPublic {}

/// Builds the client away from the arbiter: reading the system's roots takes milliseconds. Built
/// at the first fetch, so that a machine without roots runs as long as it fetches nothing.
async fn client(allow_private: bool) -> Result<Client, TokenRefused> {
    let build = move || {
        let builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .http1_only()
            // A connection lives as long as one fetch: no address outlives its vetting.
            .pool_max_idle_per_host(0);
        if allow_private {
            builder.build()
        } else {
            builder.dns_resolver(Arc::new(PublicOnly)).build()
        }
    };
    let built = tokio::task::spawn_blocking(build).await;
    built
        .ok()
        .and_then(Result::ok)
        .ok_or(TokenRefused::Unavailable(
            "this machine has no trusted roots for https",
        ))
}

/// Reads a body, and stops at the limit whatever length was announced.
async fn capped(mut response: Response) -> Result<Vec<u8>, TokenRefused> {
    let broken = |_| TokenRefused::Unavailable("the answer broke off");
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > JWKS_BYTES_MAX {
            return Err(TokenRefused::Unavailable(
                "the answer is longer than 256 KiB",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

const PRIVATE: TokenRefused =
    TokenRefused::Unavailable("the URL leads to an address that is not public");

/// A person waits for this at login; contract.md, section 2, says 5 seconds.
const DEADLINE: Duration = Duration::from_secs(5);
