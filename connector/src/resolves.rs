//! Resolves already answered: with the kernel away they stay good, new ones do not come.
//!
//! Kept by the SHA-256 of the external token, which itself is nowhere. One small file each, so that
//! a login costs one small write. What survives a crash: every resolve that was answered.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use provost_protocol::{TenantId, Timestamp, v01::ResolveAnswer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable::{self, DurableError};

/// A resolve as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptResolve {
    /// The tenant whose provider issued the token: the same token elsewhere is another question.
    pub(crate) asked_in: TenantId,
    /// The token's end.
    pub(crate) until: Timestamp,
    /// What was answered.
    pub(crate) answer: ResolveAnswer,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Resolves {
    folder: PathBuf,
    /// Ends by name of the file: enough to look up and to let go.
    ends: Mutex<HashMap<String, Timestamp>>,
}

impl Resolves {
    /// Reads which there are.
    pub(crate) fn open(folder: &Path) -> Result<Self, DurableError> {
        durable::create_folder(folder)?;
        let mut ends = HashMap::new();
        for path in durable::json_files(folder)? {
            let Some(kept) = durable::read_json::<KeptResolve>(&path)? else {
                continue;
            };
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            ends.insert(name, kept.until);
        }
        Ok(Self {
            folder: folder.to_owned(),
            ends: Mutex::new(ends),
        })
    }

    /// Keeps an answer, durably; the ones that end first make room. Blocks on the disk.
    pub(crate) fn keep(
        &self,
        token: &str,
        kept: &KeptResolve,
        now: Timestamp,
    ) -> Result<(), DurableError> {
        let name = name_of(kept.asked_in, token);
        let path = self.path(&name);
        let json =
            serde_json::to_vec(kept).map_err(|_| DurableError::Damaged { path: path.clone() })?;
        if json.len() > RESOLVE_BYTES_MAX {
            return Ok(());
        }
        for gone in self.to_let_go(&name, now) {
            durable::remove(&self.path(&gone))?;
            self.lock().remove(&gone);
        }
        durable::write(&path, &json)?;
        self.lock().insert(name, kept.until);
        Ok(())
    }

    /// The answer to exactly this token in this tenant, while the token lasts. Blocks on the disk.
    pub(crate) fn find(
        &self,
        asked_in: TenantId,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<KeptResolve>, DurableError> {
        let name = name_of(asked_in, token);
        if self.lock().get(&name).is_none_or(|&until| now >= until) {
            return Ok(None);
        }
        let kept: Option<KeptResolve> = durable::read_json(&self.path(&name))?;
        Ok(kept.filter(|kept| kept.asked_in == asked_in && now < kept.until))
    }

    fn to_let_go(&self, keeping: &str, now: Timestamp) -> Vec<String> {
        let ends = self.lock();
        let mut gone: Vec<_> = ends
            .iter()
            .filter(|&(name, &until)| name != keeping && until <= now)
            .map(|(name, _)| name.clone())
            .take(LET_GO_MAX)
            .collect();
        if gone.is_empty() && ends.len() >= RESOLVES_MAX && !ends.contains_key(keeping) {
            let first = ends.iter().min_by_key(|&(_, &until)| until);
            gone.extend(first.map(|(name, _)| name.clone()));
        }
        gone
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(tenant: TenantId, token: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(tenant.as_bytes());
    hash.update(token.as_bytes());
    hex::encode(hash.finalize())
}

/// People logged in at once on one runtime; at 4 KiB each, 64 MiB.
const RESOLVES_MAX: usize = 16_384;

/// A login does not clean up after a whole day of others.
const LET_GO_MAX: usize = 8;

/// Thousand entitlements of 100 bytes; a larger answer is simply not good offline.
const RESOLVE_BYTES_MAX: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use provost_protocol::{entity::ProviderKind, v01::Identity};

    use super::*;

    const TENANT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn kept(until: i64) -> KeptResolve {
        let identity = Identity {
            identity_id: TENANT.parse().unwrap(),
            tenant_id: TENANT.parse().unwrap(),
            external_id: "x".to_owned(),
            provider: ProviderKind::Oidc,
            roles: vec![],
            attributes: BTreeMap::new(),
        };
        KeptResolve {
            asked_in: TENANT.parse().unwrap(),
            until: Timestamp::from_millis(until),
            answer: ResolveAnswer {
                identity,
                entitlements: vec![],
            },
        }
    }

    #[test]
    fn an_answer_is_found_again_for_its_token_and_tenant_until_the_token_ends() {
        let folder = tempfile::tempdir().unwrap();
        let at = Timestamp::from_millis;
        Resolves::open(folder.path())
            .unwrap()
            .keep("token", &kept(100), at(1))
            .unwrap();
        let resolves = Resolves::open(folder.path()).unwrap();
        let (own, other) = (TENANT.parse().unwrap(), OTHER.parse().unwrap());
        assert_eq!(
            resolves.find(own, "token", at(99)).unwrap(),
            Some(kept(100))
        );
        assert_eq!(resolves.find(own, "token", at(100)).unwrap(), None);
        assert_eq!(resolves.find(own, "another", at(1)).unwrap(), None);
        assert_eq!(resolves.find(other, "token", at(1)).unwrap(), None);
    }

    #[test]
    fn the_token_stands_nowhere_and_ended_answers_go() {
        let folder = tempfile::tempdir().unwrap();
        let resolves = Resolves::open(folder.path()).unwrap();
        resolves
            .keep("very-secret-token", &kept(100), Timestamp::from_millis(1))
            .unwrap();
        let path = durable::json_files(folder.path()).unwrap().remove(0);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("secret") && !path.to_string_lossy().contains("secret"));
        resolves
            .keep("second", &kept(500), Timestamp::from_millis(200))
            .unwrap();
        assert_eq!(durable::json_files(folder.path()).unwrap().len(), 1);
    }
}
