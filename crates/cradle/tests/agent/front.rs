//! What stands between a device and its servers: a line that is cut, and a server in front that loses and alters.

use adapters::http::{Files, NotFetched, Shown};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use x509::pem;

/// A line that counts what comes from the server, and is cut or held when so much has come.
pub struct Line {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    fetched: AtomicU64,
    cut_after: AtomicU64,
    cuts: AtomicU64,
    since_cut: AtomicU64,
    hold_after: AtomicU64,
    since_hold: AtomicU64,
    drip_after: AtomicU64,
    held: Mutex<bool>,
    changed: Condvar,
}

impl Line {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, state) = (client.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || pass(from, to, None));
                    pass(server, client, Some(&state));
                });
            }
        });
        Self { port: own, state }
    }
    /// It is cut so often, each time after this much has come since.
    pub fn cut(&self, cuts: u64, after: u64) {
        self.state.since_cut.store(0, SeqCst);
        self.state.cut_after.store(after, SeqCst);
        self.state.cuts.store(cuts, SeqCst);
    }
    pub fn cuts_left(&self) -> u64 {
        self.state.cuts.load(SeqCst)
    }
    /// Once this much has come, nothing goes any further.
    pub fn hold(&self, after: u64) {
        self.state.since_hold.store(0, SeqCst);
        self.state.hold_after.store(after, SeqCst);
    }
    /// Once a connection has brought so much, it brings an octet now and then. 0: it brings all.
    pub fn drip(&self, after: u64) {
        self.state.drip_after.store(after, SeqCst);
    }
    /// Waits until a connection is held.
    pub fn wait(&self) {
        let held = self.state.held.lock().unwrap();
        let (mut held, timeout) =
            self.state.changed.wait_timeout_while(held, Duration::from_secs(60), |held| !*held).unwrap();
        assert!(!timeout.timed_out(), "nothing was held");
        *held = false;
        self.state.hold_after.store(0, SeqCst);
    }
    /// What came from the server since this was asked last.
    pub fn fetched(&self) -> u64 {
        self.state.fetched.swap(0, SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: Option<&State>) {
    let (mut buffer, mut passed_here) = (vec![0; 16 * 1024], 0);
    loop {
        let drips = state.filter(|state| (1..=passed_here).contains(&state.drip_after.load(SeqCst)));
        let room = if drips.is_some() { 1 } else { buffer.len() };
        let Ok(len @ 1..) = from.read(&mut buffer[..room]) else { break };
        if let Some(state) = drips {
            drop(state.changed.wait_timeout(state.held.lock().unwrap(), Duration::from_millis(20)).unwrap());
        }
        passed_here += u64::try_from(len).unwrap();
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
        let Some(state) = state else { continue };
        let len = u64::try_from(len).unwrap();
        state.fetched.fetch_add(len, SeqCst);
        let passed = state.since_cut.fetch_add(len, SeqCst) + len;
        if state.cuts.load(SeqCst) > 0 && passed >= state.cut_after.load(SeqCst) {
            state.since_cut.store(0, SeqCst);
            state.cuts.fetch_sub(1, SeqCst);
            break;
        }
        let hold_after = state.hold_after.load(SeqCst);
        let passed = state.since_hold.fetch_add(len, SeqCst) + len;
        if hold_after > 0 && passed >= hold_after {
            *state.held.lock().unwrap() = true;
            state.changed.notify_all();
            // Until whoever waits for it is gone.
            let _gone = to.read(&mut [0; 1]);
            break;
        }
    }
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It is lost on its way.
    Lost,
    /// Its answer is lost.
    Unanswered,
}

/// A request: its head, and its body.
pub type Whole = (String, Vec<u8>);

/// Plain HTTP in front of a director, with the certificate of a device, so that a test sees what is asked.
pub struct Front {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<String>>>,
    /// All of each request.
    pub read: Arc<Mutex<Vec<Whole>>>,
}

impl Front {
    pub fn of(dir: &Path, upstream: &str, fate: impl Fn(&str, usize) -> Fate + Send + 'static) -> Self {
        Self::of_device("device", dir, upstream, fate)
    }
    pub fn of_device(
        name: &str,
        dir: &Path,
        upstream: &str,
        fate: impl Fn(&str, usize) -> Fate + Send + 'static,
    ) -> Self {
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let shown = Shown {
            chain: pem::blocks(&read(&format!("{name}.pem"))).unwrap(),
            key: zeroize::Zeroizing::new(pem::decode(&read(&format!("{name}.key"))).unwrap().1).into(),
        };
        let anchors = pem::blocks(&read("ca.pem")).unwrap();
        let files = Files::showing(upstream, &anchors, Some(&shown), Duration::from_secs(30)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::<String>::new()));
        let (seen, all) = (Arc::clone(&asked), Arc::new(Mutex::new(Vec::new())));
        let read = Arc::clone(&all);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let (line, head, body) = request(&client);
                all.lock().unwrap().push((head, body.clone()));
                let times = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(line.clone());
                    seen.iter().filter(|one| **one == line).count()
                };
                let fate = fate(&line, times);
                if fate == Fate::Lost {
                    continue;
                }
                let (method, path) = line.split_once(' ').unwrap();
                let path = path.trim_start_matches('/');
                let (status, said) = match method {
                    "POST" => files.send(path, "application/json", &body, 1 << 20).unwrap(),
                    _ => match files.fetch(path, 1 << 30) {
                        Ok(octets) => (200, octets),
                        Err(NotFetched::NotThere) => (404, Vec::new()),
                        Err(other) => panic!("{other}"),
                    },
                };
                if fate == Fate::Answered {
                    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", said.len());
                    let _gone = client.write_all(&[head.as_bytes(), &said].concat());
                }
            }
        });
        Self { port, asked, read }
    }
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }
}

// The method and path, the head, and the body.
fn request(client: &TcpStream) -> (String, String, Vec<u8>) {
    let mut reader = BufReader::new(client);
    let (mut first, mut head, mut len) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).unwrap();
        if let Some(value) = field.strip_prefix("Content-Length: ") {
            len = value.trim().parse().unwrap();
        }
        if field.trim().is_empty() {
            break;
        }
        head += &field;
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).unwrap();
    (first.rsplit_once(' ').unwrap().0.to_owned(), first + &head, body)
}
