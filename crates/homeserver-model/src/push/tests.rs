//! Rules fit what they should, in few steps.

mod patterns;

use super::pattern::{Pattern, StepBudget};
use crate::limits::STEPS_PER_EVENT;

#[test]
fn body_of_many_words_is_searched_without_recursion() {
    let text = "bab ".repeat(16_000);
    for pattern in ["a", "a*a", "?a?", "b?b*b"] {
        let mut budget = StepBudget::of(STEPS_PER_EVENT);
        let found = Pattern::new(pattern)
            .unwrap()
            .is_word_in(&text, &mut budget);
        assert_eq!(found, pattern != "a" && pattern != "a*a", "{pattern}");
        assert!(budget.left() > 0, "{pattern}");
    }
}
