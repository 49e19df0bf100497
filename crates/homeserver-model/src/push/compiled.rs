//! The push rules of a user in the form in which events meet them: without those that are off or too large.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use ruma::{
    UInt, UserId,
    power_levels::NotificationPowerLevelsKey,
    push::{
        Action, AnyPushRuleRef, PushCondition, PushConditionPowerLevelsCtx, RoomMemberCountIs,
        Ruleset, ScalarJsonValue,
    },
};
use serde_json::{Value, value::RawValue};

use super::{
    budget::MemberBudget,
    limits::check_rule,
    pattern::{BYTES_PER_STEP, Pattern, StepBudget},
};
use crate::limits::{RULES_PER_USER, STEPS_PER_DEFAULT_RULE, STEPS_PER_EVENT};

/// What a rule without conditions costs, and what each condition costs besides what it compares.
const STEPS_PER_CONDITION: usize = 4;

/// The rules of which any can fit, the first of all first.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// What is done when a rule fits.
#[derive(Debug)]
pub struct Actions {
    /// Whether the event counts as unread.
    pub notify: bool,
    /// Whether it mentions the user.
    pub highlight: bool,
    /// All actions, as they are stored.
    pub all: Value,
}

#[derive(Debug)]
struct Rule {
    is_default: bool,
    /// Whether an event that says itself whom it mentions does not meet this rule.
    guesses_mentions: bool,
    conditions: Vec<Condition>,
    actions: Actions,
}

#[derive(Debug)]
enum Condition {
    Room(Pattern),
    Word(Path, Pattern),
    Match(Path, Pattern),
    DisplayName,
    MemberCount(RoomMemberCountIs),
    Permission(NotificationPowerLevelsKey),
    Is(Path, ScalarJsonValue),
    Contains(Path, ScalarJsonValue),
    /// One that this server does not know.
    Never,
}

impl Rules {
    /// Without those that are off, unknown or beyond a limit.
    pub fn new(rules: &Ruleset) -> Self {
        // The server's own come last in each kind: more than a user can have must not hide them.
        let mut left = RULES_PER_USER;
        let mut counts = |rule: &AnyPushRuleRef<'_>| {
            let counts = rule.is_server_default() || left > 0;
            left = left.saturating_sub(1);
            counts && rule.enabled() && check_rule(*rule).is_ok()
        };
        let rules = rules.iter().filter(|rule| counts(rule));
        Self {
            rules: rules.filter_map(Rule::new).collect(),
        }
    }

    /// What the first rule that fits says, and what that took of the member's share of the event.
    pub fn actions(
        &self,
        event: &FlattenedEvent,
        context: &Context<'_>,
        share: MemberBudget,
    ) -> (Option<&Actions>, MemberBudget) {
        let most = share.own.min(STEPS_PER_EVENT);
        let mut budget = StepBudget::of(most);
        let mut of_defaults = 0;
        let fits = |rule: &&Rule| {
            if !rule.is_default {
                return rule.fits(event, context, &mut budget);
            }
            let most = STEPS_PER_DEFAULT_RULE.min(share.defaults - of_defaults);
            let mut own = StepBudget::of(most);
            let fits = rule.fits(event, context, &mut own);
            of_defaults += most - own.left();
            fits
        };
        let actions = self.rules.iter().find(fits).map(|rule| &rule.actions);
        let taken = MemberBudget {
            own: most - budget.left(),
            defaults: of_defaults,
            parsed: 0,
        };
        (actions, taken)
    }
}

impl Rule {
    fn new(rule: AnyPushRuleRef<'_>) -> Option<Self> {
        let conditions = match rule {
            AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => {
                rule.conditions.iter().map(Condition::new).collect()
            }
            AnyPushRuleRef::Content(rule) => vec![Condition::matches(BODY, &rule.pattern)],
            AnyPushRuleRef::Room(rule) => vec![Condition::matches(ROOM_ID, rule.rule_id.as_str())],
            AnyPushRuleRef::Sender(rule) => {
                vec![Condition::matches("sender", rule.rule_id.as_str())]
            }
            _ => return None,
        };
        let actions = rule.actions();
        Some(Self {
            is_default: rule.is_server_default(),
            guesses_mentions: GUESS_MENTIONS.contains(&rule.rule_id()),
            conditions,
            actions: Actions {
                notify: actions.iter().any(Action::should_notify),
                highlight: actions.iter().any(Action::is_highlight),
                all: serde_json::to_value(actions).ok()?,
            },
        })
    }

    fn fits(&self, event: &FlattenedEvent, context: &Context<'_>, budget: &mut StepBudget) -> bool {
        if !budget.spend(STEPS_PER_CONDITION) || (self.guesses_mentions && event.says_mentions()) {
            return false;
        }
        let mut conditions = self.conditions.iter();
        conditions.all(|condition| {
            budget.spend(STEPS_PER_CONDITION) && condition.fits(event, context, budget)
        })
    }
}

/// The text of a message, of which words are looked for.
const BODY: &str = "content.body";
/// Where the id of the room is looked for, which an event need not carry.
const ROOM_ID: &str = "room_id";
/// The rules that guess from the text whom it mentions.
const GUESS_MENTIONS: [&str; 3] = [
    ".m.rule.roomnotif",
    ".m.rule.contains_display_name",
    ".m.rule.contains_user_name",
];

impl Condition {
    fn new(condition: &PushCondition) -> Self {
        #[expect(deprecated, reason = "clients still use it")]
        match condition {
            PushCondition::EventMatch(is) => Self::matches(&is.key, &is.pattern),
            PushCondition::ContainsDisplayName => Self::DisplayName,
            PushCondition::RoomMemberCount(count) => Self::MemberCount(count.is),
            PushCondition::SenderNotificationPermission(may) => Self::Permission(may.key.clone()),
            PushCondition::EventPropertyIs(is) => Self::Is(Path::new(&is.key), is.value.clone()),
            PushCondition::EventPropertyContains(has) => {
                Self::Contains(Path::new(&has.key), has.value.clone())
            }
            _ => Self::Never,
        }
    }

    fn matches(key: &str, pattern: &str) -> Self {
        let Some(pattern) = Pattern::new(pattern) else {
            return Self::Never;
        };
        match key {
            ROOM_ID => Self::Room(pattern),
            BODY => Self::Word(Path::new(key), pattern),
            key => Self::Match(Path::new(key), pattern),
        }
    }

    fn fits(&self, event: &FlattenedEvent, context: &Context<'_>, budget: &mut StepBudget) -> bool {
        match self {
            Self::Room(pattern) => pattern.is_all_of(&event.room_id, budget),
            Self::Word(path, pattern) => event
                .text(path, budget)
                .is_some_and(|text| pattern.is_word_in(&text, budget)),
            Self::Match(path, pattern) => event
                .text(path, budget)
                .is_some_and(|text| pattern.is_all_of(&text, budget)),
            Self::DisplayName => {
                let made = context.display_name.len() / BYTES_PER_STEP;
                let name = budget
                    .spend(made)
                    .then(|| Pattern::new(context.display_name));
                let Some(name) = name.flatten() else {
                    return false;
                };
                let text = event.text(&event.body, budget);
                text.is_some_and(|text| name.is_word_in(&text, budget))
            }
            Self::MemberCount(count) => contains(*count, context.joined),
            Self::Permission(key) => context.power_levels.is_some_and(|levels| {
                levels.has_sender_notification_permission(context.sender, key)
            }),
            Self::Is(path, value) => event
                .at(path, budget)
                .is_some_and(|found| is(found, value, budget)),
            Self::Contains(path, value) => event
                .at(path, budget)
                .and_then(Value::as_array)
                .is_some_and(|found| found.iter().any(|found| is(found, value, budget))),
            Self::Never => false,
        }
    }
}

fn contains(count: RoomMemberCountIs, joined: UInt) -> bool {
    std::ops::RangeBounds::contains(&count, &joined)
}

fn is(found: &Value, value: &ScalarJsonValue, budget: &mut StepBudget) -> bool {
    budget.spend(1)
        && match value {
            ScalarJsonValue::Null => found.is_null(),
            ScalarJsonValue::Bool(value) => found.as_bool() == Some(*value),
            ScalarJsonValue::Integer(value) => found.as_i64() == Some((*value).into()),
            ScalarJsonValue::String(value) => found.as_str() == Some(value),
        }
}

/// The way to a property, through the objects that it is in.
/// Spec: <https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths>
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Path(Vec<String>);

impl Path {
    fn new(key: &str) -> Self {
        let mut path = vec![String::new()];
        let mut rest = key.chars().peekable();
        while let Some(character) = rest.next() {
            let last = path.last_mut();
            match (character, last) {
                ('.', _) => path.push(String::new()),
                ('\\', Some(last)) => {
                    let escaped = rest.next_if(|next| matches!(next, '.' | '\\'));
                    last.push(escaped.unwrap_or('\\'));
                }
                (character, Some(last)) => last.push(character),
                (_, None) => {}
            }
        }
        Self(path)
    }
}

/// An event as rules see it.
pub struct FlattenedEvent {
    json: Value,
    /// In lower case.
    room_id: String,
    body: Path,
    /// The texts that were asked for, in lower case: a long one is made so once, not for everybody in the room.
    texts: RefCell<HashMap<Path, Rc<str>>>,
}

impl FlattenedEvent {
    /// Nothing if it cannot be read.
    pub fn new(json: &RawValue, room_id: &str) -> Option<Self> {
        Some(Self {
            json: serde_json::from_str(json.get()).ok()?,
            room_id: room_id.to_lowercase(),
            body: Path::new(BODY),
            texts: RefCell::default(),
        })
    }

    fn at(&self, path: &Path, budget: &mut StepBudget) -> Option<&Value> {
        let mut parts = path.0.iter();
        parts.try_fold(&self.json, |value, part| {
            budget.spend(STEPS_PER_CONDITION).then_some(())?;
            value.as_object()?.get(part)
        })
    }

    fn text(&self, path: &Path, budget: &mut StepBudget) -> Option<Rc<str>> {
        budget.spend(1).then_some(())?;
        if let Some(text) = self.texts.borrow().get(path) {
            return Some(Rc::clone(text));
        }
        let text = self.at(path, budget)?.as_str()?;
        let text: Rc<str> = text.to_lowercase().into();
        let mut texts = self.texts.borrow_mut();
        texts.insert(path.clone(), Rc::clone(&text));
        Some(text)
    }

    /// Whether it says itself whom it mentions.
    fn says_mentions(&self) -> bool {
        self.json["content"].get("m.mentions").is_some()
    }
}

/// What rules ask about besides the event.
pub struct Context<'a> {
    /// How many are in the room.
    pub joined: UInt,
    /// The name of the user in the room.
    pub display_name: &'a str,
    /// Who may do what.
    pub power_levels: Option<&'a PushConditionPowerLevelsCtx>,
    /// Who sent the event.
    pub sender: &'a UserId,
}
