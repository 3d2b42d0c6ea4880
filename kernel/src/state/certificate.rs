//! The certificates of one runtime beyond its first, and what is known of its recoveries.

use provost_protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::RuntimeRecord;

/// The certificates of one runtime, from its first renewal or recovery on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatesRecord {
    /// Those that were in force when the newest came, and the newest: oldest first.
    pub held: Vec<HeldCertificate>,
    /// The newest one as it was answered: it is repeated for the same key.
    pub last: Option<LastAnswer>,
    /// The highest recovery counter that was used; 0 for none.
    pub counter: u64,
    /// Until when an operator lets it recover.
    pub allowed_until: Option<Timestamp>,
    /// When the alarm of a used counter was last recorded.
    pub alarmed: Option<Timestamp>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCertificate {
    /// Its serial number, hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256 of its key's SPKI, hex; absent where the log does not say it.
    pub key_sha256: Option<String>,
}

/// What was last answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAnswer {
    /// SHA-256 of the certified key's SPKI, hex.
    pub key_sha256: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// When it was first answered.
    pub at: Timestamp,
    /// The recovery's number; absent for a renewal.
    pub counter: Option<u64>,
}

impl CertificatesRecord {
    /// What is known of a runtime that was enrolled and never renewed.
    #[must_use]
    pub fn enrolled(runtime: &RuntimeRecord) -> Self {
        let held = runtime.serials.iter().map(|serial| HeldCertificate {
            serial: serial.clone(),
            not_after: runtime.certificate_not_after,
            key_sha256: None,
        });
        Self {
            held: held.collect(),
            ..Self::default()
        }
    }

    /// Those still in force.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &HeldCertificate> {
        self.held.iter().filter(move |held| held.not_after >= now)
    }
}
