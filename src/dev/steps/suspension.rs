//! The tenant is suspended and resumed: the runtime hears of it at once.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::json;

use super::{Walk, until};
use crate::dev::{evidence::Evidence, sabotage::Sabotage, world::COURSE};

/// Suspended: told at once, and every check is denied.
pub(in crate::dev) async fn suspend(walk: &mut Walk) -> anyhow::Result<Evidence> {
    if walk.is_sabotaged(Sabotage::SuspendNotDelivered) {
        walk.world
            .connector
            .as_ref()
            .context("no connector")?
            .signal(Signal::STOP)?;
    }
    let told = set(walk, "suspend").await;
    if walk.is_sabotaged(Sabotage::SuspendNotDelivered) {
        walk.world
            .connector
            .as_ref()
            .context("no connector")?
            .signal(Signal::CONT)?;
    }
    let (revision, told_ms) = told?;
    let page = walk.browser()?.get(&format!("/courses/{COURSE}")).await?;
    anyhow::ensure!(
        page.status == 403,
        "a suspended tenant's course answered {}",
        page.status
    );
    let reason = page.text("reason").context("the page names no reason")?;
    anyhow::ensure!(reason == "TENANT_SUSPENDED", "another reason: {reason}");
    let verdict = walk.verdict(&page, false).await?;
    Ok(Evidence::new()
        .saw("revision", revision)
        .saw("told_after_ms", told_ms)
        .saw("reason", reason)
        .saw("verdict", verdict.cite()))
}

/// Resumed: it goes on.
pub(in crate::dev) async fn resume(walk: &mut Walk) -> anyhow::Result<Evidence> {
    let (revision, told_ms) = set(walk, "resume").await?;
    let page = walk.course_opens().await?;
    let verdict = walk.verdict(&page, true).await?;
    Ok(Evidence::new()
        .saw("revision", revision)
        .saw("told_after_ms", told_ms)
        .saw("page", page.status)
        .saw("verdict", verdict.cite()))
}

/// Suspends or resumes the tenant; says which revision that made and when the connector held it.
async fn set(walk: &Walk, what: &str) -> anyhow::Result<(u64, u128)> {
    let admin = walk.world.admin()?;
    let path = format!("/v1/tenants/{}", walk.tenant);
    let reason = json!({"reason": "provost dev --check"});
    admin.post(&format!("{path}/{what}"), reason).await?;
    let begun = Instant::now();
    let revision = admin.get(&path).await?["revision"]
        .as_u64()
        .context("no revision")?;
    let (local, tenant) = (walk.world.local.clone(), walk.tenant.clone());
    until("the runtime is told", TOLD_WITHIN, async || {
        let status = local.status().await?;
        let tenants = status["tenants"].as_array().cloned().unwrap_or_default();
        let ours = tenants
            .into_iter()
            .find(|held| held["tenant_id"] == tenant.as_str());
        let held = ours
            .and_then(|held| held["desired_revision"].as_u64())
            .unwrap_or(0);
        Ok((held >= revision).then_some(()))
    })
    .await?;
    Ok((revision, begun.elapsed().as_millis()))
}

/// "At once" is one message down an open stream; a heartbeat would take ten seconds.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
