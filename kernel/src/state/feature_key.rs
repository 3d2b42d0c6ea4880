//! Keys of what a tenant may do, over a feature that is only borrowed: every check looks some up,
//! and none of them is worth a copy.

use std::cmp::Ordering;

use equivalent::{Comparable, Equivalent};
use provost_protocol::{RuntimeId, entity::Feature};

use super::EntityKey;

/// Names an entitlement or its counter, as an [`EntityKey`] does.
#[derive(Debug, Clone, Copy)]
pub(super) enum FeatureKey<'a> {
    Entitlement(&'a Feature, Option<RuntimeId>),
    Counter(&'a Feature, Option<RuntimeId>),
}

impl Equivalent<EntityKey> for FeatureKey<'_> {
    fn equivalent(&self, key: &EntityKey) -> bool {
        self.compare(key).is_eq()
    }
}

impl Comparable<EntityKey> for FeatureKey<'_> {
    /// The order of [`EntityKey`]: the tenant, entitlements, counters, and all others.
    fn compare(&self, key: &EntityKey) -> Ordering {
        match (*self, key) {
            (Self::Entitlement(own, of), EntityKey::Entitlement { feature, runtime })
            | (Self::Counter(own, of), EntityKey::Counter { feature, runtime }) => {
                own.cmp(feature).then_with(|| of.cmp(runtime))
            }
            (_, EntityKey::Tenant) | (Self::Counter(..), EntityKey::Entitlement { .. }) => {
                Ordering::Greater
            }
            _ => Ordering::Less,
        }
    }
}

#[cfg(test)]
mod tests {
    use provost_protocol::{ProviderId, Timestamp};

    use super::*;

    #[test]
    fn a_borrowed_key_stands_where_its_own_stands() {
        let runtime = |number| RuntimeId::from_parts(Timestamp::EPOCH, [number; 10]);
        let features = ["a", "a.b", "a:c", "a:d", "b"].map(|text| Feature::parse(text).unwrap());
        let runtimes = [None, Some(runtime(1)), Some(runtime(2))];
        let named = || {
            let of = |feature| runtimes.map(|runtime| (feature, runtime));
            features.iter().flat_map(of)
        };
        let owned: Vec<_> = named()
            .flat_map(|(feature, runtime)| {
                [
                    EntityKey::entitlement(feature, runtime),
                    EntityKey::counter(feature, runtime),
                ]
            })
            .chain([
                EntityKey::Tenant,
                EntityKey::Provider(ProviderId::from_parts(Timestamp::EPOCH, [1; 10])),
                EntityKey::Copies(runtime(1)),
            ])
            .collect();
        for (feature, runtime) in named() {
            let entitlement = EntityKey::entitlement(feature, runtime);
            let counter = EntityKey::counter(feature, runtime);
            for other in &owned {
                let borrowed = FeatureKey::Entitlement(feature, runtime);
                assert_eq!(borrowed.compare(other), entitlement.cmp(other), "{other}");
                let borrowed = FeatureKey::Counter(feature, runtime);
                assert_eq!(borrowed.compare(other), counter.cmp(other), "{other}");
            }
        }
    }
}
