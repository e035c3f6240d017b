//! `cradle repo add` and `list`: an image, what is said of it, and what goes with it.

use super::super::Common;
use super::{About, Papers, act, usage};
use crate::fault::{Failure, Result};
use adapters::files;
use model::UnixTime;
use model::text::printable;
use model::time::Civil;
use repository::{Announced, Delta, Release};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use update::Image;
use update::developer::SIGNATURE_LEN_MAX;
use update::papers::DOCUMENT_LEN_MAX;
use update::tuf::write::Custom;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// An image that is added.
pub(super) struct Asked {
    pub(super) file: PathBuf,
    pub(super) name: Option<String>,
    pub(super) role: Option<String>,
    pub(super) about: About,
    pub(super) papers: Papers,
}

/// The last second of a day that is written as `2031-12-31`.
pub(super) fn end_of_day(text: &str) -> std::result::Result<UnixTime, String> {
    Ok(start_of_day(text)?.plus_s(DAY_S - 1))
}

/// The first second of a day that is written as `2031-12-31`.
pub(super) fn start_of_day(text: &str) -> std::result::Result<UnixTime, String> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse().ok();
    let civil = || {
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        UnixTime::from_civil(Civil { year, month, day, hour: 0, minute: 0, second: 0 })
    };
    let start = civil().filter(|start| start.to_string().strip_suffix("T00:00:00Z") == Some(text));
    start.ok_or_else(|| "it is a day, written as 2031-12-31".to_owned())
}

/// What is said of an image, as devices and boxes read it.
fn custom(about: &About) -> Result<Option<Custom>> {
    let cannot = |why: String| usage("--custom cannot be said", why);
    let text = about.custom.as_deref().unwrap_or("{}");
    // Read twice: here nothing is lost that the repository would keep, or refuse.
    let read = Custom::of_json(text.as_bytes()).map_err(|bad| cannot(bad.to_string()))?;
    let Some(counter) = about.counter else { return Ok(about.custom.is_some().then_some(read)) };
    let mut members: serde_json::Map<String, Value> =
        serde_json::from_str(&read.json()).map_err(|bad| cannot(bad.to_string()))?;
    let mut said = vec![("release_counter", json!(counter)), ("hardware_ids", json!(about.hardware_ids))];
    said.extend(about.release.as_ref().map(|release| ("release", json!(release))));
    said.extend(about.version.as_ref().map(|version| ("release_version", json!(version))));
    for (member, value) in said {
        if members.insert(member.to_owned(), value).is_some() {
            return Err(cannot(format!("{member} has an option of its own")));
        }
    }
    let text = Value::Object(members).to_string();
    Custom::of_json(text.as_bytes()).map(Some).map_err(|bad| cannot(bad.to_string()))
}

fn read(path: &Path, len_max: usize) -> Result<Vec<u8>> {
    // One octet more, so that what is too long is refused with its reason.
    let len_max = u64::try_from(len_max).unwrap_or(u64::MAX).saturating_add(1);
    files::read_bounded(path, len_max).map_err(|e| Failure::file(path, &e))
}

pub(super) fn add(common: &Common, dir: &Path, asked: &Asked) -> Result {
    let own = asked.file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = asked.name.clone().or(own).ok_or_else(|| usage("the image has no name", "name it with --name"))?;
    let custom = custom(&asked.about)?;
    let papers = &asked.papers;
    let document = |path: &Option<PathBuf>| path.as_deref().map(|path| read(path, DOCUMENT_LEN_MAX)).transpose();
    let (sbom, vex) = (document(&papers.sbom)?, document(&papers.vex)?);
    let signed = |path: &PathBuf| read(path, SIGNATURE_LEN_MAX);
    let provenance = papers.provenance.as_ref().map(signed).transpose()?;
    let signatures = papers.signatures.iter().map(signed).collect::<Result<Vec<_>>>()?;
    let open = |path: &PathBuf| files::open_regular(path).map_err(|e| Failure::file(path, &e));
    let mut delta = papers.delta.as_ref().map(open).transpose()?;
    let base = match &papers.delta_from {
        Some(path) => Some(
            Image::measure(&mut open(path)?).map_err(|bad| usage(format!("{} is no image", path.display()), bad))?,
        ),
        None => None,
    };
    let mut source = open(&asked.file)?;
    let release = Release {
        custom: custom.as_ref(),
        role: asked.role.as_deref(),
        signatures,
        sbom,
        vex,
        provenance,
        delta: delta.as_mut().zip(base).map(|(source, base)| Delta { source, base }),
        class: asked.about.class,
        support_end: asked.about.support_end,
    };
    let added = act::staged(common, dir, |repository| repository.add_release(&name, &mut source, release, act::now()))?;
    let developers: Vec<Value> =
        added.developers.iter().map(|(who, form)| json!({"who": who, "form": form.name()})).collect();
    let attached: Value = added.attached.iter().map(|(kind, target)| (kind.clone(), json!(target))).collect();
    let shown = json!({"target": name, "role": added.role, "length": added.image.length,
                       "sha256": added.image.digest.to_string(), "developers": developers, "attached": attached});
    common.out().one(&shown, || {
        let mut text =
            format!("{} is staged in {}, {} octets\n", printable(&name, act::LINE_MAX), added.role, added.image.length);
        for (who, form) in &added.developers {
            text.push_str(&format!("signed    by {}, {}\n", printable(who, act::LINE_MAX), form.name()));
        }
        for (kind, target) in &added.attached {
            text.push_str(&format!("with      {kind} {}\n", printable(target, act::LINE_MAX)));
        }
        text
    })?;
    act::next(common);
    Ok(())
}

pub(super) fn list(common: &Common, dir: &Path) -> Result {
    let all = act::open(common, dir)?.announced();
    let rows: Vec<Value> = all
        .iter()
        .map(|one| {
            json!({"target": one.name, "role": one.role, "staged": one.staged, "length": one.length, "hash": one.hash,
                   "custom": one.custom})
        })
        .collect();
    common.out().one(&rows, || all.iter().map(line).collect())
}

// What was said by others is shown as it can be printed.
fn line(one: &Announced) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parts = vec![format!("{} octets", one.length)];
    let named =
        [("release_version", "version "), ("release_counter", "counter "), ("class", ""), ("support_end", "until ")];
    for (member, title) in named {
        parts.extend(one.custom.get(member).map(|value| format!("{title}{}", text(value))));
    }
    let list = |member: &str| one.custom.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    let who: Vec<String> = list("developers").iter().filter_map(|one| one.get("who").map(text)).collect();
    if !who.is_empty() {
        parts.push(format!("signed by {}", who.join(", ")));
    }
    let attached = one.custom.get("attached").and_then(Value::as_object).cloned().unwrap_or_default();
    let kinds: Vec<&str> = attached.keys().map(String::as_str).collect();
    if !kinds.is_empty() {
        parts.push(format!("with {}", kinds.join(", ")));
    }
    let state = if one.staged { "staged   " } else { "published" };
    let said = format!("{} in {}: {}", one.name, one.role, parts.join(", "));
    format!("{state} {}\n", printable(&said, act::LINE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(end_of_day(text).ok().map(|end| end.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_day_ends_with_its_last_second() {
        check("2028-02-29", Some("2028-02-29T23:59:59Z"));
    }
    #[test]
    fn what_is_no_day() {
        for text in
            ["", "2027-02-29", "2031-1-1", "2031-12-31T00:00:00Z", "+031-12-31", "2031/12/31", "\u{e4}031-12-31"]
        {
            check(text, None);
        }
    }
}
