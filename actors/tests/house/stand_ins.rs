//! Who stands in for what another crate brings: signers, the authority, identity providers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ed25519_dalek::{Signer as _, SigningKey};
use provost_actors::{Clock, RuntimeClock, TokenRefused, TokenVerifier, Verifying, Vouched};
use provost_protocol::{
    ProviderId, RuntimeId, TenantId, Timestamp,
    event::{ProviderSettings, Subject},
    sign::{
        CertificateIssuer, IssueError, Issued, KeyId, PeerIdentity, Signer, Standing, StandingError,
    },
};

use super::world::HOUR_MS;

/// The wall clock: goes with the runtime's time, until somebody sets it back. Clones are one clock.
#[derive(Debug, Clone)]
pub(crate) struct Wall {
    runs: RuntimeClock,
    back_ms: Arc<AtomicU64>,
}

impl Wall {
    pub(crate) fn starting_at(now: Timestamp) -> Self {
        Self {
            runs: RuntimeClock::starting_at(now),
            back_ms: Arc::default(),
        }
    }

    pub(crate) fn set_back(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap();
        self.back_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let back_ms = self.back_ms.load(Ordering::SeqCst);
        self.runs.now().minus_millis(back_ms)
    }
}

/// Certificates that were revoked; others stand as long as they say.
#[derive(Debug, Default)]
pub(crate) struct Revoked(pub(crate) Mutex<BTreeSet<String>>);

impl Standing for Revoked {
    fn check(&self, peer: &PeerIdentity, now: Timestamp) -> Result<(), StandingError> {
        if self.0.lock().unwrap().contains(&peer.serial) {
            return Err(StandingError::Revoked);
        }
        if now > peer.not_after {
            return Err(StandingError::Expired);
        }
        Ok(())
    }
}

/// Signs with a key of a fixed seed.
#[derive(Debug)]
pub(crate) struct Stamp(SigningKey);

impl Stamp {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }
}

impl Signer for Stamp {
    fn key_id(&self) -> KeyId {
        KeyId::of(&self.public_key())
    }

    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Takes the last byte of a request for its key, and writes down whom it certified.
#[derive(Debug)]
pub(crate) struct Certifier;

impl CertificateIssuer for Certifier {
    fn requested_key(&self, csr: &[u8]) -> Result<[u8; 32], IssueError> {
        let last = csr.last().copied();
        last.map(|key| [key; 32])
            .ok_or_else(|| IssueError::Request("empty".to_owned()))
    }

    fn issue(
        &self,
        csr: &[u8],
        (tenant, runtime): (TenantId, RuntimeId),
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Issued, IssueError> {
        let key = self.requested_key(csr)?[0];
        Ok(Issued {
            certificate: format!("{tenant} {runtime} {key}"),
            serial: format!("{key:02x}"),
            not_after: now.plus_millis(ttl_ms),
        })
    }
}

/// Takes a token's text for the subject; `forged` is refused.
#[derive(Debug)]
pub(crate) struct Words;

impl TokenVerifier for Words {
    fn verify(
        &self,
        providers: Vec<(ProviderId, ProviderSettings)>,
        token: String,
        now: Timestamp,
    ) -> Verifying {
        let refused = Err(TokenRefused::Refused("no provider vouches for it"));
        let answer = match providers.into_iter().next() {
            Some((provider, settings)) if token != "forged" => Ok(Vouched {
                provider,
                kind: settings.kind,
                individuals: settings.individuals,
                subject: Subject {
                    issuer: settings.issuer,
                    subject: token,
                },
                roles: vec!["learner".to_owned()],
                attributes: BTreeMap::new(),
                expires: now.plus_millis(HOUR_MS),
            }),
            _ => refused,
        };
        Box::pin(std::future::ready(answer))
    }
}
