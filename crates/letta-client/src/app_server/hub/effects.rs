//! Carrying out what a conversation wants done.

use tokio::time::sleep;

use super::{LAST_TURNS_MAX, LOOK_MESSAGES, Room, Subscription, Task, What};
use crate::{
    app_server::{
        command::{MessagesQuery, Request},
        link::Line,
        runtime::{Alarm, Effect, Heard},
        wire::Scope,
    },
    backend::Overheard,
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
                Effect::Heard(heard) => self.tell(scope, heard),
                effect => {
                    let room = self.rooms.get(scope);
                    // What cannot be asked now is asked when the conversation is subscribed again.
                    let room = room.filter(|room| room.main == Subscription::Yes);
                    let asking = room.and_then(|room| room.asking(scope, &effect));
                    if let Some((request, what)) = asking {
                        self.request(Line::Main, request, what);
                    }
                }
            }
        }
        self.limit_last_turns(scope);
    }

    /// Forgets the last turn of the conversation that was quiet the longest, if there are too many.
    fn limit_last_turns(&mut self, scope: &Scope) {
        let has_last = |room: &Room| room.runtime.has_last();
        if self.remembered.back() == Some(scope) || !self.rooms.get(scope).is_some_and(has_last) {
            return;
        }
        self.remembered.retain(|known| known != scope);
        self.remembered.push_back(scope.clone());
        if self.remembered.len() > LAST_TURNS_MAX
            && let Some(oldest) = self.remembered.pop_front()
            && let Some(room) = self.rooms.get_mut(&oldest)
        {
            room.runtime.forget_last();
        }
    }

    fn tell(&self, scope: &Scope, heard: Heard) {
        let Some(at) = scope.destination() else {
            return;
        };
        let Heard { key, prompt, turn } = heard;
        let heard = Overheard {
            at,
            key,
            prompt,
            turn,
        };
        if self.overheard.try_send(heard).is_err() {
            tracing::debug!("nobody listens to a turn that others have started");
        }
    }

    pub(super) fn alarm(&mut self, scope: &Scope, alarm: Alarm) {
        let mut effects = Vec::new();
        if let Some(room) = self.rooms.get_mut(scope) {
            room.runtime.alarm(alarm, &mut effects);
        }
        self.carry_out(scope, effects);
    }
}

impl Room {
    /// What to ask the server for an effect, if anything.
    fn asking(&self, scope: &Scope, effect: &Effect) -> Option<(Request, What)> {
        let runtime = scope.clone();
        let conversation_id = scope.conversation_id.clone();
        Some(match effect {
            Effect::Ask => {
                let payload = self.runtime.input().cloned()?;
                let what = What::Input(scope.clone());
                (Request::Input { runtime, payload }, what)
            }
            Effect::Decide => {
                let payload = self.runtime.decision().cloned()?;
                let what = What::Decision(scope.clone());
                (Request::Input { runtime, payload }, what)
            }
            Effect::Look => {
                let query = MessagesQuery {
                    agent_id: scope.agent_id.clone(),
                    limit: LOOK_MESSAGES,
                    order: "desc",
                    before: None,
                };
                let list = Request::ConversationMessagesList {
                    conversation_id,
                    query,
                };
                (list, What::Look(runtime))
            }
            Effect::Fork => {
                let fork = Request::ConversationFork { conversation_id };
                (fork, What::Fork(runtime))
            }
            Effect::ResumeQueue => (Request::ResumeQueue { runtime }, What::Nothing),
            Effect::Wake(..) | Effect::Heard(_) => return None,
        })
    }
}
