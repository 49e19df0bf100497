//! What a person and an agent say to each other.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use letta_client::{
    AgentId, Backend, BackendError, Conversation, Decision, Destination, Image, Part, Prompt,
    StopReason, ToolPolicy, TurnEvent, TurnStream,
    app_server::{AppServerBackend, AppServerConfig},
};
use serde_json::json;
use tempfile::TempDir;

use crate::server::LettaAppServer;

/// A red square of 8 by 8 pixels.
const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00\x4b\x6d\x29\xdc\x00\x00\x00\x12\x49\x44\x41\x54\x78\x9c\x63\xf8\xcf\xc0\x80\x15\x61\x17\x1d\xb4\x12\x00\x28\xff\x3f\xc1\x6e\xec\xdf\x61\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

/// How long a turn of these tests may take.
const TURN_MAX: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) server: LettaAppServer,
    pub(crate) backend: AppServerBackend,
    pub(crate) agent: AgentId,
    _home: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let home = TempDir::new().expect("a folder");
        let server = LettaAppServer::start(home.path(), Some("open-sesame")).await;
        let agent = server.make_agent("Ada").await;
        let backend = backend_at(&server.url());
        Self {
            server,
            backend,
            agent,
            _home: home,
        }
    }

    pub(crate) async fn room(&self) -> Destination {
        let conversation = self
            .backend
            .create_conversation(&self.agent, "a room")
            .await;
        Destination {
            agent: self.agent.clone(),
            conversation: conversation.expect("a conversation"),
        }
    }

    pub(crate) async fn say(&self, to: &Destination, key: &str, text: &str) -> TurnStream {
        let sent = self
            .backend
            .send(to, &[prompt(key, text)], ToolPolicy::default())
            .await;
        sent.unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }
}

/// A backend that is quick to connect again.
pub(crate) fn backend_at(url: &str) -> AppServerBackend {
    let config = AppServerConfig {
        token: Some("open-sesame".into()),
        reconnect_delay: Duration::from_millis(50),
        ..AppServerConfig::new(url)
    };
    AppServerBackend::new(config).expect("a configuration that works")
}

pub(crate) fn prompt(key: &str, text: &str) -> Prompt {
    Prompt::new(key, text)
}

/// What a turn has said in the end, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct TurnTranscript {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) events: Vec<TurnEvent>,
    pub(crate) end: Option<Result<StopReason, BackendError>>,
}

pub(crate) async fn read_turn(mut turn: TurnStream) -> TurnTranscript {
    let mut heard = TurnTranscript::default();
    let mut texts: Vec<(letta_client::MessageId, String)> = Vec::new();
    let listening = async {
        while let Some(item) = turn.next().await {
            assert!(heard.end.is_none(), "nothing follows the end");
            match item {
                Ok(TurnEvent::Finished(stop)) => heard.end = Some(Ok(stop)),
                Err(error) => heard.end = Some(Err(error)),
                Ok(event) => {
                    match &event {
                        TurnEvent::Text { message, delta } => {
                            match texts.iter_mut().find(|(id, _)| id == message) {
                                Some((_, text)) => text.push_str(delta),
                                None => texts.push((message.clone(), delta.clone())),
                            }
                        }
                        TurnEvent::Discard { message } => texts.retain(|(id, _)| id != message),
                        TurnEvent::Reasoning { delta, .. } => heard.reasoning.push_str(delta),
                        _ => {}
                    }
                    heard.events.push(event);
                }
            }
        }
    };
    tokio::time::timeout(TURN_MAX, listening)
        .await
        .expect("the turn ends");
    heard.text = texts.into_iter().map(|(_, text)| text).collect();
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_answer_ask_first_and_are_stopped() {
    let world = World::start().await;
    let info = world.backend.info().await.unwrap();
    assert_eq!(info.kind, "Letta App Server");
    let agents = world.backend.agents().await.unwrap();
    assert!(
        agents
            .iter()
            .any(|agent| agent.id == world.agent && agent.name == "Ada"),
        "{agents:?}"
    );
    let room = world.room().await;

    it_answers(&world, &room).await;
    its_tools_ask_first(&world, &room).await;
    it_is_stopped_and_fails(&world, &room).await;
    let history = world.backend.history(&room, 50).await.unwrap();
    let first: Vec<_> = history
        .iter()
        .take(2)
        .map(|item| (item.key.as_deref(), item.text.as_str()))
        .collect();
    assert_eq!(
        first,
        [
            (Some("$1"), "say hello **world**"),
            (None, "hello **world**")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn picture_reaches_a_model_that_sees_and_no_other() {
    let world = World::start().await;
    let seeing = world.server.make_seeing_agent("Sees").await;
    for (agent, sees) in [(seeing, true), (world.agent.clone(), false)] {
        let listed = world
            .backend
            .agent(&agent)
            .await
            .unwrap()
            .expect("it is there");
        let takes = world.backend.takes_pictures(listed.model.as_deref());
        assert_eq!(takes, sees, "{listed:?}");
        let conversation = world.backend.create_conversation(&agent, "pictures").await;
        let to = Destination {
            agent,
            conversation: conversation.unwrap(),
        };
        let mut look = prompt("$look", "pictures");
        look.parts.push(Part::Image(Image {
            mimetype: "image/png".into(),
            bytes: PNG.into(),
        }));
        let turn = world
            .backend
            .send(&to, &[look], ToolPolicy::default())
            .await;
        let told = read_turn(turn.unwrap()).await;
        assert_eq!(told.text, if sees { "1 of 1" } else { "0 of 0" });
        let shown = world.server.model.pictures();
        assert_eq!(shown.len(), usize::from(sees), "{shown:?}");
        // It is shown again with every later turn.
        let next = [prompt("$next", "pictures")];
        let turn = world.backend.send(&to, &next, ToolPolicy::default()).await;
        let told = read_turn(turn.unwrap()).await;
        assert_eq!(told.text, if sees { "0 of 1" } else { "0 of 0" });
    }
}

async fn it_answers(world: &World, room: &Destination) {
    let heard = read_turn(world.say(room, "$1", "say hello **world**").await).await;
    assert_eq!(heard.text, "hello **world**");
    assert!(
        matches!(heard.end, Some(Ok(StopReason::EndTurn))),
        "{heard:?}"
    );
    assert!(
        matches!(&heard.events[0], TurnEvent::Started { run, resumable: true } if run.as_str() == "$1")
    );

    let heard = read_turn(world.say(room, "$2", "think about it").await).await;
    assert_eq!(
        (heard.reasoning.as_str(), heard.text.as_str()),
        ("about it", "done")
    );

    // The same prompt again is the same turn.
    let asked = world.server.model.asked();
    let heard = read_turn(world.say(room, "$2", "think about it").await).await;
    assert_eq!(
        (heard.text.as_str(), world.server.model.asked()),
        ("done", asked)
    );
}

async fn its_tools_ask_first(world: &World, room: &Destination) {
    for (key, approve, expected) in [
        ("$3", true, "it returned: 42"),
        ("$4", false, "it returned: not today"),
    ] {
        let heard = read_turn(world.say(room, key, "run echo $((6*7))").await).await;
        assert!(
            matches!(heard.end, Some(Ok(StopReason::NeedsApproval))),
            "{heard:?}"
        );
        let Some(TurnEvent::Approval(request)) = heard.events.last() else {
            panic!("{heard:?}")
        };
        assert_eq!(
            world.backend.pending_approval(room).await.unwrap().as_ref(),
            Some(request)
        );
        assert!(
            request.calls[0].arguments.contains("echo $((6*7))"),
            "{request:?}"
        );
        let call = request.calls[0].id.clone();
        let decision = Decision {
            call,
            approve,
            reason: (!approve).then(|| "not today".into()),
        };
        let decided = world
            .backend
            .decide(room, request, std::slice::from_ref(&decision))
            .await
            .unwrap();
        let heard = read_turn(decided).await;
        assert_eq!(heard.text.trim(), expected, "{heard:?}");
        assert!(matches!(heard.end, Some(Ok(StopReason::EndTurn))));
        let again = world.backend.decide(room, request, &[decision]).await;
        assert!(matches!(again, Err(BackendError::NotPending)));
    }
}

async fn it_is_stopped_and_fails(world: &World, room: &Destination) {
    let turn = world.say(room, "$5", "count 50").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.backend.cancel(room).await.unwrap());
    let heard = read_turn(turn).await;
    assert!(
        matches!(heard.end, Some(Ok(StopReason::Cancelled))),
        "{heard:?}"
    );
    assert!(heard.text.starts_with("1 2 "), "{heard:?}");
    assert!(!world.backend.cancel(room).await.unwrap());

    // What the provider says is for the log, and the turn has failed.
    let heard = read_turn(world.say(room, "$6", "fail").await).await;
    let Some(Ok(StopReason::Failed(failure))) = &heard.end else {
        panic!("{heard:?}")
    };
    assert!(failure.detail.contains("the script says so"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_do_not_wait_for_each_other_and_hear_what_others_start() {
    let world = World::start().await;
    let (one, two) = (world.room().await, world.room().await);
    let mut external = world.backend.external_turns().unwrap();
    let (slow, quick) = tokio::join!(
        async {
            (
                read_turn(world.say(&one, "$a", "count 12").await).await,
                Instant::now(),
            )
        },
        async {
            (
                read_turn(world.say(&two, "$b", "say quick").await).await,
                Instant::now(),
            )
        },
    );
    assert_eq!((slow.0.text.len(), quick.0.text.as_str()), (27, "quick"));
    assert!(quick.1 < slow.1, "the rooms of one agent are independent");

    // A room in which the agent may only talk.
    let chat_only = ToolPolicy {
        chat_only: true,
        ..ToolPolicy::default()
    };
    let talk = [prompt("$c", "tools")];
    let talk = world.backend.send(&two, &talk, chat_only).await.unwrap();
    assert_eq!(read_turn(talk).await.text, "0");
    let all = read_turn(world.say(&two, "$d", "tools").await).await.text;
    assert!(all.parse::<u32>().unwrap() > 0, "{all}");

    // Somebody else starts a turn in Letta's own app, and we say something meanwhile.
    let Conversation::Own(conversation) = &one.conversation else {
        panic!("{one:?}")
    };
    let runtime = json!({"agent_id": world.agent, "conversation_id": conversation});
    let message = json!({"role": "user", "content": "count 8", "client_message_id": "theirs"});
    let input = json!({"type": "input", "runtime": runtime,
        "payload": {"kind": "create_message", "messages": [message]}});
    let accepted = world.server.ask(input).await;
    assert_eq!(accepted["accepted"], true, "{accepted}");
    let others = tokio::time::timeout(TURN_MAX, external.next()).await;
    let others = others.expect("it is heard").expect("the backend lives");
    assert_eq!((&others.at, others.key.as_str()), (&one, "theirs"));
    let ours = world.say(&one, "$e", "say after you").await;
    let (others, ours) = tokio::join!(read_turn(others.turn), read_turn(ours));
    assert_eq!(
        (others.text.as_str(), ours.text.as_str()),
        ("1 2 3 4 5 6 7 8 ", "after you")
    );
    assert!(
        matches!(ours.end, Some(Ok(StopReason::EndTurn))),
        "{ours:?}"
    );
}
