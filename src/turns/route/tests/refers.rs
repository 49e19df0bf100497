//! Events that are no messages: what points at one, who comes and goes, and what means nothing.

use super::*;

#[test]
fn edits_redactions_and_reactions_point_at_their_message() {
    let edit = with(
        text("* Better"),
        &json!({
            "m.new_content": text("Better"),
            "m.relates_to": { "rel_type": "m.replace", "event_id": "$first" },
        }),
    );
    assert_eq!(brief_text(&edit, &home()), "edit of $first: Better");
    assert_eq!(brief_text(&edit, &management()), "edit of $first: Better");
    let emptied = with(edit, &json!({ "m.new_content": text(" ") }));
    assert_eq!(brief_text(&emptied, &home()), "ignore: Empty");
    for redaction in [
        json!({ "type": "m.room.redaction", "redacts": "$first" }),
        json!({ "type": "m.room.redaction", "content": { "redacts": "$first" } }),
        json!({ "type": "m.room.redaction", "redacts": "$first", "content": { "redacts": "$other" } }),
    ] {
        assert_eq!(brief(&event(&redaction), &home()), "redaction of $first");
    }
    let nothing = event(&json!({ "type": "m.room.redaction" }));
    assert_eq!(brief(&nothing, &home()), "ignore: Malformed");
    let reaction = |key: &str| {
        event(&json!({
            "type": "m.reaction",
            "content": { "m.relates_to": { "rel_type": "m.annotation", "event_id": "$first", "key": key } },
        }))
    };
    assert_eq!(brief(&reaction("✅"), &home()), "reaction");
    assert_eq!(brief(&reaction("👍"), &home()), "opinion");
}

#[test]
fn membership_matters_only_where_it_is_ours() {
    let member = |user: &str, sender: &str| {
        event(&json!({
            "type": "m.room.member", "state_key": user, "sender": sender,
            "content": { "membership": "invite" },
        }))
    };
    for user in [HOME_GHOST, "@agent_new:example.org", BOT] {
        let route = route(&member(user, ANN), None, &rules(), None);
        assert_eq!(route, Route::Membership, "{user}");
    }
    for user in [ANN, EVE, "@agent_1:elsewhere.test", "", "not a user"] {
        assert_eq!(brief(&member(user, ANN), &home()), "room state");
    }
}

#[test]
fn every_kind_that_is_admitted_is_routed() {
    for kind in RoutedKind::ALL {
        let state_key = match kind {
            RoutedKind::Member | RoutedKind::BeaconInfo | RoutedKind::UnstableBeaconInfo => {
                Some(ANN)
            }
            RoutedKind::Encryption | RoutedKind::PowerLevels | RoutedKind::Tombstone => Some(""),
            _ => None,
        };
        let content = json!({
            "msgtype": "m.text", "body": "Hi", "redacts": "$first",
            "m.relates_to": { "rel_type": "m.annotation", "event_id": "$first", "key": "✅" },
        });
        let event = event(&json!({
            "type": kind.event_type(), "state_key": state_key, "sender": ANN, "content": content,
        }));
        assert_ne!(brief(&event, &home()), "ignore: OtherType", "{kind:?}");
    }
    let changed = |kind: &str, sender: &str| {
        event(&json!({ "type": kind, "state_key": "", "sender": sender }))
    };
    for sender in [ANN, EVE] {
        let levels = changed("m.room.power_levels", sender);
        assert_eq!(brief(&levels, &home()), "room state");
        let tombstone = changed("m.room.tombstone", sender);
        assert_eq!(brief(&tombstone, &home()), "room replaced");
    }
}

#[test]
fn other_events_mean_nothing() {
    for other in [
        json!({ "type": "m.room.name", "state_key": "", "content": { "name": "!letta" } }),
        json!({ "type": "m.room.message", "state_key": "", "content": text("state, not said") }),
        json!({ "type": "org.example.unheard", "content": text("Hi") }),
        json!({ "type": "m.room.member", "content": { "membership": "join" } }),
    ] {
        assert_eq!(
            brief(&event(&other), &home()),
            "ignore: OtherType",
            "{other}"
        );
    }
}

#[test]
fn the_log_learns_what_kind_of_event_it_was_and_no_word_of_it() {
    let of = owned_event_id!("$event");
    let original = of.clone();
    let text = "secret".to_owned();
    let conversation = ConversationKey {
        agent: agent(HOME),
        room: owned_room_id!("!room:example.org"),
        thread: None,
    };
    let routes = [
        Route::Prompt {
            conversation,
            also: Vec::new(),
            text: text.clone(),
            attachment: None,
            reply_to: None,
        },
        Route::Command,
        Route::Reaction,
        Route::Edit {
            original,
            text,
            attachment: None,
        },
        Route::Redaction { of },
        Route::Membership,
        Route::Ignore(IgnoreReason::Ours),
    ];
    let logged = routes.map(|route| format!("{} {:?}", route.kind(), route.ignore_reason()));
    insta::assert_snapshot!(logged.join("\n"), @"
    prompt None
    command None
    reaction None
    edit None
    redaction None
    membership None
    ignore Some(Ours)
    ");
}
