//! What runs, by the list of runs.

use super::{api::SharedApi, failure::Asked, wire::RunEntry};
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
pub(super) async fn active(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
    since: Option<&str>,
) -> Result<Option<RunId>, BackendError> {
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
    let answer = answer.map_err(|refusal| refusal.into_error(Asked::Conversation(to)))?;
    let runs: Vec<RunEntry> = answer.json()?;
    let here = |run: &RunEntry| match (&to.conversation, run.conversation_id.as_deref()) {
        _ if !conversations => true,
        (Conversation::Own(id), named) => named.is_none_or(|named| named == id.as_str()),
        // V1 names the default conversation by its agent, by `default`, or not at all.
        (Conversation::Default, named) => named.is_none_or(|named| !named.starts_with("conv-")),
    };
    let second = |time: &str| time.get(..SECONDS).map(str::to_owned);
    let since = since.and_then(second);
    let late = |run: &RunEntry| {
        let began = run.created_at.as_deref().and_then(second);
        since.is_none() || began.is_none() || began >= since
    };
    // V1 leaves some runs `created` that it has carried out.
    let running =
        |run: &&RunEntry| here(run) && late(run) && run.status.as_deref() == Some("running");
    let newest = runs
        .iter()
        .filter(running)
        .max_by(|a, b| a.created_at.cmp(&b.created_at));
    Ok(newest.and_then(|run| run.id.as_deref()?.parse().ok()))
}
