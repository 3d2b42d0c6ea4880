//! A clock that a test sets, for one process, while it runs.

use std::{fs, path::PathBuf};

use crate::tool::output_of;

/// The clock of whoever is run [`under`](Self::under) it.
#[derive(Debug)]
pub(crate) struct Clock {
    folder: tempfile::TempDir,
}

impl Clock {
    /// A clock that is right, and does go wrong when it is told to.
    pub(crate) fn new() -> Self {
        let clock = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        clock.set(-7_200);
        let date = ["date", "+%s"].map(str::to_owned);
        let words = [clock.under(), date.to_vec()].concat();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let shown: u64 = output_of(words[0], &words[1..], b"")
            .trim()
            .parse()
            .unwrap();
        let true_one = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let behind = true_one - shown;
        assert!((7_200..7_260).contains(&behind), "behind by {behind} s");
        clock.set(0);
        clock
    }

    /// Puts it so many seconds before or behind the true time.
    pub(crate) fn set(&self, seconds: i64) {
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    /// What goes before a command. Time that only passes, as timers count it, stays right: a clock
    /// that is set moves no timer.
    pub(crate) fn under(&self) -> Vec<String> {
        let words = [
            "env".to_owned(),
            format!("LD_PRELOAD={}", library().display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file().display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ];
        words.to_vec()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

/// Where the package `libfaketime` puts it, on any architecture of Debian.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    let mut paths =
        folders.map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    paths
        .find(|path| path.exists())
        .expect("the package libfaketime is installed")
}
