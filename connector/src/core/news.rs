//! What the session hears is put on disk here, in order, apart from the session's own loop.

use std::sync::Arc;

use provost_protocol::{entity::RuntimeStatus, v01::PoliciesApplied, wire::DesiredState};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::Core;
use crate::trust::Named;

/// Something the kernel said that must last.
#[derive(Debug)]
pub(crate) enum News {
    /// A session began.
    Session {
        generation: u64,
        status: RuntimeStatus,
        policies: PoliciesApplied,
    },
    /// The runtime's status.
    Status(RuntimeStatus),
    /// What the kernel wants the runtime to be, for one tenant.
    Desired(DesiredState),
    /// The kernel's time, signed.
    Time(String),
    /// Everything before is in force.
    Mark(oneshot::Sender<()>),
}

/// Puts news on disk and into force until the last sender is gone.
pub(crate) async fn obey(core: Arc<Core>, mut heard: mpsc::Receiver<News>) {
    while let Some(news) = heard.recv().await {
        let shared = Arc::clone(&core);
        let done = tokio::task::spawn_blocking(move || take_in(&shared, news));
        if done.await.is_err() {
            error!("news of the kernel could not be taken in");
        }
    }
}

fn take_in(core: &Core, news: News) {
    match news {
        News::Session {
            generation,
            status,
            policies,
        } => {
            keep_facts(core, |facts| {
                facts.generation = facts.generation.max(generation);
                facts.status = Some(status);
                facts.policies = Some(policies.clone());
            });
        }
        News::Status(status) => keep_facts(core, |facts| facts.status = Some(status)),
        News::Desired(desired) => {
            if core.trust.named(&desired.trust_bundle) == Named::Say {
                core.confirm.notify_one();
            }
            let is_news = keep_desired(core, &desired);
            // The product hears of a suspension with this word, not with the next heartbeat.
            if is_news && desired.tenant == core.me.tenant {
                let status = desired.shown_status();
                keep_facts(core, |facts| facts.status = Some(status));
            }
        }
        News::Time(note) => match core.floor.hear(&note) {
            Ok(true) => {
                if let Err(failure) = core.floor.save() {
                    warn!(
                        error = &failure as &dyn std::error::Error,
                        "the signed time could not be kept"
                    );
                }
            }
            Ok(false) => {}
            Err(failure) => warn!(%failure, "a signed time is not believed"),
        },
        News::Mark(done) => {
            // Whoever waited may have lost patience.
            let _ = done.send(());
        }
    }
}

fn keep_facts(core: &Core, change: impl FnOnce(&mut super::Facts)) {
    if let Err(failure) = core.facts.update(change) {
        error!(
            error = &failure as &dyn std::error::Error,
            "the facts could not be kept"
        );
    }
}

/// Says whether it is in force from here on.
fn keep_desired(core: &Core, desired: &DesiredState) -> bool {
    match core.tenants.keep_desired(desired) {
        Ok(true) => {
            info!(tenant.id = %desired.tenant, revision = desired.revision,
                    "a desired state is in force");
            core.confirm.notify_one();
            core.upkeep.notify_one();
            core.kill.notify_one();
            true
        }
        Ok(false) => false,
        // Not confirmed, so the kernel sends it again.
        Err(failure) => {
            error!(error = &failure as &dyn std::error::Error,
                tenant.id = %desired.tenant, "a desired state could not be kept");
            false
        }
    }
}
