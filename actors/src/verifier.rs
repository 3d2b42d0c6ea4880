//! Who is behind an external token: asked of whoever can read tokens and fetch providers' keys.
//!
//! The kernel trusts and maps, it never authenticates a person. The daemon implements this; the
//! token itself never enters an event, a log or an answer.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin};

use provost_protocol::{
    ProviderId, Timestamp,
    entity::ProviderKind,
    event::{ProviderSettings, Subject},
};

/// What a provider vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Which provider of the tenant.
    pub provider: ProviderId,
    /// Which kind it is.
    pub kind: ProviderKind,
    /// Whether each of its persons gets a tenant of their own.
    pub individuals: bool,
    /// The person: the token's `iss` and `sub`.
    pub subject: Subject,
    /// The roles the token names.
    pub roles: Vec<String>,
    /// Normalised claims.
    pub attributes: BTreeMap<String, String>,
    /// When the token ends.
    pub expires: Timestamp,
}

/// Why nobody is vouched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefused {
    /// Malformed, expired, for another audience, of an unknown key or issuer: the words are fit
    /// for the caller and never repeat the token.
    #[error("the external token is refused: {0}")]
    Refused(&'static str),
    /// The provider's keys could not be fetched.
    #[error("the provider's keys are unavailable: {0}")]
    Unavailable(&'static str),
}

/// An answer that may take a fetch.
pub type Verifying = Pin<Box<dyn Future<Output = Result<Vouched, TokenRefused>> + Send>>;

/// Reads external tokens.
pub trait TokenVerifier: Send + Sync + fmt::Debug {
    /// Says who is behind the token, if one of these providers of the tenant vouches for it.
    fn verify(
        &self,
        providers: Vec<(ProviderId, ProviderSettings)>,
        token: String,
        now: Timestamp,
    ) -> Verifying;
}
