//! Files name no people: who wrote what is in the history, and files outlive memberships.
//!
//! It knows the places where names are usually written, not names. Authors of cited papers are sources, not authors.

use super::Finding;
use super::workspace::Workspace;

// In halves, so that this file passes its own check.
const TAGS: [&str; 7] = [
    concat!("@", "author"),
    concat!("Author", ":"),
    concat!("Maintainer", ":"),
    concat!("Written ", "by "),
    concat!("Signed-off", "-by:"),
    concat!("Co-authored", "-by:"),
    concat!("authors", " = ["),
];
/// Ends of domains that belong to nobody (RFC 2606, RFC 6762, RFC 8375).
const NOBODY: [&str; 10] = [
    "example",
    "example.com",
    "example.net",
    "example.org",
    "invalid",
    "test",
    "localhost",
    "local",
    "home.arpa",
    "internal",
];

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    for text in &workspace.texts {
        for (n, line) in text.text.lines().enumerate() {
            let tag = TAGS.into_iter().find(|tag| line.contains(tag)).map(str::to_owned);
            if let Some(what) = tag.or_else(|| address(line)) {
                findings.push(Finding {
                    path: text.path.clone(),
                    line: n + 1,
                    check: "people",
                    what: format!("`{what}` names a person"),
                    why: "files belong to the project and the history knows who wrote them".to_owned(),
                    next: "take the name out, or use a domain that belongs to nobody (RFC 2606)".to_owned(),
                });
            }
        }
    }
}

/// A mail address of somebody.
fn address(line: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    line.match_indices('@').find_map(|(at, _)| {
        let (before, after) = (line.get(..at)?, line.get(at + 1..)?);
        let user = before.rsplit(|c| !is_part(c)).next()?;
        let domain = after.split(|c| !is_part(c)).next()?.trim_end_matches('.').to_lowercase();
        let (_, top) = domain.rsplit_once('.')?;
        let is_domain = top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic());
        let is_nobody =
            NOBODY.iter().any(|end| domain.strip_suffix(end).is_some_and(|d| d.is_empty() || d.ends_with('.')));
        // `cradle-agent@1.service` and `ssh://git@host/` are no people.
        let is_service = user == "git" || matches!(top, "service" | "timer" | "socket" | "target" | "path");
        (is_domain && !user.is_empty() && !is_nobody && !is_service).then(|| format!("{user}@{domain}"))
    })
}
