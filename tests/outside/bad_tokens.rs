//! Enrolment tokens that are wrong, and keys that do not belong to them.

use provost_certs::{BindingKey, TlsKey, make_request};
use provost_protocol::{Timestamp, TokenId, enrolment::EnrolRequest, token::EnrolmentToken};
use reqwest::Method;
use serde_json::json;

use crate::world::{Kernel, now, until};

fn request(token: &str) -> EnrolRequest {
    let token: EnrolmentToken = token.parse().unwrap();
    make_request(
        &token,
        &BindingKey::generate().unwrap(),
        &TlsKey::generate().unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_used_token_answers_its_own_key_again_and_alarms_at_another() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let first = request(&token);

    let enrolled = kernel.enroll_with(&first).await.must(200);
    let again = kernel.enroll_with(&first).await.must(200);
    assert_eq!(enrolled.json, again.json, "a lost answer bricks nobody");
    kernel
        .enroll_with(&request(&token))
        .await
        .must_refuse(409, "enrol_token_used");

    let events = kernel.events(&tenant).await;
    let misused = events
        .iter()
        .filter(|event| event["kind"] == "token.misused");
    assert_eq!(misused.count(), 1, "{events:?}");
    let secret = token.trim_start_matches("pvt1.");
    assert!(!kernel.log().contains(secret), "a token stands in the log");
}

#[tokio::test]
async fn tokens_that_are_wrong_in_themselves_are_refused_alike() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let token: EnrolmentToken = kernel.token(&tenant, "on_prem").await.parse().unwrap();
    let secret = EnrolmentToken::new(token.addr(), token.id(), [7; 16], *token.root_sha256());
    let unknown = TokenId::from_parts(Timestamp::EPOCH, [7; 10]);
    let unknown = EnrolmentToken::new(token.addr(), unknown, [7; 16], *token.root_sha256());

    for token in [secret.unwrap(), unknown.unwrap()] {
        let answer = kernel.enroll_with(&request(&token.to_text())).await;
        answer.must_refuse(401, "enrol_token_unknown");
    }
    let mut cut = request(&token.to_text());
    cut.token.pop();
    kernel
        .enroll_with(&cut)
        .await
        .must_refuse(401, "enrol_token_unknown");
}

#[tokio::test]
async fn expired_and_revoked_tokens_are_gone() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let path = format!("/v1/tenants/{tenant}/tokens");
    let body = json!({"runtime_type": "app", "deployment_mode": "on_prem", "ttl_ms": 60_000});
    let revoked = kernel.post(&path, body).await;
    let id = revoked.json["record"]["token_id"].as_str().unwrap();
    let answer = kernel
        .ask(Method::DELETE, &format!("{path}/{id}"), None)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = kernel.enroll_with(&request(&revoked.str("token"))).await;
    answer.must_refuse(410, "enrol_token_expired");

    let body = json!({"runtime_type": "app", "deployment_mode": "on_prem", "ttl_ms": 1_000});
    let short = kernel.post(&path, body).await;
    let expires: Timestamp = short.json["record"]["expires"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    // Asked before, it would enroll, and repeat its answer from then on.
    until("the token expires", async || {
        (now() > expires).then_some(())
    })
    .await;
    let answer = kernel.enroll_with(&request(&short.str("token"))).await;
    answer.must_refuse(410, "enrol_token_expired");
}

#[tokio::test]
async fn keys_that_do_not_belong_together_are_refused() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let (one, other) = (request(&token), request(&token));

    let swapped = EnrolRequest {
        binding_signature: other.binding_signature.clone(),
        ..one.clone()
    };
    kernel
        .enroll_with(&swapped)
        .await
        .must_refuse(422, "binding_refused");
    let stolen = EnrolRequest {
        csr: other.csr.clone(),
        ..one.clone()
    };
    kernel
        .enroll_with(&stolen)
        .await
        .must_refuse(422, "binding_refused");
    let no_key = EnrolRequest {
        binding_key: "AAAA".to_owned(),
        ..one.clone()
    };
    kernel
        .enroll_with(&no_key)
        .await
        .must_refuse(422, "binding_refused");
    let no_csr = EnrolRequest {
        csr: "nothing".to_owned(),
        ..one.clone()
    };
    kernel
        .enroll_with(&no_csr)
        .await
        .must_refuse(422, "csr_refused");
    kernel.enroll_with(&one).await.must(200);
}
