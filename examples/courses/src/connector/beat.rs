//! Registers and beats for as long as the pilot runs, at the interval the kernel sets.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::app::App;

/// Keeps the registration and the heartbeat going; never returns.
pub(crate) async fn beat(app: Arc<App>) {
    let mut pause = RETRY_MIN;
    loop {
        let wait = match attempt(&app).await {
            Ok(interval) => {
                pause = RETRY_MIN;
                // What waited for this moment may be much: it must not delay the next beat.
                app.heard.notify_one();
                interval.clamp(INTERVAL_MIN, INTERVAL_MAX)
            }
            Err(error) => {
                tracing::warn!(error = %error, "heartbeat not answered");
                let wait = pause;
                pause = (pause * 2).min(RETRY_MAX);
                wait
            }
        };
        tokio::time::sleep(wait).await;
    }
}

async fn attempt(app: &App) -> Result<Duration, super::ConnectorError> {
    let held = app.connector.registration();
    if held.is_none() {
        app.connector.register(None, Uuid::now_v7()).await?;
    }
    app.connector
        .heartbeat(app.degraded(), app.sessions.count())
        .await
}

/// A connector that is just starting is there within a second.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// Registering is limited to six a minute by the contract: ten seconds keeps under it.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// An interval answered as zero must not become a busy loop.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Beyond this nobody would call it a heartbeat.
const INTERVAL_MAX: Duration = Duration::from_secs(300);
