//! Typed ids: every id is a UUID version 7 (RFC 9562), written in lower case with hyphens.
//!
//! An id is made by the shell (see [`TenantId::from_parts`]) and passed in; nothing here draws
//! randomness. Parsing is the only other door, and refuses any UUID that is not version 7.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::time::Timestamp;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not the 36-character hyphenated form of a UUID.
    #[error("not a UUID")]
    NotUuid,
    /// A UUID, but not of version 7.
    #[error("not a UUID of version 7")]
    NotVersion7,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Builds an id from a time and 10 random bytes (RFC 9562, section 5.7).
            #[must_use]
            pub fn from_parts(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.as_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// Takes 16 bytes that are a UUID of version 7.
            ///
            /// # Errors
            /// [`IdError::NotVersion7`] for any other version.
            pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, IdError> {
                Self::from_uuid(Uuid::from_bytes(bytes))
            }

            /// Takes a UUID of version 7.
            ///
            /// # Errors
            /// [`IdError::NotVersion7`] for any other version.
            pub fn from_uuid(uuid: Uuid) -> Result<Self, IdError> {
                if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(IdError::NotVersion7) }
            }

            /// The 16 bytes in network order.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The same UUID, untyped.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if text.len() != TEXT_BYTES {
                    return Err(IdError::NotUuid);
                }
                Self::from_uuid(Uuid::try_parse(text).map_err(|_| IdError::NotUuid)?)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    // A string only: `Uuid` itself would accept other notations too.
                    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    let uuid = Uuid::deserialize(deserializer)?;
                    Self::from_uuid(uuid).map_err(serde::de::Error::custom)
                }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .format(Some(utoipa::openapi::SchemaFormat::Custom("uuid".to_owned())))
                    .description(Some("UUID version 7"))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// One installation of the kernel; the trust domain of its certificates.
    InstallId;
    /// One tenant: an organisation, an individual, or the operator itself.
    TenantId;
    /// One registered runtime; fixed at enrolment, named in its certificate.
    RuntimeId;
    /// One identity: a person or service as one tenant knows it.
    IdentityId;
    /// One event.
    EventId;
    /// Ties everything that one user action caused together.
    CorrelationId;
    /// One request, on the wire or at the admin API (idempotency).
    RequestId;
    /// One enrolment token.
    TokenId;
    /// One identity provider of one tenant.
    ProviderId;
    /// One admin API key.
    AdminKeyId;
    /// The license of one runtime for one tenant, through all its issues.
    LicenseId;
}

/// The hyphenated form; braces, URNs and bare hex digits are refused.
const TEXT_BYTES: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_text_in_json_and_its_bytes_in_bincode() {
        let text = "01890a5d-ac96-774b-bcce-b302099a8057";
        let id: TenantId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        let bytes = crate::codec::encode(&id).unwrap();
        assert_eq!(crate::codec::decode::<TenantId>(&bytes).unwrap(), id);
    }

    #[test]
    fn only_version_7_in_the_hyphenated_form_is_an_id() {
        for (text, why) in [
            ("5a4e1c9e-1b2c-4d6f-8a7b-000000000001", IdError::NotVersion7),
            ("01890a5dac96774bbcceb302099a8057", IdError::NotUuid),
            ("{01890a5d-ac96-774b-bcce-b302099a8057}", IdError::NotUuid),
            ("", IdError::NotUuid),
        ] {
            assert_eq!(text.parse::<TenantId>(), Err(why), "{text}");
        }
    }

    #[test]
    fn an_id_made_from_parts_is_version_7_and_sorts_by_its_time() {
        let early = EventId::from_parts(Timestamp::from_millis(1_000), [0xff; 10]);
        let late = EventId::from_parts(Timestamp::from_millis(2_000), [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse::<EventId>(), Ok(early));
    }
}
