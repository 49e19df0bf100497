//! Networks behind application services, as clients look into them.

use axum::{extract::RawQuery, routing::get};
use http::Method;

use super::*;

/// A test double of an application service that bridges `protocol`, and answers with the query that it was asked with.
fn network(id: &str, protocol: &str) -> (AppserviceRegistration, Delivery) {
    let text = registration(id, None).to_yaml().unwrap();
    let text = format!("{text}\nprotocols: [{protocol}]\n");
    let registration = AppserviceRegistration::from_yaml(&text).unwrap();
    let about = json!({
        "user_fields": ["nick"], "location_fields": [], "icon": "mxc://letta.test/icon", "field_types": {},
        "instances": [{ "desc": id, "fields": {}, "network_id": id }],
    });
    let name = protocol.to_owned();
    let found = move |RawQuery(query): RawQuery| {
        let query = query
            .unwrap_or_default()
            .replace("br-hs", "")
            .replace("other-hs", "");
        let found = json!([{ "protocol": name, "userid": "@br_x:letta.test", "alias": "#br_x:letta.test", "fields": { "asked": query } }]);
        async move { Json(found) }
    };
    let path = "/_matrix/app/v1/thirdparty";
    let router = Router::new()
        .route(
            &format!("{path}/protocol/{protocol}"),
            get(move || async move { Json(about) }),
        )
        .route(&format!("{path}/user/{protocol}"), get(found.clone()))
        .route(&format!("{path}/location/{protocol}"), get(found.clone()))
        .route(&format!("{path}/user"), get(found.clone()))
        .route(&format!("{path}/location"), get(found));
    (registration, Delivery::InProcess(router))
}

/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#third-party-networks>
#[tokio::test]
async fn application_services_are_asked_about_their_networks() {
    let test = TestServer::start().await;
    for id in ["br", "other"] {
        let (registration, delivery) = network(id, "irc");
        test.server
            .add_appservice(registration, delivery)
            .await
            .unwrap();
    }
    let alice = test.person("alice").await;
    let base = "/_matrix/client/v3/thirdparty";
    let all = alice.get(&format!("{base}/protocols")).await;
    let about = alice.get(&format!("{base}/protocol/irc")).await;
    assert_eq!(all, json!({ "irc": about }));
    assert_eq!(about["user_fields"], json!(["nick"]));
    let instances = about["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 2, "{about}");

    for kind in ["user", "location"] {
        let found = alice
            .get(&format!("{base}/{kind}/irc?nick=a%26b&access_token=secret"))
            .await;
        assert_eq!(found.as_array().unwrap().len(), 2);
        assert_eq!(
            found[0]["fields"]["asked"], "nick=a%26b&access_token=",
            "{kind}"
        );
    }
    let found = alice
        .get(&format!("{base}/user?userid=@br_x:letta.test"))
        .await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    let found = alice
        .get(&format!("{base}/location?alias=%23br_x:letta.test"))
        .await;
    assert_eq!(
        found[0]["fields"]["asked"],
        "alias=%23br_x%3Aletta.test&access_token="
    );

    for path in [
        "protocol/none",
        "user/none",
        "location/none",
        "user?userid=@alice:letta.test",
        "location?alias=%23none:letta.test",
    ] {
        let (status, answer) = alice
            .call(Method::GET, &format!("{base}/{path}"), json!({}))
            .await;
        assert_eq!(
            (status, &answer["errcode"]),
            (StatusCode::NOT_FOUND, &json!("M_NOT_FOUND")),
            "{path}"
        );
    }
    test.server.close().await;
}
