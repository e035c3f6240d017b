//! What is left to do has a number, so that it can be found and closed.

use super::Finding;
use super::workspace::Workspace;

// In two halves, so that this file passes its own check.
const MARKERS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    // Documents may speak of the rule.
    for text in workspace.texts.iter().filter(|text| !text.path.ends_with(".md")) {
        for (n, line) in text.text.lines().enumerate() {
            if let Some(marker) = MARKERS.into_iter().find(|marker| is_unnumbered(line, marker)) {
                findings.push(Finding {
                    path: text.path.clone(),
                    line: n + 1,
                    check: "markers",
                    what: format!("{marker} without a number"),
                    why: "nobody will find it again".to_owned(),
                    next: format!("write {marker}(#12) with the issue's number, or do it"),
                });
            }
        }
    }
}

fn is_unnumbered(line: &str, marker: &str) -> bool {
    let mut before = ' ';
    let mut rest = line;
    while let Some((head, tail)) = rest.split_once(marker) {
        before = head.chars().last().unwrap_or(before);
        let is_word = !is_letter(before) && !tail.starts_with(is_letter);
        if is_word && !is_number(tail) {
            return true;
        }
        before = 'x';
        rest = tail;
    }
    false
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_number(tail: &str) -> bool {
    let number = tail.strip_prefix("(#").and_then(|rest| rest.split_once(')')).map(|(number, _)| number);
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}
