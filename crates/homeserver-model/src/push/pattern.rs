//! Patterns of push rules: words and globs, matched in a number of steps that is known before.
//!
//! ruma's own matching makes a regular expression of every glob, which fails on large ones, and walks through words by recursion,
//! which a long message lets overflow the stack. Both texts come from people whom nobody trusts, so neither may be possible here.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#conditions-1>

use std::collections::HashMap;

use crate::limits::PATTERN_MAX_BYTES;

/// How many machine words hold a set of states: one state for each character of a pattern, and the end.
const STATE_WORDS: usize = PATTERN_MAX_BYTES / 64 + 1;
/// How many bytes a search for a text without wildcards compares in one step.
pub(super) const BYTES_PER_STEP: usize = 16;

/// How many steps may still be taken.
#[derive(Debug)]
pub struct StepBudget {
    left: u64,
}

impl StepBudget {
    /// So many steps.
    pub const fn of(steps: u64) -> Self {
        Self { left: steps }
    }

    /// Takes steps, if there are so many; if not, none are left.
    pub fn spend(&mut self, steps: usize) -> bool {
        let enough = self.left.checked_sub(steps as u64);
        self.left = enough.unwrap_or(0);
        enough.is_some()
    }

    /// How many are left.
    pub const fn left(&self) -> u64 {
        self.left
    }
}

/// A pattern, in lower case.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    has_wildcards: bool,
}

impl Pattern {
    /// Nothing if it is too long.
    pub fn new(pattern: &str) -> Option<Self> {
        // Lower case can be longer.
        let text = Some(pattern).filter(|pattern| pattern.len() <= PATTERN_MAX_BYTES)?;
        let text = text.to_lowercase();
        let has_wildcards = text.contains(['*', '?']);
        (text.len() <= PATTERN_MAX_BYTES).then_some(Self {
            text,
            has_wildcards,
        })
    }

    /// Whether it is the whole of a text in lower case.
    pub fn is_all_of(&self, text: &str, budget: &mut StepBudget) -> bool {
        if self.has_wildcards {
            return Glob::new(&self.text).matches(text, Within::Whole, budget);
        }
        budget.spend(1 + self.text.len() / BYTES_PER_STEP) && self.text == text
    }

    /// Whether it is in a text in lower case and no word goes on at its ends.
    pub fn is_word_in(&self, text: &str, budget: &mut StepBudget) -> bool {
        if !budget.spend(1) || self.text.is_empty() {
            return self.text == text;
        }
        if self.has_wildcards {
            return Glob::new(&self.text).matches(text, Within::Words, budget);
        }
        let mut from = 0;
        while let Some(found) = text[from..].find(&self.text) {
            let (start, end) = (from + found, from + found + self.text.len());
            if !budget.spend(1 + (found + self.text.len()) / BYTES_PER_STEP) {
                return false;
            }
            if is_between_words(text, start) && is_between_words(text, end) {
                return true;
            }
            from = start + text[start..].chars().next().map_or(1, char::len_utf8);
        }
        // The rest was searched in vain.
        budget.spend((text.len() - from) / BYTES_PER_STEP);
        false
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Whether no word goes on here.
fn is_between_words(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at..].chars().next();
    !(before.is_some_and(is_word) && after.is_some_and(is_word))
}

/// Where a glob may begin and end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// At the ends of the text.
    Whole,
    /// Wherever no word goes on.
    Words,
}

type States = [u64; STATE_WORDS];

const NO_STATES: States = [0; STATE_WORDS];

/// A glob as an automaton: state n is reached once its first n tokens are found. All states go on at once, so a text is read once.
struct Glob {
    tokens: usize,
    /// In which states this character leads on.
    of_character: HashMap<char, States>,
    /// In which states any character leads on.
    any: States,
    /// Which states stay where they are with any character, and lead on with none.
    many: States,
}

impl Glob {
    fn new(pattern: &str) -> Self {
        let mut glob = Self {
            tokens: 0,
            of_character: HashMap::new(),
            any: States::default(),
            many: States::default(),
        };
        let mut last = None;
        for token in pattern.chars() {
            if token == '*' && last == Some('*') {
                continue;
            }
            last = Some(token);
            let states = match token {
                '*' => &mut glob.many,
                '?' => &mut glob.any,
                token => glob.of_character.entry(token).or_default(),
            };
            set(states, glob.tokens);
            glob.tokens += 1;
        }
        glob
    }

    fn matches(&self, text: &str, within: Within, budget: &mut StepBudget) -> bool {
        let words = self.tokens / 64 + 1;
        if !budget.spend(self.tokens + text.len() * words) {
            return false;
        }
        let mut states = States::default();
        let (mut before, mut rest) = (None, text.chars());
        loop {
            let next = rest.next();
            let cut = !(before.is_some_and(is_word) && next.is_some_and(is_word));
            if before.is_none() || (within == Within::Words && cut) {
                set(&mut states, 0);
                self.lead_on(&mut states, words);
            }
            let may_end = next.is_none() || (within == Within::Words && cut);
            if may_end && has(&states, self.tokens) {
                return true;
            }
            let Some(character) = next else { return false };
            self.read(character, &mut states, words);
            before = next;
        }
    }

    fn read(&self, character: char, states: &mut States, words: usize) {
        let of_character = self.of_character.get(&character).unwrap_or(&NO_STATES);
        let leads = self.any.iter().zip(of_character);
        let mut carry = 0;
        for ((word, many), (any, one)) in states.iter_mut().zip(&self.many).zip(leads).take(words) {
            let led = *word & (any | one);
            *word = (led << 1) | carry | (*word & many);
            carry = led >> 63;
        }
        self.lead_on(states, words);
    }

    /// No two of the states that lead on with no character follow each other, so once is enough.
    fn lead_on(&self, states: &mut States, words: usize) {
        let mut carry = 0;
        for (word, many) in states.iter_mut().zip(&self.many).take(words) {
            let led = *word & many;
            *word |= (led << 1) | carry;
            carry = led >> 63;
        }
    }
}

fn set(states: &mut States, state: usize) {
    if let Some(word) = states.get_mut(state / 64) {
        *word |= 1 << (state % 64);
    }
}

fn has(states: &States, state: usize) -> bool {
    states
        .get(state / 64)
        .is_some_and(|word| word & (1 << (state % 64)) != 0)
}
