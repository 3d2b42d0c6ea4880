//! What a license says, as plain values.

use std::cell::RefCell;

use super::{
    Verdict,
    envelope::{self, LICENSE_BYTES_MAX},
    payload,
};
use crate::{
    InstallId, RuntimeId, TenantId, Timestamp,
    entity::{DeploymentMode, Feature, Limit, Mode, SecurityLevel, TenantStatus, TimeWindow},
    ids::LicenseId,
    sign::{KeyId, Signer},
};

/// One license, as the kernel fills it in and as a verifier reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct LicenseDocument {
    /// The license, the same at every issue (see [`super::license_id`]).
    pub license: LicenseId,
    /// The installation that issues it.
    pub install: InstallId,
    /// The tenant acted for.
    pub tenant: TenantId,
    /// Whether that tenant may act.
    pub tenant_status: TenantStatus,
    /// The runtime it is for.
    pub runtime: RuntimeId,
    /// How that runtime is deployed.
    pub deployment_mode: DeploymentMode,
    /// The key that signs it; [`sign`](Self::sign) writes its own signer's.
    pub kid: KeyId,
    /// SHA-256 of the SPKI of the runtime's binding key.
    pub cnf: [u8; 32],
    /// Rises with every restore of the kernel.
    pub epoch: u64,
    /// Rises by one with each license of this runtime and tenant within an epoch.
    pub seq: u64,
    /// When the runtime's license for this tenant first existed.
    pub created: Timestamp,
    /// When it was signed.
    pub issued: Timestamp,
    /// It does not serve before.
    pub nbf: Timestamp,
    /// Its end: from here on it is in grace.
    pub expiry: Timestamp,
    /// How long after its end it still serves. Written in whole seconds, rounded down.
    pub grace_ms: u64,
    /// Which revocation list its verifier should hold.
    pub revocations: RevocationTerms,
    /// The tenant's entitlement revision at issue.
    pub revision: u64,
    /// The tenant's policies that matter offline.
    pub policies: OfflinePolicies,
    /// What the runtime may do for the tenant.
    pub entitlements: Vec<LicenseEntitlement>,
}

/// Which revocation list a license asks its verifier to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationTerms {
    /// The generation at issue: an older list is known to be incomplete.
    pub min_generation: u64,
    /// How old a list may be; any age when absent. Written in whole seconds, rounded down.
    pub max_age_ms: Option<u64>,
}

/// The part of a tenant's policies that a runtime needs with the kernel gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfflinePolicies {
    /// How strictly the tenant is handled: `enterprise` consumes nothing on an expired license.
    pub security_level: SecurityLevel,
    /// How long a runtime may go on without the kernel.
    pub offline_max_ms: u64,
}

/// One entitlement as of the license's issue.
#[derive(Debug, Clone, PartialEq)]
pub struct LicenseEntitlement {
    /// What is entitled.
    pub feature: Feature,
    /// For this runtime only; for all of the tenant's when absent.
    pub runtime: Option<RuntimeId>,
    /// How much.
    pub limit: Limit,
    /// Over which time a quota counts.
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no.
    pub mode: Mode,
    /// Its end.
    pub valid_until: Timestamp,
    /// When it was first granted.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Start and end of the quota's current window, computed by the kernel only.
    pub window: Option<(Timestamp, Timestamp)>,
}

/// A license that no verifier would accept for its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a license of {bytes} bytes where at most {LICENSE_BYTES_MAX} are allowed")]
pub struct LicenseTooLarge {
    /// Length of the file.
    pub bytes: usize,
}

impl LicenseDocument {
    /// Writes the payload. Equal documents give equal bytes.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        payload::write(self, self.kid.clone(), &mut payload);
        payload
    }

    /// Signs the license into a file; `kid` becomes the signer's.
    ///
    /// # Errors
    /// [`LicenseTooLarge`] when it holds more entitlements than a file may.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, LicenseTooLarge> {
        let mut room = ROOM.take();
        payload::write(self, KeyId::of(&signer.public_key()), &mut room.payload);
        let file = envelope::sign(&room.payload, signer, &mut room.json);
        room.give_back();
        if file.len() > LICENSE_BYTES_MAX {
            return Err(LicenseTooLarge { bytes: file.len() });
        }
        Ok(file)
    }

    /// Judges the license by time alone: the verdict at `now`, and when it changes next.
    ///
    /// For a document out of [`super::Verified`]; `now` is the highest time known to have passed.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> (Verdict, Option<Timestamp>) {
        let locked = self.locked_from();
        if now < self.nbf {
            (Verdict::NotYetValid, Some(self.nbf))
        } else if now < self.expiry {
            (Verdict::Valid, Some(self.expiry))
        } else if now < locked {
            (Verdict::InGrace, Some(locked))
        } else {
            (Verdict::Expired, None)
        }
    }

    /// The end of its grace.
    #[must_use]
    pub fn locked_from(&self) -> Timestamp {
        self.expiry.plus_millis(self.grace_ms)
    }
}

/// Room to write in, kept by each thread that signs: taken from the system for each license and
/// given back after it, its pages alone would cost a tenth of what the signature does.
#[derive(Debug, Default)]
struct Room {
    payload: Vec<u8>,
    json: Vec<u8>,
}

impl Room {
    fn give_back(mut self) {
        // What no verifier would accept is not made room for a second time.
        if self.json.capacity() <= LICENSE_BYTES_MAX {
            self.payload.clear();
            self.json.clear();
            ROOM.set(self);
        }
    }
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}
