use std::{collections::VecDeque, fs, path::Path, time::Duration};

use provost_protocol::TenantId;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::testing::{other_tenant, tenant};

/// Takes what is sent; answers as scripted, else by refusing what is marked bad.
#[derive(Debug, Clone, Default)]
struct Kernel(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    recorded: Vec<(TenantId, String)>,
    script: VecDeque<Delivered>,
    sends: usize,
    /// How many bytes at once get through in time; absent for any.
    narrow: Option<usize>,
}

impl Kernel {
    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.0.lock().unwrap()
    }

    fn of(&self, tenant: TenantId) -> Vec<String> {
        let heard = self.heard();
        heard
            .recorded
            .iter()
            .filter(|(of, _)| *of == tenant)
            .map(|(_, e)| e.clone())
            .collect()
    }
}

impl Courier for Kernel {
    async fn send(&self, tenant: TenantId, events: Vec<Vec<u8>>) -> Delivered {
        let events: Vec<_> = events
            .into_iter()
            .map(|event| String::from_utf8(event).unwrap())
            .collect();
        let mut heard = self.heard();
        heard.sends += 1;
        let bytes: usize = events.iter().map(String::len).sum();
        if heard.narrow.is_some_and(|most| bytes > most) {
            return Delivered::Unknown;
        }
        if events.iter().any(|event| event.contains("bad")) {
            return Delivered::Refused(Problem::new(Code::EventConflict, "bad"));
        }
        // As the kernel: what is there already is not recorded again.
        for event in events {
            if !heard.recorded.contains(&(tenant, event.clone())) {
                heard.recorded.push((tenant, event));
            }
        }
        heard.script.pop_front().unwrap_or(Delivered::Recorded)
    }

    async fn ready(&self) {
        std::future::ready(()).await;
    }

    fn now(&self) -> provost_protocol::Timestamp {
        provost_protocol::Timestamp::EPOCH
    }
}

fn event(tenant: TenantId, word: &str) -> SpoolEvent {
    let id = "01890a5d-ac96-774b-bcce-b302099a8059".parse().unwrap();
    SpoolEvent {
        id,
        tenant,
        json: format!("{{\"word\":\"{word}\"}}"),
    }
}

fn open(folder: &Path) -> Arc<Spool> {
    Arc::new(Spool::open(folder, 1 << 20, 0).unwrap())
}

async fn delivered(spool: &Arc<Spool>, kernel: &Kernel) {
    let delivering = deliver(Arc::clone(spool), kernel.clone());
    let all = async {
        while spool.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let both = async {
        tokio::select! { () = delivering => {}, () = all => {} }
    };
    timeout(PATIENCE, both)
        .await
        .expect("everything is delivered in time");
}

fn words(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("{{\"word\":\"w{n}\"}}"))
        .collect()
}

async fn fill(spool: &Spool, count: usize) {
    for n in 0..count {
        let of = if n % 2 == 0 { tenant() } else { other_tenant() };
        spool
            .append(vec![event(of, &format!("w{n}"))])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn events_of_each_tenant_are_delivered_in_order_and_batched() {
    let folder = TempDir::new().unwrap();
    let (spool, kernel) = (open(folder.path()), Kernel::default());
    fill(&spool, 40).await;
    assert_eq!(spool.waiting(), 40);
    delivered(&spool, &kernel).await;
    let (even, odd): (Vec<_>, Vec<_>) = words(40)
        .into_iter()
        .enumerate()
        .partition(|(n, _)| n % 2 == 0);
    let plain = |all: Vec<(usize, String)>| all.into_iter().map(|(_, w)| w).collect::<Vec<_>>();
    assert_eq!(kernel.of(tenant()), plain(even));
    assert_eq!(kernel.of(other_tenant()), plain(odd));
    assert!(kernel.heard().sends <= 4, "{} sends", kernel.heard().sends);
}

#[tokio::test]
async fn a_line_too_narrow_for_a_whole_batch_takes_smaller_ones() {
    let folder = TempDir::new().unwrap();
    let (spool, kernel) = (open(folder.path()), Kernel::default());
    kernel.heard().narrow = Some(8 * 1_024);
    let long = "long".repeat(256);
    for n in 0..40 {
        let event = event(tenant(), &format!("{long}{n}"));
        spool.append(vec![event]).await.unwrap();
    }
    delivered(&spool, &kernel).await;
    assert_eq!(kernel.of(tenant()).len(), 40);
}

#[tokio::test]
async fn a_crash_between_delivery_and_the_place_delivers_again_and_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let kernel = Kernel::default();
    let place = folder.path().join("delivered.json");
    {
        let spool = open(folder.path());
        fill(&spool, 6).await;
        delivered(&spool, &kernel).await;
        spool.close().await;
    }
    // The crash: everything went out, the place was not written.
    fs::remove_file(&place).unwrap();
    let spool = open(folder.path());
    assert_eq!(spool.waiting(), 6);
    let numbers = spool.append(vec![event(tenant(), "w6")]).await.unwrap();
    assert_eq!(numbers, [7]);
    delivered(&spool, &kernel).await;
    assert_eq!(kernel.of(tenant()).last().unwrap(), "{\"word\":\"w6\"}");
    assert_eq!(kernel.heard().recorded.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_an_overloaded_kernel_only_delay() {
    let folder = TempDir::new().unwrap();
    let (spool, kernel) = (open(folder.path()), Kernel::default());
    let busy = Problem::new(Code::Overloaded, "busy");
    kernel.heard().script = [Delivered::Unknown, Delivered::Refused(busy)].into();
    fill(&spool, 3).await;
    delivered(&spool, &kernel).await;
    assert_eq!(kernel.heard().recorded.len(), 3);
    assert_eq!(spool.dead_letters(), 0);
}

#[tokio::test]
async fn a_refused_event_is_set_aside_with_its_reason_and_the_others_go_on() {
    let folder = TempDir::new().unwrap();
    let kernel = Kernel::default();
    let spool = open(folder.path());
    for word in ["w0", "w1", "bad", "w2", "w3"] {
        spool.append(vec![event(tenant(), word)]).await.unwrap();
    }
    delivered(&spool, &kernel).await;
    assert_eq!(kernel.of(tenant()), words(4));
    assert_eq!(spool.dead_letters(), 1);
    let letters = fs::read_to_string(folder.path().join("dead-letters.jsonl")).unwrap();
    assert!(letters.contains("event_conflict") && letters.contains("{\"word\":\"bad\"}"));
    spool.close().await;
    drop(spool);
    // Delivered again after a crash, it is not set aside twice.
    fs::remove_file(folder.path().join("delivered.json")).unwrap();
    let spool = open(folder.path());
    delivered(&spool, &kernel).await;
    assert_eq!(spool.dead_letters(), 1);
}

#[tokio::test]
async fn a_torn_end_is_cut_and_everything_acknowledged_is_there() {
    let folder = TempDir::new().unwrap();
    {
        let spool = open(folder.path());
        fill(&spool, 5).await;
        spool.close().await;
    }
    let segment = fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .max()
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes.extend_from_slice(b"half a group that was never acknowledged");
    fs::write(&segment, bytes).unwrap();
    let (spool, kernel) = (open(folder.path()), Kernel::default());
    assert_eq!(spool.waiting(), 5);
    delivered(&spool, &kernel).await;
    assert_eq!(kernel.heard().recorded.len(), 5);
}

#[tokio::test]
async fn a_full_spool_refuses_and_keeps_what_it_has() {
    let folder = TempDir::new().unwrap();
    let spool = Arc::new(Spool::open(folder.path(), 400, 0).unwrap());
    let kernel = Kernel::default();
    let mut accepted = 0;
    let refusal = loop {
        match spool
            .append(vec![event(tenant(), &format!("w{accepted}"))])
            .await
        {
            Ok(_) => accepted += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, SpoolRefusal::Full);
    assert_eq!(refusal.problem().status, 503);
    assert_eq!(spool.waiting(), accepted);
    delivered(&spool, &kernel).await;
    assert_eq!(
        kernel.of(tenant()),
        words(usize::try_from(accepted).unwrap())
    );
    spool.append(vec![event(tenant(), "again")]).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_refuses_and_nothing_counts_as_waiting() {
    let folder = TempDir::new().unwrap();
    let spool = Spool::open(folder.path(), 1 << 20, u64::MAX).unwrap();
    let refused = spool.append(vec![event(tenant(), "w0")]).await;
    assert_eq!(refused, Err(SpoolRefusal::Disk));
    assert_eq!((spool.waiting(), spool.waiting_bytes()), (0, 0));
}

/// Long enough for two busy cores; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
