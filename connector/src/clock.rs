//! The machine's clock and chance, in one place, so that a test can give its own clock.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use provost_protocol::Timestamp;

/// A source of the present moment. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    #[must_use]
    pub fn system() -> Self {
        Self::of(|| {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// Any other source of time.
    #[must_use]
    pub fn of(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The present moment, as this clock shows it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// Ten random bytes: the random part of an id.
pub(crate) fn chance() -> [u8; 10] {
    rand::random()
}

/// A duration between 0 and `max`, drawn evenly.
pub(crate) fn up_to(max: std::time::Duration) -> std::time::Duration {
    max.mul_f64(rand::random::<f64>())
}
