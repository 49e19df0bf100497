//! What the server answers.

use super::{LOOK_MESSAGES, RequestKind, SocketRole, Subscription, Task, effects::history_request};
use crate::{
    app_server::{
        missing::RequestSubject,
        runtime::HistoryLookup,
        wire::{ResponseBody, Scope},
    },
    error::{BackendError, MissingResource},
    id::ConversationId,
    rest::wire::Message,
};

impl Task {
    pub(super) fn answer(&mut self, line: SocketRole, id: &str, body: &str) {
        let Some(pending) = self
            .pending
            .remove(id)
            .filter(|pending| pending.line() == line)
        else {
            // Answered too late, or never asked.
            return;
        };
        let mut answer = match ResponseBody::read(body) {
            Ok(answer) => answer,
            Err(error) => return self.request_failed(pending.what, &error),
        };
        match pending.what {
            RequestKind::Plain(reply) if answer.is_ok() => drop(reply.send(Ok(answer))),
            RequestKind::Plain(reply) => {
                drop(reply.send(Err(
                    pending.about.error_from_message(answer.error.as_deref()),
                )));
            }
            RequestKind::Cancel(scope, reply) => self.cancelled(&scope, &answer, reply),
            RequestKind::Nothing => {}
            RequestKind::Start(line, scope) => self.started(line, &scope, &answer),
            RequestKind::Input(scope) => self.input_answered(&scope, &answer),
            RequestKind::Decision(scope) => self.decision_answered(&scope, &answer),
            RequestKind::ReadHistory(scope, newer) if answer.is_ok() => {
                match answer.take_messages() {
                    Ok(messages) => {
                        let before = answer.next_before.filter(|_| answer.has_more == Some(true));
                        self.looked_at_page(&scope, newer, messages, before);
                    }
                    Err(error) => {
                        self.request_failed(RequestKind::ReadHistory(scope, newer), &error);
                    }
                }
            }
            RequestKind::Fork(scope) if answer.is_ok() => self.forked(&scope, &answer),
            what @ (RequestKind::ReadHistory(..) | RequestKind::Fork(_)) => {
                self.request_failed(
                    what,
                    &pending.about.error_from_message(answer.error.as_deref()),
                );
            }
        }
    }

    fn started(&mut self, line: SocketRole, scope: &Scope, answer: &ResponseBody) {
        if !answer.is_ok() {
            let why = RequestSubject::scope(scope).error_from_message(answer.error.as_deref());
            let gone = line == SocketRole::Main && matches!(why, BackendError::NotFound { .. });
            self.request_failed(RequestKind::Start(line, scope.clone()), &why);
            if gone && let Some(mut room) = self.conversations.remove(scope) {
                room.runtime.is_gone(&why);
            }
            return;
        }
        let Some(room) = self.conversations.get_mut(scope) else {
            return;
        };
        if line == SocketRole::Guard {
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

    fn input_answered(&mut self, scope: &Scope, answer: &ResponseBody) {
        let Some(room) = self.conversations.get_mut(scope) else {
            return;
        };
        let reply = room.sending.take();
        if !answer.is_ok() {
            room.runtime.refused();
            if let Some(reply) = reply {
                let why = RequestSubject::scope(scope).error_from_message(answer.error.as_deref());
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

    fn decision_answered(&mut self, scope: &Scope, answer: &ResponseBody) {
        let Some(room) = self.conversations.get_mut(scope) else {
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

    /// Reads on until what is looked for is among the pages, or enough was read.
    fn looked_at_page(
        &mut self,
        scope: &Scope,
        newer: Vec<Message>,
        page: Vec<Message>,
        before: Option<String>,
    ) {
        let Some(room) = self.conversations.get(scope) else {
            return;
        };
        let found = page.is_empty() || room.runtime.has_prompt_among(&page);
        let messages = [newer, page].concat();
        match before.filter(|_| !found && messages.len() < LOOK_MESSAGES) {
            None => self.history_received(scope, messages),
            Some(before) => {
                let look = history_request(scope, Some(before));
                let what = RequestKind::ReadHistory(scope.clone(), messages);
                self.request(SocketRole::Main, look, what);
            }
        }
    }

    fn history_received(&mut self, scope: &Scope, messages: Vec<Message>) {
        let Some(room) = self.conversations.get_mut(scope) else {
            return;
        };
        let mut effects = Vec::new();
        let looked = room.runtime.history_received(messages, &mut effects);
        if let Some(reply) = room.resuming.take() {
            let _ = reply.send(match looked {
                HistoryLookup::Stream(Some(stream)) => Ok(stream),
                HistoryLookup::Stream(None) | HistoryLookup::Unknown => {
                    Err(BackendError::NotFound {
                        missing: MissingResource::Run,
                        what: "this run".to_owned(),
                    })
                }
            });
        }
        self.carry_out(scope, effects);
    }

    fn forked(&mut self, scope: &Scope, answer: &ResponseBody) {
        let id = answer
            .conversation
            .as_ref()
            .and_then(|made| made.id.clone());
        let id = id.and_then(|id| ConversationId::parse(id).ok());
        let Some(id) = id else {
            let detail = "a copied conversation without an id".to_owned();
            return self.request_failed(
                RequestKind::Fork(scope.clone()),
                &BackendError::Protocol { detail },
            );
        };
        if let Some(mut room) = self.conversations.remove(scope) {
            tracing::info!(
                agent.id = scope.agent_id, from = scope.conversation_id, to = %id,
                "conversation stuck; continuing in a fork"
            );
            room.runtime.moved(&id);
            room.fail(&BackendError::Moved { to: id });
        }
    }

    fn cancelled(&mut self, scope: &Scope, answer: &ResponseBody, reply: super::Reply<bool>) {
        if !answer.is_ok() {
            let why = RequestSubject::scope(scope).error_from_message(answer.error.as_deref());
            let _ = reply.send(Err(why));
            return;
        }
        // Taking an item out of the queue has no word of its own for having done it.
        let stopped = answer.aborted.unwrap_or(true);
        if let Some(room) = self
            .conversations
            .get_mut(scope)
            .filter(|_| answer.aborted.is_none())
        {
            room.runtime.taken_out();
        }
        let _ = reply.send(Ok(stopped));
    }
}
