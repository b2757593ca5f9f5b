//! Rust source as checks read it: code, strings, tests apart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A string literal and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Line, counted from 1.
    pub line: usize,
    /// Byte in [`Source::code`] at which it begins, quote or `r` included.
    pub at: usize,
    /// Byte in [`Source::code`] after its end.
    pub end: usize,
    /// What it says, escapes resolved.
    pub text: String,
}

/// One file: `code` is as long as `text` and has the same lines, with comments and the insides of strings blanked.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the repository's root.
    pub path: String,
    /// As it is on disk.
    pub text: String,
    /// Code only.
    pub code: String,
    /// Its string literals in order.
    pub strings: Vec<Literal>,
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `folder` of the repository whose name ends in `.ending` (any with an empty one), in order, as (path, bytes).
pub fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["target", ".target", ".git", "screenshots", "node_modules"].contains(&name) {
                    folders.push(path);
                }
            } else if path.is_file() && (ending.is_empty() || name.ends_with(&format!(".{ending}"))) {
                found.push((path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file under `folder`.
pub fn rust(folder: &str) -> Vec<Source> {
    files(folder, "rs").into_iter().map(|(path, bytes)| Source::read(&path, std::str::from_utf8(&bytes).unwrap())).collect()
}

impl Source {
    /// Reads a file.
    pub fn read(path: &str, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut code = bytes.to_vec();
        let mut strings = Vec::new();
        let mut line = 1;
        let mut i = 0;
        let blank = |code: &mut Vec<u8>, from: usize, to: usize| {
            code[from..to].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        };
        while i < bytes.len() {
            let start = i;
            let word_before = i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_');
            if bytes[i..].starts_with(b"//") {
                i = bytes[i..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| i + n);
                blank(&mut code, start, i);
            } else if bytes[i..].starts_with(b"/*") {
                let mut depth = 0;
                while i < bytes.len() {
                    if bytes[i..].starts_with(b"/*") {
                        depth += 1;
                        i += 2;
                    } else if bytes[i..].starts_with(b"*/") {
                        depth -= 1;
                        i += 2;
                        if depth == 0 {
                            break;
                        }
                    } else {
                        i += 1;
                    }
                }
                blank(&mut code, start, i);
            } else if let Some((open, hashes)) = (!word_before).then(|| raw_string(&bytes[i..])).flatten() {
                let close = format!("\"{}", "#".repeat(hashes));
                let inside = i + open;
                let end = text[inside..].find(&close).map_or(bytes.len(), |n| inside + n);
                i = (end + close.len()).min(bytes.len());
                strings.push(Literal { line, at: start, end: i, text: text[inside..end].to_owned() });
                blank(&mut code, inside, end);
            } else if bytes[i] == b'"' {
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                i = (i + 1).min(bytes.len());
                strings.push(Literal { line, at: start, end: i, text: unescape(&text[start + 1..i - 1]) });
                blank(&mut code, start + 1, i - 1);
            } else if bytes[i] == b'\''
                && (!word_before || (bytes[i - 1] == b'b' && !(i > 1 && (bytes[i - 2].is_ascii_alphanumeric() || bytes[i - 2] == b'_'))))
            {
                // A character or byte, unless it is a lifetime.
                let rest = &text[i + 1..];
                let len = if rest.starts_with('\\') {
                    rest[2..].find('\'').map(|n| n + 3)
                } else {
                    rest.char_indices().nth(1).filter(|(_, c)| *c == '\'').map(|(n, _)| n + 1)
                };
                i += 1 + len.unwrap_or(0);
                blank(&mut code, (start + 1).min(i), i);
            } else {
                i += text[i..].chars().next().unwrap().len_utf8();
            }
            line += bytes[start..i].iter().filter(|byte| **byte == b'\n').count();
        }
        Self { path: path.into(), text: text.into(), code: String::from_utf8(code).unwrap(), strings }
    }

    /// The code without what stands behind `#[cfg(test)]`, and the names of the modules declared there that have files of their own.
    pub fn without_tests(&self) -> (String, Vec<String>) {
        if self.code.contains("#![cfg(test)]") {
            return (self.code.chars().map(|c| if c == '\n' { c } else { ' ' }).collect(), Vec::new());
        }
        let mut code = self.code.clone().into_bytes();
        let mut modules = Vec::new();
        let mut from = 0;
        while let Some(found) = self.code[from..].find("#[cfg(test)]") {
            let at = from + found;
            let item = at + "#[cfg(test)]".len();
            let end = self.code[item..].find(['{', ';']).map_or(self.code.len(), |n| item + n);
            from = if self.code[end..].starts_with('{') { closing(&self.code, end) } else { end };
            if let Some(name) = self.code[item..end].trim().strip_prefix("pub ").unwrap_or(self.code[item..end].trim()).strip_prefix("mod ")
                && self.code[end..].starts_with(';')
            {
                modules.push(name.trim().to_owned());
            }
            code[at..from.min(self.code.len())].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        (String::from_utf8(code).unwrap(), modules)
    }

    /// The line of a byte, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Paths of the files that only tests know: modules declared behind `#[cfg(test)]`, and what lies below them.
pub fn test_files(sources: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let base = source.path.strip_suffix("/mod.rs").or_else(|| source.path.strip_suffix("/lib.rs")).or_else(|| source.path.strip_suffix("/main.rs"));
        let base = base.unwrap_or_else(|| source.path.strip_suffix(".rs").unwrap());
        for module in source.without_tests().1 {
            let below = format!("{base}/{module}/");
            found.insert(format!("{base}/{module}.rs"));
            found.extend(sources.iter().filter(|s| s.path.starts_with(&below)).map(|s| s.path.clone()));
        }
    }
    found
}

/// The byte after the bracket that closes the one at `open`.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Length of what opens a raw string here, and its hashes; plain byte and C strings are left to the quote.
fn raw_string(bytes: &[u8]) -> Option<(usize, usize)> {
    let prefix = [&b"br"[..], b"cr", b"r"].into_iter().find(|prefix| bytes.starts_with(prefix))?.len();
    let hashes = bytes[prefix..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(prefix + hashes) == Some(&b'"')).then_some((prefix + hashes + 1, hashes))
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('0') => plain.push('\0'),
            Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            Some('u') => {
                let hex: String = rest.by_ref().skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
                plain.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
            }
            Some('x') => {
                let hex: String = rest.by_ref().take(2).collect();
                plain.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[test]
fn source_is_read_as_the_compiler_reads_it() {
    let text = r####"//! Sqlx in a comment.
fn a<'x>(s: &'x str) -> char { /* one /* two */ sqlx:: */ let c = '"'; let d = '\''; let e = '\u{1F600}'; let f = b'"'; let g = b'\\'; c }
const B: &str = "say \"hi\" // not a comment\n \
    and go on";
const C: &str = r#"raw "quoted" '"#; const D: &[u8] = b"bytes"; let r = 1; for_r"x";
#[cfg(test)]
mod tests { fn x() { y.unwrap(); } }
#[cfg(test)]
pub mod samples;
fn z() {}
"####;
    let source = Source::read("src/store/x.rs", text);
    let said: Vec<(usize, &str)> = source.strings.iter().map(|s| (s.line, s.text.as_str())).collect();
    assert_eq!(said, [(3, "say \"hi\" // not a comment\n and go on"), (5, "raw \"quoted\" '"), (5, "bytes"), (5, "x")]);
    assert!(!source.code.contains("sqlx") && !source.code.contains("Sqlx") && source.code.contains("fn a<'x>(s: &'x str)"));
    assert_eq!((source.code.len(), source.code.lines().count()), (text.len(), text.lines().count()));
    let (code, modules) = source.without_tests();
    assert!(!code.contains("unwrap") && !code.contains("mod tests") && code.contains("fn z()"));
    assert_eq!(modules, ["samples"]);
    assert_eq!(source.line(text.find("fn z").unwrap()), 10);
    let tests = test_files(&[source, Source::read("src/store/x/samples/deep.rs", ""), Source::read("src/store/y.rs", "")]);
    assert_eq!(tests.into_iter().collect::<Vec<_>>(), ["src/store/x/samples.rs", "src/store/x/samples/deep.rs"]);
}
