//! On what a figure was taken: it says nothing without.

use std::{fs, process::Command, thread};

/// Processor, cores, memory, system and commit, as far as they can be told.
pub(super) fn words() -> String {
    let processor = line_of("/proc/cpuinfo", "model name");
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory = line_of("/proc/meminfo", "MemTotal");
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = commit().unwrap_or_else(|| "an unknown commit".to_owned());
    format!(
        "{processor}, {cores} cores, {memory}, Linux {}; {commit}",
        system.trim()
    )
}

/// What stands after a name and a colon in a file of the system.
fn line_of(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}

/// The commit of the folder it is run in, and whether there is more than that.
fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let clean = git(&["status", "--porcelain"])?.is_empty();
    Some(if clean {
        commit
    } else {
        format!("{commit} and what is not committed")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_is_unknown() {
        assert_eq!(line_of("/proc/cpuinfo", "no such line"), "unknown");
        assert!(line_of("/proc/meminfo", "MemTotal").ends_with("kB"));
        assert!(words().contains("cores"));
    }
}
