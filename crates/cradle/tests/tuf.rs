//! Following a repository of TUF that the reference implementation has made, over HTTP on loopback.
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
use common::{Box_, foreign, text};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name)
}
fn golden(name: &str) -> PathBuf {
    testdata("tuf").join(name)
}

/// What a server does with what it is asked.
type Answers = Box<dyn Fn(&str, &mut dyn Write) -> std::io::Result<()> + Send>;

fn whole(octets: &[u8], to: &mut dyn Write) -> std::io::Result<()> {
    write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", octets.len())?;
    to.write_all(octets)
}
/// The golden repository, with this image.
fn repository(image: Vec<u8>) -> Answers {
    serving(golden("repository"), "/metadata/", image)
}
/// The files below `root` at what begins with `prefix`, and this image everywhere else.
fn serving(root: PathBuf, prefix: &'static str, image: Vec<u8>) -> Answers {
    Box::new(move |path, to| match path.strip_prefix(prefix) {
        Some(file) => match std::fs::read(root.join(file)) {
            Ok(octets) => whole(&octets, to),
            Err(_) => to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        },
        None => whole(&image, to),
    })
}

/// A box that begins with the golden root, and a server for it.
struct Follower {
    b: Box_,
    port: u16,
    _ends: Sender<()>,
}
impl Follower {
    fn new(name: &str, answers: Answers) -> Self {
        let follower = Self::serving(name, answers);
        let root = golden("repository/1.root.json");
        follower.b.ok(&["tuf-client", "--metadata-dir", "md", "init", root.to_str().unwrap()]);
        follower
    }
    fn serving(name: &str, answers: Answers) -> Self {
        let b = Box_::empty(name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_ends, ended) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut octet = [0];
                    stream.read_exact(&mut octet).unwrap();
                    head.push(octet[0]);
                }
                let path = text(&head).split(' ').nth(1).unwrap().to_owned();
                let _closed = answers(&path, &mut stream);
            }
        });
        Self { b, port, _ends }
    }
    fn run(&self, words: &[&str]) -> (i32, String) {
        let (metadata, targets) =
            (format!("http://127.0.0.1:{}/metadata/", self.port), format!("http://127.0.0.1:{}/targets", self.port));
        let common = ["tuf-client", "--metadata-dir", "md", "--metadata-url", &metadata, "--target-base-url", &targets];
        let output = self.b.run(&[&common, ["--target-dir", "images"].as_slice(), words].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }
    fn images(&self) -> usize {
        std::fs::read_dir(self.b.dir.join("images")).map_or(0, Iterator::count)
    }
}
fn image() -> Vec<u8> {
    std::fs::read(golden("image.bin")).unwrap()
}

#[test]
fn a_foreign_repository_is_followed() {
    let f = Follower::new("tuf-follow", repository(image()));
    let (status, said) = f.run(&["-o", "json", "refresh"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(f.b.read("md/root.json"), std::fs::read(golden("repository/3.root.json")).unwrap());
    for name in ["image.bin", "supplier/image.bin", "packages/a.bin"] {
        let (status, said) = f.run(&["-o", "json", "--target-name", name, "download"]);
        assert_eq!(status, 0, "{said}");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&said["length"], &said["fetched"]), (&4096.into(), &true.into()));
        assert_eq!(f.b.read(said["file"].as_str().unwrap()), image());
    }
    let (_, said) = f.run(&["--target-name", "supplier/image.bin", "download"]);
    assert_eq!(said, "supplier/image.bin is already in images/supplier%2Fimage.bin\n");
    let (status, said) = f.run(&["--target-name", "nothing", "download"]);
    assert!(status == 1 && said.contains("code: tuf-no-target"), "{said}");
}
#[test]
fn another_image_is_not_kept() {
    for (name, octets, attack) in [
        ("longer", [image(), vec![0]].concat(), "endless data"),
        ("shorter", image()[1..].to_vec(), "arbitrary software"),
        ("other", vec![0; 4096], "arbitrary software"),
    ] {
        let f = Follower::new(&format!("tuf-{name}"), repository(octets));
        let (status, said) = f.run(&["--target-name", "image.bin", "download"]);
        assert!(status == 1 && said.contains("code: tuf-refused") && said.contains(attack), "{said}");
        assert_eq!(f.images(), 0, "something is left behind");
    }
}
#[test]
fn an_image_that_is_altered_where_it_lies_is_fetched_again() {
    let f = Follower::new("tuf-altered", repository(image()));
    f.run(&["--target-name", "image.bin", "download"]);
    f.b.write("images/image.bin", "something else");
    let (status, said) = f.run(&["-o", "json", "--target-name", "image.bin", "download"]);
    assert!(status == 0 && said.contains("\"fetched\": true"), "{said}");
    assert_eq!(f.b.read("images/image.bin"), image());
}
#[test]
fn nothing_is_followed_elsewhere() {
    let elsewhere = |_: &str, to: &mut dyn Write| {
        to.write_all(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")
    };
    let f = Follower::new("tuf-redirect", Box::new(elsewhere));
    let (status, said) = f.run(&["refresh"]);
    assert!(status == 1 && said.contains("2.root.json was not taken") && said.contains("HTTP status 302"), "{said}");
}
#[test]
fn a_server_that_never_ends_its_answer_is_too_slow() {
    // It says that there is more, and keeps the connection until the client has gone.
    let slow = |_: &str, to: &mut dyn Write| {
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")?;
        to.flush()?;
        std::thread::park_timeout(std::time::Duration::from_secs(60));
        Ok(())
    };
    let f = Follower::new("tuf-slow", Box::new(slow));
    let (status, said) = f.run(&["--patience", "1", "refresh"]);
    assert!(status == 1 && said.contains("slow retrieval"), "{said}");
}
#[test]
fn what_it_begins_with_is_looked_at_and_stays() {
    let f = Follower::new("tuf-begin", repository(image()));
    let root = golden("repository/1.root.json");
    f.b.ok(&["tuf-client", "--metadata-dir", "md", "init", root.to_str().unwrap()]);
    f.run(&["refresh"]);
    let (status, said) = f.run(&["init", root.to_str().unwrap()]);
    assert!(status == 1 && said.contains("code: exists"), "a newer root was lost: {said}");
    let (status, said) = f.run(&["init", golden("repository/timestamp.json").to_str().unwrap()]);
    assert!(status == 1 && said.contains("another role"), "{said}");
    let (status, said) = f.run(&["init", "nowhere.json"]);
    assert!(status == 1 && said.contains("is not there"), "{said}");
}
#[test]
fn two_do_not_keep_metadata_in_one_place_at_once() {
    let f = Follower::new("tuf-twice", repository(image()));
    let held = adapters::files::DirectoryLock::take(&f.b.dir.join("md")).unwrap();
    let (status, said) = f.run(&["refresh"]);
    assert!(status == 1 && said.contains("code: in-use"), "{said}");
    drop(held);
    assert_eq!(f.run(&["refresh"]).0, 0);
}
#[test]
fn options_that_are_missing_are_named() {
    let b = Box_::empty("tuf-options");
    std::fs::create_dir(b.dir.join("md")).unwrap();
    let said = |words: &[&str]| {
        let output = b.run(&[&["tuf-client", "--metadata-dir", "md"], words].concat());
        (output.status.code(), text(&output.stderr))
    };
    let (status, what) = said(&["refresh"]);
    assert!(status == Some(1) && what.contains("--metadata-url is missing"), "{what}");
    let (status, what) = said(&["--metadata-url", "file:///etc", "refresh"]);
    assert!(status == Some(1) && what.contains("file:///etc cannot be used"), "{what}");
    let (status, what) = said(&["--metadata-url", "https://localhost/", "refresh"]);
    assert!(status == Some(1) && what.contains("https needs the certificate"), "{what}");
}

/// A device that follows the golden pair; `director` is the one that it asks.
fn device(name: &str, director: &str, inventory: &str, verb: &str) -> (i32, String, Box_) {
    let f = Follower::serving(name, serving(testdata("uptane"), "/md/", image()));
    f.b.write("inventory.toml", inventory);
    let at = |path: &str| format!("http://127.0.0.1:{}/{path}", f.port);
    let root = |of: &str| testdata("uptane").join(of).join("1.root.json").to_str().unwrap().to_owned();
    f.b.ok(&["uptane-client", "--metadata-dir", "md", "init", &root(director), &root("images")]);
    let (director, images, targets) = (at(&format!("md/{director}")), at("md/images"), at("targets"));
    let words = ["uptane-client", "--metadata-dir", "md", "--inventory", "inventory.toml", "--target-dir", "images"];
    let urls =
        ["--director-url", &director, "--images-url", &images, "--target-base-url", &targets, "-o", "json", verb];
    let output = f.b.run(&[words.as_slice(), &urls].concat());
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr), f.b)
}
const INVENTORY: &str =
    "device = \"urn:dev:ops:32473-gateway-SN1\"\n[components.modem]\nhardware_id = \"modem.a\"\nrelease_counter = 8\n";

#[test]
fn a_director_and_an_image_repository_that_agree() {
    let (status, said, _) = device("uptane-refresh", "director", INVENTORY, "refresh");
    assert_eq!(status, 0, "{said}");
    let (status, said, b) = device("uptane-download", "director", INVENTORY, "download");
    assert_eq!(status, 0, "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said[0]["components"], &said[0]["release_counter"]), (&"modem".into(), &8.into()));
    assert_eq!(b.read(said[0]["file"].as_str().unwrap()), image());
}
#[test]
fn a_director_and_an_image_repository_that_do_not() {
    let (status, said, b) = device("uptane-other", "director-other", INVENTORY, "download");
    assert!(status == 1 && said.contains("uptane-refused") && said.contains("mix-and-match"), "{said}");
    assert!(!b.dir.join("images").exists());
}
#[test]
fn directions_that_are_not_for_this_device() {
    for (name, from, to, expected) in [
        ("counter", "counter = 8", "counter = 9", "rollback"),
        ("hardware", "modem.a", "modem.b", "wrong hardware"),
        ("device", "SN1", "SN2", "another device"),
        ("component", "components.modem", "components.display", "does not have"),
        ("file", "device =", "devise =", "devise"),
    ] {
        let (status, said, _) = device(&format!("uptane-{name}"), "director", &INVENTORY.replace(from, to), "download");
        assert!(status == 1 && said.contains(expected), "{name}: {said}");
    }
}

/// Python's own server, over TLS: the files of a directory, on a port that it chooses.
struct TlsServer(Child, u16);
impl TlsServer {
    fn new(b: &Box_, root: &Path) -> Self {
        let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-days", "2", "-nodes"];
        for name in ["server", "stranger"] {
            let (key, cert) = (format!("{name}.key"), format!("{name}.pem"));
            let new = [
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-keyout",
                &key,
                "-out",
                &cert,
            ];
            foreign(&b.dir, "openssl", &[new.as_slice(), &subject, &leaf].concat());
        }
        let serve = "import functools, http.server, ssl, sys\n\
            handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])\n\
            server = http.server.HTTPServer(('localhost', 0), handler)\n\
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
            context.load_cert_chain('server.pem', 'server.key')\n\
            server.socket = context.wrap_socket(server.socket, server_side=True)\n\
            print(server.server_address[1], flush=True)\n\
            server.serve_forever()\n";
        let mut python = Command::new("python3");
        let python =
            python.args(["-c", serve]).arg(root).current_dir(&b.dir).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = python.spawn().expect("python3 is not there; install it");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self(child, port.trim().parse().unwrap())
    }
}
impl Drop for TlsServer {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn over_tls_only_the_named_anchors_are_believed() {
    let b = Box_::empty("tuf-tls");
    let server = TlsServer::new(&b, &golden("repository"));
    let root = golden("repository/1.root.json");
    b.ok(&["tuf-client", "--metadata-dir", "md", "init", root.to_str().unwrap()]);
    let refresh = |anchor: &str, host: &str| {
        let url = format!("https://{host}:{}/", server.1);
        let words = ["tuf-client", "--metadata-dir", "md", "--metadata-url", &url, "--tls-anchors", anchor, "refresh"];
        let output = b.run(&words);
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (status, said) = refresh("stranger.pem", "localhost");
    assert!(status == 1 && said.contains("TLS"), "{said}");
    let (status, said) = refresh("server.pem", "127.0.0.1");
    assert!(status == 1 && said.contains("TLS"), "a certificate of another name was taken: {said}");
    let (status, said) = refresh("server.pem", "localhost");
    assert_eq!(status, 0, "{said}");
    assert_eq!(b.read("md/root.json"), std::fs::read(golden("repository/3.root.json")).unwrap());
}
