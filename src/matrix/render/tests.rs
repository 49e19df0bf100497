//! What Markdown becomes in a room, for what agents write and for what nobody should.

mod golden;

use std::time::{Duration, Instant};

use indoc::indoc;
use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn html(markdown: &str) -> String {
    render(markdown)
        .html
        .unwrap_or_else(|| "(plain)".to_owned())
}

#[test]
fn plain_words_need_no_html() {
    for text in [
        "",
        "Hello",
        "two\nlines",
        "two\n\nparagraphs",
        "a Vec<String>, 3 < 4 & so",
        "it's $5 to $10",
    ] {
        assert_eq!(render(text), Rendered::plain(text));
    }
    assert_eq!(
        render("\n\n  hello\r\nyou \n"),
        Rendered {
            body: "  hello\nyou".into(),
            html: Some("hello<br>\nyou".into())
        }
    );
    assert_eq!(render("nul\0").body, "nul\u{FFFD}");
}

#[test]
fn the_body_is_what_was_written() {
    let text = "# Title\n\n- **one**\n- two";
    assert_eq!(render(text).body, text);
}

#[test]
fn everyday_markdown() {
    assert_snapshot!(html(indoc! {"
        # Report

        It is **done**, _really_, ~~maybe~~ and `x < 1`.
        See [the docs](https://example.org/a?b=1&c=2 \"title\").

        1. one
           - nested
        3. two

        > quoted
        > twice

        ---
        - [x] bought
        - [ ] paid
    "}), @r#"
    <h1>Report</h1>
    <p>It is <strong>done</strong>, <em>really</em>, <del>maybe</del> and <code>x &lt; 1</code>.<br>
    See <a href="https://example.org/a?b=1&amp;c=2">the docs</a>.</p>
    <ol>
    <li>one
    <ul>
    <li>nested</li>
    </ul>
    </li>
    <li>two</li>
    </ol>
    <blockquote>
    <p>quoted<br>
    twice</p>
    </blockquote>
    <hr>
    <ul>
    <li>☑ bought</li>
    <li>☐ paid</li>
    </ul>
    "#);
}

#[test]
fn a_single_paragraph_has_no_element_around_it() {
    assert_snapshot!(html("just **one** line\nand another"), @r"
    just <strong>one</strong> line<br>
    and another
    ");
}

#[test]
fn code_keeps_its_language_and_its_text() {
    assert_snapshot!(html(indoc! {r#"
        ```rust,ignore
        let a: Vec<&str> = vec!["$x$ <br>"];

        ```

            indented
    "#}), @r#"
    <pre><code class="language-rust">let a: Vec&lt;&amp;str&gt; = vec!["$x$ &lt;br&gt;"];

    </code></pre>
    <pre><code>indented</code></pre>
    "#);
}

#[test]
fn an_unclosed_fence_is_code() {
    assert_snapshot!(html("Look:\n```python\nprint('**hi**')"), @r#"
    <p>Look:</p>
    <pre><code class="language-python">print('**hi**')</code></pre>
    "#);
    assert_snapshot!(html("Look:\n```py"), @r#"
    <p>Look:</p>
    <pre><code class="language-py"></code></pre>
    "#);
    assert_snapshot!(html("Look:\n``"), @"(plain)");
}

#[test]
fn a_list_that_begins_is_no_heading_yet() {
    assert_snapshot!(html("Two *things*:\n-"), @r"
    Two <em>things</em>:<br>
    -
    ");
    assert_snapshot!(html("Title\n---"), @"<h2>Title</h2>");
    assert_snapshot!(html("Title\n-\nmore"), @r"
    <h2>Title</h2>
    <p>more</p>
    ");
}

#[test]
fn tables() {
    assert_snapshot!(html(indoc! {"
        | a | b |
        |:--|--:|
        | 1<br>2 | $x$ |
    "}), @r#"
    <table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>
    <tr><td>1<br>
    2</td><td><span data-mx-maths="x"><code>x</code></span></td></tr>
    </tbody></table>
    "#);
}

#[test]
fn formulas() {
    assert_snapshot!(html(r#"Inline $a < "b"$ here"#), @r#"Inline <span data-mx-maths="a &lt; &quot;b&quot;"><code>a &lt; "b"</code></span> here"#);
    assert_snapshot!(html("Before\n$$\n\\frac{1}{2}\n$$\nafter **all**"), @r#"
    <p>Before</p>
    <div data-mx-maths="\frac{1}{2}"><code>\frac{1}{2}</code></div>
    <p>after <strong>all</strong></p>
    "#);
    assert_snapshot!(html("$$x$$"), @r#"<div data-mx-maths="x"><code>x</code></div>"#);
    assert_snapshot!(html("- $$x$$\n- y"), @r#"
    <ul>
    <li><div data-mx-maths="x"><code>x</code></div></li>
    <li>y</li>
    </ul>
    "#);
    assert_snapshot!(html("## About $$x$$"), @r#"<h2>About <span data-mx-maths="x"><code>x</code></span></h2>"#);
    assert_snapshot!(html("It costs $5 and **not** $10, $20-$30 or US$40."), @"It costs $5 and <strong>not</strong> $10, $20-$30 or US$40.");
}

#[test]
fn html_is_shown_not_obeyed() {
    assert_snapshot!(html("<script>alert(1)</script>\n\nA **Vec<String>** <img src=x onerror=alert(1)>"), @r"
    <p>&lt;script&gt;alert(1)&lt;/script&gt;</p>
    <p>A <strong>Vec&lt;String&gt;</strong> &lt;img src=x onerror=alert(1)&gt;</p>
    ");
    assert_snapshot!(html("<div>\n*hi*\n</div>\n\n<!-- c -->"), @"(plain)");
    assert_snapshot!(html("one<br>two *x*"), @r"
    one<br>
    two <em>x</em>
    ");
    assert_snapshot!(html("<mx-reply>*gone*?</mx-reply>"), @"&lt;mx-reply&gt;<em>gone</em>?&lt;/mx-reply&gt;");
}

#[test]
fn links_lead_only_where_matrix_allows() {
    assert_snapshot!(html("[a](javascript:alert(1)) [b](data:text/html,x) [c](/relative) [d](matrix:u/a:b.c) <me@example.org>"), @r#"a b c <a href="matrix:u/a:b.c">d</a> <a href="mailto:me@example.org">me@example.org</a>"#);
}

#[test]
fn images_elsewhere_are_links() {
    assert_snapshot!(html("![a *cat*](https://evil.example/c.png) ![](https://evil.example/d.png)"), @r#"<a href="https://evil.example/c.png">a <em>cat</em></a> <a href="https://evil.example/d.png">https://evil.example/d.png</a>"#);
    assert_snapshot!(html("[![badge](https://evil.example/b.png)](https://example.org) [![](https://evil.example/b.png)](https://example.org)"), @r#"<a href="https://example.org">badge</a> <a href="https://example.org">https://evil.example/b.png</a>"#);
    assert_snapshot!(html("![here](mxc://example.org/abc)"), @r#"<img alt="here" src="mxc://example.org/abc">"#);
}

#[test]
fn alerts_and_footnotes_keep_their_words() {
    assert_snapshot!(html("> [!WARNING]\n> Hot.\n\nSo[^1] it is[^2].\n\n[^1]: As seen."), @r"
    <blockquote>
    <p><strong>Warning</strong></p>
    <p>Hot.</p>
    </blockquote>
    <p>So<sup>1</sup> it is[^2].</p>
    <div><sup>1</sup>
    <p>As seen.</p>
    </div>
    ");
}

#[test]
fn what_nests_too_deep_keeps_its_words() {
    let rendered = html(&format!("{} deep *down*", ">".repeat(500)));
    assert!(rendered.contains("deep down"), "{rendered}");
    let levels = rendered.matches("<blockquote>").count();
    assert!((80..100).contains(&levels), "{levels}");
}

/// What is repeated to make them.
const HOSTILE_UNITS: &[&str] = &[
    ">",
    "> ",
    "[",
    "![",
    "*",
    "**a",
    "_a ",
    "a**b",
    "`",
    "$",
    "$a",
    "$$",
    "- ",
    "1. ",
    "  - a\n",
    "<",
    "<a",
    "<b>",
    "<!--",
    "<?",
    "~~",
    "|",
    "a|",
    "[^1]:",
    "[a](",
    "[a][",
    "[a]:b\n\n",
    "&amp;",
    "\\",
    "\n",
    "\r",
    "a\n",
    "a\n\n",
    "#\n",
    "- a\n\n",
    "***\n",
    "\u{a0}",
    "\u{1}",
    "😀",
    "> [!NOTE]\n",
    "```\n",
    "> ```\n",
    "\t",
];

/// Texts that make naive renderers slow or overflow their stack.
fn hostile(bytes: usize) -> Vec<String> {
    let mut texts: Vec<_> = HOSTILE_UNITS
        .iter()
        .map(|unit| unit.repeat(bytes / unit.len()))
        .collect();
    texts.push(format!(
        "{}{}",
        "[".repeat(bytes / 2),
        "]".repeat(bytes / 2)
    ));
    texts.push(format!(
        "{0}|\n{1}|\n{2}",
        "|a".repeat(bytes / 8),
        "|-".repeat(bytes / 8),
        "|b\n".repeat(bytes / 6)
    ));
    texts.push(
        (0..bytes / 250)
            .map(|depth| format!("{}a\n", "> ".repeat(depth % 250)))
            .collect::<Vec<_>>()
            .concat(),
    );
    texts.push(
        (0..bytes / 250)
            .map(|depth| format!("{}- a\n", " ".repeat(depth * 2 % 500)))
            .collect::<Vec<_>>()
            .concat(),
    );
    texts
}

/// Far more than any of them takes, in a slow build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn hostile_text_renders_in_bounded_time() {
    for bytes in [SOURCE_BYTES_MAX / 4, SOURCE_BYTES_MAX, EVENT_BYTES_MAX] {
        for text in hostile(bytes) {
            let start = Instant::now();
            let _ = render(&text);
            assert!(
                start.elapsed() < PATIENCE,
                "{text:.20} took {:?}",
                start.elapsed()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_renders(text in any::<String>()) {
        let _ = render(&text);
    }

    #[test]
    fn any_markup_renders_to_allowed_html(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "*", "**", "_", "`", "```", "~~~", "\n", "\n\n", "> ", "- ", "1. ", "# ", "| a | b |\n|---|---|\n", "|", "$", "$$",
            "[a](https://b.c)", "![a](https://b.c)", "![", "](", "]", "<b>", "</b>", "<br>", "<table>", "<div>\n", "[^1]", "[^1]: ",
            "- [ ] ", "word", " ", "    ", "\\", "&lt;", "> [!TIP]\n", "---\n", "~~", "\"", "'",
        ]), 0..60),
    ) {
        let rendered = render(&pieces.concat());
        if let Some(html) = rendered.html {
            let again = Html::parse(&html);
            again.sanitize();
            prop_assert_eq!(again.to_string(), html);
        }
    }
}
