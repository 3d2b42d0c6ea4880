//! The evaluator: may this runtime do this now? One pure function for both sides.
//!
//! The kernel asks it over a tenant's [`State`](crate::State), the connector over a license: the
//! same facts give the same verdict. Statuses come first, then the entitlement that matches.

use std::borrow::Cow;

use provost_protocol::{
    RuntimeId, Timestamp,
    entity::{Feature, GrammarError, Limit, Mode, RuntimeStatus, TenantStatus, TimeWindow},
    verdict::{Limits, Reason, Verdict},
    wire::DesiredLimit,
};

use crate::{planted::planted, window::Window};

/// Where entitlements are looked up, by exactly their key.
pub trait Grants {
    /// The entitlement of this feature for this runtime only, or for all.
    fn grant(&self, feature: &Feature, runtime: Option<RuntimeId>) -> Option<Grant>;

    /// The window in which a unit of this feature taken `now` would be counted, and what is taken
    /// in it already.
    fn usage(&self, feature: &Feature, grant: &Grant, now: Timestamp) -> Usage;

    /// What an operator narrowed the runtime to; ended limits may be among them.
    fn narrowing(&self, runtime: RuntimeId) -> &[DesiredLimit];
}

/// What one entitlement says of its feature, as far as a verdict needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Whether it is for one resource, and not for the feature as a whole.
    pub of_resource: bool,
    /// For this runtime only; for all where absent.
    pub runtime: Option<RuntimeId>,
    /// How much.
    pub limit: Limit,
    /// Over which time a quota is counted.
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no.
    pub mode: Mode,
    /// Until when, exclusive.
    pub valid_until: Timestamp,
}

/// What is taken of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The window.
    pub window: Window,
    /// Whether the window has begun: a rolling one begins with its first use.
    pub begun: bool,
    /// Units taken in it.
    pub used: u64,
}

/// All that a verdict depends on besides the entitlements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckFacts {
    /// The runtime that asks.
    pub runtime: RuntimeId,
    /// Its status.
    pub runtime_status: RuntimeStatus,
    /// Status of the runtime's own tenant.
    pub runtime_tenant_status: TenantStatus,
    /// Status of the tenant acted for.
    pub tenant_status: TenantStatus,
    /// Whether a person must have been resolved, and until when that serves.
    pub resolve: Resolve,
    /// Whether an operator killed the runtime.
    pub killed: bool,
    /// From where units may be taken.
    pub metering: Metering,
}

/// Whether a person of the tenant must have been resolved through the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// The tenant is no individual's, or the runtime is its own.
    NotNeeded,
    /// Serves until then, exclusive; absent where nobody was resolved.
    Until(Option<Timestamp>),
}

/// From where units may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// From the quota: the kernel decides.
    Quota,
    /// From a lease only, and there is none: offline.
    LeaseOnly,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'a> {
    /// What for, with its resource if it has one.
    pub feature: Cow<'a, Feature>,
    /// Takes so many units from the quota.
    pub consume: Option<u64>,
}

/// A verdict, and what it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The answer.
    pub verdict: Verdict,
    /// The entitlement that matched, and its use before the question.
    pub matched: Option<(Grant, Usage)>,
    /// Why `enforce` would have denied what was let through: to be recorded.
    pub overridden: Option<Reason>,
}

impl Question<'_> {
    /// Builds a question from a feature and the resource of its context.
    ///
    /// # Errors
    /// [`GrammarError`] where either is malformed, or both name a resource and not the same.
    pub fn new(
        feature: &str,
        resource: Option<&str>,
        consume: Option<u64>,
    ) -> Result<Self, GrammarError> {
        let named = Feature::parse(feature)?;
        let feature = match (named.resource(), resource) {
            (_, None) => named,
            (None, Some(resource)) => Feature::new(named.key(), Some(resource))?,
            (Some(one), Some(other)) if one == other => named,
            (Some(_), Some(other)) => {
                return Err(GrammarError {
                    what: "resource",
                    text: other.chars().take(40).collect(),
                    why: "the feature names another resource",
                });
            }
        };
        Ok(Self {
            feature: Cow::Owned(feature),
            consume,
        })
    }
}

/// Answers a question.
///
/// Order of reasons: revoked, killed, suspended runtime, suspended tenant (the runtime's own, then
/// the one acted for), resolve needed, then the entitlement. Only what the entitlement says is
/// softened by its mode. With `consume` the limits are those after taking.
#[must_use]
pub fn evaluate(
    facts: &CheckFacts,
    grants: &impl Grants,
    question: &Question<'_>,
    now: Timestamp,
) -> Judgement {
    if let Some(reason) = barred(facts, now) {
        return Judgement {
            verdict: Verdict::denied(reason),
            matched: None,
            overridden: None,
        };
    }
    let Some((feature, grant)) = find(grants, &question.feature, facts.runtime) else {
        return Judgement {
            verdict: Verdict::denied(Reason::NoEntitlement),
            matched: None,
            overridden: None,
        };
    };
    let grant = narrowed(grant, grants.narrowing(facts.runtime), question, now);
    let usage = grants.usage(&feature, &grant, now);
    if question.consume.is_some() && facts.metering == Metering::LeaseOnly {
        let limits = Some(limits(&grant, &usage, 0));
        let verdict = Verdict {
            allowed: false,
            reason: Reason::NoLease,
            limits,
        };
        return Judgement {
            verdict,
            matched: Some((grant, usage)),
            overridden: None,
        };
    }
    judge(grant, usage, question.consume, now)
}

/// What the statuses alone forbid.
#[must_use]
pub fn barred(facts: &CheckFacts, now: Timestamp) -> Option<Reason> {
    if facts.runtime_status == RuntimeStatus::Revoked {
        return Some(Reason::RuntimeRevoked);
    }
    if facts.killed {
        return Some(Reason::Killed);
    }
    if facts.runtime_status == RuntimeStatus::Suspended {
        return Some(Reason::RuntimeSuspended);
    }
    let suspended =
        [facts.runtime_tenant_status, facts.tenant_status].contains(&TenantStatus::Suspended);
    if suspended && !planted("suspend_ignored") {
        return Some(Reason::TenantSuspended);
    }
    match facts.resolve {
        Resolve::NotNeeded => None,
        Resolve::Until(Some(until)) if now < until => None,
        Resolve::Until(_) => Some(Reason::ResolveNeeded),
    }
}

/// The key with its resource, then without; for this runtime only before for all.
fn find<'a>(
    grants: &impl Grants,
    feature: &'a Feature,
    runtime: RuntimeId,
) -> Option<(Cow<'a, Feature>, Grant)> {
    let narrow_first = |feature: &Feature| {
        grants
            .grant(feature, Some(runtime))
            .or_else(|| grants.grant(feature, None))
    };
    if let Some(grant) = narrow_first(feature) {
        return Some((Cow::Borrowed(feature), grant));
    }
    feature.resource()?;
    let whole = feature.without_resource();
    let grant = narrow_first(&whole)?;
    Some((Cow::Owned(whole), grant))
}

/// The entitlement under the directed limits that cover the question: those of the feature as a
/// whole, and those of the resource asked for.
fn narrowed(
    mut grant: Grant,
    limits: &[DesiredLimit],
    question: &Question<'_>,
    now: Timestamp,
) -> Grant {
    let asked = &question.feature;
    let covers = |limit: &&DesiredLimit| {
        let same = |resource| Some(resource) == asked.resource();
        now < limit.until
            && limit.feature.key() == asked.key()
            && limit.feature.resource().is_none_or(same)
    };
    for limit in limits.iter().filter(covers) {
        grant.limit = stricter(grant.limit, limit.limit);
    }
    grant
}

/// Whatever a limit says, nothing grows by it.
fn stricter(granted: Limit, to: Limit) -> Limit {
    match (granted, to) {
        (Limit::Quota(_), Limit::Quota(other)) if planted("limit_widens") => Limit::Quota(other),
        (Limit::Flag(false), _) | (_, Limit::Flag(false)) | (Limit::Flag(_), Limit::Quota(0)) => {
            Limit::Flag(false)
        }
        (Limit::Quota(one), Limit::Quota(other)) if other < one => Limit::Quota(other),
        (Limit::Unlimited, Limit::Quota(quota)) => Limit::Quota(quota),
        (Limit::Flag(true) | Limit::Quota(_) | Limit::Unlimited, _) => granted,
    }
}

fn judge(grant: Grant, usage: Usage, consume: Option<u64>, now: Timestamp) -> Judgement {
    let objection = objection(&grant, &usage, consume, now);
    // Units of a plain yes or no are refused in every mode: there is nothing to count them in.
    let uncountable = consume.is_some() && !is_counted(grant.limit);
    let mode = if uncountable {
        Mode::Enforce
    } else {
        grant.mode
    };
    let (allowed, reason, overridden) = match (objection, mode) {
        (None, _) => (true, Reason::Entitled, None),
        (Some(reason), Mode::Enforce) => (false, reason, None),
        (Some(reason), Mode::Warn) => (true, reason, Some(reason)),
        (Some(reason), Mode::Shadow) => (true, Reason::Entitled, Some(reason)),
    };
    let taken = consume
        .filter(|_| allowed && is_counted(grant.limit))
        .unwrap_or(0);
    let limits = Some(limits(&grant, &usage, taken));
    let verdict = Verdict {
        allowed,
        reason,
        limits,
    };
    Judgement {
        verdict,
        matched: Some((grant, usage)),
        overridden,
    }
}

/// Why `enforce` denies, if it does. A check that takes nothing is about one unit.
fn objection(grant: &Grant, usage: &Usage, consume: Option<u64>, now: Timestamp) -> Option<Reason> {
    if now >= grant.valid_until {
        return Some(Reason::EntitlementExpired);
    }
    match grant.limit {
        Limit::Flag(false) => Some(Reason::FeatureOff),
        // Units taken from a plain yes would be counted nowhere; that is a fault to be seen.
        Limit::Flag(true) => consume.map(|_| Reason::NotMetered),
        Limit::Unlimited => None,
        Limit::Quota(quota) => {
            let wanted = usage.used.saturating_add(consume.unwrap_or(1));
            let held = if planted("quota_off_by_one") {
                quota + 1
            } else {
                quota
            };
            (wanted > held).then_some(Reason::QuotaExhausted)
        }
    }
}

/// Whether units of such an entitlement are counted.
pub(crate) const fn is_counted(limit: Limit) -> bool {
    match limit {
        Limit::Flag(_) => false,
        Limit::Quota(_) | Limit::Unlimited => true,
    }
}

fn limits(grant: &Grant, usage: &Usage, taken: u64) -> Limits {
    let used = usage.used.saturating_add(taken);
    let quota = match grant.limit {
        Limit::Flag(_) | Limit::Unlimited => None,
        Limit::Quota(quota) => Some(quota),
    };
    let counted = is_counted(grant.limit);
    let begun = counted && (usage.begun || taken > 0);
    Limits {
        quota,
        used: counted.then_some(used),
        remaining: quota.map(|quota| quota.saturating_sub(used)),
        time_window: grant.time_window,
        resets_at: usage.window.resets_at().filter(|_| begun),
        mode: grant.mode,
    }
}
