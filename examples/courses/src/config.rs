//! What the pilot is told at its start, as flags or environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use uuid::Uuid;

/// The settings of one pilot process.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where the pilot listens; port 0 takes a free one
    #[arg(long, env = "COURSES_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The connector's local API, as http://127.0.0.1:PORT
    #[arg(long, env = "COURSES_CONNECTOR_URL")]
    pub connector_url: String,
    /// The tenant that operates this runtime
    #[arg(long, env = "COURSES_OPERATOR_TENANT")]
    pub operator_tenant: Uuid,
    /// The OpenID provider where users log in
    #[arg(long, env = "COURSES_ISSUER_URL")]
    pub issuer_url: String,
    /// The client id registered at the issuer for this pilot
    #[arg(long, env = "COURSES_CLIENT_ID", default_value = "courses")]
    pub client_id: String,
    /// The folder with what the pilot keeps: accounts, progress, scores
    #[arg(long, env = "COURSES_DATA", default_value = "./courses-data")]
    pub data: PathBuf,
    /// A folder with courses, instead of those built in
    #[arg(long, env = "COURSES_CONTENT")]
    pub content: Option<PathBuf>,
    /// The address browsers use, when it is not the one listened on
    #[arg(long, env = "COURSES_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// How long a login lasts, in minutes
    #[arg(long, env = "COURSES_SESSION_TTL_MINUTES", default_value_t = 480,
          value_parser = clap::value_parser!(u64).range(1..=SESSION_TTL_MINUTES_MAX))]
    pub session_ttl_minutes: u64,
}

/// A quarter of an hour under the 12 h for which a resolve lets a shared runtime act for an
/// individual: the end of a session must still be reportable.
pub(crate) const SESSION_TTL_MINUTES_MAX: u64 = 11 * 60 + 45;
