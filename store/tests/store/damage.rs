//! A damaged value of the state is never used: the process ends, and the next start rebuilds.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use provost_protocol::codec;
use provost_store::{AppendError, Backend, CloseError, Options, ReadError, Store, state_folder};
use sha2::{Digest as _, Sha256};

use crate::{
    answers::{answers, copy, wait},
    commands::grant,
    log::tenant,
    rebuild::{close, filled, put, reopened, small, told},
};

#[test]
fn a_damaged_value_that_is_read_ends_the_process_and_is_cured_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (_, expected) = filled(dir.path());
    flip(dir.path(), "entitlement/x");
    let (options, said) = recording();
    let (store, opened) = Store::open(dir.path(), options).unwrap();
    told(&opened, None);
    let answer = wait(store.load(tenant(1), Vec::new()));
    assert!(matches!(answer, Err(ReadError::Damaged(_))), "{answer:?}");
    assert_eq!(said.lock().unwrap().len(), 1);
    let closed = store.close(Duration::from_secs(60));
    assert!(matches!(closed, Err(CloseError::State(_))), "{closed:?}");
    drop(store);
    told(&reopened(dir.path(), &expected), Some("damaged"));
}

#[test]
fn an_append_that_meets_a_damaged_value_ends_the_process_and_is_there_after_the_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let (mut logs, _) = filled(dir.path());
    flip(dir.path(), "tenant/self");
    let (options, said) = recording();
    let (store, _) = Store::open(dir.path(), options).unwrap();
    let command = grant(&logs[0], 1, 7);
    let append = logs[0].run(&command).unwrap();
    assert_eq!(wait(store.append(append)), Ok(()));
    // Who reads the state waits for it, and hears that it will not come.
    let answer = wait(store.load(tenant(1), Vec::new()));
    assert!(matches!(answer, Err(ReadError::Closed)), "{answer:?}");
    assert_eq!(said.lock().unwrap().len(), 1);
    assert!(store.close(Duration::from_secs(60)).is_err());
    drop(store);
    let (store, opened) = Store::open(dir.path(), small()).unwrap();
    told(&opened, Some("damaged"));
    let head = wait(store.load(tenant(1), Vec::new())).unwrap().head;
    assert_eq!(head.seq, logs[0].seq);
    close(store);
}

#[test]
fn an_append_to_a_tenant_with_a_damaged_head_is_refused_and_cured_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut logs, expected) = filled(dir.path());
    flip(dir.path(), &format!("h/{}", tenant(1)));
    let (options, said) = recording();
    let (store, _) = Store::open(dir.path(), options).unwrap();
    let command = grant(&logs[0], 1, 7);
    let append = logs[0].run(&command).unwrap();
    let answer = wait(store.append(append));
    assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
    assert_eq!(said.lock().unwrap().len(), 1);
    assert!(store.close(Duration::from_secs(60)).is_err());
    drop(store);
    told(&reopened(dir.path(), &expected), Some("damaged"));
}

#[test]
fn a_damaged_value_that_a_replay_meets_does_not_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut logs, _) = filled(dir.path());
    let older = tempfile::tempdir().unwrap();
    copy(dir.path(), older.path()).unwrap();
    flip(older.path(), "tenant/self");
    let (store, _) = Store::open(dir.path(), small()).unwrap();
    for log in &mut logs {
        put(&store, log, &grant(&log.clone(), 2, 77));
    }
    let expected = answers(&store);
    close(store);
    // As after a kill: the state is behind the journal, and one of its values is damaged.
    fs::remove_dir_all(state_folder(dir.path())).unwrap();
    copy(&state_folder(older.path()), &state_folder(dir.path())).unwrap();
    told(&reopened(dir.path(), &expected), Some("damaged"));
}

/// Flips one bit in the value whose key ends so, and puts the state's sum right: as if the damage
/// came after the start had read everything.
fn flip(dir: &Path, key_end: &str) {
    let db = sled::open(state_folder(dir)).unwrap();
    let ends_so = |(key, value): &(sled::IVec, sled::IVec)| {
        key.ends_with(key_end.as_bytes()) && !value.is_empty()
    };
    let (key, before) = db.iter().map(|item| item.unwrap()).find(ends_so).unwrap();
    let mut after = before.to_vec();
    let middle = after.len() / 2;
    after[middle] ^= 4;
    let mark = db.get(b"w").unwrap().unwrap();
    let (segment, offset, sum): (u64, u64, u128) = codec::decode(&mark[5..]).unwrap();
    let sum = sum
        .wrapping_sub(number(&key, &before))
        .wrapping_add(number(&key, &after));
    let body = codec::encode(&(segment, offset, sum)).unwrap();
    let mut mark = vec![1];
    mark.extend(crc32c::crc32c(&body).to_le_bytes());
    mark.extend(body);
    db.insert(key, after).unwrap();
    db.insert(b"w", mark).unwrap();
    db.flush().unwrap();
}

/// What one key with its value adds to the state's sum.
fn number(key: &[u8], value: &[u8]) -> u128 {
    let length = u64::try_from(key.len()).unwrap().to_le_bytes();
    let hash = Sha256::digest([&length[..], key, value].concat());
    u128::from_be_bytes(hash[..16].try_into().unwrap())
}

/// Options whose fatal hook writes down why.
fn recording() -> (Options, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let mut options = small();
    options.fatal = Arc::new(move |why| heard.lock().unwrap().push(why.to_owned()));
    (options, said)
}
