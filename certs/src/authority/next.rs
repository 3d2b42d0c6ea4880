//! The authority after this one: its files, and the old root's word for it.
//!
//! The first authority of an installation is `ca.key` and `root.pem`. Each later one lies beside it
//! under the first digits of its root's hash, so that no file is ever renamed: which of them holds
//! which part of a rotation is not said by their names but by the log. `ca-<digits>.key` (0600) is
//! written before `ca-<digits>.pem`, and `ca-<digits>.cross.pem` last.

use std::path::{Path, PathBuf};

use provost_protocol::Timestamp;
use rustls_pki_types::CertificateDer;

use super::{
    Authority, AuthorityError, KEY_FILE, ROOT_FILE,
    contents::{calendar, root_params},
    new_key,
};
use crate::{
    certificate,
    crypto::sha256,
    files::{self, FileError},
    secret::Secret,
};

/// Where the files of one authority lie.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    key: PathBuf,
    root: PathBuf,
    cross: PathBuf,
}

impl Places {
    fn of(dir: &Path, root_sha256: &str) -> Self {
        let digits: String = root_sha256.chars().take(NAME_DIGITS).collect();
        let place = |ending: &str| dir.join(format!("{PREFIX}{digits}.{ending}"));
        Self {
            key: place("key"),
            root: place("pem"),
            cross: place("cross.pem"),
        }
    }
}

impl Authority {
    /// Makes the authority that is to follow this one, with this one's certificate for its key;
    /// all of it is durable in `dir` when this returns, and trusted by nobody yet.
    ///
    /// # Errors
    /// [`AuthorityError`]; what was written by then is swept by
    /// [`sweep_authorities`](Self::sweep_authorities).
    pub fn create_next(
        &self,
        dir: &Path,
        now: Timestamp,
    ) -> Result<(Self, String), AuthorityError> {
        let key = new_key().map_err(AuthorityError::Signing)?;
        let root = root_params(self.install, now)?
            .self_signed(&key)
            .map_err(AuthorityError::Signing)?;
        let places = Places::of(dir, &hex::encode(sha256(root.der())));
        let key_pem = Secret::new(key.serialize_pem());
        files::create_private(&places.key, key_pem.expose().as_bytes())
            .map_err(AuthorityError::File)?;
        files::write_public(&places.root, certificate::to_pem(root.der()).as_bytes())
            .map_err(AuthorityError::File)?;
        let next = Self::open_files(places.key, places.root)?;
        let cross = certificate::to_pem(&self.cross_sign(&next, now)?);
        files::write_public(&places.cross, cross.as_bytes()).map_err(AuthorityError::File)?;
        Ok((next, cross))
    }

    /// Finds the authority whose root has this hash (lower hex): the first one, or a later one.
    ///
    /// # Errors
    /// [`AuthorityError::Missing`] when no authority in `dir` has that root.
    pub fn find(dir: &Path, root_sha256: &str) -> Result<Self, AuthorityError> {
        let missing = || AuthorityError::Missing {
            dir: dir.to_owned(),
            root_sha256: root_sha256.to_owned(),
        };
        let places = Places::of(dir, root_sha256);
        let found = if places.root.exists() {
            Self::open_files(places.key, places.root)
        } else {
            Self::open(dir)
        };
        match found {
            Err(AuthorityError::File(error)) if error.is_not_found() => Err(missing()),
            Ok(other) if hex::encode(other.root_sha256()) != root_sha256 => Err(missing()),
            found => found,
        }
    }

    /// The root certificate with this hash (lower hex), in PEM; its key may be gone.
    ///
    /// # Errors
    /// [`AuthorityError::Missing`] when `dir` holds no such root.
    pub fn root_of(dir: &Path, root_sha256: &str) -> Result<String, AuthorityError> {
        for path in [Places::of(dir, root_sha256).root, dir.join(ROOT_FILE)] {
            let Some(pem) = files::read_public(&path)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
            else {
                continue;
            };
            let root = certificate::certificates_in(&pem).and_then(|mut all| all.pop());
            if root.is_some_and(|root| hex::encode(sha256(&root)) == root_sha256) {
                return Ok(pem);
            }
        }
        Err(AuthorityError::Missing {
            dir: dir.to_owned(),
            root_sha256: root_sha256.to_owned(),
        })
    }

    /// The certificate that the authority before gave this one's key, if there was one.
    ///
    /// # Errors
    /// [`AuthorityError`] when the file cannot be read or holds something else.
    pub fn cross_pem(&self, dir: &Path) -> Result<Option<String>, AuthorityError> {
        let path = Places::of(dir, &hex::encode(self.root_sha256())).cross;
        let bytes = match files::read_public(&path) {
            Err(error) if error.is_not_found() => return Ok(None),
            read => read.map_err(AuthorityError::File)?,
        };
        let what = "not one certificate in PEM";
        let damaged = || AuthorityError::Damaged {
            path: path.clone(),
            what,
        };
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        match certificate::certificates_in(&text) {
            Some(found) if found.len() == 1 => Ok(Some(text)),
            _ => Err(damaged()),
        }
    }

    /// Removes the files of every authority whose root is not in `keep` (lower hex): what an
    /// interrupted preparation left, and the key of a root that is retired. Of the first authority
    /// the key goes and the root stays, for it is no secret and has always lain there.
    ///
    /// # Errors
    /// [`AuthorityError::File`]; calling it again goes on.
    pub fn sweep_authorities(dir: &Path, keep: &[String]) -> Result<(), AuthorityError> {
        let kept: Vec<Places> = keep.iter().map(|root| Places::of(dir, root)).collect();
        let is_kept = |path: &Path| {
            let mut files = kept
                .iter()
                .flat_map(|places| [&places.key, &places.root, &places.cross]);
            files.any(|kept| kept == path)
        };
        let list = |source| files::io_error("list", dir, source);
        let entries =
            std::fs::read_dir(dir).map_err(|source| AuthorityError::File(list(source)))?;
        for entry in entries {
            let path = entry
                .map_err(|source| AuthorityError::File(list(source)))?
                .path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(is_ours) && !is_kept(&path) {
                remove(&path)?;
            }
        }
        let first = files::read_public(&dir.join(ROOT_FILE)).ok();
        let first = first.and_then(|bytes| String::from_utf8(bytes).ok());
        let hash = first
            .and_then(|pem| certificate::certificates_in(&pem)?.pop())
            .map(|root| hex::encode(sha256(&root)));
        if hash.is_some_and(|hash| !keep.contains(&hash)) {
            remove(&dir.join(KEY_FILE))?;
        }
        files::sync_dir(dir).map_err(AuthorityError::File)
    }

    /// This authority's certificate for the key of the next one. All roots of an installation have
    /// one name, so it counts as self-issued (RFC 5280, section 4.2.1.9) and the old root's path
    /// length of zero allows it.
    fn cross_sign(
        &self,
        next: &Self,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let mut params = root_params(self.install, now)?;
        params.not_after = calendar(self.root_not_after.min(next.root_not_after));
        params.use_authority_key_identifier_extension = true;
        let signed = params
            .signed_by(next.issuer.key(), &self.issuer)
            .map_err(AuthorityError::Signing)?;
        Ok(signed.der().clone())
    }
}

/// Whether a file's name is that of a later authority's.
fn is_ours(name: &str) -> bool {
    let Some((digits, ending)) = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    digits.len() == NAME_DIGITS
        && digits.chars().all(hex)
        && ["key", "pem", "cross.pem"].contains(&ending)
}

fn remove(path: &Path) -> Result<(), AuthorityError> {
    let removed: Result<(), FileError> = files::remove_if_there(path);
    removed.map_err(AuthorityError::File)
}

const PREFIX: &str = "ca-";

/// 64 bits of the root's hash: an installation has a handful of authorities in its life.
const NAME_DIGITS: usize = 16;
