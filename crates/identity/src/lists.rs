//! Registration lists: the devices that are expected, as a supplier, an ERP system or a work order writes them.
//!
//! All or nothing: one bad line, and nothing is imported; every bad line is named.
//!
//! `docs/lists.md` says what a list looks like and what an import does.

use crate::claims::Claims;
use model::contract::identity::{BadLine, ListFormat};
use model::text::{BadName, printable};
use model::{BoardId, DeviceId, DeviceSerial, DeviceType, MakerName, ProfileName, UnixTime};
use ports::store::identity::{Idevid, List, ListedDevice, Supplied};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;
use x509::{SerialNumber, sha256};

/// Longest list in octets. It travels in one bus message, as base64 in JSON in base64.
pub const LIST_LEN_MAX: usize = 2 * 1024 * 1024;
/// Most devices in a list.
pub const DEVICES_MAX: usize = 100_000;
/// Most bad lines that are named; who has more has the wrong file.
pub const BAD_LINES_MAX: usize = 20;
/// Most lines in front of the header of a CSV list; there are five names for them.
const CLAIM_LINES_MAX: usize = 16;
/// Longest name of a list.
const NAME_LEN_MAX: usize = 128;
/// Most characters of foreign text in a message.
const QUOTE_MAX: usize = 40;

/// The columns of a list; `serial` and `type` must be there, and `maker` and `idevid` go together.
pub const COLUMNS: [&str; 6] = ["serial", "type", "board", "profile", "maker", "idevid"];

/// The profile of a device whose line names none.
const PROFILE: &str = "idevid";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    serial: String,
    r#type: String,
    #[serde(default)]
    board: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    maker: String,
    #[serde(default)]
    idevid: String,
}

/// A list in JSON that says something of itself. Numbers are numbers here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    supplier: Option<String>,
    sequence: Option<u64>,
    count: Option<u64>,
    valid_until: Option<String>,
    supersedes: Option<u64>,
    #[serde(borrow)]
    devices: Vec<&'a RawValue>,
}

/// Reads what a list says of itself, and not its lines: whose key its signature is to be verified with.
///
/// # Errors
/// What cannot be read of it, by line. That the lines are good is not known yet.
pub fn decode_claims(format: ListFormat, octets: &[u8]) -> Result<Claims, Vec<BadLine>> {
    let mut reading = Reading::new(0);
    reading.open(format, text(octets)?);
    if reading.bad.is_empty() { Ok(reading.claims) } else { Err(reading.bad) }
}

/// Reads a list. Its devices may be certified until `until`, or the earlier end that the list names.
///
/// # Errors
/// The bad lines, at most [`BAD_LINES_MAX`], in the order of the list.
pub fn decode(
    name: &str,
    format: ListFormat,
    octets: &[u8],
    until: UnixTime,
    maker_pen: u32,
) -> Result<List, Vec<BadLine>> {
    if name.is_empty() || name.len() > NAME_LEN_MAX || printable(name, NAME_LEN_MAX) != name {
        return whole("the name of the list is empty, too long, or not printable");
    }
    let mut reading = Reading::new(maker_pen);
    let opened = reading.open(format, text(octets)?);
    if reading.bad.is_empty() {
        match opened {
            Opened::Csv { rows, line } => reading.csv(rows, line),
            Opened::Json(elements) => reading.json(&elements),
        }
    }
    if reading.bad.is_empty() && reading.devices.is_empty() {
        reading.say(1, "the list names no device");
    }
    let count = u64::try_from(reading.devices.len()).unwrap_or(u64::MAX);
    if let Some(said) = reading.claims.count.filter(|said| reading.bad.is_empty() && *said != count) {
        reading.say(reading.count_line, format!("count says {said}, and the list names {count} devices"));
    }
    if !reading.bad.is_empty() {
        return Err(reading.bad);
    }
    let until = reading.claims.valid_until.map_or(until, |own| own.min(until));
    let supplied = reading.supplied;
    let (name, digest) = (name.to_owned(), sha256(octets));
    Ok(List { name, digest, until, supplied, replaces: None, devices: reading.devices })
}

fn whole<T>(what: &str) -> Result<T, Vec<BadLine>> {
    Err(vec![BadLine { line: 1, what: what.to_owned() }])
}

fn text(octets: &[u8]) -> Result<&str, Vec<BadLine>> {
    if octets.len() > LIST_LEN_MAX {
        return whole("the list is longer than 2 MiB; split it");
    }
    // A byte order mark is how some spreadsheets begin a UTF-8 file.
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    std::str::from_utf8(octets).map_err(|error| {
        let before = octets.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|c| **c == b'\n').count();
        let line = u64::try_from(line).unwrap_or(u64::MAX);
        vec![BadLine { line, what: "not UTF-8; export the list as UTF-8".to_owned() }]
    })
}

/// The rest of a list behind what it says of itself.
enum Opened<'t> {
    /// Header and rows, and the line of the header.
    Csv {
        rows: &'t str,
        line: u64,
    },
    Json(Vec<&'t RawValue>),
}

struct Reading {
    maker_pen: u32,
    devices: Vec<ListedDevice>,
    bad: Vec<BadLine>,
    // Serial numbers and boards, and the line that named them.
    seen: HashMap<String, u64>,
    claims: Claims,
    supplied: Option<Supplied>,
    count_line: u64,
}

impl Reading {
    fn new(maker_pen: u32) -> Self {
        let claims = Claims::default();
        let seen = HashMap::new();
        Self { maker_pen, devices: Vec::new(), bad: Vec::new(), seen, claims, supplied: None, count_line: 1 }
    }

    /// Reads what the list says of itself.
    fn open<'t>(&mut self, format: ListFormat, text: &'t str) -> Opened<'t> {
        let opened = match format {
            ListFormat::Csv => self.open_csv(text),
            ListFormat::Json => Opened::Json(self.open_json(text)),
        };
        if self.bad.is_empty() {
            match self.claims.supplied() {
                Ok(supplied) => self.supplied = supplied,
                Err(bad) => self.say(1, bad),
            }
        }
        opened
    }

    fn open_csv<'t>(&mut self, text: &'t str) -> Opened<'t> {
        let (mut rows, mut line) = (text, 1);
        while let Some(rest) = rows.strip_prefix('#') {
            let (claim, rest) = rest.split_once('\n').unwrap_or((rest, ""));
            if line > u64::try_from(CLAIM_LINES_MAX).unwrap_or(u64::MAX) {
                self.say(line, "more lines with `#` than there are names for them");
                break;
            }
            match claim.split_once(':').map(|(name, value)| (name.trim(), value.trim())) {
                Some((name, value)) => {
                    self.set(line, name, value);
                    if name == "count" {
                        self.count_line = line;
                    }
                }
                None => self.say(line, "a line with `#` is written `# name: value`"),
            }
            (rows, line) = (rest, line + 1);
        }
        Opened::Csv { rows, line }
    }

    fn open_json<'t>(&mut self, text: &'t str) -> Vec<&'t RawValue> {
        let is_object = text.trim_start().starts_with('{');
        let read = if is_object {
            serde_json::from_str::<Document<'t>>(text).map(|document| {
                let number = |n: Option<u64>| n.map(|n| n.to_string());
                let said = [
                    ("supplier", document.supplier),
                    ("sequence", number(document.sequence)),
                    ("count", number(document.count)),
                    ("valid until", document.valid_until),
                    ("supersedes", number(document.supersedes)),
                ];
                said.into_iter().for_each(|(name, value)| {
                    value.into_iter().for_each(|value| self.set(1, name, &value));
                });
                document.devices
            })
        } else {
            serde_json::from_str(text)
        };
        read.unwrap_or_else(|error| {
            let line = u64::try_from(error.line()).unwrap_or(u64::MAX);
            let what = if is_object && error.is_data() {
                printable(&error.to_string(), 160)
            } else {
                "not an array of objects, or an object with one; the file is cut off or not JSON".to_owned()
            };
            self.say(line, what);
            Vec::new()
        })
    }

    fn set(&mut self, line: u64, name: &str, value: &str) {
        if let Err(bad) = self.claims.set(name, value) {
            self.say(line, bad);
        }
    }

    fn say(&mut self, line: u64, what: impl Display) {
        if self.bad.len() < BAD_LINES_MAX {
            self.bad.push(BadLine { line, what: what.to_string() });
        }
    }

    fn csv(&mut self, text: &str, first: u64) {
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let headers = match reader.headers() {
            Ok(headers) => headers.clone(),
            Err(error) => return self.say(first, csv_error(&error)),
        };
        for header in &headers {
            if !COLUMNS.contains(&header) {
                let known = COLUMNS.join(",");
                self.say(
                    first,
                    format!("column {:?} is not known; the columns are {known}", printable(header, QUOTE_MAX)),
                );
            }
        }
        if !self.bad.is_empty() {
            return;
        }
        let mut lines = Lines { text: text.as_bytes(), at: 0, line: first };
        for record in reader.records() {
            let (line, read) = match record {
                Ok(record) => (lines.of(record.position()), record.deserialize::<Line>(Some(&headers))),
                Err(error) => (lines.of(error.position()), Err(error)),
            };
            match read {
                Ok(fields) => self.line(line, &fields),
                Err(error) => self.say(line, csv_error(&error)),
            }
            if self.is_full() {
                return;
            }
        }
    }

    fn json(&mut self, elements: &[&RawValue]) {
        for (n, element) in elements.iter().enumerate() {
            let number = u64::try_from(n + 1).unwrap_or(u64::MAX);
            match serde_json::from_str::<Line>(element.get()) {
                Ok(fields) => self.line(number, &fields),
                Err(error) => self.say(number, printable(&error.to_string(), 160)),
            }
            if self.is_full() {
                return;
            }
        }
    }

    // Naming more bad lines helps nobody; and a list longer than the limit is one bad line.
    fn is_full(&mut self) -> bool {
        if self.devices.len() > DEVICES_MAX {
            let line = self.devices.last().map_or(0, |d| d.line);
            self.say(line, format!("more than {DEVICES_MAX} devices; split the list"));
        }
        self.devices.len() > DEVICES_MAX || self.bad.len() >= BAD_LINES_MAX
    }

    fn line(&mut self, line: u64, fields: &Line) {
        let serial = self.field::<DeviceSerial>(line, "serial", &fields.serial);
        let device_type = self.field::<DeviceType>(line, "type", &fields.r#type);
        let profile = if fields.profile.is_empty() { PROFILE } else { &fields.profile };
        let profile = self.field::<ProfileName>(line, "profile", profile);
        let board = if fields.board.is_empty() {
            Some(None)
        } else {
            self.field::<BoardId>(line, "board", &fields.board).map(Some)
        };
        let idevid = self.idevid(line, fields);
        let (Some(serial), Some(device_type), Some(profile), Some(board), Some(idevid)) =
            (serial, device_type, profile, board, idevid)
        else {
            return;
        };
        let once = self.once(line, "serial", serial.as_str())
            & board.as_ref().is_none_or(|board| self.once(line, "board", board.as_str()))
            & idevid.as_ref().is_none_or(|idevid| self.once(line, "idevid", &idevid.to_string()));
        if once {
            let id = DeviceId { maker_pen: self.maker_pen, device_type, serial };
            self.devices.push(ListedDevice { id, board, idevid, profile, line });
        }
    }

    /// The certificate that the device brings: whose, and its serial number.
    fn idevid(&mut self, line: u64, fields: &Line) -> Option<Option<Idevid>> {
        match (fields.maker.as_str(), fields.idevid.as_str()) {
            ("", "") => Some(None),
            ("", _) | (_, "") => {
                self.say(line, "maker and idevid go together: who signed the certificate, and its serial number");
                None
            }
            (maker, serial) => {
                let maker = self.field::<MakerName>(line, "maker", maker)?;
                let Some(number) = SerialNumber::from_hex(serial) else {
                    let shown = printable(serial, QUOTE_MAX);
                    self.say(line, format!("idevid {shown:?}: the serial number of a certificate is 1 to 20 octets in hexadecimal digits"));
                    return None;
                };
                Some(Some(Idevid { maker, serial: number }))
            }
        }
    }

    fn field<T: FromStr<Err = BadName>>(&mut self, line: u64, column: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(bad) => {
                self.say(line, format!("{column} {:?}: {bad}", printable(text, QUOTE_MAX)));
                None
            }
        }
    }

    fn once(&mut self, line: u64, column: &str, text: &str) -> bool {
        let before = self.seen.insert(format!("{column} {text}"), line);
        if let Some(first) = before {
            self.say(line, format!("{column} {text} stands in line {first} already"));
        }
        before.is_none()
    }
}

/// Counts lines. (The reader's own count is one short where lines end with CR LF.)
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let to = position.and_then(|p| usize::try_from(p.byte()).ok()).unwrap_or(self.at);
        let between = self.text.get(self.at..to).unwrap_or_default();
        // The reader may stop before the line end that it has not taken yet.
        let rest = self.text.get(to..).unwrap_or_default();
        let ends = rest.iter().take_while(|c| matches!(c, b'\r' | b'\n')).count();
        let ahead = rest.get(..ends).unwrap_or_default();
        let count = |octets: &[u8]| u64::try_from(octets.iter().filter(|c| **c == b'\n').count()).unwrap_or(u64::MAX);
        self.line += count(between) + count(ahead);
        self.at = to + ends;
        self.line
    }
}

fn csv_error(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header has {expected_len}")
        }
        csv::ErrorKind::Deserialize { err, .. } => printable(&err.to_string(), 160),
        _ => "not readable as CSV".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(format: ListFormat, octets: &[u8]) -> Result<List, Vec<BadLine>> {
        super::decode("list", format, octets, UnixTime::from_s(1), 32473)
    }
    #[track_caller]
    fn good(format: ListFormat, octets: impl AsRef<[u8]>, expected: &[&str]) {
        let list = run(format, octets.as_ref()).unwrap();
        let said: Vec<_> = list.devices.iter().map(|d| format!("{}:{} {}", d.line, d.id.serial, d.profile)).collect();
        assert_eq!(said, expected);
    }
    #[track_caller]
    fn bad(format: ListFormat, octets: impl AsRef<[u8]>, expected: &[(u64, &str)]) {
        let bad = run(format, octets.as_ref()).unwrap_err();
        assert_eq!(bad.len(), expected.len(), "{bad:?}");
        for (found, (line, what)) in bad.iter().zip(expected) {
            assert_eq!(found.line, *line, "{bad:?}");
            assert!(found.what.contains(what), "{bad:?}");
        }
    }
    use ListFormat::{Csv, Json};

    #[test]
    fn a_plain_list() {
        good(Csv, "serial,type\nSN1,sensor\nSN2,sensor\n", &["2:SN1 idevid", "3:SN2 idevid"]);
    }
    #[test]
    fn columns_in_another_order() {
        good(
            Csv,
            "type,profile,serial,board\nsensor,ldevid,SN1,chip:1\nsensor,,SN2,\n",
            &["2:SN1 ldevid", "3:SN2 idevid"],
        );
    }
    #[test]
    fn a_byte_order_mark_and_crlf() {
        good(Csv, "\u{feff}serial,type\r\nSN1,sensor\r\n", &["2:SN1 idevid"]);
    }
    #[test]
    fn a_bad_line_behind_blank_ones() {
        bad(Csv, "serial,type\r\nSN1,sensor\r\n\r\n\r\n=1,sensor\r\n", &[(5, "serial")]);
        bad(Csv, "serial,type\nSN1,sensor\n\n\n=1,sensor\n", &[(5, "serial")]);
    }
    #[test]
    fn no_newline_at_the_end() {
        good(Csv, "serial,type\nSN1,sensor", &["2:SN1 idevid"]);
    }
    #[test]
    fn quoted_fields() {
        good(Csv, "serial,type\n\"SN1\",\"sensor\"\n", &["2:SN1 idevid"]);
    }
    #[test]
    fn one_bad_line_in_a_hundred_thousand() {
        let mut text = String::from("serial,type\n");
        (0..100_000).for_each(|n| text.push_str(&format!("SN{n},sensor\n")));
        assert_eq!(run(Csv, text.as_bytes()).unwrap().devices.len(), DEVICES_MAX);
        let text = text.replace("SN70000,sensor", "SN 70000,sensor");
        bad(Csv, text, &[(70_002, "SN 70000")]);
    }
    #[test]
    fn a_missing_field() {
        bad(Csv, "serial,type\nSN1\n", &[(2, "1 fields where the header has 2")]);
    }
    #[test]
    fn a_field_too_many() {
        bad(Csv, "serial,type\nSN1,sensor,x\n", &[(2, "3 fields")]);
    }
    #[test]
    fn an_unknown_column() {
        bad(Csv, "serial,type,color\nSN1,sensor,red\n", &[(1, "color")]);
    }
    #[test]
    fn a_missing_column() {
        bad(Csv, "serial\nSN1\n", &[(2, "type")]);
    }
    #[test]
    fn a_serial_number_twice() {
        bad(Csv, "serial,type\nSN1,sensor\nSN2,sensor\nSN1,gateway\n", &[(4, "stands in line 2 already")]);
    }
    #[test]
    fn a_board_twice() {
        bad(Csv, "serial,type,board\nSN1,sensor,c1\nSN2,sensor,c1\n", &[(3, "board c1 stands in line 2")]);
    }
    #[test]
    fn certificates_that_devices_bring() {
        let text = "serial,type,maker,idevid\nSN1,sensor,acme,0A:1b\nSN2,sensor,,\nSN3,sensor,zenith,0a1b\n";
        let list = run(Csv, text.as_bytes()).unwrap();
        let said: Vec<_> = list.devices.iter().map(|d| d.idevid.as_ref().map(ToString::to_string)).collect();
        assert_eq!(said, [Some("acme 0a1b".into()), None, Some("zenith 0a1b".into())]);
        good(Json, r#"[{"serial":"SN1","type":"sensor","maker":"acme","idevid":"1"}]"#, &["1:SN1 idevid"]);
    }
    #[test]
    fn a_certificate_of_nobody_or_of_no_number() {
        bad(Csv, "serial,type,maker,idevid\nSN1,sensor,acme,\n", &[(2, "go together")]);
        bad(Csv, "serial,type,maker,idevid\nSN1,sensor,,0a\n", &[(2, "go together")]);
        bad(Csv, "serial,type,idevid\nSN1,sensor,0a\n", &[(2, "go together")]);
        bad(Csv, "serial,type,maker,idevid\nSN1,sensor,Acme,0a\n", &[(2, "maker")]);
        for number in ["0x1", "00", "-1", &"ab".repeat(21), "\u{202e}1", "=1"] {
            bad(Csv, format!("serial,type,maker,idevid\nSN1,sensor,acme,{number}\n"), &[(2, "idevid")]);
        }
    }
    #[test]
    fn a_certificate_twice() {
        let text = "serial,type,maker,idevid\nSN1,sensor,acme,0a\nSN2,sensor,acme,00:0A\n";
        bad(Csv, text, &[(3, "idevid acme 0a stands in line 2 already")]);
    }
    #[test]
    fn a_formula() {
        bad(Csv, "serial,type\n=HYPERLINK(1),sensor\n", &[(2, "serial")]);
    }
    #[test]
    fn a_formula_in_any_column_and_with_any_sign() {
        for sign in ['=', '+', '-', '@', '\t', '\r'] {
            bad(Csv, format!("serial,type,board\n\"{sign}1\",sensor,c1\n"), &[(2, "serial")]);
            bad(Csv, format!("serial,type,board\nSN1,\"{sign}1\",c1\n"), &[(2, "type")]);
            bad(Csv, format!("serial,type,board\nSN1,sensor,\"{sign}1\"\n"), &[(2, "board")]);
            bad(Csv, format!("serial,type,profile\nSN1,sensor,\"{sign}1\"\n"), &[(2, "profile")]);
        }
    }
    #[test]
    fn nul_is_refused_and_shown() {
        bad(Csv, "serial,type\nSN\0,sensor\n", &[(2, "u{0}")]);
        bad(Csv, "# supplier: ac\0me\nserial,type\nSN1,sensor\n", &[(1, "u{0}")]);
        bad(Json, r#"[{"serial":"SN\u0000","type":"sensor"}]"#, &[(1, "u{0}")]);
    }
    #[test]
    fn hidden_characters_are_shown() {
        bad(Csv, "serial,type\nSN\u{202e}1,sensor\n", &[(2, "u{202e}")]);
    }
    #[test]
    fn nothing() {
        bad(Csv, "", &[(1, "no device")]);
        bad(Csv, "serial,type\n", &[(1, "no device")]);
        bad(Json, "[]", &[(1, "no device")]);
    }
    #[test]
    fn another_encoding_names_its_line() {
        bad(Csv, b"serial,type\nSN1,sensor\nSN\xff2,sensor\n", &[(3, "UTF-8")]);
    }
    #[test]
    fn no_more_than_twenty_bad_lines_are_named() {
        let text = format!("serial,type\n{}", "=1,sensor\n".repeat(1000));
        assert_eq!(run(Csv, text.as_bytes()).unwrap_err().len(), BAD_LINES_MAX);
    }
    #[test]
    fn a_long_list() {
        let long = vec![b'x'; LIST_LEN_MAX + 1];
        bad(Csv, long, &[(1, "longer")]);
    }
    #[test]
    fn too_many_devices() {
        let mut text = String::from("serial,type\n");
        (0..=DEVICES_MAX).for_each(|n| text.push_str(&format!("{n},s\n")));
        bad(Csv, text, &[(100_002, "more than 100000")]);
    }
    #[test]
    fn a_json_list() {
        good(
            Json,
            r#"[{"serial":"SN1","type":"sensor"},{"serial":"SN2","type":"sensor","profile":"ldevid"}]"#,
            &["1:SN1 idevid", "2:SN2 ldevid"],
        );
    }
    #[test]
    fn an_unknown_member() {
        bad(Json, r#"[{"serial":"SN1","type":"sensor","x":1}]"#, &[(1, "unknown field")]);
    }
    #[test]
    fn a_member_twice() {
        bad(Json, r#"[{"serial":"SN1","serial":"SN2","type":"sensor"}]"#, &[(1, "duplicate")]);
    }
    #[test]
    fn a_cut_json_list_names_its_line() {
        bad(Json, "[\n{\"serial\":\"SN1\",\"type\":\"sensor\"},\n{\"serial\"", &[(3, "cut off")]);
    }
    #[test]
    fn a_million_levels() {
        bad(Json, format!(r#"{{"devices":{}"#, "[".repeat(1_000_000)), &[(1, "")]);
        bad(Json, format!(r#"{{"devices":[{}"#, r#"{"a":"#.repeat(300_000)), &[(1, "")]);
        bad(Json, "[".repeat(1_000_000), &[(1, "")]);
    }
    #[test]
    fn a_list_without_a_name() {
        assert!(super::decode("", Csv, b"serial,type\nSN1,s\n", UnixTime::from_s(1), 1).is_err());
        assert!(super::decode("a\nb", Csv, b"serial,type\nSN1,s\n", UnixTime::from_s(1), 1).is_err());
    }
    const SIGNED: &str = "# supplier: acme\n# sequence: 7\n# count: 2\n# valid until: 1970-01-02\n";
    const OWN: &str = r#""supplier":"acme","sequence":7,"count":1,"valid_until":"2027-12-31""#;
    #[track_caller]
    fn supplied(format: ListFormat, octets: impl AsRef<[u8]>, expected: &str) {
        let list = run(format, octets.as_ref()).unwrap();
        let s = list.supplied.unwrap();
        assert_eq!(format!("{} {} {:?} {}", s.supplier, s.sequence, s.supersedes, list.until.s()), expected);
        assert_eq!(decode_claims(format, octets.as_ref()).unwrap().supplier, Some(s.supplier));
    }

    #[test]
    fn a_suppliers_list() {
        supplied(Csv, format!("{SIGNED}serial,type\nSN1,sensor\nSN2,sensor\n"), "acme 7 None 1");
    }
    #[test]
    fn a_suppliers_list_from_a_spreadsheet() {
        let text = format!("\u{feff}{SIGNED}# supersedes: 6\nserial,type\nSN1,sensor\nSN2,sensor\n");
        supplied(Csv, text.replace('\n', "\r\n"), "acme 7 Some(6) 1");
    }
    #[test]
    fn a_suppliers_list_in_json() {
        supplied(Json, format!(r#"{{{OWN},"devices":[{{"serial":"SN1","type":"sensor"}}]}}"#), "acme 7 None 1");
    }
    #[test]
    fn lines_are_counted_from_the_top_of_the_file() {
        bad(Csv, format!("{SIGNED}serial,type\nSN1,sensor\n=2,sensor\n"), &[(7, "serial")]);
        bad(Csv, format!("{SIGNED}serial,type,color\n"), &[(5, "color")]);
    }
    #[test]
    fn a_count_that_differs_names_its_line() {
        bad(Csv, format!("{SIGNED}serial,type\nSN1,sensor\n"), &[(3, "count says 2, and the list names 1")]);
        let two = r#"[{"serial":"SN1","type":"s"},{"serial":"SN2","type":"s"}]"#;
        bad(Json, format!(r#"{{{OWN},"devices":{two}}}"#), &[(1, "count says 1, and the list names 2")]);
        bad(Csv, "# count: 2\nserial,type\nSN1,sensor\n", &[(1, "count says 2")]);
    }
    #[test]
    fn a_suppliers_list_without_a_number() {
        bad(Csv, "# supplier: acme\nserial,type\nSN1,sensor\n", &[(1, "sequence")]);
        bad(Json, r#"{"supplier":"acme","devices":[]}"#, &[(1, "sequence")]);
    }
    #[test]
    fn an_earlier_end_of_its_own_counts_and_a_later_one_does_not() {
        let until = |day: &str, until| {
            let text = format!("# valid until: {day}\nserial,type\nSN1,sensor\n");
            super::decode("list", Csv, text.as_bytes(), UnixTime::from_s(until), 1).unwrap().until.s()
        };
        assert_eq!(until("1970-01-01", 100_000), 86_399);
        assert_eq!(until("1970-01-01", 86_398), 86_398);
    }
    #[test]
    fn a_comment_is_not_taken_for_something_known() {
        bad(Csv, "# made by hand\nserial,type\nSN1,sensor\n", &[(1, "`# name: value`")]);
        bad(Csv, "# color: red\nserial,type\nSN1,sensor\n", &[(1, "color")]);
        bad(Csv, "serial,type\n# count: 1\n", &[(2, "1 fields")]);
    }
    #[test]
    fn no_more_than_sixteen_lines_in_front_are_read() {
        let lines: Vec<_> = (1..=17).map(|line| (line, if line < 17 { "name: value" } else { "more lines" })).collect();
        bad(Csv, "#\n".repeat(100_000), &lines);
    }
    #[test]
    fn an_unknown_member_of_the_list_is_named() {
        bad(Json, format!(r#"{{{OWN},"color":1,"devices":[]}}"#), &[(1, "unknown field `color`")]);
        bad(Json, format!(r#"{{{OWN},"count":1,"devices":[]}}"#), &[(1, "duplicate field `count`")]);
        bad(Json, r#"{"supplier":"acme"}"#, &[(1, "missing field `devices`")]);
        bad(Json, r#"{"sequence":-1,"devices":[]}"#, &[(1, "-1")]);
    }
}
