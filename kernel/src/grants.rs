//! How a tenant's state answers the evaluator.

use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    entity::{Feature, RuntimeStatus, TenantStatus, TenantType, TimeWindow},
    wire::DesiredLimit,
};

use crate::{
    Rejection, State,
    check::{CheckFacts, Grant, Grants, Metering, Resolve, Usage},
    planted::planted,
    state::{Counter, Entitlement},
    window::{Window, window_at},
};

/// The runtime that asks, as its own actor knows it: it may be of another tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The runtime's own tenant.
    pub tenant: TenantId,
    /// That tenant's status.
    pub tenant_status: TenantStatus,
    /// The runtime's status.
    pub status: RuntimeStatus,
    /// Whether an operator killed it.
    pub killed: bool,
}

impl State {
    /// The caller as this tenant's own log knows it, where it is the tenant's own: what was waiting
    /// while its runtime was revoked is decided by what is true, not by what it carries.
    pub(crate) fn refreshed(&self, caller: &Caller) -> Caller {
        let mut caller = *caller;
        if caller.tenant == self.tenant_id() {
            if let Some(runtime) = self.runtime(caller.runtime) {
                caller.status = runtime.status;
            }
            if let Some(tenant) = self.tenant() {
                caller.tenant_status = tenant.status;
            }
            caller.killed = self.is_killed(caller.runtime);
        }
        caller
    }

    /// Gathers what a check by this runtime depends on, for this tenant.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] before the tenant's first event, [`Rejection::NotAttached`] where
    /// the runtime is neither the tenant's own nor attached to it.
    pub fn check_facts(&self, caller: &Caller) -> Result<CheckFacts, Rejection> {
        let tenant = self.tenant().ok_or(Rejection::NotFound)?;
        let resolve = if caller.tenant == tenant.id {
            Resolve::NotNeeded
        } else {
            let attachment = self
                .attachment(caller.runtime)
                .ok_or(Rejection::NotAttached)?;
            if attachment.operator != caller.tenant {
                return Err(Rejection::NotAttached);
            }
            match tenant.tenant_type {
                TenantType::Individual => Resolve::Until(attachment.resolved_until),
                TenantType::Company | TenantType::Internal => Resolve::NotNeeded,
            }
        };
        Ok(CheckFacts {
            runtime: caller.runtime,
            runtime_status: caller.status,
            runtime_tenant_status: caller.tenant_status,
            tenant_status: tenant.status,
            resolve,
            killed: caller.killed,
            metering: Metering::Quota,
        })
    }

    /// The zone whose calendar the tenant's windows follow.
    pub(crate) fn time_zone(&self) -> &str {
        self.tenant()
            .map_or("UTC", |tenant| tenant.time_zone.as_str())
    }

    /// The window of an entitlement at a moment, and what is taken in it.
    #[must_use]
    pub fn usage_of(
        &self,
        feature: &Feature,
        runtime: Option<RuntimeId>,
        time_window: Option<TimeWindow>,
        now: Timestamp,
    ) -> Usage {
        let fresh = || window_at(time_window, self.time_zone(), now, None);
        usage(self.counter(feature, runtime), time_window, now, fresh)
    }
}

/// What an entitlement's counter says, or a window that `fresh` begins where it says nothing.
pub(crate) fn usage(
    counter: Option<&Counter>,
    time_window: Option<TimeWindow>,
    now: Timestamp,
    fresh: impl FnOnce() -> Window,
) -> Usage {
    let counter = counter
        // Granted anew over another window, it is counted anew.
        .filter(|counter| counter.time_window == time_window)
        // Also while `now` is before its start: a clock set back gives nothing again.
        .filter(|counter| is_running(counter, now));
    match counter {
        Some(counter) => Usage {
            window: Window {
                start: counter.window_start,
                end: counter.window_end,
            },
            begun: true,
            used: counter.used,
        },
        None => Usage {
            window: fresh(),
            begun: !is_rolling(time_window),
            used: 0,
        },
    }
}

impl Grants for State {
    fn grant(&self, feature: &Feature, runtime: Option<RuntimeId>) -> Option<Grant> {
        self.entitlement(feature, runtime).map(Grant::from)
    }

    fn usage(&self, feature: &Feature, grant: &Grant, now: Timestamp) -> Usage {
        self.usage_of(feature, grant.runtime, grant.time_window, now)
    }

    fn narrowing(&self, runtime: RuntimeId) -> &[DesiredLimit] {
        self.directives(runtime)
            .map_or(&[], |directives| directives.limits.as_slice())
    }
}

impl From<&Entitlement> for Grant {
    fn from(entitlement: &Entitlement) -> Self {
        Self {
            of_resource: entitlement.feature.resource().is_some(),
            runtime: entitlement.runtime,
            limit: entitlement.limit,
            time_window: entitlement.time_window,
            mode: entitlement.mode,
            valid_until: entitlement.valid_until,
        }
    }
}

fn is_running(counter: &Counter, now: Timestamp) -> bool {
    now < counter.window_end || planted("window_never_resets")
}

pub(crate) fn is_rolling(window: Option<TimeWindow>) -> bool {
    match window {
        Some(TimeWindow::Rolling { .. }) => true,
        None
        | Some(
            TimeWindow::Hour
            | TimeWindow::Day
            | TimeWindow::Week
            | TimeWindow::Month
            | TimeWindow::Year,
        ) => false,
    }
}
