//! What each command does, and the words of its answer.

use std::{fmt::Write, time::Duration};

use letta_client::Advice;
use ruma::OwnedUserId;
use tokio::time::Instant;

use super::{
    AgentAndUser, Candidate, Command, Lookup, find_agent, handler::CommandHandler, help,
    help::code, lookup::no_such_agent,
};
use crate::{
    agents::provision::ProvisionError,
    config::Level,
    journal::{AgentRecord, AgentStatus, JournalError, NoticeText, RoomKind, RoomRecord},
    matrix::untrusted_text::{block, inline, inline_start},
    room_jobs::RoomJobError,
    time::Millis,
    turns::{
        decide::{DecisionOutcome, StopError, Stopped},
        notice_texts,
        route::IncomingEvent,
    },
};

/// The longest wait for Letta to say what it is, in an answer that is about more.
const INFO_MAX: Duration = Duration::from_secs(2);
/// The most agents that one answer lists.
const LISTED_MAX: usize = 100;
/// The longest error of somebody else that an answer repeats, in characters.
const ERROR_CHARS_MAX: usize = 300;
/// The longest description of an agent that an answer repeats, in characters.
const DESCRIPTION_CHARS_MAX: usize = 2_000;

impl CommandHandler {
    /// Carries out a command that its sender may give, and says what came of it.
    pub(super) async fn carry_out(
        &self,
        command: &Command,
        event: &IncomingEvent,
        level: Level,
        in_management_room: bool,
    ) -> Result<NoticeText, RoomJobError> {
        let text = match command {
            Command::Help { topic } => help(topic.as_deref(), level, in_management_room),
            Command::Version => version(),
            Command::Status => self.status().await?,
            Command::Ping => self.ping().await,
            Command::Agents { filter } => self.list(filter.as_deref()),
            Command::Agent { agent } => self.with_agent(agent, |record| self.describe(record)),
            Command::Invite {
                invitation: AgentAndUser { agent, user },
            } => self.invite(agent, user.as_ref(), event).await?,
            Command::StartChat { agent } => self.start_chat(agent, event).await?,
            Command::Sync { removals } => self.look_again(removals.is_some()),
            Command::Stop => return self.stop(event).await,
            Command::Failed => self.list_failed(event)?,
            Command::Retry { number } => return Ok(self.retry(event, *number).await?),
            Command::Resume { agent } => self.resume_agent(agent)?,
            Command::Approve { reason } => {
                return Ok(self.decide(event, true, reason.as_deref())?);
            }
            Command::Deny { reason } => return Ok(self.decide(event, false, reason.as_deref())?),
            Command::Token { agent } => {
                self.make_token(agent, &event.room_id, in_management_room)
                    .await?
            }
            Command::RevokeTokens { agent } => self.revoke_tokens(agent)?,
            Command::AllowTool { tool } => self.allow_tool(event, tool)?,
            Command::RevokeTool { tool } => self.revoke_tool(event, tool)?,
            Command::AllowedTools { agent } => self.list_tools(event, agent.as_deref())?,
            Command::Detail { wanted } => self.set_detail(event, *wanted)?,
            Command::Mode { wanted } => self.set_tool_permission_mode(event, *wanted)?,
            Command::ChatOnly { wanted } => self.set_chat_only(event, *wanted)?,
        };
        Ok(NoticeText::new(text, ""))
    }

    async fn status(&self) -> Result<String, RoomJobError> {
        let discovery_status = self.ctx.discovery_status.borrow().clone();
        let (live, gone, unfinished) = self.ctx.agents.provisioner.registry.with_all(|known| {
            let count = |test: fn(&AgentRecord) -> bool| known.values().filter(|r| test(r)).count();
            (
                count(|record| record.status == AgentStatus::Live),
                count(|record| matches!(record.status, AgentStatus::Gone { .. })),
                count(|record| record.status == AgentStatus::Live && !record.joined),
            )
        });
        let letta = match &discovery_status.failure {
            Some(failure) => format!("❌ {}", inline_start(failure, ERROR_CHARS_MAX)),
            None => self.letta_in_words(discovery_status.took).await,
        };
        let mut text = format!(
            "* **Letta**: {letta}\n* **Agents**: {live}, {gone} missing, {unfinished} not set up \
             yet\n* **Turns in flight**: {}\n* **Rooms that wait for the homeserver**: {}\n* \
             **Running for**: {}\n* **Journal**: {} KiB",
            self.ctx.turns.in_flight(),
            self.ctx.outbox.rooms_waiting(),
            humantime::format_duration(whole_seconds(Millis::now().since(self.ctx.began))),
            self.ctx.journal.bytes_on_disk()? / 1024,
        );
        if let Some(hold) = discovery_status.hold {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n* ⚠️ {} of {} agents are missing at once. Nobody is removed until an admin says \
                 `sync accept-removals`.",
                hold.missing, hold.known
            );
        }
        text.push_str(&self.replaced_in_words()?);
        Ok(text)
    }

    /// What Letta is, and what it cannot do there. `took`: how long its list of agents took.
    async fn letta_in_words(&self, took: Duration) -> String {
        let asked = self.ctx.agents.backend.info();
        let answers = format!("answers in {} ms", took.as_millis());
        match tokio::time::timeout(INFO_MAX, asked).await {
            Ok(Ok(info)) => format!(
                "✅ {} {answers}{}",
                inline(&info.name()),
                info.missing_features()
            ),
            // The list of agents is what counts, and it came.
            Ok(Err(_)) | Err(_) => format!("✅ {answers}"),
        }
    }

    async fn ping(&self) -> String {
        let began = Instant::now();
        let transaction = format!("ping-{}", Millis::now().0);
        let homeserver = match self
            .ctx
            .homeserver
            .check_ping(&self.ctx.appservice_id, &transaction)
            .await
        {
            Ok(Some(duration)) => {
                format!(
                    "✅ homeserver reaches the bridge in {} ms, there and back {} ms",
                    duration.as_millis(),
                    began.elapsed().as_millis()
                )
            }
            Ok(None) => "✅ homeserver answers (it is too old to ping)".to_owned(),
            Err(failure) => format!("❌ {}", inline_start(&failure.to_string(), ERROR_CHARS_MAX)),
        };
        let began = Instant::now();
        let letta = match self.ctx.agents.backend.info().await {
            Ok(info) => format!(
                "✅ {} answers in {} ms{}",
                inline(&info.name()),
                began.elapsed().as_millis(),
                info.missing_features()
            ),
            Err(failure) => {
                let said = inline_start(&failure.to_string(), ERROR_CHARS_MAX);
                let hint = match failure.advice() {
                    Advice::Fatal => " An admin has to mend that.",
                    _ => "",
                };
                format!("❌ {said} [{}]{hint}", failure.code())
            }
        };
        format!("* {homeserver}\n* {letta}")
    }

    fn list(&self, filter: Option<&str>) -> String {
        let filter = filter.unwrap_or_default().to_lowercase();
        let records: Vec<AgentRecord> = self
            .ctx
            .agents
            .provisioner
            .registry
            .live()
            .into_iter()
            .filter(|record| record.name.to_lowercase().contains(&filter))
            .collect();
        if records.is_empty() {
            return if filter.is_empty() {
                "There are no agents yet. Make one in Letta; it appears here by itself.".to_owned()
            } else {
                format!("No agent's name holds {}.", code(&filter))
            };
        }
        let mut text = format!("{} agents:\n", records.len());
        for record in records.iter().take(LISTED_MAX) {
            let ghost = self.ctx.rules.identity.ghost(&record.id);
            let alias = self.ctx.rules.identity.alias(&record.id);
            let name = inline(&record.name);
            let _ = writeln!(
                text,
                "* [{name}](https://matrix.to/#/{alias}) · {}",
                link(&ghost)
            );
        }
        if records.len() > LISTED_MAX {
            let _ = writeln!(
                text,
                "* … and {} more: `agents FILTER`",
                records.len() - LISTED_MAX
            );
        }
        text
    }

    fn describe(&self, record: &AgentRecord) -> String {
        let ghost = self.ctx.rules.identity.ghost(&record.id);
        let alias = self.ctx.rules.identity.alias(&record.id);
        let mut text = format!("{}\n", inline(&record.name));
        if let Some(description) = &record.description {
            let _ = writeln!(text, "\n{}\n", block(&cut(description)));
        }
        let _ = writeln!(text, "* id: `{}`", record.id);
        let _ = writeln!(text, "* user: {}", link(&ghost));
        let _ = writeln!(text, "* room: [{alias}](https://matrix.to/#/{alias})");
        if let Some(model) = &record.model {
            let _ = writeln!(text, "* model: {}", inline(model));
        }
        let state = match record.status {
            AgentStatus::Live if record.joined => "there",
            AgentStatus::Live => "being set up",
            AgentStatus::Gone { .. } => "missing in Letta; its room waits",
            AgentStatus::Retired => "removed from Letta",
        };
        let _ = writeln!(text, "* state: {state}");
        text
    }

    async fn invite(
        &self,
        query: &str,
        user: Option<&OwnedUserId>,
        event: &IncomingEvent,
    ) -> Result<String, RoomJobError> {
        let record = match self.look_up(query) {
            Ok(record) => record,
            Err(problem) => return Ok(problem),
        };
        let person = user.unwrap_or(&event.sender);
        match self
            .ctx
            .agents
            .provisioner
            .invite_to_agent_room(&record.id, person)
            .await
        {
            Ok(true) => Ok(format!(
                "{} is invited to the room of {}.",
                link(person),
                inline(&record.name)
            )),
            Ok(false) => Ok(format!(
                "{} has no room yet. Try again in a moment.",
                inline(&record.name)
            )),
            Err(failure) => refused(failure),
        }
    }

    pub(super) async fn start_chat(
        &self,
        query: &str,
        event: &IncomingEvent,
    ) -> Result<String, RoomJobError> {
        let record = match self.look_up(query) {
            Ok(record) => record,
            Err(problem) => return Ok(problem),
        };
        let room = match self
            .ctx
            .agents
            .provisioner
            .start_chat(&record, &event.sender)
            .await
        {
            Ok(room) => room,
            Err(failure) => return refused(failure),
        };
        let guests = [(record.id.clone(), true)].into();
        let chat = RoomRecord {
            guests,
            bot: true,
            ..RoomRecord::new(RoomKind::Other)
        };
        self.ctx.journal.set_room(&room, &chat)?;
        Ok(format!(
            "You are invited to a chat with {}: a conversation of its own.",
            inline(&record.name)
        ))
    }

    fn look_again(&self, accept_removals: bool) -> String {
        let discovery_trigger = &self.ctx.agents.discovery_trigger;
        if accept_removals {
            discovery_trigger
                .accept_removals
                .store(true, std::sync::atomic::Ordering::Relaxed);
        }
        discovery_trigger.look.notify_one();
        if accept_removals {
            "Looking at Letta now. Whoever is missing there is taken for removed.".to_owned()
        } else {
            "Looking at Letta now. `status` tells what came of it.".to_owned()
        }
    }

    async fn stop(&self, event: &IncomingEvent) -> Result<NoticeText, RoomJobError> {
        let stopped = self
            .ctx
            .turns
            .stop(&Self::location(event), self.requester(event))
            .await;
        match stopped {
            Ok(Stopped {
                turns: 0,
                others: 0,
            }) => Ok(NoticeText::new("Nothing is running here.", "")),
            Ok(Stopped { turns: 0, .. }) => Ok(notice_texts::not_yours_to_decide(&event.sender)),
            Ok(Stopped { turns: 1, .. }) => Ok(notice_texts::stopped()),
            Ok(Stopped { turns, .. }) => Ok(NoticeText {
                sentence: format!("Stopped {turns} turns."),
                ..notice_texts::stopped()
            }),
            Err(StopError::Journal(failure)) => Err(failure.into()),
            Err(StopError::Letta(failure)) => Ok(NoticeText::new(
                format!(
                    "Stopped here, but Letta did not hear of it: {}",
                    inline_start(&failure.to_string(), ERROR_CHARS_MAX)
                ),
                failure.code(),
            )
            .for_admin()),
        }
    }

    fn decide(
        &self,
        event: &IncomingEvent,
        approve: bool,
        reason: Option<&str>,
    ) -> Result<NoticeText, JournalError> {
        let location = Self::location(event);
        let ruling = self
            .ctx
            .turns
            .decide(&location, self.requester(event), approve, reason)?;
        let said = |text: &str| NoticeText::new(text, "");
        Ok(match ruling {
            DecisionOutcome::Taken if approve => said("Approved."),
            DecisionOutcome::Taken => said("Denied."),
            DecisionOutcome::Nothing => said("Nothing waits for a decision here."),
            DecisionOutcome::Several => said(
                "Several agents wait for a decision here. React with ✅ or ❌ to the one that you mean.",
            ),
            DecisionOutcome::NotTheirs => notice_texts::not_yours_to_decide(&event.sender),
            DecisionOutcome::NotTheirsToApprove(approvers) => {
                notice_texts::not_yours_to_approve(&event.sender, &approvers)
            }
            DecisionOutcome::TooLong => notice_texts::too_long_to_approve(),
        })
    }

    fn with_agent(&self, query: &str, work: impl FnOnce(&AgentRecord) -> String) -> String {
        match self.look_up(query) {
            Ok(record) => work(&record),
            Err(problem) => problem,
        }
    }

    /// The agent that a person means, or what to tell them.
    pub(super) fn look_up(&self, query: &str) -> Result<AgentRecord, String> {
        let registry = &self.ctx.agents.provisioner.registry;
        let candidates: Vec<Candidate> = registry.with_all(|known| {
            known
                .values()
                .map(|record| (record.id.clone(), record.name.clone()))
                .collect()
        });
        match find_agent(query, &candidates) {
            Lookup::One((id, _)) => registry.find(id).ok_or_else(|| no_such_agent(query)),
            other => Err(other.explain(query)),
        }
    }
}

/// The beginning of a description.
fn cut(description: &str) -> String {
    match description.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &description[..at]),
        None => description.to_owned(),
    }
}

fn version() -> String {
    format!("matrix-appservice-letta {}", env!("CARGO_PKG_VERSION"))
}

fn link(user: &ruma::UserId) -> String {
    // What is no id of today may hold any character.
    if user.validate_strict().is_err() {
        return inline(user.as_str());
    }
    format!("[{user}](https://matrix.to/#/{user})")
}

/// What did not work and may work later is tried again; what the homeserver refused is answered.
fn refused(failure: ProvisionError) -> Result<String, RoomJobError> {
    match failure {
        ProvisionError::Journal(failure) => Err(failure.into()),
        ProvisionError::Matrix { source, .. } if source.is_transient() => Err(source.into()),
        ProvisionError::Matrix { what, source } => {
            let said = inline_start(&source.to_string(), ERROR_CHARS_MAX);
            Ok(format!("The homeserver does not let me {what}: {said}"))
        }
    }
}

fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}
