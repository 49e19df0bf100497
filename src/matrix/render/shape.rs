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

use super::MARKDOWN;

/// How deep elements nest. The specification recommends [at most 100 levels][spec], and one event
/// of the parser is up to three of them, as in a formula in a table.
///
/// [spec]: https://spec.matrix.org/latest/client-server-api/#mroommessage-msgtypes
const NESTING_MAX: usize = 90;

/// Reads Markdown and returns the events to write as HTML; nothing if these are more than
/// `events_max`.
///
/// A table fills short rows with empty cells, so that a few lines can become a million events.
pub(super) fn shape(markdown: &str, events_max: usize) -> Option<Vec<Event<'_>>> {
    let mut shaper = Shaper::default();
    for (event, range) in Parser::new_ext(markdown, MARKDOWN).into_offset_iter() {
        match event {
            Event::Start(tag) => shaper.start(tag, &markdown[range.clone()], range, markdown.len()),
            Event::End(_) => shaper.end(),
            Event::InlineMath(_) if is_no_formula(&markdown[range.end..]) => {
                shaper.leaf(Event::Text(markdown[range].into()));
            }
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
            Event::InlineMath(latex) => self.inline(maths("span", &latex)),
            Event::DisplayMath(latex) if self.spans > 0 => self.inline(maths("span", &latex)),
            Event::DisplayMath(latex) => {
                self.close_paragraph();
                self.out.push(maths("div", &latex));
            }
            Event::InlineHtml(html) | Event::Html(html) => self.html(&html),
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
            self.inline(Event::Start(Tag::Link {
                link_type: LinkType::Inline,
                dest_url: url.clone(),
                title: "".into(),
                id: "".into(),
            }));
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

/// Whether a dollar sign before this ends no formula: `$20-$30` are prices and `$HOME/$USER` is
/// shell.
fn is_no_formula(after: &str) -> bool {
    after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
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
