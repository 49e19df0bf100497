//! What is no Markdown although it stands in it: formulas, addresses, Matrix ids, paths.
//!
//! Their characters mean something of their own (`_` in a path, `*` in a query, `$` in a formula), so they are found before
//! Markdown is parsed. Each is replaced by one character of a private plane of Unicode, which to Markdown is a letter, and put
//! back when the parser has said where it stands: in running text as what it is, in code and in targets as it was written.
//!
//! Promise: what is found by mistake is put back character for character. What is a formula is decided in
//! [`formula`], what is an address in [`address`].

use std::{borrow::Cow, collections::HashSet, ops::Range};

use pulldown_cmark::{Event, LinkType, Parser, Tag, TagEnd};

use super::{MARKDOWN, address, formula};

/// The first of the characters that stand for something: plane 16 of Unicode, which nobody else uses.
const FIRST: u32 = 0x10_0000;
/// The most spans of one text, as many as there are such characters. What comes after them is parsed as Markdown.
const SPANS_MAX: usize = 0xfffd;

/// Something that is no Markdown.
pub(super) struct Span<'a> {
    /// How it was written.
    pub source: &'a str,
    /// What it is.
    pub kind: OpaqueKind,
}

/// What a span is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpaqueKind {
    /// Mere text.
    Literal,
    /// An address, with the target of its link.
    Link(String),
    /// A formula within a line, in LaTeX.
    InlineFormula(String),
    /// A formula on lines of its own, in LaTeX.
    DisplayFormula(String),
}

/// A text without what is no Markdown.
pub(super) struct Masked<'a> {
    /// The text to parse.
    pub text: Cow<'a, str>,
    spans: Vec<Span<'a>>,
}

impl<'a> Masked<'a> {
    /// What a character of [`Masked::text`] stands for.
    pub(super) fn span(&self, placeholder: char) -> Option<&Span<'a>> {
        let index = u32::from(placeholder).checked_sub(FIRST)?;
        self.spans.get(usize::try_from(index).ok()?)
    }

    /// A piece of [`Masked::text`] as it was written.
    pub(super) fn restore<'m>(&self, text: &'m str) -> Cow<'m, str> {
        if self.spans.is_empty() || !text.contains(is_placeholder) {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len() * 2);
        for c in text.chars() {
            match self.span(c) {
                Some(span) => out.push_str(span.source),
                None => out.push(c),
            }
        }
        Cow::Owned(out)
    }
}

/// Whether a character may stand for a span.
pub(super) fn is_placeholder(c: char) -> bool {
    u32::from(c) >= FIRST
}

/// Finds what is no Markdown.
pub(super) fn mask(text: &str) -> Masked<'_> {
    let mut masked = Masked {
        text: Cow::Borrowed(text),
        spans: Vec::new(),
    };
    if !may_have_spans(text) {
        return masked;
    }
    let Markup { kept, unused } = Markup::of(text);
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    let mut kept = kept.into_iter().peekable();
    let mut unused = unused.into_iter().peekable();
    while at < text.len() && masked.spans.len() < SPANS_MAX {
        while kept.next_if(|range| range.end <= at).is_some() {}
        while unused.next_if(|start| *start < at).is_some() {}
        let end = match kept.peek() {
            Some(range) if range.start <= at && !text[at..].starts_with(is_placeholder) => {
                // Private characters are replaced everywhere, or they would be taken for spans.
                let rest = &text[at..range.end];
                at += rest.find(is_placeholder).unwrap_or(rest.len());
                continue;
            }
            Some(range) => range.start.max(at + 1),
            None => text.len(),
        };
        let is_definition = unused.peek() == Some(&at);
        let found = if is_definition {
            Some((1, OpaqueKind::Literal))
        } else {
            span_at(text, at, text.ceil_char_boundary(end))
        };
        if let Some((bytes, kind)) = found {
            out.push_str(&text[copied..at]);
            let index = u32::try_from(masked.spans.len()).unwrap_or_default();
            out.extend(char::from_u32(FIRST + index));
            let source = &text[at..at + bytes];
            masked.spans.push(Span { source, kind });
            at += bytes;
            copied = at;
        } else {
            let rest = &text[at..];
            let first = rest.chars().next().map_or(1, char::len_utf8);
            // What a backslash escapes begins nothing.
            let is_escape = rest.starts_with('\\')
                && rest[first..].starts_with(|c: char| c.is_ascii_punctuation());
            at += first + usize::from(is_escape);
        }
    }
    out.push_str(&text[copied..]);
    masked.text = Cow::Owned(out);
    masked
}

/// A first look, which spares most texts the search.
fn may_have_spans(text: &str) -> bool {
    ["$", "\\(", "\\[", "://", "www.", "@", "]:"]
        .iter()
        .any(|sign| text.contains(sign))
        || (text.contains('_') && text.contains(['/', '.']))
        || (text.contains(['#', '!']) && text.contains(':'))
        || text.contains(is_placeholder)
}

/// What begins at this place and ends before `end`: how many bytes of what.
fn span_at(text: &str, at: usize, end: usize) -> Option<(usize, OpaqueKind)> {
    let first = text[at..end].chars().next()?;
    match first {
        '$' | '\\' => formula::find(text, at, end),
        c if is_placeholder(c) => Some((c.len_utf8(), OpaqueKind::Literal)),
        _ => address::find(text, at, end),
    }
}

/// What the parser says of a text as it was written.
struct Markup {
    /// Code and the targets of links, in order: nothing is looked for in them.
    kept: Vec<Range<usize>>,
    /// Where definitions of targets begin that nothing refers to, in order. Markdown would drop them, and a `[note]: words` with
    /// them.
    unused: Vec<usize>,
}

impl Markup {
    fn of(text: &str) -> Self {
        let mut kept: Vec<Range<usize>> = Vec::new();
        let mut used: HashSet<String> = HashSet::new();
        // For each open link, where its words end.
        let mut labels: Vec<usize> = Vec::new();
        let mut events = Parser::new_ext(text, MARKDOWN).into_offset_iter();
        for (event, range) in events.by_ref() {
            match event {
                Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => kept.push(range.clone()),
                Event::Start(
                    Tag::Link { link_type, id, .. } | Tag::Image { link_type, id, .. },
                ) => {
                    match link_type {
                        LinkType::Autolink | LinkType::Email => kept.push(range.clone()),
                        LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut => {
                            used.insert(id.to_lowercase());
                        }
                        _ => {}
                    }
                    labels.push(range.start + 1);
                    continue;
                }
                Event::End(TagEnd::Link | TagEnd::Image) => {
                    kept.extend(labels.pop().map(|end| end..range.end));
                }
                _ => {}
            }
            if let Some(end) = labels.last_mut() {
                *end = range.end.max(*end);
            }
        }
        let mut unused: Vec<usize> = events
            .reference_definitions()
            .iter()
            .filter(|(label, _)| !used.contains(&label.to_lowercase()))
            .map(|(_, definition)| definition.span.start)
            .collect();
        kept.sort_by_key(|range| range.start);
        unused.sort_unstable();
        Self { kept, unused }
    }
}
