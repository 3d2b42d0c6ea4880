//! Who asks, how often, and with which role.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::keyed::HashMapStateStore,
};
use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::{
    Code, Problem,
    entity::{Role, TenantStatus},
    ids::AdminKeyId,
};

use super::{Admin, key::AdminKey};
use crate::{config::Limits, problem::Refusal};

/// Whoever showed a key that is in force.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) key: AdminKey,
    pub(super) role: Role,
    /// Whether the key's own tenant may act.
    pub(super) active: bool,
}

/// What a route needs of the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Any role.
    Read,
    /// `admin` or `super_admin`.
    Write,
}

/// How often each key asked of late. Only keys in force are counted, so there are few.
#[derive(Debug)]
pub(super) struct Rates {
    limiter: Limiter,
    burst: NonZeroU32,
    clock: DefaultClock,
}

type Limiter = RateLimiter<
    AdminKeyId,
    HashMapStateStore<AdminKeyId>,
    DefaultClock,
    StateInformationMiddleware,
>;

/// What is left of a key's rate, for the answer's headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    limit: u32,
    remaining: u32,
    reset: Duration,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        let burst = limits.admin_burst;
        let quota = Quota::per_second(limits.admin_requests_per_second).allow_burst(burst);
        Self {
            limiter: RateLimiter::hashmap(quota).with_middleware(),
            burst,
            clock: DefaultClock::default(),
        }
    }

    fn count(&self, key: AdminKeyId) -> Result<Rate, (Rate, Refusal)> {
        let limit = self.burst.get();
        match self.limiter.check_key(&key) {
            Ok(snapshot) => Ok(Rate {
                limit,
                remaining: snapshot.remaining_burst_capacity(),
                reset: full_again(&snapshot, limit),
            }),
            Err(refused) => {
                let reset = refused.wait_time_from(self.clock.now());
                let millis = u64::try_from(reset.as_millis()).unwrap_or(u64::MAX).max(1);
                let problem = Problem::new(Code::RateLimited, "this key asks too often");
                let rate = Rate {
                    limit,
                    remaining: 0,
                    reset,
                };
                Err((rate, problem.retry_after_ms(millis).into()))
            }
        }
    }
}

impl Rate {
    /// Writes the headers.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let seconds = self.reset.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        headers.insert(RATE_LIMIT, HeaderValue::from(self.limit));
        headers.insert(RATE_REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RATE_RESET, HeaderValue::from(seconds));
    }
}

impl Admin {
    /// Says who asks.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Refusal> {
        let refused = || Refusal::new(Code::KeyRefused, "no admin key that is in force");
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let key: AdminKey = shown
            .and_then(|text| text.strip_prefix("Bearer "))
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(refused)?;
        let wanted = vec![EntityKey::Tenant, EntityKey::AdminKey(key.id())];
        let (mut record, mut active) = (None, false);
        for (_, entity) in self.backend().entities(key.tenant(), wanted).await? {
            match entity.as_deref() {
                Some(Entity::AdminKey(found)) => record = Some(found.clone()),
                Some(Entity::Tenant(tenant)) => active = tenant.status == TenantStatus::Active,
                _ => {}
            }
        }
        let record = record
            .filter(|record| key.is(&record.secret_sha256))
            .ok_or_else(refused)?;
        Ok(Arc::new(Caller {
            key,
            role: record.role,
            active,
        }))
    }

    /// Counts a request of a key.
    pub(super) fn count(&self, caller: &Caller) -> Result<Rate, (Rate, Refusal)> {
        self.rates.count(caller.key.id())
    }
}

impl Caller {
    /// Refuses a role that does not suffice, and every change by a suspended tenant's key.
    pub(super) fn suffices(&self, needs: Needs) -> Result<(), Refusal> {
        match (needs, self.role) {
            (Needs::Read, _) => Ok(()),
            (Needs::Write, Role::Auditor) => Err(Refusal::new(
                Code::RoleInsufficient,
                "needs a key of role admin",
            )),
            (Needs::Write, Role::Admin) if !self.active => Err(Refusal::new(
                Code::TenantSuspended,
                "the key's own tenant is suspended",
            )),
            (Needs::Write, Role::Admin | Role::SuperAdmin) => Ok(()),
        }
    }
}

/// How long until the whole burst is there again.
fn full_again(snapshot: &StateSnapshot, limit: u32) -> Duration {
    let used = limit.saturating_sub(snapshot.remaining_burst_capacity());
    snapshot.quota().replenish_interval().saturating_mul(used)
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
