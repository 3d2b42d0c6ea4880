//! What happens to tenants, their providers and identities.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    IdentityId, ProviderId, RuntimeId, TenantId, Timestamp,
    entity::{Policies, ProviderKind, TenantType},
};

/// A tenant exists: always the first event of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantCreated {
    /// What it is.
    pub tenant_type: TenantType,
    /// A name for people.
    pub name: String,
    /// How it is to be handled.
    pub policies: Policies,
    /// The tenant whose shared runtimes may act for this one.
    pub operator: Option<TenantId>,
    /// IANA name; calendar windows are counted in it.
    pub time_zone: String,
    /// The person it was made for, where it was made by a resolve.
    pub subject: Option<Subject>,
}

/// A person as an identity provider names them: the key of an identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The provider's issuer.
    pub issuer: String,
    /// The provider's `sub`; never an e-mail address.
    pub subject: String,
}

/// Every check is denied until the tenant is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSuspended {
    /// Why, in the operator's words.
    pub reason: String,
}

/// The tenant may act again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantResumed {
    /// Why, in the operator's words.
    pub reason: String,
}

/// In the operator's log: a person gets a tenant of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndividualAdmitted {
    /// The tenant to be created.
    pub tenant: TenantId,
    /// For whom.
    pub subject: Subject,
    /// Which provider vouched.
    pub provider: ProviderId,
}

/// A provider's tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderAdded {
    /// The provider.
    pub provider: ProviderId,
    /// How it is set up.
    pub settings: ProviderSettings,
}

/// How tokens of one provider are judged (contract.md, section 2, Resolve).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSettings {
    /// Which kind it is.
    pub kind: ProviderKind,
    /// Exact `iss`.
    pub issuer: String,
    /// Exact `aud`.
    pub audience: String,
    /// JOSE names of the algorithms accepted: RS, PS, ES families and EdDSA only.
    pub algorithms: Vec<String>,
    /// Where its keys are.
    pub keys: ProviderKeys,
    /// Claims that must be there with exactly this value.
    pub required_claims: BTreeMap<String, String>,
    /// Claim that holds the roles, if any.
    pub roles_claim: Option<String>,
    /// Every person gets a tenant of their own (B2C).
    pub individuals: bool,
}

/// Where a provider's keys are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderKeys {
    /// A JWKS document at this https URL.
    #[serde(rename = "jwks_url")]
    JwksUrl(String),
    /// This JWKS document.
    #[serde(rename = "jwks_inline")]
    JwksInline(String),
}

/// A provider's tokens are refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderRemoved {
    /// The provider.
    pub provider: ProviderId,
}

/// A person is known to the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityCreated {
    /// The identity.
    pub identity: IdentityId,
    /// Who it is at the provider.
    pub subject: Subject,
    /// Which kind of provider vouches.
    pub provider: ProviderKind,
}

/// A provider vouched for a person, through a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityResolved {
    /// The identity.
    pub identity: IdentityId,
    /// The runtime that presented the token.
    pub runtime: RuntimeId,
    /// The runtime's own tenant.
    pub runtime_tenant: TenantId,
    /// The roles the token named.
    pub roles: Vec<String>,
    /// Normalised claims.
    pub attributes: BTreeMap<String, String>,
    /// When the token ends.
    pub token_expires: Timestamp,
}
