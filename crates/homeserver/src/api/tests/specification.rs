//! Every operation of the specification is answered, but for those that this server leaves out on purpose. A path that is mistyped,
//! or an endpoint that somebody begins, shows here.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::testing::TestServer;

/// All operations of the Client-Server API, with which the clients' drivers are checked, too.
pub(super) const OPERATIONS: &str =
    include_str!("../../../../../tests/clients/shapes/requests.json");

/// What is left out: it answers as if nobody had ever heard of it, and clients do without.
pub(super) const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "no e-mail, no telephone",
        &[
            "POST /_matrix/client/v3/account/3pid/add",
            "POST /_matrix/client/v3/account/3pid/bind",
            "POST /_matrix/client/v3/account/3pid/delete",
            "POST /_matrix/client/v3/account/3pid/email/requestToken",
            "POST /_matrix/client/v3/account/3pid/msisdn/requestToken",
            "POST /_matrix/client/v3/account/3pid/unbind",
            "POST /_matrix/client/v3/account/3pid",
            "POST /_matrix/client/v3/account/password/email/requestToken",
            "POST /_matrix/client/v3/account/password/msisdn/requestToken",
            "POST /_matrix/client/v3/register/email/requestToken",
            "POST /_matrix/client/v3/register/msisdn/requestToken",
        ],
    ),
    (
        "no login anywhere else",
        &[
            "GET /_matrix/client/v1/auth_metadata",
            "GET /_matrix/client/v3/login/sso/redirect",
            "GET /_matrix/client/v3/login/sso/redirect/{idpId}",
        ],
    ),
    (
        "deprecated since the first version of `/sync`",
        &[
            "GET /_matrix/client/v3/events",
            "GET /_matrix/client/v3/events/{eventId}",
            "GET /_matrix/client/v3/initialSync",
            "GET /_matrix/client/v3/rooms/{roomId}/initialSync",
        ],
    ),
    (
        "for the admins of other servers",
        &[
            "GET /.well-known/matrix/policy_server",
            "GET /_matrix/client/v3/admin/whois/{userId}",
        ],
    ),
];

#[derive(Deserialize)]
struct Operation {
    method: String,
    path: String,
}

/// The path with something of the right kind in each place.
pub(super) fn filled(path: &str) -> String {
    let segments = path.trim().split('/').map(|segment| match segment {
        "{userId}" => "@alice:letta.test",
        "{roomId}" | "{roomIdOrAlias}" => "!room:letta.test",
        "{roomAlias}" => "%23alias:letta.test",
        "{eventId}" => "$event",
        "{serverName}" => "letta.test",
        "{receiptType}" => "m.read",
        "{kind}" => "override",
        place if place.starts_with('{') => "some",
        literal => literal,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn everything_is_answered_but_what_is_left_out() {
    let test = TestServer::start_with(|config| {
        config.sync.client_sync_timeout_default = std::time::Duration::ZERO;
    })
    .await;
    let operations: Vec<Operation> = serde_json::from_str(OPERATIONS).unwrap();
    assert!(operations.len() > 150);
    let mut unknown: Vec<String> = Vec::new();
    for operation in &operations {
        // Each asks as somebody new: one of them logs out, another one ends the account.
        let alice = test.person("alice").await;
        let method: Method = operation.method.parse().unwrap();
        let (status, answer) = alice
            .call(method, &filled(&operation.path), json!({}))
            .await;
        let name = format!("{} {}", operation.method, operation.path.trim());
        assert!(!status.is_server_error(), "{name}: {status} {answer}");
        if answer["errcode"] == "M_UNRECOGNIZED" {
            assert!(
                matches!(
                    status,
                    StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                ),
                "{name}: {status} {answer}"
            );
            unknown.push(name);
        } else {
            assert!(
                answer != Value::Null || status.is_success(),
                "{name}: {status}"
            );
        }
    }
    let mut left_out: Vec<&str> = LEFT_OUT
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    left_out.sort_unstable();
    unknown.sort_unstable();
    unknown.dedup();
    assert_eq!(unknown, left_out);
}
