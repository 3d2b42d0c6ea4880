//! May the runtime execute? From the view where nothing is taken, through the log where it is.

use std::borrow::Cow;

use provost_kernel::{
    Command,
    check::{Judgement, Question, evaluate},
    command::Consume,
};
use provost_protocol::{
    Code, CorrelationId, Problem, entity::Feature, envelope::Idempotency, verdict::Verdict,
    wire::Check,
};
use sha2::{Digest, Sha256};

use super::{Gateway, Known, Peer};
use crate::{Meta, TenantError, TenantHandle};

impl Gateway {
    pub(super) async fn check(
        &self,
        peer: &Peer,
        correlation_id: CorrelationId,
        known: &Known,
        acted: &TenantHandle,
        check: Check,
    ) -> Result<Verdict, Problem> {
        if let Some(amount) = check.consume {
            let meta = peer.meta(correlation_id);
            return self.consume(meta, known, acted, check, amount).await;
        }
        let view = acted.view();
        let facts = view
            .check_facts(&known.caller)
            .map_err(|rejection| TenantError::from(rejection).problem())?;
        let now = self.directory.house().clock.now();
        let question = Question {
            feature: Cow::Owned(check.feature),
            consume: None,
        };
        let judgement = evaluate(&facts, &*view, &question, now);
        let meta = peer.meta(correlation_id);
        self.record_override(meta, known, acted, &question.feature, &judgement)
            .await;
        Ok(judgement.verdict)
    }

    async fn consume(
        &self,
        mut meta: Meta,
        known: &Known,
        acted: &TenantHandle,
        check: Check,
        amount: u64,
    ) -> Result<Verdict, Problem> {
        meta.idempotency = check.idempotency.map(|key| Idempotency {
            scope: format!("runtime/{}", known.caller.runtime),
            key: key.to_string(),
            request_sha256: sha256_hex(format!("consume\n{}\n{amount}", check.feature).as_bytes()),
        });
        let command = Command::Consume(Consume {
            caller: known.caller,
            feature: check.feature,
            amount,
            prior: None,
        });
        let executed = acted
            .execute(command, meta)
            .await
            .map_err(|error| error.problem())?;
        let mut verdicts = executed
            .events
            .iter()
            .filter_map(|event| provost_kernel::answer(&event.event));
        verdicts
            .next()
            .ok_or_else(|| Problem::new(Code::Internal, "no verdict"))
    }

    /// What a mode let through is recorded, once a minute for each runtime, feature and reason.
    async fn record_override(
        &self,
        meta: Meta,
        known: &Known,
        acted: &TenantHandle,
        feature: &Feature,
        judgement: &Judgement,
    ) {
        let (Some(reason), Some((grant, _))) = (judgement.overridden, &judgement.matched) else {
            return;
        };
        let runtime = known.caller.runtime;
        let now = self.directory.house().clock.now();
        if !self
            .throttle
            .admits((acted.id(), runtime, feature.clone(), reason), now)
        {
            return;
        }
        let command = Command::RecordOverride {
            runtime,
            feature: feature.clone(),
            mode: grant.mode,
            reason,
        };
        if let Err(error) = acted.execute(command, meta).await {
            tracing::warn!(%error, "an overridden denial was not recorded");
        }
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    crate::hex::encode(&Sha256::digest(bytes))
}
