//! Where a text may be cut: what a cut at a given place would go through.
//!
//! A code block that is cut is closed and opened again, and a table begins again with its header.
//! A cut that would leave half a row, or an empty code block, is not allowed.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::MARKDOWN;

/// The longest first line of a code block, and the longest header of a table, that is repeated
/// after a cut, in bytes. A longer one is nobody's language and nobody's header.
const REPEATED_BYTES_MAX: usize = 1_000;

/// The code blocks and tables of a text, in order.
pub(super) struct Blocks<'a> {
    text: &'a str,
    blocks: Vec<Block>,
}

struct Block {
    kind: Kind,
    /// The whole of it.
    range: Range<usize>,
    /// Where a cut is allowed, ends excluded: lines of code, or rows.
    inner: Range<usize>,
    /// How many cells it has, if it is a table.
    cells: usize,
}

impl Block {
    /// Whether the cells are more than were written. Short rows are filled up with empty cells, so
    /// that repeating a wide header over them would make hundreds of parts out of a few lines.
    fn is_padded(&self) -> bool {
        self.cells > self.range.len()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Table,
}

/// A place to cut at, and what the cut goes through.
pub(super) enum Cut {
    /// Between blocks, or through mere words.
    Free,
    /// Through a code block or a table.
    Through {
        /// What ends the part before the cut.
        close: String,
        /// What begins the part after it.
        reopen: String,
    },
}

impl<'a> Blocks<'a> {
    /// Finds the blocks of a text.
    pub(super) fn of(text: &'a str) -> Self {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (event, range) in Parser::new_ext(text, MARKDOWN).into_offset_iter() {
            match (&event, &mut open) {
                (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))), None) => {
                    let first_line = line_end(text, range.start);
                    open = Some(Block {
                        kind: Kind::Code,
                        range,
                        inner: first_line..first_line,
                        cells: 0,
                    });
                }
                (Event::Start(Tag::Table(_)), None) => {
                    let inner = range.end..range.end;
                    open = Some(Block {
                        kind: Kind::Table,
                        range,
                        inner,
                        cells: 0,
                    });
                }
                (Event::Text(_), Some(block)) if block.kind == Kind::Code => {
                    block.inner.end = range.end;
                }
                (Event::End(TagEnd::TableHead), Some(block)) => {
                    let delimiters = line_end(text, range.end.saturating_sub(1));
                    block.inner = line_end(text, delimiters)..block.range.end;
                }
                (Event::Start(Tag::TableCell), Some(block)) => block.cells += 1,
                (Event::End(TagEnd::CodeBlock | TagEnd::Table), open) => {
                    blocks.extend(open.take().filter(|block| !block.is_padded()));
                }
                _ => {}
            }
        }
        Self { text, blocks }
    }

    /// What a cut at this place goes through; nothing if no cut is allowed there.
    pub(super) fn cut(&self, at: usize) -> Option<Cut> {
        let index = self.blocks.partition_point(|block| block.range.end <= at);
        let Some(block) = self
            .blocks
            .get(index)
            .filter(|block| block.range.start < at)
        else {
            return Some(Cut::Free);
        };
        if at <= block.inner.start || at >= block.inner.end {
            return None;
        }
        let first = self.text[..block.range.start]
            .rfind('\n')
            .map_or(0, |end| end + 1);
        let head = &self.text[first..block.inner.start];
        if head.len() > REPEATED_BYTES_MAX {
            return Some(Cut::Free);
        }
        let close = match block.kind {
            Kind::Code => closing_fence(head, block.range.start - first),
            Kind::Table => String::new(),
        };
        Some(Cut::Through {
            close,
            reopen: head.to_owned(),
        })
    }

    /// Whether this place is in the code of a code block.
    pub(super) fn is_code(&self, at: usize) -> bool {
        let index = self.blocks.partition_point(|block| block.range.end <= at);
        self.blocks
            .get(index)
            .is_some_and(|block| block.kind == Kind::Code && block.range.contains(&at))
    }
}

/// The fence that closes what a line like `` > ```rust `` opened: in the same quote, under the
/// same list item.
fn closing_fence(head: &str, indent: usize) -> String {
    let container = head[..indent]
        .chars()
        .map(|c| if c == '>' { c } else { ' ' });
    let fence = head[indent..].trim_start();
    let mark = fence.chars().next().unwrap_or('`');
    container
        .chain(fence.chars().take_while(|&c| c == mark))
        .collect()
}

/// Where the line that holds this place ends, with its line feed.
fn line_end(text: &str, from: usize) -> usize {
    text[from..]
        .find('\n')
        .map_or(text.len(), |end| from + end + 1)
}
