//! A box that follows repositories by itself, and is told that there is news; publishers that tell it.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

mod common;
use common::{Box_, port_of_its_own, text};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use update::notice::{Secret, Sent};

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "whsec_BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn secret(b: &Box_, name: &str, text: &str) {
    b.write(name, text);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(b.dir.join(name), mode).unwrap();
}

/// A request: its head, and its body.
type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        head.push(octet[0]);
    }
    let head = text(&head);
    let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

/// Serves a directory. Counts what is asked.
fn serve(root: &Path) -> (u16, Arc<AtomicU64>) {
    let (listener, root) = (TcpListener::bind("127.0.0.1:0").unwrap(), root.to_owned());
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let (head, _) = request(&mut stream);
            let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
            let answer = match std::fs::read(root.join(path)) {
                Ok(octets) => {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", octets.len());
                    [head.into_bytes(), octets].concat()
                }
                Err(_) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            };
            let _closed = stream.write_all(&answer);
        }
    });
    (port, asked)
}

/// Hears notices at a port; answers with the statuses in turn, the last one from then on.
fn receiver(port: u16, statuses: &'static [u16]) -> (u16, Heard) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Heard::default());
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let said = request(&mut stream);
            kept.lock().unwrap().push(said);
            let status = statuses[n.min(statuses.len() - 1)];
            let _closed = stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes());
        }
    });
    (port, heard)
}

struct Up(Child, Value);

impl Drop for Up {
    fn drop(&mut self) {
        let _ended = std::process::Command::new("kill").arg(self.0.id().to_string()).status();
        let _ended = self.0.wait();
    }
}

fn up(mut command: std::process::Command) -> Up {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Up(child, serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}")))
}

/// A box that follows one release, published by HTTP, and settings to do so by itself.
fn follower(name: &str, more: &str) -> (Box_, Arc<AtomicU64>) {
    let b = Box_::new(name);
    b.device_type("sensor", "");
    b.release(1, "sensor");
    let asked = settings(&b, more);
    (b, asked)
}

fn settings(b: &Box_, more: &str) -> Arc<AtomicU64> {
    b.ok(&["release", "follow", "--images", "repository/metadata/1.root.json"]);
    b.ok(&["mode", "set", "certificate-management"]);
    b.ok(&["module", "add", "gateway"]);
    let (port, asked) = serve(&b.dir.join("repository"));
    secret(b, "secret", SECRET);
    secret(b, "other", OTHER);
    let settings = b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let software = format!("\n[software]\nimages = \"http://127.0.0.1:{port}\"\nevery_s = 3600\n{more}");
    std::fs::write(&settings, before + &software).unwrap();
    asked
}

#[track_caller]
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..300 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("{what}");
}

fn counters(b: &Box_) -> Vec<u64> {
    let rows = b.json(&["release", "list"]);
    rows.as_array().unwrap().iter().map(|row| row["counter"].as_u64().unwrap()).collect()
}

#[test]
fn a_box_follows_by_itself_and_looks_again_when_it_is_told() {
    let (b, _) = follower("following", "[software.notices]\nlisten = \"127.0.0.1:0\"\nsecret_file = \"secret\"\n");
    b.ok(&["mode", "set", "software-management"]);
    let box_ = up(b.command(&["-o", "json", "up"]));
    wait("it follows", || !b.json_of(&["status"])["following"]["last_success"].is_null());
    assert_eq!(counters(&b), [1]);
    let following = b.json_of(&["status"])["following"].clone();
    assert!(following["next"].is_string() && following["failed"].is_null(), "{following}");

    // Who does not know the secret is not heard.
    let hook = format!("http://{}/.well-known/cradle/notice", box_.1["notices"].as_str().unwrap());
    b.ok(&["repo", "notice", "add", "stranger", &hook, "--secret-file", "other"]);
    b.release(2, "sensor");
    let said = b.fails(&["repo", "notice", "send"], 8, "notice-waits");
    assert!(said.contains("answered 401"), "{said}");
    b.ok(&["repo", "notice", "remove", "stranger"]);
    std::thread::park_timeout(Duration::from_secs(3));
    assert_eq!((counters(&b), b.json_of(&["status"])["following"]["last_notice"].is_null()), (vec![1], true));

    // Who does is: what it says is verified as always.
    b.ok(&["repo", "notice", "add", "box", &hook, "--secret-file", "secret"]);
    b.release(3, "sensor");
    b.ok(&["repo", "notice", "send"]);
    wait("it hears", || counters(&b).first() == Some(&3));
    assert!(b.json_of(&["status"])["following"]["last_notice"].is_string());
}

#[test]
fn a_freeze_is_said() {
    let b = Box_::new("following-freeze");
    b.device_type("sensor", "");
    b.write("image", "octets");
    // The timestamp holds for a week.
    for words in
        [&["repo", "init"][..], &["repo", "add", "image", "--for", "sensor", "--counter", "1"], &["repo", "publish"]]
    {
        assert!(b.command_at("-8d", words).output().unwrap().status.success());
    }
    settings(&b, "");
    b.ok(&["mode", "set", "software-management"]);
    let box_ = up(b.command(&["-o", "json", "up"]));
    wait("it fails", || !b.json_of(&["status"])["following"]["failed"].is_null());
    drop(box_);
    let status = b.json_of(&["status"]);
    let failed = &status["following"]["failed"];
    assert_eq!((&failed["code"], &failed["freeze"]), (&"release-expired".into(), &true.into()), "{failed}");
    assert!(failed["what"].as_str().unwrap().contains("freeze"), "{failed}");
    let codes: Vec<_> = status["findings"].as_array().unwrap().iter().map(|finding| finding["code"].clone()).collect();
    assert!(codes.contains(&"following-frozen".into()), "{codes:?}");
    assert_eq!(status["following"]["last_success"], Value::Null);
}

#[test]
fn no_network_is_reached_and_no_notice_taken_in_another_mode() {
    let (b, asked) =
        follower("following-mode", "[software.notices]\nlisten = \"127.0.0.1:0\"\nsecret_file = \"secret\"\n");
    b.ok(&["mode", "set", "software-import"]);
    let box_ = up(b.command(&["-o", "json", "up"]));
    std::thread::park_timeout(Duration::from_secs(12));
    assert_eq!((asked.load(Ordering::SeqCst), &box_.1["notices"]), (0, &Value::Null));
}

#[test]
fn settings_that_would_be_heard_by_others_are_refused() {
    let b = Box_::new("following-settings");
    let settings = b.data().join("cradle.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    for (more, why) in [
        ("images = \"ftp://a\"\n", "addresses of http or https"),
        ("images = \"http://a\"\nevery_s = 9\n", "from 10"),
        ("images = \"http://a\"\ntls_key = \"k\"\n", "go together"),
        ("images = \"http://a\"\n[software.notices]\nlisten = \"0.0.0.0:1\"\nsecret_file = \"s\"\n", "this machine"),
    ] {
        std::fs::write(&settings, format!("{before}\n[software]\n{more}")).unwrap();
        let said = b.fails(&["status"], 2, "config");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn who_is_away_is_told_when_he_is_back_and_learns_nothing_of_software() {
    let b = Box_::empty("notices");
    secret(&b, "secret", SECRET);
    b.write("image", "octets");
    b.ok(&["repo", "init"]);
    b.ok(&["repo", "add", "image", "--name", "sensor/firmware-17.bin"]);
    b.ok(&["repo", "publish"]);
    let port = port_of_its_own();
    let hook = format!("http://127.0.0.1:{port}/services/s3cr3t");
    b.ok(&["repo", "notice", "add", "office", &hook, "--secret-file", "secret"]);
    b.ok(&["repo", "notice", "send"]);
    b.ok(&["repo", "remove", "sensor/firmware-17.bin"]);
    let said = b.run(&["repo", "publish"]);
    assert!(said.status.success(), "what is published stays published");
    let said = text(&said.stderr);
    assert!(said.contains("office was not told yet") && !said.contains("s3cr3t"), "{said}");
    let listed = b.ok(&["-o", "json", "repo", "notice", "list"]);
    assert!(listed.contains("\"failures\": 1") && !listed.contains("s3cr3t"), "{listed}");
    // Two publications that he has not heard of are one piece of news.
    b.ok(&["repo", "add", "image", "--name", "sensor/firmware-18.bin"]);
    b.ok(&["repo", "publish"]);
    let (_, heard) = receiver(port, &[503, 204]);
    b.ok(&["repo", "notice", "send", "--within", "30"]);
    b.ok(&["repo", "notice", "send", "--within", "3"]);
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 2, "the one that was answered 503 again, and no other: {heard:?}");
    let ids: Vec<_> = heard.iter().map(|(head, _)| field(head, "webhook-id")).collect();
    assert_eq!(ids[0], ids[1]);
    for (head, body) in &heard {
        let sent = Sent {
            id: field(head, "webhook-id"),
            timestamp: field(head, "webhook-timestamp"),
            signature: field(head, "webhook-signature"),
            body: body.clone(),
        };
        let now = ports::Clock::now(&adapters::clock::SystemClock);
        assert_eq!(sent.verify(&Secret::read(SECRET.as_bytes()).unwrap(), now).unwrap().number, 3);
        let said = head.clone() + &text(body);
        for word in ["sensor", "firmware", ".bin", "User-Agent"] {
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
}

fn field(head: &str, name: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{name} in {head}")).to_owned()
}

#[test]
fn a_director_tells_what_changes_and_not_what() {
    let b = Box_::empty("notices-director");
    b.write("passphrase", "correct horse battery staple");
    secret(&b, "secret", SECRET);
    b.write("image", "octets");
    b.ok(&["repo", "init"]);
    b.ok(&["repo", "add", "image", "--for", "sensor", "--counter", "1"]);
    b.ok(&["repo", "publish"]);
    let director = |words: &[&str]| {
        b.ok(&[&["--passphrase-file", "passphrase", "--data", "director", "director"], words].concat())
    };
    director(&[
        "init",
        "--root-keys",
        "stick",
        "--images-root",
        "repository/metadata/1.root.json",
        "--root",
        "root.json",
    ]);
    let (port, heard) = receiver(0, &[204]);
    let hook = format!("http://127.0.0.1:{port}/hook");
    director(&["notice", "add", "office", &hook, "--secret-file", "secret"]);
    director(&["take", "image", "--images", "repository"]);
    director(&["notice", "send"]);
    assert_eq!(heard.lock().unwrap().len(), 0, "what may be given is given to nobody yet");
    director(&["assign", "image", "--component", "main", "--type", "sensor"]);
    director(&["notice", "send"]);
    director(&["notice", "send"]);
    director(&["recall", "image"]);
    director(&["notice", "send"]);
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    let said: String = heard.iter().map(|(head, body)| head.clone() + &text(body)).collect();
    assert!(!said.contains("sensor") && !said.contains("image"), "{said}");
}
