//! What the homeserver gets to see of us, and what we make of its answers.

mod rooms;
mod startup;

use std::time::Duration;

use ruma::{api::client::account::whoami, room_id, user_id};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    scripted_homeserver::{AS_TOKEN, BOT, Fault, ScriptedHomeserver},
    *,
};
use crate::config::Secret;

fn who() -> whoami::v3::Request {
    whoami::v3::Request::new()
}

fn error(status: u16, code: &str) -> Fault {
    Fault::Answer(status, json!({ "errcode": code, "error": "no" }))
}

fn slow_down(milliseconds: u64) -> Fault {
    let body = json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "slow down", "retry_after_ms": milliseconds });
    Fault::Answer(429, body)
}

#[tokio::test]
async fn the_token_is_in_the_header_and_never_in_the_address() {
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    let room = room_id!("!room:house.test");
    let ghost = user_id!("@agent_1:house.test");
    homeserver.register(ghost).await.unwrap();
    homeserver.join(Actor::Ghost(ghost), room).await.unwrap();
    homeserver.set_typing(ghost, room, true).await.unwrap();
    homeserver.set_room_name(room, "Name").await.unwrap();
    homeserver.check_ping("letta", "1").await.unwrap();
    for seen in double.requests() {
        let expected = format!("Bearer {AS_TOKEN}");
        assert_eq!(
            seen.authorization.as_deref(),
            Some(&*expected),
            "{}",
            seen.line()
        );
        assert!(!seen.target.contains(AS_TOKEN), "{}", seen.line());
        assert!(!seen.body.to_string().contains(AS_TOKEN), "{}", seen.line());
    }
}

#[tokio::test]
async fn a_ghost_is_named_and_the_bot_is_not() {
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    homeserver.call(Actor::Bot, who()).await.unwrap();
    let ghost = user_id!("@agent_1:house.test");
    homeserver.call(Actor::Ghost(ghost), who()).await.unwrap();
    assert_eq!(
        double.lines(),
        [
            "GET /_matrix/client/v3/account/whoami",
            "GET /_matrix/client/v3/account/whoami?user_id=@agent_1:house.test",
        ]
    );
}

#[tokio::test]
async fn over_the_network_it_is_the_same() {
    let double = ScriptedHomeserver::default();
    let address = format!("{}/", double.listen().await);
    let network = std::sync::Arc::new(Network::new().unwrap());
    let homeserver = Homeserver::new(network, &address, Secret::new(AS_TOKEN));
    double.fails("whoami", [error(503, "M_UNKNOWN"), slow_down(1)]);
    let ghost = user_id!("@agent_1:house.test");
    let answer = homeserver.call(Actor::Ghost(ghost), who()).await.unwrap();
    assert_eq!(answer.user_id, ghost);
    let seen = double.requests().pop().unwrap();
    assert_eq!(
        seen.line(),
        "GET /_matrix/client/v3/account/whoami?user_id=@agent_1:house.test"
    );
    assert_eq!(seen.authorization.as_deref(), Some("Bearer as-secret"));
    assert_eq!(homeserver.requests_sent(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_asks_for_time_gets_it() {
    let double = ScriptedHomeserver::default();
    double.fails("whoami", [slow_down(7_000), slow_down(1_500)]);
    let began = Instant::now();
    double.client().call(Actor::Bot, who()).await.unwrap();
    let waited = began.elapsed();
    assert!((8_500..8_600).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(double.lines().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_asks_for_time_gets_it() {
    let double = ScriptedHomeserver::default();
    double.fails("whoami", [Fault::AnswerWith(429, "retry-after", "9")]);
    let began = Instant::now();
    double.client().call(Actor::Bot, who()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_capped() {
    let double = ScriptedHomeserver::default();
    double.fails("whoami", [slow_down(u64::from(u32::MAX))]);
    let began = Instant::now();
    double.client().call(Actor::Bot, who()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 5 * 60);
}

#[tokio::test(start_paused = true)]
async fn transient_error_is_retried_a_few_times() {
    for fault in [
        error(500, "M_UNKNOWN"),
        Fault::Words(502, "<html>"),
        Fault::Unreached,
        slow_down(10),
    ] {
        let double = ScriptedHomeserver::default();
        double.fails("whoami", vec![fault.clone(); 4]);
        double.client().call(Actor::Bot, who()).await.unwrap();
        assert_eq!(double.lines().len(), 5, "{fault:?}");

        let double = ScriptedHomeserver::default();
        double.fails("whoami", vec![fault.clone(); 10]);
        let began = Instant::now();
        let failure = double.client().call(Actor::Bot, who()).await.unwrap_err();
        assert!(failure.is_transient(), "{failure}");
        assert_eq!(double.lines().len(), 5, "{fault:?}");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn permanent_error_is_not_retried() {
    for fault in [
        error(400, "M_BAD_JSON"),
        error(401, "M_UNKNOWN_TOKEN"),
        error(403, "M_FORBIDDEN"),
        error(404, "M_NOT_FOUND"),
        error(413, "M_TOO_LARGE"),
        Fault::DoneAndGarbled,
    ] {
        let double = ScriptedHomeserver::default();
        double.fails("whoami", [fault.clone()]);
        let failure = double.client().call(Actor::Bot, who()).await.unwrap_err();
        assert!(!failure.is_transient(), "{failure}");
        assert_eq!(double.lines().len(), 1, "{fault:?}");
    }
}

#[test]
fn waiting_grows_up_to_a_limit() {
    let failure = MatrixError::Transport(TransportError::TooLarge { bytes_max: 1 });
    for (attempt, longest) in [
        (1, 250),
        (2, 500),
        (3, 1_000),
        (7, 16_000),
        (8, 30_000),
        (u32::MAX, 30_000),
    ] {
        let longest = Duration::from_millis(longest);
        for _ in 0..100 {
            let wait = backoff(attempt, &failure);
            assert!(
                wait <= longest && wait >= longest / 2,
                "attempt {attempt}: {wait:?}"
            );
        }
    }
}

/// What each kind of failure means, as a table.
#[tokio::test(start_paused = true)]
async fn every_failure_has_its_meaning() {
    let mut table = String::new();
    for (name, fault) in [
        ("no connection", Fault::Unreached),
        ("connection broke", Fault::DoneAndUnheard),
        ("garbled answer", Fault::DoneAndGarbled),
        ("500 M_UNKNOWN", error(500, "M_UNKNOWN")),
        ("502 of a proxy", Fault::Words(502, "Bad Gateway")),
        ("429", slow_down(1)),
        ("400 M_BAD_JSON", error(400, "M_BAD_JSON")),
        ("401 M_UNKNOWN_TOKEN", error(401, "M_UNKNOWN_TOKEN")),
        ("403 M_FORBIDDEN", error(403, "M_FORBIDDEN")),
        ("404 M_NOT_FOUND", error(404, "M_NOT_FOUND")),
        ("404 M_UNRECOGNIZED", error(404, "M_UNRECOGNIZED")),
        ("404 of a proxy", Fault::Words(404, "404 page not found")),
        ("413 of a proxy", Fault::Words(413, "<html>")),
    ] {
        let double = ScriptedHomeserver::default();
        double.fails("whoami", [fault]);
        let failure = double
            .client()
            .call_once(Actor::Bot, who())
            .await
            .unwrap_err();
        let meanings = [
            (failure.is_transient(), "transient"),
            (failure.is_ambiguous(), "ambiguous"),
            (failure.is_permanent(), "for good"),
            (failure.is_not_found(), "not found"),
            (failure.is_forbidden(), "forbidden"),
        ];
        let meanings: Vec<_> = meanings.iter().filter(|it| it.0).map(|it| it.1).collect();
        table += &[name, ": ", &meanings.join(", "), "\n"].concat();
    }
    insta::assert_snapshot!(table, @r"
    no connection: transient, ambiguous
    connection broke: transient, ambiguous
    garbled answer: ambiguous
    500 M_UNKNOWN: transient, ambiguous
    502 of a proxy: transient, ambiguous
    429: transient
    400 M_BAD_JSON: for good
    401 M_UNKNOWN_TOKEN: 
    403 M_FORBIDDEN: for good, forbidden
    404 M_NOT_FOUND: for good, not found
    404 M_UNRECOGNIZED: for good
    404 of a proxy: 
    413 of a proxy: for good
    ");
}

#[tokio::test(start_paused = true)]
async fn no_failure_shows_the_token() {
    let network = std::sync::Arc::new(Network::new().unwrap());
    // A port on which nobody can listen.
    let nobody = Homeserver::new(network, "http://127.0.0.1:0", Secret::new(AS_TOKEN));
    let mut failures = vec![nobody.call_once(Actor::Bot, who()).await.unwrap_err()];
    let unwritable = Homeserver::new(
        std::sync::Arc::new(ScriptedHomeserver::default()),
        "no address",
        Secret::new(AS_TOKEN),
    );
    failures.extend(unwritable.call_once(Actor::Bot, who()).await.err());
    let odd = ScriptedHomeserver::default();
    let odd = Homeserver::new(
        std::sync::Arc::new(odd),
        "http://house.test",
        Secret::new(format!("{AS_TOKEN}\n")),
    );
    failures.extend(odd.call_once(Actor::Bot, who()).await.err());
    for fault in [
        error(500, "M_UNKNOWN"),
        slow_down(1),
        Fault::DoneAndGarbled,
        Fault::Words(404, "x"),
    ] {
        let double = ScriptedHomeserver::default();
        double.fails("whoami", [fault]);
        failures.push(
            double
                .client()
                .call_once(Actor::Bot, who())
                .await
                .unwrap_err(),
        );
    }
    assert_eq!(failures.len(), 7);
    for failure in &failures {
        let causes =
            std::iter::successors(Some(failure as &dyn std::error::Error), |it| it.source());
        let shown: Vec<_> = causes.map(|cause| format!("{cause} {cause:?}")).collect();
        let shown = shown.join("\n");
        assert!(!shown.contains(AS_TOKEN), "{shown}");
    }
}

#[tokio::test]
async fn a_user_that_exists_is_registered_well_enough() {
    let double = ScriptedHomeserver::default();
    double.fails("register", [error(400, "M_USER_IN_USE")]);
    let homeserver = double.client();
    homeserver
        .register(user_id!("@agent_1:house.test"))
        .await
        .unwrap();
    let seen = double.requests().pop().unwrap();
    assert_eq!(seen.line(), "POST /_matrix/client/v3/register");
    assert_eq!(
        seen.body,
        json!({ "type": "m.login.application_service", "username": "agent_1", "inhibit_login": true })
    );
    double.fails("register", [error(400, "M_EXCLUSIVE")]);
    homeserver
        .register(user_id!("@agent_1:house.test"))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_ghost_sets_its_own_name() {
    let double = ScriptedHomeserver::default();
    let ghost = user_id!("@agent_1:house.test");
    let homeserver = double.client();
    homeserver
        .set_display_name(Actor::Ghost(ghost), ghost, "Nora")
        .await
        .unwrap();
    let seen = double.requests().pop().unwrap();
    assert_eq!(
        seen.line(),
        "PUT /_matrix/client/v3/profile/@agent_1:house.test/displayname?user_id=@agent_1:house.test"
    );
    assert_eq!(seen.body, json!({ "displayname": "Nora" }));
}
