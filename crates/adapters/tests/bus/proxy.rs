//! A broker that cheats: stands between a client and the server, and does to messages what a test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A call, to the broker.
    Call,
    /// An answer, from the broker.
    Answer,
}

/// A message of the NATS protocol: its words, and what follows them.
#[derive(Clone, Debug)]
pub struct Frame {
    words: Vec<String>,
    /// Headers and body.
    rest: Vec<u8>,
}

impl Frame {
    pub fn subject(&self) -> &str {
        &self.words[1]
    }
    pub fn redirected(mut self, from: &str, to: &str) -> Self {
        assert!(self.words[1].contains(from), "{self:?}");
        self.words[1] = self.words[1].replace(from, to);
        self
    }
    /// The same for whoever is asked by `other`.
    pub fn addressed_as(mut self, other: &Self) -> Self {
        (self.words[1], self.words[2]) = (other.words[1].clone(), other.words[2].clone());
        self
    }
    fn headers_len(&self) -> usize {
        let is_with = self.words[0].starts_with('H');
        if is_with { self.words[self.words.len() - 2].parse().unwrap() } else { 0 }
    }
    pub fn body(&self) -> &[u8] {
        &self.rest[self.headers_len()..]
    }
    /// Another body of the same length.
    pub fn with_body(mut self, change: impl FnOnce(&mut [u8])) -> Self {
        let headers = self.headers_len();
        change(&mut self.rest[headers..]);
        self
    }
    /// The same message with other octets.
    pub fn saying(mut self, body: &[u8]) -> Self {
        self.words = ["MSG", &self.words[1], &self.words[2], &body.len().to_string()].map(str::to_owned).to_vec();
        self.rest = body.to_vec();
        self
    }
    /// An answer with these headers and nothing else.
    pub fn with_headers_only(self, headers: &str) -> Self {
        let mut frame = self.saying(headers.as_bytes());
        frame.words[0] = "HMSG".to_owned();
        frame.words.push(headers.len().to_string());
        frame
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.words.join(" ").as_bytes());
        out.extend_from_slice(b"\r\n");
        if is_message(&self.words) {
            out.extend_from_slice(&self.rest);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn is_message(words: &[String]) -> bool {
    matches!(words[0].as_str(), "PUB" | "HPUB" | "MSG" | "HMSG")
}

/// What becomes of a message: the messages that go on instead.
pub type Trick = Box<dyn FnMut(Way, Frame) -> Vec<Frame> + Send>;

/// Messages of a call or its answer: not what a client sends to itself.
fn is_ours(way: Way, frame: &Frame) -> bool {
    match way {
        Way::Call => frame.subject().starts_with("cradle."),
        // A subscription gets what was sent to it; only answers have headers of ours or a seal or a body.
        Way::Answer => frame.subject().starts_with("_INBOX.") && !frame.rest.is_empty(),
    }
}

/// Listens before a server. Gives its address.
pub fn before(server: u16, trick: Trick) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap());
    let trick = Arc::new(Mutex::new(trick));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
            let (client_out, server_out) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (calls, answers) = (Arc::clone(&trick), Arc::clone(&trick));
            std::thread::spawn(move || carry(Way::Call, client, server_out, &calls));
            std::thread::spawn(move || carry(Way::Answer, server, client_out, &answers));
        }
    });
    address
}

fn carry(way: Way, from: TcpStream, mut to: TcpStream, trick: &Mutex<Trick>) {
    let mut from = BufReader::new(from);
    while let Some(frame) = read(&mut from) {
        let frames = if is_message(&frame.words) && is_ours(way, &frame) {
            trick.lock().unwrap()(way, frame)
        } else {
            vec![frame]
        };
        let mut octets = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut octets));
        if to.write_all(&octets).is_err() {
            return;
        }
    }
    let _gone = to.shutdown(std::net::Shutdown::Both);
}

fn read(from: &mut impl BufRead) -> Option<Frame> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|len| *len > 0)?;
    let words: Vec<_> = line.trim_end().split(' ').map(str::to_owned).collect();
    let mut rest = Vec::new();
    if is_message(&words) {
        rest = vec![0; words.last()?.parse::<usize>().ok()? + 2];
        from.read_exact(&mut rest).ok()?;
        rest.truncate(rest.len() - 2);
    }
    Some(Frame { words, rest })
}
