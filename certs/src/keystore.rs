//! The runtime's folder: two keys, a certificate, the trust bundle, and who it was enrolled as.
//!
//! ```text
//! binding.key         the binding key, made once                                   0600
//! pending.key         the TLS key of an enrolment or renewal not yet answered      0600
//! recovery.key        the TLS key of a recovery not yet answered                   0600
//! pair-<n>/           runtime.key (0600) and runtime.pem that belong together
//! current             -> pair-<n>; one rename moves both at once
//! runtime.key, .pem   -> current/…, fixed names for curl and people
//! root.pem            the trust bundle
//! license-keys.json   the keys that may sign licenses
//! enrolment.json      the kernel's answer; its presence means *enrolled*
//! ```
//!
//! What survives a crash: at any step of [`Keystore::save_pair`] the pointer names a whole pair,
//! the old one or the new. Both pending keys are on disk before they are sent, so an answer that
//! was lost is asked for again with the same keys, and the kernel repeats it. The pair before the
//! present one is kept: [`Keystore::sound_pair`] takes it where the present one is damaged.

mod pairs;

use std::{
    io,
    path::{Path, PathBuf},
};

use provost_protocol::enrolment::{EnrolAnswer, PublicKeyEntry};

use crate::{
    client::{TrustBundle, TrustError},
    crypto::RandomError,
    enrolment::{BindingKey, PairError, TlsKey, TlsPair},
    files::{self, FileError},
    signers::KeyError,
};

/// Why the folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// A file could not be read or written.
    #[error("the key folder is out of reach")]
    File(#[from] FileError),
    /// The binding key could not be made or read.
    #[error("the binding key is unusable")]
    BindingKey(#[from] KeyError),
    /// A file does not hold what it must.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate do not belong together.
    #[error("key and certificate are no pair")]
    Pair(#[from] PairError),
    /// The trust bundle holds something else than roots.
    #[error("the trust bundle is unusable")]
    Trust(#[from] TrustError),
    /// A license key's name is not its key's name.
    #[error("a license key's name does not belong to it")]
    LicenseKey,
    /// No randomness for a key.
    #[error("no key can be made")]
    Random(#[from] RandomError),
}

/// All that an enrolled runtime holds.
#[derive(Debug)]
pub struct Enrolled {
    /// The kernel's answer at enrolment.
    pub answer: EnrolAnswer,
    /// The binding key.
    pub binding: BindingKey,
    /// The TLS key and certificate in use.
    pub pair: TlsPair,
    /// The roots to trust.
    pub trust: TrustBundle,
    /// The keys that may sign licenses.
    pub license_keys: Vec<PublicKeyEntry>,
}

/// The folder of one runtime.
#[derive(Debug, Clone)]
pub struct Keystore {
    dir: PathBuf,
}

impl Keystore {
    /// Opens the folder, making it (0700) when it is not there.
    ///
    /// # Errors
    /// [`KeystoreError::File`].
    pub fn open(dir: &Path) -> Result<Self, KeystoreError> {
        files::create_private_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The binding key; made and written at the first call.
    ///
    /// # Errors
    /// [`KeystoreError::BindingKey`].
    pub fn binding_key(&self) -> Result<BindingKey, KeystoreError> {
        let path = self.dir.join(BINDING_FILE);
        match BindingKey::open(&path) {
            Err(KeyError::File(error)) if error.is_not_found() => Ok(BindingKey::create(&path)?),
            other => Ok(other?),
        }
    }

    /// The binding key of an enrolled runtime: never made, for a new one would silently be another
    /// runtime's.
    ///
    /// # Errors
    /// [`KeystoreError::BindingKey`] also when there is none.
    pub fn held_binding_key(&self) -> Result<BindingKey, KeystoreError> {
        Ok(BindingKey::open(&self.dir.join(BINDING_FILE))?)
    }

    /// The TLS key of an exchange under way; made and written when there is none.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn pending_key(&self) -> Result<TlsKey, KeystoreError> {
        self.kept_key(PENDING_FILE)
    }

    /// The TLS key of a recovery under way; made and written when there is none.
    ///
    /// Apart from the pending one: a recovery's counter goes with one key, whatever is renewed.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn recovery_key(&self) -> Result<TlsKey, KeystoreError> {
        self.kept_key(RECOVERY_FILE)
    }

    /// Drops the recovery's key, once its certificate is saved or it is of no more use.
    ///
    /// # Errors
    /// [`KeystoreError::File`].
    pub fn forget_recovery(&self) -> Result<(), KeystoreError> {
        Ok(files::remove_if_there(&self.dir.join(RECOVERY_FILE))?)
    }

    /// Whether the recovery's key is that of a pair: the recovery was answered, and its pair saved.
    #[must_use]
    pub fn has_recovered(&self, pair: &TlsPair) -> bool {
        self.is_answered(RECOVERY_FILE, pair)
    }

    /// Drops the pending key where it is that of a pair: who died right after the pair was saved
    /// would ask for another certificate for it, and be refused.
    ///
    /// # Errors
    /// [`KeystoreError::File`].
    pub fn forget_answered(&self, pair: &TlsPair) -> Result<(), KeystoreError> {
        if self.is_answered(PENDING_FILE, pair) {
            self.forget_pending()?;
        }
        Ok(())
    }

    /// A key that cannot be read is not known to be answered: whoever needs it says what is wrong.
    fn is_answered(&self, name: &str, pair: &TlsPair) -> bool {
        let pem = files::read_private(&self.dir.join(name)).ok();
        let key = pem.and_then(|pem| tls_key(pem.expose()));
        key.is_some_and(|key| key.spki_sha256() == pair.key().spki_sha256())
    }

    fn kept_key(&self, name: &str) -> Result<TlsKey, KeystoreError> {
        let path = self.dir.join(name);
        match files::read_private(&path) {
            Ok(pem) => tls_key(pem.expose()).ok_or(KeystoreError::Damaged { path }),
            Err(error) if error.is_not_found() => {
                let key = TlsKey::generate()?;
                files::create_private(&path, key.to_pem().expose().as_bytes())?;
                Ok(key)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the kernel's answer to an enrolment made with `key`, the pending key.
    ///
    /// # Errors
    /// [`KeystoreError`]; the runtime is not enrolled then, and the exchange can be repeated.
    pub fn save_enrolment(&self, answer: &EnrolAnswer, key: TlsKey) -> Result<(), KeystoreError> {
        let pair = TlsPair::new(key, answer.certificate.clone())?;
        self.save_trust(&TrustBundle::from_pem(&answer.root)?)?;
        self.save_license_keys(&answer.license_keys)?;
        self.save_pair(&pair)?;
        let json = serde_json::to_vec_pretty(answer).expect("an answer is always JSON");
        files::write_private(&self.dir.join(ENROLMENT_FILE), &json)?;
        self.forget_pending()
    }

    /// Reads everything; `None` when the runtime is not enrolled.
    ///
    /// # Errors
    /// [`KeystoreError`] names what is damaged or open to others.
    pub fn enrolled(&self) -> Result<Option<Enrolled>, KeystoreError> {
        let path = self.dir.join(ENROLMENT_FILE);
        let json = match files::read_private(&path) {
            Ok(json) => json,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let answer =
            serde_json::from_slice(json.expose()).map_err(|_| KeystoreError::Damaged { path })?;
        Ok(Some(Enrolled {
            answer,
            binding: self.held_binding_key()?,
            pair: self.sound_pair()?.0,
            trust: self.trust()?,
            license_keys: self.license_keys()?,
        }))
    }

    /// Takes a renewed key and certificate into use, both at once.
    ///
    /// # Errors
    /// [`KeystoreError::File`]; the pair held before is still whole and in use, or the new one is.
    pub fn save_pair(&self, pair: &TlsPair) -> Result<(), KeystoreError> {
        Ok(pairs::save(&self.dir, pair, |_| Ok(()))?)
    }

    /// The key and certificate in use.
    ///
    /// # Errors
    /// [`KeystoreError`] also when there is none yet.
    pub fn pair(&self) -> Result<TlsPair, KeystoreError> {
        pairs::load(&self.dir)
    }

    /// The key and certificate in use; where they are damaged or missing, the pair before them, with
    /// what is wrong: to be told loudly.
    ///
    /// # Errors
    /// [`KeystoreError`] of the present pair, when there is no other.
    pub fn sound_pair(&self) -> Result<(TlsPair, Option<KeystoreError>), KeystoreError> {
        match pairs::load(&self.dir) {
            Ok(pair) => Ok((pair, None)),
            Err(fault) => match pairs::load_other(&self.dir) {
                Some(pair) => Ok((pair, Some(fault))),
                None => Err(fault),
            },
        }
    }

    /// Drops the pending key, once its certificate is saved.
    ///
    /// # Errors
    /// [`KeystoreError::File`].
    pub fn forget_pending(&self) -> Result<(), KeystoreError> {
        Ok(files::remove_if_there(&self.dir.join(PENDING_FILE))?)
    }

    /// Replaces the trust bundle.
    ///
    /// # Errors
    /// [`KeystoreError::File`]; the old bundle stays.
    pub fn save_trust(&self, trust: &TrustBundle) -> Result<(), KeystoreError> {
        Ok(files::write_public(
            &self.dir.join(ROOT_FILE),
            trust.pem().as_bytes(),
        )?)
    }

    /// The trust bundle.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn trust(&self) -> Result<TrustBundle, KeystoreError> {
        let path = self.dir.join(ROOT_FILE);
        let pem = String::from_utf8(files::read_public(&path)?)
            .map_err(|_| KeystoreError::Damaged { path })?;
        Ok(TrustBundle::from_pem(&pem)?)
    }

    /// Replaces the keys that may sign licenses.
    ///
    /// # Errors
    /// [`KeystoreError::LicenseKey`] when one's name is not its own; [`KeystoreError::File`].
    pub fn save_license_keys(&self, keys: &[PublicKeyEntry]) -> Result<(), KeystoreError> {
        if keys.iter().any(|key| key.bytes().is_none()) {
            return Err(KeystoreError::LicenseKey);
        }
        let json = serde_json::to_vec_pretty(keys).expect("keys are always JSON");
        Ok(files::write_private(
            &self.dir.join(LICENSE_KEYS_FILE),
            &json,
        )?)
    }

    /// The keys that may sign licenses.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn license_keys(&self) -> Result<Vec<PublicKeyEntry>, KeystoreError> {
        let path = self.dir.join(LICENSE_KEYS_FILE);
        let json = files::read_private(&path)?;
        let keys: Vec<PublicKeyEntry> =
            serde_json::from_slice(json.expose()).map_err(|_| KeystoreError::Damaged { path })?;
        if keys.iter().all(|key| key.bytes().is_some()) {
            Ok(keys)
        } else {
            Err(KeystoreError::LicenseKey)
        }
    }
}

fn tls_key(pem: &[u8]) -> Option<TlsKey> {
    std::str::from_utf8(pem).ok().and_then(TlsKey::from_pem)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| files::io_error(what, path, source)
}

const BINDING_FILE: &str = "binding.key";
const PENDING_FILE: &str = "pending.key";
const RECOVERY_FILE: &str = "recovery.key";
const ROOT_FILE: &str = "root.pem";
const LICENSE_KEYS_FILE: &str = "license-keys.json";
const ENROLMENT_FILE: &str = "enrolment.json";

#[cfg(test)]
mod tests;
