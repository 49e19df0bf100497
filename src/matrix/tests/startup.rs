//! The start-up checks: what is asked, and the words in which it fails.

use super::*;

const PING: &str = "/appservice/letta/ping";

async fn versions(double: &ScriptedHomeserver, versions: &Value) -> Homeserver {
    double.fails("versions", [Fault::Answer(200, versions.clone())]);
    let homeserver = double.client();
    homeserver.check_versions().await.unwrap();
    homeserver
}

async fn ping(fault: Fault) -> Result<Option<Duration>, StartupError> {
    let double = ScriptedHomeserver::default();
    double.fails(PING, [fault]);
    let homeserver = double.client();
    homeserver.check_versions().await.unwrap();
    homeserver.check_ping("letta", "start-1").await
}

async fn identity(what: &'static str, fault: Fault) -> StartupError {
    let double = ScriptedHomeserver::default();
    double.fails(what, [fault]);
    let bot = user_id!("@letta:house.test");
    double
        .client()
        .ensure_bot_registered(bot)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_good_start_asks_four_things() {
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    homeserver.check_versions().await.unwrap();
    homeserver
        .ensure_bot_registered(user_id!("@letta:house.test"))
        .await
        .unwrap();
    let took = homeserver.check_ping("letta", "start-1").await.unwrap();
    assert_eq!(took, Some(Duration::from_millis(3)));
    assert_eq!(
        double.lines(),
        [
            "GET /_matrix/client/versions",
            "POST /_matrix/client/v3/register",
            "GET /_matrix/client/v3/account/whoami",
            "POST /_matrix/client/v1/appservice/letta/ping",
        ]
    );
    let requests = double.requests();
    // Whoever listens at the address before we know it does not get the token.
    assert_eq!(requests[0].authorization, None);
    assert_eq!(requests[3].body, json!({ "transaction_id": "start-1" }));
}

#[tokio::test(start_paused = true)]
async fn each_failure_says_what_to_mend() {
    let double = ScriptedHomeserver::default();
    double.fails(
        "versions",
        [Fault::Words(200, "<html>Welcome to nginx</html>")],
    );
    let nobody = double.client().check_versions().await.unwrap_err();
    insta::assert_snapshot!(nobody, @"the homeserver does not answer at http://house.test/_matrix/client/versions. Is `homeserver.address` right, and is the homeserver running?");
    insta::assert_snapshot!(identity("register", error(401, "M_UNKNOWN_TOKEN")).await, @"The as_token was not accepted. Is the registration file installed in your homeserver correctly? Restart the homeserver after installing it.");
    insta::assert_snapshot!(identity("register", error(401, "M_MISSING_TOKEN")).await, @"The as_token was not accepted. Is the registration file installed in your homeserver correctly? Restart the homeserver after installing it.");
    insta::assert_snapshot!(identity("register", error(400, "M_EXCLUSIVE")).await, @"The as_token was accepted, but the /register request was not. Are the homeserver domain, bot username and username template in the config matching with the registration?");
    insta::assert_snapshot!(identity("register", error(400, "M_INVALID_USERNAME")).await, @"the homeserver did not do register the bot");
    insta::assert_snapshot!(identity("whoami", Fault::Answer(200, json!({ "user_id": "@other:house.test" }))).await, @"The as_token belongs to @other:house.test, but the config says @letta:house.test. Are the homeserver domain and the bot username in the config matching with the registration?");
    insta::assert_snapshot!(identity("whoami", error(403, "M_FORBIDDEN")).await, @"the homeserver did not do say who we are");
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_cannot_reach_us_says_how() {
    let told = |status, code: &str, text: &str| {
        Fault::Answer(status, json!({ "errcode": code, "error": text }))
    };
    // Synapse.
    let refused = told(502, "M_CONNECTION_FAILED", "connection refused");
    insta::assert_snapshot!(ping(refused).await.unwrap_err(), @"The homeserver -> bridge connection is not working (M_CONNECTION_FAILED). Is `url` in the registration file (`appservice.address` in the config) where the homeserver can connect to, and do both have the same hs_token?");
    for (status, code) in [
        (504, "M_CONNECTION_TIMEOUT"),
        (502, "M_BAD_STATUS"),
        (400, "M_URL_NOT_SET"),
    ] {
        let failure = ping(told(status, code, "no")).await.unwrap_err();
        assert!(
            matches!(&failure, StartupError::NotReachable { code: said } if said == code),
            "{failure:?}"
        );
        assert!(!failure.is_transient());
    }
    // Tuwunel, whose text has the hs_token in it.
    let failure = ping(told(
        500,
        "M_UNKNOWN",
        "http://x/ping?access_token=hs-secret: refused",
    ))
    .await
    .unwrap_err();
    let shown = format!("{failure} {failure:?}");
    assert!(
        shown.contains("M_UNKNOWN") && !shown.contains("hs-secret"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_not_ours_to_ask_for_blames_the_registration() {
    insta::assert_snapshot!(ping(error(403, "M_FORBIDDEN")).await.unwrap_err(), @"The as_token was accepted, but not for the application service `letta`. Is `appservice.id` in the config the `id` in the registration file?");
    let failure = ping(error(401, "M_UNKNOWN_TOKEN")).await.unwrap_err();
    assert!(matches!(failure, StartupError::TokenRefused), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_without_its_homeserver_is_no_verdict_about_us() {
    let failure = ping(Fault::Words(502, "<html>Bad Gateway</html>"))
        .await
        .unwrap_err();
    assert!(
        matches!(failure, StartupError::Other { .. }) && failure.is_transient(),
        "{failure:?}"
    );
    let failure = ping(Fault::Unreached).await.unwrap_err();
    assert!(failure.is_transient(), "{failure:?}");
}

#[tokio::test]
async fn a_homeserver_that_cannot_ping_is_none_the_worse() {
    let unrecognized = || error(404, "M_UNRECOGNIZED");
    let double = ScriptedHomeserver::default();
    let homeserver = versions(&double, &json!({ "versions": ["v1.1", "v1.6"] })).await;
    double.fails(PING, [unrecognized()]);
    assert_eq!(homeserver.check_ping("letta", "1").await.unwrap(), None);

    let double = ScriptedHomeserver::default();
    let homeserver = versions(&double, &json!({ "versions": ["v1.7"] })).await;
    double.fails(PING, [unrecognized()]);
    assert_eq!(homeserver.check_ping("letta", "1").await.unwrap(), None);

    let double = ScriptedHomeserver::default();
    let homeserver = versions(&double, &json!({ "versions": ["v1.7"] })).await;
    double.fails(PING, [error(405, "M_UNRECOGNIZED")]);
    assert_eq!(homeserver.check_ping("letta", "1").await.unwrap(), None);
}

#[tokio::test]
async fn the_path_of_the_ping_follows_what_the_homeserver_supports() {
    // Tuwunel lists v1.10 and not v1.7, older Synapses the feature only.
    for (supported, path) in [
        (json!({ "versions": ["v1.1", "v1.10"] }), "/v1/"),
        (
            json!({ "versions": ["v1.1"], "unstable_features": { "fi.mau.msc2659.stable": true } }),
            "/v1/",
        ),
        (
            json!({ "versions": ["v1.1"], "unstable_features": { "fi.mau.msc2659": true } }),
            "/unstable/fi.mau.msc2659/",
        ),
    ] {
        let double = ScriptedHomeserver::default();
        let homeserver = versions(&double, &supported).await;
        homeserver.check_ping("letta", "1").await.unwrap();
        let line = double.lines().pop().unwrap();
        assert_eq!(
            line,
            format!("POST /_matrix/client{path}appservice/letta/ping"),
            "{supported}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_is_not_up_yet_is_waited_for() {
    let double = ScriptedHomeserver::default();
    double.fails("versions", [Fault::Unreached]);
    let failure = double.client().check_versions().await.unwrap_err();
    assert!(failure.is_transient(), "{failure:?}");
    for what in ["register", "whoami"] {
        let double = ScriptedHomeserver::default();
        double.fails(what, vec![Fault::Words(503, "starting"); 5]);
        let bot = user_id!("@letta:house.test");
        let failure = double
            .client()
            .ensure_bot_registered(bot)
            .await
            .unwrap_err();
        assert!(failure.is_transient(), "{what}: {failure:?}");
    }
}
