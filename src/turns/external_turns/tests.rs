//! What a backend that hears others, and moves conversations, makes of a room.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use futures_util::Stream;
use letta_client::{
    Agent, AgentId, ApprovalRequest, Backend, BackendError, BackendInfo, ConversationId, Decision,
    HistoryItem, PermissionMode, Prompt, RunId, ToolPolicy,
    demo::{Demo, DemoServer},
    rest::{RestBackend, RestConfig},
};
use ruma::{owned_event_id, owned_room_id, owned_user_id, server_name};
use serde_json::value::to_raw_value;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    config::{self, ToolPermissionMode},
    identity::Identity,
    journal::{AgentRecord, Journal, JournalLimits, QueuedPrompt},
    matrix::scripted_homeserver::ScriptedHomeserver,
    outbox::Outbox,
    turns::TurnContext,
    workers::Tasks,
};

/// The demo as a Letta that hears others and gives each room a conversation of its own.
struct App {
    rest: RestBackend,
    heard: Mutex<Option<mpsc::Receiver<ExternalTurn>>>,
    /// What sends were to go by, and where to.
    sends: Mutex<Vec<(Destination, ToolPolicy)>>,
    /// The next send is told that its conversation goes on as this one.
    moves: Mutex<Option<ConversationId>>,
    watched: Mutex<Vec<Destination>>,
    /// What was decided outside of Matrix goes on as this; until then, requests wait.
    goes_on: Mutex<Option<TurnStream>>,
}

#[async_trait]
impl Backend for App {
    async fn info(&self) -> Result<BackendInfo, BackendError> {
        self.rest.info().await
    }

    async fn agents(&self) -> Result<Vec<Agent>, BackendError> {
        self.rest.agents().await
    }

    async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, BackendError> {
        self.rest.agent(id).await
    }

    async fn create_conversation(
        &self,
        agent: &AgentId,
        label: &str,
    ) -> Result<Conversation, BackendError> {
        self.rest.create_conversation(agent, label).await
    }

    fn home_conversation(&self) -> Option<Conversation> {
        None
    }

    async fn send(
        &self,
        to: &Destination,
        prompts: &[Prompt],
        policy: ToolPolicy,
    ) -> Result<TurnStream, BackendError> {
        lock(&self.sends).push((to.clone(), policy));
        if let Some(to) = lock(&self.moves).take() {
            return Err(BackendError::Moved { to });
        }
        self.rest.send(to, prompts, policy).await
    }

    async fn decide(
        &self,
        to: &Destination,
        request: &ApprovalRequest,
        decisions: &[Decision],
    ) -> Result<TurnStream, BackendError> {
        self.rest.decide(to, request, decisions).await
    }

    async fn pending_approval(
        &self,
        to: &Destination,
    ) -> Result<Option<ApprovalRequest>, BackendError> {
        if lock(&self.goes_on).is_some() {
            return Ok(None);
        }
        self.rest.pending_approval(to).await
    }

    async fn watch(&self, to: &Destination, _conduct: ToolPolicy) -> Result<(), BackendError> {
        lock(&self.watched).push(to.clone());
        Ok(())
    }

    fn external_turns(&self) -> Option<Pin<Box<dyn Stream<Item = ExternalTurn> + Send>>> {
        let heard = lock(&self.heard).take()?;
        let next = async |mut heard: mpsc::Receiver<ExternalTurn>| {
            heard.recv().await.map(|one| (one, heard))
        };
        Some(Box::pin(futures_util::stream::unfold(heard, next)))
    }

    async fn resume(&self, to: &Destination, run: &RunId) -> Result<TurnStream, BackendError> {
        if let Some(stream) = lock(&self.goes_on).take() {
            return Ok(stream);
        }
        self.rest.resume(to, run).await
    }

    async fn cancel(&self, to: &Destination) -> Result<bool, BackendError> {
        self.rest.cancel(to).await
    }

    async fn history(
        &self,
        to: &Destination,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, BackendError> {
        self.rest.history(to, limit).await
    }
}

struct Lab {
    turns: Turns,
    app: Arc<App>,
    others: mpsc::Sender<ExternalTurn>,
    homeserver: ScriptedHomeserver,
    journal: Journal,
    place: ConversationKey,
    _parts: (TempDir, DemoServer),
}

impl Lab {
    async fn new() -> Self {
        let server = DemoServer::start(Demo::new(), "127.0.0.1:0".parse().unwrap());
        let server = server.await.unwrap();
        let rest = RestBackend::new(RestConfig::new(server.url())).unwrap();
        let agent = rest.agents().await.unwrap().remove(0);
        let (others, heard) = mpsc::channel(8);
        let app = Arc::new(App {
            rest,
            heard: Mutex::new(Some(heard)),
            sends: Mutex::default(),
            moves: Mutex::default(),
            watched: Mutex::default(),
            goes_on: Mutex::default(),
        });
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), JournalLimits::default()).unwrap();
        let place = ConversationKey {
            agent: agent.id.clone(),
            room: owned_room_id!("!room:house.test"),
            thread: None,
        };
        journal.set_agent(&home(&agent, &place)).unwrap();
        let homeserver = ScriptedHomeserver::default();
        let ctx = turn_context(&journal, &homeserver, Arc::clone(&app));
        Self {
            turns: Turns::new(ctx).unwrap(),
            app,
            others,
            homeserver,
            journal,
            place,
            _parts: (folder, server),
        }
    }

    /// A person says something in the agent's room.
    fn ask(&self, text: &str) {
        let event_id = owned_event_id!("$asked");
        let events = vec![(event_id.clone(), to_raw_value("event").unwrap())];
        self.journal.admit(events, Millis(1)).unwrap();
        let (admission, _) = self.journal.waiting_events(1).unwrap().remove(0);
        let prompt = QueuedPrompt {
            event_id,
            sender: owned_user_id!("@ann:house.test"),
            text: text.to_owned(),
            admitted_at: Millis(1),
            retries: 0,
            attachment: None,
            reply_to: None,
        };
        self.journal
            .move_to_prompt_queue(admission, &self.place, &prompt)
            .unwrap();
        self.turns.wake(&self.place);
    }

    /// Somebody else asks in the same conversation; `key` names their turn.
    async fn others_ask(&self, key: &str, text: &str) {
        let at = self.conversation();
        let prompt = Prompt::new(format!("{key} {text}"), text);
        let turn = self
            .app
            .rest
            .send(&at, &[prompt], ToolPolicy::default())
            .await;
        let external = ExternalTurn {
            at,
            key: key.to_owned(),
            prompt: Some(text.to_owned()),
            turn: turn.unwrap(),
        };
        assert!(self.others.send(external).await.is_ok());
    }

    fn conversation(&self) -> Destination {
        let conversation = self.journal.conversation(&self.place).unwrap().unwrap();
        Destination {
            agent: self.place.agent.clone(),
            conversation,
        }
    }

    /// The turn of `$asked` is heard, as if others had begun it.
    async fn hear_of_it_again(&self, part: &str) {
        let external = ExternalTurn {
            at: self.conversation(),
            key: format!("$asked{part}"),
            prompt: None,
            turn: Box::pin(futures_util::stream::empty()),
        };
        assert!(self.others.send(external).await.is_ok());
    }

    async fn shows(&self, words: &str) {
        let seen = async {
            while !self
                .homeserver
                .timeline()
                .iter()
                .any(|line| line.ends_with(words))
            {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let seen = tokio::time::timeout(std::time::Duration::from_secs(20), seen).await;
        assert!(
            seen.is_ok(),
            "no {words:?} in {:?}",
            self.homeserver.timeline()
        );
    }
}

fn home(agent: &Agent, place: &ConversationKey) -> AgentRecord {
    AgentRecord {
        id: agent.id.clone(),
        name: agent.name.clone(),
        description: None,
        model: None,
        registered: true,
        display_name: None,
        room: Some(place.room.clone()),
        room_name: None,
        room_topic: None,
        joined: true,
        in_space: true,
        previous_room: None,
        invited: std::collections::BTreeSet::default(),
        status: crate::journal::AgentStatus::Live,
        open_to: None,
        avatar: None,
        greeting: crate::journal::Greeting::None,
        compared_name: None,
        is_lookalike: false,
    }
}

fn turn_context(journal: &Journal, homeserver: &ScriptedHomeserver, app: Arc<App>) -> TurnContext {
    let identity = Identity::new(
        server_name!("house.test"),
        "agent_{id}".parse().unwrap(),
        "letta",
        "letta_agents",
    );
    let (identity, tasks) = (identity.unwrap(), Tasks::default());
    let outbox = Outbox::new(
        journal.clone(),
        homeserver.client(),
        crate::encryption::Encryption::default(),
        identity.clone(),
        tasks.clone(),
    );
    TurnContext {
        encryption: crate::encryption::Encryption::default(),
        journal: journal.clone(),
        outbox: outbox.unwrap(),
        homeserver: homeserver.client(),
        backend: app,
        identity,
        permissions: config::Permissions::nobody(),
        letta_reconnects: watch::channel(0).1,
        config: config::Turns::default(),
        transcriber: None,
        mode: ToolPermissionMode::Standard,
        tasks,
    }
}

#[tokio::test]
async fn a_turn_of_somebody_else_appears_once_with_what_it_answers() {
    let lab = Lab::new().await;
    lab.turns.resume().unwrap();
    lab.ask("say: mine");
    lab.shows("mine").await;
    let watched = lock(&lab.app.watched).clone();
    assert!(!watched.is_empty(), "its conversation is listened to");
    lab.others_ask("theirs", "say: from the desk").await;
    lab.shows("Asked outside of Matrix: say: from the desk")
        .await;
    lab.shows(" from the desk").await;
    // The same turn heard again, as after a reconnect, is no news; the next one is.
    lab.others_ask("theirs", "say: again").await;
    lab.others_ask("next", "say: and more").await;
    lab.shows(" and more").await;
    let seen = lab.homeserver.timeline().join("\n");
    assert!(!seen.contains("again"), "{seen}");
}

#[tokio::test]
async fn what_is_decided_outside_of_matrix_goes_on_in_its_turn() {
    let lab = Lab::new().await;
    lab.turns.resume().unwrap();
    lab.ask("approve: look {}");
    lab.shows("{APPROVAL_NEEDED}").await;
    // After a restart the turn that waits is heard of again: no news.
    lab.hear_of_it_again("").await;
    let at = lab.conversation();
    let request = lab.app.rest.pending_approval(&at).await.unwrap().unwrap();
    let decisions: Vec<_> = request
        .calls
        .iter()
        .map(|call| Decision {
            call: call.id.clone(),
            approve: true,
            reason: None,
        })
        .collect();
    let decided = lab.app.rest.decide(&at, &request, &decisions).await;
    *lock(&lab.app.goes_on) = Some(decided.unwrap());
    lab.hear_of_it_again("~call_1").await;
    lab.shows("tool look returned: demo result for {}").await;
    let seen = lab.homeserver.timeline().join("\n");
    assert!(seen.contains("No longer asked"), "{seen}");
    assert!(
        !seen.contains("outside of Matrix."),
        "told as a turn of others: {seen}"
    );
}

#[tokio::test]
async fn a_conversation_that_moves_takes_the_message_along_in_silence() {
    let lab = Lab::new().await;
    let other = lab.app.rest.create_conversation(&lab.place.agent, "new");
    let Conversation::Own(new) = other.await.unwrap() else {
        panic!("the demo has conversations")
    };
    *lock(&lab.app.moves) = Some(new.clone());
    let chosen = |choices: &mut crate::journal::RoomSettings| {
        choices.mode = Some(ToolPermissionMode::Strict);
        choices.chat_only = true;
    };
    lab.journal
        .change_room_settings(&lab.place.room, chosen)
        .unwrap();
    lab.turns.resume().unwrap();
    lab.ask("say: moved");
    lab.shows("moved").await;
    assert_eq!(lab.homeserver.timeline().len(), 1, "nobody hears of it");
    let sends = lock(&lab.app.sends).clone();
    let conversations: Vec<_> = sends.iter().map(|(to, _)| &to.conversation).collect();
    assert_eq!(sends.len(), 2);
    assert_ne!(conversations[0], conversations[1]);
    assert_eq!(*conversations[1], Conversation::Own(new));
    let policy = ToolPolicy {
        mode: PermissionMode::Strict,
        chat_only: true,
    };
    assert!(sends.iter().all(|(_, told)| *told == policy), "{sends:?}");
}
