//! Looks after what time changes: modes, licenses at half of their life, the signed time.

use std::{sync::Arc, time::Duration};

use provost_protocol::{TenantId, Timestamp};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use super::Node;
use crate::{link::LinkState, mode::Standing, tenants::Tenant};

/// Runs until the link's task is gone.
pub(crate) async fn upkeep(node: Arc<Node>, mut link: watch::Receiver<LinkState>) {
    let mut pulling = JoinSet::new();
    loop {
        let state = link.borrow_and_update().clone();
        // While a first attempt is under way nothing is known: no mode has changed.
        if state != LinkState::Starting {
            observe(&node, state.is_up()).await;
        }
        if state.is_up() {
            pull_due(&node, &mut pulling);
        }
        let wake = wake(&node);
        tokio::select! {
            changed = link.changed() => if changed.is_err() { break },
            () = node.core.upkeep.notified() => {}
            Some(_) = pulling.join_next() => {}
            () = sleep_until(wake) => {}
        }
    }
}

/// Reports every mode that changed.
pub(crate) async fn observe(node: &Node, link_up: bool) {
    let now = node.core.floor.now();
    for (tenant, change) in node.core.tenants.observe(link_up, now) {
        let standing = node.standing(tenant);
        info!(tenant.id = %tenant, from = %change.from, to = %change.to, "mode changed");
        let payload = json!({
            "from": change.from,
            "to": change.to,
            "next": standing.next.map(|(mode, _)| mode),
            "next_in_ms": standing.countdown_ms(now),
        });
        let kind = format!("connector.{}", change.to);
        let correlation = node.correlation();
        if let Err(problem) = node.report(&kind, tenant, correlation, &payload).await {
            warn!(tenant.id = %tenant, code = %problem.code, "a change of mode is not reported");
        }
    }
}

fn pull_due(node: &Arc<Node>, pulling: &mut JoinSet<()>) {
    let now = node.core.floor.now();
    let own = node.core.me.tenant;
    let mut due: Vec<_> = node
        .core
        .tenants
        .all()
        .into_iter()
        .filter(|(id, held)| is_due(held, *id == own, now))
        .map(|(id, _)| id)
        .collect();
    if node.core.tenants.find(own).is_none() {
        due.push(own);
    }
    for tenant in due {
        if pulling.len() >= PULLS_AT_ONCE_MAX {
            break;
        }
        if node.pulls.settled(tenant, node.revision(tenant)) {
            continue;
        }
        let node = Arc::clone(node);
        pulling.spawn(pull(node, tenant));
    }
}

async fn pull(node: Arc<Node>, tenant: TenantId) {
    let correlation = node.correlation();
    if let Err(failure) = node.pull(tenant, correlation).await {
        debug!(tenant.id = %tenant, %failure, "no new license");
    }
}

/// Half of a life leaves the other half for an outage; a higher revision means other entitlements.
fn is_due(held: &Tenant, own: bool, now: Timestamp) -> bool {
    let Some(license) = &held.license else {
        return own;
    };
    let document = &license.document;
    let half = document
        .issued
        .plus_millis(document.expiry.millis_since(document.issued) / 2);
    held.is_stale() || now >= half
}

/// When the next mode is due, or a look at the licenses.
fn wake(node: &Node) -> Instant {
    let now = node.core.floor.now();
    let link_up = node.link.is_up();
    let next = node.core.tenants.all().into_iter().filter_map(|(_, held)| {
        let license = held.license.as_ref()?;
        Standing::of(link_up, Some(&license.document), now).countdown_ms(now)
    });
    let wait = next.min().map_or(LOOK_EVERY, Duration::from_millis);
    Instant::now() + wait.clamp(LOOK_LEAST, LOOK_EVERY)
}

/// Licenses live for a day at least: half a minute more or less does not matter.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Whatever is due is not looked for more often.
const LOOK_LEAST: Duration = Duration::from_millis(50);

/// A restarted kernel is asked for many licenses by many runtimes: few at once by each.
const PULLS_AT_ONCE_MAX: usize = 4;
