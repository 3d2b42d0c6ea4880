//! Reading external tokens (contract.md, section 2, Resolve).
//!
//! The kernel trusts and maps, it never authenticates a person: a provider of the tenant vouches,
//! and [`Verifier`] says whether it really did. Everything a token says about itself is judged
//! before any key is fetched, so that a bad token costs no connection; the signature comes last
//! and decides. The token never appears in an error, a log or a `Debug`.

mod address;
mod claims;
mod fetch;
mod jwks;
mod keys;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use provost_actors::{TokenRefused, TokenVerifier, Verifying, Vouched};
use provost_protocol::{
    ProviderId, Timestamp,
    event::{ProviderKeys, ProviderSettings, Subject},
};

use self::{claims::Claims, jwks::Jwks, keys::KeyCache, token::Token};

/// Reads external tokens and keeps providers' keys, for all tenants of one kernel.
///
/// Cheap to clone; clones share the cache.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Arc<KeyCache>,
}

impl Verifier {
    /// Makes a verifier; `allow_private` is the configuration's `idp.allow_private`.
    #[must_use]
    pub fn new(allow_private: bool) -> Self {
        Self {
            keys: Arc::new(KeyCache::new(allow_private)),
        }
    }
}

impl TokenVerifier for Verifier {
    fn verify(
        &self,
        providers: Vec<(ProviderId, ProviderSettings)>,
        token: String,
        now: Timestamp,
    ) -> Verifying {
        let keys = Arc::clone(&self.keys);
        Box::pin(async move { vouch(&keys, &providers, &token, now).await })
    }
}

/// Asks each provider that the token may be of; the first that vouches counts.
async fn vouch(
    cache: &KeyCache,
    providers: &[(ProviderId, ProviderSettings)],
    text: &str,
    now: Timestamp,
) -> Result<Vouched, TokenRefused> {
    let token = Token::parse(text)?;
    let claims = &token.claims;
    let mut refused = TokenRefused::Refused("its issuer is no provider of this tenant");
    for (id, settings) in providers
        .iter()
        .filter(|(_, one)| one.issuer == claims.issuer)
    {
        match vouched_by(cache, settings, &token, now).await {
            Ok(()) => return Ok(vouched(*id, settings, claims)),
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

/// Says whether this provider, whose issuer the token names, made the token, and for us.
async fn vouched_by(
    cache: &KeyCache,
    settings: &ProviderSettings,
    token: &Token<'_>,
    now: Timestamp,
) -> Result<(), TokenRefused> {
    if !settings.algorithms.contains(&token.algorithm_name) {
        return Err(TokenRefused::Refused(
            "its algorithm is not one of the provider's",
        ));
    }
    token.claims.judge(settings, now)?;
    let keys = match &settings.keys {
        ProviderKeys::JwksInline(document) => Arc::new(Jwks::parse(document.as_bytes()).ok_or(
            TokenRefused::Unavailable("the provider's inline keys are unreadable"),
        )?),
        ProviderKeys::JwksUrl(url) => cache.keys(url, &token.wanted(), now).await?,
    };
    let key = keys.find(&token.wanted()).ok_or(TokenRefused::Refused(
        "it is signed with a key the provider does not publish",
    ))?;
    if token.is_signed_by(&key) {
        Ok(())
    } else {
        Err(TokenRefused::Refused("its signature does not hold"))
    }
}

fn vouched(provider: ProviderId, settings: &ProviderSettings, claims: &Claims) -> Vouched {
    Vouched {
        provider,
        kind: settings.kind,
        individuals: settings.individuals,
        subject: Subject {
            issuer: claims.issuer.clone(),
            subject: claims.subject.clone(),
        },
        roles: claims.roles(settings),
        attributes: claims.attributes(settings),
        expires: claims.expires,
    }
}
