//! What is said about who may approve is what is checked.

use letta_client::ApprovalRequest;
use ruma::{owned_event_id, owned_room_id, owned_user_id, user_id};

use super::*;
use crate::{
    journal::{ConversationKey, QueuedPrompt, SendId, TurnId},
    time::Millis,
};

const ANN: &str = "@ann:example.org";
const BOB: &str = "@bob:example.org";
const EVE: &str = "@eve:example.org";

fn turn(askers: &[&str]) -> TurnRecord {
    let agent: letta_client::AgentId = "agent-1".parse().unwrap();
    let prompt = |asker: &&str| QueuedPrompt {
        event_id: owned_event_id!("$asked"),
        sender: UserId::parse(*asker).unwrap(),
        text: "?".to_owned(),
        admitted_at: Millis(0),
        retries: 0,
        attachment: None,
        reply_to: None,
    };
    let key = ConversationKey {
        agent,
        room: owned_room_id!("!room"),
        thread: None,
    };
    let prompts = askers.iter().map(prompt).collect();
    TurnRecord::new(TurnId::named(&["turn"]), key, prompts, Millis(0))
}

fn ask(found: bool) -> ApprovalRecord {
    let request = ApprovalRequest {
        id: "message-1".parse().unwrap(),
        calls: Vec::new(),
    };
    ApprovalRecord {
        found,
        ..ApprovalRecord::new(&request, SendId::of(&["card"]), Millis(0))
    }
}

/// Ann may talk, Bob may use commands, Eve is an admin.
fn permissions() -> Permissions {
    let mut permissions = Permissions::nobody();
    permissions.grant(owned_user_id!("@ann:example.org"), Level::Talk);
    permissions.grant(owned_user_id!("@bob:example.org"), Level::User);
    permissions.grant(owned_user_id!("@eve:example.org"), Level::Admin);
    permissions
}

/// Which of them may approve.
fn included(approvers: &Approvers) -> Vec<&'static str> {
    let permissions = permissions();
    let may = |id: &&str| {
        let user = UserId::parse(*id).unwrap();
        let level = permissions.level(&user);
        approvers.include(Requester { user: &user, level })
    };
    [ANN, BOB, EVE, "@mallory:example.org"]
        .into_iter()
        .filter(may)
        .collect()
}

#[test]
fn sentence_names_exactly_who_may_approve() {
    let askers: [&[&str]; 7] = [
        &[],
        &[ANN],
        &[BOB],
        &[BOB, BOB],
        &[ANN, BOB],
        &[BOB, ANN],
        &[EVE, BOB],
    ];
    for askers in askers {
        for found in [false, true] {
            for level in [Level::Talk, Level::User, Level::Admin] {
                let approvers = Approvers::of(&turn(askers), &ask(found), &permissions(), level);
                let (sentence, included) = (approvers.sentence(), included(&approvers));
                let case = format!("{askers:?} {found} {level}: {sentence}");
                assert!(included.contains(&EVE), "{case}");
                for person in [ANN, BOB] {
                    let named = sentence.starts_with(&format!("Only {person} or an admin"));
                    assert_eq!(included.contains(&person), named, "{case}");
                }
                let only_admins = sentence
                    .to_lowercase()
                    .contains("only an admin can approve");
                let named = sentence.starts_with("Only @");
                assert!(only_admins != named, "{case}");
            }
        }
    }
}

#[test]
fn level_decides_who_approves_their_own_tool_calls() {
    let who = |asker, level| {
        included(&Approvers::of(
            &turn(&[asker]),
            &ask(false),
            &permissions(),
            level,
        ))
    };
    assert_eq!(who(ANN, Level::Talk), [ANN, EVE]);
    assert_eq!(who(ANN, Level::User), [EVE]);
    assert_eq!(who(BOB, Level::User), [BOB, EVE]);
    assert_eq!(who(BOB, Level::Admin), [EVE]);
    // A level that everybody has would let the blocked approve.
    assert_eq!(who("@mallory:example.org", Level::Block), [EVE]);
}

#[test]
fn prompts_of_two_people_are_for_an_admin_to_approve() {
    // Older versions merged them, and such a turn may wait since then.
    let approvers = Approvers::of(&turn(&[BOB, ANN]), &ask(false), &permissions(), Level::Talk);
    assert_eq!(included(&approvers), [EVE]);
    let user = user_id!("@ann:example.org");
    let denies = Requester {
        user,
        level: Level::Talk,
    };
    assert!(denies.may_stop(&turn(&[BOB, ANN])), "to deny is safe");
}

#[test]
fn sentences_read_well() {
    let said = |askers: &[&str], found| {
        Approvers::of(&turn(askers), &ask(found), &permissions(), Level::User).sentence()
    };
    let all = [
        said(&[BOB], false),
        said(&[ANN], false),
        said(&[], false),
        said(&[BOB], true),
        said(&[ANN, BOB], false),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    Only @bob:example.org or an admin can approve it, and approving needs the level `user`.
    Only an admin can approve it: approving needs the level `user` (`turns.approve_level`), which @ann:example.org does not have.
    Nobody here has asked for it, so only an admin can approve it.
    It was asked before, so only an admin can approve it.
    Several people have asked for it together, so only an admin can approve it.
    ");
}
