//! The certificate authority of a running kernel: which roots hold, and how they change.
//!
//! The log decides: the rotation's record in the internal tenant says which root is active and
//! which other one is trusted. The files of every root lie in the data folder under names of their
//! own and are durable before an event names them, so that a start after any crash finds what the
//! log speaks of; what no event names is left over and swept. A step is: files, event, then
//! [`Ca::refresh`], which a start does as well.

mod fleet;

use std::{path::PathBuf, sync::Arc};

use provost_actors::House;
use provost_certs::{Acceptor, Authority, AuthorityError, Certificates, RootParts, RootSet, Roots};
use provost_kernel::{
    EntityKey,
    command::RotateCa,
    state::{Entity, RotationPhase, RotationRecord},
};
use provost_protocol::{TenantId, Timestamp, event::CaRotationPrepared, wire};
use provost_store::{Backend, ReadError};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use fleet::{Counted, Fleet, Place, Seen};

/// What a [`Ca`] is made of.
#[derive(Debug)]
pub struct CaParts {
    /// Where the files of every root lie.
    pub data_dir: PathBuf,
    /// In whose log a rotation stands.
    pub internal: TenantId,
    /// The roots in force: [`roots_in_force`] has read them.
    pub roots: Arc<Roots>,
    /// Lets runtimes in.
    pub acceptor: Acceptor,
    /// Refuses what a retired root signed, on connections that stand.
    pub certificates: Arc<Certificates>,
    /// Store, clock, and what runtimes are told.
    pub house: Arc<House>,
}

/// The certificate authority of a running kernel.
#[derive(Debug)]
pub struct Ca {
    parts: CaParts,
    /// One step at a time.
    turn: Mutex<InForce>,
}

/// What was last taken into use; nothing before the first time.
#[derive(Debug, Default)]
pub(crate) struct InForce(Option<Option<RotationRecord>>);

/// Why the authority is not what the log says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The log's word on the rotation cannot be read.
    #[error("the rotation of the certificate authority cannot be read")]
    Read(#[from] ReadError),
    /// The files are not what the log speaks of.
    #[error("the certificate authority cannot be opened")]
    Authority(#[from] AuthorityError),
    /// A thread that was to make a key is gone.
    #[error("the work was not finished")]
    Lost,
}

/// Reads where the rotation stands, and opens the roots that hold there.
///
/// # Errors
/// [`CaError`]: a file that the log speaks of is missing or damaged.
pub async fn roots_in_force(
    data_dir: &std::path::Path,
    backend: &dyn Backend,
    internal: TenantId,
) -> Result<RootSet, CaError> {
    let record = rotation(backend, internal).await?;
    let dir = data_dir.to_owned();
    tokio::task::spawn_blocking(move || Ok(open(&dir, record.as_ref())?))
        .await
        .map_err(|_| CaError::Lost)?
}

/// What runtimes are told of a set of roots.
#[must_use]
pub fn told(set: &RootSet) -> wire::TrustBundle {
    wire::TrustBundle {
        id: set.bundle().id(),
        roots: set.bundle().root_pems(),
    }
}

impl Ca {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: CaParts) -> Self {
        Self {
            parts,
            turn: Mutex::default(),
        }
    }

    /// The roots in force.
    #[must_use]
    pub const fn roots(&self) -> &Arc<Roots> {
        &self.parts.roots
    }

    /// Waits until no other step is under way.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, InForce> {
        self.turn.lock().await
    }

    /// Where the rotation stands; absent before the first.
    pub(crate) async fn rotation(&self) -> Result<Option<RotationRecord>, CaError> {
        let backend = &*self.parts.house.backend;
        Ok(rotation(backend, self.parts.internal).await?)
    }

    /// Makes the next root; its files are durable when this returns.
    pub(crate) async fn make_next(&self) -> Result<RotateCa, CaError> {
        let (active, now) = (self.active(), self.now());
        let dir = self.parts.data_dir.clone();
        let made = move || -> Result<RotateCa, AuthorityError> {
            let (next, cross) = active.create_next(&dir, now)?;
            Ok(RotateCa::Prepare(CaRotationPrepared {
                active: hex::encode(active.root_sha256()),
                next: hex::encode(next.root_sha256()),
                next_root: next.root_pem(),
                cross,
            }))
        };
        Ok(blocking(made).await??)
    }

    /// Whether the key of a root is at hand: looked at before the log says that it signs.
    pub(crate) async fn is_at_hand(&self, root_sha256: &str) -> Result<(), CaError> {
        let (dir, root) = (self.parts.data_dir.clone(), root_sha256.to_owned());
        blocking(move || Authority::find(&dir, &root).map(drop)).await??;
        Ok(())
    }

    /// Takes into use what the log says where that is something else than what is in use: a step
    /// whose outcome was not known, or a disk that failed behind its event. Says whether it was.
    pub(crate) async fn catch_up(&self) -> Result<bool, CaError> {
        let mut turn = self.turn().await;
        if turn.0.as_ref() == Some(&self.rotation().await?) {
            return Ok(false);
        }
        self.refresh(&mut turn).await?;
        Ok(true)
    }

    /// Takes into use what the log says, and sweeps what it does not speak of. Who is connected has
    /// to be made to look again ([`Directory::look_again`](provost_actors::Directory::look_again)).
    pub(crate) async fn refresh(&self, turn: &mut InForce) -> Result<(), CaError> {
        let record = self.rotation().await?;
        let taken = record.clone();
        let dir = self.parts.data_dir.clone();
        let opened = move || -> Result<RootSet, AuthorityError> {
            let set = open(&dir, record.as_ref())?;
            if let Err(error) = Authority::sweep_authorities(&dir, &spoken_of(&set, record)) {
                // A key too many on the disk, until the next step or start.
                tracing::warn!(%error, "files of a root that is gone could not be removed");
            }
            Ok(set)
        };
        let set = blocking(opened).await??;
        self.parts.acceptor.take_roots(&set, self.now())?;
        // After the handshakes: one that began under the roots before is judged by these.
        self.parts.certificates.accept_roots(set.accepted_sha256());
        self.parts.house.trust_bundle.replace(told(&set));
        self.parts.roots.replace(set);
        turn.0 = Some(taken);
        Ok(())
    }

    /// A walk over every runtime there is.
    pub(crate) fn fleet(&self, bundle: String) -> Fleet {
        Fleet {
            backend: Arc::clone(&self.parts.house.backend),
            bundle,
            now: self.now(),
        }
    }

    fn active(&self) -> Arc<Authority> {
        Arc::clone(self.parts.roots.now().active())
    }

    fn now(&self) -> Timestamp {
        self.parts.house.clock.now()
    }
}

async fn rotation(
    backend: &dyn Backend,
    internal: TenantId,
) -> Result<Option<RotationRecord>, ReadError> {
    let found = backend
        .entities(internal, vec![EntityKey::Rotation])
        .await?;
    let entity = found.into_iter().find_map(|(_, entity)| entity);
    Ok(match entity.as_deref() {
        Some(Entity::Rotation(record)) => Some(RotationRecord::clone(record)),
        _ => None,
    })
}

fn open(dir: &std::path::Path, record: Option<&RotationRecord>) -> Result<RootSet, AuthorityError> {
    let Some(record) = record else {
        return RootSet::single(Arc::new(Authority::open(dir)?));
    };
    let active = Arc::new(Authority::find(dir, &record.active)?);
    let (prepared, old) = match &record.phase {
        RotationPhase::Settled => (None, None),
        RotationPhase::Prepared { next_root, .. } => (Some(next_root.clone()), None),
        RotationPhase::Activated { old } => (None, Some(Authority::root_of(dir, old)?)),
    };
    let cross = active.cross_pem(dir)?;
    RootSet::new(RootParts {
        active,
        prepared,
        old,
        cross,
    })
}

/// The roots whose files must stay.
fn spoken_of(set: &RootSet, record: Option<RotationRecord>) -> Vec<String> {
    let mut kept = vec![hex::encode(set.active().root_sha256())];
    match record.map(|record| record.phase) {
        Some(RotationPhase::Prepared { next, .. }) => kept.push(next),
        Some(RotationPhase::Activated { old }) => kept.push(old),
        Some(RotationPhase::Settled) | None => {}
    }
    kept
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CaError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| CaError::Lost)
}
