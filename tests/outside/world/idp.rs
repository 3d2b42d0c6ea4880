//! An identity provider with one key, published inline.

use std::time::UNIX_EPOCH;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use super::Kernel;

/// A provider whose people log in to one product.
#[derive(Debug)]
pub(crate) struct Idp {
    pub(crate) issuer: String,
    key: KeyPair,
}

impl Idp {
    pub(crate) fn new(issuer: &str) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self {
            issuer: issuer.to_owned(),
            key,
        }
    }

    /// What a tenant is told about it.
    pub(crate) fn settings(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.der_bytes());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": KID, "use": "sig", "x": x});
        json!({
            "kind": "oidc", "issuer": self.issuer, "audience": AUDIENCE, "algorithms": ["EdDSA"],
            "jwks": {"keys": [key]}, "required_claims": {"org": "acme"}, "roles_claim": "roles",
        })
    }

    pub(crate) async fn trusted_by(&self, kernel: &Kernel, tenant: &str) {
        kernel
            .post(&format!("/v1/tenants/{tenant}/providers"), self.settings())
            .await;
    }

    /// What it says of a person.
    pub(crate) fn claims(&self, person: &str) -> Value {
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": person, "iat": now, "exp": now + 600,
            "org": "acme", "roles": ["reader"],
        })
    }

    /// A token for a person.
    pub(crate) fn token(&self, person: &str) -> String {
        self.sign(&self.claims(person))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(KID.to_owned());
        let key = EncodingKey::from_ed_der(&self.key.serialize_der());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }

    /// A token that nobody signed.
    pub(crate) fn unsigned(&self, person: &str) -> String {
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = part(json!({"alg": "none", "typ": "JWT"}));
        format!("{header}.{}.", part(self.claims(person)))
    }
}

const AUDIENCE: &str = "https://kernel.example.org";
const KID: &str = "one";
