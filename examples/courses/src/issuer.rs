//! A small OpenID provider for the pilot's users: authorization code with PKCE, and nothing else.
//!
//! A process of its own, so that the pilot never sees a password. It keeps no login of its own: each
//! login asks for the password. What survives a restart: the signing key (`issuer-key.der`, 0600)
//! and the user file; logins under way and codes do not.

mod authorize;
mod codes;
mod keys;
mod throttle;
mod token;
mod users;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{self, HeaderValue};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use codes::Codes;
use keys::SigningKey;
use throttle::Throttle;
use users::Users;

pub use users::{User, UserError, write_users};

/// The settings of one issuer process.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where the issuer listens; port 0 takes a free one
    #[arg(long, env = "ISSUER_LISTEN", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// The issuer's own address in tokens, when it is not the one listened on
    #[arg(long, env = "ISSUER_URL")]
    pub issuer_url: Option<String>,
    /// The one client that may ask for logins
    #[arg(long, env = "ISSUER_CLIENT_ID", default_value = "courses")]
    pub client_id: String,
    /// Where a login may lead back to, to the letter; may be given several times
    #[arg(
        long = "redirect-uri",
        env = "ISSUER_REDIRECT_URIS",
        value_delimiter = ',',
        required = true
    )]
    pub redirect_uris: Vec<String>,
    /// The file with the users, as `courses issuer-user` writes it
    #[arg(long, env = "ISSUER_USERS")]
    pub users: PathBuf,
    /// The folder with the signing key, made at the first start
    #[arg(long, env = "ISSUER_DATA", default_value = "./issuer-data")]
    pub data: PathBuf,
    /// How long an ID token is good, in seconds
    #[arg(long, env = "ISSUER_TOKEN_TTL_SECONDS", default_value_t = 3600,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub token_ttl_seconds: u64,
}

/// Why the issuer did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address is taken or not of this machine.
    #[error("address {address} not bound")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The user file is not usable.
    #[error("users not loaded")]
    Users(#[source] UserError),
    /// The signing key could not be read or made.
    #[error("signing key not usable: {what}")]
    Key {
        /// What was being done.
        what: &'static str,
        /// What the disk said, if it was the disk.
        #[source]
        source: Option<std::io::Error>,
    },
}

/// What the handlers work with.
#[derive(Debug)]
struct Issuer {
    url: String,
    client_id: String,
    redirect_uris: Vec<String>,
    token_ttl: Duration,
    users: Users,
    key: SigningKey,
    codes: Codes,
    throttle: Throttle,
    /// Places for password checks: each is meant to be slow.
    checks: Semaphore,
}

/// Runs the issuer until `shutdown` resolves; tells `on_bound` the address it listens on.
///
/// # Errors
/// When it cannot start. Once started it ends only by `shutdown`.
pub async fn run(
    config: Config,
    on_bound: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let address = config.listen;
    let bind = |source| RunError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let bound = listener.local_addr().map_err(bind)?;
    let url = config
        .issuer_url
        .unwrap_or_else(|| format!("http://{bound}"));
    let issuer = Arc::new(Issuer {
        url: url.trim_end_matches('/').to_owned(),
        client_id: config.client_id,
        redirect_uris: config.redirect_uris,
        token_ttl: Duration::from_secs(config.token_ttl_seconds),
        users: Users::load(&config.users).map_err(RunError::Users)?,
        key: SigningKey::open(&config.data)?,
        codes: Codes::default(),
        throttle: Throttle::default(),
        checks: Semaphore::new(CHECKS_MAX),
    });
    on_bound(bound);
    crate::serve::serve(listener, router(issuer), shutdown).await;
    Ok(())
}

fn router(issuer: Arc<Issuer>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(token::discovery))
        .route("/jwks.json", get(token::jwks))
        .route("/authorize", get(authorize::begin))
        .route("/login", post(authorize::login))
        .route("/token", post(token::exchange))
        .route("/style.css", get(style))
        .route("/healthz", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn(protect))
        .with_state(issuer)
}

async fn protect(request: Request, next: Next) -> Response {
    let mut answer = match tokio::time::timeout(REQUEST_MAX, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let headers = answer.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; style-src 'self'",
        ));
    answer
}

async fn style() -> ([(header::HeaderName, &'static str); 2], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, include_str!("../assets/style.css"))
}

/// A check takes a core for about a fifth of a second: two at once leave the machine usable, and
/// the others wait their turn within `REQUEST_MAX`.
const CHECKS_MAX: usize = 2;
/// A user name, a password and three tokens.
const FORM_BYTES_MAX: usize = 8 * 1024;
/// A browser gives up about here; nothing honest takes a tenth of it.
const REQUEST_MAX: Duration = Duration::from_secs(15);
