//! Generated requests against the running homeserver: whatever is asked, it answers, and never with a fault of its own.
//!
//! Requests are made from the shapes of the specification: most are right and about what exists, some have one thing wrong, some
//! are rubbish. Those that a proxy can carry pass the shape proxy, which holds every answer against the specification. A request
//! that finds a fault is made smaller for as long as it still does, and all of them are told at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;

use self::call::{Call, RequestUser};
use self::catalogue::Operation;
use self::fixture::{AS_TOKEN, Sink};
use self::pool::Pool;
use self::verdict::Answer;
use super::account::{Account, http};
use crate::support::clients::Shapes;
use crate::support::embedded::Embedded;
use crate::support::process::tail;
use crate::support::synapse::DOMAIN;

pub mod call;
pub mod catalogue;
mod contents;
mod fixture;
pub mod pool;
mod rubbish;
mod shape;
mod verdict;

/// How many requests are made unless `LETTA_PROOF_REQUESTS` says otherwise. `LETTA_PROOF_SEED` chooses others.
const REQUESTS: usize = 1_500;
/// After so many requests the stage is set anew: by then people have left the rooms, and rooms are gone.
const SCENE: usize = 300;
/// How often a request that found a fault is tried in a smaller form.
const SHRINKS: usize = 60;
/// The longest address and the largest body that the proxy carries, in bytes.
const PROXY_URI_MAX: usize = 2_000;
const PROXY_BODY_MAX: usize = 100_000;
/// What it does not carry or does not know: control characters, and events that are sent later.
const UNCARRIED: [&str; 4] = ["%00", "%0A", "%0D", "msc4140"];
/// Of all operations of the specification, how many a run of the full size asks at least for.
const OPERATIONS: usize = 160;
const FULL: usize = 10_000;
/// How often somebody tries to log in who is told to wait.
const LOGINS_MAX: usize = 120;

/// Nobody waits long, and whoever may do something may do it often.
const SETTINGS: &str = "client_sync_timeout_min = 0\nclient_sync_timeout_default = 50\nclient_sync_timeout_max = 500\n\
                        registration_shared_secret = \"shared\"\nallow_guest_registration = true\n";

/// Everything that a run has.
struct Run {
    server: Embedded,
    shapes: Shapes,
    sink: Sink,
    pool: Pool,
    admin: Account,
    people: Vec<Account>,
    registered: usize,
    http: reqwest::Client,
    faults: BTreeMap<String, String>,
    slowest: (Duration, String),
    answers: BTreeMap<u16, usize>,
    /// Operations that have not succeeded yet, and what was said last.
    unfruitful: BTreeMap<String, String>,
    dir: TempDir,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_requests_find_no_fault() {
    let requests = super::size("LETTA_PROOF_REQUESTS", REQUESTS);
    let seed = super::size("LETTA_PROOF_SEED", 0) as u64;
    let mut run = Run::start().await;
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let operations = catalogue::operations();
    for number in 0..requests {
        if number % SCENE == 0 {
            run.set_scene(number / SCENE).await;
        }
        let chosen = (0..operations.len()).new_tree(&mut runner);
        let operation = &operations[chosen.expect("a range").current()];
        run.generate(operation, &mut runner).await;
    }
    run.end(requests).await;
}

/// Logs in, however many have guessed passwords from here before.
async fn log_in_again(url: &str, user_id: &str) -> Account {
    for _ in 0..LOGINS_MAX {
        match Account::log_in(url, user_id).await {
            Ok(account) => return account,
            Err(error) if error.contains("M_LIMIT_EXCEEDED") => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => panic!("nobody can take the account of {user_id}: {error}"),
        }
    }
    panic!("{user_id} cannot log in any more")
}

impl Run {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let sink = Sink::open().await;
        let mut server = Embedded::new(&dir.path().join("server")).with_settings(SETTINGS);
        server.lay_out(Some(&sink.registration(dir.path())));
        server.start().await;
        let shapes = Shapes::before(&server.url(), "embedded", dir.path()).await;
        let admin = Account::register(&server.url(), "admin").await;
        Self {
            shapes,
            sink,
            pool: Pool::default(),
            admin,
            people: Vec::new(),
            registered: 0,
            http: http(),
            faults: BTreeMap::new(),
            slowest: (Duration::ZERO, String::new()),
            answers: BTreeMap::new(),
            unfruitful: catalogue::operations()
                .iter()
                .map(|operation| (operation.name(), String::new()))
                .collect(),
            server,
            dir,
        }
    }

    async fn new_user(&mut self) -> Account {
        self.registered += 1;
        Account::register(&self.server.url(), &format!("person{}", self.registered)).await
    }

    /// New people in new rooms: of those before, anything may have become.
    async fn set_scene(&mut self, number: usize) {
        self.people = vec![self.new_user().await, self.new_user().await];
        self.pool = Pool::default();
        fixture::set(number, &self.people[0], &self.people[1], &mut self.pool).await;
    }

    /// Makes one request; if it finds a fault that is not known yet, the smallest one that still does.
    async fn generate(&mut self, operation: &Operation, runner: &mut TestRunner) {
        let calls = call::call(operation, &Arc::new(self.pool.clone()));
        let mut tree = calls.new_tree(runner).expect("a request");
        let call = tree.current();
        let Some(fault) = self.attempt(operation, &call).await else {
            return;
        };
        let key = format!("{}: {fault}", operation.name());
        if self.faults.contains_key(&key) {
            return;
        }
        let mut smallest = format!("{call:?}");
        for _ in 0..SHRINKS {
            if !tree.simplify() {
                break;
            }
            let call = tree.current();
            match self.attempt(operation, &call).await {
                Some(_) => smallest = format!("{call:?}"),
                None if !tree.complicate() => break,
                None => {}
            }
        }
        println!("{key}\n{smallest}\n");
        self.faults.insert(key, smallest);
    }

    /// Sends a request, and says what was wrong with the answer.
    async fn attempt(&mut self, operation: &Operation, call: &Call) -> Option<&'static str> {
        let began = Instant::now();
        let answer = self.send(call).await;
        let took = began.elapsed();
        if took > self.slowest.0 {
            self.slowest = (took, format!("{call:?}"));
        }
        let Ok(answer) = answer else {
            return Some("no answer");
        };
        *self.answers.entry(answer.status.as_u16()).or_default() += 1;
        if answer.status.is_success() {
            self.unfruitful.remove(&operation.name());
        } else if let Some(last) = self.unfruitful.get_mut(&operation.name()) {
            *last = String::from_utf8_lossy(&answer.body).into_owned();
        }
        if answer.status.is_success()
            && let Some(json) = answer.json()
        {
            self.pool.harvest(&json);
        }
        let fault = verdict::fault(operation, call, &answer);
        if let Some(fault) = fault {
            let body = String::from_utf8_lossy(&answer.body);
            println!(
                "{fault}: {} {:?} {body:.200}",
                answer.status, answer.headers
            );
        }
        if answer.status == StatusCode::UNAUTHORIZED && fault.is_none() {
            self.replace(call, &answer).await;
        }
        fault
    }

    /// Somebody whose token is gone is replaced: people log out, and change passwords.
    async fn replace(&mut self, call: &Call, answer: &Answer) {
        if answer.errcode().as_deref() != Some("M_UNKNOWN_TOKEN") {
            return;
        }
        let url = self.server.url();
        match call.who {
            RequestUser::Person(index) => {
                let again = Account::log_in(&url, &self.people[index].user_id).await;
                self.people[index] = match again {
                    Ok(person) => person,
                    Err(_) => self.new_user().await,
                };
            }
            RequestUser::Admin => {
                self.admin = log_in_again(&url, &self.admin.user_id).await;
            }
            _ => {}
        }
    }

    /// The user as whom a request is made.
    fn user(&self, who: &RequestUser) -> String {
        match who {
            RequestUser::Person(index) => self.people[*index].user_id.clone(),
            RequestUser::Admin => self.admin.user_id.clone(),
            RequestUser::Appservice(Some(user)) => user.clone(),
            _ => format!("@sink:{DOMAIN}"),
        }
    }

    async fn send(&self, call: &Call) -> reqwest::Result<Answer> {
        let Call { uri, body, .. } = call.clone().said_by(&self.user(&call.who));
        let method: Method = call.method.parse().expect("a method");
        let through = uri.len() < PROXY_URI_MAX
            && body.len() < PROXY_BODY_MAX
            && method != Method::OPTIONS
            && method != Method::HEAD
            && !UNCARRIED.iter().any(|odd| uri.contains(odd));
        let url = if through {
            self.shapes.url().to_owned()
        } else {
            self.server.url()
        };
        let mut request = self.http.request(method, format!("{url}{uri}"));
        request = match &call.who {
            RequestUser::Nobody => request,
            RequestUser::Impostor => request.bearer_auth("nobody-has-this-token"),
            RequestUser::Person(index) => request.bearer_auth(&self.people[*index].token),
            RequestUser::Admin => request.bearer_auth(&self.admin.token),
            RequestUser::Appservice(_) => request.bearer_auth(AS_TOKEN),
        };
        if let Some(media) = call.media {
            request = request.header("content-type", media);
        }
        let answer = request.body(body).send().await?;
        Ok(Answer {
            status: answer.status(),
            headers: answer.headers().clone(),
            body: answer.bytes().await?.to_vec(),
        })
    }

    /// What was found; and that the server lives, can be started again, and still serves everybody.
    async fn end(mut self, requests: usize) {
        let report = self.shapes.report().await;
        println!(
            "{requests} requests, answers {:?}, {} operations of the specification, {} answers held against it, {} transactions",
            self.answers,
            report.asked.len(),
            report.checked,
            self.sink.transactions(),
        );
        println!("the slowest took {:?}: {}", self.slowest.0, self.slowest.1);
        println!("never done: {:#?}", self.unfruitful);
        println!("violations: {:#?}", report.violations);
        let log = std::fs::read_to_string(self.server.log()).expect("a log");
        let show = || tail(&self.server.log(), 40);
        assert!(!log.contains("panicked"), "it panicked\n{}", show());
        assert!(self.faults.is_empty(), "{:#?}\n{}", self.faults, show());
        assert!(report.violations.is_empty(), "{:#?}", report.violations);
        assert!(
            requests < FULL || report.asked.len() >= OPERATIONS,
            "{:?}",
            report.asked.keys()
        );
        assert!(
            self.sink.transactions() > 0,
            "the application service heard nothing"
        );

        self.server.stop().await;
        self.server.start().await;
        for person in self.people.iter().chain([&self.admin]) {
            let answer = person
                .ask(Method::GET, "/_matrix/client/v3/sync?timeout=0", None)
                .await;
            let (status, answer) = answer.expect("an answer");
            let gone = status == StatusCode::UNAUTHORIZED;
            assert!(
                status == StatusCode::OK || gone,
                "{}: {status} {answer}",
                person.user_id
            );
        }
        self.set_scene(requests).await;
        drop(self.dir);
    }
}
