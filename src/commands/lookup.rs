//! Which agent, or which command, somebody means.
//!
//! Promise: nobody is guessed. An agent is found if exactly one fits; otherwise the person is told
//! which there are.

use letta_client::AgentId;

use super::help::code;

/// The most agents that are listed when several fit.
pub const MATCHES_MAX: usize = 10;

/// The most names that are offered when none fits.
pub const SUGGESTIONS_MAX: usize = 3;

/// How alike a name must be to be offered, from 0 (nothing in common) to 1 (the same).
const LIKENESS_MIN: f64 = 0.55;

/// The fewest characters of an id that name an agent.
const ID_CHARS_MIN: usize = 4;

/// An agent as a candidate: its id and its name in Letta.
pub type Candidate = (AgentId, String);

/// Who was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// This agent.
    One(&'a Candidate),
    /// Nobody.
    None {
        /// Names that are much like it, the nearest first, at most [`SUGGESTIONS_MAX`].
        suggestions: Vec<&'a str>,
    },
    /// One of several, at most [`MATCHES_MAX`] of which are given.
    Many(Vec<&'a Candidate>),
}

impl Lookup<'_> {
    /// What a person is told whose words name no agent, or several.
    pub(super) fn explain(&self, query: &str) -> String {
        match self {
            Self::One((id, _)) => format!("{} names {}.", code(query), code(id.as_str())),
            Self::Many(fitting) => {
                // Several agents can have one name, so each comes with its id.
                let names: Vec<String> = fitting
                    .iter()
                    .map(|(id, name)| format!("{} ({})", code(name), code(id.as_str())))
                    .collect();
                format!(
                    "Several agents could be meant by {}: {}. Give more of the name, or the id.",
                    code(query),
                    names.join(", ")
                )
            }
            Self::None { suggestions } if suggestions.is_empty() => no_such_agent(query),
            Self::None { suggestions } => {
                let names: Vec<String> = suggestions.iter().map(|name| code(name)).collect();
                format!(
                    "{} Did you mean {}?",
                    no_such_agent(query),
                    names.join(" or ")
                )
            }
        }
    }
}

/// What a person is told who names an agent that is not there.
pub(super) fn no_such_agent(query: &str) -> String {
    format!(
        "There is no agent {}; `agents` lists them all.",
        code(query)
    )
}

/// Finds the agent that a person names, in any case.
///
/// The first of these that fits anybody decides: the id or the ghost's user id; the name; the
/// beginning of the name; a part of the name; the beginning of the id, with or without `agent-`,
/// if it has at least four characters after that.
pub fn find_agent<'a>(query: &str, candidates: &'a [Candidate]) -> Lookup<'a> {
    let query = query.trim().to_lowercase();
    if query.is_empty() {
        return Lookup::None {
            suggestions: Vec::new(),
        };
    }
    let id = as_id(&query);
    let short_id = id.strip_prefix(AgentId::PREFIX).unwrap_or(&id);
    let by_id = |candidate: &Candidate| {
        let own = candidate.0.as_str();
        short_id.len() >= ID_CHARS_MIN
            && own
                .strip_prefix(AgentId::PREFIX)
                .is_some_and(|own| own.starts_with(short_id))
    };
    let rules: [&dyn Fn(&Candidate) -> bool; 5] = [
        &|candidate| candidate.0.as_str() == id,
        &|candidate| candidate.1.trim().to_lowercase() == query,
        &|candidate| candidate.1.to_lowercase().starts_with(&query),
        &|candidate| candidate.1.to_lowercase().contains(&query),
        &by_id,
    ];
    for rule in rules {
        let found: Vec<_> = candidates
            .iter()
            .filter(|candidate| rule(candidate))
            .take(MATCHES_MAX)
            .collect();
        match found[..] {
            [] => {}
            [one] => return Lookup::One(one),
            _ => return Lookup::Many(found),
        }
    }
    Lookup::None {
        suggestions: nearest(&query, candidates.iter().map(|(_, name)| name.as_str())),
    }
}

/// What was written as an agent's id, if it is a ghost's user id or localpart, in which `_` stands
/// for `-`.
fn as_id(query: &str) -> String {
    let localpart = query.strip_prefix('@').unwrap_or(query);
    let localpart = localpart
        .split_once(':')
        .map_or(localpart, |(localpart, _)| localpart);
    localpart.replace('_', "-")
}

/// The names that are much like a word, the nearest first.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut alike: Vec<_> = names
        .map(|name| {
            (
                strsim::normalized_damerau_levenshtein(&word, &name.to_lowercase()),
                name,
            )
        })
        .filter(|&(likeness, _)| likeness >= LIKENESS_MIN)
        .collect();
    alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    alike
        .into_iter()
        .map(|(_, name)| name)
        .take(SUGGESTIONS_MAX)
        .collect()
}
