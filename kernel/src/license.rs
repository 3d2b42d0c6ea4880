//! Licenses: their sequence, how long they serve, and what stands in one.
//!
//! The kernel plans plain values here; the shell builds and signs the document, then has
//! [`crate::Command::IssueLicense`] decided, and hands the license out only when that is durable.

use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    entity::{
        DeploymentMode, Feature, Limit, Mode, Policies, RuntimeStatus, RuntimeType, SecurityLevel,
        TenantStatus, TenantType, TimeWindow,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    Rejection, State,
    check::{Grant, Usage},
    grants::{Caller, is_rolling, usage},
    planted::planted,
    state::Counter,
    window::{Window, window_at},
};

/// A place among all licenses of one (runtime, tenant): compared by epoch, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence {
    /// Rises with every restore from a backup.
    pub epoch: u64,
    /// Rises by one with each license within an epoch.
    pub seq: u64,
}

impl Sequence {
    /// The place after `held` in an epoch. Never goes backwards: an epoch below the held one is
    /// read as the held one.
    #[must_use]
    pub fn after(held: Option<Self>, epoch: u64) -> Self {
        match held {
            Some(held) if held.epoch >= epoch => Self {
                epoch: held.epoch,
                seq: if planted("license_seq_reset") {
                    1 + held.seq % 3
                } else {
                    held.seq.saturating_add(1)
                },
            },
            Some(_) | None => Self { epoch, seq: 1 },
        }
    }

    /// Whether a holder of `self` may take `offered`: the same again, or a later one.
    #[must_use]
    pub fn admits(self, offered: Self) -> bool {
        if planted("license_ignores_epoch") {
            return offered.seq >= self.seq;
        }
        offered >= self
    }
}

/// How long licenses of a tenant serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LicensePolicy {
    /// From issue to expiry.
    pub ttl_ms: u64,
    /// From expiry to the end of all use.
    pub grace_ms: u64,
    /// Whether units may be taken after expiry, within grace.
    pub consumes_when_expired: bool,
}

impl LicensePolicy {
    /// The policy of a security level.
    #[must_use]
    pub const fn of(level: SecurityLevel) -> Self {
        match level {
            SecurityLevel::Standard => Self {
                ttl_ms: WEEK_MS,
                grace_ms: WEEK_MS,
                consumes_when_expired: true,
            },
            SecurityLevel::Enterprise => Self {
                ttl_ms: DAY_MS,
                grace_ms: DAY_MS,
                consumes_when_expired: false,
            },
        }
    }

    /// How long a runtime may go on without the kernel.
    #[must_use]
    pub const fn offline_max_ms(&self) -> u64 {
        self.ttl_ms + self.grace_ms
    }
}

/// The plain values of a license that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicensePlan {
    /// Its place.
    pub sequence: Sequence,
    /// For which runtime.
    pub runtime: RuntimeId,
    /// For which tenant acted for.
    pub tenant: TenantId,
    /// What that tenant is.
    pub tenant_type: TenantType,
    /// How that tenant is handled.
    pub policies: Policies,
    /// What the runtime is.
    pub runtime_type: RuntimeType,
    /// How the runtime is deployed.
    pub deployment_mode: DeploymentMode,
    /// When it is signed; it serves from then.
    pub issued: Timestamp,
    /// When it ends.
    pub expiry: Timestamp,
    /// How long it serves from its issue, in milliseconds.
    pub ttl_ms: u64,
    /// How long after its end it still serves, in milliseconds.
    pub grace_ms: u64,
    /// The binding key it is bound to: SHA-256 of its SPKI, hex.
    pub cnf: String,
    /// The desired-state revision it shows.
    pub revision: u64,
    /// Least generation of a revocation list that may go with it, 0 for none.
    pub min_generation: u64,
    /// What the tenant may do on that runtime.
    pub entitlements: Vec<PlannedEntitlement>,
}

/// One entitlement of a license.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedEntitlement {
    /// What.
    pub feature: Feature,
    /// For this runtime only; for all where absent.
    pub runtime: Option<RuntimeId>,
    /// How much.
    pub limit: Limit,
    /// Over which time it is counted.
    pub time_window: Option<TimeWindow>,
    /// What happens where it says no.
    pub mode: Mode,
    /// Until when, exclusive.
    pub valid_until: Timestamp,
    /// When it was first granted.
    pub created: Timestamp,
    /// When it was last granted.
    pub updated: Timestamp,
    /// The window at issue, where it has begun.
    pub window: Option<Window>,
    /// What was taken in it at issue.
    pub used: u64,
}

impl From<&PlannedEntitlement> for Grant {
    fn from(planned: &PlannedEntitlement) -> Self {
        Self {
            of_resource: planned.feature.resource().is_some(),
            runtime: planned.runtime,
            limit: planned.limit,
            time_window: planned.time_window,
            mode: planned.mode,
            valid_until: planned.valid_until,
        }
    }
}

/// What the runtime is, as its own tenant's log knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licensee {
    /// Who asks.
    pub caller: Caller,
    /// What it is.
    pub runtime_type: RuntimeType,
    /// How it is deployed.
    pub deployment_mode: DeploymentMode,
    /// The binding key it has: SHA-256 of its SPKI, hex.
    pub cnf: String,
}

/// The place of the next license of (runtime, this tenant).
#[must_use]
pub fn next_sequence(state: &State, runtime: RuntimeId) -> Sequence {
    Sequence::after(
        state.license(runtime).map(|head| head.sequence),
        state.epoch(),
    )
}

/// Plans the next license, with every entitlement that could match a check of this runtime:
/// ended ones too, so that the reason is the same offline.
///
/// An individual's license ends no later than the last resolve serves, without grace: offline the
/// shared runtime acts for the individual no longer than online.
///
/// # Errors
/// [`Rejection`] where anything on the way is suspended or revoked, or may not act for the tenant.
pub fn plan_license(
    state: &State,
    licensee: &Licensee,
    now: Timestamp,
) -> Result<LicensePlan, Rejection> {
    let tenant = state.tenant().ok_or(Rejection::NotFound)?;
    let caller = state.refreshed(&licensee.caller);
    let facts = state.check_facts(&caller)?;
    match facts.runtime_status {
        RuntimeStatus::Revoked => return Err(Rejection::RuntimeRevoked),
        RuntimeStatus::Suspended => return Err(Rejection::RuntimeSuspended),
        RuntimeStatus::Registered | RuntimeStatus::Active => {}
    }
    // A license that is issued now would outlast whoever hides the kill from the runtime.
    if facts.killed {
        return Err(Rejection::RuntimeKilled);
    }
    if [facts.tenant_status, facts.runtime_tenant_status].contains(&TenantStatus::Suspended) {
        return Err(Rejection::TenantSuspended);
    }
    let policy = LicensePolicy::of(tenant.policies.security_level);
    let (expiry, grace_ms) = match facts.resolve {
        crate::check::Resolve::NotNeeded => (now.plus_millis(policy.ttl_ms), policy.grace_ms),
        crate::check::Resolve::Until(until) => {
            let until = until
                .filter(|&until| now < until)
                .ok_or(Rejection::ResolveNeeded)?;
            (now.plus_millis(policy.ttl_ms).min(until), 0)
        }
    };
    let runtime = licensee.caller.runtime;
    Ok(LicensePlan {
        sequence: next_sequence(state, runtime),
        runtime,
        tenant: tenant.id,
        tenant_type: tenant.tenant_type,
        policies: tenant.policies.clone(),
        runtime_type: licensee.runtime_type,
        deployment_mode: licensee.deployment_mode,
        issued: now,
        expiry,
        ttl_ms: expiry.millis_since(now),
        grace_ms,
        cnf: licensee.cnf.clone(),
        revision: state.revision(),
        min_generation: 0,
        entitlements: effective(state, runtime, now),
    })
}

/// What could match a check of the runtime: its own, and those for all that none of its own
/// stands before.
#[must_use]
pub fn effective(state: &State, runtime: RuntimeId, now: Timestamp) -> Vec<PlannedEntitlement> {
    // Both are in the order of (feature, runtime), so that neither is searched through for each.
    let own: Vec<&Feature> = state
        .entitlements()
        .filter(|entitlement| entitlement.runtime == Some(runtime))
        .map(|entitlement| &entitlement.feature)
        .collect();
    let mut counters = state.counters().peekable();
    let concerns = |of: Option<RuntimeId>, feature: &Feature| match of {
        Some(of) => of == runtime,
        None => own.binary_search(&feature).is_err(),
    };
    let mut windows = Windows::new(state, now);
    state
        .entitlements()
        .filter(|entitlement| concerns(entitlement.runtime, &entitlement.feature))
        .map(|entitlement| {
            let place = (&entitlement.feature, entitlement.runtime);
            while counters.next_if(|(of, _)| *of < place).is_some() {}
            let counter = counters.next_if(|(of, _)| *of == place);
            let usage = windows.usage(counter.map(|(_, counter)| counter), entitlement.time_window);
            PlannedEntitlement {
                feature: entitlement.feature.clone(),
                runtime: entitlement.runtime,
                limit: entitlement.limit,
                time_window: entitlement.time_window,
                mode: entitlement.mode,
                valid_until: entitlement.valid_until,
                created: entitlement.created,
                updated: entitlement.updated,
                window: usage.begun.then_some(usage.window),
                used: usage.used,
            }
        })
        .collect()
}

/// Windows of one zone at one moment: the calendar is asked once for each kind of window.
struct Windows<'a> {
    zone: &'a str,
    now: Timestamp,
    /// Of every kind but rolling ones, whose number has no bound and which need no calendar.
    held: Vec<(Option<TimeWindow>, Window)>,
}

impl<'a> Windows<'a> {
    fn new(state: &'a State, now: Timestamp) -> Self {
        Self {
            zone: state.time_zone(),
            now,
            held: Vec::new(),
        }
    }

    fn usage(&mut self, counter: Option<&Counter>, time_window: Option<TimeWindow>) -> Usage {
        let now = self.now;
        usage(counter, time_window, now, || self.fresh(time_window))
    }

    fn fresh(&mut self, time_window: Option<TimeWindow>) -> Window {
        let held = self.held.iter().find(|(kind, _)| *kind == time_window);
        if let Some((_, window)) = held {
            return *window;
        }
        let window = window_at(time_window, self.zone, self.now, None);
        if !is_rolling(time_window) {
            self.held.push((time_window, window));
        }
        window
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Standard licenses outlive a long week-end without the kernel, twice over with their grace.
const WEEK_MS: u64 = 7 * DAY_MS;
