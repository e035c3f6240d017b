//! The project stands alone: it names no place outside of itself on somebody's machine.

use super::Finding;
use super::workspace::Workspace;

// In halves, so that this file passes its own check.
const PLACES: [&str; 4] =
    [concat!("../", "shared"), concat!("/wo", "rk/"), concat!("/tmp", "/h/"), concat!("/fa", "rm/")];

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    for text in &workspace.texts {
        for (n, line) in text.text.lines().enumerate() {
            if let Some(place) = PLACES.into_iter().find(|place| names(line, place)) {
                findings.push(Finding {
                    path: text.path.clone(),
                    line: n + 1,
                    check: "places",
                    what: format!("`{place}` is outside of the project"),
                    why: "on another machine it is not there".to_owned(),
                    next: "bring what is needed in, or take the path as an argument".to_owned(),
                });
            }
        }
    }
}

// `/x/` is a place of its own only where no folder stands before it.
fn names(line: &str, place: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}');
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().last());
        !place.starts_with('/') || !before.is_some_and(is_name)
    })
}
