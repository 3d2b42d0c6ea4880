//! How a session opens: what Hello says is registered, and what the runtime should be is answered.

use std::rc::Rc;

use provost_kernel::session::Session;
use provost_protocol::{
    Code, ContractVersion, CorrelationId, Problem,
    wire::{DesiredState, Hello, IN_FLIGHT_MAX, Welcome},
};
use tokio::time::Instant;

use super::{Life, Opened, interests::Interests};
use crate::{Facts, Gateway, Known, Opening, Registered};

impl<S> Life<S> {
    pub(super) async fn open(
        &mut self,
        hello: &Hello,
        version: ContractVersion,
    ) -> Result<Welcome, Problem> {
        self.speak(version);
        let gateway = self.gateway.clone();
        let registered = self.register(&gateway, hello).await?;
        let known = gateway.known(&self.peer.identity).await?;
        let opened = known
            .runtime
            .open(Opening {
                nonce: hello.nonce,
                last_generation: hello.last_generation,
                serial: self.peer.identity.serial.clone(),
                address: self.peer.address,
            })
            .await
            .map_err(|error| error.problem())?;
        let (generation, grace_ms) = (opened.generation, opened.rhythm.grace_ms);
        self.machine = Session::new(generation, grace_ms, self.lived(Instant::now()));
        self.sources.replaced_by(opened.younger);
        // From here on the end of the session is the end of this generation, whatever fails.
        self.opened = Some(Opened {
            generation,
            kept: known.kept(),
        });
        let desired = self.follow_held(&gateway, &known, hello).await?;
        // Whoever was revoked since the look above, and before this session heard of changes.
        gateway.known(&self.peer.identity).await?;
        let policies = registered.map_or_else(|| gateway.policies(&known), |r| r.policies);
        Ok(Welcome {
            version: version.to_string(),
            generation,
            status: known.record().status,
            policies,
            desired,
            signed_time: gateway.directory().house().signed_time(),
            frame_bytes_max: provost_protocol::frame::FRAME_BYTES_MAX,
            in_flight_max: IN_FLIGHT_MAX,
        })
    }

    /// What is said from here on is said under this version.
    fn speak(&mut self, version: ContractVersion) {
        let mut peer = (*self.peer).clone();
        peer.version = version;
        self.peer = Rc::new(peer);
    }

    async fn register(
        &self,
        gateway: &Gateway,
        hello: &Hello,
    ) -> Result<Option<Registered>, Problem> {
        let house = gateway.directory().house();
        let correlation = CorrelationId::from_parts(house.clock.now(), house.random.id_bytes());
        let facts = Facts {
            runtime_type: hello.runtime_type,
            deployment_mode: hello.deployment_mode,
            version: hello.version.clone(),
            capabilities: hello.capabilities.clone(),
            token_sha256: None,
        };
        match gateway.register(&self.peer, correlation, facts).await {
            Ok(registered) => Ok(Some(registered)),
            // Suspended, it stays connected: heartbeats, audit and directives remain open to it.
            Err(problem) if is_suspension(problem.code) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn follow_held(
        &mut self,
        gateway: &Gateway,
        known: &Known,
        hello: &Hello,
    ) -> Result<Vec<DesiredState>, Problem> {
        let own = known.tenant().id();
        let mut interests = Interests::new(gateway.clone(), own);
        let mut desired = vec![interests.follow(known, own, 0).await?];
        let mut bytes = STATE_BYTES + desired[0].limits.len() * LIMIT_BYTES;
        for held in hello.held.iter().take(HELD_MAX) {
            if held.tenant == own {
                continue;
            }
            // Beyond the budget a tenant is followed with the next request for it.
            if !self.pace.affords() {
                break;
            }
            // A tenant it acted for and may act for no more is simply not followed.
            if let Ok(state) = interests.follow(known, held.tenant, held.revision).await {
                bytes += state.limits.len() * LIMIT_BYTES + STATE_BYTES;
                if bytes <= STATES_BYTES_MAX {
                    desired.push(state);
                } else {
                    self.after_welcome.push(state);
                }
            }
        }
        self.interests = Some(interests);
        Ok(desired)
    }
}

const fn is_suspension(code: Code) -> bool {
    matches!(code, Code::TenantSuspended | Code::RuntimeSuspended)
}

/// Tenants a connector may name in Hello: each is woken and followed, at a few milliseconds each
/// while the connector waits.
const HELD_MAX: usize = 1_000;

/// Welcome stays below the 64 KiB that a connector reads before it: what does not fit follows as
/// directives.
const STATES_BYTES_MAX: usize = 56 * 1_024;

/// A desired state without limits: ids, numbers and a bundle's name.
const STATE_BYTES: usize = 160;

/// One limit with the longest feature there is.
const LIMIT_BYTES: usize = 290;
