//! What is answered.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The body of an answer.
pub enum Content {
    /// These octets.
    Octets(Vec<u8>),
    /// These octets, which others are told too.
    Shared(Arc<[u8]>),
    /// These octets, of which nothing is left in memory once they were sent.
    Secret(Zeroizing<Vec<u8>>),
    /// What comes from here, which is read while it is sent. One that says a length and ends before is broken off.
    Stream {
        /// How many octets, if that is known; else it is sent in chunks.
        len: Option<u64>,
        /// What is read.
        source: Box<dyn Read + Send>,
    },
}

/// An answer.
pub struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) content: Content,
}

impl Answer {
    /// An answer of this status and no body.
    #[must_use]
    pub const fn empty(status: u16) -> Self {
        Self { status, fields: Vec::new(), content: Content::Octets(Vec::new()) }
    }

    /// An answer with a body.
    #[must_use]
    pub fn new(status: u16, media_type: &str, content: Content) -> Self {
        Self { status, fields: vec![("content-type", media_type.to_owned())], content }
    }

    /// An answer for people.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", Content::Octets(format!("{text}\n").into_bytes()))
    }

    /// With one field more. A value that no field can have is left out.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: &str) -> Self {
        self.fields.push((field, value.to_owned()));
        self
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its body.
    #[must_use]
    pub fn into_content(self) -> Content {
        self.content
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {:?})", self.status, self.fields)
    }
}
