//! What the system knows of a process.

use anyhow::Context as _;

/// The memory of a process that is its own, shared pages by their share (Pss), in bytes.
///
/// # Errors
/// The process is gone, or the system does not say.
pub(crate) fn memory(pid: u32) -> anyhow::Result<u64> {
    let text = read(pid, "smaps_rollup")?;
    let kilobytes = field(&text, "Pss:").context("smaps_rollup names no Pss")?;
    Ok(kilobytes * 1024)
}

/// Bytes that a process has caused to be written to a disk, so far.
///
/// # Errors
/// As [`memory`].
pub(crate) fn written(pid: u32) -> anyhow::Result<u64> {
    field(&read(pid, "io")?, "write_bytes:").context("io names no write_bytes")
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_says_what_it_wrote() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap() > 100_000);
        assert!(written(pid).is_ok());
        assert!(memory(u32::MAX).is_err());
    }

    #[test]
    fn a_field_is_the_first_number_after_its_name() {
        assert_eq!(
            field("Rss:  9 kB\nPss:   70 kB\nPss_Anon: 1 kB", "Pss:"),
            Some(70)
        );
        assert_eq!(field("Rss: 9 kB", "Pss:"), None);
    }
}
