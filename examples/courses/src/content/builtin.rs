//! The courses compiled in, so that one executable is enough; the same files can be read from a folder.

use std::io;

pub(super) fn file(path: &str) -> io::Result<Vec<u8>> {
    FILES
        .iter()
        .find(|(name, _)| *name == path)
        .map(|(_, bytes)| bytes.to_vec())
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../content/", $path)))),+]
    };
}

/// Every file under `content/` that a course names.
const FILES: &[(&str, &[u8])] = files![
    "catalog.toml",
    "cloud-fundamentals/course.toml",
    "cloud-fundamentals/01-what-a-cloud-is.txt",
    "cloud-fundamentals/02-ask-first.txt",
    "cloud-fundamentals/03-what-it-costs.txt",
    "cloud-fundamentals/ask-first.mp4",
    "linux-essentials/course.toml",
    "linux-essentials/01-files-and-folders.txt",
    "linux-essentials/02-processes.txt",
    "linux-essentials/03-permissions.txt",
    "secure-delivery/course.toml",
    "secure-delivery/01-what-can-go-wrong.txt",
    "secure-delivery/02-signing-what-you-ship.txt",
];
