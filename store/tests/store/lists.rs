//! The rest of what every backend promises: the walks over tenants, and refusals.

use provost_kernel::Command;
use provost_protocol::TokenId;
use provost_store::{AppendError, Backend, MemoryStore, Store};

use crate::{
    answers::{options, wait},
    commands::{audit, create_token, enroll, grant, token},
    conformance::{all, filled, on_each, put, seqs},
    log::{Log, runtime, tenant},
};

#[test]
fn tenants_are_listed_in_pages_in_the_order_of_ids() {
    on_each(|store| {
        for number in [3, 1, 2] {
            filled(store, number, 1);
        }
        wait(store.load(tenant(4), Vec::new())).unwrap();
        let page = |after| wait(store.tenants(after, 2)).unwrap();
        assert_eq!(page(None), [tenant(1), tenant(2)]);
        assert_eq!(page(Some(tenant(2))), [tenant(3)]);
        assert_eq!(page(Some(tenant(3))), []);
    });
}

#[test]
fn runtimes_are_online_from_their_first_heartbeat_until_they_are_lost() {
    on_each(|store| {
        let mut log = filled(store, 1, 1);
        let mut run = |command: Command| put(store, log.run(&command).unwrap());
        let fresh = Log::new(tenant(1));
        run(create_token(&fresh, 1));
        let online = || wait(store.online(None, 10)).unwrap();
        for n in [1, 2] {
            run(enroll(&fresh, 1, n));
        }
        assert_eq!(online(), []);
        for n in [2, 1] {
            run(Command::Activate {
                runtime: runtime(n),
            });
        }
        assert_eq!(online(), [(tenant(1), runtime(1)), (tenant(1), runtime(2))]);
        let after = wait(store.online(Some((tenant(1), runtime(1))), 10)).unwrap();
        assert_eq!(after, [(tenant(1), runtime(2))]);
        run(Command::MarkLost {
            runtimes: vec![runtime(1)],
        });
        assert_eq!(online(), [(tenant(1), runtime(2))]);
        run(Command::MarkReturned {
            runtimes: vec![runtime(1)],
        });
        assert_eq!(online().len(), 2);
    });
}

#[test]
fn a_tenant_is_due_from_the_end_of_an_entitlement_until_that_is_recorded() {
    on_each(|store| {
        let mut log = filled(store, 1, 1);
        let mut other = filled(store, 2, 1);
        put(store, log.run(&grant(&log.clone(), 0, 9)).unwrap());
        put(store, other.run(&grant(&other.clone(), 0, 4)).unwrap());
        let ends = [log.now.plus_millis(600_000), log.now.plus_millis(300_000)];
        let due = |now, limit| wait(store.due(now, limit)).unwrap();
        assert_eq!(due(ends[1].minus_millis(1), 9), []);
        assert_eq!(due(ends[1], 9), [(ends[1], tenant(2))]);
        let both = [(ends[1], tenant(2)), (ends[0], tenant(1))];
        assert_eq!(due(ends[0], 9), both);
        assert_eq!(due(ends[0], 1), both[..1]);
        other.now = ends[0];
        put(store, other.run(&Command::Expire).unwrap());
        assert_eq!(due(ends[0], 9), both[1..]);
    });
}

#[test]
fn a_token_leads_to_the_tenant_that_issued_it_also_when_it_is_revoked() {
    on_each(|store| {
        let mut logs = [filled(store, 1, 1), filled(store, 2, 1)];
        for log in &mut logs {
            put(store, log.run(&create_token(&log.clone(), 1)).unwrap());
        }
        let find = |id: TokenId| wait(store.token_tenant(id)).unwrap();
        let [first, second] = [token(&logs[0], 1), token(&logs[1], 1)];
        assert_eq!(find(first), Some(tenant(1)));
        assert_eq!(find(second), Some(tenant(2)));
        assert_eq!(find(token(&logs[0], 2)), None);
        let revoke = Command::RevokeToken { token: first };
        put(store, logs[0].run(&revoke).unwrap());
        assert_eq!(find(first), Some(tenant(1)));
    });
}

#[test]
fn a_store_that_refuses_writes_goes_on_reading() {
    let memory = MemoryStore::new();
    let log = filled(&memory, 1, 2);
    memory.refuse_writes(true);
    refuses_and_reads(&memory, log);

    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options(2 * 1024)).unwrap();
    let log = filled(&store, 1, 2);
    store.close(std::time::Duration::from_secs(60)).unwrap();
    drop(store);
    let mut full = options(2 * 1024);
    full.journal.free_bytes_min = u64::MAX;
    let (store, _) = Store::open(dir.path(), full).unwrap();
    refuses_and_reads(&store, log);
}

fn refuses_and_reads(store: &dyn Backend, mut log: Log) {
    let append = log.run(&audit(&log.clone(), 1, 1)).unwrap();
    for _ in 0..2 {
        let answer = wait(store.append(append.clone()));
        assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
    }
    assert_eq!(seqs(store, 1, all()), [1, 2]);
}
