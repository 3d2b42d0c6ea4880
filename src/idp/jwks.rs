//! A provider's public keys (RFC 7517), and which of them a token must be signed with.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use provost_protocol::json::{self, Limits};
use serde::Deserialize;
use serde_json::Value;

/// The keys of one document that are of any use here.
#[derive(Debug)]
pub(super) struct Jwks(Vec<Jwk>);

/// Which key a token must be signed with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The token's algorithm.
    pub(super) algorithm: Algorithm,
    /// The key it names, if it names one.
    pub(super) key_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Jwks {
    /// Reads a document. A key of a kind unknown here is passed over: providers publish keys for
    /// others too.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let document: Document = json::parse(
            bytes,
            &Limits {
                bytes_max: JWKS_BYTES_MAX,
            },
        )
        .ok()?;
        let keys = document.keys.into_iter().take(KEYS_MAX);
        Some(Self(
            keys.filter_map(|key| serde_json::from_value(key).ok())
                .collect(),
        ))
    }

    /// Finds the key. A token that names none can only mean the one there is.
    pub(super) fn find(&self, wanted: &Wanted<'_>) -> Option<DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| fits(key, wanted));
        let key = fitting.next()?;
        if wanted.key_id.is_none() && fitting.next().is_some() {
            return None;
        }
        DecodingKey::from_jwk(key).ok()
    }
}

/// Says whether a key is the one named, meant for signatures, and of the algorithm's kind.
fn fits(key: &Jwk, wanted: &Wanted<'_>) -> bool {
    let common = &key.common;
    let named = wanted
        .key_id
        .is_none_or(|id| common.key_id.as_deref() == Some(id));
    let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let said = common
        .key_algorithm
        .is_none_or(|said| said == KeyAlgorithm::from(wanted.algorithm));
    named && signs && said && is_of_kind(&key.algorithm, wanted.algorithm)
}

fn is_of_kind(parameters: &AlgorithmParameters, algorithm: Algorithm) -> bool {
    match parameters {
        AlgorithmParameters::RSA(_) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(key) => match algorithm {
            Algorithm::ES256 => key.curve == EllipticCurve::P256,
            Algorithm::ES384 => key.curve == EllipticCurve::P384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(key) => {
            algorithm == Algorithm::EdDSA && key.curve == EllipticCurve::Ed25519
        }
        // A shared secret, or a kind that is unknown here.
        _ => false,
    }
}

/// The largest providers publish about 30 KiB, certificate chains included; 256 KiB is the
/// contract's number (section 2).
pub(super) const JWKS_BYTES_MAX: usize = 256 * 1024;

/// The largest providers publish a dozen; all are walked for each token.
const KEYS_MAX: usize = 64;
