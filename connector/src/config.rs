//! The configuration file: TOML, every key documented, an unknown one refused with its line.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::route::ProxySetting;

/// What can be chosen about a connector. The annotated example is `connector.example.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where keys, licenses and the spool lie. Only its owner may read it.
    pub data_dir: PathBuf,
    /// Where the local API listens. Loopback only: it speaks plain HTTP.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// A unix socket on which the local API listens too.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// Where the kernel listens, `host:port`, in place of what the enrolment token said.
    #[serde(default)]
    pub kernel: Option<String>,
    /// The HTTP proxy that leads to the kernel, `http://[user:password@]host:port`, in place of what
    /// the environment says (`HTTPS_PROXY`, `NO_PROXY`); `none` for no proxy whatever it says.
    #[serde(default)]
    pub proxy: Option<ProxySetting>,
    /// What is run once for each kill, before it is confirmed: a program with its arguments.
    #[serde(default)]
    pub kill_hook: Vec<String>,
    /// The most bytes of undelivered events. When they are reached, the local API answers 503:
    /// nothing is ever dropped to make room.
    #[serde(default = "default_spool_bytes")]
    pub spool_bytes_max: u64,
    /// Below so many free bytes on the disk nothing more is spooled.
    #[serde(default = "default_disk_free_bytes")]
    pub disk_free_bytes_min: u64,
}

/// Why a configuration cannot be used. Whoever wrote it must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it must be; the text names line and key.
    #[error("{}: {text}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        text: String,
    },
    /// A value is not allowed.
    #[error("{key}: {why}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl Config {
    /// The defaults for a data folder.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: default_listen(),
            socket: None,
            kernel: None,
            proxy: None,
            kill_hook: Vec::new(),
            spool_bytes_max: default_spool_bytes(),
            disk_free_bytes_min: default_disk_free_bytes(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] with the line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            text: said(&text, &error),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Says whether the values can be used together.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why: &str| {
            Err(ConfigError::Value {
                key,
                why: why.to_owned(),
            })
        };
        let loopback = match self.listen.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        if !loopback {
            return refuse(
                "listen",
                "must be a loopback address: the local API is plain HTTP",
            );
        }
        if self.spool_bytes_max < SPOOL_BYTES_LEAST {
            return refuse("spool_bytes_max", "must be at least 1 MiB");
        }
        if self.kernel.as_ref().is_some_and(|addr| !addr.contains(':')) {
            return refuse("kernel", "must be host:port");
        }
        if self.kill_hook.first().is_some_and(String::is_empty) {
            return refuse("kill_hook", "must begin with a program");
        }
        if let Some(Err(error)) = self.proxy.as_ref().map(ProxySetting::check) {
            return refuse("proxy", &error.to_string());
        }
        Ok(())
    }
}

/// Line and reason, and nothing of the line itself: it may hold a proxy's password.
fn said(text: &str, error: &toml::de::Error) -> String {
    let why = error.message();
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {why}", before.matches('\n').count() + 1),
        None => why.to_owned(),
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], LOCAL_PORT))
}

const fn default_spool_bytes() -> u64 {
    SPOOL_BYTES_MAX
}

const fn default_disk_free_bytes() -> u64 {
    DISK_FREE_BYTES_MIN
}

/// The local API's port: beside the kernel's 7443 and 7480, in no registry's common list.
pub const LOCAL_PORT: u16 = 7471;

/// A million events of 1 KiB: weeks of a busy runtime without its kernel.
const SPOOL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// One full audit call must fit.
const SPOOL_BYTES_LEAST: u64 = 1024 * 1024;

/// The product beside the connector needs the disk too; licenses need a few KiB.
const DISK_FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotated_example_loads_and_says_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("connector.example.toml");
        let config = Config::load(&path).unwrap();
        assert_eq!(config, Config::new("/var/lib/provost-connector"));
        let text = std::fs::read_to_string(path).unwrap();
        for key in [
            "data_dir",
            "listen",
            "socket",
            "kernel",
            "proxy",
            "kill_hook",
            "spool_bytes_max",
            "disk_free_bytes_min",
        ] {
            assert!(
                text.contains(&format!("{key} = ")),
                "{key} is not in the example"
            );
        }
    }

    #[test]
    fn bad_configurations_are_refused_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        for (text, said) in [
            ("data_dir = \"d\"\nlisten_on = 1\n", "line 2"),
            ("data_dir = 7\n", "line 1"),
            ("", "data_dir"),
            ("data_dir = \"d\"\nlisten = \"0.0.0.0:1\"\n", "loopback"),
            ("data_dir = \"d\"\nspool_bytes_max = 5\n", "1 MiB"),
            ("data_dir = \"d\"\nkernel = \"host\"\n", "host:port"),
            ("data_dir = \"d\"\nkill_hook = [\"\"]\n", "a program"),
            (
                "data_dir = \"d\"\nproxy = \"https://a:s3cret@p:1\"\n",
                "https",
            ),
            (
                "data_dir = \"d\"\nproxy = \"http://a:s3cret@p\"\n",
                "no port",
            ),
            (
                "data_dir = \"d\"\nproxy = \"http://a:s3cret@p:1\n",
                "line 2",
            ),
            ("proxi = \"http://a:s3cret@p:1\"\n", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Config::load(&path).unwrap_err().to_string();
            assert!(error.contains(said), "{text:?} gave {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
