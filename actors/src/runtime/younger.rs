//! How a session hears that a younger one took its place.

use std::{pin::pin, sync::Arc};

use super::live::Live;

/// Comes when a session of a younger generation begins.
#[derive(Debug, Clone)]
pub struct Younger {
    live: Arc<Live>,
    than: u64,
}

impl Younger {
    /// Begins a generation: those before it hear that they are replaced.
    pub(super) fn begin(live: &Arc<Live>, generation: u64) -> Self {
        live.set_generation(generation);
        Self {
            live: Arc::clone(live),
            than: generation,
        }
    }

    /// Waits for it.
    pub async fn came(self) {
        loop {
            let mut begun = pin!(self.live.begun());
            // Before the look: what begins after it is heard.
            begun.as_mut().enable();
            if self.live.generation() > self.than {
                return;
            }
            begun.await;
        }
    }
}
