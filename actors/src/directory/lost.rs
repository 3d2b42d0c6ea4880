//! Who was lost since the start: a number to show, when no actor is left that would.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use provost_protocol::{RuntimeId, TenantId, entity::RuntimeType};

/// Runtimes that were lost and have not come back.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<HashMap<(TenantId, RuntimeId), RuntimeType>>);

impl Lost {
    pub(super) fn note(&self, key: (TenantId, RuntimeId), runtime_type: RuntimeType) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < LOST_COUNTED_MAX {
            held.insert(key, runtime_type);
        }
    }

    pub(super) fn forget(&self, key: &(TenantId, RuntimeId)) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(key);
    }

    pub(super) fn counts(&self) -> BTreeMap<RuntimeType, usize> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = BTreeMap::new();
        for runtime_type in held.values() {
            *counts.entry(*runtime_type).or_default() += 1;
        }
        counts
    }
}

/// Ten times the fleet that one machine is made for, at some 70 bytes each; past that the figure
/// stands still.
const LOST_COUNTED_MAX: usize = 100_000;
