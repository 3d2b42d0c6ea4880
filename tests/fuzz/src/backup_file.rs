//! A backup: whatever the file says of itself, a restore writes into its own folder only, and what
//! it restores is what opening it has shown.

use std::{fs, path::Path, sync::Arc};

use provost_protocol::{CorrelationId, Timestamp};
use provost_store::{
    Options,
    backup::{Backup, Restoring, is_incomplete, restore},
};

/// Opens the bytes as a backup, and restores what opens.
pub fn target(data: &[u8]) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let file = place.path().join("one.backup");
    fs::write(&file, data).expect("room for a backup");
    let Ok(backup) = Backup::open(&file, &mut |_| ()) else {
        return;
    };
    assert_eq!(backup.bytes(), u64::try_from(data.len()).expect("it fits"));
    let to = place.path().join("to");
    let restored = restore(&restoring(&backup, &to), &mut |_| ());
    let mut beside: Vec<_> = fs::read_dir(place.path())
        .expect("the folder is there")
        .map(|entry| entry.expect("a readable folder").file_name())
        .collect();
    beside.sort();
    assert_eq!(beside, ["one.backup", "to"]);
    match restored {
        Ok(logs) => {
            assert!(!is_incomplete(&to));
            assert!(logs.iter().map(|log| &log.end).eq(backup.ends()));
            for entry in backup.entries() {
                assert!(to.join(&entry.name).is_file(), "{}", entry.name);
            }
        }
        Err(_) => assert!(is_incomplete(&to), "a kernel would start on half a restore"),
    }
}

fn restoring<'a>(backup: &'a Backup, to: &Path) -> Restoring<'a> {
    // A restore outlasts the second that names its epoch.
    let now = Timestamp::from_millis(1_795_325_728_999);
    Restoring {
        backup,
        to: to.to_owned(),
        now,
        correlation_id: CorrelationId::from_parts(now, [9; 10]),
        options: Options {
            journal: provost_journal::Options {
                free_bytes_min: 0,
                ..provost_journal::Options::default()
            },
            compress: false,
            ..Options::new(Arc::new(|why| panic!("the store failed: {why}")))
        },
    }
}
