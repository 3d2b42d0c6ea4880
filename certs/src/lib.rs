//! Keys and trust: who a peer is, and who vouches for it.
//!
//! This is the only crate that knows rustls, tokio-rustls and rcgen, and the only holder of
//! private keys. To change the TLS library is to rewrite this crate and nothing else.
//!
//! # The kernel's side
//!
//! - [`Authority`] is the certificate authority: one root, leaves of a day, nothing taken from a
//!   certificate request but its key.
//! - [`Roots`] says which authorities hold while one is rotated out for another.
//! - [`Signers`] holds the license and the checkpoint key. Each purpose has a key of its own; all
//!   other crates see them as [`Signer`](provost_protocol::sign::Signer).
//! - [`Acceptor`] runs handshakes and says who the peer is; [`Certificates`] says, on every request,
//!   whether its certificate is good still.
//! - [`stream`] holds no buffer for a connection of frames that waits.
//! - [`io`] moves an accepted connection to the reactor of its tenant's arbiter.
//!
//! # The runtime's side
//!
//! - [`EnrolTls`] makes first contact with the kernel whose root the token names; [`RuntimeTls`]
//!   connects ever after, and takes nobody for the kernel who cannot show its name.
//! - [`BindingKey`] and [`TlsKey`] are a runtime's two keys; [`Keystore`] keeps them.
//!
//! # What it never does
//!
//! It trusts no root of the operating system, resumes no TLS session, installs no process-wide
//! cryptographic provider, reads no private file that others can read, decides nothing about
//! tenants, and logs nothing: every failure is a value that says who must act. Nothing secret has
//! a `Debug` that shows it.
//!
//! # From a token to a mutual handshake
//!
//! ```
//! use std::{sync::Arc, time::{Duration, SystemTime, UNIX_EPOCH}};
//! use provost_certs::*;
//! use provost_protocol::{Timestamp, token::EnrolmentToken};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let millis = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
//! let now = Timestamp::from_millis(i64::try_from(millis)?);
//! let install = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
//! let (tenant, runtime) = (
//!     "01890a5d-ac96-774b-bcce-b302099a8058".parse()?,
//!     "01890a5d-ac96-774b-bcce-b302099a8059".parse()?,
//! );
//!
//! // The kernel: an authority, a listener, a token.
//! let folder = tempfile::tempdir()?;
//! let authority = Arc::new(Authority::create(folder.path(), install, now)?);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let addr = listener.local_addr()?.to_string();
//! let settings = AcceptorSettings {
//!     authority: Arc::clone(&authority),
//!     names: vec!["127.0.0.1".to_owned()],
//!     standing: Arc::new(Certificates::new()),
//!     handshake_deadline: HANDSHAKE_DEADLINE,
//! };
//! let acceptor = Acceptor::new(settings, now)?;
//! let id = "01890a5d-ac96-774b-bcce-b302099a805a".parse()?;
//! let token = EnrolmentToken::new(&addr, id, [7; 16], authority.root_sha256())?;
//!
//! // The runtime makes two keys and a request; the kernel checks it and signs.
//! let (binding, key) = (BindingKey::generate()?, TlsKey::generate()?);
//! let checked = check_request(&make_request(&token, &binding, &key)?)?;
//! assert_eq!(checked.cnf, binding.cnf());
//! let issued = authority.issue_runtime(&checked.csr, (tenant, runtime), now, RUNTIME_TTL_MS)?;
//!
//! // From then on both sides know each other.
//! let pair = TlsPair::new(key, issued.pem)?;
//! let trust = TrustBundle::from_pem(&authority.root_pem())?;
//! let tls = RuntimeTls::new(&trust, install, &pair, Alpn::Provost1)?;
//! let (connected, accepted) = tokio::join!(tls.connect(&addr, Duration::from_secs(5)), async {
//!     acceptor.accept(listener.accept().await.expect("a peer comes").0).await
//! });
//! connected?;
//! let accepted = accepted?;
//! assert_eq!(accepted.identity.map(|peer| peer.runtime), Some(runtime));
//! assert_eq!(accepted.alpn, Alpn::Provost1);
//! # Ok(())
//! # })
//! # }
//! ```

pub mod acceptor;
pub mod authority;
mod certificate;
pub mod client;
mod crypto;
pub mod enrolment;
pub mod files;
pub mod io;
mod issuer;
pub mod keystore;
pub mod recovery;
pub mod roots;
mod secret;
pub mod signers;
mod standing;
pub mod stream;

pub use acceptor::{
    AcceptError, Accepted, Acceptor, AcceptorSettings, Alpn, Blame, HANDSHAKE_DEADLINE,
};
pub use authority::{
    Authority, AuthorityError, CheckedCsr, CsrError, IssuedCertificate, RUNTIME_TTL_MS,
};
pub use certificate::CertificateFault;
pub use client::{
    ClientStream, ConnectError, EnrolTls, FirstContact, RecoveryTls, RuntimeTls, TrustBundle,
    TrustError, kernel_certificate, reach, refused_certificate,
};
pub use crypto::RandomError;
pub use enrolment::{
    BindingKey, CheckedRequest, EnrolError, PairError, TlsKey, TlsPair, check_request, make_request,
};
pub use files::FileError;
pub use io::{Detached, Io, detach};
pub use keystore::{Enrolled, Keystore, KeystoreError};
pub use recovery::{CheckedRecovery, Recovering, RecoveryError, check_recovery, make_recovery};
pub use roots::{RootParts, RootSet, Roots};
pub use secret::Secret;
pub use signers::{Ed25519Key, KeyError, Signers};
pub use standing::Certificates;
pub use stream::TlsStream;
