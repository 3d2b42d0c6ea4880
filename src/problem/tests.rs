use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::Request,
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use provost_actors::{ManualClock, SeededRandom};
use provost_protocol::Timestamp;
use tower::ServiceExt as _;

use super::*;

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn router() -> Router {
    let edge = Edge {
        clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_000))),
        random: Arc::new(SeededRandom::new(1)),
        deadline: Duration::from_secs(1),
    };
    let late =
        || async { Refusal::from(Problem::new(Code::Overloaded, "later").retry_after_ms(1_001)) };
    Router::new()
        .route("/good", get(|| async { "good" }))
        .route("/late", get(late))
        .route("/hangs", get(std::future::pending::<&'static str>))
        .route(
            "/panics",
            get(|| async { panic!("hunter2") as &'static str }),
        )
        .route("/reads", post(|_: Json<u8>| async { "read" }))
        .route(
            "/plain",
            get(|| async { (StatusCode::BAD_GATEWAY, "inside") }),
        )
        .layer(axum::middleware::from_fn_with_state(edge, answer))
}

async fn call(method: &str, path: &str, id: Option<&str>) -> (Response, String) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(id) = id {
        request = request.header(CORRELATION_HEADER, id);
    }
    let request = request.body(Body::from("not json")).unwrap();
    let mut response = router().oneshot(request).await.unwrap();
    let body = response.body_mut().collect().await.unwrap().to_bytes();
    (response, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_error_is_a_problem_with_the_callers_correlation_id() {
    for (method, path, status, code) in [
        ("GET", "/late", 503, Code::Overloaded),
        ("GET", "/nowhere", 404, Code::NotFound),
        ("PUT", "/good", 405, Code::MethodNotAllowed),
        ("POST", "/reads", 400, Code::Malformed),
        ("GET", "/plain", 500, Code::Internal),
        ("GET", "/panics", 500, Code::Internal),
        ("GET", "/hangs", 503, Code::OutcomeUnknown),
    ] {
        let (response, body) = call(method, path, Some(ID)).await;
        let headers = response.headers();
        let problem: Problem = serde_json::from_str(&body).unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}: {body}");
        assert_eq!(headers[CONTENT_TYPE], PROBLEM_JSON, "{path}");
        assert_eq!(headers[CORRELATION_HEADER], ID, "{path}");
        assert_eq!((problem.status, problem.code), (status, code), "{path}");
        assert_eq!(problem.correlation_id, Some(ID.parse().unwrap()), "{path}");
        for inside in ["hunter2", "inside"] {
            assert!(!body.contains(inside), "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_in_whole_seconds_rounded_up_and_methods_are_named() {
    let (response, _) = call("GET", "/late", None).await;
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    let (response, _) = call("PUT", "/good", None).await;
    assert_eq!(response.headers()[axum::http::header::ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn a_correlation_id_is_made_where_none_was_given_and_refused_where_it_is_none() {
    let (response, body) = call("GET", "/good", None).await;
    assert_eq!(body, "good");
    let made = response.headers()[CORRELATION_HEADER].to_str().unwrap();
    assert!(made.parse::<CorrelationId>().is_ok(), "{made}");

    let (response, body) = call("GET", "/good", Some("mine")).await;
    let problem: Problem = serde_json::from_str(&body).unwrap();
    assert_eq!(problem.code, Code::IdMalformed);
    let made = response.headers()[CORRELATION_HEADER].to_str().unwrap();
    assert_eq!(problem.correlation_id, made.parse().ok());
}
