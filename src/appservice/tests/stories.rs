//! Stories of several requests. Their names are sentences of `docs/conformance.md`.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn an_answered_transaction_is_on_disk() {
    let service = TestAppservice::open();
    let answer = service
        .transaction("1", &[message("$a"), message("$b")])
        .await;
    assert_eq!(answer, (200, json!({})));
    // The journal is not closed: what is in the folder now is what a crash would leave.
    let folder = as_after_a_crash(service.folder.path());
    let journal = Journal::open(folder.path(), JournalLimits::default()).unwrap();
    assert_eq!(journaled(&journal), ["$a", "$b"]);
}

#[tokio::test]
async fn a_repeated_transaction_is_taken_and_its_events_are_not() {
    let service = TestAppservice::open();
    for _ in 0..3 {
        let answer = service.transaction("1", &[message("$a")]).await;
        assert_eq!(answer, (200, json!({})));
    }
    assert_eq!(service.journaled(), ["$a"]);
}

#[tokio::test]
async fn an_event_that_comes_again_in_another_transaction_is_left_out() {
    let service = TestAppservice::open();
    service
        .transaction("1", &[message("$a"), message("$b")])
        .await;
    service
        .transaction("2", &[message("$b"), message("$c"), message("$c")])
        .await;
    assert_eq!(service.journaled(), ["$a", "$b", "$c"]);
}

#[tokio::test]
async fn an_event_that_comes_again_after_a_restart_is_left_out() {
    let service = TestAppservice::open();
    service.transaction("1", &[message("$a")]).await;
    let folder = as_after_a_crash(service.folder.path());
    let mut restarted = TestAppservice::open();
    restarted.state.journal = Journal::open(folder.path(), JournalLimits::default()).unwrap();
    restarted.transaction("1", &[message("$a")]).await;
    assert_eq!(restarted.journaled(), ["$a"]);
}

#[tokio::test]
async fn an_equal_transaction_id_with_other_content_is_taken() {
    // Tuwunel names transactions by a hash of what they hold; other homeservers count from one
    // again when their database is new.
    let service = TestAppservice::open();
    service.transaction("1", &[message("$a")]).await;
    service.transaction("1", &[message("$b")]).await;
    assert_eq!(service.journaled(), ["$a", "$b"]);
}

#[tokio::test]
async fn events_keep_their_order() {
    let service = TestAppservice::open();
    let ids: Vec<_> = (0..1_000).map(|number| format!("${number:04}")).collect();
    let events: Vec<_> = ids.iter().map(|id| message(id)).collect();
    let (first, second) = events.split_at(300);
    service.transaction("1", first).await;
    service.transaction("2", second).await;
    assert_eq!(service.journaled(), ids);
}

#[tokio::test]
async fn a_thousand_events_in_one_transaction_cost_one_flush() {
    let service = TestAppservice::open();
    let events: Vec<_> = (0..1_000)
        .map(|number| message(&format!("${number}")))
        .collect();
    assert_eq!(service.transaction("1", &events).await, (200, json!({})));
    assert_eq!(service.journaled().len(), 1_000);
    assert_eq!(service.state.journal.flushes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_transactions_at_once_share_flushes() {
    let service = Arc::new(TestAppservice::open());
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let service = Arc::clone(&service);
        under_way.spawn(async move {
            let id = number.to_string();
            service
                .transaction(&id, &[message(&format!("${id}"))])
                .await
        });
    }
    for (status, _) in under_way.join_all().await {
        assert_eq!(status, 200);
    }
    assert_eq!(service.journaled().len(), 1_000);
    let flushes = service.state.journal.flushes();
    println!("1,000 transactions at once: {flushes} flushes");
    assert!(flushes < 300, "{flushes} flushes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_in_many_transactions_at_once_is_admitted_once() {
    let service = Arc::new(TestAppservice::open());
    for round in 0..50 {
        let mut under_way = tokio::task::JoinSet::new();
        for sender in 0..8 {
            let service = Arc::clone(&service);
            under_way.spawn(async move {
                let id = format!("{round}-{sender}");
                service
                    .transaction(&id, &[message(&format!("${round}"))])
                    .await
            });
        }
        under_way.join_all().await;
    }
    assert_eq!(service.journaled().len(), 50);
}

#[tokio::test]
async fn a_full_inbox_makes_the_homeserver_come_back_later() {
    let service = TestAppservice::with(JournalLimits {
        inbox_events_max: 2,
        ..JournalLimits::default()
    });
    service
        .transaction("1", &[message("$a"), message("$b")])
        .await;
    let (status, body) = service.transaction("2", &[message("$c")]).await;
    assert_eq!((status, &body["errcode"]), (503, &json!("M_UNKNOWN")));
    // What is known costs no place.
    assert_eq!(service.transaction("1", &[message("$a")]).await.0, 200);

    let journal = &service.state.journal;
    let (first, _) = journal.waiting_events(1).unwrap().remove(0);
    journal.drop_event(first).unwrap();
    assert_eq!(service.transaction("2", &[message("$c")]).await.0, 200);
    assert_eq!(service.journaled(), ["$b", "$c"]);
}

#[tokio::test]
async fn whoever_waits_for_events_hears_of_them() {
    let service = TestAppservice::open();
    let arrived = Arc::clone(&service.state.arrived);
    service.transaction("1", &[message("$a")]).await;
    let heard = tokio::time::timeout(Duration::from_secs(5), arrived.notified()).await;
    assert!(heard.is_ok());
}

#[tokio::test]
async fn a_ping_is_known_by_its_transaction_id() {
    let service = TestAppservice::open();
    assert!(!service.state.pings.has_received("start-1"));
    let ping = |body: &str| {
        http::Request::post("/_matrix/app/v1/ping")
            .header("authorization", format!("Bearer {HS_TOKEN}"))
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let answer = service
        .answer(ping(r#"{"transaction_id":"start-1"}"#))
        .await;
    assert_eq!(answer, (200, json!({})));
    assert!(service.state.pings.has_received("start-1"));
    assert!(!service.state.pings.has_received("start-2"));
    // A ping of the admin's own does not take the answer away.
    service.answer(ping("{}")).await;
    assert!(service.state.pings.has_received("start-1"));
}

#[tokio::test]
async fn a_ping_with_a_wrong_token_is_not_heard() {
    let service = TestAppservice::open();
    let request = http::Request::post("/_matrix/app/v1/ping")
        .header("authorization", "Bearer guessed")
        .body(Body::from(r#"{"transaction_id":"start-1"}"#))
        .unwrap();
    assert_eq!(service.answer(request).await.0, 403);
    assert!(!service.state.pings.has_received("start-1"));
}

#[tokio::test]
async fn a_user_query_makes_the_ghost_and_a_repeated_one_does_no_harm() {
    let service = TestAppservice::open();
    for _ in 0..2 {
        let request = http::Request::get("/_matrix/app/v1/users/@agent_known:house.test")
            .header("authorization", format!("Bearer {HS_TOKEN}"))
            .body(Body::empty())
            .unwrap();
        assert_eq!(service.answer(request).await, (200, json!({})));
    }
    assert_eq!(*service.agents.ghosts.lock().unwrap(), ["agent-known"; 2]);
}

#[tokio::test]
async fn ready_follows_the_start_up_checks() {
    let service = TestAppservice::open();
    let ask = |path: &str| http::Request::get(path).body(Body::empty()).unwrap();
    for path in ["/_matrix/mau/ready", "/health"] {
        service.ready.send(false).unwrap();
        assert_eq!(
            service.answer(ask(path)).await,
            (503, json!({ "ready": false }))
        );
        service.ready.send(true).unwrap();
        assert_eq!(
            service.answer(ask(path)).await,
            (200, json!({ "ready": true }))
        );
    }
}

#[tokio::test]
async fn the_webhook_makes_discovery_look_at_once() {
    let service = TestAppservice::open();
    let request = http::Request::post("/webhook/new-agent")
        .body(Body::empty())
        .unwrap();
    assert_eq!(service.answer(request).await.0, 202);
    assert_eq!(service.agents.looked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_written_and_not_flushed_is_no_promise() {
    let service = TestAppservice::open();
    let event = serde_json::value::to_raw_value(&message("$a")).unwrap();
    let events = vec![(EventId::parse("$a").unwrap(), event)];
    assert_eq!(
        service.state.journal.admit(events, Millis::now()).unwrap(),
        1
    );
    // A crash takes it, which is why the answer to a transaction waits for the flush.
    let folder = as_after_a_crash(service.folder.path());
    let journal = Journal::open(folder.path(), JournalLimits::default()).unwrap();
    assert!(journaled(&journal).is_empty());
}
