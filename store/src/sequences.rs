//! The last durable sequence of each tenant that the state may not hold yet.
//!
//! Whoever is not here is looked up in the state. So nobody may be forgotten before the state has
//! taken in what he wrote; and many more are remembered than that, for a look costs less here.

use std::{collections::HashMap, mem};

use provost_protocol::TenantId;

use crate::handover::Giver;

/// Two halves: when the younger is full and the state holds all that the older one knows, it takes
/// the older one's place.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    younger: HashMap<TenantId, u64>,
    older: HashMap<TenantId, u64>,
    /// Groups that were durable when the older half was complete.
    older_until: u64,
}

impl Sequences {
    pub(crate) fn get(&self, tenant: TenantId) -> Option<u64> {
        let found = self.younger.get(&tenant);
        found.or_else(|| self.older.get(&tenant)).copied()
    }

    /// Takes in a group that is durable, and of which the giver was not told yet.
    pub(crate) fn extend(
        &mut self,
        group: impl Iterator<Item = (TenantId, u64)>,
        progress: &Giver,
    ) {
        if self.younger.len() >= HALF {
            let (durable, applied) = progress.progress();
            if applied >= self.older_until {
                self.older = mem::take(&mut self.younger);
                self.older_until = durable;
            }
        }
        self.younger.extend(group);
    }
}

/// Tenants of a half: some 50 bytes each.
const HALF: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use provost_protocol::Timestamp;

    use super::*;
    use crate::handover::Handover;

    fn tenant(number: u32) -> TenantId {
        let mut bytes = [0; 10];
        bytes[6..].copy_from_slice(&number.to_be_bytes());
        TenantId::from_parts(Timestamp::from_millis(1), bytes)
    }

    #[test]
    fn nobody_is_forgotten_before_the_state_holds_what_he_wrote() {
        let handover = Arc::new(Handover::default());
        let giver = Giver::new(Arc::clone(&handover));
        let mut sequences = Sequences::default();
        let all = u32::try_from(HALF).unwrap() * 4;
        for number in 0..all {
            sequences.extend([(tenant(number), 7)].into_iter(), &giver);
            giver.durable();
        }
        for number in 0..all {
            assert_eq!(sequences.get(tenant(number)), Some(7), "{number}");
        }
    }

    #[test]
    fn what_the_state_holds_is_forgotten_after_a_while() {
        let handover = Arc::new(Handover::default());
        let giver = Giver::new(Arc::clone(&handover));
        let mut sequences = Sequences::default();
        let all = u32::try_from(HALF).unwrap() * 4;
        for number in 0..all {
            sequences.extend([(tenant(number), 7)].into_iter(), &giver);
            giver.durable();
            handover.applied(1);
            let held = sequences.younger.len() + sequences.older.len();
            assert!(held <= 2 * HALF, "{held}");
        }
        assert_eq!(sequences.get(tenant(0)), None);
        assert_eq!(sequences.get(tenant(all - 1)), Some(7));
    }
}
