//! The port for runtimes: TLS 1.3, one port for everything, ALPN decides (ADR 0004).
//!
//! Without a client certificate nothing can be reached but enrolment and recovery. With one, the
//! accepted stream moves to the arbiter of its tenant and is served there: frames by
//! [`provost_actors::session`], HTTP by the routes here. Both end in the same gateway.

mod body;
mod calls;
mod challenges;
mod door;
mod enroll;
mod headers;
mod http;
mod listener;
mod meter;
mod patient;
mod recovery;
mod registrations;
mod serve;
mod shares;
mod socket;
mod strangers;

use std::{
    future::{Ready, ready},
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};

use axum::{
    Router,
    extract::Request,
    http::Method,
    response::Response,
    routing::{get, post},
};
use provost_actors::{Budget, Gateway};
use provost_certs::{Roots, Signers};
use provost_protocol::{Code, Problem, sign::PeerIdentity};
use tokio::sync::watch;

use self::{
    calls::Call, challenges::Challenges, meter::Meter, registrations::Registrations,
    strangers::Strangers,
};
pub use self::{
    listener::{Listener, ListenerSettings},
    strangers::StrangerRates,
};

/// What the calls need.
#[derive(Clone)]
pub struct RuntimePort {
    /// The five calls.
    pub gateway: Gateway,
    /// Signs certificates at enrolment, and says which roots to trust.
    pub authority: Arc<Roots>,
    /// Their public halves go into enrolment's answer.
    pub signers: Arc<Signers>,
    registrations: Arc<Registrations>,
    strangers: Arc<Strangers>,
    challenges: Arc<Challenges>,
    meters: Arc<[Meter]>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Remote {
    /// From its certificate; absent where it showed none.
    pub identity: Option<PeerIdentity>,
    /// From where.
    pub address: SocketAddr,
    /// What a recovery on this connection is bound to; absent where a certificate was shown.
    pub exporter: Option<[u8; 32]>,
    /// What this connection and its tenant may ask for; absent where no certificate was shown.
    pub budget: Option<Arc<Budget>>,
}

impl RuntimePort {
    /// Builds the calls.
    #[must_use]
    pub fn new(gateway: Gateway, authority: Arc<Roots>, signers: Arc<Signers>) -> Self {
        Self {
            gateway,
            authority,
            signers,
            registrations: Arc::new(Registrations::new()),
            strangers: Arc::new(Strangers::new(StrangerRates::default())),
            challenges: Arc::default(),
            meters: CALLS.iter().map(|(_, name, _)| Meter::of(name)).collect(),
        }
    }

    /// Lets those without a certificate in at other rates.
    #[must_use]
    pub fn with_rates(mut self, rates: StrangerRates) -> Self {
        self.strangers = Arc::new(Strangers::new(rates));
        self
    }

    /// The routes for one connection.
    pub fn routes(&self, remote: Remote) -> Router {
        let port = Arc::new(self.clone());
        let remote = Arc::new(remote);
        let call = |call: Call, meter: Meter| {
            let (serving, from) = (Arc::clone(&port), Arc::clone(&remote));
            post(move |request: Request| async move {
                let started = Instant::now();
                let response = calls::serve(serving, from, call, request).await;
                meter.count(response.status(), started.elapsed());
                response
            })
            .fallback(refusing(&port, &remote, method_not_allowed))
        };
        let recovery = |step: recovery::Step| {
            let (serving, from) = (Arc::clone(&port), Arc::clone(&remote));
            let refuser = Arc::clone(&port);
            post(move |request: Request| recovery::serve(serving, from, step, request)).fallback(
                move |request: Request| {
                    let problem = method_not_allowed(request.method());
                    ready(calls::refuse(&refuser, request.headers(), problem))
                },
            )
        };
        let (serving, from) = (Arc::clone(&port), Arc::clone(&remote));
        let trust_bundle =
            get(move |request: Request| calls::serve(serving, from, Call::TrustBundle, request))
                .fallback(refusing(&port, &remote, method_not_allowed));
        let (enrolling, from) = (Arc::clone(&port), Arc::clone(&remote));
        // Enrolment is for those without a certificate: they may hear that it takes POST only.
        let enroller = Arc::clone(&port);
        let other_than_post = move |request: Request| {
            let problem = method_not_allowed(request.method());
            ready(calls::refuse(&enroller, request.headers(), problem))
        };
        let elsewhere = refusing(&port, &remote, |_| {
            Problem::new(Code::NotFound, "no such path")
        });
        let mut router = Router::new();
        for ((path, _, kind), meter) in CALLS.iter().zip(&*self.meters) {
            router = router.route(path, call(*kind, meter.clone()));
        }
        router
            .route("/kernel/trust-bundle", trust_bundle)
            .route(
                "/kernel/enroll",
                post(move |request: Request| enroll::serve(enrolling, from, request))
                    .fallback(other_than_post),
            )
            .route(
                "/kernel/recovery/challenge",
                recovery(recovery::Step::Challenge),
            )
            .route("/kernel/recovery", recovery(recovery::Step::Recover))
            .fallback(elsewhere)
            // Nothing more is added: what is left to do is done now, and not on each request.
            .with_state(())
    }
}

impl std::fmt::Debug for RuntimePort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimePort").finish_non_exhaustive()
    }
}

/// Ends when the kernel stops.
async fn drained(draining: &mut watch::Receiver<bool>) {
    // An error means that nobody can stop the kernel any more: then nobody does.
    if draining.wait_for(|draining| *draining).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Answers what no call takes: who shows no certificate hears of nothing else.
fn refusing(
    port: &Arc<RuntimePort>,
    remote: &Arc<Remote>,
    why: fn(&Method) -> Problem,
) -> impl Fn(Request) -> Ready<Response> + Clone + Send + Sync + 'static {
    let (port, known) = (Arc::clone(port), remote.identity.is_some());
    move |request: Request| {
        let problem = if known {
            why(request.method())
        } else {
            calls::certificate_required()
        };
        ready(calls::refuse(&port, request.headers(), problem))
    }
}

fn method_not_allowed(method: &Method) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        format!("this path does not know {method}"),
    )
}

/// Each call over HTTP: its path, its name among the figures, and which it is.
const CALLS: [(&str, &str, Call); 6] = [
    ("/kernel/runtimes/register", "register", Call::Register),
    (
        "/kernel/runtimes/{runtime_id}/heartbeat",
        "heartbeat",
        Call::Heartbeat,
    ),
    ("/kernel/identity/resolve", "resolve", Call::Resolve),
    ("/kernel/entitlements/check", "check", Call::Check),
    ("/kernel/audit/events", "audit", Call::Audit),
    (
        "/kernel/runtimes/{runtime_id}/certificate",
        "renew",
        Call::Renew,
    ),
];
