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
    link::{Line, Link, News, Pace},
    missing::About,
    runtime::{Alarm, Effect, Ending, Runtime},
    wire::{Answer, Inbound, Scope},
};
use crate::{
    backend::{ApprovalRequest, Conduct, Decision, Overheard, PermissionMode, Prompt, TurnStream},
    error::BackendError,
    id::RunId,
    rest::decoder::TurnLimits,
};

mod answers;
mod calls;
mod effects;
mod failures;

use failures::{chain, copy, refuse};

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
pub const OVERHEARD_MAX: usize = 256;

/// How many stored messages are read to find out what became of a turn.
pub const LOOK_MESSAGES: usize = 200;

/// How often requests are looked through for those that were not answered in time.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) type Reply<T> = oneshot::Sender<Result<T, BackendError>>;

/// What the backend asks of the task.
pub(super) enum Call {
    Plain(Request, Reply<Answer>),
    /// In this mode, or in whatever mode it is.
    Subscribe(Scope, Option<PermissionMode>, Reply<()>),
    Send(Scope, Vec<Prompt>, Conduct, Reply<TurnStream>),
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
        pace: Pace,
        request_timeout: Duration,
        limits: TurnLimits,
        overheard: mpsc::Sender<Overheard>,
    ) -> Self {
        let (calls, orders) = mpsc::channel(CALLS_MAX);
        let (news_to, news) = mpsc::channel(NEWS_MAX);
        let task = Task {
            main: Link::start(Line::Main, address.clone(), pace, news_to.clone()),
            guard: None,
            main_up: false,
            guard_up: false,
            failures: 0,
            rooms: HashMap::new(),
            asked: HashMap::new(),
            requests: 0,
            parked: Vec::new(),
            remembered: VecDeque::new(),
            alarms: FuturesUnordered::new(),
            address,
            pace,
            request_timeout,
            limits,
            overheard,
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
struct Room {
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
enum What {
    Plain(Reply<Answer>),
    Start(Line, Scope),
    Input(Scope),
    Decision(Scope),
    Look(Scope),
    Fork(Scope),
    Cancel(Scope, Reply<bool>),
    Nothing,
}

struct Asked {
    what: What,
    /// What may be said to be gone.
    about: About,
    since: Instant,
}

type Sleeping = Pin<Box<dyn Future<Output = (Scope, Alarm)> + Send>>;

struct Task {
    address: Arc<Address>,
    pace: Pace,
    request_timeout: Duration,
    limits: TurnLimits,
    main: Link,
    guard: Option<Link>,
    main_up: bool,
    guard_up: bool,
    /// Attempts in a row that failed to connect the main socket.
    failures: usize,
    rooms: HashMap<Scope, Room>,
    asked: HashMap<String, Asked>,
    requests: u64,
    /// Calls that wait for the main socket, or for the next attempt to fail.
    parked: Vec<Call>,
    /// The conversations whose last turn is remembered, the oldest first.
    remembered: VecDeque<Scope>,
    alarms: FuturesUnordered<Sleeping>,
    overheard: mpsc::Sender<Overheard>,
    news_to: mpsc::Sender<News>,
}

impl Task {
    async fn run(mut self, mut calls: mpsc::Receiver<Call>, mut news: mpsc::Receiver<News>) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                call = calls.recv() => match call {
                    Some(call) => self.call(call),
                    None => return,
                },
                Some(news) = news.recv() => self.news(news),
                Some((scope, alarm)) = self.alarms.next() => self.alarm(&scope, alarm),
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    fn news(&mut self, news: News) {
        match news {
            News::Up(Line::Main) => {
                tracing::debug!(url = self.address.shown(), "connected to the App Server");
                (self.main_up, self.failures) = (true, 0);
                self.subscribe_all(Line::Main);
                for call in std::mem::take(&mut self.parked) {
                    self.call(call);
                }
            }
            News::Up(Line::Guard) => {
                self.guard_up = true;
                self.subscribe_all(Line::Guard);
            }
            News::Failed(Line::Main, why) => self.failed(&why),
            News::Failed(Line::Guard, _) => {}
            News::Down(line, why) => self.down(line, &why),
            News::Frame(line, Inbound::Event(scope, event)) => {
                let Some(room) = self.rooms.get_mut(&scope) else {
                    return;
                };
                let lead = line == Line::Main || room.main == Subscription::No;
                let mut effects = Vec::new();
                room.runtime.event(event, lead, &mut effects);
                room.settle_decision();
                self.carry_out(&scope, effects);
            }
            News::Frame(line, Inbound::Response { id, body }) => self.answer(line, &id, &body),
        }
    }

    fn failed(&mut self, why: &BackendError) {
        self.failures += 1;
        let lost = self.failures >= RECONNECTS_MAX && !self.guard_up;
        for call in std::mem::take(&mut self.parked) {
            refuse(call, copy(why));
        }
        for room in self.rooms.values_mut() {
            room.fail(why);
            if lost {
                let why = chain(why);
                let url = self.address.shown().to_owned();
                room.runtime.give_up(&Ending::Unreachable { url, why });
            }
        }
    }

    fn down(&mut self, line: Line, why: &BackendError) {
        tracing::debug!(?line, error = %chain(why), "lost a socket of the App Server");
        match line {
            Line::Main => self.main_up = false,
            Line::Guard => self.guard_up = false,
        }
        let on_it = |asked: &mut Asked| asked.line() == line;
        for (_, asked) in self.asked.extract_if(|_, asked| on_it(asked)) {
            match asked.what {
                What::Plain(reply) => drop(reply.send(Err(copy(why)))),
                What::Cancel(_, reply) => drop(reply.send(Err(copy(why)))),
                // The rest is asked again as soon as there is a socket to ask on.
                _ => {}
            }
        }
        for room in self.rooms.values_mut() {
            match line {
                Line::Main => room.main = Subscription::No,
                Line::Guard => room.guard = Subscription::No,
            }
            if room.main != Subscription::Yes && room.guard != Subscription::Yes {
                room.runtime.unwatched();
                room.settle_decision();
            }
        }
    }

    fn subscribe_all(&mut self, line: Line) {
        let scopes: Vec<Scope> = self.rooms.keys().cloned().collect();
        for scope in scopes {
            self.subscribe(line, &scope);
        }
    }

    fn subscribe(&mut self, line: Line, scope: &Scope) {
        let Some(room) = self.rooms.get_mut(scope) else {
            return;
        };
        match line {
            Line::Main => room.main = Subscription::Asked,
            Line::Guard => room.guard = Subscription::Asked,
        }
        let start = Start::new(scope.clone(), room.mode);
        let what = What::Start(line, scope.clone());
        self.request(line, Request::RuntimeStart(Box::new(start)), what);
    }

    /// Says something to the server, and remembers what its answer will be about.
    fn request(&mut self, line: Line, request: Request, what: What) {
        self.requests += 1;
        let id = format!("{}", self.requests);
        let about = About::request(&request);
        let frame = match serde_json::to_string(&Command::new(id.clone(), request)) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "a request cannot be written");
                return;
            }
        };
        let link = match line {
            Line::Main => Some(&self.main),
            Line::Guard => self.guard.as_ref(),
        };
        if !link.is_some_and(|link| link.send(frame)) {
            tracing::warn!(?line, "the App Server does not read what it is asked");
        }
        let since = Instant::now();
        self.asked.insert(id, Asked { what, about, since });
    }
}

impl Asked {
    fn line(&self) -> Line {
        match self.what {
            What::Start(line, _) => line,
            _ => Line::Main,
        }
    }
}

impl Room {
    fn new(scope: &Scope, mode: PermissionMode, limits: TurnLimits) -> Self {
        Self {
            runtime: Runtime::new(limits, About::scope(scope)),
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
            let _ = reply.send(Err(copy(why)));
        }
        let deciding = self.deciding.take().map(|(_, reply)| reply);
        let waiting = [self.sending.take(), deciding, self.resuming.take()];
        for reply in waiting.into_iter().flatten() {
            let _ = reply.send(Err(copy(why)));
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
