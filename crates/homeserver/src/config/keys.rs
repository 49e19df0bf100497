//! Which keys there are, and what is to be said about keys that are not honored.
//!
//! The honored ones are read off the defaults, so the list cannot fall behind the code.

use std::{collections::BTreeMap, sync::LazyLock};

use figment::value::{Dict, Value};
use settings::{Problem, nearest};

use super::{Config, Severity, Warning, ignored};

/// The key that stands for all of federation.
const FEDERATION: &str = "allow_federation";

/// The default configuration, by key. Secrets and other things that are not set are `null`.
pub(super) static DEFAULTS: LazyLock<serde_json::Value> = LazyLock::new(|| {
    let config = Config::new(ruma::server_name!("example.org").to_owned());
    serde_json::to_value(config).unwrap_or_default()
});

/// The default of `key`, which may be `section.key`; nothing if the key is not honored.
pub(super) fn default_of(key: &str) -> Option<&'static serde_json::Value> {
    key.split('.')
        .try_fold(&*DEFAULTS, |value, part| value.get(part))
}

/// What was found among the keys.
#[derive(Default)]
pub(super) struct Findings {
    /// Known keys without effect.
    pub(super) warnings: Vec<Warning>,
    /// Keys that nobody knows; warnings or errors, as the admin wants.
    pub(super) unknown: Vec<Problem>,
}

/// Looks through all keys. `origin` says where one stands.
pub(super) fn check_keys(values: &Dict, origin: impl Fn(&str) -> Option<String>) -> Findings {
    let mut findings = Findings::default();
    findings
        .warnings
        .extend(about_federation(values.get(FEDERATION)));
    let mut grouped: BTreeMap<&str, Warning> = BTreeMap::new();
    for (key, value) in flattened(values) {
        if default_of(&key).is_some() || key == FEDERATION {
            continue;
        }
        let Some(group) = ignored::group_of(&key) else {
            let problem = unknown(&key).of(origin(&key));
            findings.unknown.push(problem);
            continue;
        };
        if group.harmless.is_some() && value.to_bool_lossy() == group.harmless {
            continue;
        }
        let warning = grouped.entry(group.meaning).or_insert_with(|| Warning {
            severity: group.severity,
            keys: Vec::new(),
            text: format!("has no effect; {}", group.meaning),
        });
        if !warning.keys.is_empty() {
            warning.text = format!("have no effect; {}", group.meaning);
        }
        warning.keys.push(key);
    }
    findings.warnings.extend(grouped.into_values());
    findings
        .warnings
        .sort_by_key(|warning| std::cmp::Reverse(warning.severity));
    findings
}

/// All keys with their values; those of our own sections as `section.key`.
fn flattened(values: &Dict) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (key, value) in values {
        // What is in `appservice` are ids, which are the admin's to choose.
        let section = match (default_of(key), value) {
            (Some(serde_json::Value::Object(known)), Value::Dict(_, inner))
                if !known.is_empty() =>
            {
                Some(inner)
            }
            _ => None,
        };
        match section {
            Some(inner) => {
                all.extend(
                    inner
                        .iter()
                        .map(|(name, value)| (format!("{key}.{name}"), value)),
                );
            }
            None => all.push((key.clone(), value)),
        }
    }
    all
}

/// Tuwunel federates unless it is told not to, so silence about it would mislead.
fn about_federation(value: Option<&Value>) -> Option<Warning> {
    let (severity, keys, text) = match value.map(Value::to_bool_lossy) {
        Some(Some(false)) => return None,
        Some(_) => (
            Severity::Loud,
            vec![FEDERATION.to_owned()],
            "federation is not served; users of other servers cannot be reached, nor reach this one",
        ),
        None => (
            Severity::Quiet,
            Vec::new(),
            "federation is not served; set `allow_federation = false` to say that you know",
        ),
    };
    Some(Warning {
        severity,
        keys,
        text: text.to_owned(),
    })
}

/// Whether a key means something: to this server, or to Tuwunel.
pub(super) fn is_known(key: &str) -> bool {
    default_of(key).is_some() || key == FEDERATION || ignored::group_of(key).is_some()
}

fn unknown(key: &str) -> Problem {
    let known = DEFAULTS
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(name, value)| {
            let inner = value.as_object().into_iter().flatten();
            inner
                .map(move |(inner, _)| format!("{name}.{inner}"))
                .chain([name.clone()])
        });
    let fix = match nearest(key, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => String::new(),
    };
    Problem::key(key, " is not a key, and has no effect", fix)
}
