//! What lasts: the journal as truth, sled as state (architecture.md, section 2; ADR 0001).
//!
//! A [`Store`] takes events for *one tenant's* log and answers when they are durable and applied.
//! It reads that tenant's entities, finds events by what they carry, and gives stretches of the
//! log back. Everything but the journal is disposable: removing the `state` folder, or the `.idx`
//! files, loses nothing; the next start builds them again, loudly.
//!
//! It never decides anything about the business (the rules are `kernel`'s, and the same
//! [`provost_kernel::apply`] turns events into state here), never answers before an event is
//! durable, and never repairs a damaged journal.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//! use provost_store::{Backend, Options, Store};
//!
//! let options = Options::new(Arc::new(|_why| std::process::abort()));
//! let (store, opened) = Store::open(Path::new("data"), options)?;
//! println!("{} events replayed", opened.replayed);
//! let tenants = store.tenants(None, 10);
//! # drop(tenants);
//! # Ok::<(), provost_store::OpenError>(())
//! ```

mod backend;
pub mod backup;
mod convert;
mod damage;
mod db;
mod doubt;
mod ended;
pub mod fail_points;
mod handover;
mod index;
mod keeper;
mod marker;
mod memory;
mod open;
mod projector;
mod query;
mod readers;
mod segments;
mod sequences;
mod store;
mod value;
mod verify;
mod writer;

pub use backend::{
    Append, AppendError, Backend, Found, Head, Ids, Included, Keyed, Loaded, LookupKey, Pending,
    Range, ReadError, Stamped, StoredEvent,
};
pub use damage::{Damage, DamageHook};
pub use index::{event_lookup, idempotency_lookup, lookup_keys};
pub use memory::MemoryStore;
pub use open::{OpenError, Opened, Options, Replay, state_folder};
/// The tree over a tenant's log, as the protocol defines it.
pub use provost_protocol::tlog as merkle;
pub use query::{QUERY_EVENTS_MAX, Query, QueryPage};
pub use store::{CloseError, Store};
pub use verify::{Progress, VerifyError, VerifyReport, verify};
pub use writer::FatalHook;
