//! Carrying out what a conversation wants done.

use tokio::time::sleep;

use super::{ConversationState, LAST_TURNS_MAX, MESSAGES_PAGE, RequestKind, Subscription, Task};
use crate::{
    app_server::{
        command::{MessagesQuery, Request},
        link::SocketRole,
        runtime::{Alarm, Effect, ExternalTurnStarted},
        wire::Scope,
    },
    backend::ExternalTurn,
};

impl Task {
    pub(super) fn carry_out(&mut self, scope: &Scope, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Wake(after, alarm) => {
                    let scope = scope.clone();
                    self.alarms.push(Box::pin(async move {
                        sleep(after).await;
                        (scope, alarm)
                    }));
                }
                Effect::ExternalTurnStarted(heard) => self.publish_external_turn(scope, heard),
                effect => {
                    let room = self.conversations.get(scope);
                    // What cannot be asked now is asked when the conversation is subscribed again.
                    let room = room.filter(|room| room.main == Subscription::Yes);
                    let asking = room.and_then(|room| room.asking(scope, &effect));
                    if let Some((request, what)) = asking {
                        self.request(SocketRole::Main, request, what);
                    }
                }
            }
        }
        self.limit_last_turns(scope);
    }

    /// Forgets the last turn of the conversation that was quiet the longest, if there are too many.
    fn limit_last_turns(&mut self, scope: &Scope) {
        let has_last_turn = |room: &ConversationState| room.runtime.has_last_turn();
        if self.remembered.back() == Some(scope)
            || !self.conversations.get(scope).is_some_and(has_last_turn)
        {
            return;
        }
        self.remembered.retain(|known| known != scope);
        self.remembered.push_back(scope.clone());
        if self.remembered.len() > LAST_TURNS_MAX
            && let Some(oldest) = self.remembered.pop_front()
            && let Some(room) = self.conversations.get_mut(&oldest)
        {
            room.runtime.drop_last_turn();
        }
    }

    fn publish_external_turn(&self, scope: &Scope, heard: ExternalTurnStarted) {
        let Some(at) = scope.destination() else {
            return;
        };
        let ExternalTurnStarted { key, prompt, turn } = heard;
        let heard = ExternalTurn {
            at,
            key,
            prompt,
            turn,
        };
        if self.external_turns.try_send(heard).is_err() {
            tracing::debug!("external turn dropped: receiver full or gone");
        }
    }

    pub(super) fn alarm(&mut self, scope: &Scope, alarm: Alarm) {
        let mut effects = Vec::new();
        if let Some(room) = self.conversations.get_mut(scope) {
            room.runtime.alarm(alarm, &mut effects);
        }
        self.carry_out(scope, effects);
    }
}

/// Asks for the newest stored messages of a conversation, or for those before one.
pub(super) fn history_request(scope: &Scope, before: Option<String>) -> Request {
    Request::ConversationMessagesList {
        conversation_id: scope.conversation_id.clone(),
        query: MessagesQuery {
            agent_id: scope.agent_id.clone(),
            limit: MESSAGES_PAGE,
            order: "desc",
            before,
        },
    }
}

impl ConversationState {
    /// What to ask the server for an effect, if anything.
    fn asking(&self, scope: &Scope, effect: &Effect) -> Option<(Request, RequestKind)> {
        let runtime = scope.clone();
        let conversation_id = scope.conversation_id.clone();
        Some(match effect {
            Effect::SendInput => {
                let payload = self.runtime.input().cloned()?;
                let what = RequestKind::Input(scope.clone());
                (Request::Input { runtime, payload }, what)
            }
            Effect::Decide => {
                let payload = self.runtime.decision().cloned()?;
                let what = RequestKind::Decision(scope.clone());
                (Request::Input { runtime, payload }, what)
            }
            Effect::ReadHistory => (
                history_request(scope, None),
                RequestKind::ReadHistory(runtime, Vec::new()),
            ),
            Effect::Fork => {
                let fork = Request::ConversationFork { conversation_id };
                (fork, RequestKind::Fork(runtime))
            }
            Effect::ResumeQueue => (Request::ResumeQueue { runtime }, RequestKind::Nothing),
            Effect::Wake(..) | Effect::ExternalTurnStarted(_) => return None,
        })
    }
}
