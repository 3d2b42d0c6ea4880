//! A runtime's figures, as its heartbeats carry them.
//!
//! On the wire and in JSON a map of names to numbers. In memory sorted pairs: every heartbeat brings
//! some, ten thousand runtimes hold some, and a tree takes five times the room of a few pairs.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

/// Figures by name, each name once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Box<[(String, f64)]>);

impl Metrics {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Of a name that stands twice the last value counts, as in a map that is filled.
    fn of(mut pairs: Vec<(String, f64)>) -> Self {
        // Whoever keeps them in a map writes them in order.
        if !pairs.is_sorted_by(|(one, _), (next, _)| one < next) {
            let map: BTreeMap<_, _> = pairs.into_iter().collect();
            pairs = map.into_iter().collect();
        }
        Self(pairs.into_boxed_slice())
    }
}

impl From<BTreeMap<String, f64>> for Metrics {
    fn from(map: BTreeMap<String, f64>) -> Self {
        Self(map.into_iter().collect())
    }
}

impl From<Metrics> for BTreeMap<String, f64> {
    fn from(metrics: Metrics) -> Self {
        metrics.0.into_iter().collect()
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Metrics;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names to numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metrics, A::Error> {
                let room = map.size_hint().unwrap_or_default().min(ROOM_FIRST);
                let mut pairs = Vec::with_capacity(room);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Metrics::of(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// As many as a heartbeat may carry (contract.md, section 2). A length that lies takes no more.
const ROOM_FIRST: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    proptest! {
        #[test]
        fn the_bytes_are_those_of_a_map(map in prop::collection::btree_map(".{0,8}", -1e9..1e9, 0..40)) {
            let metrics = Metrics::from(map.clone());
            let bytes = codec::encode(&map).unwrap();
            prop_assert_eq!(&codec::encode(&metrics).unwrap(), &bytes);
            prop_assert_eq!(&codec::decode::<Metrics>(&bytes).unwrap(), &metrics);
            prop_assert_eq!(BTreeMap::from(metrics), map);
        }

        #[test]
        fn pairs_in_any_order_and_twice_are_what_a_map_makes_of_them(
            pairs in prop::collection::vec(("[a-c]{0,2}", -1e9..1e9), 0..12)
        ) {
            let map: BTreeMap<String, f64> = pairs.iter().cloned().collect();
            // A list of pairs has the bytes of a map that is in no order.
            let bytes = codec::encode(&pairs).unwrap();
            prop_assert_eq!(codec::decode::<Metrics>(&bytes).unwrap(), Metrics::from(map));
        }
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let mut bytes = codec::encode(&u64::MAX).unwrap();
        bytes.push(1);
        assert!(codec::decode::<Metrics>(&bytes).is_err());
    }
}
