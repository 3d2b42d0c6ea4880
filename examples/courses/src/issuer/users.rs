//! The users, from a file; passwords only as salted PBKDF2-HMAC-SHA256.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::Path;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a user file is not usable.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The disk refused.
    #[error("user file not readable or writable")]
    Io(#[source] std::io::Error),
    /// It is not a user file.
    #[error("user file malformed")]
    Malformed(#[source] serde_json::Error),
    /// A user cannot be used: the password is not a hash of ours, or the name occurs twice.
    #[error("user {0} not usable")]
    User(String),
}

/// One user. The password is kept only as its hash.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    sub: Uuid,
    username: String,
    name: String,
    email: String,
    password: String,
}

/// All users, by user name.
#[derive(Debug)]
pub(super) struct Users(BTreeMap<String, User>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserFile {
    users: Vec<User>,
}

impl User {
    /// Makes a user with a subject of their own; hashes the password, which takes a moment.
    #[must_use]
    pub fn new(username: &str, name: &str, email: &str, password: &str) -> Self {
        Self {
            sub: Uuid::now_v7(),
            username: username.to_owned(),
            name: name.to_owned(),
            email: email.to_owned(),
            password: hash(password),
        }
    }

    /// The subject that tokens name this user by.
    #[must_use]
    pub fn sub(&self) -> Uuid {
        self.sub
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn email(&self) -> &str {
        &self.email
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("sub", &self.sub)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Writes a user file (0600), replacing what is there at once or not at all.
///
/// # Errors
/// When the disk refuses.
pub fn write_users(path: &Path, users: &[User]) -> Result<(), UserError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(UserError::Io)?;
    let json = serde_json::to_vec_pretty(&UserFile {
        users: users.to_vec(),
    })
    .map_err(UserError::Malformed)?;
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(UserError::Io)?;
    draft.write_all(&json).map_err(UserError::Io)?;
    draft.as_file().sync_all().map_err(UserError::Io)?;
    draft
        .persist(path)
        .map_err(|error| UserError::Io(error.error))?;
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(UserError::Io)
}

impl Users {
    pub(super) fn load(path: &Path) -> Result<Self, UserError> {
        let bytes = fs::read(path).map_err(UserError::Io)?;
        let file: UserFile = serde_json::from_slice(&bytes).map_err(UserError::Malformed)?;
        let mut users = BTreeMap::new();
        for user in file.users {
            let name = user.username.clone();
            if parts(&user.password).is_none() || users.insert(name.clone(), user).is_some() {
                return Err(UserError::User(name));
            }
        }
        Ok(Self(users))
    }

    /// Finds the user of a name and password. Takes as long for a name that does not exist.
    pub(super) fn verify(&self, username: &str, password: &str) -> Option<&User> {
        let user = self.0.get(username);
        let right = matches(user.map_or(NOBODY, |user| &user.password), password);
        user.filter(|_| right)
    }

    pub(super) fn by_sub(&self, sub: Uuid) -> Option<&User> {
        self.0.values().find(|user| user.sub == sub)
    }
}

fn hash(password: &str) -> String {
    let mut salt = [0_u8; 16];
    rand::fill(&mut salt);
    let mut derived = [0_u8; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ITERATIONS,
        &salt,
        password.as_bytes(),
        &mut derived,
    );
    let (salt, derived) = (
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(derived),
    );
    format!("{SCHEME}${ITERATIONS}${salt}${derived}")
}

fn matches(stored: &str, password: &str) -> bool {
    let Some((iterations, salt, derived)) = parts(stored) else {
        return false;
    };
    pbkdf2::verify(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        password.as_bytes(),
        &derived,
    )
    .is_ok()
}

fn parts(stored: &str) -> Option<(NonZeroU32, Vec<u8>, Vec<u8>)> {
    let mut parts = stored.split('$');
    let (scheme, iterations) = (parts.next()?, parts.next()?.parse::<NonZeroU32>().ok()?);
    let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let derived = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let sound = scheme == SCHEME && parts.next().is_none() && derived.len() == 32;
    // A file with weaker hashes than we write is not one of ours.
    (sound && iterations >= ITERATIONS).then_some((iterations, salt, derived))
}

const SCHEME: &str = "pbkdf2-sha256";
/// OWASP's figure for PBKDF2-HMAC-SHA256: a fifth of a second of one core for a guess.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");
/// What a name nobody has is compared with: the same work, and no password derives to all zeros.
const NOBODY: &str =
    "pbkdf2-sha256$600000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_file_holds_no_password_and_verifies_only_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        let ada = User::new("ada", "Ada", "ada@example.com", "correct horse");
        write_users(&path, &[ada]).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("correct horse"));
        let users = Users::load(&path).unwrap();
        assert!(users.verify("ada", "correct horse").is_some());
        assert!(users.verify("ada", "correct horsf").is_none());
        assert!(users.verify("eve", "correct horse").is_none());
    }

    #[test]
    fn a_name_nobody_has_costs_the_same_work() {
        assert!(parts(NOBODY).is_some_and(|(iterations, ..)| iterations == ITERATIONS));
    }
}
