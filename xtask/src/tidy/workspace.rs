//! The workspace as the checks see it: its crates, its sources and its texts, read once.

use super::Finding;
use super::layers::{Layers, Ratchet};
use super::source::{Role, Source};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::Command;

/// Longest text that is read, in octets; what is longer was not written by hand.
const TEXT_LEN_MAX: u64 = 1024 * 1024;
/// Folders with a dot in front that are the project's own.
const DOT_FOLDERS: [&str; 3] = [".ci", ".cargo", ".github"];
/// Octets for the tests to read; what they spell is not ours to judge.
const OCTETS: [&str; 2] = ["fuzz/corpus", "testdata/rfc"];

/// Everything that is checked.
pub(super) struct Workspace {
    pub layers: Layers,
    pub ratchet: Ratchet,
    pub crates: Vec<Crate>,
    pub sources: Vec<Source>,
    pub texts: Vec<Text>,
    /// Every file and folder, from the root, folders with a slash at the end.
    pub paths: Vec<String>,
    unreadable: Vec<Finding>,
}

/// A crate of the workspace.
pub(super) struct Crate {
    pub name: String,
    /// Where its manifest is, from the root.
    pub manifest_path: String,
    pub manifest: String,
    pub dependencies: Vec<Dependency>,
}

/// What a crate depends on, in whatever way: building, running, testing.
#[derive(Deserialize)]
pub(super) struct Dependency {
    pub name: String,
    pub kind: Option<String>,
}

/// A file that is text.
pub(super) struct Text {
    pub path: String,
    pub text: String,
}

impl Workspace {
    /// Reads the workspace at `root`.
    pub(super) fn load(root: &Path) -> Result<Self, String> {
        let root = root.canonicalize().map_err(|e| format!("{}: {e}", root.display()))?;
        let layers: Layers = from_toml(&root, "layers.toml")?;
        let ratchet = if root.join("xtask/ratchet.toml").exists() {
            from_toml(&root, "xtask/ratchet.toml")?
        } else {
            Ratchet::default()
        };
        let crates = crates(&root)?;
        let mut paths = Vec::new();
        walk(&root, "", &ignored(&root), &mut paths)?;
        paths.sort();
        let texts: Vec<Text> = paths.iter().filter_map(|path| text(&root, path)).collect();
        let (mut sources, mut unreadable) = (Vec::new(), Vec::new());
        for Text { path, text } in texts.iter().filter(|text| text.path.ends_with(".rs")) {
            match Source::parse(path, text, crate_of(&crates, path)) {
                Ok(source) => sources.push(source),
                Err(error) => unreadable.push(not_rust(path, &error)),
            }
        }
        let mut workspace = Self { layers, ratchet, crates, sources, texts, paths, unreadable };
        workspace.find_test_files();
        Ok(workspace)
    }

    /// Sources that could not be read.
    pub(super) fn unreadable(&self) -> Vec<Finding> {
        self.unreadable.iter().map(|f| not_rust(&f.path, &f.what)).collect()
    }

    /// Sources of a crate that go into the product, without their tests.
    pub(super) fn product(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.role == Role::Product)
    }

    /// Whether there is such a file or folder.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.paths.binary_search_by(|p| p.as_str().cmp(path)).is_ok() || self.paths.contains(&folder)
    }

    // A file is a test if the module that names it is one: `#[cfg(test)] mod tests;`.
    fn find_test_files(&mut self) {
        let modules: Vec<String> = self.sources.iter().flat_map(|s| s.test_modules.clone()).collect();
        for source in &mut self.sources {
            let is_test = |m: &String| {
                source.path == format!("{m}.rs") || source.path.starts_with(&format!("{m}/")) || source.path == *m
            };
            if modules.iter().any(is_test) {
                source.role = Role::Test;
            }
        }
    }
}

impl Crate {
    /// The line of the manifest that begins with `key`, or is the head of its section.
    pub(super) fn line_of(&self, key: &str) -> usize {
        let section = format!(".{key}]");
        let begins = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '='])) || line.trim_end().ends_with(&section)
        };
        self.manifest.lines().position(begins).map_or(1, |n| n + 1)
    }
}

fn not_rust(path: &str, what: &str) -> Finding {
    Finding {
        path: path.to_owned(),
        line: 1,
        check: "parse",
        what: what.to_owned(),
        why: "so nothing in this file was checked".to_owned(),
        next: "correct it, or raise the version of `syn` in xtask if the language has grown".to_owned(),
    }
}

fn from_toml<T: DeserializeOwned>(root: &Path, path: &str) -> Result<T, String> {
    let text = std::fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
    toml::from_str(&text).map_err(|e| format!("{path}: {e}"))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

fn crates(root: &Path) -> Result<Vec<Crate>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let said = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    if !said.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&said.stderr)));
    }
    let metadata: Metadata = serde_json::from_slice(&said.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let read = |package: Package| {
        let path = Path::new(&package.manifest_path);
        let manifest = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let manifest_path = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        Ok(Crate { name: package.name, manifest_path, manifest, dependencies: package.dependencies })
    };
    metadata.packages.into_iter().map(read).collect()
}

/// The crate whose folder a file lies in, and the path inside of it.
fn crate_of<'a>(crates: &'a [Crate], path: &'a str) -> Option<(&'a str, &'a str)> {
    crates.iter().find_map(|c| {
        let folder = c.manifest_path.strip_suffix("Cargo.toml").filter(|folder| !folder.is_empty())?;
        Some((c.name.as_str(), path.strip_prefix(folder)?))
    })
}

/// What git ignores is not the project's: plain names and folders, no patterns.
fn ignored(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let entries = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    entries.map(|entry| entry.trim_end_matches('/').to_owned()).chain(["target".to_owned()]).collect()
}

fn walk(root: &Path, folder: &str, ignored: &[String], paths: &mut Vec<String>) -> Result<(), String> {
    let entries = std::fs::read_dir(root.join(folder)).map_err(|e| format!("{folder}: {e}"))?;
    for entry in entries {
        let entry = entry.map_err(|e| format!("{folder}: {e}"))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{folder}{name}");
        let kind = entry.file_type().map_err(|e| format!("{path}: {e}"))?;
        if ignored.iter().any(|i| *i == name || i.strip_prefix('/') == Some(path.as_str())) {
            continue;
        }
        if kind.is_dir() && (!name.starts_with('.') || DOT_FOLDERS.contains(&name.as_str())) {
            let path = format!("{path}/");
            walk(root, &path, ignored, paths)?;
            paths.push(path);
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

fn text(root: &Path, path: &str) -> Option<Text> {
    // The licence and the lock file are other people's words.
    if path.ends_with('/') || matches!(path, "LICENSE") || path.ends_with("Cargo.lock") {
        return None;
    }
    if OCTETS.iter().any(|octets| path.starts_with(octets)) {
        return None;
    }
    let file = root.join(path);
    if file.metadata().ok()?.len() > TEXT_LEN_MAX {
        return None;
    }
    let text = String::from_utf8(std::fs::read(file).ok()?).ok()?;
    (!text.contains('\0')).then(|| Text { path: path.to_owned(), text })
}
