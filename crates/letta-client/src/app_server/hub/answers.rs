//! What the server answers.

use super::{Line, Subscription, Task, What};
use crate::{
    app_server::{
        missing::About,
        runtime::Looked,
        wire::{Answer, Scope},
    },
    error::{BackendError, Missing},
    id::ConversationId,
    rest::wire::Message,
};

impl Task {
    pub(super) fn answer(&mut self, line: Line, id: &str, body: &str) {
        let Some(asked) = self.asked.remove(id).filter(|asked| asked.line() == line) else {
            // Answered too late, or never asked.
            return;
        };
        let mut answer = match Answer::read(body) {
            Ok(answer) => answer,
            Err(error) => return self.unanswered(asked.what, &error),
        };
        match asked.what {
            What::Plain(reply) if answer.is_ok() => drop(reply.send(Ok(answer))),
            What::Plain(reply) => {
                drop(reply.send(Err(asked.about.refusal(answer.error.as_deref()))));
            }
            What::Cancel(scope, reply) => self.cancelled(&scope, &answer, reply),
            What::Nothing => {}
            What::Start(line, scope) => self.started(line, &scope, &answer),
            What::Input(scope) => self.has_input(&scope, &answer),
            What::Decision(scope) => self.has_decision(&scope, &answer),
            What::Look(scope) if answer.is_ok() => match answer.take_messages() {
                Ok(messages) => self.looked(&scope, messages),
                Err(error) => self.unanswered(What::Look(scope), &error),
            },
            What::Fork(scope) if answer.is_ok() => self.forked(&scope, &answer),
            what @ (What::Look(_) | What::Fork(_)) => {
                self.unanswered(what, &asked.about.refusal(answer.error.as_deref()));
            }
        }
    }

    fn started(&mut self, line: Line, scope: &Scope, answer: &Answer) {
        if !answer.is_ok() {
            let why = About::scope(scope).refusal(answer.error.as_deref());
            let gone = line == Line::Main && matches!(why, BackendError::NotFound { .. });
            self.unanswered(What::Start(line, scope.clone()), &why);
            if gone && let Some(mut room) = self.rooms.remove(scope) {
                room.runtime.is_gone(&why);
            }
            return;
        }
        let Some(room) = self.rooms.get_mut(scope) else {
            return;
        };
        if line == Line::Guard {
            room.guard = Subscription::Yes;
            return;
        }
        room.main = Subscription::Yes;
        room.decided_before = room.runtime.decision().is_some();
        for reply in room.subscribing.drain(..) {
            let _ = reply.send(Ok(()));
        }
        let mut effects = Vec::new();
        room.runtime.subscribed(&mut effects);
        self.carry_out(scope, effects);
    }

    fn has_input(&mut self, scope: &Scope, answer: &Answer) {
        let Some(room) = self.rooms.get_mut(scope) else {
            return;
        };
        let reply = room.sending.take();
        if !answer.is_ok() {
            room.runtime.refused();
            if let Some(reply) = reply {
                let why = About::scope(scope).refusal(answer.error.as_deref());
                let _ = reply.send(Err(why));
            }
            return;
        }
        let mut effects = Vec::new();
        let queued = answer.disposition.as_deref() == Some("queued");
        let stream = room.runtime.accepted(queued, &mut effects);
        if let (Some(reply), Some(stream)) = (reply, stream) {
            let _ = reply.send(Ok(stream));
        }
        self.carry_out(scope, effects);
    }

    fn has_decision(&mut self, scope: &Scope, answer: &Answer) {
        let Some(room) = self.rooms.get_mut(scope) else {
            return;
        };
        let Some((request, reply)) = room.deciding.take() else {
            return;
        };
        // Sent again, it is no longer pending if it had arrived the first time.
        let stream = if answer.is_ok() || room.decided_before {
            room.runtime.decided(&request)
        } else {
            room.runtime.not_pending();
            None
        };
        let _ = reply.send(stream.ok_or(BackendError::NotPending));
    }

    fn looked(&mut self, scope: &Scope, messages: Vec<Message>) {
        let Some(room) = self.rooms.get_mut(scope) else {
            return;
        };
        let mut effects = Vec::new();
        let looked = room.runtime.looked(messages, &mut effects);
        if let Some(reply) = room.resuming.take() {
            let _ = reply.send(match looked {
                Looked::Stream(Some(stream)) => Ok(stream),
                Looked::Stream(None) | Looked::Unknown => Err(BackendError::NotFound {
                    missing: Missing::Run,
                    what: "this run".to_owned(),
                }),
            });
        }
        self.carry_out(scope, effects);
    }

    fn forked(&mut self, scope: &Scope, answer: &Answer) {
        let id = answer
            .conversation
            .as_ref()
            .and_then(|made| made.id.clone());
        let id = id.and_then(|id| ConversationId::parse(id).ok());
        let Some(id) = id else {
            let detail = "a copied conversation without an id".to_owned();
            return self.unanswered(
                What::Fork(scope.clone()),
                &BackendError::Protocol { detail },
            );
        };
        if let Some(mut room) = self.rooms.remove(scope) {
            tracing::info!(
                agent.id = scope.agent_id, from = scope.conversation_id, to = %id,
                "a stuck conversation goes on in a copy"
            );
            room.runtime.moved(&id);
            room.fail(&BackendError::Moved { to: id });
        }
    }

    fn cancelled(&mut self, scope: &Scope, answer: &Answer, reply: super::Reply<bool>) {
        if !answer.is_ok() {
            let why = About::scope(scope).refusal(answer.error.as_deref());
            let _ = reply.send(Err(why));
            return;
        }
        // Taking an item out of the queue has no word of its own for having done it.
        let stopped = answer.aborted.unwrap_or(true);
        if let Some(room) = self
            .rooms
            .get_mut(scope)
            .filter(|_| answer.aborted.is_none())
        {
            room.runtime.taken_out();
        }
        let _ = reply.send(Ok(stopped));
    }
}
