//! Rows of transactions: who may push them, what they are as a whole, and what stands beside events.

use super::*;

pub(super) fn authorization() -> Vec<Row> {
    let ask = |what, shows| events(what, &[message("$a")]).shows(shows);
    vec![
        ask("token in the header", Shows::Header).journals(1),
        ask("token in the query, as before Matrix 1.4", Shows::Query).journals(1),
        ask("token in both, as Tuwunel sends it", Shows::Both).journals(1),
        ask("no token", Shows::Nothing).refused(401, "M_MISSING_TOKEN"),
        ask("another kind of credentials", Shows::Basic).refused(401, "M_MISSING_TOKEN"),
        ask("wrong token", Shows::Wrong).refused(403, "M_FORBIDDEN"),
        ask("wrong token in the query", Shows::WrongInQuery).refused(403, "M_FORBIDDEN"),
        ask(
            "wrong in the header, right in the query: the header counts",
            Shows::WrongHeaderRightQuery,
        )
        .refused(403, "M_FORBIDDEN"),
        row(
            "wrong token and a body that is too large: it is not read",
            "PUT",
            TRANSACTION,
        )
        .of_size(BODY_BYTES_MAX + 1)
        .shows(Shows::Wrong)
        .refused(403, "M_FORBIDDEN"),
        row(
            "user query without token",
            "GET",
            "/_matrix/app/v1/users/@agent_known:house.test",
        )
        .shows(Shows::Nothing)
        .refused(401, "M_MISSING_TOKEN"),
        row(
            "alias query with a wrong token",
            "GET",
            "/_matrix/app/v1/rooms/%23agent_known:house.test",
        )
        .shows(Shows::Wrong)
        .refused(403, "M_FORBIDDEN"),
        row("ping without token", "POST", "/_matrix/app/v1/ping")
            .shows(Shows::Nothing)
            .refused(401, "M_MISSING_TOKEN"),
        row(
            "third-party look-up without token",
            "GET",
            "/_matrix/app/v1/thirdparty/user",
        )
        .shows(Shows::Nothing)
        .refused(401, "M_MISSING_TOKEN"),
    ]
}

pub(super) fn transactions() -> Vec<Row> {
    vec![
        events("one message", &[message("$a")]).journals(1),
        events("no events", &[]),
        transaction("an empty object", "{}"),
        row("legacy path without a prefix", "PUT", "/transactions/1")
            .sends(json!({ "events": [message("$a")] }).to_string())
            .journals(1),
        row(
            "a transaction id with odd characters",
            "PUT",
            "/_matrix/app/v1/transactions/%2F%20%C3%A9%FF",
        )
        .sends(json!({ "events": [message("$a")] }).to_string())
        .journals(1),
        transaction("no body", "").refused(400, "M_NOT_JSON"),
        transaction("a body that is not JSON", "{events:").refused(400, "M_NOT_JSON"),
        transaction("a body cut short", r#"{"events":[{"#).refused(400, "M_NOT_JSON"),
        transaction("a body that is an array", "[]").refused(400, "M_BAD_JSON"),
        transaction("`events` is not a list", r#"{"events":{}}"#).refused(400, "M_BAD_JSON"),
        transaction("`events` is null", r#"{"events":null}"#).refused(400, "M_BAD_JSON"),
        row("a body of 50 MiB", "PUT", TRANSACTION)
            .of_size(BODY_BYTES_MAX)
            .journals(1),
        row("a body of 50 MiB and a byte", "PUT", TRANSACTION)
            .of_size(BODY_BYTES_MAX + 1)
            .refused(413, "M_TOO_LARGE"),
    ]
}

pub(super) fn beside_events() -> Vec<Row> {
    let body =
        |key: &str, value: Value| json!({ "events": [message("$a")], key: value }).to_string();
    let typing = json!([{ "type": "m.typing", "room_id": "!room:house.test", "content": { "user_ids": [] } }]);
    let device = json!([{
        "type": "m.room_key_request", "sender": "@alice:house.test", "content": {},
        "to_user_id": "@letta:house.test", "to_device_id": "X",
    }]);
    let keys = json!({ "@letta:house.test": { "X": { "signed_curve25519": 5 } } });
    let only = |key: &str| json!({ "events": [], key: typing }).to_string();
    vec![
        transaction("`ephemeral`", body("ephemeral", typing.clone())).journals(1),
        transaction(
            "`de.sorunome.msc2409.ephemeral`",
            body("de.sorunome.msc2409.ephemeral", typing.clone()),
        )
        .journals(1),
        transaction("nothing but `ephemeral`", only("ephemeral")),
        transaction(
            "`ephemeral` that is not a list",
            body("ephemeral", json!(1)),
        )
        .journals(1),
        transaction("`to_device`", body("to_device", device.clone())).journals(1),
        transaction(
            "`de.sorunome.msc2409.to_device`",
            body("de.sorunome.msc2409.to_device", device),
        )
        .journals(1),
        transaction(
            "`device_lists`",
            body("device_lists", json!({ "changed": ["@alice:house.test"] })),
        )
        .journals(1),
        transaction(
            "`org.matrix.msc3202.device_lists`",
            body("org.matrix.msc3202.device_lists", json!({ "changed": [] })),
        )
        .journals(1),
        transaction(
            "`device_one_time_keys_count`",
            body("device_one_time_keys_count", keys.clone()),
        )
        .journals(1),
        transaction(
            "`org.matrix.msc3202.device_one_time_keys_count`",
            body("org.matrix.msc3202.device_one_time_keys_count", keys),
        )
        .journals(1),
        transaction(
            "`device_unused_fallback_key_types`",
            body("device_unused_fallback_key_types", json!({})),
        )
        .journals(1),
        transaction(
            "a key that nobody knows yet",
            body("org.example.new", json!([1])),
        )
        .journals(1),
    ]
}
