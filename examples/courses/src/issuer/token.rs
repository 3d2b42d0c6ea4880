//! The client's side: what this issuer speaks, its public key, and codes for tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Issuer;
use super::codes::Grant;
use crate::secret::{random_token, same, sha256_base64url};

#[derive(Deserialize)]
pub(super) struct Exchange {
    grant_type: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    client_id: Option<String>,
    code_verifier: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    exp: i64,
    iat: i64,
    nonce: &'a str,
    email: &'a str,
    name: &'a str,
}

/// Says what this issuer speaks.
pub(super) async fn discovery(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", issuer.url);
    Json(json!({
        "issuer": issuer.url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks.json"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "profile", "email"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "name"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// Gives the public key.
pub(super) async fn jwks(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    Json(issuer.key.jwks())
}

/// Exchanges a code for an ID token, once.
pub(super) async fn exchange(
    State(issuer): State<Arc<Issuer>>,
    form: Result<Form<Exchange>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return refused("invalid_request");
    };
    if form.grant_type.as_deref() != Some("authorization_code") {
        return refused("unsupported_grant_type");
    }
    if form.client_id.as_deref() != Some(issuer.client_id.as_str()) {
        return refused("invalid_client");
    }
    let Some(grant) = form
        .code
        .as_deref()
        .and_then(|code| issuer.codes.redeem(code))
    else {
        return refused("invalid_grant");
    };
    let verifier = form.code_verifier.unwrap_or_default();
    let proven = same(&sha256_base64url(&verifier), &grant.request.challenge);
    if !proven || form.redirect_uri.as_deref() != Some(grant.request.redirect_uri.as_str()) {
        return refused("invalid_grant");
    }
    answer(&issuer, &grant)
}

fn answer(issuer: &Issuer, grant: &Grant) -> Response {
    let Some(user) = issuer.users.by_sub(grant.sub) else {
        return refused("invalid_grant");
    };
    let now = OffsetDateTime::now_utc();
    let claims = Claims {
        iss: &issuer.url,
        sub: grant.sub.to_string(),
        aud: &issuer.client_id,
        exp: (now + issuer.token_ttl).unix_timestamp(),
        iat: now.unix_timestamp(),
        nonce: &grant.request.nonce,
        email: user.email(),
        name: user.name(),
    };
    match issuer.key.sign(&claims) {
        Ok(id_token) => Json(json!({
            "id_token": id_token,
            // The standard asks for one; nothing here takes it.
            "access_token": random_token(),
            "token_type": "Bearer",
            "expires_in": issuer.token_ttl.as_secs(),
        }))
        .into_response(),
        Err(error) => {
            tracing::error!(%error, "token not signed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn refused(error: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}
