//! The token's form: three parts, a header with an algorithm we know, claims that are JSON.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use provost_actors::TokenRefused;
use provost_protocol::json::{self, Limits};
use serde::{Deserialize, de::IgnoredAny};

use super::{claims::Claims, jwks::Wanted};

/// A token taken apart. Nothing in it is believed yet.
pub(super) struct Token<'a> {
    /// The JOSE name of its algorithm, as the header has it.
    pub(super) algorithm_name: String,
    /// What it says.
    pub(super) claims: Claims,
    algorithm: Algorithm,
    key_id: Option<String>,
    message: &'a str,
    signature: &'a str,
}

/// What of the header matters. Keys that a token brings along (`jwk`, `jku`, `x5u`) do not.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenRefused> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused::Refused("it is longer than 16 KiB"));
        }
        let (message, signature) = text.rsplit_once('.').ok_or(NOT_A_JWT)?;
        let (header, payload) = message.split_once('.').ok_or(NOT_A_JWT)?;
        let header: Header = part(header).ok_or(NOT_A_JWT)?;
        if header.crit.is_some() {
            return Err(TokenRefused::Refused(
                "it has critical terms that are unknown here",
            ));
        }
        let algorithm = algorithm(&header.alg).ok_or(TokenRefused::Refused(
            "its algorithm is not one of the provider's",
        ))?;
        let claims = Claims::read(part(payload).ok_or(NOT_A_JWT)?)?;
        Ok(Self {
            algorithm_name: header.alg,
            claims,
            algorithm,
            key_id: header.kid,
            message,
            signature,
        })
    }

    /// Which key of the provider it must be signed with.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            algorithm: self.algorithm,
            key_id: self.key_id.as_deref(),
        }
    }

    /// Checks the signature.
    pub(super) fn is_signed_by(&self, key: &DecodingKey) -> bool {
        let message = self.message.as_bytes();
        jsonwebtoken::crypto::verify(self.signature, message, key, self.algorithm).unwrap_or(false)
    }
}

/// Decodes one part: base64url without padding, JSON without duplicate keys.
fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    json::parse(
        &bytes,
        &Limits {
            bytes_max: TOKEN_BYTES_MAX,
        },
    )
    .ok()
}

/// Knows asymmetric algorithms only: with a shared secret, whoever checks a token can make one,
/// and a public key taken for a secret lets anybody sign.
fn algorithm(name: &str) -> Option<Algorithm> {
    let algorithm: Algorithm = name.parse().ok()?;
    (algorithm.family() != AlgorithmFamily::Hmac).then_some(algorithm)
}

/// Said of everything that is no token at all, so that a probe learns nothing of how far it came.
const NOT_A_JWT: TokenRefused = TokenRefused::Refused("it is not a signed JWT");

/// Tokens with many groups reach 8 KiB; proxies cut headers at 16.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;
