//! The names of all figures. No label ever holds a tenant's or a runtime's id: ids are without
//! bound, and whoever may read figures need not know who the customers are.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Requests to the admin API, by status.
pub const ADMIN_REQUESTS: &str = "provost_admin_requests_total";
/// How long requests to the admin API took.
pub const ADMIN_SECONDS: &str = "provost_admin_request_seconds";
/// Requests to the runtime port over HTTPS, by call and status.
pub const RUNTIME_REQUESTS: &str = "provost_runtime_requests_total";
/// How long requests to the runtime port took, by call.
pub const RUNTIME_SECONDS: &str = "provost_runtime_request_seconds";
/// Connections of runtimes that are open.
pub const CONNECTIONS: &str = "provost_connections_open";
/// Handshakes that failed, by who is to blame.
pub const HANDSHAKES_FAILED: &str = "provost_handshakes_failed_total";
/// Connections that were sent away, by why.
pub const CONNECTIONS_REFUSED: &str = "provost_connections_refused_total";
/// Enrolments and recoveries that were refused, by why.
pub const STRANGERS_REFUSED: &str = "provost_strangers_refused_total";
/// Live runtimes by type and liveness.
pub const RUNTIMES: &str = "provost_runtimes";
/// Live runtimes with a stream open, by type.
pub const RUNTIMES_CONNECTED: &str = "provost_runtimes_connected";
/// What runtimes report with their heartbeats, summed by runtime type and the runtimes' own names.
pub const RUNTIME_METRIC: &str = "provost_runtime_metric";
/// Tenants in memory.
pub const TENANTS_AWAKE: &str = "provost_tenants_awake";
/// Bytes free on the data folder's disk.
pub const DISK_FREE: &str = "provost_disk_free_bytes";
/// 1 while the disk is nearly full, else 0.
pub const DISK_LOW: &str = "provost_disk_low";
/// Damages found in the journal while it was in use: each asks for somebody.
pub const JOURNAL_DAMAGES: &str = "provost_journal_damages_total";
/// When the process started, in seconds since 1970.
pub const STARTED: &str = "provost_start_time_seconds";
/// Panics caught at the edge: each is a defect.
pub const PANICS: &str = "provost_panics_total";

/// Tells the recorder what each figure means.
pub fn describe() {
    describe_counter!(ADMIN_REQUESTS, "Requests to the admin API, by status.");
    describe_histogram!(
        ADMIN_SECONDS,
        Unit::Seconds,
        "Duration of requests to the admin API."
    );
    describe_counter!(
        RUNTIME_REQUESTS,
        "HTTPS requests of runtimes, by call and status."
    );
    describe_histogram!(
        RUNTIME_SECONDS,
        Unit::Seconds,
        "Duration of HTTPS requests of runtimes, by call."
    );
    describe_gauge!(CONNECTIONS, "Connections of runtimes that are open.");
    describe_counter!(
        HANDSHAKES_FAILED,
        "Handshakes that failed, by who is to blame."
    );
    describe_counter!(
        CONNECTIONS_REFUSED,
        "Connections that were sent away, by why."
    );
    describe_counter!(
        STRANGERS_REFUSED,
        "Enrolments and recoveries that were refused, by why."
    );
    describe_gauge!(
        RUNTIMES,
        "Runtimes heard of since the start, by type and liveness."
    );
    describe_gauge!(
        RUNTIMES_CONNECTED,
        "Live runtimes with a stream open, by type."
    );
    describe_gauge!(
        RUNTIME_METRIC,
        "What runtimes report, summed by type and name."
    );
    describe_gauge!(TENANTS_AWAKE, "Tenants in memory.");
    describe_gauge!(
        DISK_FREE,
        Unit::Bytes,
        "Bytes free on the data folder's disk."
    );
    describe_gauge!(DISK_LOW, "1 while the disk is nearly full, else 0.");
    describe_counter!(
        JOURNAL_DAMAGES,
        "Damages found in the journal; each asks for somebody."
    );
    describe_gauge!(
        STARTED,
        Unit::Seconds,
        "When the process started, since 1970."
    );
    describe_counter!(PANICS, "Panics caught at the edge; each is a defect.");
}
