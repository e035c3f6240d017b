//! Reading a table so that everything that is wrong with it is said at once.

use std::fmt;
use std::str::FromStr;
use toml::{Table, Value};

/// Something that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The step, counted from 1; none if it is about the plan as a whole.
    pub step: Option<usize>,
    /// The field.
    pub field: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step}, {}: {}", self.field, self.what),
            None => write!(f, "{}: {}", self.field, self.what),
        }
    }
}

/// The fields of one table, taken out one by one; what is left at the end does not belong there.
pub(crate) struct Fields<'f> {
    table: Table,
    step: Option<usize>,
    findings: &'f mut Vec<Finding>,
}

impl<'f> Fields<'f> {
    pub(crate) const fn new(table: Table, step: Option<usize>, findings: &'f mut Vec<Finding>) -> Self {
        Self { table, step, findings }
    }

    pub(crate) fn wrong(&mut self, field: &str, what: impl Into<String>) {
        self.findings.push(Finding { step: self.step, field: field.to_owned(), what: what.into() });
    }

    /// A value of any kind, if it is there.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.table.remove(field)
    }

    /// Text, if it is there.
    pub(crate) fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            _ => {
                self.wrong(field, "is text, in quotes");
                None
            }
        }
    }

    /// Text that is read as something, if it is there.
    pub(crate) fn read<T: FromStr<Err: fmt::Display>>(&mut self, field: &str) -> Option<T> {
        let text = self.text(field)?;
        text.parse().map_err(|e: T::Err| self.wrong(field, e.to_string())).ok()
    }

    /// The same, where it must not be left out.
    pub(crate) fn need<T: FromStr<Err: fmt::Display>>(&mut self, field: &str) -> Option<T> {
        if !self.has(field) {
            self.wrong(field, "is left out");
            return None;
        }
        self.read(field)
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.table.contains_key(field)
    }

    /// A whole number from `least` to `most`, if it is there.
    pub(crate) fn number(&mut self, field: &str, least: u64, most: u64) -> Option<u64> {
        let number = match self.take(field)? {
            Value::Integer(n) => u64::try_from(n).ok().filter(|n| (least..=most).contains(n)),
            _ => None,
        };
        if number.is_none() {
            self.wrong(field, format!("is a whole number from {least} to {most}"));
        }
        number
    }

    /// Names, none of them twice, at most `most` of them.
    pub(crate) fn names<T>(&mut self, field: &str, most: usize) -> Vec<T>
    where
        T: FromStr<Err: fmt::Display> + PartialEq,
    {
        let Some(Value::Array(values)) = self.take(field) else {
            self.wrong(field, "is a list of names: [\"alice\", \"bob\"]");
            return Vec::new();
        };
        if values.is_empty() || values.len() > most {
            self.wrong(field, format!("has 1 to {most} names"));
        }
        let mut names = Vec::new();
        for value in values.into_iter().take(most) {
            match value.as_str().map(T::from_str) {
                Some(Ok(name)) if names.contains(&name) => {
                    self.wrong(field, format!("names {value} twice"));
                }
                Some(Ok(name)) => names.push(name),
                Some(Err(e)) => self.wrong(field, e.to_string()),
                None => self.wrong(field, "is a list of names, in quotes"),
            }
        }
        names
    }

    /// Says what does not belong there.
    pub(crate) fn end(mut self) {
        let left: Vec<String> = self.table.keys().cloned().collect();
        for field in left {
            let shown = model::text::printable(&field, 64);
            self.wrong(&shown, "is not known here; correct its spelling, or take it out");
        }
    }
}
