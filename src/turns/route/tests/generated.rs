//! Contents that nobody would send: none stops the bridge, and none of ours is answered.

use proptest::prelude::*;

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "m.text",
        "m.notice",
        "m.replace",
        "m.thread",
        "$event",
        "> <@a:b> c\n\nd",
        "!letta",
        GUEST_GHOST,
        "é\u{0}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "msgtype",
        "body",
        "m.relates_to",
        "rel_type",
        "event_id",
        "m.in_reply_to",
        "m.new_content",
        "m.mentions",
        "user_ids",
        "formatted_body",
        "format",
        "redacts",
        "url",
        "filename",
        "info",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6).prop_map(|map| {
                map.into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_content_stops_the_bridge(
        content in any_json(),
        kind in prop::sample::select(vec![
            "m.room.message", "m.room.redaction", "m.reaction", "m.room.member", "m.room.encrypted",
        ]),
        state_key in prop::option::of("|@agent_1:example.org|x"),
    ) {
        let mut overrides = json!({ "type": kind, "content": content });
        if let Some(key) = state_key {
            overrides["state_key"] = key.into();
        }
        let event = event(&overrides);
        for room in [None, Some(home()), Some(management()), Some(visited(true))] {
            let decided = route(&event, room.as_ref(), &rules(), None);
            if let Route::Prompt { text, .. } | Route::Edit { text, .. } = &decided {
                prop_assert!(!text.trim().is_empty());
            }
            prop_assert_eq!(&decided, &route(&event, room.as_ref(), &rules(), None));
        }
    }

    #[test]
    fn no_words_of_ours_are_ever_answered(body in "\\PC{0,40}", sender in "agent_[a-z0-9_]{0,12}|letta") {
        let ours = event(&json!({
            "sender": format!("@{sender}:example.org"),
            "content": text(&body),
        }));
        for room in [home(), management(), visited(true)] {
            prop_assert_eq!(route(&ours, Some(&room), &rules(), None), Route::Ignore(IgnoreReason::Ours));
        }
    }
}
