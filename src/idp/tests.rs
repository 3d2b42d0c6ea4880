//! What is refused, and that fetching keys cannot be turned against anybody.

mod fetching;
mod world;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use provost_actors::TokenRefused;
use serde_json::{Value, json};

use self::world::{AUDIENCE, ISSUER, NOW, World, claims, rsa_public_pem};

#[tokio::test]
async fn a_good_token_of_each_family_is_vouched_for() {
    let world = World::new();
    for algorithm in [
        Algorithm::EdDSA,
        Algorithm::ES256,
        Algorithm::RS256,
        Algorithm::PS384,
    ] {
        let vouched = world
            .verify(&world.sign(algorithm, &claims()))
            .await
            .unwrap();
        assert_eq!(vouched.subject.issuer, ISSUER, "{algorithm:?}");
        assert_eq!(vouched.subject.subject, "person-1");
        assert_eq!(vouched.roles, ["editor", "reader"]);
        assert_eq!(vouched.attributes["email"], "ada@example.org");
        assert_eq!(vouched.attributes["email_verified"], "true");
        assert_eq!(vouched.attributes["org"], "acme");
        assert_eq!(vouched.attributes.get("phone_number"), None);
        assert_eq!(vouched.attributes.get("name"), None, "too long to keep");
        assert_eq!(vouched.expires.as_millis(), (NOW + 600) * 1_000);
    }
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused() {
    let world = World::new();
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    for (claims, why) in [
        (with("exp", json!(NOW - 30)), "it has expired"),
        (with("exp", json!("soon")), "one of its times is no time"),
        (with("exp", json!(-1e30)), "one of its times is no time"),
        (without("exp"), "it has no end"),
        (with("nbf", json!(NOW + 31)), "it is not valid yet"),
        (
            with("iat", json!(NOW + 31)),
            "it was issued in the future, or after its end",
        ),
        (
            with("aud", json!("https://other.example")),
            "it is for another audience",
        ),
        (with("aud", json!(["a", "b"])), "it is for another audience"),
        (without("aud"), "it is for another audience"),
        (with("iss", json!("https://elsewhere.example")), NOT_OURS),
        (with("iss", json!(format!("{ISSUER}/"))), NOT_OURS),
        (without("iss"), "it names no issuer"),
        (without("sub"), "it names nobody"),
        (with("sub", json!("")), "its subject is empty or too long"),
        (
            with("sub", json!("x".repeat(256))),
            "its subject is empty or too long",
        ),
        (
            without("org"),
            "it lacks a claim that the provider requires",
        ),
        (
            with("org", json!("Acme")),
            "it lacks a claim that the provider requires",
        ),
        (
            with("org", json!(["acme"])),
            "it lacks a claim that the provider requires",
        ),
    ] {
        let token = world.sign(Algorithm::EdDSA, &claims);
        assert_eq!(
            world.verify(&token).await,
            Err(TokenRefused::Refused(why)),
            "{claims}"
        );
    }
    let mut leeway = with("exp", json!(NOW - 29));
    leeway["iat"] = json!(NOW - 600);
    world
        .verify(&world.sign(Algorithm::EdDSA, &leeway))
        .await
        .unwrap();
    let several = with("aud", json!(["other", AUDIENCE]));
    world
        .verify(&world.sign(Algorithm::EdDSA, &several))
        .await
        .unwrap();
}

#[tokio::test]
async fn signatures_that_do_not_count_are_refused() {
    let world = World::new();
    let good = world.sign(Algorithm::EdDSA, &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let headed = |header: Value| {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        format!("{header}.{payload}.{signature}")
    };
    let hmac = |kid: &str, secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
    };
    let mut other = claims();
    other["sub"] = json!("person-2");
    let other = URL_SAFE_NO_PAD.encode(other.to_string());
    let head = message.split_once('.').unwrap().0;
    for (token, why) in [
        (headed(json!({"alg": "none"})), ALGORITHM),
        (
            format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#)),
            ALGORITHM,
        ),
        (headed(json!({"alg": "NONE"})), ALGORITHM),
        (headed(json!({"alg": "ES384", "kid": "ed"})), ALGORITHM),
        (hmac("rsa", rsa_public_pem()), ALGORITHM),
        (hmac("ed", &world.ed_public), ALGORITHM),
        (headed(json!({"alg": "EdDSA", "kid": "nobody"})), KEY),
        (headed(json!({"alg": "RS256", "kid": "ed"})), KEY),
        (headed(json!({"alg": "EdDSA", "kid": "wrong-use"})), KEY),
        (headed(json!({"alg": "RS256"})), KEY),
        (
            headed(json!({"alg": "RS256", "kid": "rsa"})),
            "its signature does not hold",
        ),
        (
            headed(json!({"alg": "EdDSA", "kid": "ed", "x": 1})),
            "its signature does not hold",
        ),
        (
            format!("{head}.{other}.{signature}"),
            "its signature does not hold",
        ),
        (format!("{message}."), "its signature does not hold"),
        (
            headed(json!({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false})),
            "it has critical terms that are unknown here",
        ),
    ] {
        assert_eq!(
            world.verify(&token).await,
            Err(TokenRefused::Refused(why)),
            "{token}"
        );
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_a_hint() {
    let world = World::new();
    let good = world.sign(Algorithm::EdDSA, &claims());
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let (head, rest) = good.split_once('.').unwrap();
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{good}.x"),
        format!("{head}=.{rest}"),
        format!("{head}.{}.x", part("[]")),
        format!("{head}.{}.x", part(r#"{"sub":"a","sub":"b"}"#)),
        format!("{}.{rest}", part(r#"{"alg":"none","alg":"EdDSA"}"#)),
        format!("{}.{rest}", part(r#"{"kid":"ed"}"#)),
    ] {
        let refused = world.verify(&token).await;
        assert_eq!(
            refused,
            Err(TokenRefused::Refused("it is not a signed JWT")),
            "{token}"
        );
    }
    let long = format!("{good}{}", "A".repeat(16 * 1024));
    let refused = world.verify(&long).await;
    assert_eq!(
        refused,
        Err(TokenRefused::Refused("it is longer than 16 KiB"))
    );
}

#[tokio::test]
async fn an_issuer_of_another_tenant_is_as_unknown_as_any() {
    let world = World::new();
    let token = world.sign(Algorithm::EdDSA, &claims());
    world.verify(&token).await.unwrap();
    let mut elsewhere = World::new();
    elsewhere.settings.issuer = "https://login.other.example".to_owned();
    let refused = elsewhere.verify_with(&world.verifier, &token).await;
    assert_eq!(refused, Err(TokenRefused::Refused(NOT_OURS)));
}

#[tokio::test]
async fn roles_are_found_down_a_path_and_bounded() {
    let mut world = World::new();
    world.settings.roles_claim = Some("realm_access.roles".to_owned());
    let mut claims = claims();
    let many: Vec<String> = (0..100).map(|n| format!("role-{n:03}")).collect();
    claims["realm_access"] = json!({ "roles": many });
    let vouched = world
        .verify(&world.sign(Algorithm::EdDSA, &claims))
        .await
        .unwrap();
    assert_eq!(vouched.roles, many[..32]);
}

#[tokio::test]
async fn a_refusal_never_shows_the_token() {
    let world = World::new();
    let token = world.sign(Algorithm::EdDSA, &claims());
    let cut = &token[..token.len() - 4];
    let shown = format!("{:?} {:?}", world.verify(cut).await, world.verifier);
    for part in token.split('.') {
        assert!(!shown.contains(&part[..16]), "{shown}");
    }
}

const NOT_OURS: &str = "its issuer is no provider of this tenant";
const ALGORITHM: &str = "its algorithm is not one of the provider's";
const KEY: &str = "it is signed with a key the provider does not publish";
