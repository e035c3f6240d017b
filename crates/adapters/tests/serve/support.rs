//! A server, and clients that say what they like.

use adapters::http::serve::{
    Answer, Beneath, BodyLimits, Channel, Content, Head, Identity, Limits, Request, Server, Service, Taking,
};
use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Long enough for a busy machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Short enough for a test.
pub(crate) const SOON: Duration = Duration::from_millis(80);

/// Answers by path.
pub(crate) struct Services {
    files: Beneath,
    /// Says what a handler does.
    events: Mutex<Sender<String>>,
    /// Lets a handler go on.
    go: Mutex<Receiver<()>>,
}

/// Tells when nobody has it any more.
struct Noisy<R> {
    source: R,
    events: Sender<String>,
}
impl<R: Read> Read for Noisy<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.source.read(into)
    }
}
impl<R> Drop for Noisy<R> {
    fn drop(&mut self) {
        let _nobody_listens = self.events.send("dropped".into());
    }
}

impl Service for Services {
    fn limits(&self, head: &Head) -> BodyLimits {
        match (head.method(), head.path()) {
            ("POST", "/whole") => BodyLimits { len_max: 10, within: SOON, taking: Taking::Whole },
            ("POST", "/slowly") => BodyLimits { len_max: 10, within: PATIENCE, taking: Taking::Whole },
            ("POST", "/streamed") => BodyLimits { len_max: 1 << 40, within: SOON, taking: Taking::Streamed },
            ("POST", "/piecewise") => BodyLimits { len_max: 1 << 40, within: PATIENCE, taking: Taking::Streamed },
            _ => BodyLimits::NONE,
        }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let events = self.events.lock().unwrap().clone();
        let path = request.head.path().to_owned();
        if let Some(file) = path.strip_prefix("/files/") {
            return self.files.answer(&request.head, file, "application/octet-stream");
        }
        let endless = || Noisy { source: std::io::repeat(b'x'), events: events.clone() };
        let stream = |len, source| Answer::new(200, "text/plain", Content::Stream { len, source });
        match path.as_str() {
            "/wait" => {
                events.send("waits".into()).unwrap();
                self.go.lock().unwrap().recv().unwrap();
                Answer::text(200, "done")
            }
            "/panic" => panic!("on purpose"),
            "/who" => {
                let certificate = request.head.peer().certificate.clone();
                Answer::new(200, "application/pkix-cert", Content::Octets(certificate.map_or(vec![], |c| c.to_vec())))
            }
            "/channel" => {
                let name = match request.head.peer().channel {
                    Channel::Exporter(octets) => octets.to_vec(),
                    Channel::Nameless => Vec::new(),
                };
                Answer::new(200, "application/octet-stream", Content::Octets(name))
            }
            "/endless" => stream(None, Box::new(endless())),
            "/announced" => stream(Some(u64::MAX), Box::new(endless())),
            "/short" => stream(Some(10), Box::new(Cursor::new(b"abc"))),
            "/long" => stream(Some(3), Box::new(Cursor::new(b"abcdef"))),
            "/chunks" => stream(None, Box::new(Cursor::new(b"abc"))),
            "/piecewise" => {
                let mut first = [0; 3];
                request.body.read_exact(&mut first).unwrap();
                events.send(String::from_utf8(first.to_vec()).unwrap()).unwrap();
                let rest = std::io::copy(&mut request.body, &mut std::io::sink()).unwrap();
                Answer::text(200, &rest.to_string())
            }
            _ => {
                let mut body = String::new();
                let read = request.body.read_to_string(&mut body);
                events.send(format!("read {}", read.is_ok())).unwrap();
                Answer::text(200, &format!("{} {path} {body}", request.head.method()))
            }
        }
    }
}

/// A server with a directory, what its handlers say, and what lets them go on.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) events: Receiver<String>,
    pub(crate) go: Sender<()>,
}

pub(crate) fn limits() -> Limits {
    Limits { head_within: PATIENCE, drain_within: PATIENCE, ..Limits::default() }
}

impl House {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::of(limits, None)
    }
    pub(crate) fn of(limits: Limits, identity: Option<Identity>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("files")).unwrap();
        let files = Beneath::open(&dir.path().join("files")).unwrap();
        let (events, told) = channel();
        let (go, waits) = channel();
        let service = Services { files, events: Mutex::new(events), go: Mutex::new(waits) };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(any, identity, limits, Arc::new(service)).unwrap();
        Self { server, dir, events: told, go }
    }
    pub(crate) fn files(&self) -> std::path::PathBuf {
        self.dir.path().join("files")
    }
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.server.address())
    }
    /// Says this on a connection of its own, and gives all that comes until the server closes it.
    pub(crate) fn say(&self, said: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(said.as_bytes()).unwrap();
        rest(&mut stream)
    }
    /// A request that ends the connection, with these fields.
    pub(crate) fn ask(&self, line: &str, fields: &str) -> String {
        self.say(&format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n"))
    }
    pub(crate) fn event(&self) -> String {
        self.events.recv_timeout(PATIENCE).unwrap()
    }
}

pub(crate) fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the connection ends, however it ends, but not because the test had no patience.
pub(crate) fn rest(stream: &mut impl Read) -> String {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => all.extend_from_slice(&chunk[..len]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection does not end"),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[track_caller]
pub(crate) fn status(answer: &str, expected: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "expected {expected}: {answer}");
}

pub(crate) fn write(path: &Path, octets: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, octets).unwrap();
}
