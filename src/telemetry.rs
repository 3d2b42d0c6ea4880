//! What the daemon says of itself: log lines on standard error, figures at `/metrics`.
//!
//! Nothing secret is ever printed: types that hold a secret show `…`, and no request's header or
//! body is logged.

pub mod names;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, Registry, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

/// Why logs or figures cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The level is none.
    #[error("log.level cannot be used")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something else in this process logs already.
    #[error("logs are set up already")]
    Log(#[source] tracing_subscriber::util::TryInitError),
    /// Something else in this process counts already, or the buckets are none.
    #[error("figures cannot be set up")]
    Metrics(#[from] BuildError),
}

/// The figures of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Begins to count, for the whole process. No listener of its own is opened: the admin
    /// listener shows what [`render`](Self::render) writes.
    ///
    /// # Errors
    /// [`TelemetryError::Metrics`] the second time.
    pub fn install() -> Result<Self, TelemetryError> {
        let handle = builder()?.install_recorder()?;
        names::describe();
        Ok(Self { handle })
    }

    /// Writes all figures in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds away what was measured since the last time. To be called every few seconds: else
    /// measurements pile up until somebody looks.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }

    /// Figures that belong to no process, for tests.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        let handle = builder().unwrap().build_recorder().handle();
        Self { handle }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics(…)")
    }
}

/// Begins to log, for the whole process.
///
/// # Errors
/// [`TelemetryError`].
pub fn log(log: &Log) -> Result<(), TelemetryError> {
    layered(log.filter()?, log.format, std::io::stderr)
        .try_init()
        .map_err(TelemetryError::Log)
}

fn layered<W>(
    filter: EnvFilter,
    format: LogFormat,
    writer: W,
) -> impl SubscriberInitExt + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn tracing_subscriber::Layer<Layered> + Send + Sync> = match format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
        // Colours are for terminals; standard error is most often the journal of the machine.
        LogFormat::Text => Box::new(lines.with_ansi(false)),
    };
    tracing_subscriber::registry().with(filter).with(lines)
}

type Layered = tracing_subscriber::layer::Layered<EnvFilter, Registry>;

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)
}

/// From a check in memory (50 µs) over a commit on a slow disk (100 ms) to a deadline (5 s).
const SECONDS_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
];

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// A log that is kept.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let config = Log {
            format,
            level: level.to_owned(),
        };
        let guard = layered(config.filter().unwrap(), format, move || writer.clone()).set_default();
        let key = crate::admin::key::AdminKey::new(
            "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap(),
            [7; 32],
        );
        tracing::info!(tenant.id = "t1", ?key, "said");
        tracing::debug!("whispered");
        drop(guard);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "said");
        assert_eq!(line["tenant.id"], "t1");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_text_line_has_no_colours_and_no_secret_and_obeys_the_level() {
        let text = logged(LogFormat::Text, "info");
        assert!(
            text.contains("said") && text.contains("secret: …"),
            "{text}"
        );
        assert!(
            !text.contains('\u{1b}') && !text.contains("whispered"),
            "{text}"
        );
        assert!(!text.contains("7, 7"), "{text}");
        assert!(logged(LogFormat::Text, "debug").contains("whispered"));
    }

    #[test]
    fn figures_are_rendered_with_their_help() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            names::describe();
            metrics::counter!(names::ADMIN_REQUESTS, "status" => "200").increment(3);
            metrics::histogram!(names::ADMIN_SECONDS).record(0.02);
        });
        let text = Metrics { handle }.render();
        assert!(
            text.contains("# HELP provost_admin_requests_total"),
            "{text}"
        );
        assert!(
            text.contains("provost_admin_requests_total{status=\"200\"} 3"),
            "{text}"
        );
        assert!(
            text.contains("provost_admin_request_seconds_bucket{le=\"0.05\"} 1"),
            "{text}"
        );
    }
}
