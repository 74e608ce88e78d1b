//! The text of the project, read as far as the tests need: what is code, what is a test, what is a function.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the project.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file in Rust.
pub struct Source {
    /// From the root of the project.
    pub path: String,
    /// As it is.
    pub text: String,
    /// With blanks for comments, and for what stands between quotes.
    code: String,
    /// Whether each line is only there for tests.
    is_test: Vec<bool>,
}

/// All files in Rust.
pub fn everything() -> Vec<Source> {
    ["src", "tests", "benches", "examples"].into_iter().flat_map(sources).collect()
}

/// The files in Rust below a directory, none if there is no such directory.
pub fn sources(directory: &str) -> Vec<Source> {
    let files = files(directory);
    let read = |path: &String| (path.clone(), read(path));
    let texts: Vec<_> = files.iter().filter(|path| path.ends_with(".rs")).map(read).collect();
    let declared: Vec<PathBuf> = texts.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let source = |(path, text): (String, String)| {
        let stem = Path::new(&path).with_extension("");
        let only_tests = path.starts_with("tests/") || declared.iter().any(|test| stem.starts_with(test));
        Source::new(path, text, only_tests)
    };
    texts.into_iter().map(source).collect()
}

/// Every file that people write, and its text.
pub fn all_texts() -> Vec<(String, String)> {
    let mut paths = vec!["Cargo.toml".to_owned(), "README.md".to_owned()];
    paths.extend([".ci", "src", "tests", "benches", "examples", "docs"].into_iter().flat_map(files));
    let is_text = |path: &String| !path.ends_with(".svg") && !path.ends_with(".png");
    paths.into_iter().filter(is_text).map(|path| (path.clone(), read(&path))).collect()
}

/// The text of a file of the project.
pub fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(directory)) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The files, without extension, of modules that are declared for tests only.
fn test_modules(path: &str, text: &str) -> Vec<PathBuf> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let directory = match Path::new(path).file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => Path::new(path).parent().unwrap().to_owned(),
        _ => Path::new(path).with_extension(""),
    };
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';')?;
        Some(directory.join(name))
    });
    declared.collect()
}

impl Source {
    fn new(path: String, text: String, only_tests: bool) -> Source {
        let code = code_of(&text);
        let mut is_test = vec![only_tests; code.lines().count()];
        let mut at = 0;
        while let Some(found) = code[at..].find("#[cfg(test)]") {
            let start = at + found;
            let end = end_of_item(&code, start + "#[cfg(test)]".len());
            is_test[line_of(&code, start) - 1..line_of(&code, end)].fill(true);
            at = end;
        }
        Source { path, text, code, is_test }
    }

    /// The module of the top level to which the file belongs.
    pub fn module(&self) -> &str {
        let name = self.path.split('/').nth(1).unwrap();
        name.strip_suffix(".rs").unwrap_or(name)
    }

    /// Lines of code that are not for tests only.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines(false)
    }

    /// Lines of code that are for tests only.
    pub fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines(true)
    }

    fn lines(&self, test: bool) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.lines().enumerate();
        lines.filter(move |(i, _)| self.is_test[*i] == test).map(|(i, line)| (i + 1, line))
    }

    /// The words of code that is not for tests only.
    pub fn words(&self) -> impl Iterator<Item = (usize, String)> {
        self.code_lines().flat_map(|(line, text)| {
            let words = text.split(|char: char| !char.is_alphanumeric() && char != '_');
            words.filter(|word| !word.is_empty()).map(move |word| (line, word.to_owned()))
        })
    }

    /// The modules of the top level that are named here.
    pub fn uses(&self) -> Vec<(usize, String)> {
        let root = if self.path == "src/main.rs" { "chord_chat::" } else { "crate::" };
        let mut uses = Vec::new();
        for (at, _) in self.code.match_indices(root) {
            let line = line_of(&self.code, at);
            if self.is_test[line - 1] {
                continue;
            }
            let rest = &self.code[at + root.len()..];
            uses.extend(first_names(rest).into_iter().map(|name| (line, name)));
        }
        uses
    }

    /// The functions: where each begins, its name and how many lines it has.
    pub fn functions(&self) -> Vec<(usize, String, usize)> {
        let mut functions = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let before = self.code[..at].chars().next_back();
            let name = name_at(&self.code[at + 3..]);
            if before.is_some_and(|char| !char.is_whitespace()) || name.is_empty() {
                continue;
            }
            let (first, last) = (line_of(&self.code, at), line_of(&self.code, end_of_item(&self.code, at)));
            functions.push((first, name, 1 + last - first));
        }
        functions
    }

    /// The tests: where each begins, and its name.
    pub fn tests(&self) -> Vec<(usize, String)> {
        let lines: Vec<&str> = self.code.lines().map(str::trim).collect();
        let mut tests = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            if *line == "#[test]" || line.starts_with("#[tokio::test") {
                let rest = lines[i..].iter().zip(i..).find(|(line, _)| line.contains("fn "));
                let (line, at) = rest.expect("an attribute stands before a function");
                tests.push((at + 1, name_at(line.split_once("fn ").unwrap().1)));
            }
        }
        tests
    }
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
}

/// The first names of the paths at the beginning of `text`: one, or all in braces.
fn first_names(text: &str) -> Vec<String> {
    let Some(list) = text.strip_prefix('{') else { return vec![name_at(text)] };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut is_first = true;
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            _ if is_first && (char.is_alphanumeric() || char == '_') => {
                names.push(name_at(&list[at..]));
                is_first = false;
            }
            _ => {}
        }
    }
    names
}

/// The number of the line, from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// Where the item ends that begins at `start`: at its closing brace, or at its semicolon or comma.
fn end_of_item(code: &str, start: usize) -> usize {
    let mut depth = 0usize;
    for (at, char) in code[start..].char_indices() {
        match char {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' if depth == 0 => return start + at,
            '}' | ')' | ']' => {
                depth -= 1;
                if char == '}' && depth == 0 {
                    return start + at;
                }
            }
            ';' | ',' if depth == 0 => return start + at,
            _ => {}
        }
    }
    code.len()
}

/// `text` with blanks for comments and for the insides of literals; lines stay as they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let length = match char {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if is_raw(rest) && !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw(rest),
            '"' => quoted(rest, '"'),
            '\'' if is_char(rest) => quoted(rest, '\''),
            _ => {
                code.push(char);
                rest = &rest[char.len_utf8()..];
                continue;
            }
        };
        let (skipped, after) = rest.split_at(length);
        code.extend(skipped.chars().map(|char| if char == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    code
}

fn is_raw(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

fn raw(text: &str) -> usize {
    let signs = text[1..].len() - text[1..].trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(signs));
    let start = 2 + signs;
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, not a lifetime.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (Some(_), Some(end)) => end == '\'',
        _ => false,
    }
}

#[test]
fn code_is_told_from_what_is_not() {
    let text = "a /* fn */ \"fn \\\" x\" b // fn\n'{' 'a: r#\"fn \" x\"# '\\'' c\n";
    let code = code_of(text);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "'a:", "c"]);
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn what_is_for_tests_only_is_told_from_the_rest() {
    let text = "use crate::{a, b::{c, d}};\n#[cfg(test)]\nuse crate::e;\nfn f() {\n}\n#[cfg(test)]\nmod tests {\n\
                #[test]\nfn g() {}\n}\nfn h() { crate::i::j(); }\n";
    let source = Source::new("src/x.rs".to_owned(), text.to_owned(), false);
    let uses: Vec<_> = source.uses().into_iter().map(|(_, name)| name).collect();
    assert_eq!(uses, ["a", "b", "i"]);
    let functions: Vec<_> = source.functions().into_iter().map(|(_, name, lines)| (name, lines)).collect();
    assert_eq!(functions, [("f".to_owned(), 2), ("g".to_owned(), 1), ("h".to_owned(), 1)]);
    assert_eq!(source.tests(), [(9, "g".to_owned())]);
    assert_eq!(source.code_lines().map(|(line, _)| line).collect::<Vec<_>>(), [1, 4, 5, 11]);
}
