//! The key that signs ID tokens: ECDSA P-256, made once, kept 0600.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Value, json};

use super::RunError;
use crate::secret::sha256_base64url;

/// The issuer's key pair.
pub(super) struct SigningKey {
    id: String,
    x: String,
    y: String,
    signer: EncodingKey,
}

impl SigningKey {
    /// Opens the key of a folder, or makes it at the first start.
    pub(super) fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join("issuer-key.der");
        let der = match fs::read(&path) {
            Ok(der) => {
                closed(&path)?;
                der
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map_err(|_| refused("making it"))?;
                let der = made
                    .to_pkcs8v1()
                    .map_err(|_| refused("encoding it"))?
                    .as_ref()
                    .to_vec();
                keep(folder, &path, &der).map_err(|source| RunError::Key {
                    what: "keeping it",
                    source: Some(source),
                })?;
                der
            }
            Err(source) => {
                return Err(RunError::Key {
                    what: "reading it",
                    source: Some(source),
                });
            }
        };
        Self::from_der(&der)
    }

    /// The public half, as a key set.
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
            "kid": self.id, "x": self.x, "y": self.y,
        }] })
    }

    /// Signs claims into a token.
    pub(super) fn sign(&self, claims: &impl Serialize) -> jsonwebtoken::errors::Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.signer)
    }

    fn from_der(der: &[u8]) -> Result<Self, RunError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map_err(|_| refused("decoding it"))?;
        let point = pair.public_key().as_ref();
        let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
            return Err(refused("reading its public half"));
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // The thumbprint of RFC 7638: these members, in this order, without spaces.
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(Self {
            id: sha256_base64url(&thumbprint),
            x,
            y,
            signer: EncodingKey::from_ec_der(der),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Writes beside, syncs and renames: a crash leaves a whole key or none.
fn keep(folder: &Path, path: &Path, der: &[u8]) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // `tempfile` makes its files 0600.
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(der)?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn closed(path: &Path) -> Result<(), RunError> {
    let what = "reading its permissions";
    let mode = fs::metadata(path)
        .map_err(|source| RunError::Key {
            what,
            source: Some(source),
        })?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(refused("others may read it; make it 0600"))
    }
}

fn refused(what: &'static str) -> RunError {
    RunError::Key { what, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_kept_0600_and_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = SigningKey::open(folder.path()).unwrap();
        let path = folder.path().join("issuer-key.der");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(SigningKey::open(folder.path()).unwrap().id, first.id);
        assert!(!format!("{first:?}").contains("signer"));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        SigningKey::open(folder.path()).unwrap();
        let path = folder.path().join("issuer-key.der");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(SigningKey::open(folder.path()).is_err());
    }
}
