//! Names in certificates: SPIFFE ids (SPIFFE-ID standard; X509-SVID, section 2).
//!
//! `spiffe://<install>/kernel` is the daemon; `spiffe://<install>/tenant/<uuid>/runtime/<uuid>` a
//! runtime. The trust domain is the installation's id. Nothing else is a name of ours.

use std::{fmt, str::FromStr};

use crate::{InstallId, RuntimeId, TenantId};

/// Who a certificate speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpiffeId {
    /// The daemon of an installation.
    Kernel {
        /// The installation.
        install: InstallId,
    },
    /// One runtime of one tenant.
    Runtime {
        /// The installation.
        install: InstallId,
        /// The runtime's own tenant.
        tenant: TenantId,
        /// The runtime.
        runtime: RuntimeId,
    },
}

/// Why a text is not a name of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SPIFFE id of this product")]
pub struct SpiffeError;

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel { install } => write!(f, "spiffe://{install}/kernel"),
            Self::Runtime {
                install,
                tenant,
                runtime,
            } => {
                write!(f, "spiffe://{install}/tenant/{tenant}/runtime/{runtime}")
            }
        }
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        let rest = text.strip_prefix("spiffe://").ok_or(SpiffeError)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let parsed = match parts.as_slice() {
            [install, "kernel"] => Self::Kernel {
                install: install.parse().map_err(|_| SpiffeError)?,
            },
            [install, "tenant", tenant, "runtime", runtime] => Self::Runtime {
                install: install.parse().map_err(|_| SpiffeError)?,
                tenant: tenant.parse().map_err(|_| SpiffeError)?,
                runtime: runtime.parse().map_err(|_| SpiffeError)?,
            },
            _ => return Err(SpiffeError),
        };
        // One name, one spelling: upper-case hex would be a second one.
        if parsed.to_string() == text {
            Ok(parsed)
        } else {
            Err(SpiffeError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn a_name_is_read_back_as_it_is_written() {
        for text in [
            format!("spiffe://{A}/kernel"),
            format!("spiffe://{A}/tenant/{A}/runtime/{A}"),
        ] {
            assert_eq!(text.parse::<SpiffeId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            format!("spiffe://{A}"),
            format!("spiffe://{A}/kernel/"),
            format!("spiffe://{A}/tenant/{A}"),
            format!("spiffe://{A}/tenant/{A}/runtime/../x"),
            format!("spiffe://{}/kernel", A.to_uppercase()),
            format!("https://{A}/kernel"),
            String::new(),
        ] {
            assert_eq!(text.parse::<SpiffeId>(), Err(SpiffeError), "{text}");
        }
    }
}
