//! Rooms: what is asked for, to the letter.

use ruma::{RoomVersionId, owned_room_id, owned_user_id, room_alias_id, server_name};

use super::*;
use crate::journal::SendId;

fn plan(version: RoomVersionId) -> RoomPlan {
    RoomPlan {
        alias_localpart: Some("agent_1".to_owned()),
        name: "Nora".to_owned(),
        topic: Some("Likes maps".to_owned()),
        space: false,
        direct: false,
        invite: vec![
            owned_user_id!("@alice:house.test"),
            owned_user_id!("@agent_1:house.test"),
        ],
        powers: [
            (owned_user_id!("@admin:house.test"), 100),
            (owned_user_id!("@agent_1:house.test"), 50),
        ]
        .into(),
        parent: Some(owned_room_id!("!space:house.test")),
        avatar: Some("mxc://house.test/picture".into()),
        version,
    }
}

async fn created(plan: &RoomPlan) -> Value {
    let double = ScriptedHomeserver::default();
    let bot = user_id!("@letta:house.test");
    let room = double
        .client()
        .create_room(bot, server_name!("house.test"), plan)
        .await
        .unwrap();
    assert_eq!(room, "!created:house.test");
    let seen = double.requests().pop().unwrap();
    assert_eq!(seen.line(), "POST /_matrix/client/v3/createRoom");
    seen.body
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one request, as it is")]
async fn a_room_is_created_with_everything_said() {
    insta::assert_json_snapshot!(created(&plan(RoomVersionId::V11)).await, @r#"
    {
      "initial_state": [
        {
          "type": "m.room.guest_access",
          "content": {
            "guest_access": "forbidden"
          },
          "state_key": ""
        },
        {
          "type": "m.room.history_visibility",
          "content": {
            "history_visibility": "shared"
          },
          "state_key": ""
        },
        {
          "type": "m.space.parent",
          "content": {
            "via": [
              "house.test"
            ],
            "canonical": true
          },
          "state_key": "!space:house.test"
        },
        {
          "type": "m.room.join_rules",
          "content": {
            "join_rule": "restricted",
            "allow": [
              {
                "type": "m.room_membership",
                "room_id": "!space:house.test"
              }
            ]
          },
          "state_key": ""
        },
        {
          "type": "m.room.avatar",
          "content": {
            "url": "mxc://house.test/picture"
          },
          "state_key": ""
        }
      ],
      "invite": [
        "@alice:house.test",
        "@agent_1:house.test"
      ],
      "name": "Nora",
      "power_level_content_override": {
        "events": {
          "m.room.encryption": 101,
          "m.room.history_visibility": 100,
          "m.room.power_levels": 100,
          "m.room.server_acl": 100,
          "m.room.tombstone": 100
        },
        "invite": 50,
        "users": {
          "@admin:house.test": 100,
          "@agent_1:house.test": 50,
          "@letta:house.test": 101
        }
      },
      "preset": "private_chat",
      "room_alias_name": "agent_1",
      "room_version": "11",
      "topic": "Likes maps"
    }
    "#);
}

#[tokio::test]
async fn in_room_version_12_the_creator_is_not_listed() {
    let v11 = created(&plan(RoomVersionId::V11)).await;
    let v12 = created(&plan(RoomVersionId::V12)).await;
    let users = |body: &Value| body["power_level_content_override"]["users"].clone();
    assert_eq!(
        users(&v11),
        json!({ "@admin:house.test": 100, "@agent_1:house.test": 50, BOT: 101 })
    );
    assert_eq!(
        users(&v12),
        json!({ "@admin:house.test": 100, "@agent_1:house.test": 50 })
    );
    assert_eq!(v12["room_version"], "12");
}

#[tokio::test]
async fn nobody_but_the_bot_turns_on_encryption() {
    for (version, bot) in [
        (RoomVersionId::V10, Some(101)),
        (RoomVersionId::V11, Some(101)),
        (RoomVersionId::V12, None),
    ] {
        let body = created(&plan(version.clone())).await;
        let levels = &body["power_level_content_override"];
        let needed = levels["events"]["m.room.encryption"].as_i64().unwrap();
        let powers = levels["users"].as_object().unwrap();
        for (user, power) in powers {
            let can = power.as_i64().unwrap() >= needed;
            assert_eq!(can, user == BOT, "{user} in version {version}");
        }
        assert_eq!(levels["users"][BOT].as_i64(), bot);
        // Who made a room of version 12 is above all levels, and admins go no higher than 100.
        assert!(needed > 100);
    }
}

#[tokio::test]
async fn room_is_open_to_its_space_where_its_version_knows_that() {
    for (version, parent, is_open) in [
        (RoomVersionId::V7, true, false),
        (RoomVersionId::V8, true, true),
        (RoomVersionId::V12, true, true),
        (RoomVersionId::V11, false, false),
    ] {
        let mut plan = plan(version);
        plan.parent = plan.parent.filter(|_| parent);
        let body = created(&plan).await;
        let is_said = body["initial_state"].to_string().contains("restricted");
        assert_eq!(is_said, is_open, "{body}");
    }
}

#[tokio::test]
async fn in_a_space_only_admins_say_anything() {
    let space = RoomPlan {
        alias_localpart: Some("letta_agents".to_owned()),
        space: true,
        parent: None,
        topic: None,
        ..plan(RoomVersionId::V11)
    };
    let body = created(&space).await;
    assert_eq!(body["creation_content"]["type"], "m.space");
    assert_eq!(body["power_level_content_override"]["events_default"], 50);
    assert!(body.get("topic").is_none(), "{body}");
    assert!(!body.to_string().contains("m.space.parent"), "{body}");
}

#[tokio::test]
async fn only_the_homeservers_own_404_means_that_there_is_no_room() {
    let alias = room_alias_id!("#agent_1:house.test");
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    let found = homeserver.find_room(alias).await.unwrap();
    assert_eq!(found.unwrap(), "!found:house.test");

    double.fails("directory", [error(404, "M_NOT_FOUND")]);
    assert_eq!(homeserver.find_room(alias).await.unwrap(), None);
    for fault in [
        Fault::Words(404, "404 page not found"),
        error(404, "M_UNRECOGNIZED"),
        error(403, "M_FORBIDDEN"),
        error(400, "M_INVALID_PARAM"),
        Fault::DoneAndGarbled,
    ] {
        double.fails("directory", [fault.clone()]);
        let found = homeserver.find_room(alias).await;
        assert!(found.is_err(), "{fault:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_room_without_a_name_has_none() {
    let room = room_id!("!room:house.test");
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    double.fails(
        "m.room.name",
        [
            Fault::Answer(200, json!({ "name": "Nora" })),
            error(404, "M_NOT_FOUND"),
            Fault::Answer(200, json!({})),
        ],
    );
    assert_eq!(
        homeserver.room_name(room).await.unwrap().as_deref(),
        Some("Nora")
    );
    assert_eq!(homeserver.room_name(room).await.unwrap(), None);
    // An empty content is a name taken away.
    assert_eq!(homeserver.room_name(room).await.unwrap(), None);
}

#[tokio::test]
async fn a_space_lists_a_room_and_takes_it_off() {
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    let (space, room) = (room_id!("!space:house.test"), room_id!("!room:house.test"));
    for listed in [true, false] {
        let domain = server_name!("house.test");
        homeserver
            .set_space_child(space, room, domain, listed)
            .await
            .unwrap();
    }
    let line =
        "PUT /_matrix/client/v3/rooms/!space:house.test/state/m.space.child/!room:house.test";
    assert_eq!(double.lines(), [line, line]);
    let bodies: Vec<_> = double
        .requests()
        .into_iter()
        .map(|seen| seen.body)
        .collect();
    assert_eq!(bodies, [json!({ "via": ["house.test"] }), json!({})]);
}

#[tokio::test]
async fn a_message_is_found_by_its_send_id_among_the_ghosts_own() {
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    let room = room_id!("!room:house.test");
    let ghost = user_id!("@agent_1:house.test");
    let find = async |send_id: &SendId| {
        homeserver
            .find_sent(Actor::Ghost(ghost), room, ghost, "m.room.message", send_id)
            .await
            .unwrap()
    };
    let (one, two) = (SendId::of(&["one"]), SendId::of(&["two"]));
    assert_eq!(find(&one).await, None);
    let content = json!({ "body": "hello", "org.letta.send_id": one.as_str() });
    let content = serde_json::value::to_raw_value(&content).unwrap();
    let event = homeserver
        .send(Actor::Ghost(ghost), room, "m.room.message", &one, content)
        .await
        .unwrap();
    assert_eq!(find(&one).await, Some(event));
    assert_eq!(find(&two).await, None);
    let asked = double
        .lines()
        .into_iter()
        .find(|line| line.contains("/messages"));
    insta::assert_snapshot!(asked.unwrap(), @r#"GET /_matrix/client/v3/rooms/!room:house.test/messages?dir=b&limit=100&filter={"senders":["@agent_1:house.test"],"types":["m.room.message"]}&user_id=@agent_1:house.test"#);
}

#[tokio::test]
async fn receipts_and_typing_are_not_retried() {
    let double = ScriptedHomeserver::default();
    let homeserver = double.client();
    let (ghost, room) = (
        user_id!("@agent_1:house.test"),
        room_id!("!room:house.test"),
    );
    double.fails("typing", [error(500, "M_UNKNOWN")]);
    homeserver.set_typing(ghost, room, true).await.unwrap_err();
    double.fails("receipt", [error(500, "M_UNKNOWN")]);
    let event = ruma::event_id!("$asked");
    let read = homeserver
        .mark_read(Actor::Ghost(ghost), room, event, None)
        .await;
    read.unwrap_err();
    insta::assert_snapshot!(double.lines().join("\n"), @r#"
    PUT /_matrix/client/v3/rooms/!room:house.test/typing/@agent_1:house.test?user_id=@agent_1:house.test
    POST /_matrix/client/v3/rooms/!room:house.test/receipt/m.read/$asked?user_id=@agent_1:house.test
    "#);
    let bodies: Vec<_> = double
        .requests()
        .into_iter()
        .map(|seen| seen.body)
        .collect();
    assert_eq!(
        bodies,
        [
            json!({ "typing": true, "timeout": 30_000 }),
            json!({ "thread_id": "main" })
        ]
    );
}
