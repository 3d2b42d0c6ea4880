//! Writes real events until the process is killed, and says after each what was acknowledged.

use std::{io::Write as _, path::Path, sync::Arc, thread};

use provost_store::{Backend, Store};

use crate::{
    answers::{SEGMENT_BYTES_MAX, options, wait},
    commands::{audit, create_token, grant},
    log::{Log, create, tenant},
};

/// Opens the store in `dir` and lets `threads` tenants write. Ends only with the process.
pub(crate) fn write_until_killed(dir: &Path, threads: u8) -> Result<(), provost_store::OpenError> {
    let mut options = options(SEGMENT_BYTES_MAX);
    options.fatal = Arc::new(|_| std::process::abort());
    let (store, _) = Store::open(dir, options)?;
    thread::scope(|scope| {
        for number in 0..threads {
            let store = &store;
            scope.spawn(move || write(store, number));
        }
    });
    Ok(())
}

fn write(store: &Store, number: u8) {
    let loaded = wait(store.load(tenant(number), Vec::new())).expect("the tenant loads");
    let mut log = Log::new(tenant(number));
    log.state = loaded.state;
    log.seq = loaded.head.seq;
    if log.seq == 0 {
        acknowledge(store, log.run(&create()).expect("the tenant is new"));
    }
    loop {
        let n = log.seq;
        let command = match n % 7 {
            0 | 3 => grant(&log, u8::try_from(n % 3).unwrap_or(0), n),
            5 if n < 30 => create_token(&log, u8::try_from(n % 4).unwrap_or(0)),
            _ => audit(&log, n, n % 3 + 1),
        };
        log.now = log.now.plus_millis(1_000);
        // A token that exists already is refused; the next command is another.
        match log.run(&command) {
            Ok(append) if !append.events.is_empty() => acknowledge(store, append),
            _ => acknowledge(store, log.run(&audit(&log, n, 1)).expect("an audit event")),
        }
    }
}

fn acknowledge(store: &Store, append: provost_store::Append) {
    let (tenant, seqs) = (append.tenant, append.expected + 1);
    let count = u64::try_from(append.events.len()).expect("few events");
    wait(store.append(append)).expect("the only appender of the tenant succeeds");
    for seq in seqs..seqs + count {
        // One write each, smaller than what a pipe takes at once.
        let line = format!("{tenant} {seq}\n");
        let mut out = std::io::stdout().lock();
        let said = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        if said.is_err() {
            // Nobody listens any more.
            std::process::exit(1);
        }
    }
}
