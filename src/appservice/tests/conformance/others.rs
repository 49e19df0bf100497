//! Rows of pings, of the service's own routes, and of paths that nobody knows.

use super::*;

pub(super) fn pings() -> Vec<Row> {
    let ping = |what, body: &str| row(what, "POST", "/_matrix/app/v1/ping").sends(body);
    vec![
        ping("with a transaction id", r#"{"transaction_id":"1"}"#),
        ping("without one", "{}"),
        ping("without a body", ""),
        ping(
            "with a transaction id that is a number",
            r#"{"transaction_id":1}"#,
        ),
    ]
}

pub(super) fn others() -> Vec<Row> {
    vec![
        row("a path that nobody knows", "GET", "/_matrix/app/v1/nothing")
            .refused(404, "M_UNRECOGNIZED"),
        row(
            "a version that is not there yet",
            "PUT",
            "/_matrix/app/v2/transactions/1",
        )
        .refused(404, "M_UNRECOGNIZED"),
        row("a transaction that is posted", "POST", TRANSACTION).refused(405, "M_UNRECOGNIZED"),
        row(
            "a user that is put",
            "PUT",
            "/_matrix/app/v1/users/@agent_known:house.test",
        )
        .refused(405, "M_UNRECOGNIZED"),
        row("a ping that is got", "GET", "/_matrix/app/v1/ping").refused(405, "M_UNRECOGNIZED"),
        row("is it alive", "GET", "/_matrix/mau/live")
            .shows(Shows::Nothing)
            .answered(200, json!({ "live": true })),
        row(
            "is it ready, before the start-up checks",
            "GET",
            "/_matrix/mau/ready",
        )
        .shows(Shows::Nothing)
        .answered(503, json!({ "ready": false })),
        row("there is a new agent", "POST", "/webhook/new-agent")
            .shows(Shows::Nothing)
            .answered(202, json!({})),
    ]
}
