//! A person comes: what is granted opens, what is not stays shut, quotas end, licenses verify.

use anyhow::Context as _;
use provost_courses::drive::{Browser, Page};

use super::{WITHIN, Walk, until};
use crate::dev::{
    evidence::Evidence,
    process::run,
    sabotage::Sabotage,
    world::{ATTEMPTS, COURSE, LOCKED_COURSE, PASSWORD, USER, license_file},
};

/// The person logs in at the issuer; the kernel says who it is.
pub(in crate::dev) async fn login(walk: &mut Walk) -> anyhow::Result<Evidence> {
    let (browser, page) = Browser::login(&walk.world.courses_url(), USER, PASSWORD).await?;
    anyhow::ensure!(
        page.status == 200,
        "the login answered {}: {}",
        page.status,
        page.body
    );
    walk.browser = Some(browser);
    walk.tenant = walk.world.individual().await?;
    let tenant = walk.tenant.clone();
    let resolved = walk
        .event("the resolve is in the journal", &tenant, |event| {
            event.kind() == "identity.resolved"
        })
        .await?;
    Ok(Evidence::new()
        .saw("tenant", &tenant)
        .saw(
            "identity",
            resolved.json["data"]["identity"].as_str().unwrap_or("?"),
        )
        .saw("event", resolved.cite()))
}

/// What is granted opens.
pub(in crate::dev) async fn allowed(walk: &mut Walk) -> anyhow::Result<Evidence> {
    if !walk.is_sabotaged(Sabotage::GrantMissing) {
        walk.world.grant(&walk.tenant).await?;
    }
    let page = walk.course_opens().await?;
    let verdict = walk.verdict(&page, true).await?;
    Ok(Evidence::new()
        .saw("page", page.status)
        .saw("correlation", verdict.correlation_id())
        .saw("verdict", verdict.cite()))
}

/// What is not granted stays shut; the page says why, and the denial is in the journal.
pub(in crate::dev) async fn blocked(walk: &mut Walk) -> anyhow::Result<Evidence> {
    let page = walk
        .browser()?
        .get(&format!("/courses/{LOCKED_COURSE}"))
        .await?;
    anyhow::ensure!(
        page.status == 403,
        "the locked course answered {}",
        page.status
    );
    let reason = page.text("reason").context("the page names no reason")?;
    anyhow::ensure!(reason == "NO_ENTITLEMENT", "another reason: {reason}");
    let verdict = walk.verdict(&page, false).await?;
    let correlation = verdict.correlation_id().to_owned();
    let tenant = walk.tenant.clone();
    let denial = walk
        .event("the pilot's denial is in the journal", &tenant, |event| {
            event.audit_type() == "access.denied" && event.correlation_id() == correlation
        })
        .await?;
    Ok(Evidence::new()
        .saw("page", page.status)
        .saw("reason", reason)
        .saw("verdict", verdict.cite())
        .saw("denial", denial.cite()))
}

/// A quota is taken to its end; the next unit is denied and the page says until when.
pub(in crate::dev) async fn quota(walk: &mut Walk) -> anyhow::Result<Evidence> {
    for _ in 0..ATTEMPTS {
        let page = attempt(walk.browser()?).await?;
        anyhow::ensure!(page.status == 200, "an attempt answered {}", page.status);
    }
    let over = attempt(walk.browser()?).await?;
    anyhow::ensure!(
        over.status == 403,
        "the attempt over the quota answered {}",
        over.status
    );
    let resets_at = over
        .text("resets-at")
        .context("the page does not say when it resets")?;
    let tenant = walk.tenant.clone();
    let denied = walk
        .event("the denied unit is in the journal", &tenant, |event| {
            event.kind() == "quota.denied" && event.json["data"]["resets_at"].is_string()
        })
        .await?;
    let log = walk.world.admin()?.log(&tenant).await?;
    let taken = log
        .iter()
        .filter(|event| event.kind() == "quota.consumed")
        .count();
    anyhow::ensure!(
        taken as u64 == ATTEMPTS,
        "{taken} units were taken, not {ATTEMPTS}"
    );
    Ok(Evidence::new()
        .saw("taken", taken)
        .saw("resets_at", resets_at.trim())
        .saw("denied", denied.cite()))
}

/// The license is verified by another process that has the public key and nothing else.
pub(in crate::dev) async fn license(walk: &mut Walk) -> anyhow::Result<Evidence> {
    let (local, tenant) = (walk.world.local.clone(), walk.tenant.clone());
    let mut text = until("the connector holds a license", WITHIN, async || {
        Ok(Some(local.license(&tenant).await?))
    })
    .await?;
    if walk.is_sabotaged(Sabotage::LicenseBitFlipped) {
        text = flip_a_bit(text)?;
    }
    let file = license_file(&walk.world.home);
    std::fs::write(&file, &text)?;
    let keys = walk.world.admin()?.get("/v1/keys").await?;
    let key = keys["keys"]
        .as_array()
        .and_then(|keys| keys.iter().find(|key| key["purpose"] == "license"))
        .context("the kernel shows no license key")?;
    let key_file = walk.world.home.dir.join("license-key.pem");
    std::fs::write(
        &key_file,
        key["public_key_pem"].as_str().unwrap_or_default(),
    )?;
    let args = [
        "license".into(),
        "verify".into(),
        file.into(),
        "--key".into(),
        key_file.into(),
    ];
    let (good, said) = run("provost license verify", args).await?;
    anyhow::ensure!(good, "the license does not verify: {said}");
    let issued = walk
        .event("the license is in the journal", &tenant, |event| {
            event.kind() == "license.issued"
        })
        .await?;
    Ok(Evidence::new()
        .saw("verdict", said.lines().next().unwrap_or_default())
        .saw("kid", key["kid"].as_str().unwrap_or("?"))
        .saw("license_seq", &issued.json["data"]["license_seq"])
        .saw("event", issued.cite()))
}

/// Begins an attempt at the exercise and hands in the right answers.
async fn attempt(browser: &Browser) -> anyhow::Result<Page> {
    let page = browser
        .get(&format!("/courses/{COURSE}/exercises/cloud-basics"))
        .await?;
    anyhow::ensure!(page.status == 200, "the exercise answered {}", page.status);
    let page = browser.submit(&page, "start", &[]).await?;
    if page.status != 200 {
        return Ok(page);
    }
    Ok(browser
        .submit(&page, "answer", &[("q0", "1"), ("q1", "0"), ("q2", "2")])
        .await?)
}

/// Flips the lowest bit of a character in the middle of the file's body.
fn flip_a_bit(text: String) -> anyhow::Result<String> {
    let mut bytes = text.into_bytes();
    let middle = bytes.len() / 2;
    let place = (middle..bytes.len())
        .find(|&at| bytes[at].is_ascii_alphanumeric() && (bytes[at] ^ 1).is_ascii_alphanumeric())
        .context("the license has no body")?;
    bytes[place] ^= 1;
    Ok(String::from_utf8(bytes)?)
}
