//! A check answered here: the kernel's own evaluator over a license.
//!
//! The same facts give the same verdict as over there. Two things a license cannot know: how much
//! of a quota is taken since it was issued, and whether a rolling window has begun since. Units are
//! therefore never taken here, and while the kernel can be asked it is asked about metered
//! entitlements.

use provost_kernel::{
    check::{
        CheckFacts, Grant, Grants, Judgement, Metering, Question, Resolve, Usage, barred, evaluate,
    },
    window::Window,
};
use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{Feature, Limit, RuntimeStatus, TenantStatus},
    license::{LicenseDocument, LicenseEntitlement},
    verdict::{Reason, Verdict},
    wire::DesiredLimit,
};

use crate::{
    mode::{Mode, Standing},
    tenants::Tenant,
};

/// What a local check depends on besides the tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The runtime that asks.
    pub(crate) runtime: RuntimeId,
    /// Its status, as last heard with the session.
    pub(crate) runtime_status: RuntimeStatus,
    /// The runtime's own tenant, where anything of it is held.
    pub(crate) own: Option<&'a Tenant>,
    /// The highest time known to have passed.
    pub(crate) now: Timestamp,
}

/// Answers a question without the kernel.
pub(crate) fn judge(
    tenant: Option<&Tenant>,
    around: &Around<'_>,
    question: &Question<'_>,
) -> Judgement {
    let facts = facts(tenant, around);
    let denied = |reason| Judgement {
        verdict: Verdict::denied(reason),
        matched: None,
        overridden: None,
    };
    if let Some(reason) = barred(&facts, around.now) {
        return denied(reason);
    }
    let Some(license) = tenant.and_then(|tenant| tenant.license.as_ref()) else {
        return denied(Reason::NoLicense);
    };
    let offline = Standing::of(false, Some(&license.document), around.now);
    if offline.mode == Mode::Locked {
        return denied(Reason::LicenseExpired);
    }
    let narrowing = tenant.and_then(|tenant| tenant.desired.state());
    let grants = Licensed {
        document: &license.document,
        narrowing: narrowing.map_or(&[], |state| state.limits.as_slice()),
    };
    evaluate(&facts, &grants, question, around.now)
}

/// Whether the tenant's license alone can answer while the kernel could be asked too.
pub(crate) fn suffices(tenant: &Tenant, judgement: &Judgement) -> bool {
    let metered = judgement
        .matched
        .as_ref()
        .is_some_and(|(grant, _)| matches!(grant.limit, Limit::Quota(_)));
    tenant.license.is_some() && !tenant.is_stale() && !metered
}

fn facts(tenant: Option<&Tenant>, around: &Around<'_>) -> CheckFacts {
    let desired = tenant.and_then(|tenant| tenant.desired.state());
    let own = around.own.and_then(|own| own.desired.state());
    let licensed = tenant.and_then(|tenant| tenant.license.as_ref());
    CheckFacts {
        runtime: around.runtime,
        // Runtime and switch are the own tenant's to say: only its revision rises with them.
        // That it was revoked is heard as a refusal, and stands above every older state.
        runtime_status: match around.runtime_status {
            RuntimeStatus::Revoked => RuntimeStatus::Revoked,
            heard => own.map_or(heard, |state| state.runtime_status),
        },
        runtime_tenant_status: own.map_or(TenantStatus::Active, |state| state.tenant_status),
        tenant_status: desired.map_or_else(
            || {
                licensed.map_or(TenantStatus::Active, |license| {
                    license.document.tenant_status
                })
            },
            |state| state.tenant_status,
        ),
        // Who was resolved stands in the license: an individual's ends with the resolve.
        resolve: Resolve::NotNeeded,
        killed: own.is_some_and(|state| state.killed),
        metering: Metering::LeaseOnly,
    }
}

/// A license as the evaluator looks entitlements up.
struct Licensed<'a> {
    document: &'a LicenseDocument,
    narrowing: &'a [DesiredLimit],
}

impl Licensed<'_> {
    fn entitlement(
        &self,
        feature: &Feature,
        runtime: Option<RuntimeId>,
    ) -> Option<&LicenseEntitlement> {
        self.document
            .entitlements
            .iter()
            .find(|entitled| entitled.feature == *feature && entitled.runtime == runtime)
    }
}

impl Grants for Licensed<'_> {
    fn grant(&self, feature: &Feature, runtime: Option<RuntimeId>) -> Option<Grant> {
        self.entitlement(feature, runtime).map(|entitled| Grant {
            of_resource: entitled.feature.resource().is_some(),
            runtime: entitled.runtime,
            limit: entitled.limit,
            time_window: entitled.time_window,
            mode: entitled.mode,
            valid_until: entitled.valid_until,
        })
    }

    fn usage(&self, feature: &Feature, grant: &Grant, now: Timestamp) -> Usage {
        let window = self
            .entitlement(feature, grant.runtime)
            .and_then(|entitled| entitled.window)
            .map(|(start, end)| Window { start, end })
            .filter(|window| now < window.end);
        Usage {
            // Only the kernel computes windows: of the next one nothing is said.
            window: window.unwrap_or(Window::FOREVER),
            begun: window.is_some(),
            used: 0,
        }
    }

    fn narrowing(&self, _: RuntimeId) -> &[DesiredLimit] {
        self.narrowing
    }
}

#[cfg(test)]
mod tests;
