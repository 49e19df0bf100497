//! Performs a plan: writes a run's frames at the pace of a model, and its history when it ends.

use std::{sync::Arc, time::Duration};

use super::{
    Shared,
    frames::{self, IdentifiedCall, Step},
    ids,
    run::Run,
    script::{Call, Plan, SLOW_PACE, ScriptedText, tokens},
    world::Pending,
};

/// A run that is being performed.
pub(super) struct RunPlayer {
    pub(super) shared: Arc<Shared>,
    pub(super) run: Arc<Run>,
}

/// What a run does.
pub(super) enum Task {
    /// Answers prompts.
    Answer(Plan),
    /// Goes on after a person has decided: for each call, `None` to run it, or why not.
    GoOn(Vec<(IdentifiedCall, Option<String>)>),
    /// Refuses, inside the stream.
    Refuse(String),
}

impl RunPlayer {
    /// Performs the run to its end or until it is cancelled.
    pub(super) async fn play(self, task: Task) {
        let run = self.run.clone();
        tokio::select! {
            () = self.perform(task) => {}
            () = run.killed.cancelled() => {}
            () = run.cancelled.cancelled() => self.finish("cancelled"),
        }
    }

    async fn perform(&self, task: Task) {
        self.shared.stall_over().await;
        self.run.push(self.run.step().ping());
        match task {
            Task::Answer(plan) => self.answer(plan).await,
            Task::GoOn(decided) => self.go_on(decided).await,
            Task::Refuse(why) => self.fail(&["error"], "internal_error", &why, &why, true),
        }
    }

    async fn answer(&self, plan: Plan) {
        match plan {
            Plan::Say(saying) => self.say(&self.run.step(), &saying).await,
            Plan::Call { text, calls, ask } => return self.call(&text, calls, ask).await,
            Plan::Wait(time) => {
                self.ping_for(time).await;
                self.text(&format!("waited {}", humantime::format_duration(time)))
                    .await;
            }
            Plan::Count => {
                let (messages, images) = {
                    let mut world = self.shared.world();
                    let thread = world.thread(&self.run.thread);
                    (thread.messages.len(), thread.images)
                };
                self.text(&format!("messages={messages} images={images} tools=0"))
                    .await;
            }
            Plan::Empty => {}
            Plan::Error(status) => return self.model_failed(status),
            Plan::NoPictures => return self.refuse_pictures(),
            Plan::Die => {
                let step = self.run.step();
                self.run.push(step.assistant("about"));
                self.run.push(step.assistant(" to"));
                return self.fail(
                    &["error", "llm_api_error"],
                    "internal_error",
                    "An error occurred during agent execution.",
                    "INTERNAL_SERVER_ERROR: Connection error during OpenAI streaming: peer closed \
                     connection without sending complete message body (incomplete chunked read)",
                    false,
                );
            }
        }
        self.finish("end_turn");
    }

    async fn text(&self, text: &str) {
        let saying = ScriptedText {
            text: text.to_owned(),
            ..ScriptedText::default()
        };
        self.say(&self.run.step(), &saying).await;
    }

    async fn say(&self, step: &Step, saying: &ScriptedText) {
        let kinds = [(false, &saying.reasoning), (true, &saying.text)];
        for (aloud, text) in kinds {
            let make = if aloud {
                Step::assistant
            } else {
                Step::reasoning
            };
            if text.is_empty() {
                continue;
            }
            for (at, token) in tokens(text).into_iter().enumerate() {
                if at > 0 && !saying.pace.is_zero() {
                    self.ping_for(saying.pace).await;
                }
                if self.run.tokens {
                    self.run.push(make(step, token));
                }
            }
            let whole = make(step, text);
            if !self.run.tokens {
                self.run.push(whole.clone());
            }
            self.run.store(whole);
        }
    }

    async fn call(&self, text: &str, calls: Vec<Call>, ask: bool) {
        let step = self.run.step();
        self.say(
            &step,
            &ScriptedText {
                text: text.to_owned(),
                ..ScriptedText::default()
            },
        )
        .await;
        let calls: Vec<_> = calls
            .into_iter()
            .map(|call| IdentifiedCall {
                id: ids::call(),
                call,
            })
            .collect();
        let Some(whole) = step.calls(&calls, ask) else {
            return self.finish("end_turn");
        };
        if self.run.tokens {
            for call in &calls {
                step.call_deltas(call, ask)
                    .into_iter()
                    .for_each(|delta| self.run.push(delta));
            }
        } else {
            self.run.push(whole.clone());
        }
        let message = whole.id.clone();
        let mut calls = calls;
        let mut whole = whole;
        if ask && self.shared.world().faults.keeps_first_call {
            calls.truncate(1);
            if let Some(kept) = step.calls(&calls, ask) {
                whole = kept;
                whole.id.clone_from(&message);
            }
        }
        self.run.store(whole);
        if ask {
            let pending = Pending { message, calls };
            self.shared.world().thread(&self.run.thread).pending = Some(pending);
            return self.finish("requires_approval");
        }
        self.go_on(calls.into_iter().map(|call| (call, None)).collect())
            .await;
    }

    async fn go_on(&self, decided: Vec<(IdentifiedCall, Option<String>)>) {
        let step = self.run.step();
        let slow = decided
            .iter()
            .any(|(call, _)| call.call.name.starts_with("slow"));
        let mut said = Vec::new();
        for (call, refusal) in decided {
            let (ok, text) = match refusal {
                None => call.call.run(),
                Some(why) => (
                    false,
                    format!("Error: request to call tool denied. User reason: {why}"),
                ),
            };
            let message = step.tool_return(&call, ok, &text);
            self.run.push(message.clone());
            self.run.store(message);
            said.push(format!("tool {} returned: {text}", call.call.name));
        }
        let saying = ScriptedText {
            text: said.join("; "),
            pace: if slow { SLOW_PACE } else { Duration::ZERO },
            ..ScriptedText::default()
        };
        self.say(&self.run.step(), &saying).await;
        self.finish("end_turn");
    }

    /// Waits, with a ping for every stretch of silence.
    async fn ping_for(&self, mut time: Duration) {
        let every = self.shared.ping_every;
        while time > every {
            tokio::time::sleep(every).await;
            self.run.push(self.run.step().ping());
            time -= every;
        }
        tokio::time::sleep(time).await;
    }

    /// What a model's HTTP status becomes inside the stream.
    fn model_failed(&self, status: u16) {
        let (error_type, message, prefix) = match status {
            401 => (
                "llm_authentication",
                "Authentication failed with the LLM model provider.",
                "UNAUTHENTICATED: Authentication failed with OpenAI",
            ),
            429 => (
                "llm_rate_limit",
                "Rate limit exceeded for LLM model provider. Please wait before making another \
                 request.",
                "RATE_LIMIT_EXCEEDED: Rate limited by OpenAI",
            ),
            _ => (
                "llm_error",
                "An error occurred with the LLM request.",
                "INTERNAL_SERVER_ERROR: OpenAI API error",
            ),
        };
        let detail = format!(
            "{prefix}: Error code: {status} - {{'error': {{'message': 'scripted error {status}', \
             'type': 'scripted_error', 'code': 'scripted_{status}'}}}}"
        );
        self.fail(&["llm_api_error"], error_type, message, &detail, true);
    }

    /// What a model says that takes no pictures, as an OpenAI-compatible provider words it.
    fn refuse_pictures(&self) {
        let detail = "INVALID_ARGUMENT: Bad request to OpenAI: Error code: 400 - {'error': {'message': 'Invalid content type. \
                      image_url is only supported by certain models.', 'type': 'invalid_request_error', 'code': None}}";
        let message = "An error occurred with the LLM request.";
        self.fail(&["llm_api_error"], "llm_error", message, detail, true);
    }

    fn fail(
        &self,
        stops: &[&'static str],
        error_type: &str,
        message: &str,
        detail: &str,
        done: bool,
    ) {
        self.end(stops.last().copied().unwrap_or("error"));
        for stop in stops {
            self.run.push_raw(frames::stop(stop));
        }
        self.run
            .push_raw(frames::error(&self.run.id, error_type, message, detail));
        if done {
            self.run.push_raw(frames::done());
        }
        self.run.close();
    }

    fn finish(&self, stop: &'static str) {
        self.end(stop);
        self.run.push_raw(frames::stop(stop));
        if stop != "cancelled" {
            let messages = self.run.messages();
            self.run.push_raw(frames::usage(messages.len(), 1));
        }
        // A cancelled stream just ends, unless it went through the background log.
        if stop != "cancelled" || self.run.background {
            self.run.push_raw(frames::done());
        }
        self.run.close();
    }

    /// Moves what the run made into the history and frees the thread, before the stream tells: who
    /// sends the next message at once must not meet a busy thread.
    fn end(&self, stop: &'static str) {
        let mut world = self.shared.world();
        let thread = world.thread(&self.run.thread);
        for message in self.run.messages() {
            // The prompts are there since the beginning.
            if !matches!(
                message.message_type,
                "user_message" | "approval_response_message"
            ) {
                thread.store(message);
            }
        }
        thread.release(&self.run);
        self.run.set_stopped(stop);
    }
}
