//! The one task that knows all conversations: it takes calls of the backend and news of the two
//! sockets, and carries out what a [`Runtime`] wants done. It waits for nothing but these.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    address::Address,
    command::{Command, Request, Start},
    link::{SocketEvent, SocketHandle, SocketRole, SocketTimeouts},
    missing::RequestSubject,
    runtime::{Alarm, Effect, Runtime, StreamEnd},
    wire::{Inbound, ResponseBody, Scope},
};
use crate::{
    backend::{
        ApprovalRequest, Decision, ExternalTurn, PermissionMode, Prompt, ToolPolicy, TurnStream,
    },
    error::BackendError,
    id::RunId,
    rest::{decoder::TurnLimits, wire::Message},
};

mod answers;
mod calls;
mod effects;
mod failures;

use failures::{clone_error, error_chain, refuse};

/// The most attempts in a row to connect, before those who listen are told.
pub const RECONNECTS_MAX: usize = 8;

/// How many calls may wait for the task.
const CALLS_MAX: usize = 256;

/// How much news of the sockets may wait for the task.
const NEWS_MAX: usize = 1_024;

/// How many calls may wait for the socket; more are refused at once.
pub const PARKED_MAX: usize = 1_024;

/// In how many conversations the last turn is remembered whole, for who asks for it again; the others are read from the history.
pub const LAST_TURNS_MAX: usize = 64;

/// How many turns of others may wait for who listens to them; more are not told.
pub const EXTERNAL_TURNS_MAX: usize = 256;

/// How many stored messages are read to find out what became of a turn.
pub const LOOK_MESSAGES: usize = 200;

/// How many stored messages are asked for at once. Each may hold a picture of 5 MiB in base64, and a frame has its limit.
pub(super) const MESSAGES_PAGE: usize = 12;

const _: () = assert!(MESSAGES_PAGE * 5 * 1024 * 1024 < super::address::FRAME_BYTES_MAX);

/// How often requests are looked through for those that were not answered in time.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) type Reply<T> = oneshot::Sender<Result<T, BackendError>>;

/// What the backend asks of the task.
pub(super) enum Call {
    Plain(Request, Reply<ResponseBody>),
    /// In this mode, or in whatever mode it is.
    Subscribe(Scope, Option<PermissionMode>, Reply<()>),
    Send(Scope, Vec<Prompt>, ToolPolicy, Reply<TurnStream>),
    Decide(Scope, ApprovalRequest, Decision, Reply<TurnStream>),
    Resume(Scope, RunId, Reply<TurnStream>),
    Pending(Scope, Reply<Option<ApprovalRequest>>),
    Cancel(Scope, Reply<bool>),
}

/// The way to the task.
pub(super) struct Hub(mpsc::Sender<Call>);

impl Hub {
    pub(super) fn start(
        address: Arc<Address>,
        pace: SocketTimeouts,
        request_timeout: Duration,
        limits: TurnLimits,
        external_turns: mpsc::Sender<ExternalTurn>,
    ) -> Self {
        let (calls, orders) = mpsc::channel(CALLS_MAX);
        let (news_to, news) = mpsc::channel(NEWS_MAX);
        let task = Task {
            main: SocketHandle::start(SocketRole::Main, address.clone(), pace, news_to.clone()),
            guard: None,
            main_up: false,
            guard_up: false,
            failures: 0,
            conversations: HashMap::new(),
            pending: HashMap::new(),
            requests: 0,
            parked: Vec::new(),
            remembered: VecDeque::new(),
            alarms: FuturesUnordered::new(),
            address,
            pace,
            request_timeout,
            limits,
            external_turns,
            news_to,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends when the backend that holds its channel is dropped"
        )]
        tokio::spawn(task.run(orders, news));
        Self(calls)
    }

    /// Has a call carried out.
    pub(super) async fn call<T>(
        &self,
        call: impl FnOnce(Reply<T>) -> Call,
    ) -> Result<T, BackendError> {
        let (reply, answer) = oneshot::channel();
        let gone = || BackendError::Protocol {
            detail: "the task that talks to the App Server has ended".to_owned(),
        };
        self.0.send(call(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    No,
    Asked,
    Yes,
}

/// One conversation, and who waits for something in it.
struct ConversationState {
    runtime: Runtime,
    mode: PermissionMode,
    main: Subscription,
    guard: Subscription,
    subscribing: Vec<Reply<()>>,
    sending: Option<Reply<TurnStream>>,
    deciding: Option<(ApprovalRequest, Reply<TurnStream>)>,
    /// The decision may have arrived before it was sent again.
    decided_before: bool,
    resuming: Option<Reply<TurnStream>>,
}

/// What an answer will be about.
enum RequestKind {
    Plain(Reply<ResponseBody>),
    Start(SocketRole, Scope),
    Input(Scope),
    Decision(Scope),
    /// With what earlier pages have shown, newest first.
    ReadHistory(Scope, Vec<Message>),
    Fork(Scope),
    Cancel(Scope, Reply<bool>),
    Nothing,
}

struct PendingRequest {
    what: RequestKind,
    /// What may be said to be gone.
    about: RequestSubject,
    since: Instant,
}

type Sleeping = Pin<Box<dyn Future<Output = (Scope, Alarm)> + Send>>;

struct Task {
    address: Arc<Address>,
    pace: SocketTimeouts,
    request_timeout: Duration,
    limits: TurnLimits,
    main: SocketHandle,
    guard: Option<SocketHandle>,
    main_up: bool,
    guard_up: bool,
    /// Attempts in a row that failed to connect the main socket.
    failures: usize,
    conversations: HashMap<Scope, ConversationState>,
    pending: HashMap<String, PendingRequest>,
    requests: u64,
    /// Calls that wait for the main socket, or for the next attempt to fail.
    parked: Vec<Call>,
    /// The conversations whose last turn is remembered, the oldest first.
    remembered: VecDeque<Scope>,
    alarms: FuturesUnordered<Sleeping>,
    external_turns: mpsc::Sender<ExternalTurn>,
    news_to: mpsc::Sender<SocketEvent>,
}

impl Task {
    async fn run(mut self, mut calls: mpsc::Receiver<Call>, mut news: mpsc::Receiver<SocketEvent>) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                call = calls.recv() => match call {
                    Some(call) => self.call(call),
                    None => return,
                },
                Some(news) = news.recv() => self.socket_event(news),
                Some((scope, alarm)) = self.alarms.next() => self.alarm(&scope, alarm),
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    fn socket_event(&mut self, news: SocketEvent) {
        match news {
            SocketEvent::Up(SocketRole::Main) => {
                tracing::debug!(url = self.address.shown(), "connected to the App Server");
                (self.main_up, self.failures) = (true, 0);
                self.subscribe_all(SocketRole::Main);
                for call in std::mem::take(&mut self.parked) {
                    self.call(call);
                }
            }
            SocketEvent::Up(SocketRole::Guard) => {
                self.guard_up = true;
                self.subscribe_all(SocketRole::Guard);
            }
            SocketEvent::Failed(SocketRole::Main, why) => self.failed(&why),
            SocketEvent::Failed(SocketRole::Guard, _) => {}
            SocketEvent::Down(line, why) => self.down(line, &why),
            SocketEvent::Frame(line, Inbound::ConversationEvent(scope, event)) => {
                let Some(room) = self.conversations.get_mut(&scope) else {
                    return;
                };
                let lead = line == SocketRole::Main || room.main == Subscription::No;
                let mut effects = Vec::new();
                room.runtime.event(event, lead, &mut effects);
                room.settle_decision();
                self.carry_out(&scope, effects);
            }
            SocketEvent::Frame(line, Inbound::Response { id, body }) => {
                self.answer(line, &id, &body);
            }
        }
    }

    fn failed(&mut self, why: &BackendError) {
        self.failures += 1;
        let lost = self.failures >= RECONNECTS_MAX && !self.guard_up;
        for call in std::mem::take(&mut self.parked) {
            refuse(call, clone_error(why));
        }
        for room in self.conversations.values_mut() {
            room.fail(why);
            if lost {
                let why = error_chain(why);
                let url = self.address.shown().to_owned();
                room.runtime.give_up(&StreamEnd::Unreachable { url, why });
            }
        }
    }

    fn down(&mut self, line: SocketRole, why: &BackendError) {
        tracing::debug!(?line, error = %error_chain(why), "lost a socket of the App Server");
        match line {
            SocketRole::Main => self.main_up = false,
            SocketRole::Guard => self.guard_up = false,
        }
        let on_it = |pending: &mut PendingRequest| pending.line() == line;
        for (_, pending) in self.pending.extract_if(|_, pending| on_it(pending)) {
            match pending.what {
                RequestKind::Plain(reply) => drop(reply.send(Err(clone_error(why)))),
                RequestKind::Cancel(_, reply) => drop(reply.send(Err(clone_error(why)))),
                // The rest is asked again as soon as there is a socket to ask on.
                _ => {}
            }
        }
        for room in self.conversations.values_mut() {
            match line {
                SocketRole::Main => room.main = Subscription::No,
                SocketRole::Guard => room.guard = Subscription::No,
            }
            if room.main != Subscription::Yes && room.guard != Subscription::Yes {
                room.runtime.all_sockets_lost();
                room.settle_decision();
            }
        }
    }

    fn subscribe_all(&mut self, line: SocketRole) {
        let scopes: Vec<Scope> = self.conversations.keys().cloned().collect();
        for scope in scopes {
            self.subscribe(line, &scope);
        }
    }

    fn subscribe(&mut self, line: SocketRole, scope: &Scope) {
        let Some(room) = self.conversations.get_mut(scope) else {
            return;
        };
        match line {
            SocketRole::Main => room.main = Subscription::Asked,
            SocketRole::Guard => room.guard = Subscription::Asked,
        }
        let start = Start::new(scope.clone(), room.mode);
        let what = RequestKind::Start(line, scope.clone());
        self.request(line, Request::RuntimeStart(Box::new(start)), what);
    }

    /// Says something to the server, and remembers what its answer will be about.
    fn request(&mut self, line: SocketRole, request: Request, what: RequestKind) {
        self.requests += 1;
        let id = format!("{}", self.requests);
        let about = RequestSubject::request(&request);
        let frame = match serde_json::to_string(&Command::new(id.clone(), request)) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "a request cannot be written");
                return;
            }
        };
        let link = match line {
            SocketRole::Main => Some(&self.main),
            SocketRole::Guard => self.guard.as_ref(),
        };
        if !link.is_some_and(|link| link.send(frame)) {
            tracing::warn!(
                ?line,
                "App Server does not read from the socket; outgoing queue full"
            );
        }
        let since = Instant::now();
        self.pending
            .insert(id, PendingRequest { what, about, since });
    }
}

impl PendingRequest {
    fn line(&self) -> SocketRole {
        match self.what {
            RequestKind::Start(line, _) => line,
            _ => SocketRole::Main,
        }
    }
}

impl ConversationState {
    fn new(scope: &Scope, mode: PermissionMode, limits: TurnLimits) -> Self {
        Self {
            runtime: Runtime::new(limits, RequestSubject::scope(scope)),
            mode,
            main: Subscription::No,
            guard: Subscription::No,
            subscribing: Vec::new(),
            sending: None,
            deciding: None,
            decided_before: false,
            resuming: None,
        }
    }

    /// Nobody gets what they wait for.
    fn fail(&mut self, why: &BackendError) {
        for reply in self.subscribing.drain(..) {
            let _ = reply.send(Err(clone_error(why)));
        }
        let deciding = self.deciding.take().map(|(_, reply)| reply);
        let waiting = [self.sending.take(), deciding, self.resuming.take()];
        for reply in waiting.into_iter().flatten() {
            let _ = reply.send(Err(clone_error(why)));
        }
    }

    /// A decision that became void while it was on its way.
    fn settle_decision(&mut self) {
        if self.runtime.decision().is_none()
            && let Some((_, reply)) = self.deciding.take()
        {
            let _ = reply.send(Err(BackendError::NotPending));
        }
    }
}
