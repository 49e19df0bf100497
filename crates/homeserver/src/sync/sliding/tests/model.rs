//! Whatever happens, a client that adds up what sliding sync tells holds the truth at the end.
//!
//! A model of a client against the server: random actions of several users, connections with different windows, answers that get
//! lost, connections that begin anew. Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// How many rooms there are.
const ROOMS: usize = 3;
/// How often a client asks at the end, so that it hears of everything: once for what is new, and for answers that got lost.
const ROUNDS: usize = 4;

/// What can happen. Users: 0 made the rooms, 1 is the one whose clients are looked at, 2 is somebody else.
#[derive(Clone, Debug)]
enum Action {
    /// Somebody does something with their own membership.
    Own(usize, usize, &'static str),
    /// Who made the room does something with somebody's membership.
    Other(usize, usize, &'static str),
    Say(usize, usize),
    Name(usize, u8),
    /// A client asks; its answer may get lost.
    Sync {
        client: usize,
        is_lost: bool,
    },
    /// A client asks with another window from now on.
    Window {
        client: usize,
        last: u64,
    },
    /// A client begins anew, and forgets everything.
    Restart(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let own = prop::sample::select(vec!["join", "join", "leave", "forget", "knock"]);
    let other = prop::sample::select(vec!["invite", "invite", "kick", "ban", "unban"]);
    prop_oneof![
        3 => (1..3_usize, 0..ROOMS, own).prop_map(|(user, room, what)| Action::Own(user, room, what)),
        3 => (1..3_usize, 0..ROOMS, other).prop_map(|(user, room, what)| Action::Other(user, room, what)),
        2 => (0..3_usize, 0..ROOMS).prop_map(|(user, room)| Action::Say(user, room)),
        1 => (0..ROOMS, any::<u8>()).prop_map(|(room, name)| Action::Name(room, name)),
        4 => (0..3_usize, prop::bool::weighted(0.2)).prop_map(|(client, is_lost)| Action::Sync { client, is_lost }),
        1 => (0..2_usize, 0..3_u64).prop_map(|(client, last)| Action::Window { client, last }),
        1 => (0..3_usize).prop_map(Action::Restart),
    ]
}

/// What a client holds of a room.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    membership: String,
    name: Option<String>,
    last: Option<String>,
}

/// A client that adds up what it is told.
struct Model<'a> {
    client: Client<'a>,
    rooms: BTreeMap<String, Held>,
    count: Value,
}

impl<'a> Model<'a> {
    fn new(person: &'a TestUser, connection: &str, last: u64) -> Self {
        let state = json!([["m.room.member", "$ME"], ["m.room.name", ""]]);
        let mut body = list(last, 2, state);
        body["conn_id"] = json!(connection);
        Self {
            client: Client::new(person, body),
            rooms: BTreeMap::new(),
            count: Value::Null,
        }
    }

    async fn sync(&mut self, is_lost: bool) {
        let (status, answer) = self.client.at(self.client.pos.as_deref(), 0).await;
        if status == StatusCode::BAD_REQUEST && answer["errcode"] == "M_UNKNOWN_POS" {
            self.restart();
            return;
        }
        assert_eq!(status, StatusCode::OK, "{answer}");
        if is_lost {
            return;
        }
        self.client.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        self.count = answer["lists"]["all"]["count"].clone();
        let me = self.client.person.user_id.to_string();
        for (id, room) in answer["rooms"].as_object().into_iter().flatten() {
            let held = self.rooms.entry(id.clone()).or_default();
            if room["initial"] == true {
                *held = Held::default();
            }
            held.add(room, &me);
        }
    }

    fn restart(&mut self) {
        self.client.pos = None;
        self.rooms.clear();
    }
}

impl Held {
    fn add(&mut self, room: &Value, me: &str) {
        if let Some(stripped) = room["invite_state"].as_array() {
            let mut own = stripped.iter().filter(|event| event["state_key"] == me);
            if let Some(own) = own.find(|event| event["type"] == "m.room.member") {
                own["content"]["membership"]
                    .as_str()
                    .unwrap()
                    .clone_into(&mut self.membership);
            }
        }
        for list in ["required_state", "timeline"] {
            for event in room[list].as_array().into_iter().flatten() {
                if event["type"] == "m.room.member" && event["state_key"] == me {
                    event["content"]["membership"]
                        .as_str()
                        .unwrap()
                        .clone_into(&mut self.membership);
                }
                if event["type"] == "m.room.name" && event["state_key"] == "" {
                    self.name = event["content"]["name"].as_str().map(str::to_owned);
                }
                if list == "timeline" {
                    self.last = event["event_id"].as_str().map(str::to_owned);
                }
            }
        }
    }
}

/// What there is to hold of the rooms that the user is in, invited to or knocks at.
async fn truth(test: &TestServer, person: &TestUser, rooms: &[String]) -> BTreeMap<String, Held> {
    let mut truth = BTreeMap::new();
    for id in rooms {
        let room = ruma::RoomId::parse(id).unwrap();
        let Some(member) = test
            .server
            .rooms
            .membership(&room, &person.user_id)
            .unwrap()
        else {
            continue;
        };
        let membership = member.membership.to_string();
        if !["join", "invite", "knock"].contains(&&*membership) {
            continue;
        }
        let mut held = Held {
            membership,
            ..Held::default()
        };
        if held.membership == "join" {
            let newest = test
                .server
                .rooms
                .events_down(&room, test.server.stream.visible())
                .next();
            held.last = Some(newest.unwrap().unwrap().event_id.to_string());
            let (_, name) = person
                .call(Method::GET, &path(id, "state/m.room.name"), json!({}))
                .await;
            held.name = name["name"].as_str().map(str::to_owned);
        }
        truth.insert(id.clone(), held);
    }
    truth
}

async fn act(people: &[TestUser], rooms: &[String], action: &Action, txn: usize) {
    // What may not be is refused, and changes nothing.
    let post = async |who: usize, room: usize, rest: &str, body: Value| {
        let (status, answer) = people[who]
            .call(Method::POST, &path(&rooms[room], rest), body)
            .await;
        assert!(!status.is_server_error(), "{action:?}: {answer}");
    };
    match action {
        Action::Own(who, room, "knock") => {
            let knock = format!("/_matrix/client/v3/knock/{}", rooms[*room]);
            people[*who].call(Method::POST, &knock, json!({})).await;
        }
        Action::Own(who, room, what) => post(*who, *room, what, json!({})).await,
        Action::Other(who, room, what) => {
            post(0, *room, what, json!({ "user_id": people[*who].user_id })).await;
        }
        Action::Say(who, room) => {
            let path = path(&rooms[*room], &format!("send/m.room.message/{txn}"));
            let body = json!({ "msgtype": "m.text", "body": txn.to_string() });
            people[*who].call(Method::PUT, &path, body).await;
        }
        Action::Name(room, name) => {
            let path = path(&rooms[*room], "state/m.room.name");
            people[0]
                .call(Method::PUT, &path, json!({ "name": name.to_string() }))
                .await;
        }
        Action::Sync { .. } | Action::Window { .. } | Action::Restart(_) => {}
    }
}

async fn run(actions: Vec<Action>) {
    let test = TestServer::start().await;
    let mut people = Vec::new();
    for name in ["alice", "bob", "carol"] {
        people.push(test.person(name).await);
    }
    let other_device = test.log_in(&people[1].user_id).await;
    let mut rooms = Vec::new();
    for rule in ["public", "knock", "public"] {
        let initial = json!([{ "type": "m.room.join_rules", "content": { "join_rule": rule } }]);
        let wish = json!({ "preset": "public_chat", "initial_state": initial });
        rooms.push(room(&people[0], wish).await);
    }
    // Windows that change, on one device; and one that has everything, on another.
    let bob = people[1].clone();
    let mut models = [
        Model::new(&bob, "small", 0),
        Model::new(&bob, "other", 1),
        Model::new(&other_device, "whole", 9),
    ];
    for (txn, action) in actions.iter().enumerate() {
        act(&people, &rooms, action, txn).await;
        match action {
            Action::Sync { client, is_lost } => models[*client].sync(*is_lost).await,
            Action::Window { client, last } => {
                models[*client].client.body["lists"]["all"]["ranges"] = json!([[0, last]]);
            }
            Action::Restart(client) => models[*client].restart(),
            _ => {}
        }
    }
    let truth = truth(&test, &bob, &rooms).await;
    for (index, model) in models.iter_mut().enumerate() {
        for _ in 0..ROUNDS {
            model.sync(false).await;
        }
        assert_eq!(model.count, truth.len(), "client {index}");
        let ended = |held: &Held| ["leave", "ban"].contains(&&*held.membership);
        for (id, held) in model.rooms.iter().filter(|(_, held)| !ended(held)) {
            let is = truth.get(id).map(|truth| &truth.membership);
            assert_eq!(is, Some(&held.membership), "client {index}, room {id}");
        }
    }
    // Who has all rooms in the window has all of each.
    let whole = &mut models[2].rooms;
    whole.retain(|_, held| !["leave", "ban"].contains(&&*held.membership));
    for held in whole.values_mut().filter(|held| held.membership != "join") {
        (held.name, held.last) = (None, None);
    }
    assert_eq!(*whole, truth);
    test.server.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_that_adds_up_what_it_is_told_holds_the_truth(actions in prop::collection::vec(action(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(actions));
    }
}

/// What the model found: a room that ended while it was outside of the window.
#[tokio::test]
async fn end_of_a_room_outside_the_window_is_told() {
    let first = [
        Action::Own(1, 2, "join"),
        Action::Sync {
            client: 0,
            is_lost: false,
        },
    ];
    for end in [
        Action::Other(1, 2, "kick"),
        Action::Other(1, 2, "ban"),
        Action::Own(1, 2, "leave"),
    ] {
        let invited = Action::Other(1, 0, "invite");
        run(first.iter().cloned().chain([end, invited]).collect()).await;
    }
}
