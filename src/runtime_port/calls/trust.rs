//! Of v0.2: another certificate, and the roots to trust.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_protocol::{
    Code, ContractVersion, Problem,
    certificate::{NewCertificate, RenewRequest},
    trust::TrustBundleAnswer,
    wire::{Operation, Outcome},
};

use super::{Asked, BODY_MAX, unexpected};
use crate::runtime_port::body;

impl Asked {
    pub(super) async fn renew(&mut self, bytes: &[u8]) -> Result<Response, Problem> {
        if self.peer.version == ContractVersion::V0_1 {
            let detail = "renewal needs contract version v0.2";
            return Err(Problem::new(Code::Invalid, detail));
        }
        let request: RenewRequest = body::parse(bytes, BODY_MAX)?;
        let csr = STANDARD.decode(&request.csr).map_err(|_| {
            Problem::new(
                Code::CsrRefused,
                "csr: not standard base64 of a request's DER",
            )
        })?;
        match self.call(Operation::Renew { csr }).await? {
            Outcome::Renewed(renewed) => Ok(Json(NewCertificate {
                certificate: renewed.certificate,
                not_after: renewed.not_after,
            })
            .into_response()),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn trust_bundle(&mut self) -> Result<Response, Problem> {
        if self.peer.version == ContractVersion::V0_1 {
            let detail = "the trust bundle needs contract version v0.2";
            return Err(Problem::new(Code::Invalid, detail));
        }
        match self.call(Operation::TrustBundle).await? {
            Outcome::TrustBundle(bundle) => Ok(Json(TrustBundleAnswer {
                id: bundle.id,
                roots: bundle.roots,
            })
            .into_response()),
            other => Err(unexpected(&other)),
        }
    }
}
