use provost_connector::Mode;
use provost_protocol::entity::{RuntimeStatus, TenantStatus};
use provost_protocol::wire::{ClientMessage, DesiredState, Operation, Outcome, ServerMessage};

use crate::world::*;

#[tokio::test]
async fn a_lost_answer_to_an_enrolment_is_asked_for_again_with_the_same_keys() {
    let world = World::new().await;
    let token = world.token();
    let enrolling = provost_connector::enroll(&token, world.data.path());
    let (lost, first) = tokio::join!(enrolling, world.answer_enrolment(false));
    assert!(lost.is_err());
    let enrolling = provost_connector::enroll(&token, world.data.path());
    let (enrolled, second) = tokio::join!(enrolling, world.answer_enrolment(true));
    assert!(!enrolled.unwrap().already);
    assert_eq!(first.binding_key, second.binding_key);
    // Once enrolled, nobody is asked any more.
    assert!(
        provost_connector::enroll(&token, world.data.path())
            .await
            .unwrap()
            .already
    );
}

#[tokio::test]
async fn a_check_is_answered_here_reported_and_goes_on_when_the_kernel_is_gone() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, hello) = world.welcome(7).await;
    assert_eq!((hello.last_generation, hello.held.len()), (0, 0));
    let license = world.license(1, 1);
    let product = async {
        let headers = registered(&connector).await;
        let online = check(&connector, &headers, "report_export", "{}").await;
        (headers, online)
    };
    let verdict = peer.play(&world, &license, |m| events_of(m, "entitlement.verdict"));
    let ((headers, online), verdict) = tokio::join!(product, verdict);
    assert_eq!(
        (online.0, &online.1["reason"]),
        (200, &"ENTITLED".into()),
        "{online:?}"
    );
    assert_eq!(verdict["payload"]["online"], true);
    assert_eq!(verdict["payload"]["license_seq"], 1);

    drop((peer, world.data.path()));
    until("degraded", || {
        connector
            .status()
            .tenants
            .first()
            .is_some_and(|tenant| tenant.mode == Mode::Degraded)
    })
    .await;
    // Nobody accepts: the next attempts hang or fail, and nothing here waits for them.
    let (status, answer) = check(&connector, &headers, "report_export", "{}").await;
    assert_eq!(
        (status, &answer["allowed"]),
        (200, &true.into()),
        "{answer}"
    );
    let (_, answer) = check(&connector, &headers, "report_export", r#"{"consume":1}"#).await;
    assert_eq!(answer["reason"], "NO_LEASE");
    let (_, answer) = check(&connector, &headers, "another", "{}").await;
    assert_eq!(answer["reason"], "NO_ENTITLEMENT");
    let head = format!("POST /kernel/identity/resolve HTTP/1.1\r\n{headers}");
    let body = format!(r#"{{"tenant_id":"{}","external_token":"new"}}"#, tenant());
    let (status, answer, _) = local(&connector, &head, &body).await;
    assert_eq!(
        (status, &answer["code"]),
        (503, &"kernel_unreachable".into())
    );
    assert!(connector.status().spool.waiting >= 3);

    let (mut peer, hello) = world.welcome(8).await;
    assert_eq!(hello.last_generation, 7);
    assert_eq!(hello.held[0].revision, 1);
    peer.play(&world, &license, |m| events_of(m, "connector.degraded"))
        .await;
    connector.shutdown().await;
}

#[tokio::test]
async fn a_directive_is_confirmed_once_it_is_on_disk_and_in_force_after_a_restart() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let license = world.license(1, 9);
    let mut killing = desired(9);
    killing.killed = true;
    peer.say(ServerMessage::Directive(killing)).await;
    let path = world.data.path().join(format!("tenants/{}.json", tenant()));
    let confirm = |message: &ClientMessage| match message {
        ClientMessage::Confirm(confirm) if confirm.revision == 9 => {
            Some(std::fs::read_to_string(&path).unwrap())
        }
        _ => None,
    };
    let kept = peer.play(&world, &license, confirm).await;
    assert!(kept.contains("\"revision\": 9"), "{kept}");
    connector.shutdown().await;
    drop(peer);

    let connector = world.start().await;
    let (mut peer, hello) = world.welcome(2).await;
    assert_eq!(hello.held[0].revision, 9);
    assert!(connector.status().killed);
    let product = async {
        let headers = registered(&connector).await;
        check(&connector, &headers, "report_export", "{}").await
    };
    let reported = peer.play(&world, &license, |m| events_of(m, "entitlement.verdict"));
    let ((_, answer), _) = tokio::join!(product, reported);
    assert_eq!(answer["reason"], "KILLED");
    connector.shutdown().await;
}

#[tokio::test]
async fn a_kill_runs_its_hook_once_and_is_confirmed_after_it() {
    let world = World::enrolled().await;
    let said = world.data.path().join("hook.said");
    let script = format!("echo $PROVOST_REVISION >> {}", said.display());
    let hook = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    let started = || world.start_with(|config| config.kill_hook.clone_from(&hook));
    let killing = |revision| DesiredState {
        killed: true,
        ..desired(revision)
    };
    let license = world.license(1, 9);
    let connector = started().await;
    let (mut peer, _) = world.welcome(1).await;
    peer.say(ServerMessage::Directive(killing(9))).await;
    let confirmed = |revision| {
        let said = said.clone();
        move |message: &ClientMessage| match message {
            ClientMessage::Confirm(confirm) if confirm.revision == revision => {
                Some(std::fs::read_to_string(&said).unwrap_or_default())
            }
            _ => None,
        }
    };
    let then = peer.play(&world, &license, confirmed(9)).await;
    assert_eq!(then, "9\n", "the hook has run when it is confirmed");
    connector.shutdown().await;
    drop(peer);

    // Started again, and told more: it is the same kill.
    let connector = started().await;
    let (mut peer, _) = world.welcome(2).await;
    peer.say(ServerMessage::Directive(killing(10))).await;
    let then = peer.play(&world, &license, confirmed(10)).await;
    assert_eq!(then, "9\n");
    peer.say(ServerMessage::Directive(desired(11))).await;
    peer.play(&world, &license, confirmed(11)).await;
    peer.say(ServerMessage::Directive(killing(12))).await;
    let then = peer.play(&world, &license, confirmed(12)).await;
    assert_eq!(then, "9\n12\n", "and this another one");
    connector.shutdown().await;
}

#[tokio::test]
async fn a_connector_is_one_process_with_one_nonce_over_all_its_connections() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (peer, first) = world.welcome(1).await;
    drop(peer);
    let (peer, second) = world.welcome(2).await;
    assert_eq!(first.nonce, second.nonce);
    assert_eq!((first.last_generation, second.last_generation), (0, 1));
    drop(peer);
    connector.shutdown().await;
    let connector = world.start().await;
    let (_peer, third) = world.welcome(3).await;
    assert_ne!(first.nonce, third.nonce);
    connector.shutdown().await;
}

#[tokio::test]
async fn a_clock_that_is_ahead_makes_no_fresh_license_due() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    // As the kernel issues it whose clock is 40 minutes behind this machine's.
    let fresh = world.license_of(now().minus_millis(40 * 60_000), 5, 1);
    let product = async {
        let headers = registered(&connector).await;
        check(&connector, &headers, "report_export", "{}").await
    };
    let mut pulls = 0;
    let kernel = peer.play(&world, &fresh, |message| {
        if let ClientMessage::Request(request) = message {
            pulls += usize::from(matches!(request.operation, Operation::PullLicense));
        }
        events_of(message, "entitlement.verdict")
    });
    let ((_, answer), _) = tokio::join!(product, kernel);
    assert_eq!(answer["reason"], "ENTITLED", "{answer}");
    assert_eq!(pulls, 1, "as many as there were reasons");
    // What says that the kernel has changed something is one.
    peer.say(ServerMessage::Directive(desired(2))).await;
    let pulled = |message: &ClientMessage| match message {
        ClientMessage::Request(request) => {
            matches!(request.operation, Operation::PullLicense).then_some(())
        }
        _ => None,
    };
    peer.play(&world, &world.license(6, 2), pulled).await;
    connector.shutdown().await;
}

#[tokio::test]
async fn the_product_hears_of_a_suspension_with_the_directive_that_says_so() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let suspended = DesiredState {
        tenant_status: TenantStatus::Suspended,
        ..desired(2)
    };
    for (state, status) in [
        (suspended, RuntimeStatus::Suspended),
        (desired(3), RuntimeStatus::Active),
    ] {
        peer.say(ServerMessage::Directive(state)).await;
        until("the directive's status", || {
            connector.status().runtime_status == status
        })
        .await;
    }
    connector.shutdown().await;
}

#[tokio::test]
async fn a_check_that_a_license_answers_waits_for_nobody_who_pulls_the_next() {
    let world = World::enrolled().await;
    // Past half of its life: the next start pulls another.
    let old = world.license_of(now().minus_millis(40 * 60_000), 5, 1);
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let product = async {
        let headers = registered(&connector).await;
        check(&connector, &headers, "report_export", "{}").await;
        headers
    };
    let kernel = peer.play(&world, &old, |m| events_of(m, "entitlement.verdict"));
    let (headers, _) = tokio::join!(product, kernel);
    connector.shutdown().await;

    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let pull = loop {
        if let ClientMessage::Request(request) = peer.hear().await
            && matches!(request.operation, Operation::PullLicense)
        {
            break request.id;
        }
    };
    let (_, answer) = check(&connector, &headers, "report_export", "{}").await;
    assert_eq!(answer["reason"], "ENTITLED", "{answer}");
    // The very session that was asked still waits for its answer.
    peer.answer(pull, Outcome::License(world.license(6, 1)))
        .await;
    until("the next license", || {
        let status = connector.status();
        status.tenants.iter().any(|t| t.license_seq == Some(6))
    })
    .await;
    connector.shutdown().await;
}

#[tokio::test]
async fn a_license_of_before_is_refused_reported_and_the_last_good_one_stays() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.welcome(1).await;
    let pulled = |message: &ClientMessage| match message {
        ClientMessage::Request(request) => {
            matches!(request.operation, Operation::PullLicense).then_some(())
        }
        _ => None,
    };
    peer.play(&world, &world.license(5, 1), pulled).await;
    until("a license", || {
        connector
            .status()
            .tenants
            .iter()
            .any(|t| t.license_seq == Some(5))
    })
    .await;
    peer.say(ServerMessage::Directive(desired(2))).await;
    let old = world.license(4, 2);
    let refused = peer
        .play(&world, &old, |m| events_of(m, "connector.license-refused"))
        .await;
    assert_eq!(refused["payload"]["verdict"], "SEQUENCE_ROLLBACK");
    assert_eq!(connector.status().tenants[0].license_seq, Some(5));
    connector.shutdown().await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_session_and_the_connector_dials_again() {
    let world = World::enrolled().await;
    let connector = world.start().await;
    let (mut peer, _) = world.hello().await;
    peer.raw(&(64 * 1024_u32 + 1).to_le_bytes()).await;
    until("down", || {
        connector
            .status()
            .link
            .reason
            .is_some_and(|why| why.contains("65537 bytes"))
    })
    .await;
    let (_peer, hello) = world.welcome(1).await;
    assert_eq!(hello.last_generation, 0);
    until("up", || connector.status().link.state == "up").await;
    connector.shutdown().await;
}

#[tokio::test]
async fn a_kernel_of_another_authority_is_refused() {
    let (world, foreign) = (World::enrolled().await, World::new().await);
    let mut config = provost_connector::Config::new(world.data.path());
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.kernel = Some(foreign.addr());
    let connector = provost_connector::Connector::start(config).await.unwrap();
    foreign.refused().await;
    until("down", || {
        connector
            .status()
            .link
            .reason
            .is_some_and(|why| why.contains("not our kernel"))
    })
    .await;
    connector.shutdown().await;
}
