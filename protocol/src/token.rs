//! The enrolment token: what an operator hands to a runtime so that it can make first contact.
//!
//! Text form: `pvt1.` and the base64url (no padding) of the compact JSON
//! `{"addr":…,"id":…,"secret":…,"root":…}`. It names the kernel's address, the token's id, a
//! 128-bit secret, and the SHA-256 of the root certificate's DER, so that first contact trusts
//! nothing it has not been told: there is no trust on first use.
//!
//! The kernel keeps only the secret's SHA-256, so a stolen journal enrolls nobody.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TokenId;

/// A token as its bearer holds it. `Debug` never shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    addr: String,
    id: TokenId,
    secret: [u8; SECRET_BYTES],
    root_sha256: [u8; 32],
}

/// Why a text is not an enrolment token. The text itself is never repeated: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than any token of ours.
    #[error("an enrolment token is at most {TOKEN_TEXT_MAX} bytes")]
    TooLong,
    /// Does not begin with `pvt1.`.
    #[error("not an enrolment token: it begins with pvt1.")]
    Prefix,
    /// What follows the prefix is not base64url without padding: most often a token cut short.
    #[error("the enrolment token is damaged: not base64url")]
    Base64,
    /// The decoded text lacks a field, has one too many, or one of the wrong shape.
    #[error("the enrolment token is damaged: {field}")]
    Field {
        /// Which field.
        field: &'static str,
    },
}

impl EnrolmentToken {
    /// Builds a token for the kernel at `addr` (`host:port`, an IPv6 host in brackets).
    ///
    /// # Errors
    /// [`TokenError::Field`] when `addr` is no `host:port`.
    pub fn new(
        addr: &str,
        id: TokenId,
        secret: [u8; SECRET_BYTES],
        root_sha256: [u8; 32],
    ) -> Result<Self, TokenError> {
        if !is_host_and_port(addr) {
            return Err(TokenError::Field { field: "addr" });
        }
        Ok(Self {
            addr: addr.to_owned(),
            id,
            secret,
            root_sha256,
        })
    }

    /// Where the kernel listens, `host:port`.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// The token's id.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// The SHA-256 of the DER of the root certificate that the kernel must present.
    #[must_use]
    pub const fn root_sha256(&self) -> &[u8; 32] {
        &self.root_sha256
    }

    /// The SHA-256 of the secret: all that the kernel stores, and what it compares.
    #[must_use]
    pub fn secret_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Writes the text form. It holds the secret, so this is no `Display`: nothing prints a token
    /// by accident.
    #[must_use]
    pub fn to_text(&self) -> String {
        let wire = TokenJson {
            addr: self.addr.clone(),
            id: self.id,
            secret: URL_SAFE_NO_PAD.encode(self.secret),
            root: hex::encode(self.root_sha256),
        };
        let json = serde_json::to_vec(&wire).expect("four strings are always JSON");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for EnrolmentToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_TEXT_MAX {
            return Err(TokenError::TooLong);
        }
        let body = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let json = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|_| TokenError::Base64)?;
        let wire: TokenJson =
            serde_json::from_slice(&json).map_err(|_| TokenError::Field { field: "json" })?;
        let secret = URL_SAFE_NO_PAD
            .decode(&wire.secret)
            .ok()
            .and_then(|s| s.try_into().ok());
        let secret = secret.ok_or(TokenError::Field { field: "secret" })?;
        let mut root_sha256 = [0; 32];
        hex::decode_to_slice(&wire.root, &mut root_sha256)
            .map_err(|_| TokenError::Field { field: "root" })?;
        Self::new(&wire.addr, wire.id, secret, root_sha256)
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken")
            .field("addr", &self.addr)
            .field("id", &self.id)
            .field("secret", &format_args!("…"))
            .field("root_sha256", &hex::encode(self.root_sha256))
            .finish()
    }
}

/// The JSON inside, field by field in the order it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenJson {
    addr: String,
    id: TokenId,
    secret: String,
    root: String,
}

fn is_host_and_port(addr: &str) -> bool {
    let Some((host, port)) = addr.rsplit_once(':') else {
        return false;
    };
    if addr.len() > ADDR_MAX || port.parse::<u16>().map_or(true, |port| port == 0) {
        return false;
    }
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(v6) => v6.parse::<core::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        }
    }
}

/// 128 bits: nobody guesses it, and it is used within days.
pub const SECRET_BYTES: usize = 16;

/// A token with the longest address is under 700 bytes; more is not one.
pub const TOKEN_TEXT_MAX: usize = 1024;

/// A DNS name is at most 253 bytes; a colon and five digits follow.
const ADDR_MAX: usize = 259;

/// The version stands in the prefix: another format gets another one.
const PREFIX: &str = "pvt1.";

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = "pvt1.eyJhZGRyIjoia2VybmVsLmV4YW1wbGU6NzQ0MyIsImlkIjoiMDE4OTBhNWQtYWM5\
        Ni03NzRiLWJjY2UtYjMwMjA5OWE4MDU3Iiwic2VjcmV0IjoiQUFFQ0F3UUZCZ2NJQ1FvTERBME9EdyIsInJvb3Qi\
        OiJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFi\
        In0";

    fn token() -> EnrolmentToken {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let secret = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        EnrolmentToken::new("kernel.example:7443", id, secret, [0xab; 32]).unwrap()
    }

    #[test]
    fn a_token_is_written_as_the_golden_text_and_read_back() {
        assert_eq!(token().to_text(), GOLDEN);
        assert_eq!(GOLDEN.parse(), Ok(token()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", token());
        assert!(shown.contains("secret: …"), "{shown}");
        assert!(!shown.contains("AAECAwQFBgcICQoLDA0ODw"), "{shown}");
        assert!(!shown.contains("000102"), "{shown}");
    }

    #[test]
    fn a_damaged_token_is_refused_with_what_is_wrong() {
        let json = |text: &str| format!("pvt1.{}", URL_SAFE_NO_PAD.encode(text));
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let root = "ab".repeat(32);
        let field = |field| TokenError::Field { field };
        for (text, why) in [
            ("x".repeat(1025), TokenError::TooLong),
            ("pvt2.e30".to_owned(), TokenError::Prefix),
            ("pvt1.%%%".to_owned(), TokenError::Base64),
            (GOLDEN[..GOLDEN.len() - 3].to_owned(), field("json")),
            (json("{}"), field("json")),
            (
                json(&format!(
                    r#"{{"addr":"a:1","id":"{id}","secret":"AAEC","root":"{root}"}}"#
                )),
                field("secret"),
            ),
            (
                json(&format!(
                    r#"{{"addr":"a:1","id":"{id}","secret":"AAECAwQFBgcICQoLDA0ODw","root":"ab"}}"#
                )),
                field("root"),
            ),
            (
                json(&format!(
                    r#"{{"addr":"a","id":"{id}","secret":"AAECAwQFBgcICQoLDA0ODw","root":"{root}"}}"#
                )),
                field("addr"),
            ),
        ] {
            assert_eq!(text.parse::<EnrolmentToken>(), Err(why), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (addr, good) in [
            ("127.0.0.1:7443", true),
            ("[::1]:7443", true),
            ("a.b-c.example:1", true),
            ("host", false),
            ("host:0", false),
            ("host:65536", false),
            (":7443", false),
            ("::1:7443", false),
            ("ho st:1", false),
            ("host/x:1", false),
        ] {
            let id = token().id();
            assert_eq!(
                EnrolmentToken::new(addr, id, [0; 16], [0; 32]).is_ok(),
                good,
                "{addr}"
            );
        }
    }
}
