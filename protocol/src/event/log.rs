//! What happens to a tenant's log as evidence: restores, ranges lost, forks.

use serde::{Deserialize, Serialize};

use crate::{RuntimeId, tlog::Hash};

/// The log goes on from a backup: always the first event of its new epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRestored {
    /// The epoch that the backup was taken in.
    pub old_epoch: u64,
    /// How many events were restored.
    pub size: u64,
    /// The root of their tree.
    #[serde(with = "hex_hash")]
    pub root: Hash,
}

/// A runtime holds a checkpoint of an older epoch that reaches beyond what was restored: these
/// events were acknowledged, and the backup did not have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRangeLost {
    /// The epoch that they stood in.
    pub old_epoch: u64,
    /// The first of them known to be lost: exactly the first, where the log went through that epoch.
    pub from_seq: u64,
    /// The last of them that is known of.
    pub to_seq: u64,
    /// The root at the checkpoint that says so.
    #[serde(with = "hex_hash")]
    pub root: Hash,
    /// Who holds that checkpoint.
    pub runtime_id: RuntimeId,
}

/// A runtime holds a checkpoint that this log does not continue: one of two histories was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogForked {
    /// The epoch of the checkpoint held.
    pub epoch: u64,
    /// Its size.
    pub held_size: u64,
    /// Its root.
    #[serde(with = "hex_hash")]
    pub held_root: Hash,
    /// The root of this log at that size; absent where the log is shorter.
    #[serde(default, with = "hex_hash_or_none")]
    pub own_root: Option<Hash>,
    /// Who holds it.
    pub runtime_id: RuntimeId,
}

/// A hash as 64 lower-case hex digits, in one spelling only.
mod hex_hash {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::tlog::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        read(&String::deserialize(from)?)
            .ok_or_else(|| D::Error::custom("not 64 lower-case hex digits"))
    }

    pub(super) fn read(text: &str) -> Option<Hash> {
        let hash: Hash = hex::decode(text).ok()?.try_into().ok()?;
        (hex::encode(hash) == text).then_some(hash)
    }
}

/// The same, or `null`.
mod hex_hash_or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::hex_hash;
    use crate::tlog::Hash;

    #[expect(clippy::ref_option, reason = "serde says what it gives")]
    pub(super) fn serialize<S: Serializer>(hash: &Option<Hash>, to: S) -> Result<S::Ok, S::Error> {
        hash.map(hex::encode).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Hash>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        hex_hash::read(&text)
            .map(Some)
            .ok_or_else(|| D::Error::custom("not 64 lower-case hex digits"))
    }
}
