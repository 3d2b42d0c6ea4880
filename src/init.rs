//! `provost init`: makes an installation out of an empty folder.
//!
//! Keys, the internal tenant with its first events, the first admin key; last of all the file that
//! says the folder is an installation. A crash before that leaves a folder that nothing was ever
//! started from: it is refused from then on, by name, and can be removed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_actors::{Clock, Random, SystemClock, SystemRandom};
use provost_certs::{Authority, AuthorityError, FileError, KeyError, Signers, files};
use provost_kernel::{At, Command, Rejection, State, apply, command::CreateTenant, decide};
use provost_protocol::{
    CorrelationId, InstallId, TenantId, Timestamp,
    entity::{KeyPurpose, Policies, Role, TenantType},
    envelope::{ActorRef, Envelope, EnvelopeError, Source},
    ids::AdminKeyId,
    sign::{KeyId, Signer},
};
use provost_store::{Append, AppendError, Backend, CloseError, OpenError, Options, Stamped, Store};
use serde::Serialize;

use crate::{
    admin::key::AdminKey,
    install::{self, Install, InstallError},
};

/// What can be chosen about a new installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// The folder; made if it is not there.
    pub data_dir: PathBuf,
    /// The internal tenant's name, for people.
    pub name: String,
    /// The internal tenant's time zone: an IANA name.
    pub time_zone: String,
}

/// What was made, and where it is. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Initialised {
    /// The installation's id: the trust domain of its certificates.
    pub install_id: InstallId,
    /// The operator's own tenant.
    pub internal_tenant: TenantId,
    /// The folder.
    pub data_dir: PathBuf,
    /// The file that holds the first admin key.
    pub admin_key_file: PathBuf,
    /// The first admin key's id.
    pub admin_key: AdminKeyId,
    /// The key that signs licenses.
    pub license_kid: KeyId,
    /// The license key's public half, hex: what a verifier needs.
    pub license_public_key: String,
    /// SHA-256 of the root certificate, hex: what every enrolment token names.
    pub root_sha256: String,
}

/// Why no installation was made. Whoever runs the kernel must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is one already; nothing was touched.
    #[error("{} is an installation already ({install_id}); nothing was changed", data_dir.display())]
    AlreadyInitialised {
        /// The folder.
        data_dir: PathBuf,
        /// The installation that is there.
        install_id: InstallId,
    },
    /// The folder holds something else, perhaps the rest of an interrupted init.
    #[error(
        "{} holds other files, such as {found}: name an empty folder, or remove what is left of an \
         interrupted init", data_dir.display()
    )]
    NotEmpty {
        /// The folder.
        data_dir: PathBuf,
        /// One of its files.
        found: String,
    },
    /// The folder or a file in it cannot be read or written.
    #[error("the folder cannot be used")]
    File(#[from] FileError),
    /// The folder cannot be listed.
    #[error("the folder cannot be listed")]
    Folder(#[source] std::io::Error),
    /// The identity there is unreadable.
    #[error("the installation's identity is unusable")]
    Install(#[from] InstallError),
    /// The certificate authority could not be made.
    #[error("the certificate authority cannot be made")]
    Authority(#[from] AuthorityError),
    /// The signing keys could not be made.
    #[error("the signing keys cannot be made")]
    Keys(#[from] KeyError),
    /// The rules refuse the name or the time zone.
    #[error("refused: {0}")]
    Rejected(#[from] Rejection),
    /// The first events could not be stored.
    #[error("the journal cannot be begun")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Makes an installation. Blocks: files are synced, keys are made.
///
/// Not to be called on a thread that drives an async runtime; `spawn_blocking` is fine.
///
/// # Errors
/// [`InitError`]; an installation that is there already is left exactly as it is.
pub fn initialise(init: &Init) -> Result<Initialised, InitError> {
    let init = &Init {
        // What is printed must hold from any folder.
        data_dir: std::path::absolute(&init.data_dir).map_err(InitError::Folder)?,
        ..init.clone()
    };
    require_empty(&init.data_dir)?;
    let (now, random) = (SystemClock.now(), SystemRandom);
    let install = Install {
        install_id: InstallId::from_parts(now, random.id_bytes()),
        internal_tenant: TenantId::from_parts(now, random.id_bytes()),
    };
    let key_id = AdminKeyId::from_parts(now, random.id_bytes());
    let admin_key = AdminKey::new(install.internal_tenant, key_id, random.secret());
    let correlation_id = CorrelationId::from_parts(now, random.id_bytes());

    files::create_private_dir(&init.data_dir)?;
    let authority = Authority::create(&init.data_dir, install.install_id, now)?;
    let signers = Signers::create(&init.data_dir)?;
    let commands = first_commands(init, &authority, &signers, &admin_key);
    let events = first_events(install.internal_tenant, &commands, correlation_id, now)?;
    store(&init.data_dir, install.internal_tenant, events)?;
    let admin_key_file = init.data_dir.join(ADMIN_KEY_FILE);
    let mut text = admin_key.to_text();
    text.push('\n');
    files::create_private(&admin_key_file, text.as_bytes())?;
    install.save(&init.data_dir)?;

    Ok(Initialised {
        install_id: install.install_id,
        internal_tenant: install.internal_tenant,
        data_dir: init.data_dir.clone(),
        admin_key_file,
        admin_key: key_id,
        license_kid: signers.license.key_id(),
        license_public_key: hex::encode(signers.license.public_key()),
        root_sha256: hex::encode(authority.root_sha256()),
    })
}

/// Refuses a folder that holds anything.
fn require_empty(data_dir: &Path) -> Result<(), InitError> {
    let data_dir = data_dir.to_owned();
    if data_dir.join(install::FILE_NAME).exists() {
        let install_id = Install::load(&data_dir)?.install_id;
        return Err(InitError::AlreadyInitialised {
            data_dir,
            install_id,
        });
    }
    let found = match std::fs::read_dir(&data_dir) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(InitError::Folder(error)),
    };
    match found {
        None => Ok(()),
        Some(entry) => {
            let name = entry.map_err(InitError::Folder)?.file_name();
            let found = name.to_string_lossy().into_owned();
            Err(InitError::NotEmpty { data_dir, found })
        }
    }
}

fn first_commands(
    init: &Init,
    authority: &Authority,
    signers: &Signers,
    admin_key: &AdminKey,
) -> Vec<Command> {
    let key = |kid: String, purpose, public_key: &[u8]| Command::CreateKey {
        kid,
        purpose,
        public_key: STANDARD.encode(public_key),
    };
    let signing = |purpose, key_pair: &provost_certs::Ed25519Key| {
        let spki = [&ED25519_SPKI_HEAD[..], &key_pair.public_key()].concat();
        key(key_pair.key_id().to_string(), purpose, &spki)
    };
    // Named like the others, after the first 8 bytes of a hash: here of the root certificate,
    // which is what enrolment tokens know it by.
    let ca_kid = hex::encode(&authority.root_sha256()[..8]);
    vec![
        Command::CreateTenant(CreateTenant {
            tenant_type: TenantType::Internal,
            name: init.name.clone(),
            policies: Policies::default(),
            operator: None,
            time_zone: init.time_zone.clone(),
            region: None,
        }),
        key(ca_kid, KeyPurpose::Ca, &authority.public_key_der()),
        signing(KeyPurpose::License, &signers.license),
        signing(KeyPurpose::Checkpoint, &signers.checkpoint),
        Command::CreateAdminKey {
            key: admin_key.id(),
            name: "first".to_owned(),
            role: Role::SuperAdmin,
            secret_sha256: admin_key.sha256_hex(),
        },
    ]
}

/// Decides the commands one after another, on the state that the ones before them left.
fn first_events(
    tenant: TenantId,
    commands: &[Command],
    correlation_id: CorrelationId,
    now: Timestamp,
) -> Result<Vec<Stamped>, InitError> {
    let mut state = State::new(tenant, EPOCH);
    let mut stamped = Vec::with_capacity(commands.len());
    let mut seq = 0;
    for command in commands {
        for event in decide(&state, command, now)? {
            seq += 1;
            apply(
                &mut state,
                At {
                    tenant,
                    epoch: EPOCH,
                    seq,
                    time: now,
                },
                &event,
            );
            let envelope = Envelope {
                tenant,
                epoch: EPOCH,
                seq,
                time: now,
                actor: ActorRef::system(),
                source: Source::Kernel,
                correlation_id,
                idempotency: None,
                event,
            };
            stamped.push(Stamped::new(envelope).map_err(stored::<EnvelopeError>)?);
        }
    }
    Ok(stamped)
}

fn store(data_dir: &Path, tenant: TenantId, events: Vec<Stamped>) -> Result<(), InitError> {
    // Nothing was acknowledged yet; the next init names the folder as left over.
    let options = Options::new(Arc::new(|_| std::process::abort()));
    let (store, _) = Store::open(data_dir, options).map_err(stored::<OpenError>)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(stored::<std::io::Error>)?;
    runtime
        .block_on(store.append(Append {
            tenant,
            expected: 0,
            events,
        }))
        .map_err(stored::<AppendError>)?;
    store.close(CLOSE_PATIENCE).map_err(stored::<CloseError>)
}

fn stored<E: std::error::Error + Send + Sync + 'static>(error: E) -> InitError {
    InitError::Store(Box::new(error))
}

/// Holds the first admin key, 0600; to be moved to its user and removed.
pub const ADMIN_KEY_FILE: &str = "admin.key";

/// The first: it rises with every restore.
const EPOCH: u64 = 1;

/// Five events: a disk that needs longer to write them is broken.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// DER in front of the 32 bytes of an Ed25519 key (RFC 8410, section 4): one fixed form.
const ED25519_SPKI_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests;
