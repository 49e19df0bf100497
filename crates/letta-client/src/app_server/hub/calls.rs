//! What the backend asks for.

use super::{
    Call, ConversationState, Effect, PARKED_MAX, PendingRequest, Reply, Request, RequestKind,
    Subscription, Task, clone_error, refuse,
};
use crate::{
    app_server::{
        command::{Payload, permission_mode_name},
        link::{SocketHandle, SocketRole},
        runtime::Resumed,
        wire::Scope,
    },
    backend::{ApprovalRequest, Decision, PermissionMode, Prompt, ToolPolicy, TurnStream},
    error::BackendError,
    id::RunId,
};

/// The socket broke between two calls of one method.
fn lost(url: &str) -> BackendError {
    BackendError::Unreachable {
        url: url.to_owned(),
        source: "the connection broke".into(),
    }
}

impl Task {
    pub(super) fn call(&mut self, call: Call) {
        if !self.main_up {
            self.main.reconnect_now();
            if self.parked.len() >= PARKED_MAX {
                return refuse(call, lost(self.address.shown()));
            }
            self.parked.push(call);
            return;
        }
        match call {
            Call::Plain(request, reply) => {
                self.request(SocketRole::Main, request, RequestKind::Plain(reply));
            }
            Call::Subscribe(scope, mode, reply) => self.subscribe_with_mode(&scope, mode, reply),
            call => self.in_conversation(call),
        }
    }

    /// Subscribes to a conversation, unless it is subscribed in this mode already.
    fn subscribe_with_mode(
        &mut self,
        scope: &Scope,
        mode: Option<PermissionMode>,
        reply: Reply<()>,
    ) {
        if self.guard.is_none() {
            let (address, news) = (self.address.clone(), self.news_to.clone());
            self.guard = Some(SocketHandle::start(
                SocketRole::Guard,
                address,
                self.pace,
                news,
            ));
        }
        let limits = self.limits;
        let room = self.conversations.entry(scope.clone());
        let room =
            room.or_insert_with(|| ConversationState::new(scope, mode.unwrap_or_default(), limits));
        let told = room.runtime.mode().filter(|_| mode.is_some());
        let mode = mode.unwrap_or(room.mode);
        // Another app may have set another mode since.
        let as_wanted =
            room.mode == mode && told.is_none_or(|told| told == permission_mode_name(mode));
        match room.main {
            Subscription::Yes if as_wanted => {
                let _ = reply.send(Ok(()));
                return;
            }
            Subscription::Asked if room.mode == mode => {
                room.subscribing.push(reply);
                return;
            }
            _ => {}
        }
        room.mode = mode;
        room.subscribing.push(reply);
        let guard = self.guard_up && room.guard == Subscription::No;
        self.subscribe(SocketRole::Main, scope);
        if guard {
            self.subscribe(SocketRole::Guard, scope);
        }
    }

    fn in_conversation(&mut self, call: Call) {
        let Some(scope) = call.scope().cloned() else {
            return;
        };
        let Some(room) = self.conversations.get_mut(&scope) else {
            return refuse(call, lost(self.address.shown()));
        };
        if room.main != Subscription::Yes {
            return refuse(call, lost(self.address.shown()));
        }
        let mut effects = Vec::new();
        match call {
            Call::Send(_, prompts, policy, reply) => {
                room.send(&prompts, policy, reply, &mut effects);
            }
            Call::Decide(_, request, decision, reply) => {
                room.decide(request, &decision, reply, &mut effects);
            }
            Call::Resume(_, run, reply) => room.resume(&run, reply, &mut effects),
            Call::Pending(_, reply) => {
                let _ = reply.send(Ok(room.runtime.control().cloned()));
            }
            Call::Cancel(_, reply) => {
                let runtime = scope.clone();
                let request = match room.runtime.queued_item() {
                    Some(item) => Request::RemoveQueueItem {
                        runtime,
                        item_id: item.to_owned(),
                    },
                    None => Request::AbortMessage { runtime },
                };
                room.runtime.cancel();
                self.request(
                    SocketRole::Main,
                    request,
                    RequestKind::Cancel(scope.clone(), reply),
                );
            }
            Call::Plain(..) | Call::Subscribe(..) => {}
        }
        self.carry_out(&scope, effects);
    }

    /// Gives up what was not answered in time.
    pub(super) fn sweep(&mut self) {
        let after = self.request_timeout;
        let late = |pending: &mut PendingRequest| pending.since.elapsed() >= after;
        let late: Vec<_> = self
            .pending
            .extract_if(|_, pending| late(pending))
            .collect();
        for (_, pending) in late {
            self.request_failed(pending.what, &BackendError::Silent { after });
        }
    }

    /// Something was not answered, or not as it has to be.
    pub(super) fn request_failed(&mut self, what: RequestKind, why: &BackendError) {
        let scope = match what {
            RequestKind::Plain(reply) => return drop(reply.send(Err(clone_error(why)))),
            RequestKind::Cancel(_, reply) => return drop(reply.send(Err(clone_error(why)))),
            RequestKind::Nothing => return,
            RequestKind::Start(SocketRole::Guard, scope) => {
                if let Some(room) = self.conversations.get_mut(&scope) {
                    room.guard = Subscription::No;
                }
                return;
            }
            RequestKind::Start(SocketRole::Main, scope) => {
                if let Some(room) = self.conversations.get_mut(&scope) {
                    room.main = Subscription::No;
                }
                scope
            }
            RequestKind::ReadHistory(scope, _) | RequestKind::Fork(scope) => {
                if let Some(room) = self.conversations.get_mut(&scope) {
                    room.runtime.cannot_settle(why);
                }
                scope
            }
            RequestKind::Input(scope) | RequestKind::Decision(scope) => scope,
        };
        if let Some(room) = self.conversations.get_mut(&scope) {
            room.fail(why);
        }
    }
}

impl Call {
    fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Plain(..) => None,
            Self::Subscribe(scope, ..)
            | Self::Send(scope, ..)
            | Self::Decide(scope, ..)
            | Self::Resume(scope, ..)
            | Self::Pending(scope, ..)
            | Self::Cancel(scope, ..) => Some(scope),
        }
    }
}

impl ConversationState {
    fn send(
        &mut self,
        prompts: &[Prompt],
        policy: ToolPolicy,
        reply: Reply<TurnStream>,
        effects: &mut Vec<Effect>,
    ) {
        let payload = Payload::prompts(prompts, policy);
        match self.runtime.ask(prompts, payload, effects) {
            Ok(Some(stream)) => drop(reply.send(Ok(stream))),
            Ok(None) => self.sending = Some(reply),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn decide(
        &mut self,
        request: ApprovalRequest,
        decision: &Decision,
        reply: Reply<TurnStream>,
        effects: &mut Vec<Effect>,
    ) {
        let payload = Payload::decision(request.id.to_string(), decision);
        match self.runtime.decide(&request, payload, effects) {
            Ok(()) => {
                self.decided_before = false;
                self.deciding = Some((request, reply));
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn resume(&mut self, run: &RunId, reply: Reply<TurnStream>, effects: &mut Vec<Effect>) {
        match self.runtime.resume(run, effects) {
            Ok(Resumed::Stream(stream)) => drop(reply.send(Ok(stream))),
            Ok(Resumed::Looking) => self.resuming = Some(reply),
            Err(error) => drop(reply.send(Err(error))),
        }
    }
}
