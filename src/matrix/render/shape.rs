//! Markdown's events, changed to what a room can show.
//!
//! Everything that Matrix does not allow, or that clients show badly, is turned into something
//! near to it *before* HTML is written, so that the sanitizer behind it finds nothing to drop.
//!
//! Knows nothing of sizes and of events; works on one text and never fails.

use std::{iter, ops::Range};

use pulldown_cmark::{
    BlockQuoteKind, CodeBlockKind, CowStr, Event, LinkType, Parser, Tag, TagEnd, html::push_html,
};

use super::{
    MARKDOWN,
    opaque::{Masked, OpaqueKind, Span, is_placeholder},
};

/// How deep elements nest. The specification recommends [at most 100 levels][spec], and one event
/// of the parser is up to three of them, as in a formula in a table.
///
/// [spec]: https://spec.matrix.org/latest/client-server-api/#mroommessage-msgtypes
const NESTING_MAX: usize = 90;

/// Reads Markdown and returns the events to write as HTML; nothing if these are more than
/// `events_max`.
///
/// A table fills short rows with empty cells, so that a few lines can become a million events.
pub(super) fn shape<'m>(masked: &'m Masked<'_>, events_max: usize) -> Option<Vec<Event<'m>>> {
    let markdown: &str = &masked.text;
    let mut shaper = Shaper::default();
    let mut is_code = false;
    let mut cell_end = 0;
    for (event, range) in Parser::new_ext(markdown, MARKDOWN).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                is_code |= matches!(tag, Tag::CodeBlock(_));
                let tag = restored(tag, masked);
                shaper.start(tag, &markdown[range.clone()], range, markdown.len());
            }
            Event::End(end) => {
                is_code &= end != TagEnd::CodeBlock;
                match end {
                    TagEnd::TableCell => cell_end = range.end,
                    TagEnd::TableRow => shaper.surplus(markdown.get(cell_end..range.end), masked),
                    _ => {}
                }
                shaper.end();
            }
            Event::Text(text) if !is_code => shaper.text(text, masked),
            Event::Text(text) => shaper.leaf(Event::Text(put_back(text, masked))),
            Event::Code(text) => shaper.leaf(Event::Code(put_back(text, masked))),
            Event::Html(html) | Event::InlineHtml(html) => shaper.html(&masked.restore(&html)),
            other => shaper.leaf(other),
        }
        if shaper.out.len() > events_max {
            return None;
        }
    }
    Some(shaper.out)
}

/// What an open element of the source needs when it ends.
enum Frame<'a> {
    /// Nothing: the element was left out, its content stays.
    Dropped,
    /// The end of the same element.
    Element(TagEnd),
    /// The same, for an element whose content is inline, so that no block may be inside.
    Span(TagEnd),
    /// The end of a paragraph, if one is open, after these last words on a line of their own.
    Paragraph { tail: Option<&'static str> },
    /// An image that became a link to it, or only its words if it was in a link already.
    Image {
        url: CowStr<'a>,
        linked: bool,
        start: usize,
    },
}

/// Where the writing stands relative to paragraphs.
#[derive(Default, PartialEq)]
enum Paragraph {
    /// In none.
    #[default]
    Closed,
    /// One began in the source, but nothing of it is written.
    Pending,
    /// In one.
    Open,
}

#[derive(Default)]
struct Shaper<'a> {
    out: Vec<Event<'a>>,
    frames: Vec<Frame<'a>>,
    paragraph: Paragraph,
    /// A line break that is written when something follows it.
    held_break: bool,
    /// How many of the open elements have inline content only.
    spans: usize,
    /// How many of the open elements are links.
    links: usize,
}

impl<'a> Shaper<'a> {
    fn start(&mut self, tag: Tag<'a>, source: &str, range: Range<usize>, whole: usize) {
        if self.frames.len() >= NESTING_MAX {
            if !is_span(&tag) {
                // Keeps the words of two paragraphs apart.
                self.inline(Event::Text(" ".into()));
            }
            self.frames.push(Frame::Dropped);
            return;
        }
        let frame = match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.start_paragraph(None),
            Tag::Heading { .. } if range.end == whole && is_begun_list(source) => {
                self.start_paragraph(Some("-"))
            }
            Tag::BlockQuote(kind) => self.start_quote(kind),
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                self.start_block(Tag::CodeBlock(CodeBlockKind::Fenced(language(&info))))
            }
            // Alignment is an attribute that Matrix does not allow.
            Tag::Table(_) => self.start_block(Tag::Table(Vec::new())),
            Tag::Image { dest_url, .. } if !dest_url.starts_with("mxc://") => {
                self.start_image(dest_url)
            }
            tag if is_span(&tag) => self.start_span(tag),
            Tag::Heading { .. } | Tag::TableCell => {
                self.spans += 1;
                self.held_break = false;
                let end = tag.to_end();
                self.out.push(Event::Start(tag));
                Frame::Span(end)
            }
            other => self.start_block(other),
        };
        self.frames.push(frame);
    }

    fn end(&mut self) {
        match self.frames.pop() {
            None | Some(Frame::Dropped) => {}
            Some(Frame::Element(end)) => {
                self.held_break = false;
                self.out.push(Event::End(end));
            }
            Some(Frame::Span(end)) => {
                self.spans = self.spans.saturating_sub(1);
                if end == TagEnd::Link {
                    self.links = self.links.saturating_sub(1);
                }
                self.out.push(Event::End(end));
            }
            Some(Frame::Paragraph { tail }) => {
                if let Some(tail) = tail {
                    self.held_break = true;
                    self.inline(Event::Text(tail.into()));
                }
                self.close_paragraph();
                self.paragraph = Paragraph::Closed;
            }
            Some(Frame::Image { url, linked, start }) => {
                if self.out.len() == start {
                    self.inline(Event::Text(url));
                }
                if linked {
                    self.spans = self.spans.saturating_sub(1);
                    self.links = self.links.saturating_sub(1);
                    self.out.push(Event::End(TagEnd::Link));
                }
            }
        }
    }

    fn leaf(&mut self, event: Event<'a>) {
        match event {
            Event::SoftBreak | Event::HardBreak => self.held_break = true,
            Event::TaskListMarker(done) => {
                self.inline(Event::Text(if done { "☑ " } else { "☐ " }.into()));
            }
            Event::Rule => {
                self.held_break = false;
                self.out.push(Event::Rule);
            }
            other => self.inline(other),
        }
    }

    /// Running text, with what was no Markdown in it.
    fn text(&mut self, text: CowStr<'a>, masked: &'a Masked<'_>) {
        if !text.contains(is_placeholder) {
            self.inline(Event::Text(text));
            return;
        }
        let mut words = String::new();
        for c in text.chars() {
            match masked.span(c) {
                None => words.push(c),
                Some(Span { source, kind }) if *kind == OpaqueKind::Literal => {
                    words.push_str(source);
                }
                Some(span) => {
                    self.words(&mut words);
                    self.span(span);
                }
            }
        }
        self.words(&mut words);
    }

    fn words(&mut self, words: &mut String) {
        if !words.is_empty() {
            self.inline(Event::Text(std::mem::take(words).into()));
        }
    }

    fn span(&mut self, span: &'a Span<'_>) {
        match &span.kind {
            OpaqueKind::InlineFormula(latex) => self.inline(maths("span", latex)),
            OpaqueKind::DisplayFormula(latex) if self.spans > 0 => {
                self.inline(maths("span", latex));
            }
            OpaqueKind::DisplayFormula(latex) => {
                self.close_paragraph();
                self.out.push(maths("div", latex));
            }
            OpaqueKind::Link(target) if self.links == 0 => {
                self.inline(link(target.as_str().into()));
                self.out.push(Event::Text(span.source.into()));
                self.out.push(Event::End(TagEnd::Link));
            }
            OpaqueKind::Link(_) | OpaqueKind::Literal => {
                self.inline(Event::Text(span.source.into()));
            }
        }
    }

    /// What a row of a table has beyond its last cell, which Markdown would drop: it goes into that cell.
    fn surplus(&mut self, source: Option<&str>, masked: &Masked<'_>) {
        let words = source
            .unwrap_or_default()
            .trim_matches(['|', ' ', '\t', '\n']);
        if words.is_empty() || !matches!(self.out.last(), Some(Event::End(TagEnd::TableCell))) {
            return;
        }
        let end = self.out.pop();
        let words = format!(" | {}", masked.restore(words));
        self.out.push(Event::Text(words.into()));
        self.out.extend(end);
    }

    /// HTML is shown as it was written, for `Vec<String>` must not lose its `<String>`. Only the
    /// line break is obeyed: Markdown has no other inside a table.
    fn html(&mut self, html: &str) {
        let line = html.trim_end_matches('\n');
        if matches!(line.trim(), "<br>" | "<br/>" | "<br />") {
            self.held_break = true;
            return;
        }
        self.inline(Event::Text(line.to_owned().into()));
        self.held_break = line.len() < html.len();
    }

    fn start_block(&mut self, tag: Tag<'a>) -> Frame<'a> {
        self.held_break = false;
        let end = tag.to_end();
        self.out.push(Event::Start(tag));
        Frame::Element(end)
    }

    fn start_span(&mut self, tag: Tag<'a>) -> Frame<'a> {
        self.spans += 1;
        if matches!(tag, Tag::Link { .. }) {
            self.links += 1;
        }
        let end = tag.to_end();
        self.inline(Event::Start(tag));
        Frame::Span(end)
    }

    fn start_paragraph(&mut self, tail: Option<&'static str>) -> Frame<'a> {
        self.held_break = false;
        self.paragraph = Paragraph::Pending;
        Frame::Paragraph { tail }
    }

    /// The kind of an alert (`> [!NOTE]`) is a class in HTML, which Matrix does not allow: it
    /// becomes a word.
    fn start_quote(&mut self, kind: Option<BlockQuoteKind>) -> Frame<'a> {
        let frame = self.start_block(Tag::BlockQuote(None));
        if let Some(kind) = kind {
            let name = match kind {
                BlockQuoteKind::Note => "Note",
                BlockQuoteKind::Tip => "Tip",
                BlockQuoteKind::Important => "Important",
                BlockQuoteKind::Warning => "Warning",
                BlockQuoteKind::Caution => "Caution",
            };
            self.out.extend([
                Event::Start(Tag::Paragraph),
                Event::Start(Tag::Strong),
                Event::Text(name.into()),
                Event::End(TagEnd::Strong),
                Event::End(TagEnd::Paragraph),
            ]);
        }
        frame
    }

    /// An image elsewhere would tell its server who reads what: it becomes a link to it.
    fn start_image(&mut self, url: CowStr<'a>) -> Frame<'a> {
        let linked = self.links == 0;
        if linked {
            self.spans += 1;
            self.links += 1;
            self.inline(link(url.clone()));
        }
        Frame::Image {
            url,
            linked,
            start: self.out.len(),
        }
    }

    fn inline(&mut self, event: Event<'a>) {
        if self.paragraph == Paragraph::Pending {
            self.out.push(Event::Start(Tag::Paragraph));
            self.paragraph = Paragraph::Open;
            // A formula stood before this line, or nothing.
            self.held_break = false;
        }
        if self.held_break {
            self.held_break = false;
            self.out.push(Event::HardBreak);
        }
        self.out.push(event);
    }

    /// Ends a paragraph that is open, so that a block may follow; it opens again for more words.
    fn close_paragraph(&mut self) {
        self.held_break = false;
        if self.paragraph == Paragraph::Open {
            self.out.push(Event::End(TagEnd::Paragraph));
            self.paragraph = Paragraph::Pending;
        }
    }
}

/// Whether an element stands within a line.
fn is_span(tag: &Tag<'_>) -> bool {
    matches!(
        tag,
        Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. }
    )
}

/// `words:` and a lone `-` below it are a heading to Markdown, but while an agent writes they are
/// a list of which the first item is still to come.
fn is_begun_list(heading: &str) -> bool {
    heading
        .trim_end()
        .rsplit_once('\n')
        .is_some_and(|(_, underline)| underline.trim() == "-")
}

/// The beginning of a link.
fn link(target: CowStr<'_>) -> Event<'_> {
    Event::Start(Tag::Link {
        link_type: LinkType::Inline,
        dest_url: target,
        title: "".into(),
        id: "".into(),
    })
}

/// A text as it was written.
fn put_back<'a>(text: CowStr<'a>, masked: &Masked<'_>) -> CowStr<'a> {
    if text.contains(is_placeholder) {
        masked.restore(&text).into_owned().into()
    } else {
        text
    }
}

/// An element with its target and its words as they were written.
fn restored<'a>(tag: Tag<'a>, masked: &Masked<'_>) -> Tag<'a> {
    match tag {
        Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        } => Tag::Link {
            link_type,
            dest_url: put_back(dest_url, masked),
            title: put_back(title, masked),
            id,
        },
        Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        } => Tag::Image {
            link_type,
            dest_url: put_back(dest_url, masked),
            title: put_back(title, masked),
            id,
        },
        Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
            Tag::CodeBlock(CodeBlockKind::Fenced(put_back(info, masked)))
        }
        other => other,
    }
}

/// The language of a code block: the first word of its info string, as highlighters know it, so
/// `rust,ignore` and `js{1,3}` are `rust` and `js`.
fn language<'a>(info: &str) -> CowStr<'a> {
    let word = info
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '{'))
        .next();
    word.unwrap_or_default().to_owned().into()
}

/// A formula as the specification has it, with its LaTeX as the fallback.
///
/// <https://spec.matrix.org/latest/client-server-api/#mathematical-messages>
fn maths<'a>(element: &str, latex: &str) -> Event<'a> {
    let mut text = String::new();
    push_html(&mut text, iter::once(Event::Text(latex.trim().into())));
    let attribute = text.replace('"', "&quot;");
    let html = format!("<{element} data-mx-maths=\"{attribute}\"><code>{text}</code></{element}>");
    Event::InlineHtml(html.into())
}
