//! What is held for each tenant acted for: its license, the highest sequence, the desired state.
//!
//! What survives a crash: everything here but the mode last observed. One file per tenant,
//! replaced whole; memory follows the disk, never the other way round.

mod file;
mod held;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use provost_protocol::{
    TenantId, Timestamp,
    license::{self, Refused, Verdict, VerifyingKey},
    wire::{Confirm, DesiredState, HeldRevision},
};
use tracing::{info, warn};

use crate::{
    durable::{self, DurableError},
    floor::Floor,
    mode::{Standing, Transition},
};

use file::TenantFile;
pub(crate) use held::{HeldLicense, Kill, Tenant};

/// All tenants acted for.
#[derive(Debug)]
pub(crate) struct Tenants {
    folder: PathBuf,
    keys: Vec<VerifyingKey>,
    cnf: [u8; 32],
    held: Mutex<HashMap<TenantId, Arc<Tenant>>>,
    writing: Mutex<()>,
}

/// Why something was not kept. What was held before is held still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeepError {
    /// The license is not to be relied on.
    #[error("the license is refused: {0}")]
    License(Refused),
    /// The license is of another tenant.
    #[error("the license is another tenant's")]
    OtherTenant,
    /// Two licenses were signed for one place: the kernel's log forked.
    #[error("another license with sequence {seq} was held before")]
    Second {
        /// The sequence of both.
        seq: u64,
    },
    /// The connector holds as many tenants as it can, all of them in use.
    #[error("{TENANTS_MAX} tenants are held, all of them in use")]
    TooMany,
    /// The disk failed.
    #[error("it could not be kept")]
    Disk(#[from] DurableError),
}

impl Tenants {
    /// Reads all files of a folder. A license that does not verify is not used, and said so; its
    /// file stays until a good one takes its place.
    pub(crate) fn open(
        folder: &Path,
        keys: Vec<VerifyingKey>,
        cnf: [u8; 32],
        floor: &Floor,
    ) -> Result<Self, DurableError> {
        durable::create_folder(folder)?;
        let tenants = Self {
            folder: folder.to_owned(),
            keys,
            cnf,
            held: Mutex::default(),
            writing: Mutex::default(),
        };
        for path in durable::json_files(folder)? {
            let Some(file) = durable::read_json::<TenantFile>(&path)? else {
                continue;
            };
            let id = file.tenant;
            let tenant = tenants.restore(file, floor);
            tenants.lock().insert(id, Arc::new(tenant));
        }
        Ok(tenants)
    }

    /// What is held for a tenant.
    pub(crate) fn find(&self, tenant: TenantId) -> Option<Arc<Tenant>> {
        self.lock().get(&tenant).cloned()
    }

    /// Everything held, by tenant.
    pub(crate) fn all(&self) -> Vec<(TenantId, Arc<Tenant>)> {
        let mut all: Vec<_> = self
            .lock()
            .iter()
            .map(|(&id, tenant)| (id, Arc::clone(tenant)))
            .collect();
        all.sort_by_key(|&(id, _)| id);
        all
    }

    /// Verifies a license and takes it into use once it is durable. Blocks on the disk.
    pub(crate) fn keep_license(
        &self,
        tenant: TenantId,
        text: &str,
        floor: &Floor,
    ) -> Result<Arc<Tenant>, KeepError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.find(tenant);
        let highest = before.as_ref().and_then(|held| held.highest);
        let license = self.judge(text, highest, floor)?;
        if license.document.tenant != tenant {
            return Err(KeepError::OtherTenant);
        }
        if license.document.standing(floor.now()).0 == Verdict::Expired {
            let detail = "it and its grace have ended".to_owned();
            return Err(KeepError::License(Refused {
                verdict: Verdict::Expired,
                detail,
            }));
        }
        self.make_room(tenant, floor.now())?;
        let place = (license.document.epoch, license.document.seq);
        if highest == Some(place) && !before.as_ref().is_some_and(|held| held.is_held(text)) {
            return Err(KeepError::Second { seq: place.1 });
        }
        let next = Tenant {
            highest: highest.max(Some(place)),
            license: Some(license),
            ..before.map(|held| (*held).clone()).unwrap_or_default()
        };
        self.write(tenant, &next)?;
        Ok(self.publish(tenant, |held| {
            held.license.clone_from(&next.license);
            held.highest = next.highest;
        }))
    }

    /// Keeps a desired state if it is news; it is in force once this returns. Blocks on the disk.
    pub(crate) fn keep_desired(&self, state: &DesiredState) -> Result<bool, KeepError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = state.tenant;
        let mut next = self
            .find(tenant)
            .map(|held| (*held).clone())
            .unwrap_or_default();
        if !next.follow(state) {
            return Ok(false);
        }
        self.make_room(tenant, Timestamp::MIN)?;
        self.write(tenant, &next)?;
        self.publish(tenant, |held| {
            held.follow(state);
        });
        Ok(true)
    }

    /// The kill of the runtime of this tenant, until it was obeyed.
    pub(crate) fn kill_to_obey(&self, own: TenantId) -> Option<Kill> {
        self.find(own).and_then(|held| held.kill_to_obey())
    }

    /// What a kill asks for was done; one that came since is another. Blocks on the disk.
    pub(crate) fn obeyed(&self, own: TenantId, kill: Kill) -> Result<(), DurableError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |due: Kill| due.number == kill.number;
        let Some(held) = self.find(own) else {
            return Ok(());
        };
        if !held.kill_to_obey().is_some_and(is_it) {
            return Ok(());
        }
        let mut next = (*held).clone();
        next.obeyed = Some(kill.revision);
        self.write(own, &next)?;
        self.publish(own, |held| held.obeyed = next.obeyed);
        Ok(())
    }

    /// Revisions acted on and not yet confirmed; they count as confirmed from here on. A kill of
    /// the runtime of `own` is acted on once it was obeyed.
    pub(crate) fn take_confirmations(&self, own: TenantId) -> Vec<Confirm> {
        let mut due = Vec::new();
        for (&tenant, held) in self.lock().iter_mut() {
            if tenant == own && held.kill_to_obey().is_some() {
                continue;
            }
            if let Some(revision) = held.desired.to_confirm() {
                Arc::make_mut(held).desired.confirmed(revision);
                due.push(Confirm { tenant, revision });
            }
        }
        due
    }

    /// The stream was lost: what was confirmed on it may not have come.
    pub(crate) fn disconnected(&self) {
        for held in self.lock().values_mut() {
            Arc::make_mut(held).desired.disconnected();
        }
    }

    /// The highest revisions held, for Hello.
    pub(crate) fn revisions(&self, own: TenantId) -> Vec<HeldRevision> {
        let all = self.all();
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|&(id, _)| id == own);
        own.into_iter()
            .chain(others)
            .filter(|(_, held)| held.desired.revision() > 0)
            .take(HELLO_REVISIONS_MAX)
            .map(|(tenant, held)| HeldRevision {
                tenant,
                revision: held.desired.revision(),
            })
            .collect()
    }

    /// Looks at every tenant with a license; gives the modes that changed.
    pub(crate) fn observe(&self, link_up: bool, now: Timestamp) -> Vec<(TenantId, Transition)> {
        let mut changed = Vec::new();
        for (&tenant, held) in self.lock().iter_mut() {
            let Some(license) = &held.license else {
                continue;
            };
            let mode = Standing::of(link_up, Some(&license.document), now).mode;
            if held.machine.last() == Some(mode) {
                continue;
            }
            if let Some(transition) = Arc::make_mut(held).machine.observe(mode) {
                changed.push((tenant, transition));
            }
        }
        changed
    }

    fn judge(
        &self,
        text: &str,
        highest: Option<(u64, u64)>,
        floor: &Floor,
    ) -> Result<HeldLicense, KeepError> {
        let held = license::Held {
            cnf: Some(self.cnf),
            highest,
            // The floor counts as the time: a clock that is behind does not refuse a good license.
            time_floor: floor.highest(),
            revocations: None,
        };
        let verified = license::verify(text.as_bytes(), &self.keys, floor.now(), &held)
            .map_err(KeepError::License)?;
        // Of the kernel's clock: it may be ahead of the last note that was kept.
        floor.licensed(verified.document.issued);
        Ok(HeldLicense {
            text: text.into(),
            document: Arc::new(verified.document),
        })
    }

    fn restore(&self, file: TenantFile, floor: &Floor) -> Tenant {
        let license = file.license.as_deref().and_then(|text| {
            let judged = self.judge(text, file.highest, floor);
            match judged {
                Ok(license) if license.document.tenant == file.tenant => Some(license),
                Ok(_) => {
                    warn!(tenant.id = %file.tenant, "a license kept here is another tenant's");
                    None
                }
                Err(error) => {
                    warn!(tenant.id = %file.tenant, %error, "a license kept here is not used");
                    None
                }
            }
        });
        let tenant = Tenant::restored(license, file.highest, file.desired);
        Tenant {
            obeyed: file.obeyed,
            ..tenant
        }
    }

    fn write(&self, tenant: TenantId, next: &Tenant) -> Result<(), DurableError> {
        let path = self.path(tenant);
        let json = serde_json::to_vec_pretty(&TenantFile::of(tenant, next))
            .map_err(|_| DurableError::Damaged { path: path.clone() })?;
        durable::write(&path, &json)
    }

    fn publish(&self, tenant: TenantId, change: impl FnOnce(&mut Tenant)) -> Arc<Tenant> {
        let mut all = self.lock();
        let held = all.entry(tenant).or_default();
        change(Arc::make_mut(held));
        Arc::clone(held)
    }

    /// Lets one go whose license and grace have long ended: it could only be locked again.
    fn make_room(&self, wanted: TenantId, now: Timestamp) -> Result<(), KeepError> {
        let gone = {
            let all = self.lock();
            if all.len() < TENANTS_MAX || all.contains_key(&wanted) {
                return Ok(());
            }
            let ended = |held: &Tenant| {
                held.license
                    .as_ref()
                    .map(|license| license.document.locked_from())
            };
            all.iter()
                .filter_map(|(&id, held)| Some((ended(held)?, id)))
                .filter(|&(end, _)| end < now)
                .min()
                .ok_or(KeepError::TooMany)?
                .1
        };
        durable::remove(&self.path(gone))?;
        self.lock().remove(&gone);
        info!(tenant.id = %gone, "a tenant with an ended license is let go");
        Ok(())
    }

    fn path(&self, tenant: TenantId) -> PathBuf {
        self.folder.join(format!("{tenant}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Tenant>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tenants of one shared runtime with a license: at about 20 KiB each, 200 MiB at the most.
pub(crate) const TENANTS_MAX: usize = 10_000;

/// Hello and the Welcome that answers it stay below 64 KiB; a state takes about 90 bytes. Of the
/// others the kernel sends its directives all the same.
const HELLO_REVISIONS_MAX: usize = 500;

#[cfg(test)]
mod tests;
