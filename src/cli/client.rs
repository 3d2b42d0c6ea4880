//! Asking a running kernel's admin API.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use provost_certs::{FileError, Secret, files};
use reqwest::{Method, RequestBuilder, Response, Url, header::ACCEPT};
use serde::{Serialize, de::DeserializeOwned};

use super::exit::{Failure, Refused};
use crate::admin::view::Page;

/// Which kernel is asked, and with which key.
#[derive(Debug, Clone, Args)]
pub(super) struct AdminArgs {
    /// Where the kernel's admin API is; plain http on this machine only
    #[arg(long, global = true, value_name = "URL", env = "PROVOST_ADMIN", default_value = ADMIN_URL)]
    admin: Url,
    /// The file that holds the admin key
    #[arg(long, global = true, value_name = "FILE", env = "PROVOST_KEY_FILE", default_value = KEY_FILE)]
    key_file: PathBuf,
    /// Names a change, so that repeating it within 24 hours changes nothing more
    #[arg(long, global = true, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// A kernel's admin API, with a key to it.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Secret<String>,
    idempotency_key: Option<String>,
}

/// Parts of a path, each one escaped on its way.
pub(super) type Path<'a> = [&'a str];

impl Client {
    /// Reads the key; nothing is asked yet.
    pub(super) fn new(args: AdminArgs) -> Result<Self, Failure> {
        if !may_carry_a_key(&args.admin) {
            let why =
                "--admin: the key would travel in the clear; use https, or http to this machine";
            return Err(Failure::Usage(why.to_owned()));
        }
        let file = files::read_private(&args.key_file).map_err(|error| {
            let fix = if matches!(error, FileError::Io { .. }) {
                "; name it with --key-file"
            } else {
                ""
            };
            Failure::Usage(format!("the admin key cannot be read: {error}{fix}"))
        })?;
        let text = std::str::from_utf8(file.expose())
            .map_err(|_| Failure::Usage("the key file holds no admin key".to_owned()))?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .build()
            .map_err(|error| Failure::failed("starting", error))?;
        Ok(Self {
            http,
            base: args.admin,
            key: Secret::new(text.trim().to_owned()),
            idempotency_key: args.idempotency_key,
        })
    }

    /// Reads something.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &Path<'_>,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.answer(self.request(Method::GET, path, query)).await
    }

    /// Reads something for a command that asks often: told to come again later, it does.
    pub(super) async fn get_patiently<T: DeserializeOwned>(
        &self,
        path: &Path<'_>,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        for _ in 0..AGAIN_MAX {
            match self.get(path, query).await {
                Err(Failure::Refused(refused)) => {
                    let Some(pause) = refused.comes_again_after() else {
                        return Err(Failure::Refused(refused));
                    };
                    tokio::time::sleep(pause.min(PATIENCE)).await;
                }
                other => return other,
            }
        }
        self.get(path, query).await
    }

    /// Reads a list, page after page, up to `limit` items.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &Path<'_>,
        limit: usize,
    ) -> Result<Page<T>, Failure> {
        let mut whole = Page {
            items: Vec::new(),
            next_cursor: None,
        };
        loop {
            let wanted = (limit - whole.items.len()).min(PAGE_MAX);
            let mut query = vec![("limit", wanted.to_string())];
            query.extend(
                whole
                    .next_cursor
                    .take()
                    .map(|cursor| ("page[cursor]", cursor)),
            );
            let page: Page<T> = self.get(path, &query).await?;
            whole.items.extend(page.items);
            whole.next_cursor = page.next_cursor;
            if whole.next_cursor.is_none() || whole.items.len() >= limit {
                return Ok(whole);
            }
        }
    }

    /// Changes something, with a body.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &Path<'_>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let mut request = self.request(method, path, &[]).json(body);
        if let Some(key) = &self.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        self.answer(request).await
    }

    /// Removes something; answers what it was.
    pub(super) async fn delete<T: DeserializeOwned>(
        &self,
        path: &Path<'_>,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.answer(self.request(Method::DELETE, path, query)).await
    }

    fn request(&self, method: Method, path: &Path<'_>, query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http
            .request(method, url)
            .header(ACCEPT, "application/json")
            .bearer_auth(self.key.expose())
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let unreachable = |error: reqwest::Error| Failure::Unreachable {
            address: self.base.to_string(),
            why: if error.is_timeout() {
                "no answer in time"
            } else if error.is_connect() {
                "no connection"
            } else {
                "the connection broke off"
            },
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = capped(response).await?.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| Failure::failed("reading the kernel's answer", error));
        }
        match serde_json::from_slice::<Refused>(&body) {
            Ok(refused) => Err(Failure::Refused(refused)),
            Err(_) => {
                let what = format!("HTTP {status} without a reason: no kernel's admin API");
                Err(Failure::failed("asking the kernel", what))
            }
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Over https, or to this very machine.
fn may_carry_a_key(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

/// Reads a body, and stops at the limit whatever length was announced.
async fn capped(mut response: Response) -> Result<Result<Vec<u8>, reqwest::Error>, Failure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Err(error) => return Ok(Err(error)),
            Ok(None) => return Ok(Ok(body)),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Failure::failed(
                "reading the kernel's answer",
                "it is too long",
            ));
        }
    }
}

/// Where a kernel listens unless it is told otherwise.
const ADMIN_URL: &str = "http://127.0.0.1:7480";

/// Where `provost init` leaves it on a machine that is set up as docs/operations.md says.
const KEY_FILE: &str = "/var/lib/provost/admin.key";

/// Contract.md, section 6.
pub(super) const PAGE_MAX: usize = 100;

/// A hundred events of 64 KiB, and room.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A rate that others share with this command is free again within a few of its periods.
const AGAIN_MAX: usize = 10;

/// It is the same machine, or the next room.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Twice what the kernel gives itself for a request.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_over_https_or_nowhere() {
        for (url, may) in [
            ("http://127.0.0.1:7480", true),
            ("http://localhost:7480/", true),
            ("http://[::1]:7480", true),
            ("https://kernel.example.org", true),
            ("http://kernel.example.org", false),
            ("http://10.0.0.1:7480", false),
            ("http://localhost.example.org", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(may_carry_a_key(&Url::parse(url).unwrap()), may, "{url}");
        }
    }
}
