//! One tenant, as it is held in memory.

use std::sync::Arc;

use provost_kernel::desired;
use provost_protocol::{license::LicenseDocument, wire::DesiredState};

use crate::mode::Machine;

/// A license that was verified, and its exact text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldLicense {
    /// The file, as the kernel sent it.
    pub(crate) text: Arc<str>,
    /// What it says.
    pub(crate) document: Arc<LicenseDocument>,
}

/// A kill of the runtime that was not obeyed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    /// The newest revision that says so.
    pub(crate) revision: u64,
    /// Which one it is since this process began: killed again after a resume is another.
    pub(crate) number: u64,
}

/// What is held for one tenant acted for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tenant {
    /// The last good license.
    pub(crate) license: Option<HeldLicense>,
    /// The highest (epoch, seq) ever held.
    pub(crate) highest: Option<(u64, u64)>,
    /// The desired state in force.
    pub(crate) desired: desired::Held,
    /// The mode last observed.
    pub(crate) machine: Machine,
    /// The revision of the kill that was obeyed; none while the runtime is not killed.
    pub(crate) obeyed: Option<u64>,
    /// Kills taken in since this process began.
    pub(crate) kills: u64,
}

impl Tenant {
    pub(crate) fn restored(
        license: Option<HeldLicense>,
        highest: Option<(u64, u64)>,
        desired: Option<DesiredState>,
    ) -> Self {
        let desired = desired::Held::restored(desired);
        Self {
            license,
            highest,
            desired,
            machine: Machine::default(),
            obeyed: None,
            kills: 0,
        }
    }

    /// The kill of the runtime, where it was not obeyed yet.
    pub(crate) fn kill_to_obey(&self) -> Option<Kill> {
        let state = self.desired.state().filter(|state| state.killed)?;
        self.obeyed.is_none().then_some(Kill {
            revision: state.revision,
            number: self.kills,
        })
    }

    /// Takes what the kernel wants into force; says whether it is news, and changes nothing where it
    /// is not.
    pub(crate) fn follow(&mut self, state: &DesiredState) -> bool {
        let was_killed = self.desired.state().is_some_and(|held| held.killed);
        if self.desired.offer(state.clone()) == desired::Offer::Ignore {
            return false;
        }
        self.desired.kept(state.revision);
        self.obeyed = self.obeyed.filter(|_| state.killed);
        self.kills += u64::from(state.killed && !was_killed);
        true
    }

    /// Whether this very text is the license held.
    pub(crate) fn is_held(&self, text: &str) -> bool {
        self.license
            .as_ref()
            .is_some_and(|license| *license.text == *text)
    }

    /// Whether the kernel has changed something since the license was issued.
    pub(crate) fn is_stale(&self) -> bool {
        self.license
            .as_ref()
            .is_some_and(|license| license.document.revision < self.desired.revision())
    }
}
