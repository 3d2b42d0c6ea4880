//! Whole logs, exported.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use tlog_tiles::{Checkpoint, Error, Hash, HashReader, Tile, TileHashReader, TileReader};

use super::{Scene, script, verify};
use crate::{tool::arg, world::provost};

/// An exported log, to be spoilt.
struct Copy {
    folder: tempfile::TempDir,
    key: PathBuf,
}

impl Copy {
    /// A copy of an export. The key stays where it was: nobody who spoils a log brings it.
    fn of(export: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(export, folder.path());
        Self {
            folder,
            key: export.join("log.vkey"),
        }
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    /// What the script says; our own command must say the same.
    fn judged(&self) -> (bool, String, serde_json::Value) {
        let (believed, said) = script("verify_history.py", &[self.folder.path(), &self.key]);
        let folder = arg(self.folder.path());
        let (code, json) = verify(&["--export", folder, "--key", arg(&self.key)]);
        let wanted = if believed { 0 } else { 4 };
        assert_eq!(
            (code, &json["verified"]),
            (wanted, &believed.into()),
            "{said}{json}"
        );
        (believed, said, json)
    }

    /// The events of a bundle.
    fn events(&self, place: &str) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.path(place)).unwrap();
        let (mut events, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((length, after)) = rest.split_first_chunk() {
            let (event, after) = after.split_at(u16::from_be_bytes(*length).into());
            events.push(event.to_vec());
            rest = after;
        }
        events
    }

    /// Changes the events of a bundle.
    fn rewrite(&self, place: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut events = self.events(place);
        change(&mut events);
        let mut bytes = Vec::new();
        for event in events {
            bytes.extend(u16::try_from(event.len()).unwrap().to_be_bytes());
            bytes.extend(event);
        }
        fs::write(self.path(place), bytes).unwrap();
    }
}

#[tokio::test]
async fn an_exported_log_is_believed_by_python_and_by_tools_of_others() {
    let scene = Scene::with(600).await;
    let folder = scene.path("history");
    let log = scene.kernel.events(&scene.tenant).await;
    scene.audit(&["export", &scene.tenant, "--out", arg(&folder)]);
    let size = log.len();
    let copy = Copy::of(&folder);
    let (believed, said, json) = copy.judged();
    assert!(believed, "{said}");
    assert_eq!(json["size"], size);
    assert!(
        said.starts_with(&format!("VERIFIED: {size} events of ")),
        "{said}"
    );

    // The exact bytes, in order, as the log shows them.
    let partial = format!("tile/entries/002.p/{}", size - 512);
    let bundles = ["tile/entries/000", "tile/entries/001", &partial];
    let bytes: Vec<Vec<u8>> = bundles
        .iter()
        .flat_map(|place| copy.events(place))
        .collect();
    let parsed = bytes
        .iter()
        .map(|event| serde_json::from_slice(event).unwrap());
    assert_eq!(parsed.collect::<Vec<serde_json::Value>>(), log);

    // Cloudflare's reader of tiles takes leaves from the files, and believes them.
    let note = fs::read(folder.join("checkpoint")).unwrap();
    let text = &note[..note.windows(2).position(|pair| pair == b"\n\n").unwrap() + 1];
    let checkpoint = Checkpoint::from_bytes(text).unwrap();
    let files = Files {
        folder: &folder,
        read: RefCell::new(Vec::new()),
    };
    let reader = TileHashReader::new(checkpoint.size(), *checkpoint.hash(), &files);
    for (n, event) in (0_u64..).zip(&bytes) {
        let found = reader.read_hashes(&[tlog_tiles::stored_hash_index(0, n)]);
        assert_eq!(found.unwrap(), [tlog_tiles::record_hash(event)], "{n}");
    }
    let other = TileHashReader::new(checkpoint.size(), Hash([7; 32]), &files);
    assert!(other.read_hashes(&[0]).is_err(), "another root is believed");
    assert!(
        files
            .read
            .borrow()
            .iter()
            .any(|path| path.starts_with("tile/1/"))
    );

    // A second export does not touch the first.
    let admin = format!("http://{}", scene.kernel.admin_port());
    let mut words = vec!["audit", "export", &scene.tenant, "--out", arg(&folder)];
    words.extend(["--admin", &admin, "--key-file", arg(&scene.key)]);
    let refused = provost(&words);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(Copy::of(&folder).judged().0);
}

#[tokio::test]
async fn a_history_with_one_event_changed_moved_dropped_or_reordered_is_believed_by_nobody() {
    let scene = Scene::with(300).await;
    let folder = scene.path("history");
    scene.audit(&["export", &scene.tenant, "--out", arg(&folder)]);
    let size = scene.size().await;
    let last = format!("tile/entries/001.p/{}", size - 256);
    let first = "tile/entries/000";

    type Spoil = fn(&mut Vec<Vec<u8>>);
    let changed: Spoil = |events| {
        let at = events[20].iter().rposition(|byte| *byte == b':').unwrap();
        events[20][at - 2] ^= 1;
    };
    let reordered: Spoil = |events| events.swap(20, 21);
    let moved: Spoil = |events| {
        let event = events.remove(20);
        events.insert(40, event);
    };
    let dropped: Spoil = |events| drop(events.remove(20));
    let doubled: Spoil = |events| events.insert(20, events[20].clone());
    let replaced: Spoil = |events| events[20] = events[19].clone();
    for (what, spoil) in [
        ("changed", changed),
        ("reordered", reordered),
        ("moved", moved),
        ("dropped", dropped),
        ("doubled", doubled),
        ("replaced", replaced),
    ] {
        for (place, before) in [(first, 0), (last.as_str(), 256)] {
            let copy = Copy::of(&folder);
            copy.rewrite(place, spoil);
            let (believed, said, json) = copy.judged();
            assert!(!believed, "{what} in {place}: {said}");
            // The first wrong one is named: where one was doubled, that is the one after it.
            let seq = before + if what == "doubled" { 22 } else { 21 };
            assert_eq!(json["first_wrong"], seq, "{what} in {place}: {json}");
            assert_eq!(json["file"], place, "{what}: {json}");
        }
    }
    let dropped_last = Copy::of(&folder);
    dropped_last.rewrite(&last, |events| drop(events.pop()));
    let (believed, said, json) = dropped_last.judged();
    assert!(!believed && said.contains("missing"), "{said}");
    assert_eq!(json["first_wrong"], size);
}

#[tokio::test]
async fn a_history_whose_tiles_or_checkpoint_were_changed_too_is_believed_by_nobody() {
    let scene = Scene::with(300).await;
    let folder = scene.path("history");
    scene.audit(&["export", &scene.tenant, "--out", arg(&folder)]);

    // The event and its hash: what was signed says otherwise.
    let copy = Copy::of(&folder);
    copy.rewrite("tile/entries/000", |events| {
        let at = events[20].iter().rposition(|byte| *byte == b':').unwrap();
        events[20][at - 2] ^= 1;
        let mut tile = fs::read(copy.path("tile/0/000")).unwrap();
        tile[20 * 32..21 * 32].copy_from_slice(&tlog_tiles::record_hash(&events[20]).0);
        fs::write(copy.path("tile/0/000"), tile).unwrap();
    });
    let (believed, said, json) = copy.judged();
    assert!(!believed && said.contains("another root follows"), "{said}");
    assert_eq!(
        (&json["first_wrong"], &json["last_wrong"]),
        (&1.into(), &256.into()),
        "{json}"
    );
    assert_eq!(json["file"], "tile/1/000.p/1");

    // A file is gone.
    let copy = Copy::of(&folder);
    fs::remove_file(copy.path("tile/entries/000")).unwrap();
    let (believed, _, json) = copy.judged();
    assert!(
        !believed && json["why"].as_str().unwrap().contains("missing"),
        "{json}"
    );

    // The checkpoint is another's, or says another size.
    let copy = Copy::of(&folder);
    let note = fs::read_to_string(copy.path("checkpoint")).unwrap();
    let size = format!("\n{}\n", scene.size().await);
    fs::write(copy.path("checkpoint"), note.replace(&size, "\n100\n")).unwrap();
    assert!(!copy.judged().0);

    // A folder that is none is not read, and no verdict.
    let empty = tempfile::tempdir().unwrap();
    let (code, json) = verify(&["--export", arg(empty.path()), "--key", arg(&copy.key)]);
    assert_eq!((code, json), (2, serde_json::Value::Null));
}

/// The files of an export, as Cloudflare's reader wants them.
struct Files<'a> {
    folder: &'a Path,
    read: RefCell<Vec<String>>,
}

impl TileReader for Files<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            // Go's checksum database names the height, C2SP does not.
            let place = tile.path().replacen("tile/8/", "tile/", 1);
            let bytes = fs::read(self.folder.join(&place)).unwrap();
            self.read.borrow_mut().push(place);
            bytes
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
