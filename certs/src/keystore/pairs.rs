//! A key and its certificate change together or not at all.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    enrolment::TlsPair,
    files::{self, FileError},
    keystore::{KeystoreError, failed, tls_key},
};

/// The steps of [`save`], each durable before the next begins; a test stops before each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Clear,
    Folder,
    Key,
    Certificate,
    Pointer,
    Names,
    Sweep,
}

#[cfg(test)]
pub(super) const STEPS: [Step; 7] = [
    Step::Clear,
    Step::Folder,
    Step::Key,
    Step::Certificate,
    Step::Pointer,
    Step::Names,
    Step::Sweep,
];

/// Writes the pair under the next number and moves the pointer; `before` each step may end it.
pub(super) fn save(
    dir: &Path,
    pair: &TlsPair,
    before: impl Fn(Step) -> Result<(), FileError>,
) -> Result<(), FileError> {
    // Where the pointer is lost, above every pair there is: one of them is what it named.
    let last = match held(dir)? {
        Some(held) => Some(held),
        None => numbers(dir)?.into_iter().max(),
    };
    let number = last.map_or(1, |last| last + 1);
    let folder = dir.join(folder_name(number));
    before(Step::Clear)?;
    // What an earlier attempt left: the pointer has never named it.
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(files::io_error("remove", &folder, error));
        }
        _ => {}
    }
    before(Step::Folder)?;
    files::create_private_dir(&folder)?;
    before(Step::Key)?;
    files::write_private(
        &folder.join(KEY_FILE),
        pair.key().to_pem().expose().as_bytes(),
    )?;
    before(Step::Certificate)?;
    files::write_public(
        &folder.join(CERTIFICATE_FILE),
        pair.certificate_pem().as_bytes(),
    )?;
    before(Step::Pointer)?;
    point(dir, CURRENT, &folder_name(number))?;
    before(Step::Names)?;
    for name in [KEY_FILE, CERTIFICATE_FILE] {
        if fs::symlink_metadata(dir.join(name)).is_err() {
            point(dir, name, &format!("{CURRENT}/{name}"))?;
        }
    }
    before(Step::Sweep)?;
    sweep(dir, number)
}

/// Reads the pair that the pointer names.
pub(super) fn load(dir: &Path) -> Result<TlsPair, KeystoreError> {
    // One look at the pointer: a pair saved meanwhile must not be mixed with this one.
    let path = dir.join(CURRENT);
    read(&dir.join(fs::read_link(&path).map_err(failed("read", &path))?))
}

/// Reads the newest pair that is whole, other than the one the pointer names. Whole it is only with
/// a certificate for its key, so it was issued, whether or not the pointer ever named it.
pub(super) fn load_other(dir: &Path) -> Option<TlsPair> {
    let named = held(dir).ok().flatten();
    let mut numbers = numbers(dir).ok()?;
    numbers.sort_unstable();
    numbers
        .into_iter()
        .rev()
        .filter(|number| Some(*number) != named)
        .find_map(|number| read(&dir.join(folder_name(number))).ok())
}

fn read(folder: &Path) -> Result<TlsPair, KeystoreError> {
    let (key_path, certificate_path) = (folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE));
    let key_pem = files::read_private(&key_path)?;
    let key = tls_key(key_pem.expose()).ok_or(KeystoreError::Damaged { path: key_path })?;
    let certificate = String::from_utf8(files::read_public(&certificate_path)?).map_err(|_| {
        KeystoreError::Damaged {
            path: certificate_path,
        }
    })?;
    Ok(TlsPair::new(key, certificate)?)
}

/// The number that the pointer names, when there is a pointer.
fn held(dir: &Path) -> Result<Option<u64>, FileError> {
    let path = dir.join(CURRENT);
    match fs::read_link(&path) {
        Ok(target) => Ok(number_in(&target)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(files::io_error("read", &path, error)),
    }
}

/// Makes or replaces a symbolic link by one rename, durably.
fn point(dir: &Path, name: &str, target: &str) -> Result<(), FileError> {
    let (path, new) = (dir.join(name), dir.join(format!(".new-{name}")));
    files::remove_if_there(&new)?;
    symlink(target, &new).map_err(failed("link", &new))?;
    fs::rename(&new, &path).map_err(failed("rename to", &path))?;
    files::sync_dir(dir)
}

fn numbers(dir: &Path) -> Result<Vec<u64>, FileError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let name = entry.map_err(failed("list", dir))?.file_name();
        numbers.extend(number_in(Path::new(&name)));
    }
    Ok(numbers)
}

/// Removes every pair older than the one before `number`: that one may still be in use by a
/// process that read it a moment ago.
fn sweep(dir: &Path, number: u64) -> Result<(), FileError> {
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let path = entry.map_err(failed("list", dir))?.path();
        let old = path
            .file_name()
            .and_then(|name| number_in(&PathBuf::from(name)));
        if old.is_some_and(|old| old + 1 < number) {
            fs::remove_dir_all(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

fn folder_name(number: u64) -> String {
    format!("{PAIR_PREFIX}{number}")
}

fn number_in(name: &Path) -> Option<u64> {
    name.to_str()?.strip_prefix(PAIR_PREFIX)?.parse().ok()
}

const PAIR_PREFIX: &str = "pair-";
const CURRENT: &str = "current";
const KEY_FILE: &str = "runtime.key";
const CERTIFICATE_FILE: &str = "runtime.pem";
