//! The admin API: plain HTTP on loopback, bearer keys with roles (contract.md, section 6).
//!
//! Every route stands in one table ([`routes`]); the router and the OpenAPI document are both
//! written from it. A request walks: host and origin ([`guard`]) → key, role and rate ([`auth`]) →
//! handler → the tenant's actor, which makes durable what it decides before anything is answered.
//! Reads go to the store and wake no tenant. Nothing is kept here but the rates.
//!
//! Who may do what: `super_admin` (of the internal tenant) everything; `admin` acts in its own
//! tenant and in those it operates, but what its own tenant *may* do is decided by the tenant's
//! operator; `auditor` reads what `admin` may read. Any other tenant's id is *not found*.

mod answer;
mod attachments;
mod audit;
mod auth;
pub mod body;
mod call;
mod directives;
mod entitlements;
mod guard;
pub mod key;
mod keys;
mod licenses;
mod open;
mod openapi;
mod page;
mod providers;
mod reach;
mod recovery;
mod revocations;
mod rotation;
mod routes;
mod runtimes;
mod serve;
mod status;
mod tenants;
mod tokens;
pub mod view;

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, middleware};
use provost_actors::Directory;
use provost_kernel::EntityKey;
use provost_protocol::{Code, Problem, RuntimeId, TenantId, Timestamp};
use provost_store::Backend;

use self::{auth::Rates, guard::Guard};
pub use self::{openapi::document, serve::serve};
use crate::{
    ca::Ca,
    config::Limits,
    problem::{self, Edge},
    telemetry::Metrics,
};

/// What the admin API needs.
#[derive(Debug, Clone)]
pub struct AdminContext {
    /// Where tenants and runtimes are found.
    pub directory: Directory,
    /// The operator's own tenant.
    pub internal_tenant: TenantId,
    /// Host names under which it may be called, besides the local ones.
    pub allowed_hosts: Vec<String>,
    /// How often a key may ask.
    pub limits: Limits,
    /// The figures of this process.
    pub metrics: Metrics,
    /// What enrolment tokens say.
    pub enrolment: Enrolment,
    /// The public halves of the signing keys.
    pub keys: Vec<view::PublicKey>,
    /// The certificate authority.
    pub ca: Arc<Ca>,
    /// Whether requests can be served.
    pub readiness: Readiness,
    /// What the last look at the disk showed.
    pub disk: crate::daemon::disk::DiskStatus,
    /// Set once the kernel is stopping.
    pub draining: Arc<AtomicBool>,
    /// Told of every serial number that was revoked.
    pub on_revoked: OnRevoked,
    /// When the process started.
    pub started: Timestamp,
}

/// What enrolment tokens say besides their secret.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Where runtimes come, `host:port`.
    pub addr: String,
}

/// Says whether requests can be served, or why not.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> Ready + Send + Sync>);

type Ready = Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>;

/// Hears of runtimes with serial numbers of theirs that were revoked: refuses those certificates.
#[derive(Clone)]
pub struct OnRevoked(Arc<Hear>);

type Hear = dyn Fn(TenantId, &[(RuntimeId, Vec<String>)]) + Send + Sync;

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct Admin {
    context: AdminContext,
    rates: Rates,
}

/// Builds the admin API.
pub fn router(context: AdminContext) -> Router {
    let house = context.directory.house();
    let edge = Edge {
        clock: Arc::clone(&house.clock),
        random: Arc::clone(&house.random),
        deadline: REQUEST_DEADLINE,
    };
    let guard = Guard::new(&context.allowed_hosts);
    let rates = Rates::new(&context.limits);
    let admin = Arc::new(Admin { context, rates });
    routes::all()
        .fold(open::routes(), |router, route| route.mount(router))
        .with_state(admin)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn(status::measure))
        .layer(middleware::from_fn_with_state(edge, problem::answer))
}

impl Readiness {
    /// Wraps whatever can tell.
    #[must_use]
    pub fn new<F, T>(tell: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(tell())))
    }

    /// Ready while the store gives back the internal tenant in time.
    #[must_use]
    pub fn of_store(backend: Arc<dyn Backend>, internal: TenantId) -> Self {
        Self::new(move || {
            let found = backend.entities(internal, vec![EntityKey::Tenant]);
            async move {
                match tokio::time::timeout(STORE_PATIENCE, found).await {
                    Ok(Ok(found)) if found.iter().any(|(_, entity)| entity.is_some()) => Ok(()),
                    _ => {
                        let text = "the store does not answer";
                        Err(Problem::new(Code::StorageUnavailable, text).retry_after_ms(RETRY_MS))
                    }
                }
            }
        })
    }

    /// Asks.
    ///
    /// # Errors
    /// Why requests cannot be served.
    pub async fn check(&self) -> Result<(), Problem> {
        (self.0)().await
    }
}

impl OnRevoked {
    /// Wraps whoever wants to hear.
    #[must_use]
    pub fn new(
        hear: impl Fn(TenantId, &[(RuntimeId, Vec<String>)]) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(hear))
    }

    fn tell(&self, tenant: TenantId, runtimes: &[(RuntimeId, Vec<String>)]) {
        (self.0)(tenant, runtimes);
    }
}

impl Admin {
    fn backend(&self) -> &Arc<dyn Backend> {
        &self.context.directory.house().backend
    }

    fn now(&self) -> Timestamp {
        self.context.directory.house().clock.now()
    }

    fn id_bytes(&self) -> [u8; 10] {
        self.context.directory.house().random.id_bytes()
    }

    fn secret(&self) -> [u8; 32] {
        self.context.directory.house().random.secret()
    }

    fn is_draining(&self) -> bool {
        self.context.draining.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness(…)")
    }
}

impl fmt::Debug for OnRevoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRevoked(…)")
    }
}

/// Three times the longest a tenant is waited for: a wake, a commit, and a read after it.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);

/// A read takes microseconds; a reader that is busy for so long is stuck.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// How often a load balancer looks.
const RETRY_MS: u64 = 5_000;

#[cfg(test)]
pub(crate) mod tests;
