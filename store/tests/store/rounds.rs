//! Kills a writer at a random moment and looks at what is left, round after round.

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use provost_protocol::TenantId;
use provost_store::{Backend, Range, Store};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::answers::{SEGMENT_BYTES_MAX, answers, copy, options, wait};

/// What the rounds have seen.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) rounds: u32,
    pub(crate) acknowledged: u64,
    pub(crate) found: u64,
    pub(crate) replayed: u64,
    pub(crate) rebuilt: u32,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            rounds,
            acknowledged,
            found,
            replayed,
            rebuilt,
        } = self;
        write!(
            f,
            "seed {seed}: {rounds} kills, {acknowledged} events acknowledged, all among the \
             {found} found; {replayed} replayed, {rebuilt} states rebuilt, every state equal to \
             its rebuild"
        )
    }
}

type Acknowledged = BTreeMap<TenantId, u64>;

/// Runs so many rounds; panics at the first thing that is not as promised.
pub(crate) fn rounds(count: u32, seed: u64, writer: impl Fn(&Path) -> Command) -> Summary {
    let mut random = StdRng::seed_from_u64(seed);
    let mut summary = Summary {
        seed,
        ..Summary::default()
    };
    let mut folder = tempfile::tempdir().expect("a temporary folder");
    let mut acknowledged = Acknowledged::new();
    for round in 0..count {
        if round % ROUNDS_A_FOLDER == 0 {
            folder = tempfile::tempdir().expect("a temporary folder");
            acknowledged.clear();
        }
        let kill_after = random.random_range(0..EVENTS_MAX);
        let before: u64 = acknowledged.values().sum();
        kill(&mut writer(folder.path()), kill_after, &mut acknowledged);
        summary.acknowledged += acknowledged.values().sum::<u64>() - before;
        // Every other time a copy is looked at, so that the next writer finds the killed state.
        let copied = tempfile::tempdir().expect("a temporary folder");
        if round % 2 == 1 {
            copy(folder.path(), copied.path()).expect("the folder can be copied");
            look(copied.path(), &acknowledged, &mut summary);
        } else {
            look(folder.path(), &acknowledged, &mut summary);
        }
        summary.rounds += 1;
    }
    summary
}

/// Starts the writer, kills it when it has acknowledged so many events, and hears it to its end.
fn kill(writer: &mut Command, after: u64, acknowledged: &mut Acknowledged) {
    let mut child = writer.stdout(Stdio::piped()).spawn().expect(
        "the writer starts: examples are built by `cargo test` and `cargo build --examples`",
    );
    let output = child.stdout.take().expect("it is piped");
    let (said, heard) = mpsc::sync_channel(LINES_WAITING);
    let listener = thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + ROUND_TIME_MAX;
    let mut lines = Vec::new();
    while u64::try_from(lines.len()).unwrap_or(u64::MAX) < after {
        let left = deadline.saturating_duration_since(Instant::now());
        lines.push(
            heard
                .recv_timeout(left)
                .expect("the writer goes on until it is killed"),
        );
    }
    child.kill().expect("it runs");
    child.wait().expect("it was started here");
    // Until the listener has reached the end of the pipe and hangs up.
    lines.extend(heard.iter());
    listener.join().expect("the listener does not panic");
    for line in lines {
        // A line is one write: the kill cannot have cut it.
        let (tenant, seq) = line.split_once(' ').expect("tenant and sequence");
        let tenant = tenant.parse().expect("a tenant");
        let seq = seq.parse().expect("a sequence");
        let before = acknowledged.insert(tenant, seq);
        assert!(
            before.is_none_or(|before| before < seq),
            "{line} is said twice"
        );
    }
}

fn look(dir: &Path, acknowledged: &Acknowledged, summary: &mut Summary) {
    let (store, opened) = Store::open(dir, options(SEGMENT_BYTES_MAX)).expect("the store opens");
    summary.replayed += opened.replayed;
    summary.rebuilt += u32::from(opened.rebuilt.is_some());
    for (tenant, last) in acknowledged {
        let range = Range {
            limit: usize::MAX,
            ..Range::default()
        };
        let events = wait(store.read(*tenant, range)).expect("the log is read");
        let seqs: Vec<u64> = events.iter().map(|event| event.envelope.seq).collect();
        let count = u64::try_from(seqs.len()).expect("few events");
        assert_eq!(seqs, (1..=count).collect::<Vec<_>>(), "{tenant} has a gap");
        assert!(count >= *last, "{tenant} lost {last}: {count} are left");
        let head = wait(store.load(*tenant, Vec::new()))
            .expect("the tenant loads")
            .head;
        assert_eq!((head.seq, head.frontier.size()), (count, count));
        summary.found += count;
    }
    let found = answers(&store);
    store.close(ROUND_TIME_MAX).expect("the store closes");
    drop(store);
    let mut rebuild = options(SEGMENT_BYTES_MAX);
    rebuild.rebuild = true;
    let (store, _) = Store::open(dir, rebuild).expect("the store is rebuilt");
    assert!(
        found == answers(&store),
        "the state is not what the journal says"
    );
    store.close(ROUND_TIME_MAX).expect("the store closes");
}

/// A folder grows for so many rounds: enough for kills upon kills, and looking stays quick.
const ROUNDS_A_FOLDER: u32 = 10;

/// A writer is killed before so many events: a fraction of a second, some tens of batches.
const EVENTS_MAX: u64 = 600;

/// Far more than a slow disk needs for a round.
const ROUND_TIME_MAX: Duration = Duration::from_secs(60);

/// A full channel only holds the writer back, through its pipe.
const LINES_WAITING: usize = 1_024;
