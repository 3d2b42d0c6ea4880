//! The pilot as a client of an OpenID provider: authorization code with PKCE, state and nonce.
//!
//! It does not authenticate anybody: the token it is given goes to the kernel, which verifies the
//! signature and says whose it is. Issuer, audience and nonce are compared here because only this
//! side knows the login they belong to.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::secret::{Secret, same, sha256_base64url};
use crate::sessions::PendingLogin;

/// Why a login did not come to a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The issuer does not answer.
    #[error("issuer unreachable")]
    Unreachable(#[source] reqwest::Error),
    /// It answered something no provider answers.
    #[error("issuer answered outside the standard: {0}")]
    Answer(&'static str),
    /// It did not accept the code.
    #[error("issuer refused the code with {status}")]
    Refused { status: u16 },
    /// The token belongs to another login, issuer or client.
    #[error("token does not belong to this login: {0}")]
    Foreign(&'static str),
    /// The issuer's address is not usable.
    #[error("issuer address not usable: {0}")]
    Address(String),
}

/// What a login gave.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The ID token, for the kernel and for nobody else.
    pub(crate) token: Secret,
    /// The name the person goes by, if the issuer says.
    pub(crate) name: Option<String>,
}

/// The OpenID provider users log in at.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    http: reqwest::Client,
    issuer: String,
    client_id: String,
    discovered: OnceCell<Discovery>,
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    nonce: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl IdentityProvider {
    pub(crate) fn new(issuer: &str, client_id: &str) -> Result<Self, LoginError> {
        let url = reqwest::Url::parse(issuer)
            .map_err(|error| LoginError::Address(format!("{issuer}: {error}")))?;
        let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(LoginError::Address(format!(
                "{issuer}: https, or http on loopback"
            )));
        }
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(CALL_MAX);
        if loopback {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build().map_err(LoginError::Unreachable)?,
            issuer: issuer.trim_end_matches('/').to_owned(),
            client_id: client_id.to_owned(),
            discovered: OnceCell::new(),
        })
    }

    /// Makes the address the browser is sent to.
    pub(crate) async fn authorization_url(
        &self,
        redirect_uri: &str,
        state: &str,
        login: (&str, &Secret),
    ) -> Result<String, LoginError> {
        let discovered = self.discover().await?;
        let mut url = reqwest::Url::parse(&discovered.authorization_endpoint)
            .map_err(|_| LoginError::Answer("authorization_endpoint"))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", "openid profile email")
            .append_pair("state", state)
            .append_pair("nonce", login.0)
            .append_pair("code_challenge", &sha256_base64url(login.1.expose()))
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Exchanges a code for the token of this very login.
    pub(crate) async fn exchange(
        &self,
        code: &str,
        redirect_uri: &str,
        login: &PendingLogin,
    ) -> Result<Ticket, LoginError> {
        let discovered = self.discover().await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", login.verifier.expose()),
        ];
        let answer = self
            .http
            .post(&discovered.token_endpoint)
            .form(&form)
            .send()
            .await
            .map_err(LoginError::Unreachable)?;
        let status = answer.status();
        let bytes = limited(answer).await?;
        if !status.is_success() {
            return Err(LoginError::Refused {
                status: status.as_u16(),
            });
        }
        let tokens: Tokens =
            serde_json::from_slice(&bytes).map_err(|_| LoginError::Answer("token answer"))?;
        let claims = self.belongs(&tokens.id_token, &login.nonce)?;
        Ok(Ticket {
            token: Secret::new(tokens.id_token),
            name: claims.name,
        })
    }

    fn belongs(&self, token: &str, nonce: &str) -> Result<Claims, LoginError> {
        let payload = token
            .split('.')
            .nth(1)
            .ok_or(LoginError::Answer("id_token"))?;
        let json = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| LoginError::Answer("id_token"))?;
        let claims: Claims =
            serde_json::from_slice(&json).map_err(|_| LoginError::Answer("id_token"))?;
        let for_us = match &claims.aud {
            Audience::One(one) => *one == self.client_id,
            Audience::Many(many) => many.contains(&self.client_id),
        };
        if claims.iss.trim_end_matches('/') != self.issuer {
            return Err(LoginError::Foreign("issuer"));
        }
        if !for_us {
            return Err(LoginError::Foreign("audience"));
        }
        if !claims
            .nonce
            .as_deref()
            .is_some_and(|held| same(held, nonce))
        {
            return Err(LoginError::Foreign("nonce"));
        }
        Ok(claims)
    }

    async fn discover(&self) -> Result<&Discovery, LoginError> {
        self.discovered
            .get_or_try_init(|| async {
                let url = format!("{}/.well-known/openid-configuration", self.issuer);
                let answer = self
                    .http
                    .get(url)
                    .send()
                    .await
                    .map_err(LoginError::Unreachable)?;
                let found: Discovery = serde_json::from_slice(&limited(answer).await?)
                    .map_err(|_| LoginError::Answer("discovery document"))?;
                if found.issuer.trim_end_matches('/') != self.issuer {
                    return Err(LoginError::Answer(
                        "another issuer in the discovery document",
                    ));
                }
                Ok(found)
            })
            .await
    }
}

async fn limited(mut answer: reqwest::Response) -> Result<Vec<u8>, LoginError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(LoginError::Unreachable)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(LoginError::Answer("too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An issuer that takes longer to accept a connection is down for a person who waits.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Hosted providers answer a code exchange within a second or two.
const CALL_MAX: Duration = Duration::from_secs(8);
/// Tokens with hundreds of group claims are under 30 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_another_login_issuer_or_client_is_not_taken() {
        let provider = IdentityProvider::new("http://127.0.0.1:1", "courses").unwrap();
        let token = |iss: &str, aud: &str, nonce: &str| {
            let claims = serde_json::json!({ "iss": iss, "aud": aud, "nonce": nonce });
            format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
        };
        let ours = "http://127.0.0.1:1";
        assert!(provider.belongs(&token(ours, "courses", "n"), "n").is_ok());
        for (foreign, what) in [
            (token("http://127.0.0.1:2", "courses", "n"), "issuer"),
            (token(ours, "other", "n"), "audience"),
            (token(ours, "courses", "m"), "nonce"),
        ] {
            let refused = provider.belongs(&foreign, "n").err().unwrap();
            assert!(
                matches!(refused, LoginError::Foreign(named) if named == what),
                "{what}"
            );
        }
    }

    #[test]
    fn an_issuer_in_the_clear_is_taken_on_loopback_only() {
        assert!(IdentityProvider::new("http://login.example", "courses").is_err());
        assert!(IdentityProvider::new("http://localhost:8081", "courses").is_ok());
    }
}
