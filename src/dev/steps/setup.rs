//! From nothing to a runtime that beats.

use anyhow::Context as _;

use super::{WITHIN, Walk, until};
use crate::dev::{evidence::Evidence, sabotage::Sabotage};

/// An installation with its keys.
pub(in crate::dev) async fn init(walk: &mut Walk) -> anyhow::Result<Evidence> {
    walk.world.init().await?;
    let kernel = walk.world.home.kernel();
    let install: serde_json::Value =
        serde_json::from_slice(&std::fs::read(kernel.join("install.json"))?)?;
    let install = install["install_id"].as_str().context("no install id")?;
    let key = std::fs::metadata(kernel.join("admin.key"))?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777;
    anyhow::ensure!(
        mode == 0o600,
        "the first admin key may be read by others: {mode:o}"
    );
    Ok(Evidence::new()
        .saw("install", install)
        .saw("admin_key_mode", format!("{mode:o}")))
}

/// A kernel that answers.
pub(in crate::dev) async fn serve(walk: &mut Walk) -> anyhow::Result<Evidence> {
    walk.world.serve().await?;
    walk.world.start_issuer().await?;
    let status = walk.world.admin()?.get("/v1/status").await?;
    let pid = walk
        .world
        .kernel
        .as_ref()
        .and_then(|kernel| kernel.id())
        .unwrap_or(0);
    Ok(Evidence::new()
        .saw("pid", pid)
        .saw("version", status["version"].as_str().unwrap_or("?"))
        .saw("runtime_port", walk.world.home.ports.runtime))
}

/// A tenant for the operator, and a token for its runtime.
pub(in crate::dev) async fn token(walk: &mut Walk) -> anyhow::Result<Evidence> {
    walk.world.set_up_operator().await?;
    walk.token = walk.world.token().await?;
    anyhow::ensure!(walk.token.starts_with("pvt1."), "not an enrolment token");
    let operator = walk.world.operator.clone();
    let created = walk
        .event("the token is in the journal", &operator, |event| {
            event.kind() == "token.created"
        })
        .await?;
    Ok(Evidence::new()
        .saw("tenant", &operator)
        .saw(
            "token",
            created.json["data"]["token"].as_str().unwrap_or("?"),
        )
        .saw("event", created.cite()))
}

/// A certificate for the runtime, in the journal before it left.
pub(in crate::dev) async fn enroll(walk: &mut Walk) -> anyhow::Result<Evidence> {
    walk.world.enroll(&walk.token.clone()).await?;
    let operator = walk.world.operator.clone();
    let enrolled = walk
        .event("the enrolment is in the journal", &operator, |event| {
            event.kind() == "runtime.enrolled"
        })
        .await?;
    walk.runtime = enrolled.json["data"]["runtime"]
        .as_str()
        .context("no runtime id")?
        .to_owned();
    let on_disk = std::fs::read_to_string(walk.world.home.connector().join("keys/runtime.pem"))?;
    let journaled = enrolled.json["data"]["certificate"]
        .as_str()
        .unwrap_or_default();
    anyhow::ensure!(
        on_disk.trim() == journaled.trim(),
        "the connector's certificate is not the one in the journal"
    );
    if walk.is_sabotaged(Sabotage::ForeignCa) {
        trust_another_root(walk)?;
    }
    Ok(Evidence::new()
        .saw("runtime", &walk.runtime)
        .saw(
            "serial",
            enrolled.json["data"]["serial"].as_str().unwrap_or("?"),
        )
        .saw("event", enrolled.cite()))
}

/// The connector dials out and registers; the pilot registers with it.
pub(in crate::dev) async fn register(walk: &mut Walk) -> anyhow::Result<Evidence> {
    walk.world.start_connector().await?;
    let operator = walk.world.operator.clone();
    let registered = walk
        .event("the registration is in the journal", &operator, |event| {
            event.kind() == "runtime.registered"
        })
        .await?;
    walk.world.start_courses().await?;
    Ok(Evidence::new()
        .saw(
            "version",
            registered.json["data"]["version"].as_str().unwrap_or("?"),
        )
        .saw("event", registered.cite()))
}

/// The first heartbeat makes it active.
pub(in crate::dev) async fn heartbeat(walk: &mut Walk) -> anyhow::Result<Evidence> {
    let operator = walk.world.operator.clone();
    let activated = walk
        .event(
            "the first heartbeat is in the journal",
            &operator,
            |event| event.kind() == "runtime.activated",
        )
        .await?;
    let (admin, path) = (
        walk.world.admin()?,
        format!("/v1/tenants/{operator}/runtimes/{}", walk.runtime),
    );
    let runtime = until("the runtime is active and connected", WITHIN, async || {
        let runtime = admin.get(&path).await?;
        let good = runtime["status"] == "active" && runtime["live"]["connected"] == true;
        Ok(good.then_some(runtime))
    })
    .await?;
    Ok(Evidence::new()
        .saw("status", runtime["status"].as_str().unwrap_or("?"))
        .saw("generation", &runtime["live"]["generation"])
        .saw("event", activated.cite()))
}

/// Puts the root of an installation made for this beside the connector's keys.
fn trust_another_root(walk: &Walk) -> anyhow::Result<()> {
    let dir = walk.world.home.dir.join("foreign");
    std::fs::create_dir_all(&dir)?;
    let now = provost_actors::Clock::now(&provost_actors::SystemClock);
    let random = provost_actors::Random::id_bytes(&provost_actors::SystemRandom);
    let install = provost_protocol::InstallId::from_parts(now, random);
    let foreign = provost_certs::Authority::create(&dir, install, now)?;
    let trust = provost_certs::TrustBundle::from_pem(&foreign.root_pem())?;
    provost_certs::Keystore::open(&walk.world.home.connector().join("keys"))?.save_trust(&trust)?;
    Ok(())
}
