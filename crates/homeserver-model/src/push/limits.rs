//! How large push rules can be, and how much work they can make.
//!
//! The rules of everybody in a room meet every event of it, so what one user stores is paid for by those who send. What is beyond
//! these limits is refused when it is set; what was stored before they came is passed over.

use ruma::push::{AnyPushRuleRef, ConditionalPushRule, PushCondition, RuleKind, Ruleset};
use serde::Serialize;

use crate::{
    Refusal,
    limits::{
        ACTIONS_PER_RULE, CONDITIONS_PER_RULE, PATTERN_MAX_BYTES, RULE_MAX_BYTES, RULES_MAX_BYTES,
        RULES_PER_USER,
    },
};

/// Refuses a rule that is too large.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM`.
pub fn check_rule(rule: AnyPushRuleRef<'_>) -> Result<(), Refusal> {
    let problem = |what: String| Err(Refusal::invalid(what));
    if rule_size(rule).is_none_or(|size| size > RULE_MAX_BYTES) {
        return problem(format!("Push rule too large (max {RULE_MAX_BYTES} bytes)"));
    }
    if rule.actions().len() > ACTIONS_PER_RULE {
        return problem(format!(
            "Too many actions (max {ACTIONS_PER_RULE} per push rule)"
        ));
    }
    let conditions = conditions(rule);
    if conditions.len() > CONDITIONS_PER_RULE {
        return problem(format!(
            "Too many conditions (max {CONDITIONS_PER_RULE} per push rule)"
        ));
    }
    let pattern = match rule {
        AnyPushRuleRef::Content(rule) => &*rule.pattern,
        _ => "",
    };
    let texts = conditions.iter().flat_map(texts);
    let longest = texts.chain([rule.rule_id(), pattern]).map(str::len).max();
    if longest.is_some_and(|longest| longest > PATTERN_MAX_BYTES) {
        return problem(format!(
            "Rule id, pattern, condition key or value too long (max {PATTERN_MAX_BYTES} bytes each)"
        ));
    }
    Ok(())
}

/// Refuses a change that goes beyond a limit. The rule that is `named` is held to the limits of a rule; others may have been stored
/// before there were any.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM`.
pub fn check_change(
    before: &Ruleset,
    after: &Ruleset,
    named: Option<(RuleKind, &str)>,
) -> Result<(), Refusal> {
    if let Some(rule) = named.and_then(|(kind, id)| after.get(kind, id)) {
        check_rule(rule)?;
    }
    check_rules(before, after)
}

/// Refuses a change that makes the rules of a user too many or too large. What is beyond the limits already can become smaller.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM`.
pub fn check_rules(before: &Ruleset, after: &Ruleset) -> Result<(), Refusal> {
    let count = |rules: &Ruleset| rules.iter().count();
    if count(after) > RULES_PER_USER.max(count(before)) {
        return Err(Refusal::invalid(format!(
            "Too many push rules (max {RULES_PER_USER} per user)"
        )));
    }
    let size = json_size(after).unwrap_or(usize::MAX);
    if size > RULES_MAX_BYTES && size > json_size(before).unwrap_or_default() {
        return Err(Refusal::invalid(format!(
            "Push rules too large (max {RULES_MAX_BYTES} bytes in total)"
        )));
    }
    Ok(())
}

fn conditions<'a>(rule: AnyPushRuleRef<'a>) -> &'a [PushCondition] {
    let of = |rule: &'a ConditionalPushRule| &*rule.conditions;
    match rule {
        AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => of(rule),
        _ => &[],
    }
}

/// What a condition looks for, and where.
fn texts(condition: &PushCondition) -> Vec<&str> {
    match condition {
        PushCondition::EventMatch(is) => vec![&is.key, &is.pattern],
        PushCondition::EventPropertyIs(is) => vec![&is.key, is.value.as_str().unwrap_or("")],
        PushCondition::EventPropertyContains(has) => {
            vec![&has.key, has.value.as_str().unwrap_or("")]
        }
        PushCondition::SenderNotificationPermission(may) => vec![may.key.as_str()],
        _ => Vec::new(),
    }
}

fn rule_size(rule: AnyPushRuleRef<'_>) -> Option<usize> {
    match rule {
        AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => json_size(rule),
        AnyPushRuleRef::Content(rule) => json_size(rule),
        AnyPushRuleRef::Room(rule) => json_size(rule),
        AnyPushRuleRef::Sender(rule) => json_size(rule),
        _ => None,
    }
}

fn json_size(value: &impl Serialize) -> Option<usize> {
    serde_json::to_string(value).ok().map(|json| json.len())
}
