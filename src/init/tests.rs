use std::{fs, os::unix::fs::PermissionsExt};

use provost_protocol::event::Event;
use provost_store::Range;

use super::*;

fn init(data_dir: &Path) -> Init {
    Init {
        data_dir: data_dir.to_owned(),
        name: "Vendor".to_owned(),
        time_zone: "UTC".to_owned(),
    }
}

fn read_log(data_dir: &Path, tenant: TenantId) -> Vec<Envelope> {
    let options = Options::new(Arc::new(|why| panic!("{why}")));
    let (store, _) = Store::open(data_dir, options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let range = Range {
        after: 0,
        limit: 100,
        newest_before: None,
    };
    let events = runtime.block_on(store.read(tenant, range)).unwrap();
    store.close(CLOSE_PATIENCE).unwrap();
    events.into_iter().map(|event| event.envelope).collect()
}

#[test]
fn an_empty_folder_becomes_an_installation_whose_first_key_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let made = initialise(&init(&data_dir)).unwrap();

    let install = Install::load(&data_dir).unwrap();
    assert_eq!(install.install_id, made.install_id);
    assert_eq!(
        Authority::open(&data_dir).unwrap().install(),
        made.install_id
    );
    let license = Signers::open(&data_dir).unwrap().license;
    assert_eq!(hex::encode(license.public_key()), made.license_public_key);

    let log = read_log(&data_dir, install.internal_tenant);
    let kinds: Vec<_> = log.iter().map(|envelope| envelope.event.kind()).collect();
    assert_eq!(
        kinds,
        [
            "tenant.created",
            "key.created",
            "key.created",
            "key.created",
            "admin-key.created"
        ]
    );
    assert!(
        log.iter()
            .zip(1..)
            .all(|(envelope, seq)| (envelope.epoch, envelope.seq) == (1, seq))
    );
    let text = fs::read_to_string(&made.admin_key_file).unwrap();
    let key: AdminKey = text.trim_end().parse().unwrap();
    let Some(Event::AdminKeyCreated(created)) = log.last().map(|last| &last.event) else {
        panic!("the last event is the admin key's");
    };
    assert!(key.is(&created.secret_sha256) && created.role == Role::SuperAdmin);
    let mode = fs::metadata(&made.admin_key_file)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(!format!("{made:?}").contains(text.trim_end()));
}

#[test]
fn an_installation_is_never_initialised_again() {
    let dir = tempfile::tempdir().unwrap();
    let made = initialise(&init(dir.path())).unwrap();
    let key = fs::read(&made.admin_key_file).unwrap();
    let again = initialise(&init(dir.path())).unwrap_err();
    let InitError::AlreadyInitialised { install_id, .. } = again else {
        panic!("{again}")
    };
    assert_eq!(install_id, made.install_id);
    assert_eq!(fs::read(&made.admin_key_file).unwrap(), key);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
    let refused = initialise(&init(dir.path())).unwrap_err();
    assert!(refused.to_string().contains("holiday.jpg"), "{refused}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_name_that_the_rules_refuse_makes_no_installation() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let wish = Init {
        time_zone: "Mars/Olympus".to_owned(),
        ..init(&data_dir)
    };
    assert!(matches!(initialise(&wish), Err(InitError::Rejected(_))));
    assert!(matches!(
        Install::load(&data_dir),
        Err(InstallError::NotInitialised { .. })
    ));
}
