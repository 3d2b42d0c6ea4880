//! What the connector says of itself.

use axum::{
    extract::{Query, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use provost_protocol::{Code, Problem, TenantId};
use serde::Deserialize;

use super::{
    Local,
    header::id,
    refusal::{Refusal, json},
};
use crate::status::{CertificateStatus, Status};

/// Which tenant's license.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    tenant: Option<String>,
}

/// `GET /license?tenant=…`: the file, as the kernel signed it.
pub(super) async fn license(
    State(local): State<Local>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    let own = local.node.core.me.tenant;
    let tenant: TenantId = match &which.tenant {
        Some(text) => id(text, "tenant")?,
        None => own,
    };
    if !local.node.core.may_act_for(tenant) {
        return Err(Problem::new(Code::NotFound, "no license for this tenant").into());
    }
    let held = |tenant| {
        let held = local.node.core.tenants.find(tenant)?;
        held.license
            .as_ref()
            .map(|license| license.text.to_string())
    };
    let text = match held(tenant) {
        Some(text) => text,
        None => {
            // The first use of a tenant, perhaps: what came of it shows in what is held.
            drop(local.node.pull(tenant, local.node.correlation()).await);
            held(tenant)
                .ok_or_else(|| Problem::new(Code::NotFound, "no license for this tenant"))?
        }
    };
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, plain)], text).into_response())
}

/// `GET /status`: where the connector stands.
pub(super) async fn status(State(local): State<Local>) -> Response {
    std::future::ready(json(200, &Status::of(&local.node))).await
}

/// `GET /healthz`: whether the connector answers. Not whether the kernel does. A certificate that
/// could not be renewed for long is a warning beside it.
pub(super) async fn healthz(State(local): State<Local>) -> String {
    let warning = CertificateStatus::of(&local.node).warning;
    let warning = warning.map_or_else(String::new, |warning| format!("warning: {warning}\n"));
    std::future::ready(format!("ok\n{warning}")).await
}
