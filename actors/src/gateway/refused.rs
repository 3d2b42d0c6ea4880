//! The end of a caller's standing, for connections that wait for nothing else.

use std::time::Duration;

use provost_protocol::{Code, Problem, sign::PeerIdentity};
use tokio::{sync::watch, time::sleep};

use super::Gateway;

impl Gateway {
    /// Waits until the caller is refused whatever it asks: its runtime or its certificate was
    /// revoked. Gives why.
    ///
    /// Keeps its tenant awake meanwhile, and looks whenever the tenant's desired state changed or
    /// one of its certificates was revoked.
    pub async fn until_refused(&self, peer: &PeerIdentity) -> Problem {
        let mut followed: Option<watch::Receiver<u64>> = None;
        loop {
            match (self.known(peer).await, &mut followed) {
                (Ok(known), None) => {
                    // Looked at once more from here on: what came in between is heard.
                    let mut revisions = known.tenant().revisions();
                    revisions.mark_unchanged();
                    followed = Some(revisions);
                }
                (Ok(_), Some(revisions)) => {
                    if revisions.changed().await.is_err() {
                        followed = None;
                        sleep(AGAIN_AFTER).await;
                    }
                }
                (Err(problem), _) if is_final_refusal(problem.code) => return problem,
                // The tenant is being rebuilt: looked at again, so that nothing is missed.
                (Err(_), _) => {
                    followed = None;
                    sleep(AGAIN_AFTER).await;
                }
            }
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
