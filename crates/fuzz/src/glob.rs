//! Globs in the plainest way that there is: what the fast ways are compared with.

/// Whether the whole text is like the pattern. `*` stands for anything, and `?` for one character if `one` says so.
pub(crate) fn matches(pattern: &str, text: &str, one: bool) -> bool {
    let text: Vec<char> = text.chars().collect();
    // For each beginning of the text, whether it is like the pattern so far.
    let mut so_far = vec![false; text.len() + 1];
    so_far[0] = true;
    for token in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            let character = at.checked_sub(1).map(|before| text[before]);
            let before = at.checked_sub(1).is_some_and(|before| so_far[before]);
            next[at] = match token {
                '*' => so_far[at] || (at > 0 && next[at - 1]),
                '?' if one => before,
                token => before && character == Some(token),
            };
        }
        so_far = next;
    }
    so_far[text.len()]
}

/// Whether the pattern is in the text so that no word goes on at its ends.
pub(crate) fn is_word_in(pattern: &str, text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let is_word = |at: usize| {
        let character = characters.get(at);
        character.is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_')
    };
    let cuts: Vec<usize> = (0..=characters.len())
        .filter(|&at| !(at > 0 && is_word(at - 1) && is_word(at)))
        .collect();
    cuts.iter().any(|&start| {
        let ends = cuts.iter().filter(|&&end| end >= start);
        ends.into_iter().any(|&end| {
            let part: String = characters[start..end].iter().collect();
            matches(pattern, &part, true)
        })
    })
}
