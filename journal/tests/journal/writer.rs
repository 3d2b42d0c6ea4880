//! Group commit by many threads, and what becomes of those who wait when it fails.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use provost_journal::{
    Durable, Fatal, GroupWriter, Journal, Position, Record, RefusedWhy, Rejected, Sink,
    SubmitError, Submitter,
};

use crate::{
    disk::{Fault, FaultyDisk},
    folder::{Folder, record, records, tenant},
};

/// How a submission ended, told to its submitter.
type Answer = Result<(u64, Vec<Position>), &'static str>;
type Ticket = mpsc::SyncSender<Answer>;

/// Admits everything but seq 666; panics at 667; drops the records of 668.
struct Answering(mpsc::SyncSender<usize>);

impl Sink<Ticket> for Answering {
    type Refusal = ();

    fn admit(&mut self, records: &mut Vec<Record>, _: &Ticket) -> Result<(), ()> {
        match records.first().map(|record| record.seq) {
            Some(666) => return Err(()),
            Some(667) => panic!("planned"),
            Some(668) => records.clear(),
            Some(_) | None => {}
        }
        Ok(())
    }

    fn durable(&mut self, group: Durable<Ticket>) {
        self.0.send(group.items.len()).unwrap();
        for item in group.items {
            assert_eq!(item.records.len(), item.positions.len());
            drop(item.ticket.send(Ok((group.group, item.positions))));
        }
    }

    fn refused(&mut self, ticket: Ticket, why: RefusedWhy<()>) {
        let why = match why {
            RefusedWhy::NotAdmitted(()) => "not admitted",
            RefusedWhy::NearlyFull { .. } => "nearly full",
            RefusedWhy::Write(_) => "write",
            _ => "other",
        };
        drop(ticket.send(Err(why)));
    }
}

struct World {
    writer: GroupWriter<Ticket>,
    fatal: mpsc::Receiver<Fatal>,
    sizes: mpsc::Receiver<usize>,
}

fn start(journal: Journal) -> World {
    let (told, fatal) = mpsc::sync_channel(1);
    let (counted, sizes) = mpsc::sync_channel(100_000);
    let hook = move |why| told.send(why).unwrap();
    let writer = GroupWriter::start(journal, Answering(counted), hook).unwrap();
    World {
        writer,
        fatal,
        sizes,
    }
}

fn submit(door: &Submitter<Ticket>, records: Vec<Record>) -> mpsc::Receiver<Answer> {
    let (ticket, answer) = mpsc::sync_channel(1);
    door.submit(records, ticket, Instant::now() + PATIENCE)
        .unwrap();
    answer
}

fn ask(door: &Submitter<Ticket>, records: Vec<Record>) -> Answer {
    submit(door, records).recv_timeout(PATIENCE).unwrap()
}

/// Waits until the first group and its seal are written; nothing else is written after them until
/// more is submitted.
fn wait_for_seal(disk: &FaultyDisk) {
    let deadline = Instant::now() + PATIENCE;
    let mut calls = Vec::new();
    // Write and sync, of the group and of its seal.
    while calls.len() < 4 {
        assert!(Instant::now() < deadline, "no seal came");
        calls.extend(disk.calls());
        thread::yield_now();
    }
}

fn faulty(folder: &Folder) -> (FaultyDisk, World) {
    let disk = FaultyDisk::default();
    let journal = Journal::open_on(
        Arc::new(disk.clone()),
        folder.path(),
        folder.options.clone(),
    );
    (disk, start(journal.unwrap().0))
}

#[test]
fn many_threads_share_groups_and_each_keeps_its_order() {
    let folder = Folder::with_segments_of(64 * 1024);
    let (journal, _) = folder.open();
    let reader = journal.reader();
    let world = start(journal);
    thread::scope(|scope| {
        for submitter in 0..8 {
            let (door, reader) = (world.writer.submitter(), reader.clone());
            scope.spawn(move || {
                let make = |seq: u64| Record::new(tenant(submitter), seq, seq.to_le_bytes());
                let answers: Vec<_> = (0..200).map(|seq| submit(&door, vec![make(seq)])).collect();
                let mut last = Position::START;
                for (answer, seq) in answers.into_iter().zip(0..) {
                    let (_, positions) = answer.recv_timeout(PATIENCE).unwrap().unwrap();
                    assert!(positions[0] > last);
                    last = positions[0];
                    assert_eq!(reader.read_at(last).unwrap(), make(seq));
                }
            });
        }
    });
    world.writer.shutdown(PATIENCE).unwrap();
    let sizes: Vec<usize> = world.sizes.iter().collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1600);
    assert!(sizes.iter().any(|size| *size > 1), "nothing shared a group");
    assert_eq!(folder.open().1.records, 1600);
}

#[test]
fn an_idle_writer_seals_once_and_a_shutdown_finds_nothing_to_seal() {
    let folder = Folder::new();
    let (disk, world) = faulty(&folder);
    let door = world.writer.submitter();
    disk.calls();
    ask(&door, vec![record(1)]).unwrap();
    wait_for_seal(&disk);
    world.writer.shutdown(PATIENCE).unwrap();
    assert_eq!(disk.calls(), [""; 0]);
    let (journal, recovery) = folder.open();
    assert_eq!((recovery.groups, recovery.records), (2, 1));
    assert!(!journal.needs_seal());
}

#[test]
fn a_shutdown_writes_all_that_waits_and_seals() {
    let folder = Folder::new();
    let world = start(folder.open().0);
    let door = world.writer.submitter();
    let answers: Vec<_> = (0..500)
        .map(|seq| submit(&door, vec![record(seq)]))
        .collect();
    world.writer.shutdown(PATIENCE).unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| answer.try_recv().unwrap().is_ok())
    );
    let (ticket, _answer) = mpsc::sync_channel(1);
    let rejected = door.try_submit(vec![record(1)], ticket).unwrap_err();
    assert_eq!(rejected.why, SubmitError::Closed);
    let (journal, recovery) = folder.open();
    assert_eq!((recovery.records, journal.needs_seal()), (500, false));
}

#[test]
fn what_is_not_admitted_is_refused_alone_and_what_becomes_empty_writes_nothing() {
    let folder = Folder::new();
    let world = start(folder.open().0);
    let door = world.writer.submitter();
    let answers: Vec<_> = [1, 666, 668, 2]
        .map(|seq| submit(&door, vec![record(seq)]))
        .into_iter()
        .collect();
    let answers: Vec<Answer> = answers
        .iter()
        .map(|answer| answer.recv_timeout(PATIENCE).unwrap())
        .collect();
    assert_eq!(answers[1], Err("not admitted"));
    assert_eq!(answers[2].as_ref().unwrap().1, []);
    assert!(answers[0].is_ok() && answers[3].is_ok());
    assert_eq!(ask(&door, Vec::new()).unwrap().1, [], "a barrier");
    world.writer.shutdown(PATIENCE).unwrap();
    assert_eq!(folder.seqs(), [1, 2]);
}

#[test]
fn a_failed_write_refuses_its_group_and_the_next_one_goes_through() {
    let folder = Folder::new();
    let (disk, world) = faulty(&folder);
    let door = world.writer.submitter();
    disk.fail(Fault::Write(20));
    assert_eq!(ask(&door, vec![record(1)]), Err("write"));
    ask(&door, vec![record(2)]).unwrap();
    world.writer.shutdown(PATIENCE).unwrap();
    assert_eq!(folder.seqs(), [2]);
}

#[test]
fn a_failed_sync_calls_the_fatal_hook_and_acknowledges_nothing() {
    let folder = Folder::new();
    let (disk, world) = faulty(&folder);
    let door = world.writer.submitter();
    disk.fail(Fault::SyncData);
    let answer = submit(&door, vec![record(1)]);
    assert!(matches!(
        world.fatal.recv_timeout(PATIENCE),
        Ok(Fatal::Append(_))
    ));
    assert_eq!(
        answer.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
    let (ticket, _answer) = mpsc::sync_channel(1);
    let Rejected { why, records, .. } = door.try_submit(vec![record(2)], ticket).unwrap_err();
    assert_eq!((why, records), (SubmitError::Closed, vec![record(2)]));
}

#[test]
fn a_panic_on_the_writer_thread_calls_the_fatal_hook() {
    let folder = Folder::new();
    let world = start(folder.open().0);
    let answer = submit(&world.writer.submitter(), vec![record(667)]);
    match world.fatal.recv_timeout(PATIENCE) {
        Ok(Fatal::Panic(text)) => assert_eq!(text, "planned"),
        other => panic!("{other:?}"),
    }
    assert!(answer.recv_timeout(PATIENCE).is_err());
    world.writer.shutdown(PATIENCE).unwrap();
}

/// A sink that says when it hears of a group and then stops the writer thread until it is let go.
struct Blocked(mpsc::SyncSender<()>, mpsc::Receiver<()>);

impl Sink<u32> for Blocked {
    type Refusal = ();

    fn admit(&mut self, _: &mut Vec<Record>, _: &u32) -> Result<(), ()> {
        Ok(())
    }

    fn durable(&mut self, _: Durable<u32>) {
        self.0.send(()).unwrap();
        self.1.recv().unwrap_or(());
    }

    fn refused(&mut self, _: u32, _: RefusedWhy<()>) {}
}

/// Says in which segment a submission stands, and ends segments of odd numbers.
struct Odd;

impl Sink<mpsc::SyncSender<Option<u64>>> for Odd {
    type Refusal = ();

    fn admit(&mut self, _: &mut Vec<Record>, _: &mpsc::SyncSender<Option<u64>>) -> Result<(), ()> {
        Ok(())
    }

    fn durable(&mut self, group: Durable<mpsc::SyncSender<Option<u64>>>) {
        for item in group.items {
            item.ticket.send(Some(group.end.segment)).unwrap();
        }
    }

    fn ends_segment(&self, active: u64) -> bool {
        !active.is_multiple_of(2)
    }

    fn refused(&mut self, ticket: mpsc::SyncSender<Option<u64>>, _: RefusedWhy<()>) {
        ticket.send(None).unwrap();
    }
}

/// Submits one record and says in which segment it stands; `None` where it was refused.
fn one_more(door: &Submitter<mpsc::SyncSender<Option<u64>>>, seq: u64) -> Option<u64> {
    let (ticket, answer) = mpsc::sync_channel(1);
    door.try_submit(vec![record(seq)], ticket).unwrap();
    answer.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_sink_may_end_a_segment_in_which_there_is_room() {
    let folder = Folder::new();
    let writer = GroupWriter::start(folder.open().0, Odd, drop).unwrap();
    let door = writer.submitter();
    let segments: Vec<_> = (1..=100).map(|seq| one_more(&door, seq)).collect();
    writer.shutdown(PATIENCE).unwrap();
    // Nothing ends a segment that holds no group: 1 takes the first, and 2 all others.
    assert_eq!(segments[..3], [Some(1), Some(2), Some(2)]);
    assert!(segments[3..].iter().all(|segment| *segment == Some(2)));
    assert_eq!(folder.open().1.records, 100);
}

#[test]
fn a_segment_that_begins_with_a_failed_write_goes_on() {
    let folder = Folder::new();
    let disk = FaultyDisk::default();
    let journal = Journal::open_on(
        Arc::new(disk.clone()),
        folder.path(),
        folder.options.clone(),
    );
    let writer = GroupWriter::start(journal.unwrap().0, Odd, drop).unwrap();
    let door = writer.submitter();
    disk.calls();
    assert_eq!(one_more(&door, 1), Some(1));
    wait_for_seal(&disk);
    // The segment is made and its header written; then the group is not.
    disk.fail(Fault::NoWrite);
    disk.fail(Fault::Write(10));
    let refused = one_more(&door, 2);
    let after: Vec<_> = (2..=20).map(|seq| one_more(&door, seq)).collect();
    writer.shutdown(PATIENCE).unwrap();
    assert_eq!(refused, None);
    assert!(after.iter().all(|segment| *segment == Some(2)), "{after:?}");
    assert_eq!(folder.open().1.records, 20);
}

#[test]
fn a_segment_goes_on_where_the_one_after_it_cannot_be_made_early() {
    let folder = Folder::new();
    let disk = FaultyDisk::default();
    let journal = Journal::open_on(
        Arc::new(disk.clone()),
        folder.path(),
        folder.options.clone(),
    );
    let writer = GroupWriter::start(journal.unwrap().0, Odd, drop).unwrap();
    let door = writer.submitter();
    disk.calls();
    assert_eq!(one_more(&door, 1), Some(1));
    wait_for_seal(&disk);
    // The new segment's header.
    disk.fail(Fault::Write(10));
    assert_eq!(one_more(&door, 2), Some(1));
    assert_eq!(one_more(&door, 3), Some(2));
    writer.shutdown(PATIENCE).unwrap();
    assert_eq!(folder.open().1.records, 3);
}

#[test]
fn a_full_queue_gives_the_submission_back_at_once_or_at_its_deadline() {
    let folder = Folder::new();
    let (go, stopped) = mpsc::sync_channel(0);
    let (entered, blocked) = mpsc::sync_channel(100);
    let sink = Blocked(entered, stopped);
    let writer = GroupWriter::start(folder.open().0, sink, drop).unwrap();
    let door = writer.submitter();
    let group: Vec<Record> = (0..60)
        .map(|seq| Record::new(tenant(1), seq, vec![b'x'; 65_535]))
        .collect();
    door.try_submit(group.clone(), 0).unwrap();
    // From here on the writer takes nothing out.
    blocked.recv_timeout(PATIENCE).unwrap();
    for taken in 0..4 {
        door.try_submit(group.clone(), taken).unwrap();
    }
    let rejected = door.try_submit(group.clone(), 4).unwrap_err();
    assert_eq!(
        (rejected.why, rejected.ticket, rejected.records.len()),
        (SubmitError::Full, 4, 60)
    );
    let deadline = Instant::now() + Duration::from_millis(20);
    assert_eq!(
        door.submit(group.clone(), 5, deadline).unwrap_err().why,
        SubmitError::Full
    );
    assert!(Instant::now() >= deadline);
    drop(go);
    door.submit(group, 6, Instant::now() + PATIENCE).unwrap();
    writer.shutdown(PATIENCE).unwrap();
    assert_eq!(folder.open().1.records, 6 * 60);
}

#[test]
fn a_submission_that_no_group_could_hold_is_rejected_before_the_queue() {
    let folder = Folder::new();
    let world = start(folder.open().0);
    let (ticket, _answer) = mpsc::sync_channel(1);
    let rejected = world
        .writer
        .submitter()
        .try_submit(records(0..8_193), ticket)
        .unwrap_err();
    assert_eq!(
        (rejected.why, rejected.records.len()),
        (SubmitError::TooLarge, 8_193)
    );
}

/// Far above what any of this takes, so that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
