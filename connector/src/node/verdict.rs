//! May the runtime execute? Decided here where a license suffices, by the kernel otherwise.

use provost_kernel::check::{Judgement, Question};
use provost_protocol::{
    CorrelationId, Problem, RequestId, TenantId,
    verdict::{Reason, Verdict},
    wire::{Check, Operation, Outcome},
};
use serde::Serialize;

use super::{Node, internal};
use crate::{
    check::{self, Around},
    clock::chance,
    event::VERDICT,
    link::CallError,
};

/// What is asked, for whom.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) tenant: TenantId,
    pub(crate) question: Question<'static>,
    pub(crate) idempotency: Option<RequestId>,
    pub(crate) correlation: CorrelationId,
}

/// The report of a verdict that was handed to the product.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Who decided: this connector, or the kernel it asked.
    by: &'static str,
    feature: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consume: Option<u64>,
    allowed: bool,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    overridden: Option<Reason>,
    license_epoch: Option<u64>,
    license_seq: Option<u64>,
    revision: u64,
    online: bool,
}

impl Node {
    /// Answers a check. The verdict is durably spooled before it is answered, also where the kernel
    /// gave it: so the log says of every page and every denial what it came from. What the kernel
    /// took from a quota stands in its own log already.
    pub(crate) async fn check(&self, asked: &Asked) -> Result<Verdict, Problem> {
        // Whatever the kernel might say: it is the kernel that must say that this is over.
        let judged = self.judge(asked);
        if judged.verdict.reason == Reason::Killed {
            return self.reported(asked, judged, self.link.is_up()).await;
        }
        let online = self.link.settled().await;
        if !online {
            return self.decide_here(asked, false).await;
        }
        if asked.question.consume.is_some() {
            return match self.ask_kernel(asked).await {
                Err(CallError::Down) => self.decide_here(asked, false).await,
                other => other.map_err(CallError::problem)?,
            };
        }
        let revision = self.revision(asked.tenant);
        // Who holds a license waits for nobody who pulls the next; who holds none looks again once
        // it has waited.
        if self.license_is_wanted(asked.tenant)
            && !self.pulls.resting(asked.tenant, revision).await
            && self.license_is_wanted(asked.tenant)
            && let Err(failure) = self.pull(asked.tenant, asked.correlation).await
        {
            // A refusal is no answer to the check: the kernel words it better in its verdict.
            tracing::debug!(%failure, "the kernel is asked in place of a license");
        }
        let held = self.core.tenants.find(asked.tenant);
        let judged = self.judge(asked);
        let unlicensed = matches!(
            judged.verdict.reason,
            Reason::NoLicense | Reason::LicenseExpired
        );
        if !unlicensed && held.is_some_and(|held| check::suffices(&held, &judged)) {
            return self.reported(asked, judged, true).await;
        }
        match self.ask_kernel(asked).await {
            Err(_) => self.decide_here(asked, false).await,
            Ok(answer) => {
                let verdict = answer?;
                let judged = Judgement {
                    verdict,
                    matched: None,
                    overridden: None,
                };
                self.report_verdict(asked, &judged, true, BY_KERNEL).await?;
                Ok(judged.verdict)
            }
        }
    }

    fn license_is_wanted(&self, tenant: TenantId) -> bool {
        self.core
            .tenants
            .find(tenant)
            .is_none_or(|held| held.license.is_none())
    }

    async fn decide_here(&self, asked: &Asked, online: bool) -> Result<Verdict, Problem> {
        self.reported(asked, self.judge(asked), online).await
    }

    fn judge(&self, asked: &Asked) -> Judgement {
        let tenant = self.core.tenants.find(asked.tenant);
        let own = self.core.tenants.find(self.core.me.tenant);
        let around = Around {
            runtime: self.core.me.runtime,
            runtime_status: self.core.facts.get().status(),
            own: own.as_deref(),
            now: self.core.floor.now(),
        };
        check::judge(tenant.as_deref(), &around, &asked.question)
    }

    /// The kernel's verdict or refusal; the error says why there is neither.
    async fn ask_kernel(&self, asked: &Asked) -> Result<Result<Verdict, Problem>, CallError> {
        let consume = asked.question.consume;
        let fresh = || RequestId::from_parts(self.core.floor.local(), chance());
        let check = Check {
            feature: asked.question.feature.clone().into_owned(),
            consume,
            idempotency: consume.map(|_| asked.idempotency.unwrap_or_else(fresh)),
        };
        let operation = Operation::Check(check);
        Ok(
            match self
                .link
                .call(asked.tenant, asked.correlation, operation)
                .await?
            {
                Outcome::Checked(verdict) => Ok(verdict),
                Outcome::Refused(problem) => Err(problem),
                _ => Err(internal()),
            },
        )
    }

    async fn reported(
        &self,
        asked: &Asked,
        judged: Judgement,
        online: bool,
    ) -> Result<Verdict, Problem> {
        self.report_verdict(asked, &judged, online, BY_CONNECTOR)
            .await?;
        Ok(judged.verdict)
    }

    async fn report_verdict(
        &self,
        asked: &Asked,
        judged: &Judgement,
        online: bool,
        by: &'static str,
    ) -> Result<(), Problem> {
        let held = self.core.tenants.find(asked.tenant);
        let license = held.as_ref().and_then(|held| held.license.as_ref());
        let feature = &asked.question.feature;
        let report = Report {
            by,
            feature: feature.key(),
            resource: feature.resource(),
            consume: asked.question.consume,
            allowed: judged.verdict.allowed,
            reason: judged.verdict.reason,
            overridden: judged.overridden,
            license_epoch: license.map(|license| license.document.epoch),
            license_seq: license.map(|license| license.document.seq),
            revision: license.map_or(0, |license| license.document.revision),
            online,
        };
        self.report(VERDICT, asked.tenant, asked.correlation, &report)
            .await
    }
}

const BY_CONNECTOR: &str = "connector";
const BY_KERNEL: &str = "kernel";
