//! A bridge's turns between the scripted Letta and the scripted homeserver; it can be ended and begun again on the same journal.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use letta_client::AgentId;
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId, owned_room_id, server_name};
use serde_json::{json, value::to_raw_value};
use tempfile::TempDir;
use tokio::sync::watch;

use super::letta::ScriptedLetta;
use crate::{
    config::{self, Level, ToolPermissionMode},
    identity::Identity,
    journal::{AgentRecord, Attachment, ConversationKey, Journal, JournalLimits, QueuedPrompt},
    matrix::scripted_homeserver::ScriptedHomeserver,
    outbox::Outbox,
    time::Millis,
    turns::{
        TurnContext, Turns,
        decide::{DecisionOutcome, Requester, RoomThread, Stopped},
    },
    workers::Tasks,
};

pub(super) const ANN: &str = "@ann:house.test";

/// See the module's documentation.
pub(super) struct Lab {
    pub(super) turns: Turns,
    pub(super) letta: ScriptedLetta,
    pub(super) homeserver: ScriptedHomeserver,
    pub(super) journal: Journal,
    pub(super) home: ConversationKey,
    tasks: Tasks,
    _folder: TempDir,
}

impl Lab {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), JournalLimits::default()).unwrap();
        let home = ConversationKey {
            agent: AgentId::parse("agent-1").unwrap(),
            room: owned_room_id!("!room:house.test"),
            thread: None,
        };
        let record = json!({ "id": home.agent, "name": "Ada", "room": home.room, "joined": true });
        let record: AgentRecord = serde_json::from_value(record).unwrap();
        journal.set_agent(&record).unwrap();
        let (letta, homeserver) = (ScriptedLetta::default(), ScriptedHomeserver::default());
        let tasks = Tasks::default();
        let turns = turns(&journal, &letta, &homeserver, &tasks);
        Self {
            turns,
            letta,
            homeserver,
            journal,
            home,
            tasks,
            _folder: folder,
        }
    }

    /// Ends everything, as a process does, and begins again.
    pub(super) async fn restart(&mut self) {
        self.end().await;
        self.tasks = Tasks::default();
        self.turns = turns(&self.journal, &self.letta, &self.homeserver, &self.tasks);
        for key in self.journal.busy_conversations().unwrap() {
            self.turns.wake(&key);
        }
    }

    pub(super) async fn end(&self) {
        self.tasks.stop();
        self.tasks.ended().await;
    }

    /// Ann says something at home. Its event is named after it.
    pub(super) fn say(&self, text: &str) -> OwnedEventId {
        self.say_in(&self.home, ANN, text)
    }

    pub(super) fn say_in(&self, key: &ConversationKey, sender: &str, text: &str) -> OwnedEventId {
        self.prompt(key, sender, text, None)
    }

    /// Ann sends a file at home, with words.
    pub(super) fn show(&self, text: &str, attachment: Attachment) -> OwnedEventId {
        self.prompt(&self.home, ANN, text, Some(attachment))
    }

    fn prompt(
        &self,
        key: &ConversationKey,
        sender: &str,
        text: &str,
        attachment: Option<Attachment>,
    ) -> OwnedEventId {
        let event_id = EventId::parse(format!("${text}")).unwrap();
        let event = to_raw_value("event").unwrap();
        self.journal
            .admit(vec![(event_id.clone(), event)], Millis(1))
            .unwrap();
        let (admission, _) = self.journal.waiting_events(1).unwrap().remove(0);
        let prompt = QueuedPrompt {
            event_id: event_id.clone(),
            sender: OwnedUserId::try_from(sender).unwrap(),
            text: text.to_owned(),
            admitted_at: Millis(1),
            retries: 0,
            attachment,
            reply_to: None,
        };
        self.journal
            .move_to_prompt_queue(admission, key, &prompt)
            .unwrap();
        self.turns.wake(key);
        event_id
    }

    /// The main timeline of the agent's room.
    pub(super) fn location(&self) -> RoomThread {
        RoomThread {
            room: self.home.room.clone(),
            thread: None,
        }
    }

    /// Ann stops what runs at home.
    pub(super) async fn stop(&self) -> Stopped {
        self.stop_in(&self.home).await
    }

    /// Ann stops what runs in a conversation.
    pub(super) async fn stop_in(&self, key: &ConversationKey) -> Stopped {
        let location = RoomThread {
            room: key.room.clone(),
            thread: key.thread.clone(),
        };
        self.turns.stop(&location, ann()).await.unwrap_or_default()
    }

    /// Somebody decides at home what waits there.
    pub(super) fn decide(&self, who: Requester<'_>, approve: bool) -> DecisionOutcome {
        let ruling = self.turns.decide(&self.location(), who, approve, None);
        ruling.unwrap()
    }

    /// Waits until something at home waits for a decision.
    pub(super) async fn until_asked(&self) {
        self.until("asked", |lab| {
            let turns = lab.journal.turns_in(lab.room()).unwrap();
            turns.iter().any(|turn| turn.waits_for().is_some())
        })
        .await;
    }

    /// A thread in the agent's room: a conversation of its own.
    pub(super) fn thread(&self, root: &str) -> ConversationKey {
        ConversationKey {
            thread: Some(EventId::parse(root).unwrap()),
            ..self.home.clone()
        }
    }

    pub(super) fn room(&self) -> &RoomId {
        &self.home.room
    }

    /// What was set aside, by its texts.
    pub(super) fn failed(&self) -> BTreeSet<String> {
        let failed = self.journal.failed_prompts().unwrap();
        let prompts = failed.into_iter().flat_map(|failed| failed.prompts);
        prompts.map(|prompt| prompt.text).collect()
    }

    pub(super) fn sees(&self, words: &str) -> usize {
        let timeline = self.homeserver.timeline();
        timeline.iter().filter(|line| line.contains(words)).count()
    }

    /// Waits until the room has seen these words.
    pub(super) async fn until_seen(&self, words: &str) {
        self.until(words, |lab| lab.sees(words) > 0).await;
    }

    /// Waits until nothing runs and nothing waits.
    pub(super) async fn until_quiet(&self) {
        self.until("quiet", |lab| lab.turns.in_flight() == 0).await;
        self.until("all is said", |lab| {
            lab.journal.rooms_with_outbox_items().unwrap().is_empty()
        })
        .await;
    }

    /// Waits, and looks again and again within moments.
    pub(super) async fn soon(&self, holds: impl Fn(&Self) -> bool) {
        /// More than anything takes that comes soon.
        const LOOKS_MAX: usize = 200_000;
        for _ in 0..LOOKS_MAX {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!(
            "it does not come\n{}",
            self.homeserver.timeline().join("\n")
        );
    }

    /// The clock is the test's own: it runs as fast as everybody waits. A day and a half is more than any budget.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let seen = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_hours(400), seen).await;
        assert!(
            seen.is_ok(),
            "not seen: {what}\n{}",
            self.homeserver.timeline().join("\n")
        );
    }
}

pub(super) fn ann() -> Requester<'static> {
    Requester {
        user: ruma::user_id!("@ann:house.test"),
        level: Level::User,
    }
}

pub(super) fn bob() -> Requester<'static> {
    Requester {
        user: ruma::user_id!("@bob:house.test"),
        level: Level::User,
    }
}

pub(super) fn admin() -> Requester<'static> {
    Requester {
        user: ruma::user_id!("@admin:house.test"),
        level: Level::Admin,
    }
}

fn permissions() -> config::Permissions {
    let mut permissions = config::Permissions::nobody();
    for (user, level) in [
        (ann().user, Level::User),
        (bob().user, Level::User),
        (admin().user, Level::Admin),
    ] {
        permissions.grant(user.to_owned(), level);
    }
    permissions
}

fn turns(
    journal: &Journal,
    letta: &ScriptedLetta,
    homeserver: &ScriptedHomeserver,
    tasks: &Tasks,
) -> Turns {
    let identity = Identity::new(
        server_name!("house.test"),
        "agent_{id}".parse().unwrap(),
        "letta",
        "letta_agents",
    );
    let identity = identity.unwrap();
    let outbox = Outbox::new(
        journal.clone(),
        homeserver.client(),
        crate::encryption::Encryption::default(),
        identity.clone(),
        tasks.clone(),
    );
    let outbox = outbox.unwrap();
    outbox.resume().unwrap();
    let ctx = TurnContext {
        encryption: crate::encryption::Encryption::default(),
        journal: journal.clone(),
        outbox,
        homeserver: homeserver.client(),
        backend: Arc::new(letta.clone()),
        identity,
        letta_reconnects: watch::channel(0).1,
        config: config::Turns::default(),
        transcriber: None,
        mode: ToolPermissionMode::Standard,
        permissions: permissions(),
        tasks: tasks.clone(),
    };
    Turns::new(ctx).unwrap()
}
