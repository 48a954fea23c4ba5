//! The structure of the source, held: which room may use which, and the size and manners of files.
//!
//! Reads `src/` as text. Comments, literals and everything under `#[cfg(test)]` are taken out first,
//! so what is judged is the code that runs. The rooms and their order are drawn in `src/lib.rs` and
//! explained in ARCHITECTURE.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms it may use besides itself. A room missing here may not exist, and the
/// list is ordered: a room may only name rooms that stand below it.
const ROOMS: &[(&str, &[&str])] = &[
    (
        "app",
        &[
            "admin", "http", "daemon", "sidecar", "client", "link", "request", "pool", "listen",
            "server", "insight", "session", "stats", "lane", "auth", "net", "config", "sql",
            "wire", "error",
        ],
    ),
    // The faces: nothing uses them but `app`, and they never use each other.
    ("admin", BELOW_FACES),
    ("http", BELOW_FACES),
    ("daemon", BELOW_FACES),
    ("sidecar", BELOW_FACES),
    (
        "client",
        &[
            "link", "request", "pool", "listen", "server", "insight", "session", "stats", "lane",
            "auth", "net", "config", "sql", "wire", "error",
        ],
    ),
    (
        "link",
        &[
            "request", "pool", "listen", "server", "insight", "session", "stats", "lane", "auth",
            "net", "config", "sql", "wire", "error",
        ],
    ),
    (
        "request",
        &[
            "pool", "listen", "server", "insight", "session", "stats", "lane", "auth", "net",
            "config", "sql", "wire", "error",
        ],
    ),
    (
        "pool",
        &[
            "listen", "server", "insight", "session", "stats", "lane", "auth", "net", "config",
            "sql", "wire", "error",
        ],
    ),
    // Knows no pool: what it needs of one comes through a trait.
    (
        "listen",
        &[
            "server", "session", "stats", "lane", "auth", "net", "config", "sql", "wire", "error",
        ],
    ),
    // Side by side: a connection does not know what is measured on it.
    (
        "server",
        &[
            "session", "stats", "lane", "auth", "net", "config", "sql", "wire", "error",
        ],
    ),
    (
        "insight",
        &[
            "session", "stats", "lane", "auth", "net", "config", "sql", "wire", "error",
        ],
    ),
    (
        "session",
        &[
            "stats", "lane", "auth", "net", "config", "sql", "wire", "error",
        ],
    ),
    (
        "stats",
        &["lane", "auth", "net", "config", "sql", "wire", "error"],
    ),
    // The ground: side by side, apart from sockets, which take their options from the settings.
    ("lane", &["wire", "error"]),
    ("auth", &["wire", "error"]),
    ("net", &["config", "wire", "error"]),
    ("config", &["wire", "error"]),
    ("sql", &[]),
    ("wire", &[]),
    ("error", &[]),
];

const BELOW_FACES: &[&str] = &[
    "client", "link", "request", "pool", "listen", "server", "insight", "session", "stats", "lane",
    "auth", "net", "config", "sql", "wire", "error",
];

/// Files that are longer than [`LINES`], with the reason. None today.
const LONG_FILES: &[(&str, &str)] = &[];

/// `unwrap` or `expect` that may stay outside tests: file, and why it cannot fail.
const PROVEN: &[(&str, &str)] = &[];

const LINES: usize = 500;

struct Source {
    /// Below `src/`, with slashes.
    name: String,
    room: String,
    /// How many `super::` lead from this file's module to the root of the crate.
    depth: usize,
    text: String,
    /// The text without comments, literals and test items; line breaks are kept.
    code: String,
}

#[test]
fn rooms_use_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room) else {
            continue;
        };
        for (line, target) in references(&source) {
            if target != source.room && !allowed.contains(&target.as_str()) {
                wrong.push(format!(
                    "src/{}:{line}: `{}` uses `{target}`",
                    source.name, source.room
                ));
            }
        }
    }
    assert_none(wrong, "a room uses one that is not below it");
}

#[test]
fn only_listed_rooms_exist() {
    let mut wrong: BTreeSet<String> = sources().into_iter().map(|s| s.room).collect();
    for (room, _) in ROOMS {
        wrong.remove(*room);
    }
    assert_none(wrong.into_iter().collect(), "rooms missing in this test");
}

#[test]
fn wire_and_error_know_no_runtime() {
    let wrong = sources()
        .into_iter()
        .filter(|s| s.room == "wire" || s.room == "error")
        .filter(|s| {
            ["tokio", "async fn", ".await"]
                .iter()
                .any(|word| s.code.contains(word))
        })
        .map(|s| format!("src/{}", s.name))
        .collect();
    assert_none(wrong, "the protocol's bytes must not know a runtime");
}

#[test]
fn every_module_says_what_it_owns() {
    let wrong = all_files()
        .into_iter()
        .filter(|path| !is_test_file(path))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    assert_none(wrong, "modules without a head comment");
}

#[test]
fn files_stay_short() {
    let wrong = sources()
        .into_iter()
        .filter(|s| !LONG_FILES.iter().any(|(name, _)| *name == s.name))
        .map(|s| (lines_outside_tests(&s.text), s.name))
        .filter(|(lines, _)| *lines > LINES)
        .map(|(lines, name)| format!("src/{name}: {lines} lines"))
        .collect();
    assert_none(wrong, "files over 500 lines outside tests");
}

#[test]
fn nothing_outside_tests_unwraps() {
    let mut wrong = Vec::new();
    for source in sources() {
        if PROVEN.iter().any(|(name, _)| *name == source.name) {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            if line.contains(".unwrap()") || line.contains(".expect(") {
                wrong.push(format!(
                    "src/{}:{}: {}",
                    source.name,
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert_none(wrong, "unwrap or expect outside tests");
}

#[test]
fn exceptions_are_still_needed() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (name, _) in LONG_FILES {
        let source = sources.iter().find(|s| s.name == *name);
        if source.is_none_or(|s| lines_outside_tests(&s.text) <= LINES) {
            wrong.push(format!("LONG_FILES: {name}"));
        }
    }
    for (name, _) in PROVEN {
        let source = sources.iter().find(|s| s.name == *name);
        if source.is_none_or(|s| !s.code.contains(".unwrap()") && !s.code.contains(".expect(")) {
            wrong.push(format!("PROVEN: {name}"));
        }
    }
    for (index, (room, below)) in ROOMS.iter().enumerate() {
        for target in *below {
            if !ROOMS[index..].iter().any(|(other, _)| other == target) {
                wrong.push(format!("ROOMS: `{target}` stands above `{room}`"));
            }
        }
    }
    assert_none(wrong, "this test's own lists are out of date");
}

// === Reading the source ===

fn assert_none(wrong: Vec<String>, what: &str) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

/// The files that run: no `tests.rs`, nothing in a folder `tests`, neither `lib.rs` nor `main.rs`.
fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for path in all_files() {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        if is_test_file(&path) || name == "lib.rs" || name == "main.rs" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = without_test_items(&without_comments(&text));
        let room = name.split('/').next().unwrap().trim_end_matches(".rs");
        found.push(Source {
            room: room.to_owned(),
            depth: name.split('/').count() - usize::from(name.ends_with("/mod.rs")),
            name,
            text,
            code,
        });
    }
    assert!(found.len() > 50, "src/ was not found");
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn all_files() -> Vec<PathBuf> {
    let mut folders = vec![root()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn is_test_file(path: &Path) -> bool {
    path.strip_prefix(root())
        .unwrap()
        .iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

/// Comments and the insides of literals become spaces; line breaks stay where they were.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment(bytes, at);
        if end == at {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(
                bytes[at..end]
                    .iter()
                    .map(|b| if *b == b'\n' { b'\n' } else { b' ' }),
            );
            at = end;
        }
    }
    String::from_utf8(out).unwrap()
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_or_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + find(rest, b"*/").map_or(rest.len(), |end| end + 2);
    }
    if !in_word && (rest[0] == b'r' || rest.starts_with(b"br")) {
        let mark = at + if rest[0] == b'b' { 2 } else { 1 };
        let hashes = bytes[mark..].iter().take_while(|b| **b == b'#').count();
        if bytes.get(mark + hashes) == Some(&b'"') {
            let mut close = vec![b'"'];
            close.resize(hashes + 1, b'#');
            let body = mark + hashes + 1;
            return body + find(&bytes[body..], &close).map_or(0, |end| end + close.len());
        }
    }
    if rest[0] == b'"' {
        return closing_quote(bytes, at + 1, b'"');
    }
    if rest[0] == b'\'' {
        // A lifetime has no closing quote behind its first character.
        let is_char = rest.get(1) == Some(&b'\\')
            || std::str::from_utf8(&rest[1..rest.len().min(6)])
                .unwrap_or_else(|cut| std::str::from_utf8(&rest[1..1 + cut.valid_up_to()]).unwrap())
                .chars()
                .nth(1)
                == Some('\'');
        if is_char {
            return closing_quote(bytes, at + 1, b'\'');
        }
    }
    at
}

fn closing_quote(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Blanks each item under `#[cfg(test)]`: up to its `;`, or to the brace that closes it.
fn without_test_items(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    while let Some(start) = find(&out, b"#[cfg(test)]") {
        let mut depth = 0;
        let mut end = start;
        while end < out.len() {
            match out[end] {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            end += 1;
            if depth == 0 && matches!(out[end - 1], b'}' | b';') {
                break;
            }
        }
        for byte in &mut out[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(out).unwrap()
}

fn lines_outside_tests(text: &str) -> usize {
    let all = without_comments(text);
    let kept = without_test_items(&all);
    let gone =
        |(before, after): &(&str, &str)| !before.trim().is_empty() && after.trim().is_empty();
    text.lines().count() - all.lines().zip(kept.lines()).filter(gone).count()
}

/// Every room named through `crate::` or through enough `super::`, with its line.
fn references(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let to_root = "super::".repeat(source.depth);
    let mut found = Vec::new();
    for prefix in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let line = code[..at].lines().count().max(1);
            for name in first_names(&code[at + prefix.len()..]) {
                found.push((line, name));
            }
        }
    }
    found
}

/// `a` of `a::b`, and `a`, `c` of `{a::{b, x}, c::d}`.
fn first_names(path: &str) -> Vec<String> {
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        return name_at(path).into_iter().collect();
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expected = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && !c.is_whitespace() => {
                names.extend(name_at(&group[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

fn name_at(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0 && text.as_bytes()[0].is_ascii_lowercase()).then(|| text[..end].to_owned())
}

#[test]
fn the_reader_reads_what_it_should() {
    let text = "use crate::{a::{b, c}, d};\n// crate::comment\nlet s = \"crate::text\\\"\"; 'x: loop {}\n\
                let q = '\"'; crate::e::f();\nlet r = r#\"crate::raw\"#;\n#[cfg(test)]\nmod tests { use crate::g; }\n";
    let code = without_test_items(&without_comments(text));
    let source = Source {
        name: String::new(),
        room: String::new(),
        depth: 9,
        text: text.to_owned(),
        code,
    };
    let names: Vec<String> = references(&source)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["a", "d", "e"]);
    assert_eq!(lines_outside_tests(text), 5);
}
