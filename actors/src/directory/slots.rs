//! A place for each actor that is awake: filled by whoever comes first, dropped when it sleeps.
//!
//! Bounded by what exists: a place for what turns out not to exist is given back, and places of
//! those asleep are swept out whenever their number has doubled.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::OnceCell;

/// Filled by whoever comes first; the others wait for it.
pub(super) type Slot<T> = Arc<OnceCell<T>>;

/// Places by key.
pub(super) struct Slots<K, T> {
    held: Mutex<Held<K, T>>,
    /// How many slots there are, for those who ask with every heartbeat.
    count: AtomicUsize,
    is_asleep: fn(&T) -> bool,
}

struct Held<K, T> {
    slots: HashMap<K, Slot<T>>,
    /// Swept when there are more than so many.
    sweep_over: usize,
}

impl<K: Hash + Eq + Copy, T: Clone> Slots<K, T> {
    pub(super) fn new(is_asleep: fn(&T) -> bool) -> Self {
        let held = Held {
            slots: HashMap::new(),
            sweep_over: SWEEP_OVER_MIN,
        };
        Self {
            held: Mutex::new(held),
            count: AtomicUsize::new(0),
            is_asleep,
        }
    }

    /// The key's slot; a new one where there is none, or what is in it has gone to sleep.
    pub(super) fn slot(&self, key: K) -> Slot<T> {
        let mut held = self.lock();
        if held.slots.len() > held.sweep_over {
            self.sweep_held(&mut held);
        }
        let slot = held.slots.entry(key).or_default();
        if slot.get().is_some_and(self.is_asleep) {
            *slot = Slot::default();
        }
        let slot = Arc::clone(slot);
        self.count.store(held.slots.len(), Ordering::Relaxed);
        slot
    }

    /// Gives back a slot that was not filled, unless somebody else still tries.
    pub(super) fn give_back(&self, key: &K, slot: &Slot<T>) {
        let mut held = self.lock();
        let is_it = |kept: &Slot<T>| Arc::ptr_eq(kept, slot) && kept.get().is_none();
        // Clones are made under this lock only: the map's and the caller's are then all there are.
        if held.slots.get(key).is_some_and(is_it) && Arc::strong_count(slot) == 2 {
            held.slots.remove(key);
            self.count.store(held.slots.len(), Ordering::Relaxed);
        }
    }

    /// What is awake under the key.
    pub(super) fn awake(&self, key: &K) -> Option<T> {
        let held = self.lock();
        let found = held.slots.get(key)?.get()?;
        (!(self.is_asleep)(found)).then(|| found.clone())
    }

    /// All that are awake, those asleep swept out.
    pub(super) fn all(&self) -> Vec<T> {
        let mut held = self.lock();
        self.sweep_held(&mut held);
        let filled = held.slots.values().filter_map(|slot| slot.get().cloned());
        filled.collect()
    }

    /// How many are awake, or lately were.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn sweep_held(&self, held: &mut Held<K, T>) {
        held.slots
            .retain(|_, slot| !slot.get().is_some_and(self.is_asleep));
        held.sweep_over = SWEEP_OVER_MIN.max(held.slots.len() * 2);
        self.count.store(held.slots.len(), Ordering::Relaxed);
    }

    /// A map is whole at every moment, whoever panicked while holding it.
    fn lock(&self) -> MutexGuard<'_, Held<K, T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Below it a sweep saves nothing worth a look: a slot with its key takes some 200 bytes.
const SWEEP_OVER_MIN: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_leaves_no_place_behind() {
        let slots = Slots::<u32, bool>::new(|asleep| *asleep);
        for key in 0..10 {
            let slot = slots.slot(key);
            slots.give_back(&key, &slot);
        }
        assert_eq!(slots.len(), 0);
    }

    #[test]
    fn a_place_somebody_still_tries_to_fill_is_kept() {
        let slots = Slots::<u32, bool>::new(|asleep| *asleep);
        let (one, other) = (slots.slot(1), slots.slot(1));
        slots.give_back(&1, &one);
        assert_eq!(slots.len(), 1);
        drop(one);
        slots.give_back(&1, &other);
        assert_eq!(slots.len(), 0);
    }

    #[test]
    fn places_of_those_asleep_are_swept_out_by_themselves() {
        let slots = Slots::<usize, bool>::new(|asleep| *asleep);
        for key in 0..100_000 {
            slots.slot(key).set(key % 1_000 != 0).unwrap();
        }
        assert!(slots.len() <= SWEEP_OVER_MIN + 101, "{}", slots.len());
        assert_eq!(slots.all().len(), 100, "those awake are all there");
    }
}
