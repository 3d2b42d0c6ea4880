//! Damage in the journal, named so that somebody can act: which file, where, whose events.
//!
//! Damage in an index costs no event: the index is built again from its segment. It is told all the
//! same, because a disk that loses one file loses others.

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use provost_protocol::TenantId;

/// Stored bytes of the journal that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The name of the file in the journal's folder.
    pub file: String,
    /// Where in that file the damaged thing begins.
    pub offset: u64,
    /// Whose events, or whose part of an index, cannot be read or not be trusted, in order of id;
    /// empty where nobody can be named: the bytes that would say whose they are are hit themselves.
    pub tenants: Vec<TenantId>,
    /// What is wrong there.
    pub why: String,
}

/// Hears of damage that is found while the store is in use.
pub type DamageHook = Arc<dyn Fn(&Damage) + Send + Sync>;

/// Tells of damage, of each place once.
pub(crate) struct Alarm {
    hook: DamageHook,
    told: Mutex<BTreeSet<(String, u64)>>,
}

impl Alarm {
    pub(crate) fn new(hook: DamageHook) -> Self {
        Self {
            hook,
            told: Mutex::default(),
        }
    }

    /// Logs the damage and tells whoever listens.
    pub(crate) fn tell(&self, damage: &Damage) {
        let place = (damage.file.clone(), damage.offset);
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() >= TOLD_MAX || !told.insert(place) {
                return;
            }
        }
        damage.log();
        (self.hook)(damage);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

impl Damage {
    /// Writes the one line that an operator searches for.
    pub(crate) fn log(&self) {
        let Self {
            file, offset, why, ..
        } = self;
        let tenants = self.tenants();
        if self.is_of_index() {
            tracing::error!(%file, offset, %tenants, %why, "an index of the journal is damaged");
        } else {
            tracing::error!(%file, offset, %tenants, %why, "the journal is damaged");
        }
    }

    fn is_of_index(&self) -> bool {
        Path::new(&self.file)
            .extension()
            .is_some_and(|extension| extension == "idx")
    }

    fn tenants(&self) -> String {
        let mut named: Vec<String> = self
            .tenants
            .iter()
            .take(TENANTS_NAMED)
            .map(TenantId::to_string)
            .collect();
        let more = self.tenants.len() - named.len();
        if more > 0 {
            named.push(format!("{more} more"));
        }
        named.join(", ")
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, offset, why, ..
        } = self;
        write!(f, "{file} at byte {offset}: {why}; ")?;
        match (self.is_of_index(), self.tenants.is_empty()) {
            (true, true) => write!(f, "no tenant can be named, and no event is hit"),
            (true, false) => write!(f, "the index of tenant {} is hit, no event", self.tenants()),
            (false, true) => write!(f, "no tenant can be named"),
            (false, false) => write!(f, "events of tenant {} are hit", self.tenants()),
        }
    }
}

/// A disk that fails everywhere is told of so often, and then everybody knows.
const TOLD_MAX: usize = 1_024;

/// A line stays a line; the rest stands in [`Damage::tenants`].
const TENANTS_NAMED: usize = 16;
