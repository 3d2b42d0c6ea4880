//! A provider with keys of each family, and tokens it signs.

use std::{collections::BTreeMap, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use provost_actors::{TokenRefused, TokenVerifier, Vouched};
use provost_protocol::{
    ProviderId, Timestamp,
    entity::ProviderKind,
    event::{ProviderKeys, ProviderSettings},
};
use rcgen::{KeyPair, PublicKeyData, RsaKeySize};
use serde_json::{Value, json};

use crate::idp::Verifier;

/// One provider, set up in one tenant, and the verifier of the kernel.
pub(super) struct World {
    pub(super) verifier: Verifier,
    pub(super) settings: ProviderSettings,
    pub(super) ed_public: Vec<u8>,
    ed: KeyPair,
    ec: KeyPair,
}

impl World {
    pub(super) fn new() -> Self {
        let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let ec = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let ed_public = ed.der_bytes().to_vec();
        let keys = ProviderKeys::JwksInline(document(&ed, &ec).to_string());
        let names = ["EdDSA", "ES256", "RS256", "PS384"];
        let settings = ProviderSettings {
            kind: ProviderKind::Oidc,
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            algorithms: names.map(str::to_owned).to_vec(),
            keys,
            required_claims: BTreeMap::from([("org".to_owned(), "acme".to_owned())]),
            roles_claim: Some("groups".to_owned()),
            individuals: false,
        };
        Self {
            verifier: Verifier::new(false),
            settings,
            ed_public,
            ed,
            ec,
        }
    }

    /// The same provider, with its keys at a URL and a verifier that may go anywhere.
    pub(super) fn at(url: &str) -> (Self, String) {
        let mut world = Self::new();
        let document = document(&world.ed, &world.ec).to_string();
        world.settings.keys = ProviderKeys::JwksUrl(url.to_owned());
        world.verifier = Verifier::new(true);
        (world, document)
    }

    pub(super) fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let (kid, key) = match algorithm {
            Algorithm::EdDSA => ("ed", EncodingKey::from_ed_der(&self.ed.serialize_der())),
            Algorithm::ES256 => ("ec", EncodingKey::from_ec_der(&self.ec.serialize_der())),
            _ => (
                "rsa",
                EncodingKey::from_rsa_pem(rsa().serialize_pem().as_bytes()).unwrap(),
            ),
        };
        self.sign_as(kid, algorithm, &key, claims)
    }

    /// Signs with the Ed25519 key under another name.
    pub(super) fn sign_named(&self, kid: &str) -> String {
        let key = EncodingKey::from_ed_der(&self.ed.serialize_der());
        self.sign_as(kid, Algorithm::EdDSA, &key, &claims())
    }

    fn sign_as(
        &self,
        kid: &str,
        algorithm: Algorithm,
        key: &EncodingKey,
        claims: &Value,
    ) -> String {
        let mut header = Header::new(algorithm);
        header.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }

    pub(super) async fn verify(&self, token: &str) -> Result<Vouched, TokenRefused> {
        self.verify_with(&self.verifier, token).await
    }

    pub(super) async fn verify_with(
        &self,
        verifier: &Verifier,
        token: &str,
    ) -> Result<Vouched, TokenRefused> {
        self.verify_at(verifier, token, 0).await
    }

    pub(super) async fn verify_at(
        &self,
        verifier: &Verifier,
        token: &str,
        later_ms: u64,
    ) -> Result<Vouched, TokenRefused> {
        let now = Timestamp::from_millis(NOW * 1_000).plus_millis(later_ms);
        let provider = ProviderId::from_parts(now, [1; 10]);
        let providers = vec![(provider, self.settings.clone())];
        verifier.verify(providers, token.to_owned(), now).await
    }
}

/// What the provider says of a person.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "person-1",
        "iat": NOW, "nbf": NOW, "exp": NOW + 600,
        "org": "acme", "groups": ["reader", "editor", "reader", 7, "x".repeat(129)],
        "email": " ada@example.org ", "email_verified": true,
        "phone_number": "+351", "name": "x".repeat(513),
    })
}

/// The public half of the RSA key, as the classic confusion takes it for a secret.
pub(super) fn rsa_public_pem() -> &'static [u8] {
    static PEM: OnceLock<String> = OnceLock::new();
    PEM.get_or_init(|| rsa().public_key_pem()).as_bytes()
}

/// One for all tests: it takes a while to make.
fn rsa() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| {
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
    })
}

/// The document the provider publishes, with keys in it that are not for us.
fn document(ed: &KeyPair, ec: &KeyPair) -> Value {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let x = encode(ed.der_bytes());
    // An uncompressed point: 4, x, y.
    let point = ec.der_bytes();
    let (modulus, exponent) = rsa_parts(rsa().der_bytes());
    json!({ "keys": [
        { "kty": "future", "kid": "ed", "z": 1 },
        { "kty": "oct", "kid": "ed", "k": x },
        { "kty": "OKP", "crv": "Ed25519", "kid": "wrong-use", "use": "enc", "x": x },
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": x },
        { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256",
          "x": encode(&point[1..33]), "y": encode(&point[33..]) },
        { "kty": "RSA", "kid": "rsa", "n": encode(modulus), "e": encode(exponent) },
        { "kty": "RSA", "kid": "rsa-2", "n": encode(modulus), "e": encode(exponent) },
    ]})
}

/// Takes an RSAPublicKey (RFC 8017, A.1.1) apart: SEQUENCE { modulus, exponent }, of a 2048-bit
/// key, whose lengths are all known.
fn rsa_parts(der: &[u8]) -> (&[u8], &[u8]) {
    assert_eq!(
        (der.len(), &der[..9]),
        (270, &[0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0][..])
    );
    (&der[9..265], &der[267..])
}

/// 2026-11-22T05:35:28Z.
pub(super) const NOW: i64 = 1_795_325_728;
pub(super) const ISSUER: &str = "https://login.example.org";
pub(super) const AUDIENCE: &str = "https://kernel.example.org";
