//! What the documents name is there: files in backticks, and links.

use super::Finding;
use super::workspace::{Text, Workspace};

/// Endings of files that a word with a slash in it is taken for one of ours by.
const EXTENSIONS: [&str; 20] = [
    "rs", "toml", "md", "lock", "py", "sh", "js", "ts", "css", "html", "json", "jsonl", "yml", "yaml", "sql",
    "service", "der", "pem", "bin", "txt",
];
/// What a word may hold instead of a part of a name: such a word names a kind of file, and is checked up to there.
const PLACEHOLDERS: [&str; 7] = ["*", "<", "{", "$", "…", "[", "NN"];

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    let documents = &workspace.layers.documents;
    let is_document = |text: &&Text| {
        let in_folder = |folder: &String| text.path.starts_with(&format!("{folder}/"));
        text.path.ends_with(".md") && (documents.files.contains(&text.path) || documents.folders.iter().any(in_folder))
    };
    for document in workspace.texts.iter().filter(is_document) {
        for (line, word) in words(&document.text) {
            if let Some(path) = dead(workspace, &document.path, word) {
                findings.push(Finding {
                    path: document.path.clone(),
                    line,
                    check: "documents",
                    what: format!("`{path}` is not there"),
                    why: "a reader who looks for it stops believing the rest".to_owned(),
                    next: "name what is there, or leave the sentence out".to_owned(),
                });
            }
        }
    }
}

/// A word in backticks, or where a link goes to.
#[derive(Clone, Copy)]
enum Word<'a> {
    Code(&'a str),
    Link(&'a str),
}

fn words(text: &str) -> Vec<(usize, Word<'_>)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence {
            let code = line.split('`').skip(1).step_by(2).flat_map(str::split_whitespace).map(Word::Code);
            let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).map(Word::Link);
            found.extend(code.chain(links).map(|word| (n + 1, word)));
        }
    }
    found
}

/// The part of a word that should be a path of ours and is not.
fn dead<'a>(workspace: &Workspace, document: &str, word: Word<'a>) -> Option<&'a str> {
    let path = match word {
        Word::Code(word) => named_path(workspace, word)?,
        Word::Link(target) => linked_path(target)?,
    };
    let path = path.trim_start_matches("./");
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_there =
        [join(folder, path), join("", path)].into_iter().any(|p| p.is_some_and(|p| p.is_empty() || workspace.has(&p)));
    (!is_there).then_some(path)
}

fn linked_path(target: &str) -> Option<&str> {
    let path = target.split('#').next().unwrap_or_default();
    (!path.is_empty() && !path.contains(':')).then_some(path)
}

fn named_path<'a>(workspace: &Workspace, word: &'a str) -> Option<&'a str> {
    let word = word.trim_matches(['(', ')', ',', ';', '.', '"', '\'', '!', '?']);
    // `crates/x/src/a.rs:12`
    let word = word
        .split_once(':')
        .map_or(word, |(path, line)| if line.starts_with(|c: char| c.is_ascii_digit()) { path } else { word });
    let is_ours = workspace
        .paths
        .iter()
        .any(|p| p.ends_with('/') && word.starts_with(p.as_str()) && !p.trim_end_matches('/').contains('/'));
    let has_extension = word.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension));
    let elsewhere = word.starts_with(['/', '~', '$', '-']) || word.contains("://") || word.contains('=');
    let is_built = word.starts_with("target/");
    if elsewhere || is_built || !(is_ours || has_extension && word.contains('/')) {
        return None;
    }
    match PLACEHOLDERS.iter().filter_map(|placeholder| word.find(placeholder)).min() {
        None => Some(word),
        Some(at) => word.get(..at)?.rsplit_once('/').map(|(folder, _)| folder),
    }
}

/// A path with its `..` taken back, from the root; `None` if it leads out of it.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut segments: Vec<&str> = folder.split('/').filter(|s| !s.is_empty()).collect();
    for segment in path.split('/').filter(|s| !s.is_empty() && *s != ".") {
        if segment == ".." {
            segments.pop()?;
        } else {
            segments.push(segment);
        }
    }
    Some(segments.join("/"))
}
