//! Rows of queries: for users, for aliases, for networks that the bridge does not join.

use super::*;

pub(super) fn queries() -> Vec<Row> {
    let ask = |what, path| row(what, "GET", path);
    vec![
        ask(
            "a ghost of an agent that Letta has",
            "/_matrix/app/v1/users/@agent_known:house.test",
        ),
        ask(
            "the same, percent-encoded",
            "/_matrix/app/v1/users/%40agent_known%3Ahouse.test",
        ),
        ask(
            "the same under the legacy path",
            "/users/@agent_known:house.test",
        ),
        ask("the bot", "/_matrix/app/v1/users/@letta:house.test"),
        ask(
            "a ghost of an agent that Letta has not",
            "/_matrix/app/v1/users/@agent_none:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask(
            "a user outside the namespace",
            "/_matrix/app/v1/users/@alice:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask(
            "a ghost's name elsewhere",
            "/_matrix/app/v1/users/@agent_known:else.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask("what is no user id", "/_matrix/app/v1/users/agent_known").refused(404, "M_NOT_FOUND"),
        ask("a user id that is not UTF-8", "/_matrix/app/v1/users/%FF").refused(404, "M_NOT_FOUND"),
        ask(
            "the alias of an agent that Letta has",
            "/_matrix/app/v1/rooms/%23agent_known:house.test",
        ),
        ask(
            "the same under the legacy path",
            "/rooms/%23agent_known:house.test",
        ),
        ask(
            "the alias of an agent that Letta has not",
            "/_matrix/app/v1/rooms/%23agent_none:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask(
            "an alias outside the namespace",
            "/_matrix/app/v1/rooms/%23lobby:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask("what is no alias", "/_matrix/app/v1/rooms/lobby").refused(404, "M_NOT_FOUND"),
        ask("an alias that is not UTF-8", "/_matrix/app/v1/rooms/%FF").refused(404, "M_NOT_FOUND"),
    ]
}

pub(super) fn thirdparty() -> Vec<Row> {
    let ask = |what, path| row(what, "GET", path).refused(404, "M_NOT_FOUND");
    vec![
        ask("a protocol", "/_matrix/app/v1/thirdparty/protocol/letta"),
        ask(
            "users of a protocol",
            "/_matrix/app/v1/thirdparty/user/letta?name=x",
        ),
        ask(
            "who a user is",
            "/_matrix/app/v1/thirdparty/user?userid=@alice:house.test",
        ),
        ask(
            "locations of a protocol",
            "/_matrix/app/v1/thirdparty/location/letta?name=x",
        ),
        ask(
            "what a room is",
            "/_matrix/app/v1/thirdparty/location?alias=%23lobby:house.test",
        ),
        ask(
            "a protocol, unstable path",
            "/_matrix/app/unstable/thirdparty/protocol/letta",
        ),
        ask(
            "users of a protocol, unstable path",
            "/_matrix/app/unstable/thirdparty/user/letta",
        ),
        ask(
            "who a user is, unstable path",
            "/_matrix/app/unstable/thirdparty/user",
        ),
        ask(
            "locations of a protocol, unstable path",
            "/_matrix/app/unstable/thirdparty/location/letta",
        ),
        ask(
            "what a room is, unstable path",
            "/_matrix/app/unstable/thirdparty/location",
        ),
    ]
}
