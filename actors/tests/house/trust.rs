//! Which roots runtimes are told to trust and say they trust, and certificates that are refused.

use provost_protocol::{
    Code,
    entity::DeploymentMode,
    wire::{ClientMessage, Operation, Outcome, ServerMessage, TrustBundle, Trusts},
};

use super::{session::Client, world::*};

fn bundle(name: &str, roots: usize) -> TrustBundle {
    TrustBundle {
        id: name.repeat(32),
        roots: vec!["-----BEGIN CERTIFICATE-----\n".to_owned(); roots],
    }
}

fn trusts(name: &str) -> ClientMessage {
    ClientMessage::Trusts(Trusts {
        bundle: name.repeat(32),
    })
}

const CONFIRMED: &str = "runtime.trust-confirmed";

#[tokio::test(start_paused = true)]
async fn every_answer_names_the_bundle_of_that_moment_and_it_can_be_asked_for() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let board = &world.directory.house().trust_bundle;
        for name in ["aa", "bb"] {
            board.replace(bundle(name, 2));
            let beat = world.beat(&peer).await.unwrap();
            assert_eq!(beat.desired.trust_bundle, name.repeat(32));
            let asked = world.call(&peer, tenant, Operation::TrustBundle).await;
            assert_eq!(asked, Ok(Outcome::TrustBundle(bundle(name, 2))));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn words_on_the_bundle_in_force_are_one_event_a_second_and_each_counts_once() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        world
            .directory
            .house()
            .trust_bundle
            .replace(bundle("aa", 2));
        let mut clients = Vec::new();
        for number in 20..24 {
            let peer = world.runtime(tenant, number, DeploymentMode::OnPrem).await;
            let mut client = Client::connect(&world, &peer, 64 * 1024);
            client.welcome().await;
            clients.push(client);
        }
        for client in &mut clients {
            client.send(&trusts("bb")).await;
            client.send(&trusts("aa")).await;
        }
        seconds(3).await;
        let count = world.count(tenant, CONFIRMED).await;
        assert!((1..=2).contains(&count), "four words, {count} events");
        for client in &mut clients {
            client.send(&trusts("aa")).await;
        }
        seconds(3).await;
        assert_eq!(world.count(tenant, CONFIRMED).await, count, "no news");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_root_alone_is_confirmed_by_nobody() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        world
            .directory
            .house()
            .trust_bundle
            .replace(bundle("aa", 1));
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client.welcome().await;
        client.send(&trusts("aa")).await;
        seconds(3).await;
        assert_eq!(world.count(tenant, CONFIRMED).await, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_certificate_is_refused_ends_when_it_is_made_to_look_again() {
    local(async {
        let world = World::new();
        let tenant = world.tenant(1, None).await;
        let peer = world.runtime(tenant, 5, DeploymentMode::OnPrem).await;
        let other = world.runtime(tenant, 6, DeploymentMode::OnPrem).await;
        let mut client = Client::connect(&world, &peer, 64 * 1024);
        client.welcome().await;
        let mut spared = Client::connect(&world, &other, 64 * 1024);
        spared.welcome().await;
        let serial = peer.identity.serial.clone();
        world.standing.0.lock().unwrap().insert(serial);
        world.handle(tenant).await.look_again();
        match client.receive().await {
            // Not the word that ends a runtime for ever: its other certificates are good.
            Some(ServerMessage::Refused(problem)) => {
                assert_eq!(problem.code, Code::CertificateRefused);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.receive().await, None);
        spared.ask(1, tenant, Operation::TrustBundle).await;
        assert_eq!(spared.answer().await.0, 1);
    })
    .await;
}
