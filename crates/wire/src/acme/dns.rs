//! Questions to a resolver, and its answers, as far as challenges need them: addresses and texts.
//! Source: RFC 1035 §4, RFC 3596 §2.

/// Longest answer, in octets.
pub const ANSWER_LEN_MAX: usize = 16 * 1024;
/// Most records of an answer that are looked at.
const RECORDS_MAX: usize = 64;
/// Most names that stand for another, one behind the other.
const ALIASES_MAX: usize = 8;
/// Most jumps within a name.
const JUMPS_MAX: usize = 16;
/// Longest name in a message, in octets.
const NAME_LEN_MAX: usize = 255;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Texts.
    Txt,
}

impl Kind {
    const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Txt => 16,
        }
    }
}

const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// What a resolver said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Addresses: 4 or 16 octets.
    pub addresses: Vec<Vec<u8>>,
    /// Texts, each put together from its parts.
    pub texts: Vec<Vec<u8>>,
}

/// Why an answer says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It is no answer to this question.
    Malformed,
    /// It was cut off: the question is asked again over TCP.
    Truncated,
    /// The resolver cannot say.
    Failed,
}

/// A question. None if the name cannot stand in one.
#[must_use]
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(name.len().saturating_add(18));
    octets.extend(id.to_be_bytes());
    // A query that wants recursion; one question.
    octets.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..=63).contains(len))?;
        octets.push(len);
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    if name.len() > NAME_LEN_MAX.saturating_sub(2) {
        return None;
    }
    octets.extend(kind.number().to_be_bytes());
    octets.extend(INTERNET.to_be_bytes());
    Some(octets)
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
    fn two(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A name in lower case, with its jumps followed. Jumps go back only, so that they end.
    fn name(&mut self) -> Option<String> {
        let (mut name, mut at, mut jumps) = (String::new(), self.at, 0);
        let mut end = None;
        loop {
            let len = *self.message.get(at)?;
            match len {
                0 => break,
                1..=63 => {
                    let start = at.checked_add(1)?;
                    let next = start.checked_add(usize::from(len))?;
                    let label = std::str::from_utf8(self.message.get(start..next)?).ok()?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&label.to_ascii_lowercase());
                    at = next;
                }
                0xc0..=0xff => {
                    let low = *self.message.get(at.checked_add(1)?)?;
                    end = end.or(at.checked_add(2));
                    let to = usize::from(len & 0x3f) << 8 | usize::from(low);
                    jumps += 1;
                    if to >= at || jumps > JUMPS_MAX {
                        return None;
                    }
                    at = to;
                }
                _ => return None,
            }
            if name.len() > NAME_LEN_MAX {
                return None;
            }
        }
        self.at = end.or(at.checked_add(1))?;
        Some(name)
    }
}

/// A record: whose, of which kind, and its octets.
struct Record<'a> {
    name: String,
    kind: u16,
    data: &'a [u8],
    data_at: usize,
}

fn record<'a>(reader: &mut Reader<'a>) -> Option<Record<'a>> {
    let name = reader.name()?;
    let (kind, class) = (reader.two()?, reader.two()?);
    let _lifetime = reader.take(4)?;
    let len = usize::from(reader.two()?);
    let data_at = reader.at;
    let data = reader.take(len)?;
    (class == INTERNET).then_some(Record { name, kind, data, data_at })
}

/// Reads the answer to a question.
///
/// Limits: [`ANSWER_LEN_MAX`] octets, and 64 records.
/// # Errors
/// [`NoAnswer`]. A name that does not exist is an answer with nothing in it.
pub fn decode_answer(message: &[u8], question: &[u8], kind: Kind) -> Result<Found, NoAnswer> {
    let (id, asked) = (question.get(..2), question.get(12..).ok_or(NoAnswer::Malformed)?);
    let [_, _, flags, code, ..] = message else { return Err(NoAnswer::Malformed) };
    // An answer, to a plain question, to this one.
    if message.len() > ANSWER_LEN_MAX || message.get(..2) != id || flags & 0xf8 != 0x80 {
        return Err(NoAnswer::Malformed);
    }
    if message.get(4..6) != Some(&[0, 1]) || message.get(12..).is_none_or(|rest| !is_echo(rest, asked)) {
        return Err(NoAnswer::Malformed);
    }
    if flags & 2 != 0 {
        return Err(NoAnswer::Truncated);
    }
    // RFC 1035 §4.1.1: 3 says that the name does not exist.
    match code & 15 {
        0 => {}
        3 => return Ok(Found::default()),
        _ => return Err(NoAnswer::Failed),
    }
    records(message, asked, kind).ok_or(NoAnswer::Malformed)
}

/// The question again; in which case a resolver writes it is its own matter.
fn is_echo(rest: &[u8], asked: &[u8]) -> bool {
    rest.get(..asked.len()).is_some_and(|echo| echo.eq_ignore_ascii_case(asked))
}

fn records(message: &[u8], asked: &[u8], kind: Kind) -> Option<Found> {
    let mut reader = Reader { message, at: 12 };
    let mut name = reader.name()?;
    reader.at = asked.len().checked_add(12)?;
    let count = usize::from(u16::from_be_bytes(message.get(6..8)?.try_into().ok()?));
    let mut all = Vec::new();
    for _ in 0..count.min(RECORDS_MAX) {
        all.push(record(&mut reader)?);
    }
    for _ in 0..ALIASES_MAX {
        let alias = all.iter().find(|record| record.kind == CNAME && record.name == name);
        let Some(alias) = alias else { break };
        name = Reader { message, at: alias.data_at }.name()?;
    }
    let mut found = Found::default();
    for Record { data, .. } in all.iter().filter(|record| record.kind == kind.number() && record.name == name) {
        match kind {
            Kind::A => found.addresses.push(<[u8; 4]>::try_from(*data).ok()?.to_vec()),
            Kind::Aaaa => found.addresses.push(<[u8; 16]>::try_from(*data).ok()?.to_vec()),
            Kind::Txt => found.texts.push(text(data)?),
        }
    }
    Some(found)
}

fn text(data: &[u8]) -> Option<Vec<u8>> {
    let (mut text, mut reader) = (Vec::new(), Reader { message: data, at: 0 });
    while reader.at < data.len() {
        let len = *reader.take(1)?.first()?;
        text.extend(reader.take(usize::from(len))?);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "a.example";

    fn answer(question: &[u8], flags: [u8; 2], records: &[&[u8]]) -> Vec<u8> {
        let head = [&question[..2], &flags, &[0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]].concat();
        [&head, &question[12..], &records.concat()].concat()
    }
    fn record(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
        [name, &[0, kind, 0, 1, 0, 0, 0, 9, 0, u8::try_from(data.len()).unwrap()], data].concat()
    }
    /// The name in the question.
    const SAME: &[u8] = &[0xc0, 12];

    #[track_caller]
    fn check(kind: Kind, flags: [u8; 2], records: &[&[u8]], expected: Result<Found, NoAnswer>) {
        let question = question(7, NAME, kind).unwrap();
        assert_eq!(decode_answer(&answer(&question, flags, records), &question, kind), expected);
    }
    fn addresses(all: &[&[u8]]) -> Result<Found, NoAnswer> {
        Ok(Found { addresses: all.iter().map(|octets| octets.to_vec()).collect(), texts: Vec::new() })
    }

    #[test]
    fn addresses_of_the_name_and_of_no_other() {
        let (one, other) = (record(SAME, 1, &[192, 0, 2, 1]), record(&[1, b'b', 0], 1, &[192, 0, 2, 2]));
        check(Kind::A, [0x81, 0x80], &[&one, &other], addresses(&[&[192, 0, 2, 1]]));
        let long = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let six = record(SAME, 28, &long);
        check(Kind::Aaaa, [0x81, 0x80], &[&one, &six], addresses(&[&long]));
        check(Kind::A, [0x81, 0x80], &[], addresses(&[]));
        check(Kind::A, [0x81, 0x83], &[], addresses(&[]));
    }
    #[test]
    fn another_name_for_it_is_followed() {
        let alias = record(SAME, 5, &[1, b'b', 0xc0, 14]);
        let one = record(&[1, b'B', 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0], 1, &[192, 0, 2, 3]);
        check(Kind::A, [0x81, 0x80], &[&alias, &one], addresses(&[&[192, 0, 2, 3]]));
        let circle = record(SAME, 5, SAME);
        check(Kind::A, [0x81, 0x80], &[&circle], addresses(&[]));
    }
    #[test]
    fn texts_are_put_together() {
        let one = record(SAME, 16, &[2, b'a', b'b', 1, b'c']);
        check(Kind::Txt, [0x81, 0x80], &[&one], Ok(Found { texts: vec![b"abc".to_vec()], ..Found::default() }));
        let short = record(SAME, 16, &[2, b'a']);
        check(Kind::Txt, [0x81, 0x80], &[&short], Err(NoAnswer::Malformed));
    }
    #[test]
    fn what_is_no_answer() {
        check(Kind::A, [0x81, 0x82], &[], Err(NoAnswer::Failed));
        check(Kind::A, [0x83, 0x80], &[], Err(NoAnswer::Truncated));
        check(Kind::A, [0x01, 0x80], &[], Err(NoAnswer::Malformed));
        check(Kind::A, [0x81, 0x80], &[&record(SAME, 1, &[1, 2, 3])], Err(NoAnswer::Malformed));
        check(Kind::A, [0x81, 0x80], &[&record(&[0xc0, 200], 1, &[1, 2, 3, 4])], Err(NoAnswer::Malformed));
        let own = question(7, NAME, Kind::A).unwrap();
        for other in [question(8, NAME, Kind::A), question(7, "b.example", Kind::A), question(7, NAME, Kind::Txt)] {
            let said = answer(&other.unwrap(), [0x81, 0x80], &[]);
            assert_eq!(decode_answer(&said, &own, Kind::A), Err(NoAnswer::Malformed));
        }
    }
    #[test]
    fn names_that_cannot_be_asked_for() {
        assert!(question(1, &"a".repeat(64), Kind::A).is_none());
        assert!(question(1, "a..b", Kind::A).is_none());
        assert!(question(1, "", Kind::A).is_none());
    }
}
