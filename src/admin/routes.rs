//! The table of routes, and how one request is served.

use std::{panic::resume_unwind, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request, State},
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};

use provost_protocol::Code;
use tracing::Instrument as _;

use super::{
    Admin,
    answer::Answer,
    attachments, audit,
    auth::{Needs, Rate},
    call::Call,
    directives, entitlements, keys, licenses, providers, recovery, revocations, rotation, runtimes,
    status, tenants, tokens,
};
use crate::problem::Refusal;

/// One operation of the API. The router and the OpenAPI document are written from these.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Its name in the document.
    pub(super) id: &'static str,
    /// One sentence.
    pub(super) about: &'static str,
    pub(super) needs: Needs,
    /// Schema of the body, if there is one.
    pub(super) body: Option<&'static str>,
    /// Status and schema of the answer.
    pub(super) answer: (u16, &'static str),
    /// Query parameters.
    pub(super) query: &'static [&'static str],
    pub(super) handler: Handler,
}

/// The methods the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    Get,
    Put,
    Post,
    Delete,
}

/// Serves a request.
pub(super) type Handler = fn(Arc<Admin>, Call) -> Answering;

/// An answer on its way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>;

/// Every route.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    [
        tenants::ROUTES,
        attachments::ROUTES,
        tokens::ROUTES,
        runtimes::ROUTES,
        recovery::ROUTES,
        revocations::ROUTES,
        directives::ROUTES,
        entitlements::ROUTES,
        providers::ROUTES,
        licenses::ROUTES,
        audit::ROUTES,
        keys::ROUTES,
        rotation::ROUTES,
        status::ROUTES,
    ]
    .into_iter()
    .flatten()
}

impl Route {
    /// Adds the route to a router.
    pub(super) fn mount(&'static self, router: Router<Arc<Admin>>) -> Router<Arc<Admin>> {
        let serve = move |State(admin): State<Arc<Admin>>,
                          params: RawPathParams,
                          request: Request| serve(admin, self, params, request);
        router.route(self.path, on(self.method.filter(), serve))
    }
}

impl Method {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }

    const fn only_reads(self) -> bool {
        matches!(self, Self::Get)
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Put => MethodFilter::PUT,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// Key → rate → role → body → handler. Nothing of the body is read before the caller is known.
async fn serve(
    admin: Arc<Admin>,
    route: &'static Route,
    params: RawPathParams,
    request: Request<Body>,
) -> Response {
    let caller = match admin.caller(request.headers()).await {
        Ok(caller) => caller,
        Err(refusal) => return with_challenge(refusal.into_response()),
    };
    let rate = match admin.count(&caller) {
        Ok(rate) => rate,
        Err((rate, refusal)) => return with_rate(refusal.into_response(), rate),
    };
    let answer = async {
        caller.suffices(route.needs)?;
        let call = Call::read(caller, &params, request).await?;
        let answering = (route.handler)(admin, call);
        if route.method.only_reads() {
            answering.await
        } else {
            to_its_end(answering).await
        }
    };
    let response = match answer.await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
    };
    with_rate(response, rate)
}

/// Does what changes something to its end, also where nobody waits for the answer any more: its
/// caller hung up, or the deadline has come. Between a durable event and what this process makes of
/// it (a certificate refused, another root in use) nobody may stop.
async fn to_its_end(answering: Answering) -> Result<Answer, Refusal> {
    match tokio::spawn(answering.in_current_span()).await {
        Ok(answered) => answered,
        Err(error) => match error.try_into_panic() {
            // Told and counted where every handler's panic is.
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Refusal::new(Code::OutcomeUnknown, "the kernel is stopping")),
        },
    }
}

/// RFC 9110: a 401 says how to do better.
fn with_challenge(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    }
    response
}

fn with_rate(mut response: Response, rate: Rate) -> Response {
    rate.write(response.headers_mut());
    response
}
