//! What the pilot keeps of a person: a shadow of the identity, progress, attempts, and the events
//! that must still be told.
//!
//! One JSON file per identity, in a folder per tenant: `tenants/<tenant>/<identity>.json`. A file is
//! replaced whole (written beside, synced, renamed, folder synced), so a crash leaves either the
//! old account or the new one, and one tenant's bytes never stand beside another's. An embedded
//! database would give transactions across accounts, which nothing here may want.
//!
//! Events that report a change are written in the same replacement as the change (`outbox`) and
//! leave it once the connector has them: neither can exist without the other.

mod file;
mod record;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

pub(crate) use file::StoreError;
pub(crate) use record::{Account, Attempt, CourseProgress};

/// Whose account: an identity within its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) tenant: Uuid,
    pub(crate) identity: Uuid,
}

/// What a stop left of one account: sessions nobody ended, events nobody heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) key: Key,
    pub(crate) sessions: Vec<Uuid>,
}

/// The accounts on disk, one writer at a time for each.
#[derive(Debug)]
pub(crate) struct Accounts {
    root: PathBuf,
    stripes: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
    waiting: Mutex<BTreeSet<Key>>,
}

/// The right to read and replace one account.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    accounts: &'a Accounts,
    key: Key,
    _held: tokio::sync::MutexGuard<'a, ()>,
}

impl Accounts {
    /// Opens the folder and finds the accounts that a stop left with something to tell.
    pub(crate) async fn open(data: PathBuf) -> Result<(Self, Vec<Left>), StoreError> {
        let root = data.join("tenants");
        let scanned = root.clone();
        let unfinished = file::blocking(move || file::scan(&scanned)).await?;
        let accounts = Self {
            root,
            stripes: (0..STRIPES).map(|_| tokio::sync::Mutex::new(())).collect(),
            hasher: RandomState::new(),
            waiting: Mutex::new(unfinished.iter().map(|left| left.key).collect()),
        };
        Ok((accounts, unfinished))
    }

    /// Waits for the turn on one account.
    pub(crate) async fn turn(&self, key: Key) -> Turn<'_> {
        let stripes = u64::try_from(self.stripes.len()).expect("64 fits");
        let stripe = usize::try_from(self.hasher.hash_one(key) % stripes).expect("below 64");
        Turn {
            accounts: self,
            key,
            _held: self.stripes[stripe].lock().await,
        }
    }

    /// Reads an account as it was last written; a person not seen before has an empty one.
    pub(crate) async fn read(&self, key: Key) -> Result<Account, StoreError> {
        let root = self.root.clone();
        file::blocking(move || file::read(&root, key)).await
    }

    /// The accounts with events still to be told.
    pub(crate) fn waiting(&self) -> Vec<Key> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }
}

impl Turn<'_> {
    /// Reads the account.
    pub(crate) async fn read(&self) -> Result<Account, StoreError> {
        self.accounts.read(self.key).await
    }

    /// Replaces the account; it is durable when this returns.
    pub(crate) async fn write(&self, account: Account) -> Result<(), StoreError> {
        let waits = !account.outbox.is_empty();
        let root = self.accounts.root.clone();
        let key = self.key;
        file::blocking(move || file::write(&root, key, &account)).await?;
        let mut waiting = self
            .accounts
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if waits {
            waiting.insert(key);
        } else {
            waiting.remove(&key);
        }
        Ok(())
    }
}

/// More locks than cores by far: two people rarely wait for each other, and the number is bounded.
const STRIPES: usize = 64;
