//! A small made-up workspace that keeps all rules, until a test breaks one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LAYERS: &str = r#"
[levels]
low = 0
middle = 1
beside = 1
adapters = 2
[outside]
crates = ["tool"]
[pure]
level_max = 1
paths = [
  { path = "std::fs", instead = "take octets" },
  { path = "std::net", instead = "take octets" },
  { path = "std::time::SystemTime", instead = "take `now`" },
]
[[drivers]]
crates = ["rusqlite"]
only_in = ["adapters"]
why = "the database is an adapter"
[durable]
only_in = ["crates/adapters/src/store"]
[documents]
files = ["README.md"]
folders = ["docs"]
[fuzz]
crates = ["low"]
[fuzz.targets]
"low::decode" = "word"
"#;

pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A workspace without findings, in a folder of its own that bears the name of the test.
    pub fn new() -> Self {
        let test = std::thread::current().name().expect("a test has a name").replace("::", "-");
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tidy").join(test);
        if root.exists() {
            fs::remove_dir_all(&root).expect("the last run left something that can be removed");
        }
        let tree = Self { root };
        let tree = tree
            .with(
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\", \"tool\"]\n[workspace.lints]\n",
            )
            .with("layers.toml", LAYERS)
            .with("tool/src/main.rs", "fn main() {}\n")
            .with("tool/Cargo.toml", &manifest("tool", ""))
            .with("crates/low/tests/corpus.rs", "// \"word\"\n")
            .with("fuzz/Cargo.toml", "# \"word\"\n")
            .with("fuzz/fuzz_targets/word.rs", "\n")
            .with("fuzz/corpus/word/seed", "w\n");
        let tree = ["middle", "beside", "adapters"].into_iter().fold(tree, |tree, name| {
            tree.depending(name, "").with(&format!("crates/{name}/src/lib.rs"), "//! Nothing.\n")
        });
        tree.depending("low", "").with("crates/low/src/lib.rs", "pub fn decode(octets: &[u8]) {}\n")
    }

    /// With this text in this file, whatever was in it.
    pub fn with(self, path: &str, text: &str) -> Self {
        let file = self.root.join(path);
        fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("folders can be made");
        fs::write(file, text).expect("files can be written");
        self
    }

    /// With these sections in the manifest of a crate.
    pub fn depending(self, name: &str, sections: &str) -> Self {
        self.with(&format!("crates/{name}/Cargo.toml"), &manifest(name, sections))
    }

    /// With a part of a file put in the place of another.
    pub fn replacing(self, path: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.root.join(path)).expect("the file is there");
        assert!(text.contains(from), "{path} does not contain {from}");
        self.with(path, &text.replace(from, to))
    }

    /// Without a file.
    pub fn without(self, path: &str) -> Self {
        fs::remove_file(self.root.join(path)).expect("the file is there");
        self
    }

    /// Asks tidy, with more arguments.
    pub fn tidy(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("tidy").args(arguments).arg("--root").arg(&self.root).output().expect("tidy can be started")
    }

    /// Asks tidy, and compares where it found something with `expected`: `check path:line`.
    #[track_caller]
    pub fn check(&self, expected: &[&str]) {
        let said = self.tidy(&["-o", "json"]);
        let lines = String::from_utf8(said.stdout).expect("JSON is UTF-8");
        let found: BTreeSet<String> = lines.lines().map(place).collect();
        let expected: BTreeSet<String> = expected.iter().map(|&place| place.to_owned()).collect();
        assert_eq!(found, expected, "{lines}{}", String::from_utf8_lossy(&said.stderr));
        assert_eq!(said.status.code(), Some(i32::from(!expected.is_empty())));
    }
}

fn place(line: &str) -> String {
    let finding: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
    let word = |key: &str| finding.get(key).and_then(serde_json::Value::as_str).expect("a finding is whole");
    assert!(["what", "why", "next"].iter().all(|key| !word(key).is_empty()), "{line}");
    format!("{} {}:{}", word("check"), word("path"), finding.get("line").expect("a finding has a line"))
}

fn manifest(name: &str, sections: &str) -> String {
    format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n\n{sections}\n[lints]\nworkspace = true\n")
}
