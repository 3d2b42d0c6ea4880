//! What an answer costs, counted at the disk.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use provost_journal::disk::{Access, Disk, DiskFile, RealDisk};
use provost_protocol::tlog::{verify_consistency, verify_inclusion};
use provost_store::{Append, Backend, Options, Query, Stamped, Store, merkle::leaf_hash};

use crate::{
    answers::{options, wait},
    log::tenant,
    queries::event,
    rebuild::close,
};

/// The real disk, which counts what is read.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    reads: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn DiskFile>,
    reads: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl Counting {
    /// Reads and bytes since the last call.
    pub(crate) fn taken(&self) -> (u64, u64) {
        (
            self.reads.swap(0, Ordering::SeqCst),
            self.bytes.swap(0, Ordering::SeqCst),
        )
    }
}

impl Disk for Counting {
    fn create_dir(&self, dir: &Path) -> io::Result<bool> {
        RealDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(CountingFile {
            file: RealDisk.open(path, access)?,
            reads: Arc::clone(&self.reads),
            bytes: Arc::clone(&self.bytes),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(dir)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        RealDisk.try_lock(path)
    }
}

impl DiskFile for CountingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(offset, buffer)?;
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.bytes
            .fetch_add(u64::try_from(count).unwrap(), Ordering::SeqCst);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

/// A folder with one tenant's log over some twenty segments.
fn filled(events: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), quiet()).unwrap();
    let mut seq = 0;
    while seq < events {
        let next = (seq + 1..=seq + 100).map(|seq| {
            let n = u8::try_from(seq * 7 % 251).unwrap();
            // Sequence 777 alone is of this story.
            let story = if seq == 777 { 200 } else { n / 13 };
            Stamped::new(event(tenant(1), seq, (n, n % 5, story))).unwrap()
        });
        let append = Append {
            tenant: tenant(1),
            expected: seq,
            events: next.collect(),
        };
        wait(store.append(append)).unwrap();
        seq += 100;
    }
    close(store);
    dir
}

/// Nothing but the answer reads.
pub(crate) fn quiet() -> Options {
    Options {
        compress: false,
        start_check: std::time::Duration::from_secs(60),
        ..options(128 * 1024)
    }
}

pub(crate) fn counted(dir: &Path) -> (Store, Arc<Counting>) {
    let disk = Arc::new(Counting::default());
    let options = Options {
        disk: Arc::clone(&disk) as _,
        ..quiet()
    };
    let (store, opened) = Store::open(dir, options).unwrap();
    assert!(opened.recovery.segments > 12, "{opened:?}");
    disk.taken();
    (store, disk)
}

#[test]
fn a_checkpoint_with_its_consistency_proof_takes_at_most_64_reads() {
    let dir = filled(4_200);
    for from in [1, 1_023, 2_047, 2_730, 4_095, 4_199] {
        // Opened anew: no node is remembered.
        let (store, disk) = counted(dir.path());
        let head = wait(store.head(tenant(1))).unwrap().unwrap();
        // All the levels there are: 4,095 is twelve ones.
        let to = if from < 4_095 { 4_095 } else { head.seq };
        let old = wait(store.root_at(tenant(1), from)).unwrap().unwrap();
        let new = wait(store.root_at(tenant(1), to)).unwrap().unwrap();
        let proof = wait(store.consistency(tenant(1), from, to))
            .unwrap()
            .unwrap();
        let (reads, _) = disk.taken();
        assert!((1..=64).contains(&reads), "{reads} reads from {from}");
        verify_consistency((from, old), (to, new), &proof).unwrap();
        let (leaf, path) = wait(store.inclusion(tenant(1), from, to)).unwrap().unwrap();
        let (reads, _) = disk.taken();
        assert!(reads <= 64, "{reads} reads for event {from}");
        verify_inclusion((from - 1, leaf_hash(&leaf.bytes)), (to, new), &path).unwrap();
        assert_eq!(
            wait(store.root_at(tenant(1), head.seq)).unwrap(),
            Some(head.frontier.root())
        );
        close(store);
    }
}

#[test]
fn a_rare_filter_reads_a_few_blocks_of_each_index_and_nothing_else() {
    let dir = filled(4_200);
    let (store, disk) = counted(dir.path());
    let rare = event(tenant(1), 777, (0, 0, 200)).correlation_id;
    let query = Query {
        correlation: Some(rare),
        limit: 100,
        ..Query::default()
    };
    let page = wait(store.query(tenant(1), query)).unwrap();
    assert_eq!(page.events.len(), 1);
    let segments = std::fs::read_dir(dir.path().join("journal")).unwrap();
    let of = |kind: &str, entry: &std::fs::DirEntry| {
        entry.path().extension().is_some_and(|name| name == kind)
    };
    let files: Vec<_> = segments.map(|entry| entry.unwrap()).collect();
    let indexes = files.iter().filter(|entry| of("idx", entry));
    let sizes: Vec<u64> = indexes
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    let (count, all) = (
        u64::try_from(sizes.len()).unwrap(),
        sizes.iter().sum::<u64>(),
    );
    let (reads, bytes) = disk.taken();
    assert!(reads <= 2 * count + 4, "{reads} reads in {count} indexes");
    assert!(bytes * 2 < all, "{bytes} bytes of {all}");
    close(store);
}
