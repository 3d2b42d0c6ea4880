//! One JSON value as its exact bytes.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error},
};
use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::SchemaType};

use super::{JsonError, check, shape};

/// Any JSON value, kept as the exact bytes it was written with (without white space around it).
///
/// Embedded in JSON it stands verbatim; in bincode it is a string. What is hashed, signed or
/// compared is therefore what was sent. A value of this type passed the strict check.
///
/// It cannot stand inside a type that serde buffers (`untagged`, `flatten`, internally tagged):
/// buffering loses the bytes, and decoding fails.
#[derive(Clone)]
pub struct RawJson(Arc<RawValue>);

impl RawJson {
    /// Takes a text that is one strict JSON value.
    ///
    /// # Errors
    /// [`JsonError`] with the place.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        check::value(text)?;
        let raw = RawValue::from_string(text.to_owned()).map_err(|error| shape(&error))?;
        Ok(Self(Arc::from(raw)))
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// [`JsonError`] for a value that JSON cannot hold (a map whose keys are no strings, say) or
    /// that is not strict.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        let text = serde_json::to_string(value).map_err(|error| shape(&error))?;
        Self::parse(&text)
    }

    /// Decodes the value into a type.
    ///
    /// # Errors
    /// [`JsonError::Shape`] when it is of another shape.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        serde_json::from_str(self.as_str()).map_err(|error| shape(&error))
    }

    /// The exact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Says whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    fn check(raw: Box<RawValue>) -> Result<Self, JsonError> {
        check::value(raw.get())?;
        Ok(Self(Arc::from(raw)))
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({})", self.as_str())
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RawJson {}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.0.serialize(serializer)
        } else {
            serializer.serialize_str(self.as_str())
        }
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::check(Box::<RawValue>::deserialize(deserializer)?).map_err(D::Error::custom)
        } else {
            Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}

impl utoipa::PartialSchema for RawJson {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("any JSON value"))
            .into()
    }
}

impl utoipa::ToSchema for RawJson {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Event {
        id: u32,
        payload: RawJson,
    }

    #[test]
    fn the_exact_bytes_survive_json_and_bincode() {
        let text = r#"{"id":1,"payload":{ "b" : 1.50, "a":"\u0061" }}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(event.payload.as_str(), r#"{ "b" : 1.50, "a":"\u0061" }"#);
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
        let bytes = crate::codec::encode(&event).unwrap();
        assert_eq!(crate::codec::decode::<Event>(&bytes).unwrap(), event);
    }

    #[test]
    fn a_value_that_is_not_strict_comes_in_by_no_door() {
        let twice = r#"{"a":{"b":1,"b":2}}"#;
        assert!(matches!(
            RawJson::parse(twice),
            Err(JsonError::DuplicateKey { .. })
        ));
        assert!(serde_json::from_str::<RawJson>(twice).is_err());
        for bad in [twice, "", "{", "1 2", "nul"] {
            let bytes = crate::codec::encode(&bad.to_owned()).unwrap();
            assert!(crate::codec::decode::<RawJson>(&bytes).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_is_made_from_a_type_and_decoded_into_one() {
        let raw = RawJson::of(&[1, 2]).unwrap();
        assert_eq!(raw.as_str(), "[1,2]");
        assert_eq!(raw.decode::<Vec<u8>>(), Ok(vec![1, 2]));
        assert!(!raw.is_object());
        assert!(matches!(
            raw.decode::<String>(),
            Err(JsonError::Shape { .. })
        ));
        assert_eq!(RawJson::parse(" {}\n").unwrap().as_str(), "{}");
    }
}
