//! The end of a caller's standing, for connections that wait for nothing else.

use std::{sync::Arc, time::Duration};

use provost_kernel::EntityKey;
use provost_protocol::{Code, Problem, entity::RuntimeStatus, sign::PeerIdentity};
use tokio::{sync::watch, time::sleep};

use super::{Gateway, gone, revoked};

impl Gateway {
    /// Waits until the caller is refused whatever it asks: its runtime or its certificate was
    /// revoked. Gives why.
    ///
    /// Keeps its tenant awake meanwhile, and nothing of what it saw; it looks whenever the tenant's
    /// desired state changed or one of its certificates was revoked.
    pub async fn until_refused(&self, peer: &PeerIdentity) -> Problem {
        loop {
            match self.standing(peer).await {
                Ok(mut changes) => {
                    if changes.changed().await.is_err() {
                        sleep(AGAIN_AFTER).await;
                    }
                }
                Err(problem) if is_final_refusal(problem.code) => return problem,
                // The tenant is being rebuilt: looked at again, so that nothing is missed.
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
    }

    /// Judges the caller as [`known`](Self::known) does, but wakes no actor of its runtime: nothing
    /// was heard of it. Gives what changes after this look.
    async fn standing(&self, peer: &PeerIdentity) -> Result<watch::Receiver<u64>, Problem> {
        let house = self.directory.house();
        if let Err(error) = house.standing.check(peer, house.clock.now()) {
            return Err(self.refused(peer, error).await);
        }
        let tenant = self.directory.tenant_of(peer.tenant, peer.runtime).await;
        let tenant = tenant.map_err(gone)?;
        // From before the look: what comes in between is heard.
        let mut changes = tenant.revisions();
        changes.mark_unchanged();
        let mut state = tenant.view();
        if state.runtime(peer.runtime).is_none() {
            // Asleep for long: those of a tenant that are awake ask nobody.
            let key = EntityKey::Runtime(peer.runtime);
            state = Arc::new(tenant.look(vec![key]).await.map_err(gone)?);
        }
        match state.runtime(peer.runtime).map(|record| record.status) {
            None => Err(gone(crate::TenantError::NotFound)),
            Some(RuntimeStatus::Revoked) => Err(revoked()),
            Some(_) => Ok(changes),
        }
    }
}

/// Whether whoever is refused so is refused again whatever it asks next with this certificate.
#[must_use]
pub const fn is_final_refusal(code: Code) -> bool {
    matches!(code, Code::RuntimeRevoked | Code::CertificateRefused)
}

/// A rebuild from the store takes less.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
