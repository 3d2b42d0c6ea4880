//! The configuration file: TOML, every key documented, an unknown one refused with its line.
//!
//! `docs/provost.example.toml` shows every key with its default. No secret belongs into this file,
//! so it may be readable by everybody.

mod error;
mod place;

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use provost_actors::{Rates, budget::COST_MAX};
use serde::Deserialize;

use crate::runtime_port::StrangerRates;

pub use self::error::ConfigError;

/// What can be chosen about a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the journal, the state and the keys lie; only its owner may read it. Must be named.
    pub data_dir: PathBuf,
    /// The region this kernel serves. Absent: none, and a tenant that demands a region is refused.
    #[serde(default)]
    pub region: Option<String>,
    /// On how many threads tenants live. Absent: one for each core.
    #[serde(default)]
    pub arbiters: Option<NonZeroUsize>,
    /// How long a stopping kernel waits for what it has begun. Absent: 10 seconds.
    #[serde(default = "default_drain_ms")]
    pub drain_ms: NonZeroU64,
    /// The port for runtimes. Absent: all its defaults.
    #[serde(default)]
    pub runtime: RuntimePort,
    /// The port for administration. Absent: all its defaults.
    #[serde(default)]
    pub admin: AdminPort,
    /// How identity providers are reached. Absent: all its defaults.
    #[serde(default)]
    pub idp: Idp,
    /// What is logged, and how. Absent: all its defaults.
    #[serde(default)]
    pub log: Log,
    /// How much of everything there may be. Absent: all its defaults.
    #[serde(default)]
    pub limits: Limits,
    /// Beyond how many bytes a segment of the journal is followed by a new one. Not a key of the
    /// file: crash rounds make it small, so that segments end often. Absent: 64 MiB.
    #[serde(skip)]
    pub segment_bytes_max: Option<NonZeroU64>,
}

/// The port for runtimes: TLS 1.3 with client certificates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimePort {
    /// Where it listens. Absent: every address, port 7443.
    pub listen: SocketAddr,
    /// DNS names and IP addresses that runtimes dial; they stand in the kernel's certificate.
    /// Absent: `localhost` and `127.0.0.1`.
    pub names: Vec<String>,
    /// `host:port` that stands in enrolment tokens. Absent: the first of `names` and the port that
    /// is listened on.
    pub advertise: Option<String>,
}

/// The port for administration: plain HTTP, on this machine only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminPort {
    /// Where it listens; a loopback address. Absent: `127.0.0.1:7480`.
    pub listen: SocketAddr,
    /// Host names under which it may be called, besides `localhost`, `127.0.0.1` and `[::1]`: those
    /// of a proxy on this machine. Absent: none.
    pub allowed_hosts: Vec<String>,
}

/// How identity providers are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Idp {
    /// Whether their keys may be fetched from private and loopback addresses. Absent: no; a tenant
    /// could otherwise make the kernel look around its own network.
    pub allow_private: bool,
}

/// What is logged, and how. It goes to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Lines for people or JSON for machines. Absent: text.
    pub format: LogFormat,
    /// A level, or one for each module as in `info,provost_actors=debug`. Absent: `info`.
    pub level: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object each.
    Json,
    /// For people.
    Text,
}

/// How much of everything there may be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of runtimes open at once; whoever comes beyond is told when to come again.
    /// Absent: 20,000.
    pub connections_max: NonZeroUsize,
    /// Requests a second of one connection of a runtime, in the long run; a costly one counts for
    /// several. Absent: 2,000.
    pub connection_requests_per_second: NonZeroU32,
    /// Requests of one connection at once, before it hears `rate_limited`. Absent: 4,000.
    pub connection_burst: NonZeroU32,
    /// Requests a second of all runtimes of one tenant, in the long run. Absent: 20,000.
    pub tenant_requests_per_second: NonZeroU32,
    /// Requests of all runtimes of one tenant at once. Absent: 40,000.
    pub tenant_burst: NonZeroU32,
    /// Free bytes on the data folder's disk below which writes are refused and reads go on.
    /// Absent: 256 MiB.
    pub disk_free_bytes_min: u64,
    /// Free bytes on the same disk below which the alarm is raised; more than the key above.
    /// Absent: a twentieth of the disk, at most 10 GiB, and at least eight times the key above.
    pub disk_low_bytes: Option<u64>,
    /// Requests a second of one admin key, in the long run. Absent: 50.
    pub admin_requests_per_second: NonZeroU32,
    /// Requests of one admin key at once, before it must wait. Absent: 200.
    pub admin_burst: NonZeroU32,
    /// Enrolments and recoveries a second of all that show no certificate, in the long run; twice so
    /// many at once. Absent: 50.
    pub enrolments_per_second: NonZeroU32,
    /// The same of one address (IPv6: of one /64); ten times so many at once. Absent: 1.
    pub enrolments_per_address_per_second: NonZeroU32,
}

impl Config {
    /// The defaults for a data folder.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            region: None,
            arbiters: None,
            drain_ms: default_drain_ms(),
            runtime: RuntimePort::default(),
            admin: AdminPort::default(),
            idp: Idp::default(),
            log: Log::default(),
            limits: Limits::default(),
            segment_bytes_max: None,
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Reads and checks a text that came from `origin`.
    ///
    /// # Errors
    /// [`ConfigError`] names origin, line and key.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::parse(origin, text, &error))?;
        config.check().map_err(|error| error.placed(origin, text))?;
        Ok(config)
    }

    /// Says whether the values can be used, and used together.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why: &str| Err(ConfigError::value(key, why));
        if self.data_dir.as_os_str().is_empty() {
            return refuse("data_dir", "names no folder");
        }
        if self
            .region
            .as_ref()
            .is_some_and(|region| region.trim().is_empty())
        {
            return refuse("region", "is empty; leave the key out to serve no region");
        }
        if self.drain_ms.get() > DRAIN_MS_MAX {
            return refuse("drain_ms", "is over ten minutes");
        }
        if !self.admin.listen.ip().is_loopback() {
            return refuse(
                "admin.listen",
                "must be a loopback address: the admin API is plain HTTP",
            );
        }
        if self.admin.allowed_hosts.iter().any(|host| !is_host(host)) {
            return refuse(
                "admin.allowed_hosts",
                "holds what is no host name (no port, no scheme)",
            );
        }
        if self.runtime.names.is_empty() || self.runtime.names.iter().any(|name| !is_host(name)) {
            return refuse(
                "runtime.names",
                "must hold DNS names or IP addresses, at least one",
            );
        }
        if self
            .runtime
            .advertise
            .as_deref()
            .is_some_and(|addr| !is_host_and_port(addr))
        {
            return refuse("runtime.advertise", "must be host:port");
        }
        for (key, burst) in [
            ("limits.connection_burst", self.limits.connection_burst),
            ("limits.tenant_burst", self.limits.tenant_burst),
        ] {
            if burst.get() < COST_MAX {
                return refuse(
                    key,
                    "must be at least 251: a full audit call counts for so many requests",
                );
            }
        }
        let refused_below = self.limits.disk_free_bytes_min;
        if self
            .limits
            .disk_low_bytes
            .is_some_and(|low| low <= refused_below)
        {
            return refuse(
                "limits.disk_low_bytes",
                "must be more than limits.disk_free_bytes_min: the alarm comes before the refusal",
            );
        }
        if let Err(error) = self.log.filter() {
            return Err(ConfigError::value("log.level", error.to_string()));
        }
        Ok(())
    }

    /// The address that stands in enrolment tokens, given the port that is really listened on.
    #[must_use]
    pub fn advertised(&self, port: u16) -> String {
        if let Some(advertise) = &self.runtime.advertise {
            return advertise.clone();
        }
        let host = self
            .runtime
            .names
            .first()
            .map_or("localhost", String::as_str);
        if host.parse::<std::net::Ipv6Addr>().is_ok() {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// How long a stopping kernel waits for what it has begun.
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms.get())
    }
}

impl Log {
    /// The filter that `level` describes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn filter(
        &self,
    ) -> Result<tracing_subscriber::EnvFilter, tracing_subscriber::filter::ParseError> {
        tracing_subscriber::EnvFilter::builder().parse(&self.level)
    }
}

impl Default for RuntimePort {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], RUNTIME_PORT)),
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            advertise: None,
        }
    }
}

impl Default for AdminPort {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], ADMIN_PORT)),
            allowed_hosts: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

impl Limits {
    /// What connections and tenants may ask for.
    #[must_use]
    pub const fn rates(&self) -> Rates {
        Rates {
            connection: self.connection_requests_per_second,
            connection_burst: self.connection_burst,
            tenant: self.tenant_requests_per_second,
            tenant_burst: self.tenant_burst,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let rates = Rates::default();
        Self {
            connections_max: CONNECTIONS_MAX,
            connection_requests_per_second: rates.connection,
            connection_burst: rates.connection_burst,
            tenant_requests_per_second: rates.tenant,
            tenant_burst: rates.tenant_burst,
            disk_free_bytes_min: DISK_FREE_BYTES_MIN,
            disk_low_bytes: None,
            admin_requests_per_second: ADMIN_REQUESTS_PER_SECOND,
            admin_burst: ADMIN_BURST,
            enrolments_per_second: StrangerRates::default().in_all,
            enrolments_per_address_per_second: StrangerRates::default().per_address,
        }
    }
}

fn is_host(text: &str) -> bool {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let word = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= DNS_NAME_BYTES_MAX && text.split('.').all(word)
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .map_or_else(
            || is_host(host) && !host.contains(':'),
            |host| host.parse::<std::net::Ipv6Addr>().is_ok(),
        );
    host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

const fn default_drain_ms() -> NonZeroU64 {
    DRAIN_MS
}

/// The port for runtimes (architecture.md, section 4).
pub const RUNTIME_PORT: u16 = 7443;

/// The port for administration (architecture.md, section 4).
pub const ADMIN_PORT: u16 = 7480;

/// Two appends that wait for a slow disk, and the goodbye of every session; far below systemd's 90
/// seconds.
const DRAIN_MS: NonZeroU64 = NonZeroU64::new(10_000).expect("not zero");

/// Longer than any request may take; whoever asks for more has mistaken the unit.
const DRAIN_MS_MAX: u64 = 10 * 60 * 1_000;

/// Twice the fleet one kernel is measured for, at about 40 KB each below 1 GB.
const CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");

/// Room for a rebuild in part, for logs, and for an operator to log in and act.
const DISK_FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// A script that creates tenants one after the other is bound by the disk long before.
const ADMIN_REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");

/// A console that opens several pages of lists at once.
const ADMIN_BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// RFC 1035.
const DNS_NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests;
