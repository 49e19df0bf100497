//! What is an address in running text: of the web ([autolinks of GFM][gfm]), of mail, of Matrix, of a file.
//!
//! They are found before Markdown is parsed, so `https://example.org/pkg/__init__.py` is one address and has no bold part. Paths
//! are no links; they only keep their characters.
//!
//! [gfm]: https://github.github.com/gfm/#autolinks-extension-

use ruma::{RoomAliasId, RoomId, UserId};
use url::Url;

use super::opaque::OpaqueKind;

/// The longest id of Matrix, in bytes.
const MATRIX_ID_BYTES_MAX: usize = 255;
/// The longest part of a mail address before its `@`, in bytes.
const MAILBOX_BYTES_MAX: usize = 64;
/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 1_000;

/// The address that begins at this place and ends before `end`: how many bytes of what.
pub(super) fn find(text: &str, at: usize, end: usize) -> Option<(usize, OpaqueKind)> {
    let before = text[..at].chars().next_back();
    if before.is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let rest = &text[at..end];
    let line = &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..at];
    match rest.chars().next()? {
        '@' | '#' | '!' if !before.is_some_and(|c| "/.@_-&".contains(c)) => matrix_id(rest),
        'h' | 'H' | 'w' | 'W' | 'f' | 'F' => web(rest, line)
            .or_else(|| mail(rest, before))
            .or_else(|| path(rest, line, before)),
        c if c.is_ascii_alphanumeric() || "/.~_".contains(c) => {
            mail(rest, before).or_else(|| path(rest, line, before))
        }
        _ => None,
    }
}

fn web(rest: &str, line: &str) -> Option<(usize, OpaqueKind)> {
    let starts = |prefix: &str| {
        rest.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let scheme = ["https://", "http://", "ftp://", "www."]
        .into_iter()
        .find(|scheme| starts(scheme))?;
    let ends = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || "<>\"`|".contains(c)
            || matches!(c, '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' | '\u{2018}'..='\u{201f}')
            || u32::from(c) >= 0x10_0000
    };
    let url = &rest[..rest.find(ends).unwrap_or(rest.len())];
    let url = trimmed(url, line);
    let named = url.get(scheme.len()..)?;
    if url.contains('\\') || !named.starts_with(|c: char| c.is_alphanumeric() || c == '[') {
        return None;
    }
    if scheme == "www." && !named.contains('.') {
        return None;
    }
    let target = match scheme {
        "www." => format!("http://{url}"),
        _ => url.to_owned(),
    };
    Url::parse(&target).ok()?;
    Some((url.len(), OpaqueKind::Link(target)))
}

/// An address without what belongs to the sentence: punctuation, brackets that it does not open, and signs that end an emphasis
/// that began before it in its line.
fn trimmed<'a>(address: &'a str, line: &str) -> &'a str {
    let mut kept = address;
    let mut open = [('(', ')'), ('[', ']'), ('{', '}')].map(|(opening, closing)| {
        let opened = kept.matches(opening).count();
        (
            closing,
            kept.matches(closing).count().saturating_sub(opened),
        )
    });
    while let Some(last) = kept.chars().next_back() {
        let goes = match last {
            '?' | '!' | '.' | ',' | ':' | ';' | '\'' | '…' => true,
            '*' | '_' | '~' => line.contains(last),
            other => open
                .iter_mut()
                .find(|(closing, surplus)| *closing == other && *surplus > 0)
                .map(|(_, surplus)| *surplus -= 1)
                .is_some(),
        };
        if !goes {
            break;
        }
        kept = &kept[..kept.len() - last.len_utf8()];
    }
    kept
}

fn mail(rest: &str, before: Option<char>) -> Option<(usize, OpaqueKind)> {
    if before.is_some_and(|c| "/._-+@".contains(c)) {
        return None;
    }
    let is_mailbox = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let mailbox = run(rest, MAILBOX_BYTES_MAX, is_mailbox);
    let domain = rest[mailbox.len()..].strip_prefix('@')?;
    let domain = server_name(domain)?;
    let bytes = mailbox.len() + 1 + domain.len();
    let after = &rest[bytes..];
    // `git@example.org:path` is no mail address.
    let goes_on = after.starts_with('/')
        || after
            .strip_prefix(':')
            .is_some_and(|path| path.starts_with(|c: char| !c.is_whitespace()));
    if mailbox.is_empty() || !domain.contains('.') || goes_on {
        return None;
    }
    let target = format!("mailto:{}", &rest[..bytes]);
    Some((bytes, OpaqueKind::Link(target)))
}

fn matrix_id(rest: &str) -> Option<(usize, OpaqueKind)> {
    let sigil = rest.chars().next()?;
    let local = match sigil {
        '#' => run(&rest[1..], MATRIX_ID_BYTES_MAX, |c| {
            !c.is_whitespace() && !":\"<>()[]{}`\\|".contains(c)
        }),
        _ => run(&rest[1..], MATRIX_ID_BYTES_MAX, |c| {
            c.is_ascii_alphanumeric() || "._=/+-".contains(c)
        }),
    };
    let server = rest[1 + local.len()..].strip_prefix(':')?;
    let name = server_name(server)?;
    let is_server = name == "localhost"
        || name.rsplit_once('.').is_some_and(|(_, last)| {
            (2..).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_alphabetic())
                || name.parse::<std::net::Ipv4Addr>().is_ok()
        });
    // `#12:main.rs` is a line of a file.
    if !is_server || !local.contains(char::is_alphabetic) {
        return None;
    }
    let port = server[name.len()..]
        .strip_prefix(':')
        .map_or("", |port| run(port, 5, |c| c.is_ascii_digit()));
    let port_bytes = if port.is_empty() { 0 } else { 1 + port.len() };
    let bytes = 2 + local.len() + name.len() + port_bytes;
    let id = &rest[..bytes];
    let target = match sigil {
        '@' => UserId::parse(id).ok()?.matrix_to_uri().to_string(),
        '#' => RoomAliasId::parse(id).ok()?.matrix_to_uri().to_string(),
        _ => RoomId::parse(id).ok()?.matrix_to_uri().to_string(),
    };
    Some((bytes, OpaqueKind::Link(target)))
}

/// A path with an underscore, such as `pkg/__init__.py`, which emphasis would take away.
fn path(rest: &str, line: &str, before: Option<char>) -> Option<(usize, OpaqueKind)> {
    if before.is_some_and(|c| "/._~+-@".contains(c)) {
        return None;
    }
    let token = run(rest, PATH_BYTES_MAX, |c| {
        c.is_ascii_alphanumeric() || "._/~+-".contains(c)
    });
    let token = trimmed(token, line);
    let is_path = token.contains('/') && !token.starts_with('_');
    let name = token
        .strip_prefix("__")
        .and_then(|name| name.split_once("__."));
    let is_file = name.is_some_and(|(name, extension)| !name.is_empty() && !extension.is_empty());
    (token.contains('_') && (is_path || is_file)).then_some((token.len(), OpaqueKind::Literal))
}

/// The name of a server at the beginning of a text, without the end of its sentence.
fn server_name(text: &str) -> Option<&str> {
    let name = run(text, MATRIX_ID_BYTES_MAX, |c| {
        c.is_ascii_alphanumeric() || ".-".contains(c)
    });
    let name = name.trim_end_matches(['.', '-']);
    let is_name = !name.is_empty() && !name.starts_with(['.', '-']) && !name.contains("..");
    // An underscore would go on with a name that is none.
    (is_name && !text[name.len()..].starts_with('_')).then_some(name)
}

/// The characters at the beginning of a text that are of a kind, at most so many bytes.
fn run(text: &str, bytes_max: usize, is: impl Fn(char) -> bool) -> &str {
    let text = &text[..text.floor_char_boundary(bytes_max)];
    &text[..text.find(|c| !is(c)).unwrap_or(text.len())]
}
