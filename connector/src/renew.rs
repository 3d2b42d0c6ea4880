//! Renewal: at half of the certificate's life another one is asked for, with a new key.
//!
//! The key is on disk before it is sent; when the answer is lost, the same key is sent again and
//! the kernel repeats itself. The certificate in use goes on until the session connects anew, which
//! it does right after an answered heartbeat.

use std::{sync::Arc, time::Duration};

use provost_protocol::{
    Code, Problem,
    wire::{Operation, Outcome, Renewed},
};
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::{
    clock::up_to,
    identity::{Held, IdentityError},
    link::CallError,
    node::{Node, blocking},
};

/// Why there is no new certificate. The one in use goes on.
#[derive(Debug, thiserror::Error)]
enum RenewError {
    /// The kernel cannot be asked.
    #[error("{0}")]
    Call(#[from] CallError),
    /// The kernel refuses.
    #[error("the kernel refuses: {}: {}", .0.code, .0.detail)]
    Refused(Problem),
    /// The answer is not the contract's.
    #[error("the kernel answered something else than a certificate")]
    Answer,
    /// Keys or certificate cannot be kept.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The key cannot sign a request.
    #[error("the new key cannot sign a request")]
    Key,
    /// The work on the disk was broken off.
    #[error("the work on the disk was broken off")]
    Broken,
}

/// Renews the certificate whenever it is due, for as long as the connector runs.
pub(crate) async fn keep_renewed(node: Arc<Node>) {
    let mut failures = 0;
    loop {
        until_due(&node).await;
        node.link.up().await;
        if !is_due(&node) {
            // The link waited for a recovery, which brought another certificate.
            continue;
        }
        match renew(&node).await {
            Ok(held) => {
                failures = 0;
                info!(certificate.serial = %held.serial, until = %held.not_after,
                    "the certificate is renewed");
                node.core.identity.renewed.notify_one();
                sleep(RENEW_LEAST).await;
            }
            Err(failure) => {
                report(&node, &failure);
                let wait = up_to(bound(failures)).max(failure.retry_after());
                failures = failures.saturating_add(1);
                sleep(wait).await;
            }
        }
    }
}

async fn until_due(node: &Node) {
    while !is_due(node) {
        let now = node.core.floor.now();
        let due = node.core.identity.due();
        // In short steps: clocks are set, and a recovery brings another certificate.
        sleep(Duration::from_millis(due.millis_since(now)).min(LOOK_EVERY)).await;
    }
}

fn is_due(node: &Node) -> bool {
    node.core.floor.now() >= node.core.identity.due()
}

async fn renew(node: &Node) -> Result<Held, RenewError> {
    let core = Arc::clone(&node.core);
    let pending = move || core.identity.keystore().pending_key();
    let key = on_disk(pending).await?.map_err(IdentityError::from)?;
    let csr = key.request_der().map_err(|_| RenewError::Key)?;
    let asked = Operation::Renew { csr };
    let correlation = node.correlation();
    let answer = node
        .link
        .call(node.core.me.tenant, correlation, asked)
        .await?;
    let Renewed { certificate, .. } = match answer {
        Outcome::Renewed(renewed) => renewed,
        Outcome::Refused(problem) => {
            if problem.code == Code::CsrRefused {
                // The key has a certificate already, whose answer was lost long ago.
                forget_pending(node).await?;
            }
            return Err(RenewError::Refused(problem));
        }
        _ => return Err(RenewError::Answer),
    };
    let (core, me) = (Arc::clone(&node.core), node.core.me);
    let held = on_disk(move || core.identity.take(me, key, certificate)).await??;
    forget_pending(node).await?;
    Ok(held)
}

async fn forget_pending(node: &Node) -> Result<(), RenewError> {
    let core = Arc::clone(&node.core);
    let forgotten = on_disk(move || core.identity.keystore().forget_pending()).await?;
    Ok(forgotten.map_err(IdentityError::from)?)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RenewError> {
    blocking(work).await.map_err(|_| RenewError::Broken)
}

/// Loud once time runs short: until then the next attempt most likely heals it.
fn report(node: &Node, failure: &RenewError) {
    match node.core.identity.warning(node.core.floor.now()) {
        Some(warning) => error!(%failure, "{warning}"),
        None => warn!(%failure, "the certificate is not renewed yet"),
    }
}

impl RenewError {
    /// What the kernel asked for.
    fn retry_after(&self) -> Duration {
        let Self::Refused(problem) = self else {
            return Duration::ZERO;
        };
        let asked = Duration::from_millis(problem.retry_after_ms.unwrap_or(0));
        asked.min(RETRY_CAP)
    }
}

/// Full jitter below this: doubling from half a minute up to an hour.
fn bound(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.min(DOUBLINGS_MAX));
    RETRY_BASE.saturating_mul(doubled).min(RETRY_CAP)
}

/// Certificates last for a day at least: a minute more or less does not matter.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A kernel that hands out certificates which are due at once is asked no more often.
const RENEW_LEAST: Duration = Duration::from_secs(60);

/// A kernel that restarts is back within seconds; nothing presses at half of a life.
const RETRY_BASE: Duration = Duration::from_secs(30);

/// Twelve attempts at least in the second half of a day's certificate.
const RETRY_CAP: Duration = Duration::from_secs(60 * 60);

/// 30 s doubled seven times is above the cap.
const DOUBLINGS_MAX: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_renewals_are_spread_below_a_bound_from_half_a_minute_to_an_hour() {
        let bounds: Vec<u64> = (0..10).map(|n| bound(n).as_secs()).collect();
        assert_eq!(
            bounds,
            [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
        );
    }
}
