//! Architecture tests: a module imports only what stands below it.
//!
//! The sources are read as text: what `use` declarations and paths name, without tests. [`ORDER`] says what stands above what.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The modules from the bottom to the top, by layer. A module imports only modules that are named before it, in its own layer too.
const ORDER: [&[&str]; 9] = [
    &[
        "clock",
        "holder",
        "config",
        "limits",
        "locks",
        "blocking",
        "software",
        "outbound",
        "log_throttle",
    ],
    // An error can be one of the store, so it stands right above it.
    &["store", "error", "permits", "byte_pool"],
    &["stream"],
    &["appservices", "caller", "accounts", "keys", "media"],
    &["rooms"],
    &["push", "sync", "transactions"],
    &["operations", "services", "admin"],
    &["http", "api"],
    &["listen", "server"],
];
/// How many names the crate exports at most: what a program that runs the server needs.
const EXPORTED_NAMES: usize = 22;

type Module = Vec<String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source files outside of tests, by their module: path below `src`, and code without comments, literals and test items.
fn modules() -> BTreeMap<Module, (String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let source = root().join("src");
    let mut paths = Vec::new();
    walk(&source, &mut paths);
    let mut modules = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&source).unwrap();
        let file = path.display().to_string();
        let tests = file.contains("tests") || file == "testing.rs" || file == "architecture.rs";
        if !tests && file != "lib.rs" {
            let name = path.with_extension("");
            let module = name.iter().map(|part| part.to_str().unwrap().to_owned());
            modules.insert(module.collect(), (file, without_tests(&code(&text))));
        }
    }
    modules
}

/// Where the literal or comment that begins here ends.
fn skipped(text: &str) -> Option<usize> {
    let quoted = |open: usize, quote: char| {
        let mut escaped = false;
        let end = text[open..].find(|character| {
            let ends = character == quote && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        });
        end.map(|end| open + end + 1)
    };
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return text.find("*/").map(|end| end + 2);
    }
    if text.starts_with('"') {
        return quoted(1, '"');
    }
    let hashes = text
        .strip_prefix('r')?
        .bytes()
        .take_while(|byte| *byte == b'#')
        .count();
    if text[1 + hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let open = hashes + 2;
        return text[open..]
            .find(&close)
            .map(|end| open + end + close.len());
    }
    None
}

/// The text without comments and literals.
fn code(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let in_word = code.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let is_character = rest.starts_with("'\"'") || rest.starts_with("'\\''");
        let end = if is_character {
            Some(rest[2..].find('\'').unwrap() + 3)
        } else if in_word && first == 'r' {
            None
        } else {
            skipped(rest)
        };
        if let Some(end) = end {
            code.push(' ');
            rest = &rest[end..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// The code without items, fields and statements that are there for tests only.
fn without_tests(code: &str) -> String {
    let mut rest = code;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        let mut depth = 0_i32;
        let end = after.char_indices().find_map(|(at, character)| {
            match character {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            let whole = depth == 0 && matches!(character, '}' | ';' | ',');
            // The item was the last one of what encloses it.
            (whole || depth < 0).then_some(if whole { at + 1 } else { at })
        });
        rest = &after[end.unwrap_or(after.len())..];
    }
    kept + rest
}

/// All paths that the code names from `crate`, `super` or `self`, or in a `use`.
fn paths(code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let mut before = ' ';
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let fresh = !(before.is_alphanumeric() || before == '_' || before == ':');
        let rest = &code[at..];
        let named = ["crate::", "super::", "self::"];
        if fresh && named.iter().any(|name| rest.starts_with(name)) {
            at += tree(rest, &[], &mut found);
            before = ' ';
            continue;
        }
        if fresh && let Some(used) = rest.strip_prefix("use ") {
            at += "use ".len() + tree(used, &[], &mut found);
            before = ' ';
            continue;
        }
        before = first;
        at += first.len_utf8();
    }
    found
}

/// Reads a path or a tree of paths, and says how long it is.
fn tree(text: &str, prefix: &[String], found: &mut Vec<Module>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let word =
            text[at..].find(|character: char| !(character.is_alphanumeric() || character == '_'));
        let word = &text[at..at + word.unwrap_or(text.len() - at)];
        if !word.is_empty() {
            path.push(word.to_owned());
            at += word.len();
            if let Some(rest) = text[at..].trim_start().strip_prefix("::") {
                at = text.len() - rest.len();
                continue;
            }
        }
        if word.is_empty() && text[at..].starts_with('{') {
            at += 1;
            while !text[at..].trim_start().starts_with('}') {
                at += tree(&text[at..], &path, found);
                // `as` and the comma.
                at += text[at..].find([',', '}']).unwrap();
                at += usize::from(text[at..].starts_with(','));
            }
            return at + text[at..].find('}').unwrap() + 1;
        }
        found.push(path);
        return at;
    }
}

/// The files that each file imports.
fn imports(modules: &BTreeMap<Module, (String, String)>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let mut imports = BTreeMap::new();
    for (module, (_, code)) in modules {
        let mut named = BTreeSet::new();
        for path in paths(code) {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let child: Module = module
                .iter()
                .cloned()
                .chain(path.first().cloned())
                .collect();
            let mut full: Module = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                "super" => [&module[..module.len() - ups], &path[ups..]].concat(),
                "self" => [&module[..], &path[1..]].concat(),
                _ if modules.contains_key(&child) => [&module[..], &path[..]].concat(),
                _ => continue,
            };
            // What the crate exports under its own name.
            match full.first().map(String::as_str) {
                Some("Server") => full[0] = "server".into(),
                Some("Config") => full[0] = "config".into(),
                _ => {}
            }
            while !full.is_empty() && !modules.contains_key(&full) {
                full.pop();
            }
            let target = modules.get_key_value(&full).map(|(target, _)| target);
            named.extend(target.filter(|target| *target != module));
        }
        imports.insert(module, named);
    }
    imports
}

fn rank(module: &Module) -> usize {
    let rank = ORDER
        .iter()
        .copied()
        .flatten()
        .position(|name| *name == module[0]);
    rank.unwrap_or_else(|| panic!("`{}` has no layer: give it its place in ORDER", module[0]))
}

/// The imports that point up, one for each file and module.
fn arrows_up() -> BTreeSet<String> {
    let modules = modules();
    let mut arrows = BTreeSet::new();
    for (module, targets) in imports(&modules) {
        for target in targets {
            if rank(target) > rank(module) {
                arrows.insert(format!("{} -> {}", modules[module].0, target[0]));
            }
        }
    }
    arrows
}

/// The files that import each other in a circle that leaves the folder of one module.
fn in_circles() -> BTreeSet<String> {
    let modules = modules();
    let imports = imports(&modules);
    let reached = |from: &Module| {
        let (mut seen, mut next) = (
            BTreeSet::new(),
            vec![*imports.get_key_value(from).unwrap().0],
        );
        while let Some(module) = next.pop() {
            for target in &imports[module] {
                if seen.insert(*target) {
                    next.push(*target);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = modules
        .keys()
        .map(|module| (module, reached(module)))
        .collect();
    let circles = modules.iter().filter(|(module, _)| {
        reach[module]
            .iter()
            .any(|other| other[0] != module[0] && reach[other].contains(module))
    });
    circles.map(|(_, (file, _))| file.clone()).collect()
}

#[test]
fn modules_import_only_what_stands_below_them() {
    let arrows = arrows_up();
    assert!(
        arrows.is_empty(),
        "{} imports point up; move what they need down, or make it an operation: {arrows:#?}",
        arrows.len()
    );
}

#[test]
fn circles_of_imports_stay_within_one_module() {
    let files = in_circles();
    assert!(
        files.is_empty(),
        "{} files import each other in a circle: {files:#?}",
        files.len()
    );
}

/// Nobody can import the server either: it is the last one of [`ORDER`].
#[test]
fn services_have_no_behavior() {
    let modules = modules();
    let (_, code) = &modules[&vec!["services".to_owned()]];
    for word in ["impl ", "fn "] {
        assert!(
            !code.contains(word),
            "services are a plain struct of the parts"
        );
    }
}

#[test]
fn crate_exports_few_names() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let text = code(&text);
    assert!(!text.contains("pub mod "), "modules are private");
    let mut names = Vec::new();
    for exported in text.split("pub use ").skip(1) {
        tree(exported, &[], &mut names);
    }
    assert!(names.len() <= EXPORTED_NAMES, "{names:#?}");
}

#[test]
fn import_reader_sees_trees_paths_and_no_tests() {
    let text = "use crate::{a::{self, B}, c as d}; // crate::no\nfn f() { super::x::g(\"crate::no\"); }\n\
                #[cfg(test)]\nmod tests { use crate::no; }\npub use child::Y;";
    let found: Vec<String> = paths(&without_tests(&code(text)))
        .iter()
        .map(|path| path.join("::"))
        .collect();
    assert_eq!(
        found,
        [
            "crate::a::self",
            "crate::a::B",
            "crate::c",
            "super::x::g",
            "child::Y"
        ]
    );
}
