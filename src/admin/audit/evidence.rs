//! Checkpoints and proofs of a tenant's log, signed when they are asked for.
//!
//! Signed is only what is durable: the size and root of the state, which every acknowledged event
//! went through. Nothing is kept here; whoever asks again gets a later checkpoint.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::{
    Code, TenantId,
    note::verifier_key,
    tlog::{self, Proof},
};
use provost_store::Head;
use serde::Deserialize;

use super::super::{Admin, answer::Answer, call::Call, reach::Act, view};
use crate::problem::Refusal;

/// From which size on the log shall be proved to have only grown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    from_size: Option<u64>,
}

/// Where a log ends, signed.
struct Signed {
    head: Head,
    checkpoint: tlog::Checkpoint,
    note: String,
    verifier_key: String,
}

pub(super) async fn checkpoint(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let since: Since = call.query()?;
    let signed = admin.signed(tenant.id).await?;
    let consistency = match since.from_size {
        None => None,
        Some(from) => {
            let size = signed.head.seq;
            let path = admin.backend().consistency(tenant.id, from, size).await?;
            let path = path.ok_or_else(|| {
                let text = format!("from_size: the log has {size} events");
                Refusal::new(Code::Invalid, text)
            })?;
            Some(path.iter().map(|hash| STANDARD.encode(hash)).collect())
        }
    };
    Answer::ok(&view::Checkpoint {
        epoch: signed.head.epoch,
        size: signed.checkpoint.size,
        root: hex::encode(signed.checkpoint.root),
        checkpoint: signed.note,
        verifier_key: signed.verifier_key,
        consistency,
    })
}

pub(super) async fn proof(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let seq: u64 = call.number("seq")?;
    let signed = admin.signed(tenant.id).await?;
    let size = signed.head.seq;
    let found = admin.backend().inclusion(tenant.id, seq, size).await?;
    let (leaf, path) = found.ok_or_else(Refusal::not_found)?;
    let proof = Proof {
        extra: None,
        // No leaf has sequence 0: it was not found.
        index: seq.saturating_sub(1),
        path,
        checkpoint: signed.note,
    };
    Answer::ok(&view::InclusionProof {
        seq,
        size,
        proof: proof.to_text(),
        leaf: STANDARD.encode(&leaf.bytes),
        verifier_key: signed.verifier_key,
    })
}

impl Admin {
    /// Signs where a tenant's log ends; in an epoch that forked, nothing: it would contradict what
    /// a runtime holds (C2SP tlog-checkpoint).
    async fn signed(&self, tenant: TenantId) -> Result<Signed, Refusal> {
        let head = self.backend().head(tenant).await?;
        let head = head.ok_or_else(Refusal::not_found)?;
        // After the head: a fork that was recorded meanwhile counts.
        let history = self.entity(tenant, EntityKey::History).await?;
        if matches!(history.as_deref(), Some(Entity::History(log)) if log.is_forked(head.epoch)) {
            let why = "a runtime holds a checkpoint that this log does not continue";
            return Err(Refusal::new(Code::LogForked, why));
        }
        let house = self.context.directory.house();
        let checkpoint = tlog::Checkpoint {
            origin: tlog::origin(house.install, tenant, head.epoch),
            size: head.seq,
            root: head.frontier.root(),
        };
        let signer = &*house.checkpoint_signer;
        Ok(Signed {
            note: checkpoint.sign(signer),
            verifier_key: verifier_key(&checkpoint.origin, &signer.public_key()),
            checkpoint,
            head,
        })
    }
}
