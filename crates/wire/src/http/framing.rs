//! The framing of requests, octet by octet.

use super::field::{Field, Says, is_token, is_value};

/// Longest body, in octets: nobody's counter overflows.
pub const LENGTH_MAX: u64 = i64::MAX.unsigned_abs();
/// Most digits of the size of a chunk.
pub const CHUNK_DIGITS_MAX: u8 = 15;
/// Most octets of extensions in all chunks of one body together. Source: RFC 9112 §7.1.1 has a server bound them.
pub const EXTENSIONS_LEN_MAX: usize = 256;
/// Most octets of the fields behind a body.
pub const TRAILERS_LEN_MAX: usize = 4096;

/// Where a request is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In its head.
    Head,
    /// In its body, or behind it.
    Body,
}

/// The first octet that is not as it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence {
    /// How many octets before it were as they have to be, of those that were given last.
    pub after: usize,
    /// Where it stands.
    pub part: Part,
    /// What is wrong.
    pub why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    // Before a request: one empty line may stand there. Source: RFC 9112 §2.2.
    Before,
    EmptyLine,
    Started,
    Method,
    Target { is_empty: bool },
    Version { at: usize },
    // Behind CR.
    LineEnd,
    FieldBegin,
    Name,
    Value,
    ValueEnd,
    FieldsEnd,
    Length { left: u64 },
    Size { digits: u8, size: u64 },
    BeforeExtension { size: u64 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataEnd,
    Broken,
}

const VERSION: &[u8] = b"HTTP/1.";

/// Reads the requests of a connection, one after another, and finds the first octet that is not as RFC 9112 has it: a line that does not
/// end with CR LF, white space where it has no place, a folded field, more than one way to say where the body ends.
///
/// Limits: [`LENGTH_MAX`], [`CHUNK_DIGITS_MAX`], [`EXTENSIONS_LEN_MAX`], [`TRAILERS_LEN_MAX`]; how long a head may be is for others to say. It
/// keeps some dozen octets, however long a request is.
/// Source: RFC 9112 §2.2, §3, §5, §6, §7.1.
#[derive(Clone, Debug)]
pub struct Framing {
    state: State,
    field: Field,
    minor: u8,
    length: Option<u64>,
    is_chunked: bool,
    is_trailer: bool,
    // Octets of extensions, and of the fields behind the body.
    extensions: usize,
    trailers: usize,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            state: State::Before,
            field: Field::default(),
            minor: 0,
            length: None,
            is_chunked: false,
            is_trailer: false,
            extensions: 0,
            trailers: 0,
        }
    }
}

type Step = Result<State, &'static str>;

impl Framing {
    /// Reads the octets that came next.
    ///
    /// # Errors
    /// [`Offence`]; every call after that gives one, too.
    pub fn decode_next(&mut self, octets: &[u8]) -> Result<(), Offence> {
        let mut rest = octets;
        loop {
            if let State::Length { left } | State::Data { left } = self.state {
                rest = self.pass(rest, left);
            }
            let Some((octet, behind)) = rest.split_first() else { return Ok(()) };
            match self.step(*octet) {
                Ok(state) => self.state = state,
                Err(why) => {
                    let part = self.part();
                    self.state = State::Broken;
                    return Err(Offence { after: octets.len().saturating_sub(rest.len()), part, why });
                }
            }
            rest = behind;
        }
    }

    /// Whether a request could begin here: nothing of one has come that has not ended.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.state == State::Before
    }

    const fn part(&self) -> Part {
        match self.state {
            State::Before | State::EmptyLine | State::Started | State::Method | State::Target { .. } => Part::Head,
            State::Version { .. } | State::LineEnd | State::Broken => Part::Head,
            State::FieldBegin | State::Name | State::Value | State::ValueEnd | State::FieldsEnd => {
                if self.is_trailer {
                    Part::Body
                } else {
                    Part::Head
                }
            }
            State::Length { .. } | State::Size { .. } | State::BeforeExtension { .. } => Part::Body,
            State::Extension { .. } | State::SizeEnd { .. } | State::Data { .. } => Part::Body,
            State::DataCr | State::DataEnd => Part::Body,
        }
    }

    // What of a body is here. Gives what stands behind it.
    fn pass<'o>(&mut self, octets: &'o [u8], left: u64) -> &'o [u8] {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
        let left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
        self.state = match self.state {
            State::Length { .. } if left == 0 => State::Before,
            State::Length { .. } => State::Length { left },
            _ if left == 0 => State::DataCr,
            _ => State::Data { left },
        };
        octets.get(len..).unwrap_or_default()
    }

    fn step(&mut self, octet: u8) -> Step {
        match self.state {
            State::Before => match octet {
                b'\r' => Ok(State::EmptyLine),
                _ => self.begin(octet),
            },
            State::EmptyLine if octet == b'\n' => Ok(State::Started),
            State::Started => self.begin(octet),
            State::Method => match octet {
                b' ' => Ok(State::Target { is_empty: true }),
                _ if is_token(octet) => Ok(State::Method),
                _ => Err("the method is no token"),
            },
            State::Target { is_empty } => match octet {
                b' ' if !is_empty => Ok(State::Version { at: 0 }),
                b'!'..=b'~' => Ok(State::Target { is_empty: false }),
                _ => Err("the target has an octet that no URI has"),
            },
            State::Version { at } => self.version(at, octet),
            State::LineEnd if octet == b'\n' => Ok(State::FieldBegin),
            State::FieldBegin | State::Name | State::Value | State::ValueEnd | State::FieldsEnd => self.fields(octet),
            State::EmptyLine | State::LineEnd => Err("a line does not end with CR LF"),
            State::Size { .. } | State::BeforeExtension { .. } | State::Extension { .. } | State::SizeEnd { .. } => {
                self.size(octet)
            }
            State::DataCr if octet == b'\r' => Ok(State::DataEnd),
            State::DataEnd if octet == b'\n' => Ok(State::Size { digits: 0, size: 0 }),
            State::DataCr | State::DataEnd => Err("a chunk does not end where it says"),
            // Those are passed over before.
            State::Length { .. } | State::Data { .. } => Ok(self.state),
            State::Broken => Err("what comes after is read by nobody"),
        }
    }

    fn begin(&mut self, octet: u8) -> Step {
        *self = Self::default();
        if is_token(octet) { Ok(State::Method) } else { Err("it does not begin with a method") }
    }

    fn version(&mut self, at: usize, octet: u8) -> Step {
        match VERSION.get(at) {
            Some(expected) if *expected == octet => Ok(State::Version { at: at.saturating_add(1) }),
            Some(_) => Err("it is not HTTP/1.1"),
            None if at == VERSION.len() && matches!(octet, b'0' | b'1') => {
                self.minor = octet - b'0';
                Ok(State::Version { at: at.saturating_add(1) })
            }
            None if at > VERSION.len() && octet == b'\r' => Ok(State::LineEnd),
            None => Err("it is not HTTP/1.1"),
        }
    }

    // RFC 9112 §5: no white space before the colon, and no line that goes on with white space.
    fn fields(&mut self, octet: u8) -> Step {
        if self.is_trailer {
            self.trailers = self.trailers.saturating_add(1);
            if self.trailers > TRAILERS_LEN_MAX {
                return Err("there is too much behind the body");
            }
        }
        match (self.state, octet) {
            (State::FieldBegin, b'\r') => Ok(State::FieldsEnd),
            (State::FieldBegin, _) if is_token(octet) => {
                self.field = Field::default();
                self.field.named(octet);
                Ok(State::Name)
            }
            (State::Name, b':') => Ok(State::Value),
            (State::Name, _) if is_token(octet) => {
                self.field.named(octet);
                Ok(State::Name)
            }
            (State::Value, b'\r') => Ok(State::ValueEnd),
            (State::Value, _) if is_value(octet) => {
                self.field.valued(octet);
                Ok(State::Value)
            }
            (State::ValueEnd, b'\n') => self.field_ended(),
            (State::FieldsEnd, b'\n') => self.fields_ended(),
            (State::FieldBegin, _) => Err("a line begins with what is no name"),
            (State::Name, _) => Err("the name of a field is no token"),
            (State::Value, _) => Err("the value of a field has an octet that none has"),
            _ => Err("a line does not end with CR LF"),
        }
    }

    fn field_ended(&mut self) -> Step {
        // RFC 9110 §6.5.1: what says where a body ends stands before it.
        if self.is_trailer && self.field.is_about_length() {
            return Err("a length stands behind the body");
        }
        match self.field.says(LENGTH_MAX)? {
            Says::Nothing => {}
            Says::Length(_) if self.length.is_some() => return Err("Content-Length stands there twice"),
            Says::Length(length) => self.length = Some(length),
            Says::Chunked if self.is_chunked => return Err("Transfer-Encoding stands there twice"),
            // RFC 9112 §6.1: who speaks HTTP/1.0 does not know it, and neither does who stands between us.
            Says::Chunked if self.minor == 0 => return Err("HTTP/1.0 has no Transfer-Encoding"),
            Says::Chunked => self.is_chunked = true,
        }
        // RFC 9112 §6.3: it may be refused, and ought to be handled as an error.
        if self.is_chunked && self.length.is_some() {
            return Err("the length is said in two ways");
        }
        Ok(State::FieldBegin)
    }

    fn fields_ended(&mut self) -> Step {
        match (self.is_trailer, self.is_chunked, self.length) {
            (false, true, _) => {
                self.is_trailer = true;
                Ok(State::Size { digits: 0, size: 0 })
            }
            (false, false, Some(left)) if left > 0 => Ok(State::Length { left }),
            _ => Ok(State::Before),
        }
    }

    fn size(&mut self, octet: u8) -> Step {
        match self.state {
            State::Size { digits, size } => match hex(octet) {
                Some(_) if digits == CHUNK_DIGITS_MAX => Err("the size of a chunk has too many digits"),
                Some(digit) => Ok(State::Size { digits: digits.saturating_add(1), size: size << 4 | digit }),
                None if digits == 0 => Err("a chunk has no size"),
                None => self.behind_size(size, octet),
            },
            State::BeforeExtension { size } => match octet {
                b' ' | b'\t' | b';' => self.behind_size(size, octet),
                _ => Err("there is white space behind the size of a chunk"),
            },
            State::Extension { size } => match octet {
                b'\r' => Ok(State::SizeEnd { size }),
                b'\t' | b' '..=b'~' => self.extended(State::Extension { size }),
                _ => Err("an extension has an octet that none has"),
            },
            State::SizeEnd { size } if octet == b'\n' => Ok(match size {
                0 => State::FieldBegin,
                left => State::Data { left },
            }),
            _ => Err("a line does not end with CR LF"),
        }
    }

    fn behind_size(&mut self, size: u64, octet: u8) -> Step {
        match octet {
            b'\r' => Ok(State::SizeEnd { size }),
            b';' => self.extended(State::Extension { size }),
            b' ' | b'\t' => self.extended(State::BeforeExtension { size }),
            _ => Err("the size of a chunk is no number"),
        }
    }

    fn extended(&mut self, state: State) -> Step {
        self.extensions = self.extensions.saturating_add(1);
        if self.extensions > EXTENSIONS_LEN_MAX { Err("the extensions of chunks are too long") } else { Ok(state) }
    }
}

fn hex(octet: u8) -> Option<u64> {
    char::from(octet).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests;
