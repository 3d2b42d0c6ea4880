//! Certificates that must not open the door, and a runtime that plays the kernel.

use std::{sync::Arc, time::Duration};

use provost_certs::Alpn;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use reqwest::Method;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::json;
use time::{Duration as Days, OffsetDateTime};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::world::{Answer, Ask, Kernel, Runtime, until};

/// Makes a certificate for a runtime as the kernel's own CA would, but for one thing.
fn forged(
    kernel: &Kernel,
    runtime: &Runtime,
    change: impl FnOnce(&mut CertificateParams),
) -> Runtime {
    let ca = std::fs::read_to_string(kernel.data().join("ca.key")).unwrap();
    let issuer = KeyPair::from_pem(&ca).unwrap();
    signed(
        kernel,
        runtime,
        &Issuer::from_ca_cert_pem(&kernel.root_pem(), issuer).unwrap(),
        change,
    )
}

fn signed(
    kernel: &Kernel,
    runtime: &Runtime,
    issuer: &Issuer<'_, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Runtime {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = now - Days::minutes(5);
    params.not_after = now + Days::days(1);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![uri(&name(runtime, &runtime.tenant))];
    change(&mut params);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    runtime.with_certificate(kernel, &key.serialize_pem(), &certificate.pem())
}

fn name(runtime: &Runtime, tenant: &str) -> String {
    format!(
        "spiffe://{}/tenant/{tenant}/runtime/{}",
        runtime.install, runtime.id
    )
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// How many handshakes the kernel has refused for their certificate.
async fn refused(kernel: &Kernel) -> u64 {
    let metrics = kernel.get("/metrics").await.must(200).text;
    let line = metrics.lines().find(|line| {
        line.starts_with("provost_handshakes_failed_total") && line.contains("certificate")
    });
    line.and_then(|line| line.split(' ').next_back()?.parse().ok())
        .unwrap_or(0)
}

async fn is_refused(kernel: &Kernel, what: &str, runtime: &Runtime, ask: &Ask) {
    let before = refused(kernel).await;
    let answer = runtime.try_send(kernel, ask).await;
    assert!(answer.is_err(), "{what}: {answer:?}");
    until(what, async || {
        (refused(kernel).await > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_a_certificate_of_this_ca_in_force_with_one_name_opens_the_door() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let ask = runtime.checking("reports", json!({}));
    let good = forged(&kernel, &runtime, |_| {});
    good.send(&kernel, &ask).await.must(200);

    let other_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut other_ca = CertificateParams::default();
    other_ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let other_ca = Issuer::new(other_ca, other_key);
    let now = OffsetDateTime::now_utc();
    let second = uri(&name(&runtime, &uuid::Uuid::now_v7().to_string()));
    let kernel_name = uri(&format!("spiffe://{}/kernel", runtime.install));
    let elsewhere = uri(&name(&runtime, &tenant).replace(&runtime.install, &tenant));
    for (what, bad) in [
        ("another CA", signed(&kernel, &runtime, &other_ca, |_| {})),
        (
            "expired",
            forged(&kernel, &runtime, |params| {
                params.not_after = now - Days::minutes(1)
            }),
        ),
        (
            "not yet",
            forged(&kernel, &runtime, |params| {
                params.not_before = now + Days::hours(1)
            }),
        ),
        (
            "two names",
            forged(&kernel, &runtime, |params| {
                params.subject_alt_names.push(second)
            }),
        ),
        (
            "no name",
            forged(&kernel, &runtime, |params| params.subject_alt_names.clear()),
        ),
        (
            "the kernel's name",
            forged(&kernel, &runtime, |params| {
                params.subject_alt_names = vec![kernel_name]
            }),
        ),
        (
            "another installation",
            forged(&kernel, &runtime, |params| {
                params.subject_alt_names = vec![elsewhere]
            }),
        ),
        (
            "for servers",
            forged(&kernel, &runtime, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
    ] {
        is_refused(&kernel, what, &bad, &ask).await;
    }
    good.send(&kernel, &ask).await.must(200);
}

#[tokio::test]
async fn without_a_certificate_nothing_is_reached_but_enrolment() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let stranger = kernel.stranger();
    for path in [
        "/kernel/runtimes/register".to_owned(),
        format!("/kernel/runtimes/{}/heartbeat", runtime.id),
        "/kernel/identity/resolve".to_owned(),
        "/kernel/entitlements/check".to_owned(),
        "/kernel/audit/events".to_owned(),
        "/kernel/anything".to_owned(),
        "/v1/tenants".to_owned(),
        "/".to_owned(),
    ] {
        for method in [Method::POST, Method::GET, Method::DELETE] {
            let url = format!("https://{}{path}", kernel.port());
            let mut request = stranger.request(method, url).body("{}");
            for (name, value) in runtime.headers() {
                request = request.header(name, value);
            }
            let answer = Answer::read(request.send().await.unwrap()).await;
            answer.must_refuse(401, "certificate_required");
        }
    }
}

#[tokio::test]
async fn a_connector_does_not_take_a_runtime_for_the_kernel() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let (runtime, thief) = (
        kernel.enroll(&tenant, "on_prem").await,
        kernel.enroll(&tenant, "on_prem").await,
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = posing(&thief, &kernel);
    let posing = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(drop)
    });

    let tls = runtime.tls(&kernel, Alpn::Provost1);
    let refused = tls.connect(&address, Duration::from_secs(20)).await;

    assert!(
        matches!(refused, Err(provost_certs::ConnectError::Kernel(_))),
        "{refused:?}"
    );
    assert!(
        posing.await.unwrap().is_err(),
        "the thief was shaken hands with"
    );
    let kernel_itself = kernel.port().to_string();
    tls.connect(&kernel_itself, Duration::from_secs(20))
        .await
        .unwrap();
}

/// A server that shows a runtime's certificate, which the same CA has signed.
pub(crate) fn posing(thief: &Runtime, kernel: &Kernel) -> TlsAcceptor {
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let chain = vec![
        certificate(&thief.certificate_pem),
        certificate(&kernel.root_pem()),
    ];
    let key = PrivateKeyDer::from_pem_slice(thief.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"provost/1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
