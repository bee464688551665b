//! The words of this repository: comments and Markdown cite sources that a reader can open, and use the
//! usual terms.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::path::Path;

/// What is checked: files, and folders with all that is in them.
const CHECKED: [&str; 8] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "benches",
    "examples",
    "src",
    "tests",
];

/// Folders that are left out: what is built or installed.
const LEFT_OUT: [&str; 2] = ["target", "node_modules"];

/// Words and phrases that have a usual term, and that term. They are compared in lower case.
const WORDS: [(&str, &str); 9] = [
    ("telephone", "phone"),
    ("e-mail", "email"),
    ("mended", "fixed"),
    ("has not the", "does not have the"),
    ("have not the", "do not have the"),
    ("is no url", "is not a URL"),
    ("is no json", "is not JSON"),
    ("is no jwt", "is not a JWT"),
    ("at the least", "at least"),
];

#[test]
fn comments_and_markdown_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut problems = Vec::new();
    let mut files = 0;
    for path in CHECKED {
        visit(root, path, &mut |path, text| {
            files += 1;
            for (line, text) in readable(path, text) {
                problems.extend(check(text).map(|problem| format!("{path}:{line}: {problem}")));
            }
        });
    }
    assert!(files > 300, "found only {files} files");
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn visit(root: &Path, path: &str, file: &mut impl FnMut(&str, &str)) {
    let full = root.join(path);
    if full.is_dir() {
        for entry in fs::read_dir(&full).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{path}/{name}");
            if !LEFT_OUT.contains(&&*path) && !LEFT_OUT.contains(&&*name) {
                visit(root, &path, file);
            }
        }
    } else if path.ends_with(".md") || path.ends_with(".rs") {
        file(path, &fs::read_to_string(full).unwrap());
    }
}

/// Returns the lines of Markdown outside code blocks, or the comments of Rust, with their line numbers.
fn readable<'t>(path: &str, text: &'t str) -> Vec<(usize, &'t str)> {
    let is_markdown = path.ends_with(".md");
    let mut in_code = false;
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        if is_markdown && line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let text = if is_markdown {
            (!in_code).then_some(line)
        } else {
            comment(line)
        };
        text.map(|text| (index + 1, text))
    });
    lines.collect()
}

/// Returns the comment of a line of Rust: what follows `//`, unless that is in a string or an address.
fn comment(line: &str) -> Option<&str> {
    line.match_indices("//").find_map(|(at, _)| {
        let before = &line[..at];
        let in_string = before.matches('"').count() % 2 == 1;
        let begins = before.is_empty() || before.ends_with(char::is_whitespace);
        (begins && !in_string).then_some(&line[at..])
    })
}

/// Returns what is wrong with a text, and what to write instead.
fn check(text: &str) -> impl Iterator<Item = String> {
    let ids = text.split(|c: char| !(c.is_alphanumeric() || "._-+/=:".contains(c)));
    let ids = ids
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| is_private_id(word))
        .map(|id| format!("`{id}` is an id of a private list: cite an RFC, ASVS or a CVE"));
    let lower = text.to_lowercase();
    let words = WORDS.into_iter().filter(move |(word, _)| {
        lower.match_indices(word).any(|(at, _)| {
            let is_apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            is_apart(lower[..at].chars().next_back())
                && is_apart(lower[at + word.len()..].chars().next())
        })
    });
    ids.chain(words.map(|(word, usual)| format!("`{word}`: write `{usual}`")))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Returns whether a word is a capital letter and two digits, such as an id of a list that readers do
/// not have.
fn is_private_id(word: &str) -> bool {
    matches!(word.as_bytes(), [b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9'])
}

// === The checker itself ===

#[test]
fn private_ids_and_unusual_words_are_found() {
    for bad in [
        "// J22, J23",
        "canonical only (J35).",
        "RFC 8725 section 3.1: B03",
        "his Telephone",
        "a text that is no URL.",
    ] {
        assert!(check(bad).next().is_some(), "{bad}");
    }
    assert_eq!(check("J04 and a telephone").count(), 2);
}

#[test]
fn names_of_algorithms_and_standards_are_not_ids() {
    for good in [
        "P256, A256GCM, ES256, UTF-8, V16.4.1 of ASVS, 2026-01-01T00:00:00Z",
        "AGPL, H2, 0x1F, `\\u{A0}`, A12=, x/A12/y, key-A12, J04_x",
        "the telephones_table",
    ] {
        assert_eq!(check(good).collect::<Vec<_>>(), [""; 0], "{good}");
    }
}

#[test]
fn only_comments_and_text_are_checked() {
    assert_eq!(comment("let x = 1; // why"), Some("// why"));
    assert_eq!(comment("    /// A doc."), Some("/// A doc."));
    assert_eq!(comment("let url = \"https://a // b\";"), None);
    let markdown = "a\n```text\nJ04\n```\nb";
    let lines: Vec<_> = readable("x.md", markdown)
        .into_iter()
        .map(|line| line.1)
        .collect();
    assert_eq!(lines, ["a", "```", "b"]);
}
