//! Tokens of identity providers.

use std::collections::BTreeMap;

use provost::idp::Verifier;
use provost_actors::TokenVerifier as _;
use provost_protocol::{
    ProviderId, Timestamp,
    entity::ProviderKind,
    event::{ProviderKeys, ProviderSettings},
};

/// Shows any text as a token, to a provider whose secret half nobody has: nobody is vouched for.
///
/// Its issuer, audience and algorithm are those of the seeds, so that the text is followed as far
/// as its signature.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let id: ProviderId = PROVIDER.parse().expect("an id");
    let settings = ProviderSettings {
        kind: ProviderKind::Oidc,
        issuer: "https://login.example.org".to_owned(),
        audience: "app".to_owned(),
        algorithms: vec!["ES256".to_owned(), "EdDSA".to_owned(), "RS256".to_owned()],
        keys: ProviderKeys::JwksInline(JWKS.to_owned()),
        required_claims: BTreeMap::new(),
        roles_claim: Some("roles".to_owned()),
        individuals: false,
    };
    let now: Timestamp = "2026-11-22T06:00:00Z".parse().expect("a time");
    let verifying = Verifier::new(false).verify(vec![(id, settings)], text.to_owned(), now);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let said = runtime.expect("a runtime of its own").block_on(verifying);
    assert!(said.is_err(), "vouched for without a signature");
}

const PROVIDER: &str = "01935a2b-6c00-7a08-8c00-000000000081";

/// The example keys of RFC 7517, appendix A.1, and RFC 8037, appendix A.2: public halves.
const JWKS: &str = r#"{"keys":[
{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"ec"},
{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","kid":"ed"}]}"#;
