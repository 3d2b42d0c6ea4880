//! Admin keys: what a person or a script shows at the admin API.
//!
//! Text form: `pvk_` and the base64url (no padding) of 16 bytes tenant, 16 bytes key id and 32
//! bytes secret. The tenant stands in it so that a key is found in its own tenant's log without a
//! search over all tenants. The log keeps only the SHA-256 of the text: a stolen journal opens
//! nothing.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use provost_protocol::{TenantId, ids::AdminKeyId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A key as its bearer holds it. `Debug` never shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey {
    tenant: TenantId,
    id: AdminKeyId,
    secret: [u8; SECRET_BYTES],
}

/// A text that is no admin key. The text is never repeated: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an admin key: it begins with {PREFIX} and has {TEXT_BYTES} characters")]
pub struct AdminKeyError;

impl AdminKey {
    /// Builds a key of a tenant.
    #[must_use]
    pub const fn new(tenant: TenantId, id: AdminKeyId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { tenant, id, secret }
    }

    /// The tenant in whose log the key stands.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The key's id.
    #[must_use]
    pub const fn id(&self) -> AdminKeyId {
        self.id
    }

    /// Writes the text form. It holds the secret, so this is no `Display`: nothing prints a key by
    /// accident.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(KEY_BYTES);
        bytes.extend_from_slice(self.tenant.as_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.secret);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The SHA-256 of the text, hex: all that the log keeps.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hex::encode(Sha256::digest(self.to_text()))
    }

    /// Whether this key is the one that is kept, in constant time.
    #[must_use]
    pub fn is(&self, kept_sha256_hex: &str) -> bool {
        let shown = self.sha256_hex();
        shown.as_bytes().ct_eq(kept_sha256_hex.as_bytes()).into()
    }

    /// Derives the secret of something this key creates under an idempotency key.
    ///
    /// The answer to a repeated request must show the same secret, and the log keeps only hashes:
    /// so the bearer's own secret brings it back. Whoever holds that secret could create such a
    /// thing anyway; whoever holds only the log learns nothing. All parts have fixed lengths.
    #[must_use]
    pub(crate) fn derive(&self, purpose: Derived, tenant: TenantId, id: &[u8; 16]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(purpose.label());
        hasher.update(self.secret);
        hasher.update(tenant.as_bytes());
        hasher.update(id);
        hasher.finalize().into()
    }
}

/// What a secret is derived for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derived {
    EnrolmentToken,
    AdminKey,
}

impl Derived {
    const fn label(self) -> &'static [u8; 16] {
        match self {
            Self::EnrolmentToken => b"provost/token/1\0",
            Self::AdminKey => b"provost/admin/1\0",
        }
    }
}

impl FromStr for AdminKey {
    type Err = AdminKeyError;

    fn from_str(text: &str) -> Result<Self, AdminKeyError> {
        let body = text.strip_prefix(PREFIX).ok_or(AdminKeyError)?;
        if text.len() != TEXT_BYTES {
            return Err(AdminKeyError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| AdminKeyError)?;
        let (tenant, rest) = bytes.split_first_chunk::<16>().ok_or(AdminKeyError)?;
        let (id, secret) = rest.split_first_chunk::<16>().ok_or(AdminKeyError)?;
        Ok(Self {
            tenant: TenantId::from_bytes(*tenant).map_err(|_| AdminKeyError)?,
            id: AdminKeyId::from_bytes(*id).map_err(|_| AdminKeyError)?,
            secret: secret.try_into().map_err(|_| AdminKeyError)?,
        })
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminKey")
            .field("tenant", &self.tenant)
            .field("id", &self.id)
            .field("secret", &format_args!("…"))
            .finish()
    }
}

/// 256 bits: it is valid until it is revoked.
pub const SECRET_BYTES: usize = 32;

const KEY_BYTES: usize = 16 + 16 + SECRET_BYTES;

/// Makes a leaked key easy to find with a search over files and logs.
const PREFIX: &str = "pvk_";

/// The prefix and 64 bytes in base64 without padding.
const TEXT_BYTES: usize = 4 + 86;

#[cfg(test)]
mod tests {
    use provost_protocol::Timestamp;

    use super::*;

    fn key() -> AdminKey {
        let tenant = TenantId::from_parts(Timestamp::from_millis(1), [3; 10]);
        AdminKey::new(
            tenant,
            AdminKeyId::from_parts(Timestamp::from_millis(1), [4; 10]),
            [5; 32],
        )
    }

    #[test]
    fn a_key_is_read_back_from_its_text_and_known_by_its_hash_alone() {
        let text = key().to_text();
        assert_eq!(text.len(), TEXT_BYTES);
        assert_eq!(text.parse(), Ok(key()));
        assert!(key().is(&key().sha256_hex()));
        let other = AdminKey::new(key().tenant(), key().id(), [6; 32]);
        assert!(!other.is(&key().sha256_hex()));
        assert!(!key().is(""));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        let text = key().to_text();
        for bad in [
            String::new(),
            "pvk_".to_owned(),
            text[..text.len() - 1].to_owned(),
            format!("{text}A"),
            text.replace("pvk_", "pvx_"),
            format!("pvk_{}", "=".repeat(86)),
            format!("pvk_{}", "A".repeat(86)),
        ] {
            let error = bad.parse::<AdminKey>().unwrap_err();
            assert!(bad.is_empty() || bad.len() < 5 || !error.to_string().contains(&bad));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", key());
        assert!(shown.contains("secret: …"), "{shown}");
        assert!(!shown.contains("5, 5"), "{shown}");
    }

    #[test]
    fn a_derived_secret_is_the_same_again_and_another_for_anything_else() {
        let (tenant, id) = (key().tenant(), [9; 16]);
        let derive = |key: &AdminKey, purpose| key.derive(purpose, tenant, &id);
        let first = derive(&key(), Derived::EnrolmentToken);
        assert_eq!(first, derive(&key(), Derived::EnrolmentToken));
        assert_ne!(first, derive(&key(), Derived::AdminKey));
        let other = AdminKey::new(tenant, key().id(), [6; 32]);
        assert_ne!(first, derive(&other, Derived::EnrolmentToken));
        assert_ne!(
            first,
            key().derive(Derived::EnrolmentToken, tenant, &[8; 16])
        );
    }
}
