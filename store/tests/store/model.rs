//! The store on disk against the one in memory, under any commands.

use proptest::prelude::*;
use provost_store::{Backend, MemoryStore, Store};

use crate::{
    answers::{answers, options, wait},
    commands::command,
    log::{Log, create, tenant},
};

/// What happens to both stores.
#[derive(Debug, Clone)]
enum Step {
    /// A tenant's command; what is refused appends nothing.
    Command(usize, (u8, u8, u64)),
    /// A tenant's command that expects another end.
    Stale(usize, (u8, u8, u64)),
    /// Time passes for everybody.
    Wait(u64),
    /// The store on disk is closed and opened; the flag asks for a rebuild.
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || (0_u8..24, any::<u8>(), 0_u64..50);
    prop_oneof![
        20 => (0_usize..3, pick()).prop_map(|(log, pick)| Step::Command(log, pick)),
        2 => (0_usize..3, pick()).prop_map(|(log, pick)| Step::Stale(log, pick)),
        4 => (1_u64..3_600_000).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

fn agree(store: &Store, memory: &MemoryStore) {
    let (disk, memory) = (answers(store), answers(memory));
    for (on_disk, in_memory) in disk.iter().zip(&memory) {
        assert_eq!(on_disk, in_memory);
    }
    assert_eq!(disk.len(), memory.len());
}

fn both(store: &Store, memory: &MemoryStore, append: provost_store::Append) -> bool {
    let in_memory = wait(memory.append(append.clone()));
    let on_disk = wait(store.append(append));
    assert_eq!(on_disk, in_memory);
    on_disk.is_ok()
}

proptest! {
    // Each case makes two dozen groups durable: a few seconds in all.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn disk_and_memory_give_the_same_answers_after_every_step(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let memory = MemoryStore::new();
        let mut store = Store::open(dir.path(), options(4 * 1024)).unwrap().0;
        let mut logs: Vec<Log> = (1..=3).map(|n| Log::new(tenant(n))).collect();
        for log in &mut logs {
            assert!(both(&store, &memory, log.run(&create()).unwrap()));
        }
        for step in steps {
            match step {
                Step::Command(log, pick) => {
                    let command = command(&logs[log], pick);
                    if let Ok(append) = logs[log].run(&command) {
                        assert!(both(&store, &memory, append));
                    }
                }
                Step::Stale(log, pick) => {
                    let mut stale = logs[log].clone();
                    stale.seq += 1;
                    if let Ok(append) = stale.run(&command(&logs[log], pick)) {
                        assert!(!both(&store, &memory, append));
                    }
                }
                Step::Wait(millis) => {
                    for log in &mut logs {
                        log.now = log.now.plus_millis(millis);
                    }
                }
                Step::Reopen(rebuild) => {
                    store.close(std::time::Duration::from_secs(60)).unwrap();
                    drop(store);
                    let mut options = options(4 * 1024);
                    options.rebuild = rebuild;
                    let (opened, report) = Store::open(dir.path(), options).unwrap();
                    assert_eq!(report.rebuilt.is_some(), rebuild);
                    assert_eq!((report.replayed > 0, report.indexes_rebuilt), (rebuild, 0));
                    store = opened;
                }
            }
            agree(&store, &memory);
        }
    }
}
