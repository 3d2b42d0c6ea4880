//! What the admin API is asked with. The command line builds these same types.

use std::{collections::BTreeMap, fmt};

use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    entity::{
        DeploymentMode, Feature, Limit, Mode, Policies, ProviderKind, Role, RuntimeType,
        TenantType, TimeWindow,
    },
    json::RawJson,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// Creates a tenant. An individual's tenant is made by the first resolve of its person, never here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// A name for people.
    pub name: String,
    /// What it is; absent: a company.
    #[serde(default, rename = "type")]
    pub tenant_type: Option<TenantType>,
    /// How it is to be handled; absent: standard, in any region.
    #[serde(default)]
    pub policies: Option<Policies>,
    /// The tenant whose shared runtimes may act for it; absent: the caller's own tenant for role
    /// `admin`, none for `super_admin`.
    #[serde(default)]
    pub operator: Option<TenantId>,
    /// IANA name in which calendar windows are counted; absent: UTC.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// Says why something is done; stands in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// In the operator's words; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// Revokes every runtime of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeAll {
    /// In the operator's words; may be empty.
    #[serde(default)]
    pub reason: String,
    /// Runtimes looked at by this request; 10,000 at most, and where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Where the answer before this one ended; absent, it begins with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Takes a step of the rotation of the certificate authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateCa {
    /// Which.
    pub step: CaStep,
    /// Goes on though runtimes may be cut off.
    #[serde(default)]
    pub force: bool,
}

/// A step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaStep {
    /// Makes the next root, and tells runtimes to trust it.
    Prepare,
    /// Signs with the next root.
    Activate,
    /// Trusts the old root no more.
    Retire,
    /// Gives up a root that was prepared.
    Abort,
}

/// Revokes one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeCertificate {
    /// Its serial number, hex, as `runtime show` prints it.
    pub serial: String,
    /// In the operator's words; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// Creates an enrolment token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Which type of runtime may use it.
    pub runtime_type: RuntimeType,
    /// How that runtime is deployed.
    pub deployment_mode: DeploymentMode,
    /// How many distinct keys may enroll with it; absent: one.
    #[serde(default)]
    pub uses: Option<u32>,
    /// How long it may be used, in milliseconds; absent: a day.
    #[serde(default)]
    pub ttl_ms: Option<u64>,
}

/// Allows a tenant something, within limits. Setting again replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetEntitlement {
    /// What: a dotted key, with a resource after a colon where it matters.
    #[schema(value_type = String)]
    pub feature: Feature,
    /// For this runtime only; absent: for all of the tenant's.
    #[serde(default)]
    pub runtime_id: Option<RuntimeId>,
    /// How much.
    pub limit: LimitValue,
    /// Over which time a quota is counted; absent: for ever.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no; absent: `enforce`.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Until when; absent: without end.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
}

/// Narrows what a runtime may do for a while. Setting again replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLimit {
    /// What: a dotted key, with a resource after a colon for that one only.
    #[schema(value_type = String)]
    pub feature: Feature,
    /// To how much at most: a number, or `false`.
    pub limit: LimitValue,
    /// Until when.
    pub until: Timestamp,
    /// In the operator's words; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// How much an entitlement allows, as people write it: a number, `true`, `false` or `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitValue(pub Limit);

/// Accepts the tokens of an identity provider. Exactly one of `jwks_url` and `jwks` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddProvider {
    /// Which kind it is.
    pub kind: ProviderKind,
    /// Exact `iss`.
    pub issuer: String,
    /// Exact `aud`.
    pub audience: String,
    /// JOSE names of the algorithms accepted: RS, PS, ES families and EdDSA.
    pub algorithms: Vec<String>,
    /// Where its keys are: an https URL.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Its keys themselves: a JWKS document.
    #[serde(default)]
    pub jwks: Option<RawJson>,
    /// Claims that must be there with exactly this value; a company's provider needs one.
    #[serde(default)]
    pub required_claims: BTreeMap<String, String>,
    /// Claim that holds the roles, if any.
    #[serde(default)]
    pub roles_claim: Option<String>,
    /// Whether every person gets a tenant of their own.
    #[serde(default)]
    pub individuals: bool,
}

/// Lets a shared runtime of the tenant's operator act for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachRuntime {
    /// The runtime.
    pub runtime_id: RuntimeId,
}

/// Creates an admin key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAdminKey {
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whose key it is; absent: of the caller's own tenant.
    #[serde(default)]
    pub tenant_id: Option<TenantId>,
}

impl Serialize for LimitValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Limit::Flag(flag) => serializer.serialize_bool(flag),
            Limit::Quota(quota) => serializer.serialize_u64(quota),
            Limit::Unlimited => serializer.serialize_str(UNLIMITED),
        }
    }
}

impl<'de> Deserialize<'de> for LimitValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, true, false or \"unlimited\"")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Limit, E> {
                Ok(Limit::Flag(flag))
            }

            fn visit_u64<E: de::Error>(self, quota: u64) -> Result<Limit, E> {
                Ok(Limit::Quota(quota))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                match text {
                    UNLIMITED => Ok(Limit::Unlimited),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(Visitor).map(Self)
    }
}

impl utoipa::PartialSchema for LimitValue {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{ObjectBuilder, OneOfBuilder, schema::Type};
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0));
        let word = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some([UNLIMITED]));
        OneOfBuilder::new()
            .item(number)
            .item(ObjectBuilder::new().schema_type(Type::Boolean))
            .item(word)
            .into()
    }
}

impl ToSchema for LimitValue {}

const UNLIMITED: &str = "unlimited";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_and_read_as_people_do() {
        for (text, limit) in [
            ("5", Limit::Quota(5)),
            ("true", Limit::Flag(true)),
            ("false", Limit::Flag(false)),
            ("\"unlimited\"", Limit::Unlimited),
        ] {
            assert_eq!(
                serde_json::from_str::<LimitValue>(text).unwrap(),
                LimitValue(limit)
            );
            assert_eq!(serde_json::to_string(&LimitValue(limit)).unwrap(), text);
        }
        for bad in ["-1", "1.5", "\"many\"", "null", "{}", "[1]"] {
            assert!(serde_json::from_str::<LimitValue>(bad).is_err(), "{bad}");
        }
    }
}
