//! Bugs planted on purpose, to see that the models catch them (`kernel/mutants.sh`): with
//! `--cfg planted` this stands in the place of `kernel/src/planted.rs`.

use std::sync::LazyLock;

/// Whether this bug is planted: the one that `PROVOST_PLANTED` names is.
pub(crate) fn planted(bug: &str) -> bool {
    static NAMED: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("PROVOST_PLANTED").ok());
    NAMED.as_deref() == Some(bug)
}
