//! Bugs planted on purpose, to see that the models catch them: `kernel/mutants.sh`.

/// Whether a bug is planted: where the kernel is built with `--cfg planted`, the one that
/// `PROVOST_PLANTED` names. No other build has any.
#[cfg(not(planted))]
pub(crate) const fn planted(_bug: &str) -> bool {
    false
}

/// As above.
#[cfg(planted)]
pub(crate) fn planted(bug: &str) -> bool {
    static NAMED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("PROVOST_PLANTED").ok());
    NAMED.as_deref() == Some(bug)
}
