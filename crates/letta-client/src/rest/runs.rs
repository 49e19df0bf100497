//! What runs, by the list of runs.

use serde::Serialize;

use super::{api::SharedApi, failure::RequestTarget, wire::RunEntry};
use crate::{
    backend::{Conversation, Destination},
    error::BackendError,
    id::RunId,
};

/// How many runs are looked at.
const RUNS_MAX: usize = 50;

/// The length of a time that is exact to the second, `2026-11-30T17:45:24`: what V1's times have in common.
const SECONDS: usize = 19;

/// The newest run that goes on in a conversation and was begun at `since` or later, as far as the server knows: a server that
/// was killed leaves its runs `running` for ever.
pub(super) async fn newest_active_run(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
    since: Option<&str>,
) -> Result<Option<RunId>, BackendError> {
    let runs = list(api, to, conversations).await?;
    let second = |time: &str| time.get(..SECONDS).map(str::to_owned);
    let since = since.and_then(second);
    let late = |run: &RunEntry| {
        let began = run.created_at.as_deref().and_then(second);
        since.is_none() || began.is_none() || began >= since
    };
    // V1 leaves some runs `created` that it has carried out.
    let running = |run: &&RunEntry| late(run) && run.status.as_deref() == Some("running");
    let newest = runs
        .iter()
        .filter(running)
        .max_by(|a, b| a.created_at.cmp(&b.created_at));
    Ok(newest.and_then(|run| run.id.as_deref()?.parse().ok()))
}

/// Cancels what goes on in an agent's default conversation, and nothing else. `false`: nothing went on.
///
/// V1 has a route for it that cancels every run of the agent, whichever conversation it is in.
pub(super) async fn cancel_default(
    api: &SharedApi,
    to: &Destination,
    only: Option<&RunId>,
) -> Result<bool, BackendError> {
    #[derive(Serialize)]
    struct Cancellation {
        run_ids: Vec<String>,
    }
    let run_ids: Vec<_> = match only {
        Some(run) => vec![run.to_string()],
        None => list(api, to, true)
            .await?
            .into_iter()
            .filter_map(|run| run.id)
            .collect(),
    };
    if run_ids.is_empty() {
        return Ok(false);
    }
    let request = api
        .post(&["v1", "agents", to.agent.as_str(), "messages", "cancel"])
        .json(&Cancellation { run_ids });
    match api.call(request).await? {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.is_nothing_to_cancel() => Ok(false),
        Err(refusal) => Err(refusal.into_error(RequestTarget::Agent(&to.agent))),
    }
}

/// The runs that go on in a conversation.
async fn list(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
) -> Result<Vec<RunEntry>, BackendError> {
    let mut request = api.get(&["v1", "runs", ""]).query(&[
        ("agent_id", to.agent.as_str()),
        ("active", "true"),
        ("limit", RUNS_MAX.to_string().as_str()),
        ("order", "desc"),
    ]);
    if let Conversation::Own(id) = &to.conversation {
        request = request.query(&[("conversation_id", id.as_str())]);
    }
    let answer = api.call(request).await?;
    let answer = answer.map_err(|refusal| refusal.into_error(RequestTarget::Conversation(to)))?;
    let mut runs: Vec<RunEntry> = answer.read()?;
    if runs
        .iter()
        .any(|run| run.id.is_none() || run.status.is_none())
    {
        return Err(BackendError::unexpected_answer(
            "a list of what are no runs",
        ));
    }
    runs.retain(
        |run| match (&to.conversation, run.conversation_id.as_deref()) {
            _ if !conversations => true,
            (Conversation::Own(id), named) => named.is_none_or(|named| named == id.as_str()),
            // V1 names the default conversation by its agent, by `default`, or not at all.
            (Conversation::Default, named) => named.is_none_or(|named| !named.starts_with("conv-")),
        },
    );
    runs.retain(|run| matches!(run.status.as_deref(), Some("created" | "running")));
    Ok(runs)
}
