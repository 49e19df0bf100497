//! What a demo agent answers, decided by a directive in what it was told.
//!
//! The first directive found anywhere in the last prompt wins, so whatever a client wraps round a
//! person's words is harmless. Without one the agent says what it was told.
//!
//! | directive | the answer |
//! |---|---|
//! | `say: TEXT` | `TEXT`, word by word |
//! | `think: A => B` | `A` as reasoning, then `B` |
//! | `tool: NAME {json}` | a call of a tool, what it returned, and the words `tool NAME returned: …` |
//! | `tools: N1 {json} ;; N2 {json}` | two and more calls in one step |
//! | `saytool: TEXT => NAME {json}` | text first, then the call |
//! | `approve: NAME {json}` | a call that waits for a person (`;;` for several) |
//! | `slow: N` | `N` words, 0.25 s apart |
//! | `long: N` | `N` words at once |
//! | `wait: SECONDS` | nothing but pings, then an answer |
//! | `md:` | a fixed piece of Markdown |
//! | `empty:` | no text at all |
//! | `error: CODE` | the model failed with this status |
//! | `die:` | two words, then the model's connection breaks |
//! | `count:` | how many messages and pictures the conversation holds |
//! | `pictures:` | what the pictures of the message are, and how large |
//! | `echo: TEXT` | `You said: TEXT` |
//!
//! A tool returns its arguments; one whose name begins with `fail` fails, and after one whose name begins with `slow` the agent
//! speaks slowly.

use std::{sync::LazyLock, time::Duration};

use regex::Regex;

/// The most words of `slow:` and `long:`.
pub const WORDS_MAX: usize = 20_000;

/// The most calls of one step.
pub const CALLS_MAX: usize = 16;

/// The longest `wait:`, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 3_600;

/// Between two words of `slow:`.
pub(super) const SLOW_PACE: Duration = Duration::from_millis(250);

const MARKDOWN: &str = "# Title\n\nSome **bold**, _italic_ and `code`.\n\n- one\n- two\n  - nested\n\n\
    ```rust\nfn main() { println!(\"hi\"); }\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\
    See [docs](https://example.org/x?a=1&b=2) & <b>raw html</b>.";

/// A regular expression is a constant here: it compiles or no test passes.
#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?s)\b(say|think|tools|tool|saytool|approve|slow|long|wait|md|empty|error|die|count|pictures|echo):[ ]?(.*)",
    )
    .expect("a valid pattern")
});

/// What an agent is going to do in one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Say something.
    Say(ScriptedText),
    /// Say something, call tools, and say what they returned.
    Call {
        text: String,
        calls: Vec<Call>,
        ask: bool,
    },
    /// Be silent, then say something.
    Wait(Duration),
    /// Say how many messages there are.
    Count,
    /// End without a word.
    Empty,
    /// Fail as a model that answers with this status.
    Error(u16),
    /// Fail as a model that takes no pictures.
    NoPictures,
    /// Break off.
    Die,
}

/// Something to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ScriptedText {
    /// Reasoning before it, or empty.
    pub(super) reasoning: String,
    pub(super) text: String,
    /// Between two words.
    pub(super) pace: Duration,
}

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// JSON.
    pub(super) arguments: String,
}

impl Call {
    /// Runs the tool: whether it succeeded, and what it returned.
    pub(super) fn run(&self) -> (bool, String) {
        if self.name.starts_with("fail") {
            (
                false,
                format!("Error: the demo tool {} fails on purpose", self.name),
            )
        } else {
            (true, format!("demo result for {}", self.arguments))
        }
    }
}

impl Plan {
    /// Decides on the prompts of one turn, oldest first; `pictures` says what was shown with them.
    pub(super) fn new(prompts: &[String], pictures: &[String]) -> Self {
        let last = prompts.last().map_or("", String::as_str);
        let Some(found) = DIRECTIVE.captures(last) else {
            return say(&format!("You said: {}", prompts.join("\n").trim()));
        };
        let rest = found.get(2).map_or("", |m| m.as_str()).trim();
        match found.get(1).map_or("", |m| m.as_str()) {
            "say" => say(rest),
            "think" => {
                let (reasoning, text) = rest.split_once("=>").unwrap_or((rest, "done thinking"));
                Self::Say(ScriptedText {
                    reasoning: reasoning.trim().to_owned(),
                    text: text.trim().to_owned(),
                    ..ScriptedText::default()
                })
            }
            "tool" | "tools" => call("", rest, false),
            "approve" => call("", rest, true),
            "saytool" => {
                let (text, rest) = rest.split_once("=>").unwrap_or(("", rest));
                call(text.trim(), rest, false)
            }
            "slow" => Self::Say(ScriptedText {
                text: words(rest),
                pace: SLOW_PACE,
                ..ScriptedText::default()
            }),
            "long" => say(&words(rest)),
            "wait" => Self::Wait(Duration::from_secs(number(rest).min(WAIT_SECONDS_MAX))),
            "md" => say(MARKDOWN),
            "empty" => Self::Empty,
            "error" => Self::Error(u16::try_from(number(rest)).unwrap_or(500)),
            "die" => Self::Die,
            "count" => Self::Count,
            "pictures" if pictures.is_empty() => say("no pictures"),
            "pictures" => say(&format!("pictures: {}", pictures.join("; "))),
            _ => say(&format!("You said: {rest}")),
        }
    }
}

fn say(text: &str) -> Plan {
    Plan::Say(ScriptedText {
        text: text.to_owned(),
        ..ScriptedText::default()
    })
}

fn call(text: &str, rest: &str, ask: bool) -> Plan {
    let calls = rest.split(";;").take(CALLS_MAX).map(parse_call).collect();
    Plan::Call {
        text: text.to_owned(),
        calls,
        ask,
    }
}

/// `NAME {json}`; what follows the JSON is ignored, no JSON is `{}`.
fn parse_call(text: &str) -> Call {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let arguments = serde_json::Deserializer::from_str(rest)
        .into_iter::<serde_json::Map<_, _>>()
        .next()
        .and_then(Result::ok)
        .unwrap_or_default();
    let name = if name.is_empty() { "nothing" } else { name };
    Call {
        name: name.to_owned(),
        arguments: serde_json::Value::from(arguments).to_string(),
    }
}

/// The number that a text begins with, or 1.
fn number(text: &str) -> u64 {
    let digits = text
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits.parse().unwrap_or(1)
}

fn words(text: &str) -> String {
    let count = usize::try_from(number(text))
        .unwrap_or(WORDS_MAX)
        .min(WORDS_MAX);
    (0..count)
        .map(|n| format!("w{n}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A text cut as a model streams it: each word with the space before it.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && in_word {
            tokens.push(&text[start..at]);
            start = at;
        }
        in_word = !c.is_whitespace();
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan::new(&[text.to_owned()], &[])
    }

    #[test]
    fn what_is_no_directive_comes_back_with_all_prompts_joined() {
        let prompts = ["hello".to_owned(), "again ".to_owned()];
        assert_eq!(Plan::new(&prompts, &[]), say("You said: hello\nagain"));
    }

    #[test]
    fn a_directive_counts_in_the_last_prompt_wherever_it_stands() {
        let prompts = ["say: no".to_owned(), "[@a:b] say: yes".to_owned()];
        assert_eq!(Plan::new(&prompts, &[]), say("yes"));
    }

    #[test]
    fn calls_are_cut_at_two_semicolons() {
        let call = |name: &str, arguments: &str| Call {
            name: name.into(),
            arguments: arguments.into(),
        };
        assert_eq!(
            plan(r#"tools: look {"at": 1} trailing ;; wink"#),
            Plan::Call {
                text: String::new(),
                calls: vec![call("look", r#"{"at":1}"#), call("wink", "{}")],
                ask: false
            }
        );
    }

    #[test]
    fn numbers_have_limits() {
        let Plan::Say(saying) = plan("long: 99999999999999999999") else {
            panic!()
        };
        assert_eq!(saying.text, "w0");
        let Plan::Say(saying) = plan("long: 999999999") else {
            panic!()
        };
        assert_eq!(saying.text.split(' ').count(), WORDS_MAX);
        assert_eq!(plan("error: 70000"), Plan::Error(500));
    }

    #[test]
    fn tokens_keep_every_character() {
        let text = "  one two\n\nthree ";
        assert_eq!(tokens(text), ["  one", " two", "\n\nthree", " "]);
        assert_eq!(tokens(""), [""; 0]);
    }
}
