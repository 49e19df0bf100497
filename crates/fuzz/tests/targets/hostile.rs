//! Texts that break parsers, renderers and matchers elsewhere.

/// All of them. What is short is repeated so often: the number of repetitions is the attack.
pub(crate) fn texts(repeats: usize) -> Vec<String> {
    let repeated = [
        "*a",
        "[",
        "]",
        "(",
        "{",
        "> ",
        "- ",
        "**",
        "`",
        "~~",
        "<b>",
        "<!--",
        "|",
        "$",
        "![",
        "\\",
        "&",
        "<",
        "\n",
        "\r\n",
        "\u{202e}",
        "\u{200d}",
        "e\u{301}",
        "👩\u{200d}💻",
        "İ",
        ".",
        "a.",
        "\u{1}",
    ];
    let mut texts: Vec<String> = repeated.iter().map(|text| text.repeat(repeats)).collect();
    texts.push("?".repeat(10 * repeats));
    texts.extend(
        [
            "",
            " ",
            "\0",
            "a\0b",
            "\u{feff}",
            "\u{fffe}\u{ffff}",
            "\u{10d83e}\u{10dd80}",
            r"\ud83e",
            r"\ud83e\udd80",
            r#"{"a":"\ud800"}"#,
            "1e999",
            "-0",
            "9007199254740993",
            "170141183460469231731687303715884105728",
            "NaN",
            "$.constructor",
            "__proto__",
            "[DONE]",
            "javascript:alert(1)",
            "[x](javascript:alert(1)) ![y](https://example.org/z.png) <https://example.org>",
            "**bold *both `code` [link](https://example.org) ~~gone",
            "```\n````\n~~~\n```",
            "| a |\n|---|\n| `|` |\n\n> quote\n>> deeper\n- list\n  1. ordered\n\n---",
            "\u{202e}gnp.exe\u{202c}",
            "@agent_1:example.org: !letta stop",
            "!letta approve\u{2028}!letta deny",
            "!admin users create-user a b\n```\nc\n```",
        ]
        .map(str::to_owned),
    );
    texts.push(format!("{}{}", "[".repeat(150), "]".repeat(150)));
    texts.push(format!("{}{}", r#"{"a":"#.repeat(150), "}".repeat(150)));
    texts
}
