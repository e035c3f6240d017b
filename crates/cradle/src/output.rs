//! What a command prints: a table for people, or JSON and CSV for programs. Data go to standard output, all else to
//! standard error.

use crate::fault::{Exit, Failure, Result};
use clap::ValueEnum;
use comfy_table::{Table, presets::NOTHING};
use model::text::printable;
use serde::Serialize;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// How data are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table or a few lines, for people.
    Human,
    /// One JSON document.
    Json,
    /// One JSON object on each line.
    Jsonl,
    /// RFC 4180 with a header line.
    Csv,
}

/// Where and how a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
}

/// Rows that people are shown if they do not say how many.
const ROWS_SHOWN: u32 = 50;

/// Longest line of an error.
const LINE_MAX: usize = 1000;

/// Longest text in a cell of a table.
const CELL_MAX: usize = 120;

impl Output {
    pub(crate) const fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    pub(crate) const fn is_human(&self) -> bool {
        matches!(self.format, Format::Human)
    }
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether a progress bar would be seen.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// Prints rows: a table for people, with the columns that are named.
    pub(crate) fn rows<T: Serialize>(&self, columns: &[&str], rows: &[T]) -> Result {
        let mut all = self.stream(columns);
        rows.iter().try_for_each(|row| all.add(row))?;
        all.finish()
    }

    /// Rows that are printed as they come.
    pub(crate) fn stream<'a>(&self, columns: &'a [&'a str]) -> Rows<'a, impl FnMut(&str) -> Result> {
        let out = *self;
        Rows::new(self.format, columns, move |text| out.print(text))
    }

    /// Prints one thing: for people the text, for programs its fields.
    pub(crate) fn one<T: Serialize>(&self, thing: &T, human: impl FnOnce() -> String) -> Result {
        match self.format {
            Format::Human => self.print(&human()),
            Format::Json => self.print(&pretty(thing)?),
            Format::Jsonl => self.line(thing),
            Format::Csv => {
                let value = value(thing)?;
                let columns: Vec<_> = value.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
                let columns: Vec<_> = columns.iter().map(String::as_str).collect();
                let head = csv_line(columns.iter().map(|column| (*column).to_owned()));
                self.print(&(head + &csv_row(&columns, &value)))
            }
        }
    }

    /// Prints one JSON object on a line, now: for programs that follow along.
    pub(crate) fn line<T: Serialize>(&self, thing: &T) -> Result {
        self.print(&format!("{}\n", visible(&serde_json::to_string(thing).map_err(not_written)?)))
    }

    /// How many rows are printed: as many as were asked for, 0 for all; or else 50 for people, and all for programs.
    pub(crate) fn limit(&self, asked: Option<u32>) -> u32 {
        match asked {
            Some(0) => u32::MAX,
            Some(limit) => limit,
            None if self.is_human() => ROWS_SHOWN,
            None => u32::MAX,
        }
    }

    /// Says that a list may go on behind its limit.
    pub(crate) fn cut(&self, rows: u32, limit: u32) {
        if rows == limit {
            self.say(&format!("The first {rows} are shown. All: --limit 0"));
        }
    }

    /// Tells a person what to do next.
    pub(crate) fn next(&self, text: &str) {
        if self.is_human() {
            self.say(&format!("Next: {text}"));
        }
    }

    /// Says something that is not data.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            // Nobody is left to be told if standard error is gone.
            let _gone = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Says why the command failed.
    pub(crate) fn fail(&self, failure: &Failure) {
        let text = if self.is_human() {
            // File names and other people's words are in it.
            let lines = format!("cradle: {failure}");
            lines.lines().map(|line| printable(line, LINE_MAX)).collect::<Vec<_>>().join("\n")
        } else {
            let Failure { what, why, next, code, .. } = failure;
            visible(&serde_json::json!({"error": {"code": code, "what": what, "why": why, "next": next}}).to_string())
        };
        let _gone = writeln!(std::io::stderr(), "{text}");
    }

    pub(crate) fn print(&self, text: &str) -> Result {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| {
            // A reader that had enough (`| head`) is no failure of ours, but there is nobody to go on for.
            Failure::new(Exit::Failed, "output", "standard output was closed").because(e)
        })
    }
}

/// Rows that are printed as they come, in memory that does not grow with their number; but for people, whose columns
/// are as wide as what stands in them.
pub(crate) struct Rows<'a, W: FnMut(&str) -> Result> {
    format: Format,
    columns: &'a [&'a str],
    write: W,
    waiting: String,
    table: Vec<Value>,
    count: u64,
}

/// Octets that are printed together.
const TOGETHER: usize = 64 * 1024;

impl<'a, W: FnMut(&str) -> Result> Rows<'a, W> {
    /// Rows in a format, with the columns that tables and CSV have, to whoever writes them.
    pub(crate) const fn new(format: Format, columns: &'a [&'a str], write: W) -> Self {
        Self { format, columns, write, waiting: String::new(), table: Vec::new(), count: 0 }
    }

    /// Prints one more.
    pub(crate) fn add<T: Serialize>(&mut self, row: &T) -> Result {
        match self.format {
            Format::Human => self.table.push(value(row)?),
            Format::Json => {
                let text = visible(&serde_json::to_string_pretty(row).map_err(not_written)?);
                self.waiting.push_str(if self.count == 0 { "[\n  " } else { ",\n  " });
                self.waiting.push_str(&text.replace('\n', "\n  "));
            }
            Format::Jsonl => {
                self.waiting.push_str(&visible(&serde_json::to_string(row).map_err(not_written)?));
                self.waiting.push('\n');
            }
            Format::Csv => {
                self.head();
                self.waiting.push_str(&csv_row(self.columns, &value(row)?));
            }
        }
        self.count += 1;
        if self.waiting.len() >= TOGETHER { self.pass_on() } else { Ok(()) }
    }

    /// Prints what is left.
    pub(crate) fn finish(mut self) -> Result {
        match self.format {
            Format::Human => self.waiting = table(self.columns, &self.table),
            Format::Json => self.waiting.push_str(if self.count == 0 { "[]\n" } else { "\n]\n" }),
            Format::Csv => self.head(),
            Format::Jsonl => {}
        }
        self.pass_on()
    }

    fn head(&mut self) {
        if self.count == 0 {
            self.waiting.push_str(&csv_line(self.columns.iter().map(|column| (*column).to_owned())));
        }
    }

    fn pass_on(&mut self) -> Result {
        if self.waiting.is_empty() {
            return Ok(());
        }
        (self.write)(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

fn table(columns: &[&str], values: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns.iter().map(|c| c.replace('_', " ")));
    for value in values {
        table.add_row(columns.iter().map(|column| printable(&cell(value.get(*column)), CELL_MAX)));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn csv_row(columns: &[&str], value: &Value) -> String {
    csv_line(columns.iter().map(|column| cell(value.get(*column))))
}

fn csv_line(cells: impl Iterator<Item = String>) -> String {
    let quoted: Vec<_> = cells.map(csv_cell).collect();
    format!("{}\r\n", quoted.join(","))
}

fn csv_cell(text: String) -> String {
    // A formula would be run by a spreadsheet.
    let is_pem = text.starts_with("-----BEGIN ");
    let is_formula = !is_pem && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text };
    let plain = !text.contains([',', '"', '\n', '\r']);
    if plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn not_written(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Failed, "output", "a result cannot be written").because(error)
}

fn value<T: Serialize>(thing: &T) -> Result<Value> {
    serde_json::to_value(thing).map_err(not_written)
}

fn pretty<T: Serialize>(thing: &T) -> Result<String> {
    serde_json::to_string_pretty(thing).map(|text| visible(&text) + "\n").map_err(not_written)
}

/// JSON in which nothing is hidden: what could turn a terminal's text around is written as `\\u`, which means the same.
pub(crate) fn visible(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match u16::try_from(u32::from(c)) {
            Ok(0x20..0x7f) => text.push(c),
            Ok(code) if c != '\n' && printable(c.encode_utf8(&mut [0; 4]), 1).len() != c.len_utf8() => {
                text.push_str(&format!("\\u{code:04x}"));
            }
            _ => text.push(c),
        }
    }
    text
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
