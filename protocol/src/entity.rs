//! The words of the contract (contract.md, section 1): enums, limits, features, policies.
//!
//! Every type here is fit for JSON and for bincode alike: no untagged enum, nothing skipped.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every value, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word as it is written in JSON, on the command line and in logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        // By hand: the derive does not see the words through this macro, and takes the variants' names.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some(Self::ALL.iter().map(|word| word.as_str())))
                    .into()
            }
        }

        impl ToSchema for $name {}

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text { $($text => Ok(Self::$variant),)* _ => Err(UnknownWord) }
            }
        }
    )*};
}

/// A word that is none of those the contract lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a word of the contract")]
pub struct UnknownWord;

words! {
    /// What a tenant is.
    TenantType {
        /// A person with a tenant of their own.
        Individual = "individual",
        /// An organisation.
        Company = "company",
        /// The operator of the kernel itself.
        Internal = "internal",
    }
    /// Whether a tenant may act.
    TenantStatus {
        /// May act.
        Active = "active",
        /// Every check is denied until an operator resumes it.
        Suspended = "suspended",
    }
    /// How strictly a tenant is handled (contract.md, section 1).
    SecurityLevel {
        /// The default.
        Standard = "standard",
        /// Certificates of 24 h, no consumption on an expired license.
        Enterprise = "enterprise",
    }
    /// Which kind of identity provider vouches for an identity.
    ProviderKind {
        /// The operator's own.
        Local = "local",
        /// Google.
        Google = "google",
        /// Microsoft Entra.
        AzureAd = "azure_ad",
        /// SAML, through a broker that issues OIDC tokens.
        Saml = "saml",
        /// Any other OpenID Connect provider.
        Oidc = "oidc",
    }
    /// What a runtime is; v0.1's own list.
    RuntimeType {
        /// A course platform.
        Courses = "courses",
        /// A lab platform.
        Labs = "labs",
        /// Any application.
        App = "app",
        /// Anything else.
        Custom = "custom",
    }
    /// Where and for whom a runtime runs.
    DeploymentMode {
        /// The vendor's own, acting for many tenants.
        Shared = "shared",
        /// For one tenant, run by the vendor.
        Dedicated = "dedicated",
        /// For one tenant, inside its own network.
        OnPrem = "on_prem",
    }
    /// Where a runtime stands in its life. `revoked` is v0.2 and shows as `suspended` under v0.1.
    RuntimeStatus {
        /// Enrolled or registered, no heartbeat yet.
        Registered = "registered",
        /// Beating.
        Active = "active",
        /// Every check is denied until an operator resumes it.
        Suspended = "suspended",
        /// Refused for ever.
        Revoked = "revoked",
    }
    /// What a runtime says of itself.
    Health {
        /// All is well.
        Healthy = "healthy",
        /// It works, not fully.
        Degraded = "degraded",
    }
    /// What the kernel sees of a runtime's heartbeats.
    Liveness {
        /// Beating in time.
        Online = "online",
        /// One interval and a half without a beat.
        Late = "late",
        /// A whole grace without a beat.
        Lost = "lost",
    }
    /// Who acted. `agent` is v0.2.
    ActorType {
        /// A person.
        User = "user",
        /// A runtime.
        Runtime = "runtime",
        /// The kernel.
        System = "system",
        /// An automated agent.
        Agent = "agent",
    }
    /// What happens where an entitlement says no.
    Mode {
        /// It is denied.
        Enforce = "enforce",
        /// It is allowed, recorded, and the answer says so.
        Warn = "warn",
        /// It is allowed and recorded.
        Shadow = "shadow",
    }
    /// What an admin key may do.
    Role {
        /// Everything, in every tenant; of the internal tenant only.
        SuperAdmin = "super_admin",
        /// Its own tenant and those it operates.
        Admin = "admin",
        /// Reads what `admin` may read.
        Auditor = "auditor",
    }
    /// What a key is for; a key serves one purpose only.
    KeyPurpose {
        /// Signs certificates.
        Ca = "ca",
        /// Signs licenses and the time.
        License = "license",
        /// Signs checkpoints of tenants' logs.
        Checkpoint = "checkpoint",
    }
}

/// How a tenant is to be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policies {
    /// How strictly.
    pub security_level: SecurityLevel,
    /// The only region that may serve the tenant, if it matters.
    pub data_residency: Option<String>,
}

impl RuntimeStatus {
    /// As it is shown: a suspended tenant's runtimes are suspended with it (contract.md, section 2).
    #[must_use]
    pub const fn within(self, tenant: TenantStatus) -> Self {
        match (self, tenant) {
            (Self::Registered | Self::Active, TenantStatus::Suspended) => Self::Suspended,
            (other, _) => other,
        }
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            security_level: SecurityLevel::Standard,
            data_residency: None,
        }
    }
}

/// What an entitlement allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Allowed, or (with `false`) plainly refused.
    #[serde(rename = "flag")]
    Flag(bool),
    /// So many units in each time window; at most [`QUOTA_MAX`].
    #[serde(rename = "quota")]
    Quota(u64),
    /// Allowed without bound.
    #[serde(rename = "unlimited")]
    Unlimited,
}

/// The largest quota: the largest integer that every JSON reader holds exactly, 2^53 - 1.
pub const QUOTA_MAX: u64 = (1 << 53) - 1;

/// Why a text is not a feature, a window, or another word with a grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is malformed: {why}")]
pub struct GrammarError {
    /// What it was to be.
    pub what: &'static str,
    /// What it was.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What is entitled: a dotted key and, where it matters, one resource: `report_export` or
/// `report_export:annual`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feature {
    key: String,
    resource: Option<String>,
}

impl Feature {
    /// Parses `key` or `key:resource`.
    ///
    /// # Errors
    /// [`GrammarError`] unless the key is dotted segments of letters, digits, `_` and `-` (at most
    /// 128 bytes) and the resource letters, digits, `.`, `_`, `-`, `/` (at most 128 bytes).
    pub fn parse(text: &str) -> Result<Self, GrammarError> {
        match text.split_once(':') {
            None => Self::new(text, None),
            Some((key, resource)) => Self::new(key, Some(resource)),
        }
    }

    /// Builds a feature from its two parts.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn new(key: &str, resource: Option<&str>) -> Result<Self, GrammarError> {
        let fail = |text: &str, why| {
            Err(GrammarError {
                what: "feature",
                text: text.chars().take(200).collect(),
                why,
            })
        };
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if key.is_empty() || key.len() > FEATURE_BYTES_MAX {
            return fail(key, "a key has 1 to 128 bytes");
        }
        if !key
            .split('.')
            .all(|segment| !segment.is_empty() && segment.bytes().all(word))
        {
            return fail(key, "a key is dotted segments of letters, digits, _ and -");
        }
        if let Some(resource) = resource {
            if resource.is_empty() || resource.len() > FEATURE_BYTES_MAX {
                return fail(resource, "a resource has 1 to 128 bytes");
            }
            if !resource
                .bytes()
                .all(|byte| word(byte) || byte == b'.' || byte == b'/')
            {
                return fail(resource, "a resource is letters, digits and . _ - /");
            }
        }
        Ok(Self {
            key: key.to_owned(),
            resource: resource.map(str::to_owned),
        })
    }

    /// The dotted key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The resource, if one is named.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// The same key without its resource.
    #[must_use]
    pub fn without_resource(&self) -> Self {
        Self {
            key: self.key.clone(),
            resource: None,
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            None => f.write_str(&self.key),
            Some(resource) => write!(f, "{}:{resource}", self.key),
        }
    }
}

impl FromStr for Feature {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        Self::parse(text)
    }
}

impl Serialize for Feature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.resource {
            None => serializer.serialize_str(&self.key),
            Some(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Feature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Over which time a quota is counted (contract.md, section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeWindow {
    /// A clock hour of the tenant's time zone.
    Hour,
    /// A calendar day.
    Day,
    /// Monday to Sunday (ISO 8601).
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
    /// So many minutes from first use.
    Rolling {
        /// Length in minutes: `PTnM`, `PTnH`, `PnD` and `PnW` alike.
        minutes: u32,
    },
}

impl FromStr for TimeWindow {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        let fail = |why| GrammarError {
            what: "time_window",
            text: text.chars().take(40).collect(),
            why,
        };
        let (unit_minutes, digits) = match text {
            "hour" => return Ok(Self::Hour),
            "day" => return Ok(Self::Day),
            "week" => return Ok(Self::Week),
            "month" => return Ok(Self::Month),
            "year" => return Ok(Self::Year),
            _ => {
                let (head, unit) = text
                    .split_at_checked(text.len().saturating_sub(1))
                    .unwrap_or(("", ""));
                match (head.strip_prefix("PT"), head.strip_prefix('P'), unit) {
                    (Some(digits), _, "M") => (1, digits),
                    (Some(digits), _, "H") => (60, digits),
                    (None, Some(digits), "D") => (24 * 60, digits),
                    (None, Some(digits), "W") => (7 * 24 * 60, digits),
                    _ => return Err(fail("hour, day, week, month, year, PnD, PnW, PTnH or PTnM")),
                }
            }
        };
        if digits.is_empty() || digits.len() > 7 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("the number has 1 to 7 digits"));
        }
        let number: u32 = digits
            .parse()
            .map_err(|_| fail("the number has 1 to 7 digits"))?;
        let minutes = number.saturating_mul(unit_minutes);
        if minutes == 0 || minutes > ROLLING_MINUTES_MAX {
            return Err(fail("between one minute and ten years"));
        }
        Ok(Self::Rolling { minutes })
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Hour => f.write_str("hour"),
            Self::Day => f.write_str("day"),
            Self::Week => f.write_str("week"),
            Self::Month => f.write_str("month"),
            Self::Year => f.write_str("year"),
            Self::Rolling { minutes } if minutes % (7 * 24 * 60) == 0 => {
                write!(f, "P{}W", minutes / (7 * 24 * 60))
            }
            Self::Rolling { minutes } if minutes % (24 * 60) == 0 => {
                write!(f, "P{}D", minutes / (24 * 60))
            }
            Self::Rolling { minutes } if minutes % 60 == 0 => write!(f, "PT{}H", minutes / 60),
            Self::Rolling { minutes } => write!(f, "PT{minutes}M"),
        }
    }
}

impl Serialize for TimeWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Long enough for any product's key or slug; 100 grants still fit in one frame.
const FEATURE_BYTES_MAX: usize = 128;

/// Ten years: longer than any contract, and far from overflow.
const ROLLING_MINUTES_MAX: u32 = 10 * 366 * 24 * 60;

#[cfg(test)]
mod tests;
