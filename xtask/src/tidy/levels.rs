//! Crates depend downwards only, and only adapters know drivers.

use super::Finding;
use super::workspace::{Crate, Dependency, Workspace};

pub(super) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) {
    let layers = &workspace.layers;
    let known: Vec<&str> = workspace.crates.iter().map(|c| c.name.as_str()).collect();
    for c in &workspace.crates {
        let is_placed = layers.level(&c.name).is_some() != layers.outside.crates.contains(&c.name);
        if !is_placed {
            findings.push(finding(
                c,
                "name",
                format!("crate `{}` has not one level in layers.toml", c.name),
                "what it may depend on is not said".to_owned(),
                "add it to [levels], or to [outside] if it is a tool".to_owned(),
            ));
        }
        for dependency in &c.dependencies {
            findings.extend(driver(workspace, c, dependency));
            // Without a place there is no up or down.
            if is_placed {
                findings.extend(up_or_aside(workspace, &known, c, dependency));
            }
        }
    }
    let named =
        layers.levels.keys().chain(&layers.outside.crates).chain(layers.drivers.iter().flat_map(|d| &d.only_in));
    for name in named.filter(|name| !known.contains(&name.as_str())) {
        findings.push(Finding {
            path: "layers.toml".to_owned(),
            line: 1,
            check: "levels",
            what: format!("crate `{name}` does not exist"),
            why: "a table that names what is not there is not believed".to_owned(),
            next: "take it out".to_owned(),
        });
    }
}

fn up_or_aside(workspace: &Workspace, known: &[&str], c: &Crate, dependency: &Dependency) -> Option<Finding> {
    if !known.contains(&dependency.name.as_str()) || dependency.name == c.name {
        return None;
    }
    let layers = &workspace.layers;
    let why = match (layers.level(&c.name), layers.level(&dependency.name)) {
        (Some(own), Some(other)) if other < own => return None,
        (Some(own), Some(other)) if other == own => format!("both are of level {own} and siblings are strangers"),
        (Some(own), Some(other)) => format!("level {own} does not know level {other}"),
        (None, _) | (_, None) => "what is outside of the levels uses no crate of ours and is used by none".to_owned(),
    };
    let next = match dependency.kind.as_deref() {
        Some("dev") => "test against a fake of the port, or move the test to the crate that puts both together",
        _ => "meet in a lower crate, or over the bus (model::contract, ports::Bus)",
    };
    let what = format!("`{}` depends on `{}`", c.name, dependency.name);
    Some(finding(c, &dependency.name, what, why, next.to_owned()))
}

fn driver(workspace: &Workspace, c: &Crate, dependency: &Dependency) -> Option<Finding> {
    let is_named = |names: &[String], name: &str| names.iter().any(|n| n == name);
    let drivers = workspace.layers.drivers.iter().find(|drivers| is_named(&drivers.crates, &dependency.name))?;
    if is_named(&drivers.only_in, &c.name) {
        return None;
    }
    Some(finding(
        c,
        &dependency.name,
        format!("`{}` depends on the driver `{}`", c.name, dependency.name),
        drivers.why.clone(),
        format!("use it in {} only, behind a trait of ports", drivers.only_in.join(", ")),
    ))
}

fn finding(c: &Crate, key: &str, what: String, why: String, next: String) -> Finding {
    Finding { path: c.manifest_path.clone(), line: c.line_of(key), check: "levels", what, why, next }
}
