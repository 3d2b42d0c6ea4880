//! What goes wrong, and at which call.

/// What the journal can ask a disk for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Folder,
    List,
    Create,
    Open,
    Remove,
    Rename,
    SyncDir,
    Free,
    Lock,
    Read,
    Write,
    Sync,
    Truncate,
    Length,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An input/output error.
    Eio,
    /// No space left; of a write, a part may stand there.
    Enospc,
    /// The process is killed in the middle of the call.
    Kill,
    /// The power goes in the middle of the call.
    PowerCut,
}

/// When it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So many calls from here on.
    After(u64),
    /// At the next call of this kind, however long that takes.
    Next(Call),
}

/// All that is planned to go wrong, each once.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<(When, Fault)>);

impl Plan {
    pub(super) fn arm(&mut self, when: When, fault: Fault) {
        self.0.push((when, fault));
    }

    /// Takes back what was counted in calls.
    pub(super) fn disarm(&mut self) {
        self.0.retain(|(when, _)| matches!(when, When::Next(_)));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong at this call.
    pub(super) fn strike(&mut self, call: Call) -> Option<Fault> {
        let mut struck = None;
        for (place, (when, _)) in self.0.iter_mut().enumerate() {
            match when {
                When::Next(kind) if *kind == call => struck = struck.or(Some(place)),
                When::After(0) => struck = struck.or(Some(place)),
                When::After(calls) => *calls -= 1,
                When::Next(_) => {}
            }
        }
        let (_, fault) = self.0.remove(struck?);
        // Only what takes space can fail for lack of it.
        let takes_space = matches!(
            call,
            Call::Folder
                | Call::Create
                | Call::Rename
                | Call::SyncDir
                | Call::Lock
                | Call::Write
                | Call::Sync
        );
        Some(if fault == Fault::Enospc && !takes_space {
            Fault::Eio
        } else {
            fault
        })
    }
}
