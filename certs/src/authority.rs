//! The certificate authority: one root, no intermediates, leaves of a day.
//!
//! The root carries no name constraints: webpki refuses every URI name under a CA that constrains
//! URIs at all, so the acceptor compares the names itself.
//!
//! On disk: `ca.key` (0600) and `root.pem`. The key is written first, so a crash between the two
//! leaves a key that never signed anything, and [`Authority::create`] may be called again.

mod contents;
mod csr;
mod next;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use provost_protocol::{InstallId, RuntimeId, TenantId, Timestamp, spiffe::SpiffeId};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use crate::{
    certificate,
    crypto::{self, RandomError},
    files::{self, FileError},
    secret::Secret,
};

use contents::{RootFacts, calendar, common, network_name, root_params, uri, whole_second};
pub use csr::{CheckedCsr, CsrError};

/// Why the authority could not do its work. The operator of the kernel must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error("the certificate authority's files are out of reach")]
    File(#[source] FileError),
    /// There is an authority already; a second one would disown every runtime of the first.
    #[error("{} holds a certificate authority already", dir.display())]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// A file does not hold what it must.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The log says that there is an authority with this root, and the folder holds none.
    #[error("{} holds no certificate authority with the root {root_sha256}", dir.display())]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// The root's SHA-256, hex.
        root_sha256: String,
    },
    /// A root certificate that is none.
    #[error("a root certificate is malformed")]
    Root,
    /// A name for the kernel's certificate that is neither an IP address nor a DNS name.
    #[error("{name:?} is neither an IP address nor a DNS name")]
    Name {
        /// The name as it was given.
        name: String,
    },
    /// No randomness for a key or serial number.
    #[error("nothing can be signed")]
    Random(#[from] RandomError),
    /// The certificate library refused.
    #[error("signing failed")]
    Signing(#[source] rcgen::Error),
    /// rustls refused what was signed.
    #[error("the kernel's own certificate is unusable")]
    Tls(#[source] rustls::Error),
}

/// A certificate issued to a runtime, with what the journal notes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The certificate, in PEM.
    pub pem: String,
    /// Its serial number: 32 hex digits.
    pub serial: String,
    /// It is not valid before.
    pub not_before: Timestamp,
    /// It is not valid after.
    pub not_after: Timestamp,
}

/// The daemon's own certificate, and the key, which lives in memory only.
pub(crate) struct KernelCertificate {
    pub(crate) leaf: CertificateDer<'static>,
    /// PKCS#8.
    pub(crate) key_der: Secret<Vec<u8>>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// The holder of the CA key.
pub struct Authority {
    install: InstallId,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_not_after: Timestamp,
}

impl Authority {
    /// Makes a key and a root certificate for a new installation and writes them to `dir`.
    ///
    /// # Errors
    /// [`AuthorityError::Exists`] when `dir` holds an authority; [`AuthorityError::File`].
    pub fn create(dir: &Path, install: InstallId, now: Timestamp) -> Result<Self, AuthorityError> {
        let root_path = dir.join(ROOT_FILE);
        if root_path.exists() {
            return Err(AuthorityError::Exists {
                dir: dir.to_owned(),
            });
        }
        files::create_private_dir(dir).map_err(AuthorityError::File)?;
        let key = new_key().map_err(AuthorityError::Signing)?;
        let root = root_params(install, now)?
            .self_signed(&key)
            .map_err(AuthorityError::Signing)?;
        let key_pem = Secret::new(key.serialize_pem());
        files::write_private(&dir.join(KEY_FILE), key_pem.expose().as_bytes())
            .map_err(AuthorityError::File)?;
        files::write_public(&root_path, certificate::to_pem(root.der()).as_bytes())
            .map_err(AuthorityError::File)?;
        Self::open(dir)
    }

    /// Reads the authority of an installation from `dir`.
    ///
    /// # Errors
    /// [`AuthorityError::File`] also when the key can be read by others;
    /// [`AuthorityError::Damaged`] when key and root do not belong together.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        Self::open_files(dir.join(KEY_FILE), dir.join(ROOT_FILE))
    }

    fn open_files(key_path: PathBuf, root_path: PathBuf) -> Result<Self, AuthorityError> {
        let key_pem = files::read_private(&key_path).map_err(AuthorityError::File)?;
        let root_pem = files::read_public(&root_path).map_err(AuthorityError::File)?;
        let key = std::str::from_utf8(key_pem.expose())
            .ok()
            .and_then(|pem| KeyPair::from_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256).ok())
            .ok_or(AuthorityError::Damaged {
                path: key_path,
                what: "no P-256 key in PKCS#8",
            })?;
        let damaged = |what| AuthorityError::Damaged {
            path: root_path.clone(),
            what,
        };
        let root = String::from_utf8(root_pem)
            .ok()
            .and_then(|pem| certificate::certificates_in(&pem))
            .and_then(|mut roots| if roots.len() == 1 { roots.pop() } else { None })
            .ok_or_else(|| damaged("not one certificate in PEM"))?;
        let facts = RootFacts::parse(&root).ok_or_else(|| damaged("no root of an installation"))?;
        if facts.spki != key.subject_public_key_info() {
            return Err(damaged("it is not the certificate of the key beside it"));
        }
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(AuthorityError::Signing)?;
        Ok(Self {
            install: facts.install,
            issuer,
            root,
            root_not_after: facts.not_after,
        })
    }

    /// The installation whose authority this is.
    #[must_use]
    pub const fn install(&self) -> InstallId {
        self.install
    }

    /// The root certificate in PEM: what a client must trust.
    #[must_use]
    pub fn root_pem(&self) -> String {
        certificate::to_pem(&self.root)
    }

    /// The SHA-256 of the root certificate's DER, as it stands in enrolment tokens.
    #[must_use]
    pub fn root_sha256(&self) -> [u8; 32] {
        crypto::sha256(&self.root)
    }

    /// The authority's public key: SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn public_key_der(&self) -> Vec<u8> {
        self.issuer.key().subject_public_key_info()
    }

    /// Issues a certificate to a runtime for the key in `csr`; nothing else of the CSR is used.
    ///
    /// Valid from [`BACKDATE_MS`] before `now` to `ttl_ms` after it, never beyond the root's end.
    ///
    /// # Errors
    /// [`AuthorityError`]; the runtime is not to blame, its CSR was checked before.
    pub fn issue_runtime(
        &self,
        csr: &CheckedCsr,
        (tenant, runtime): (TenantId, RuntimeId),
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<IssuedCertificate, AuthorityError> {
        let name = SpiffeId::Runtime {
            install: self.install,
            tenant,
            runtime,
        };
        let params = self.leaf_params(name, &runtime.to_string(), now, ttl_ms)?;
        let leaf = self.sign(
            params,
            csr.public_key(),
            ExtendedKeyUsagePurpose::ClientAuth,
        )?;
        Ok(IssuedCertificate {
            pem: certificate::to_pem(&leaf.der),
            serial: leaf.serial,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
        })
    }

    /// Makes a key and a certificate for the daemon itself, reachable under `names` (DNS names
    /// and IP addresses).
    pub(crate) fn issue_kernel(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<KernelCertificate, AuthorityError> {
        let name = SpiffeId::Kernel {
            install: self.install,
        };
        let mut params = self.leaf_params(name, "provost kernel", now, KERNEL_TTL_MS)?;
        for name in names {
            params.subject_alt_names.push(network_name(name)?);
        }
        let key = new_key().map_err(AuthorityError::Signing)?;
        let leaf = self.sign(params, &key, ExtendedKeyUsagePurpose::ServerAuth)?;
        Ok(KernelCertificate {
            leaf: leaf.der,
            key_der: Secret::new(key.serialize_der()),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
        })
    }

    /// The root certificate's DER.
    pub(crate) const fn root_der(&self) -> &CertificateDer<'static> {
        &self.root
    }

    fn leaf_params(
        &self,
        name: SpiffeId,
        common_name: &str,
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<CertificateParams, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common(common_name);
        params.subject_alt_names = vec![uri(&name.to_string())?];
        params.not_before = calendar(now.minus_millis(BACKDATE_MS));
        params.not_after = calendar(now.plus_millis(ttl_ms).min(self.root_not_after));
        Ok(params)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<SignedLeaf, AuthorityError> {
        let serial = crypto::random::<SERIAL_BYTES>()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let signed = params
            .signed_by(key, &self.issuer)
            .map_err(AuthorityError::Signing)?;
        Ok(SignedLeaf {
            der: signed.der().clone(),
            serial: certificate::serial_text(&serial),
            not_before: whole_second(params.not_before),
            not_after: whole_second(params.not_after),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("install", &self.install)
            .field("root_sha256", &hex::encode(self.root_sha256()))
            .field("key", &format_args!("…"))
            .finish()
    }
}

struct SignedLeaf {
    der: CertificateDer<'static>,
    serial: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A new ECDSA P-256 key: curl cannot read the Ed25519 keys that rcgen writes.
pub(crate) fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

/// How long a runtime's certificate lasts at the `enterprise` level: a day, as SPIRE's and step-ca's.
/// What `standard` ones last is the daemon's to say.
pub const RUNTIME_TTL_MS: u64 = 24 * 60 * 60 * 1000;

/// The daemon's own certificate is re-issued in memory at half of this; a day makes a copied
/// memory image useless soon and costs one signature in twelve hours.
const KERNEL_TTL_MS: u64 = 24 * 60 * 60 * 1000;

/// Certificates begin five minutes early: a machine whose clock is that far behind still connects.
pub const BACKDATE_MS: u64 = 5 * 60 * 1000;

/// 128 random bits: twice what the CA/Browser Forum asks for, within RFC 5280's 20 bytes.
const SERIAL_BYTES: usize = 16;

const KEY_FILE: &str = "ca.key";
const ROOT_FILE: &str = "root.pem";

#[cfg(test)]
mod tests;
