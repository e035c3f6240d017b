//! Room: tools of the workspace, run as `cargo xtask <tool>`. Outside of the levels; no part of the product.

mod tidy;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tidy::Finding;

const USAGE: &str = "\
usage: cargo xtask tidy [-o text|json] [--root DIRECTORY]

tidy   holds the workspace to STYLE.md and layers.toml: one line per finding, `path:line: what, why, what next`.
       Ends with 0 if there is none, 1 if there is one, 2 if it could not look.
";

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    JsonLines,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = match Asked::read(&arguments) {
        Ok(asked) => asked,
        Err(what) => return stop(&format!("{what}\n\n{USAGE}")),
    };
    match tidy::run(&asked.root) {
        Ok(findings) => say(&findings, asked.output),
        Err(what) => stop(&format!("tidy could not look: {what}\n")),
    }
}

struct Asked {
    root: PathBuf,
    output: Output,
}

impl Asked {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut arguments = arguments.iter().map(String::as_str);
        match arguments.next() {
            Some("tidy") => {}
            Some(other) => return Err(format!("there is no tool {other:?}")),
            None => return Err("which tool?".to_owned()),
        }
        let mut asked = Self { root: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")), output: Output::Text };
        while let Some(argument) = arguments.next() {
            match (argument, arguments.next()) {
                ("-o" | "--output", Some("text")) => asked.output = Output::Text,
                ("-o" | "--output", Some("json")) => asked.output = Output::JsonLines,
                ("--root", Some(directory)) => asked.root = PathBuf::from(directory),
                (argument, value) => return Err(format!("not understood: {argument} {}", value.unwrap_or_default())),
            }
        }
        Ok(asked)
    }
}

fn say(findings: &[Finding], output: Output) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let written = findings.iter().try_for_each(|finding| match output {
        Output::Text => writeln!(out, "{finding}"),
        Output::JsonLines => writeln!(out, "{}", serde_json::to_string(finding)?),
    });
    // A reader that went away (`| head`) has read enough; the exit code says it too.
    drop(written);
    ExitCode::from(u8::from(!findings.is_empty()))
}

fn stop(what: &str) -> ExitCode {
    // Nothing can be said where standard error is closed; the exit code says it too.
    let _ = std::io::stderr().write_all(what.as_bytes());
    ExitCode::from(2)
}
