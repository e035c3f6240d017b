//! What the program says of its own doings: one event, one line on standard error.
//!
//! Prevents: an event that looks like two, or that writes into a terminal what its words are not; secrets in logs: no
//! event carries an argument, a key, or what was read from a file.

use crate::output::visible;
use adapters::clock::SystemClock;
use clap::ValueEnum;
use model::text::printable;
use ports::Clock;
use std::fmt;
use std::io::{self, Write};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A time, a level, words and values.
    Human,
    /// One JSON object on each line.
    Json,
}

/// Which events are written: these and the graver ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// None.
    Off,
    /// What did not work.
    Error,
    /// What may become an error.
    Warn,
    /// What was done for others: each request.
    Info,
    /// What was begun and ended: each command.
    Debug,
    /// All.
    Trace,
}

/// Longest line for people, in characters.
const LINE_MAX: usize = 4000;

/// Writes events from here on.
pub(crate) fn begin(format: LogFormat, level: LogLevel) {
    let filter = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => Level::ERROR.into(),
        LogLevel::Warn => Level::WARN.into(),
        LogLevel::Info => Level::INFO.into(),
        LogLevel::Debug => Level::DEBUG.into(),
        LogLevel::Trace => Level::TRACE.into(),
    };
    let events = tracing_subscriber::fmt()
        .with_max_level(filter)
        .with_target(false)
        .with_timer(Now)
        .with_writer(move || Lines(format));
    // It is begun once, before anything can be said.
    let _begun_before = match format {
        LogFormat::Human => tracing::subscriber::set_global_default(events.finish()),
        LogFormat::Json => {
            let events = events.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing::subscriber::set_global_default(events.finish())
        }
    };
}

/// The time of an event, to the millisecond.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let now = SystemClock.now();
        let text = now.to_string();
        write!(w, "{}.{:03}Z", text.trim_end_matches('Z'), now.ms() % 1000)
    }
}

/// Standard error, an event at a time.
struct Lines(LogFormat);

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = line(self.0, &String::from_utf8_lossy(event));
        // Nobody is left to be told if standard error is gone.
        let _gone = io::stderr().lock().write_all(line.as_bytes());
        Ok(event.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event as one line in which nothing is hidden.
fn line(format: LogFormat, event: &str) -> String {
    let event = event.strip_suffix('\n').unwrap_or(event);
    match format {
        LogFormat::Human => printable(event, LINE_MAX) + "\n",
        // JSON escapes what ends a line, but not what turns one around.
        LogFormat::Json => visible(event).replace('\n', " ") + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: LogFormat, event: &str, expected: &str) {
        assert_eq!(line(format, event), expected);
    }
    #[test]
    fn a_plain_event_stays_as_it_is() {
        check(LogFormat::Human, "request path=/metrics ä\n", "request path=/metrics ä\n");
        check(LogFormat::Json, "{\"path\":\"/ä\"}\n", "{\"path\":\"/ä\"}\n");
    }
    #[test]
    fn a_line_break_does_not_make_two_events() {
        check(LogFormat::Human, "a\nERROR b\r\n", "a\\u{a}ERROR b\\u{d}\n");
        check(LogFormat::Json, "{}\n{}\n", "{} {}\n");
    }
    #[test]
    fn nothing_moves_the_cursor_or_turns_the_line_around() {
        check(LogFormat::Human, "\x1b[2J\u{202e}\u{85}\n", "\\u{1b}[2J\\u{202e}\\u{85}\n");
        check(LogFormat::Json, "{\"p\":\"\u{202e}\u{85}\"}\n", "{\"p\":\"\\u202e\\u0085\"}\n");
    }
    #[test]
    fn an_endless_line_is_cut() {
        assert_eq!(line(LogFormat::Human, &"x".repeat(LINE_MAX + 1)).chars().count(), LINE_MAX + 2);
    }
}
