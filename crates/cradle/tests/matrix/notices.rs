//! Who is heard where sm is told that there is news.

use crate::common::{Box_, text};
use adapters::clock::SystemClock;
use model::{Digest, UnixTime};
use ports::Clock;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use update::notice::{ID, Notice, SIGNATURE, Secret, TIMESTAMP};

/// What somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Nothing,
    OtherSecret,
    TooOld,
    TooEarly,
    OtherRepository,
    Altered,
    TooLong,
    Own,
    Again,
    ByGet,
    Elsewhere,
}

impl Says {
    /// In the order in which they are said: what is refused leaves no trace before what is heard.
    pub const ALL: [Self; 11] = [
        Self::Nothing,
        Self::OtherSecret,
        Self::TooOld,
        Self::TooEarly,
        Self::OtherRepository,
        Self::Altered,
        Self::TooLong,
        Self::ByGet,
        Self::Elsewhere,
        Self::Own,
        Self::Again,
    ];

    /// As the page calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "a notice without a signature",
            Self::OtherSecret => "one that is signed with another secret",
            Self::TooOld => "one of more than five minutes ago",
            Self::TooEarly => "one of more than five minutes ahead",
            Self::OtherRepository => "one of a repository that is not followed",
            Self::Altered => "one that was altered",
            Self::TooLong => "one of more than 1024 octets",
            Self::Own => "one that is signed with the secret",
            Self::Again => "the same again",
            Self::ByGet => "another method",
            Self::Elsewhere => "another path",
        }
    }

    /// The status of the answer.
    pub const fn verdict(self) -> u16 {
        match self {
            Self::Nothing | Self::OtherSecret | Self::TooOld | Self::TooEarly => 401,
            Self::OtherRepository | Self::Altered => 401,
            Self::TooLong => 413,
            Self::Own | Self::Again => 204,
            Self::ByGet => 405,
            Self::Elsewhere => 404,
        }
    }
}

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Says it at this address.
fn say(at: &str, of: Digest, says: Says) -> u16 {
    let now = SystemClock.now();
    let at_time = |time: UnixTime, of, secret: &str| {
        Notice { of, number: 7 }.seal(&Secret::read(secret.as_bytes()).unwrap(), time)
    };
    let mut sent = match says {
        Says::OtherSecret => at_time(now, of, OTHER),
        Says::TooOld => at_time(now.minus_s(310), of, SECRET),
        Says::TooEarly => at_time(now.plus_s(360), of, SECRET),
        Says::OtherRepository => at_time(now, Digest::new([7; 32]), SECRET),
        _ => at_time(now, of, SECRET),
    };
    match says {
        Says::Altered => sent.body[250] = b'\n',
        Says::TooLong => sent.body.resize(1025, b' '),
        _ => {}
    }
    let mut fields =
        format!("{ID}: {}\r\n{TIMESTAMP}: {}\r\n{SIGNATURE}: {}\r\n", sent.id, sent.timestamp, sent.signature);
    if says == Says::Nothing {
        fields.clear();
    }
    let (method, path) = match says {
        Says::ByGet => ("GET", gateway::NOTICES),
        Says::Elsewhere => ("POST", "/.well-known/cradle/other"),
        _ => ("POST", gateway::NOTICES),
    };
    if says == Says::ByGet || says == Says::Elsewhere {
        sent.body.clear();
    }
    let mut stream = TcpStream::connect(at).unwrap();
    let len = sent.body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\n{fields}Content-Length: {len}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // Who is refused by his head may find the line closed.
    let _refused = stream.write_all(&sent.body);
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    text(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

pub fn ask_all() {
    let b = Box_::new("matrix-notices");
    b.device_type("sensor", "");
    b.release(1, "sensor");
    b.ok(&["release", "follow", "--images", "repository/metadata/1.root.json"]);
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["module", "add", "gateway"]);
    b.write("secret", SECRET);
    std::fs::set_permissions(b.dir.join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let settings = b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let more = "\n[software]\nimages = \"http://127.0.0.1:9\"\n[software.notices]\nlisten = \"127.0.0.1:0\"\nsecret_file = \"secret\"\n";
    std::fs::write(&settings, before + more).unwrap();
    b.ok(&["mode", "set", "software-management"]);
    let mut up = b.command(&["-o", "json", "up"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let at = said["notices"].as_str().unwrap();
    let of = x509::sha256(&b.read("repository/metadata/1.root.json"));
    let got: Vec<_> = Says::ALL.into_iter().map(|says| (says, say(at, of, says))).collect();
    up.kill().unwrap();
    up.wait().unwrap();
    let wanted: Vec<_> = Says::ALL.into_iter().map(|says| (says, says.verdict())).collect();
    assert_eq!(got, wanted);
}
