//! What a room of ours gets, and what stays as somebody else has set it.

use ruma::{owned_room_id, server_name, user_id};
use serde_json::json;

use super::*;
use crate::{
    agents::generated_avatars::agent_picture_hash,
    config::{Level, Rooms, Space},
    encryption::Encryption,
    journal::{AvatarRecord, Greeting, JournalLimits, SpaceRecord},
    matrix::scripted_homeserver::{Fault, ScriptedHomeserver},
};

struct Lab {
    homeserver: ScriptedHomeserver,
    provisioner: Provisioner,
    _dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ProvisionConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let homeserver = ScriptedHomeserver::default();
        let journal = Journal::open(&dir.path().join("journal"), JournalLimits::default()).unwrap();
        let template = "agent_{id}".parse().unwrap();
        let server = server_name!("house.test");
        let mut config = ProvisionConfig {
            identity: Identity::new(server, template, "letta", "letta_agents").unwrap(),
            permissions: Permissions::nobody(),
            space: Space::default(),
            rooms: Rooms::default(),
            invites_to_rooms: true,
            bot_has_avatar: false,
            bot_name: None,
        };
        change(&mut config);
        let provisioner = Provisioner::new(
            Registry::load(journal.clone()).unwrap(),
            homeserver.client(),
            Encryption::default(),
            journal,
            config,
        );
        let lab = Self {
            homeserver,
            provisioner,
            _dir: dir,
        };
        let space = SpaceRecord {
            room: owned_room_id!("!space:house.test"),
            invited: BTreeSet::new(),
            replaced: None,
            has_avatar: true,
        };
        lab.provisioner.registry.set_space(space).unwrap();
        lab
    }

    /// An agent that has everything but what `change` takes away.
    fn add(&self, change: impl FnOnce(&mut AgentRecord)) {
        let record = json!({
            "id": "agent-1", "name": "Ada", "compared_name": "Ada", "registered": true,
            "display_name": "Ada", "room": "!room:house.test", "room_name": "Ada", "joined": true,
            "in_space": true,
        });
        let mut record: AgentRecord = serde_json::from_value(record).unwrap();
        record.avatar = Some(AvatarRecord {
            hash: agent_picture_hash(&record.id),
            uri: "mxc://house.test/picture".into(),
            on_ghost: true,
            on_room: record.room.clone(),
            replaces: None,
        });
        change(&mut record);
        self.provisioner.registry.set(record).unwrap();
    }

    async fn provision(&self) -> AgentRecord {
        let id = "agent-1".parse().unwrap();
        self.provisioner.provision(&id).await.unwrap();
        self.provisioner.registry.find(&id).unwrap()
    }

    fn put(&self, what: &str) -> usize {
        let lines = self.homeserver.lines();
        let puts = lines.iter().filter(|line| line.starts_with("PUT "));
        puts.filter(|line| line.contains(what)).count()
    }
}

#[tokio::test]
async fn agent_of_an_earlier_version_gets_its_picture_once() {
    let lab = Lab::new();
    lab.add(|record| record.avatar = None);
    // The ghost cannot be given the picture at first.
    let unwell = || Fault::Answer(403, json!({ "errcode": "M_FORBIDDEN", "error": "no" }));
    lab.homeserver
        .fails("PUT /_matrix/client/v3/profile", [unwell()]);
    let id = "agent-1".parse().unwrap();
    lab.provisioner.provision(&id).await.unwrap_err();
    let record = lab.provision().await;
    assert_eq!(
        lab.homeserver.asked_for("/upload"),
        1,
        "it is there already"
    );
    assert_eq!(lab.put("avatar_url"), 2);
    assert_eq!(lab.put("/presence/"), 1);
    assert_eq!(lab.put("state/m.room.avatar"), 1);
    let avatar = record.avatar.unwrap();
    assert!(avatar.on_ghost);
    assert_eq!(avatar.on_room, record.room);
    let before = lab.homeserver.requests().len();
    lab.provision().await;
    assert_eq!(lab.homeserver.requests().len(), before, "nothing is left");
}

#[tokio::test]
async fn picture_that_somebody_set_stays_and_ours_is_replaced() {
    // What is there, and whether it was ours.
    for (present, is_replaced) in [
        ("mxc://house.test/theirs", false),
        ("mxc://house.test/ours", true),
        ("", true),
    ] {
        let lab = Lab::new();
        lab.add(|record| {
            let avatar = record.avatar.as_mut().unwrap();
            avatar.hash = "drawn by an earlier version".to_owned();
            avatar.uri = "mxc://house.test/ours".into();
        });
        let there = |key: &str| Fault::Answer(200, json!({ key: present }));
        lab.homeserver
            .fails("GET /_matrix/client/v3/profile", [there("avatar_url")]);
        lab.homeserver.fails(
            "GET /_matrix/client/v3/rooms/!room:house.test/state/m.room.avatar",
            [there("url")],
        );
        let record = lab.provision().await;
        let expected = usize::from(is_replaced);
        assert_eq!(lab.put("avatar_url"), expected, "{present}");
        assert_eq!(lab.put("state/m.room.avatar"), expected, "{present}");
        assert_eq!(record.avatar.unwrap().hash, agent_picture_hash(&record.id));
    }
}

#[tokio::test]
async fn greeting_is_said_once_whatever_comes_in_between() {
    let lab = Lab::new();
    lab.add(|record| record.greeting = Greeting::Due);
    // The process ends before it hears that the greeting was said.
    lab.homeserver.fails("/send/", [Fault::DoneAndUnheard]);
    let id = "agent-1".parse().unwrap();
    lab.provisioner.provision(&id).await.unwrap_err();
    lab.homeserver.forget_send_ids();
    let record = lab.provision().await;
    let said = lab.homeserver.timeline();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("@agent_1:house.test Hello."),
        "{said:?}"
    );
    assert_eq!(record.greeting, Greeting::None);
    lab.provision().await;
    assert_eq!(lab.homeserver.timeline().len(), 1);
}

#[tokio::test]
async fn no_answers_are_promised_in_an_encrypted_room() {
    let lab = Lab::new();
    lab.add(|record| record.greeting = Greeting::Due);
    let encrypted = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    lab.homeserver
        .fails("state/m.room.encryption", [Fault::Answer(200, encrypted)]);
    lab.provision().await;
    let said = lab.homeserver.timeline();
    assert!(
        said[0].contains("agents cannot read encrypted messages"),
        "{said:?}"
    );
}

#[tokio::test]
async fn topic_that_somebody_wrote_stays() {
    for (present, is_changed) in [("Ours", true), ("Theirs", false), ("", true)] {
        let lab = Lab::new();
        lab.add(|record| {
            record.room_topic = Some("Ours".to_owned());
            record.description = Some("New".to_owned());
        });
        let there = Fault::Answer(200, json!({ "topic": present }));
        lab.homeserver.fails(
            "GET /_matrix/client/v3/rooms/!room:house.test/state/m.room.topic",
            [there],
        );
        let record = lab.provision().await;
        assert_eq!(
            lab.put("state/m.room.topic"),
            usize::from(is_changed),
            "{present}"
        );
        assert_eq!(record.room_topic.as_deref(), Some("New"));
    }
}

#[tokio::test]
async fn room_follows_the_space_unless_somebody_decided_who_joins() {
    let before = owned_room_id!("!before:house.test");
    for (rule, is_changed) in [
        (
            serde_json::to_value(crate::matrix::restricted_to(&before)).unwrap(),
            true,
        ),
        (json!({ "join_rule": "public" }), false),
        (json!({ "join_rule": "invite" }), false),
    ] {
        let lab = Lab::new();
        lab.add(|record| record.open_to = Some(before.clone()));
        lab.homeserver.fails(
            "state/m.room.join_rules",
            [Fault::Answer(200, rule.clone())],
        );
        let version = Fault::Answer(200, json!({ "room_version": "11" }));
        lab.homeserver.fails("state/m.room.create", [version]);
        let record = lab.provision().await;
        assert_eq!(
            lab.put("state/m.room.join_rules"),
            usize::from(is_changed),
            "{rule}"
        );
        assert_eq!(record.open_to, Some(owned_room_id!("!space:house.test")));
    }
}

#[tokio::test]
async fn people_are_invited_to_the_space_although_its_picture_fails() {
    let ann = user_id!("@ann:house.test");
    let lab = Lab::with(|config| config.permissions.grant(ann.to_owned(), Level::User));
    let space = lab.provisioner.registry.space().unwrap();
    let space = SpaceRecord {
        has_avatar: false,
        ..space
    };
    lab.provisioner.registry.set_space(space).unwrap();
    let unwell = Fault::Answer(403, json!({ "errcode": "M_FORBIDDEN", "error": "no" }));
    lab.homeserver.fails("m.room.avatar", vec![unwell; 1]);
    lab.provisioner.ensure_space().await.unwrap_err();
    let space = lab.provisioner.registry.space().unwrap();
    assert!(space.invited.contains(ann));
    assert!(!space.has_avatar);
    // It is given at the next look, and nobody is invited twice.
    lab.provisioner.ensure_space().await.unwrap();
    assert!(lab.provisioner.registry.space().unwrap().has_avatar);
    assert_eq!(lab.homeserver.asked_for("/invite"), 1);
}

/// An update opens nothing that was private.
#[tokio::test]
async fn private_room_of_an_earlier_version_stays_private() {
    for invites_to_rooms in [true, false] {
        let lab = Lab::with(|config| config.invites_to_rooms = invites_to_rooms);
        lab.add(|record| assert_eq!(record.open_to, None));
        let record = lab.provision().await;
        assert_eq!(record.open_to, None);
        assert_eq!(lab.put("state/m.room.join_rules"), 0, "{invites_to_rooms}");
    }
}

#[tokio::test]
async fn room_is_listed_again_and_gets_its_alias_back_a_few_times() {
    let lab = Lab::new();
    lab.add(|_| {});
    let (space, room) = (
        owned_room_id!("!space:house.test"),
        owned_room_id!("!room:house.test"),
    );
    let id = "agent-1".parse().unwrap();
    for round in 1..=7 {
        let nothing = Fault::Answer(200, json!([]));
        lab.homeserver.fails(
            "GET /_matrix/client/v3/rooms/!space:house.test/state",
            [Fault::Answer(200, json!({})), nothing],
        );
        let is_any_due = lab.provisioner.reconcile_room(&space).await.unwrap();
        assert_eq!(is_any_due, round <= 5, "in round {round}");
        let listed = lab.provisioner.registry.find(&id).unwrap().in_space;
        assert_eq!(listed, round > 5, "in round {round}");
        lab.provision().await;
    }
    assert_eq!(lab.put("state/m.space.child"), 5);

    let lab = Lab::new();
    lab.add(|_| {});
    for _ in 0..7 {
        let missing = json!({ "errcode": "M_NOT_FOUND", "error": "none" });
        lab.homeserver.fails(
            "GET /_matrix/client/v3/directory",
            [Fault::Answer(404, missing)],
        );
        lab.provisioner.reconcile_room(&room).await.unwrap();
    }
    assert_eq!(lab.put("directory/room/#agent_1:house.test"), 5);

    let lab = Lab::new();
    lab.add(|_| {});
    for _ in 0..7 {
        let lowered = json!({ "users": { "@letta:house.test": 100 }, "events": {} });
        lab.homeserver.fails(
            "GET /_matrix/client/v3/rooms/!room:house.test/state/m.room.power_levels",
            [Fault::Answer(200, lowered)],
        );
        lab.provisioner.reconcile_room(&room).await.unwrap();
    }
    assert_eq!(lab.put("state/m.room.power_levels"), 5);
}

#[tokio::test]
async fn only_rooms_that_the_bridge_made_are_looked_at_again() {
    let lab = Lab::new();
    lab.add(|_| {});
    for (room, is_ours) in [
        ("!room:house.test", true),
        ("!space:house.test", true),
        ("!foreign:house.test", false),
    ] {
        let room = room.try_into().unwrap();
        assert_eq!(lab.provisioner.is_room_of_ours(room), is_ours, "{room}");
    }
    // Nothing is missing, so discovery has nothing to do.
    let room = owned_room_id!("!room:house.test");
    assert!(!lab.provisioner.reconcile_room(&room).await.unwrap());
}

#[tokio::test]
async fn agents_are_shown_online_once_where_presence_is_kept() {
    let lab = Lab::new();
    lab.add(|_| {});
    lab.provisioner.show_all_online().await;
    lab.provisioner.show_all_online().await;
    let requests = lab.homeserver.requests();
    let [shown] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert!(
        shown.target.contains("user_id=@agent_1:house.test"),
        "{shown:?}"
    );
    assert_eq!(shown.body, json!({ "presence": "online" }));

    let lab = Lab::new();
    lab.add(|_| {});
    let refused = json!({ "errcode": "M_FORBIDDEN", "error": "no presence" });
    lab.homeserver
        .fails("/presence/", [Fault::Answer(403, refused)]);
    lab.provision().await;
    lab.provision().await;
    assert_eq!(lab.put("/presence/"), 1);
}
