//! The one walk over a document that all strictness rests on.

use std::{collections::BTreeSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DEPTH_MAX, JsonError, Place, place, shortened, why};

/// Checks that the bytes are exactly one strict JSON value, and answers them as text.
pub(super) fn document(bytes: &[u8], bytes_max: usize) -> Result<&str, JsonError> {
    if bytes.len() > bytes_max {
        return Err(JsonError::TooLarge {
            bytes: bytes.len(),
            max: bytes_max,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        place: place_of(bytes, error.valid_up_to()),
    })?;
    value(text)?;
    Ok(text)
}

/// Checks that the text is exactly one strict JSON value, of any length.
pub(super) fn value(text: &str) -> Result<(), JsonError> {
    let mut fault = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let walked = Walk {
        depth: 0,
        fault: &mut fault,
    }
    .deserialize(&mut reader);
    walked.and_then(|()| reader.end()).map_err(|error| {
        let place = place(&error);
        match fault {
            None => JsonError::Syntax {
                place,
                why: why(&error),
            },
            Some(Fault::TooDeep) => JsonError::TooDeep { place },
            Some(Fault::Duplicate(key)) => JsonError::DuplicateKey { key, place },
            Some(Fault::Reserved(key)) => JsonError::ReservedKey { key, place },
        }
    })
}

/// What the walk refuses beyond the grammar.
enum Fault {
    TooDeep,
    Duplicate(String),
    Reserved(String),
}

/// Visits one value and everything in it.
struct Walk<'a> {
    depth: usize,
    fault: &'a mut Option<Fault>,
}

impl Walk<'_> {
    /// Steps into an array or object.
    fn deeper<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            Err(self.refuse(Fault::TooDeep))
        } else {
            Ok(())
        }
    }

    fn refuse<E: Error>(&mut self, fault: Fault) -> E {
        *self.fault = Some(fault);
        // The reader adds its place to a custom error; the fault says the rest.
        E::custom("refused")
    }

    fn inner(&mut self) -> Walk<'_> {
        Walk {
            depth: self.depth,
            fault: self.fault,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.deeper()?;
        while seq.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.deeper()?;
        // Keys are compared as they decode: an escape is no disguise.
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if key.starts_with(RESERVED) {
                return Err(self.refuse(Fault::Reserved(shortened(&key))));
            }
            if seen.contains(&key) {
                return Err(self.refuse(Fault::Duplicate(shortened(&key))));
            }
            seen.insert(key);
            map.next_value_seed(self.inner())?;
        }
        Ok(())
    }
}

fn place_of(bytes: &[u8], offset: usize) -> Place {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.split(|&byte| byte == b'\n').count();
    let start = before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    Place {
        line,
        column: before.len() - start + 1,
    }
}

/// `serde_json` (feature `raw_value`) reads an object with such a key as one of its own values and
/// parses the text in it, past this check.
const RESERVED: &str = "$serde_json::private::";
