//! Ed25519 keys: the kernel's license and checkpoint keys, and the base of a runtime's binding key.
//!
//! One key, one purpose, one file: `license.key` and `checkpoint.key`, PKCS#8 in PEM, mode 0600.
//! They are made once, by `provost init`, and never overwritten.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ed25519_dalek::{
    Signer as _, SigningKey,
    pkcs8::{
        DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
        spki::der::pem::LineEnding,
    },
};
use provost_protocol::sign::{KeyId, Signer};

use crate::{
    crypto::{self, RandomError},
    files::{self, FileError},
    secret::Secret,
};

/// Why a signing key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("the key file is out of reach")]
    File(#[from] FileError),
    /// The file holds no Ed25519 key in PKCS#8 PEM.
    #[error("{} holds no Ed25519 key in PKCS#8 PEM", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// No randomness for a key.
    #[error("no key can be made")]
    Random(#[from] RandomError),
}

/// An Ed25519 key (RFC 8032) that signs and never leaves this crate.
pub struct Ed25519Key(SigningKey);

impl Ed25519Key {
    /// Makes a key and writes it to a file that must not be there yet.
    ///
    /// # Errors
    /// [`KeyError::File`] when the file is there or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = Self::generate()?;
        files::create_private(path, key.private_pem().expose().as_bytes())?;
        Ok(key)
    }

    /// Reads a key from a file that only its owner may read.
    ///
    /// # Errors
    /// [`KeyError::File`]; [`KeyError::Damaged`].
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let pem = files::read_private(path)?;
        std::str::from_utf8(pem.expose())
            .ok()
            .and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok())
            .map(Self)
            .ok_or_else(|| KeyError::Damaged {
                path: path.to_owned(),
            })
    }

    /// The public key as SubjectPublicKeyInfo in PEM, as `openssl pkeyutl -pubin` reads it.
    #[must_use]
    pub fn public_key_pem(&self) -> String {
        self.0
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .expect("32 bytes always fit a SubjectPublicKeyInfo")
    }

    pub(crate) fn generate() -> Result<Self, RandomError> {
        let seed = Secret::new(crypto::random::<32>()?);
        Ok(Self(SigningKey::from_bytes(seed.expose())))
    }

    /// PKCS#8 version 1, without the public half: OpenSSL before 3.2 does not read version 2.
    fn private_pem(&self) -> Secret<String> {
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = pair
            .to_pkcs8_pem(LineEnding::LF)
            .expect("32 bytes always fit PKCS#8");
        Secret::new(String::clone(&pem))
    }
}

impl Signer for Ed25519Key {
    fn key_id(&self) -> KeyId {
        KeyId::of(&self.public_key())
    }

    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Key")
            .field("kid", &self.key_id().as_str())
            .field("seed", &format_args!("…"))
            .finish()
    }
}

/// The kernel's two signing keys.
#[derive(Debug, Clone)]
pub struct Signers {
    /// Signs licenses.
    pub license: Arc<Ed25519Key>,
    /// Signs checkpoints and the signed time.
    pub checkpoint: Arc<Ed25519Key>,
}

impl Signers {
    /// Makes both keys in `dir`.
    ///
    /// # Errors
    /// [`KeyError::File`] when one is there already.
    pub fn create(dir: &Path) -> Result<Self, KeyError> {
        files::create_private_dir(dir)?;
        Ok(Self {
            license: Arc::new(Ed25519Key::create(&dir.join(LICENSE_FILE))?),
            checkpoint: Arc::new(Ed25519Key::create(&dir.join(CHECKPOINT_FILE))?),
        })
    }

    /// Reads both keys from `dir`.
    ///
    /// # Errors
    /// [`KeyError`] names the file.
    pub fn open(dir: &Path) -> Result<Self, KeyError> {
        Ok(Self {
            license: Arc::new(Ed25519Key::open(&dir.join(LICENSE_FILE))?),
            checkpoint: Arc::new(Ed25519Key::open(&dir.join(CHECKPOINT_FILE))?),
        })
    }
}

const LICENSE_FILE: &str = "license.key";
const CHECKPOINT_FILE: &str = "checkpoint.key";

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use ed25519_dalek::{Signature, VerifyingKey, pkcs8::DecodePublicKey};

    use super::*;

    #[test]
    fn keys_are_read_back_and_sign_for_the_public_key_they_export() {
        let dir = tempfile::tempdir().unwrap();
        let made = Signers::create(dir.path()).unwrap();
        let read = Signers::open(dir.path()).unwrap();
        assert_ne!(made.license.key_id(), made.checkpoint.key_id());
        for (made, read) in [
            (made.license, read.license),
            (made.checkpoint, read.checkpoint),
        ] {
            assert_eq!(made.key_id(), read.key_id());
            let public = VerifyingKey::from_public_key_pem(&made.public_key_pem()).unwrap();
            let signature = Signature::from_bytes(&read.sign(b"message"));
            public.verify_strict(b"message", &signature).unwrap();
            public.verify_strict(b"massage", &signature).unwrap_err();
        }
    }

    #[test]
    fn keys_are_0600_version_1_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        Signers::create(dir.path()).unwrap();
        for name in [LICENSE_FILE, CHECKPOINT_FILE] {
            let path = dir.path().join(name);
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
                0o600
            );
            let der = pem::parse(fs::read(&path).unwrap())
                .unwrap()
                .into_contents();
            assert_eq!(der[..5], [0x30, 46, 2, 1, 0], "48 bytes, version 1");
        }
        let again = Signers::create(dir.path());
        assert!(
            matches!(again, Err(KeyError::File(FileError::Exists { .. }))),
            "{again:?}"
        );
    }

    #[test]
    fn debug_shows_no_seed() {
        let key = Ed25519Key::generate().unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("seed: …"), "{shown}");
        assert!(!shown.contains(&hex::encode(key.0.to_bytes())), "{shown}");
        let bytes = format!("{:?}", key.0.to_bytes());
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }

    #[test]
    fn a_file_without_a_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LICENSE_FILE);
        files::write_private(&path, b"no key").unwrap();
        let refused = Ed25519Key::open(&path).unwrap_err();
        assert!(refused.to_string().contains(LICENSE_FILE), "{refused}");
    }
}
