//! The issuer's refusals, by hand-made requests.

use provost_courses::drive::Browser;
use serde_json::Value;

use crate::world::{ADA, World};

/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_needs_its_verifier_its_address_and_is_good_once() {
    let world = World::start().await;
    let redirect = format!("{}/callback", world.base());
    for (verifier, address, error) in [
        (
            "wrong-verifier-wrong-verifier-wrong-verifier",
            redirect.as_str(),
            "invalid_grant",
        ),
        (VERIFIER, "http://127.0.0.1:1/callback", "invalid_grant"),
        ("", redirect.as_str(), "invalid_grant"),
    ] {
        let code = code(&world).await;
        assert_eq!(
            exchange(&world, &code, verifier, address).await["error"],
            error
        );
        // A failed try uses the code up as well.
        assert_eq!(
            exchange(&world, &code, VERIFIER, &redirect).await["error"],
            "invalid_grant"
        );
    }
    let code = code(&world).await;
    let given = exchange(&world, &code, VERIFIER, &redirect).await;
    assert!(given["id_token"].is_string(), "{given}");
    assert_eq!(
        exchange(&world, &code, VERIFIER, &redirect).await["error"],
        "invalid_grant"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_pkce_goes_back_with_an_error_and_one_from_elsewhere_goes_nowhere() {
    let world = World::start().await;
    let browser = Browser::open(&world.issuer).unwrap();
    let redirect = format!("{}/callback", world.base());
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=");
    for (redirect, tail, error) in [
        (redirect.as_str(), String::new(), Some("invalid_request")),
        (
            redirect.as_str(),
            format!("{pkce}plain"),
            Some("invalid_request"),
        ),
        (&format!("{redirect}/"), format!("{pkce}S256"), None),
        ("http://evil.example/callback", format!("{pkce}S256"), None),
    ] {
        let path = format!(
            "/authorize?client_id=courses&redirect_uri={redirect}&response_type=code\
             &scope=openid&state=s&nonce=n{tail}"
        );
        let answer = browser.raw(reqwest::Method::GET, &path, &[]).await.unwrap();
        let location = answer
            .headers()
            .get("location")
            .map(|to| to.to_str().unwrap().to_owned());
        match error {
            Some(error) => {
                assert!(
                    location
                        .unwrap()
                        .contains(&format!("error={error}&state=s")),
                    "{path}"
                );
            }
            None => assert_eq!((answer.status().as_u16(), location), (400, None), "{path}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_form_without_its_cookie_is_refused() {
    let world = World::start().await;
    let victim = Browser::open(&world.issuer).unwrap();
    let form = victim.get(&authorize(&world)).await.unwrap();
    let other = Browser::open(&world.issuer).unwrap();
    let filled = [("username", ADA.0), ("password", ADA.1)];
    let refused = other.submit(&form, "login", &filled).await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("This login is over"));
}

async fn code(world: &World) -> String {
    let browser = Browser::open(&world.issuer).unwrap();
    let form = browser.get(&authorize(world)).await.unwrap();
    let filled = [("username", ADA.0), ("password", ADA.1)];
    // The pilot did not begin this login, so it refuses; the code is in the address all the same.
    let page = browser.submit(&form, "login", &filled).await.unwrap();
    assert_eq!(page.status, 400);
    page.url
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned()
}

fn authorize(world: &World) -> String {
    format!(
        "/authorize?client_id=courses&redirect_uri={}/callback&response_type=code&scope=openid\
         &state=s&nonce=n&code_challenge={CHALLENGE}&code_challenge_method=S256",
        world.base()
    )
}

async fn exchange(world: &World, code: &str, verifier: &str, redirect: &str) -> Value {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect),
        ("client_id", "courses"),
        ("code_verifier", verifier),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/token", world.issuer);
    let answer = client.post(url).form(&form).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}
