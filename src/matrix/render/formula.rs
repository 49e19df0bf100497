//! What is a formula: between dollar signs, `\( \)` and `\[ \]`.
//!
//! A dollar sign is rarely one: shell variables, regular expressions, ticker symbols and amounts have it too. So the rule is
//! [pandoc's][pandoc] and more: where the signs stand, *and* what stands between them must look like a formula. A formula that is
//! taken for words can still be read; words that are taken for a formula cannot.
//!
//! [pandoc]: https://pandoc.org/MANUAL.html#math

use super::opaque::OpaqueKind;

/// The longest formula, in bytes. It also bounds how far the end of each is looked for.
const FORMULA_BYTES_MAX: usize = 2_000;
/// The longest run of letters that is a product of variables; a longer one is a word.
const VARIABLES_MAX: usize = 2;
/// Words of formulas.
const FUNCTIONS: [&str; 16] = [
    "sin", "cos", "tan", "cot", "log", "exp", "max", "min", "lim", "sup", "inf", "mod", "gcd",
    "det", "dim", "ker",
];

/// The formula that begins at this place and ends before `end`: how many bytes of what.
pub(super) fn find(text: &str, at: usize, end: usize) -> Option<(usize, OpaqueKind)> {
    let rest = &text[at..text.floor_char_boundary(end.min(at + FORMULA_BYTES_MAX))];
    let before = text[..at].chars().next_back();
    if before == Some('\\') {
        return None;
    }
    let (opening, closing) = ["$$", "$", r"\[", r"\("]
        .into_iter()
        .zip(["$$", "$", r"\]", r"\)"])
        .find(|(opening, _)| rest.starts_with(opening))?;
    let latex = &rest[opening.len()..];
    let latex = &latex[..closing_at(latex, closing)?];
    let bytes = opening.len() + latex.len() + closing.len();
    let after = &text[at + bytes..];
    let kind = match opening {
        "$" => {
            (may_open(before) && may_close(after) && is_tight(latex) && looks_like_formula(latex))
                .then(|| OpaqueKind::InlineFormula(latex.trim().to_owned()))
        }
        r"\(" => (!latex.contains('\n') && looks_like_formula(latex))
            .then(|| OpaqueKind::InlineFormula(latex.trim().to_owned())),
        _ => is_display(&text[..at], latex, after, opening)
            .then(|| OpaqueKind::DisplayFormula(without_container(latex))),
    };
    kind.map(|kind| (bytes, kind))
}

/// Where a formula ends, if it does in its paragraph and without code on the way.
fn closing_at(latex: &str, closing: &str) -> Option<usize> {
    let mut chars = latex.char_indices();
    let mut blank_so_far = false;
    while let Some((at, c)) = chars.next() {
        if latex[at..].starts_with(closing) {
            return (!latex[..at].trim().is_empty()).then_some(at);
        }
        match c {
            '\\' => {
                // Another formula would begin in this one.
                if latex[at..].starts_with(r"\(") || latex[at..].starts_with(r"\[") {
                    return None;
                }
                chars.next();
                blank_so_far = false;
            }
            '`' | '$' => return None,
            '\n' if blank_so_far || closing == "$" => return None,
            '\n' => blank_so_far = true,
            c if c.is_whitespace() || c == '>' => {}
            _ => blank_so_far = false,
        }
    }
    None
}

/// Whether an inline formula may begin after this.
fn may_open(before: Option<char>) -> bool {
    before.is_none_or(|c| {
        if c.is_ascii() {
            c.is_ascii_whitespace() || "([{\"'*_~|>-,;:=".contains(c)
        } else {
            is_beside_words(c)
        }
    })
}

/// Whether an inline formula may end before this.
fn may_close(after: &str) -> bool {
    after.chars().next().is_none_or(|c| {
        if c.is_ascii() {
            c.is_ascii_whitespace() || ".,;:!?)]}\"'*_~|-<".contains(c)
        } else {
            is_beside_words(c)
        }
    })
}

/// Whether a character beyond ASCII is no part of a word: punctuation, or of a script without spaces between its words.
fn is_beside_words(c: char) -> bool {
    !c.is_alphanumeric() || matches!(c, '\u{3040}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

/// Whether what stands between two dollar signs touches both, and ends as a formula can.
fn is_tight(latex: &str) -> bool {
    let ends_well = latex
        .chars()
        .next_back()
        .is_some_and(|last| !last.is_whitespace() && !"-+=/,;:.<(\\".contains(last));
    // A quotation that ends or begins in it is of the sentence around it.
    let quotes = latex.matches('"').count();
    ends_well && !latex.starts_with(char::is_whitespace) && quotes.is_multiple_of(2)
}

/// Whether a block stands on lines of its own, or is a formula beyond doubt.
fn is_display(before: &str, latex: &str, after: &str, opening: &str) -> bool {
    let line = before.rfind('\n').map_or(before, |end| &before[end + 1..]);
    let begins_line = line
        .chars()
        .all(|c| c.is_whitespace() || c.is_ascii_digit() || ">-*+.)".contains(c));
    let ends_line = after
        .split('\n')
        .next()
        .is_some_and(|rest| rest.trim_matches(['.', ',', ';', ' ', '\t']).is_empty());
    let stands_alone = begins_line && ends_line;
    if stands_alone
        && latex.starts_with(char::is_whitespace)
        && latex.trim_start_matches([' ', '\t']).starts_with('\n')
    {
        return true;
    }
    let has_sign = latex.contains(['\\', '^', '_', '=']);
    if stands_alone && has_sign {
        return true;
    }
    let is_sure = has_sign || (opening == "$$" && !latex.contains('\n'));
    is_sure && looks_like_formula(latex)
}

/// The formula without the quote marks and the indent that its lines have by where it stands.
fn without_container(latex: &str) -> String {
    let lines = latex.lines().enumerate().map(|(index, line)| match index {
        0 => line.trim(),
        _ => line
            .trim_start_matches(|c: char| c.is_whitespace() || c == '>')
            .trim_end(),
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Whether this is more likely a formula than words, amounts or a program.
fn looks_like_formula(latex: &str) -> bool {
    let traits = Traits::of(latex);
    if traits.has_words || !traits.has_operands {
        return false;
    }
    let has_sign = traits.has_command || latex.contains(['^', '_', '=', '<', '>', '+']);
    let is_number = latex.trim().parse::<f64>().is_ok();
    let has_letters = latex.chars().any(char::is_alphabetic);
    let has_spaces = latex.trim().contains(char::is_whitespace);
    match (has_letters, has_spaces) {
        _ if has_sign => true,
        (true, true) => latex.contains(['-', '*', '/', '|', ',']),
        (true, false) => true,
        (false, _) => is_number,
    }
}

struct Traits {
    /// It has a word that is no command and no function.
    has_words: bool,
    /// It has a command, such as `\frac`.
    has_command: bool,
    /// It has a letter, a digit or a command.
    has_operands: bool,
}

impl Traits {
    fn of(latex: &str) -> Self {
        let mut traits = Self {
            has_words: false,
            has_command: false,
            has_operands: false,
        };
        let mut depth = 0_usize;
        let mut rest = latex;
        while let Some(c) = rest.chars().next() {
            let letters = |text: &str| {
                text.find(|c: char| !c.is_ascii_alphabetic())
                    .unwrap_or(text.len())
            };
            let mut taken = c.len_utf8();
            match c {
                '\\' => {
                    let name = letters(&rest[1..]);
                    traits.has_command |= name > 0;
                    traits.has_operands |= name > 0;
                    let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
                    taken += name.max(escaped);
                }
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                c if c.is_ascii_alphabetic() => {
                    taken = letters(rest);
                    let begin = latex.len() - rest.len();
                    let between = (
                        latex[..begin].ends_with(' '),
                        rest[taken..].starts_with(' '),
                    );
                    let word = &rest[..taken];
                    let is_word = taken > VARIABLES_MAX && !FUNCTIONS.contains(&word)
                        || (taken == 2 && between == (true, true));
                    traits.has_words |= is_word && depth == 0;
                    traits.has_operands = true;
                }
                c if c.is_ascii_digit() || matches!(c, '\u{370}'..='\u{3ff}') => {
                    traits.has_operands = true;
                }
                c if c.is_alphabetic() => traits.has_words |= depth == 0,
                _ => {}
            }
            rest = &rest[taken..];
        }
        traits
    }
}
