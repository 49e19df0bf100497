//! The catalogue as models and admins see it, and what callers may not do.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    agents::{provision::ProvisionConfig, registry::Registry},
    config::Permissions,
    journal::JournalLimits,
    matrix::scripted_homeserver::{Fault, ScriptedHomeserver},
};

/// Tools with every one of them allowed.
struct Lab {
    tools: Tools,
    homeserver: ScriptedHomeserver,
    journal: Journal,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn with(config: config::Tools) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(folder.path(), JournalLimits::default()).expect("a journal");
        let record = json!({ "id": "agent-1", "name": "Ada" });
        let record = serde_json::from_value(record).expect("a record");
        journal.set_agent(&record).expect("written");
        let homeserver = ScriptedHomeserver::default();
        let identity = Identity::new(
            ruma::server_name!("house.test"),
            "agent_{id}".parse().expect("a template"),
            "letta",
            "letta_agents",
        )
        .expect("an identity");
        let provision = ProvisionConfig {
            identity: identity.clone(),
            permissions: Permissions::nobody(),
            space: config::Space::default(),
            rooms: config::Rooms::default(),
            bot_name: None,
            invites_to_rooms: true,
            bot_has_avatar: false,
        };
        let provisioner = Provisioner::new(
            Registry::load(journal.clone()).expect("agents"),
            homeserver.client(),
            Encryption::default(),
            journal.clone(),
            provision,
        );
        let tools = Tools::new(ToolContext {
            encryption: Encryption::default(),
            journal: journal.clone(),
            homeserver: homeserver.client(),
            identity,
            agents: Arc::new(provisioner),
            config,
        });
        Self {
            tools,
            homeserver,
            journal,
            _folder: folder,
        }
    }

    fn caller(&self) -> Caller {
        let token = token::issue(&self.journal, &agent()).expect("a token");
        let caller = self.tools.authenticate(token.expose());
        caller.expect("a journal").expect("a caller")
    }
}

fn agent() -> AgentId {
    "agent-1".parse().expect("an id")
}

fn all_allowed() -> config::Tools {
    config::Tools {
        allow: list().iter().map(|tool| tool.name.to_owned()).collect(),
        per_minute: std::num::NonZeroU32::MAX,
        ..config::Tools::default()
    }
}

#[test]
fn configuration_knows_the_tools_that_there_are() {
    let names = list().iter().map(|tool| tool.name);
    assert!(names.eq(config::Tools::names()));
    // What the sample says there is besides.
    let sample = include_str!("../../config.yaml.example");
    for name in config::Tools::names() {
        assert!(sample.contains(name), "{name}");
    }
}

#[test]
fn every_argument_is_described_and_no_other_is_taken() {
    for tool in list() {
        let schema = Value::Object(tool.schema());
        assert_eq!(schema["type"], "object", "{}", tool.name);
        assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
        let properties = schema["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            let described = property["description"].is_string();
            assert!(described, "{} does not say what {name} is", tool.name);
        }
        assert!(!schema.to_string().contains("$ref"), "{}", tool.name);
    }
}

#[tokio::test]
async fn token_is_valid_until_it_is_revoked_or_its_agent_is_gone() {
    let lab = Lab::with(config::Tools::default());
    let token = token::issue(&lab.journal, &agent()).expect("a token");
    let shown = |token: &str| lab.tools.authenticate(token).expect("a journal");
    let caller = shown(token.expose()).expect("its agent");
    assert_eq!(caller.agent, agent());
    assert_eq!(caller.ghost, "@agent_1:house.test");
    let half = &token.expose()[..20];
    for other in ["", "mal_", half, &token.expose().to_uppercase()] {
        assert!(shown(other).is_none(), "{other}");
    }
    let unknown = token::issue(&lab.journal, &"agent-9".parse().expect("an id"));
    assert!(shown(unknown.expect("a token").expose()).is_none());
    assert_eq!(token::revoke(&lab.journal, &agent()).expect("a journal"), 1);
    assert!(shown(token.expose()).is_none());
    for _ in 0..token::TOKENS_MAX {
        token::issue(&lab.journal, &agent()).expect("a token");
    }
    let more = token::issue(&lab.journal, &agent());
    assert!(matches!(more, Err(token::TokenError::TooMany)));
}

#[tokio::test]
async fn what_is_not_allowed_or_too_often_reaches_no_homeserver() {
    let lab = Lab::with(config::Tools {
        per_minute: const { std::num::NonZeroU32::new(2).unwrap() },
        ..config::Tools::default()
    });
    let caller = lab.caller();
    let call = async |name: &str| lab.tools.call(&caller, name, Map::new()).await;
    let code = |outcome: Result<Value, ToolError>| outcome.map_err(|error| error.code());
    assert_eq!(code(call("matrix_join").await), Err("not_allowed"));
    assert_eq!(code(call("matrix_nothing").await), Err("unknown_tool"));
    assert!(call("list_agents").await.is_ok());
    assert!(call("list_agents").await.is_ok());
    assert_eq!(code(call("list_agents").await), Err("rate_limited"));
    assert!(lab.homeserver.requests().is_empty());
}

/// Every fault of a homeserver becomes an error that says whether it makes sense to try again.
#[tokio::test(start_paused = true)]
async fn errors_say_whether_to_try_again() {
    let lab = Lab::with(all_allowed());
    let caller = lab.caller();
    let refusal = |code: &str| json!({ "errcode": code, "error": "no" });
    let cases = [
        (Fault::Answer(403, refusal("M_FORBIDDEN")), "forbidden"),
        (Fault::Answer(404, refusal("M_NOT_FOUND")), "not_found"),
        (Fault::Answer(400, refusal("M_BAD_STATE")), "refused"),
        (
            Fault::Answer(400, refusal("M_INVALID_PARAM")),
            "bad_arguments",
        ),
        (Fault::Words(413, "too large"), "refused"),
        (Fault::Panic, "panicked"),
    ];
    for (fault, code) in cases {
        lab.homeserver.fails("m.room.topic", [fault.clone()]);
        let given = json!({ "room_id": "!room:house.test", "topic": "news" });
        let given = given.as_object().cloned().unwrap_or_default();
        let outcome = lab.tools.call(&caller, "matrix_set_topic", given).await;
        assert_eq!(
            outcome.map_err(|error| error.code()),
            Err(code),
            "{fault:?}"
        );
    }
    // A homeserver that is away for longer than a call may take.
    lab.homeserver
        .fails("m.room.topic", vec![Fault::Unreached; 10_000]);
    let given = json!({ "room_id": "!room:house.test", "topic": "news" });
    let given = given.as_object().cloned().unwrap_or_default();
    let outcome = lab.tools.call(&caller, "matrix_set_topic", given).await;
    let code = outcome.map_err(|error| error.code());
    assert!(
        matches!(code, Err("timed_out" | "homeserver_unavailable")),
        "{code:?}"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        Just("!room:house.test".to_owned()),
        Just("$event".to_owned()),
        Just("@ann:house.test".to_owned()),
        Just(String::new()),
        "\\PC{0,40}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever a model makes up, it is told what is wrong, or it is done as its own ghost.
    #[test]
    fn any_arguments_are_answered(values in prop::collection::vec(any_json(), 8)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let lab = Lab::with(all_allowed());
            let caller = lab.caller();
            for tool in list() {
                let schema = Value::Object(tool.schema());
                let names = schema["properties"].as_object().cloned().unwrap_or_default();
                let given = names.into_iter().map(|(name, _)| name).zip(values.clone()).collect();
                let outcome = lab.tools.call(&caller, tool.name, given).await;
                if let Err(failure) = outcome {
                    assert!(!failure.to_string().is_empty());
                }
            }
            for request in lab.homeserver.requests() {
                assert!(request.target.contains("user_id=@agent_1:house.test"), "{}", request.target);
            }
        });
    }
}
