//! The kernel dies and comes back: what is granted goes on, nothing new begins, nothing is lost.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use provost_courses::drive::Browser;

use super::{VERDICT, WITHIN, Walk, until};
use crate::dev::{
    evidence::Evidence,
    sabotage::Sabotage,
    world::{OTHER_USER, PASSWORD},
};

/// The kernel is killed.
pub(in crate::dev) async fn outage(walk: &mut Walk) -> anyhow::Result<Evidence> {
    quiet(walk).await?;
    let admin = walk.world.admin()?;
    for tenant in [walk.world.operator.clone(), walk.tenant.clone()] {
        let log = admin.log(&tenant).await?;
        walk.before.push((tenant, log));
    }
    walk.world
        .kernel
        .as_mut()
        .context("no kernel")?
        .kill()
        .await?;
    let degraded = degraded(walk).await?;
    let page = walk.course_opens().await?;
    walk.offline_pages.push(
        page.correlation_id
            .context("the page names no correlation id")?,
    );
    let refused = match Browser::login(&walk.world.courses_url(), OTHER_USER, PASSWORD).await {
        Ok((_, page)) => page.status,
        Err(error) => anyhow::bail!("the login of another person broke: {error}"),
    };
    anyhow::ensure!(
        refused == 503,
        "a new login answered {refused} without the kernel"
    );

    // The connector is killed as well: what it spooled and what it holds must outlive it.
    walk.world
        .connector
        .as_mut()
        .context("no connector")?
        .kill()
        .await?;
    if walk.is_sabotaged(Sabotage::SpoolDeleted) {
        fs::remove_dir_all(walk.world.home.connector().join("spool"))?;
    }
    walk.world.start_connector().await?;
    let page = walk.course_opens().await?;
    walk.offline_pages.push(
        page.correlation_id
            .context("the page names no correlation id")?,
    );
    let status = walk.world.local.status().await?;
    let spooled = status["spool"]["waiting"].as_u64().unwrap_or(0);
    anyhow::ensure!(spooled > 0, "nothing waits in the spool");
    Ok(Evidence::new()
        .saw("mode", degraded)
        .saw("granted_course", page.status)
        .saw("new_login", refused)
        .saw("spooled", spooled))
}

/// The kernel comes back: the same state, and every event of the outage exactly once.
pub(in crate::dev) async fn recovery(walk: &mut Walk) -> anyhow::Result<Evidence> {
    if walk.is_sabotaged(Sabotage::EventLost) {
        cut_the_journal(&walk.world.home.kernel().join("journal"))?;
    }
    walk.world.serve().await?;
    let admin = walk.world.admin()?;
    let mut events = 0;
    for (tenant, before) in &walk.before {
        let after = admin.log(tenant).await?;
        for (then, now) in before
            .iter()
            .zip(after.iter().map(Some).chain(std::iter::repeat(None)))
        {
            let same = now.is_some_and(|now| now.text == then.text);
            anyhow::ensure!(
                same,
                "event {} of tenant {tenant} is gone or changed",
                then.cite()
            );
        }
        events += before.len();
    }
    let local = walk.world.local.clone();
    until("the spool is delivered", WITHIN, async || {
        let status = local.status().await?;
        Ok((status["spool"]["waiting"] == 0 && status["link"]["state"] == "up").then_some(()))
    })
    .await?;
    let log = admin.log(&walk.tenant).await?;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &log {
        if let Some(id) = event.json["data"]["event_id"].as_str() {
            *seen.entry(id).or_default() += 1;
        }
    }
    let doubled = seen.values().filter(|&&times| times > 1).count();
    anyhow::ensure!(doubled == 0, "{doubled} events were delivered twice");
    for correlation in &walk.offline_pages {
        let of_page = |kind: &str| {
            let wanted = |event: &&crate::dev::admin::LoggedEvent| {
                event.correlation_id() == correlation && event.audit_type() == kind
            };
            log.iter().filter(wanted).count()
        };
        let (verdicts, opened) = (of_page(VERDICT), of_page("course.opened"));
        anyhow::ensure!(verdicts >= 1, "the verdict of page {correlation} was lost");
        anyhow::ensure!(
            opened == 1,
            "the page {correlation} was reported {opened} times"
        );
    }
    let last = log.last().context("the log is empty")?;
    Ok(Evidence::new()
        .saw("events_unchanged", events)
        .saw("delivered_once", walk.offline_pages.len())
        .saw("head", last.cite()))
}

/// Waits until everything that was reported is in the journal, so that the logs can be compared.
async fn quiet(walk: &Walk) -> anyhow::Result<()> {
    let local = walk.world.local.clone();
    until("the spool is empty", WITHIN, async || {
        Ok((local.status().await?["spool"]["waiting"] == 0).then_some(()))
    })
    .await
}

async fn degraded(walk: &Walk) -> anyhow::Result<String> {
    let (local, tenant) = (walk.world.local.clone(), walk.tenant.clone());
    until("the connector is degraded", WITHIN, async || {
        let status = local.status().await?;
        let tenants = status["tenants"].as_array().cloned().unwrap_or_default();
        let ours = tenants
            .into_iter()
            .find(|held| held["tenant_id"] == tenant.as_str());
        let mode = ours.and_then(|held| held["mode"].as_str().map(str::to_owned));
        Ok(mode.filter(|mode| mode == "degraded"))
    })
    .await
}

/// Cuts the newest events off the end of the journal, as a disk that lied would.
fn cut_the_journal(dir: &Path) -> anyhow::Result<()> {
    let mut segments: Vec<_> = fs::read_dir(dir)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    let newest = segments.last().context("the journal has no segment")?;
    let file = fs::OpenOptions::new().write(true).open(newest)?;
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(CUT_BYTES))?;
    Ok(())
}

/// More than the last seal and the last event before it.
const CUT_BYTES: u64 = 2_048;
