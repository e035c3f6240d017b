//! The agent of a device against a server that has the right TLS certificate and gives the wrong answers.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

#[path = "agent_liar/cmp.rs"]
mod cmp;
mod common;
#[path = "agent_liar/roots.rs"]
mod roots;
mod site;

use adapters::http::serve::{
    Answer, BodyLimits, ClientVerifier, Clients, Content, Head, Identity, Limits, Request, Server, Service, Taking,
};
use common::foreign;
use site::{ARGUMENTS, Site};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zeroize::Zeroizing;

/// Not a test but the agent: other tests start this program again, and have it be what `cradle-agent` is.
#[test]
#[ignore = "it is the agent, which other tests start"]
fn the_agent() {
    let Some(arguments) = std::env::var_os(ARGUMENTS) else { return };
    let arguments = arguments.into_string().unwrap();
    let arguments: Vec<_> = arguments.split('\n').filter(|word| !word.is_empty()).map(Into::into).collect();
    std::process::exit(agent::main(arguments.into_iter()).into());
}

/// What is answered instead of a certificate for the key, by the authority, for this name.
#[derive(Clone, Copy)]
enum How {
    Well,
    /// To be renewed in so many seconds.
    RenewAfter(&'static str),
    /// In the second after it was asked.
    InTheNextSecond,
    /// For a key of the server's.
    OtherKey,
    /// By an authority that the device does not know.
    OtherAuthority,
    /// By an authority that the device does not know, which is named among the right ones.
    NamedAuthority,
    OtherName,
    Expired,
    Text(u16, &'static str),
    Later(u16, &'static str),
    Endless,
}

/// A server of EST.
struct Liar {
    dir: PathBuf,
    how: Arc<Mutex<How>>,
    /// Files of certificates that stand among those of authorities.
    beside: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Anybody;
impl ClientVerifier for Anybody {
    fn is_believed(&self, _leaf: &[u8], _others: &[&[u8]]) -> bool {
        true
    }
}

fn openssl(dir: &Path, line: &str) -> String {
    foreign(dir, "openssl", &line.split(' ').collect::<Vec<_>>())
}

impl Liar {
    /// Certificates of files, as they are answered.
    fn message(&self, files: &[&str]) -> Answer {
        let files: String = files.iter().map(|file| format!(" -certfile {file}")).collect();
        openssl(&self.dir, &format!("crl2pkcs7 -nocrl{files} -outform DER -out answer.p7"));
        let text = openssl(&self.dir, "base64 -in answer.p7");
        Answer::new(200, "application/pkcs7-mime", Content::Octets(text.into_bytes()))
    }

    fn certify(&self, how: How, body: &[u8]) -> Answer {
        std::fs::write(self.dir.join("request.b64"), body).unwrap();
        openssl(&self.dir, "base64 -d -in request.b64 -out request.der");
        let issuer = if matches!(how, How::OtherAuthority | How::NamedAuthority) { "own" } else { "ca" };
        let name = if matches!(how, How::OtherName) { "/CN=somebody" } else { "/CN=device" };
        let request = if matches!(how, How::OtherKey) { "other.der" } else { "request.der" };
        let line = format!(
            "x509 -req -inform DER -in {request} -CA {issuer}.pem -CAkey {issuer}.key -subj {name} -days 9 -extfile for -out issued.pem"
        );
        if matches!(how, How::InTheNextSecond) {
            let second = || foreign(&self.dir, "date", &["+%s"]);
            let asked = second();
            while second() == asked {}
        }
        // Signed a month ago, for nine days. No shifted clock otherwise: it may be ahead of the device's by a second.
        match how {
            How::Expired => {
                let shifted = ["-f", "-30d", "openssl"].into_iter().chain(line.split(' '));
                foreign(&self.dir, "faketime", &shifted.collect::<Vec<_>>())
            }
            _ => openssl(&self.dir, &line),
        };
        self.message(&["issued.pem"])
    }
}

impl Service for Liar {
    fn limits(&self, _head: &Head) -> BodyLimits {
        BodyLimits { len_max: 100_000, within: Duration::from_secs(20), taking: Taking::Whole }
    }
    fn answer(&self, request: &mut Request) -> Answer {
        let (how, path) = (*self.how.lock().unwrap(), request.head.path().to_owned());
        self.asked.lock().unwrap().push(path.rsplit('/').next().unwrap().to_owned());
        if path.ends_with("/cacerts") {
            let beside = self.beside.lock().unwrap();
            let own = Some("own.pem").filter(|_| matches!(how, How::NamedAuthority));
            let files: Vec<_> = ["ca.pem"].into_iter().chain(own).chain(beside.iter().map(String::as_str)).collect();
            return self.message(&files);
        }
        let mut body = Vec::new();
        request.body.read_to_end(&mut body).unwrap();
        match how {
            How::Text(status, text) => Answer::text(status, text),
            How::Later(status, after) => Answer::text(status, "Not now.").with("retry-after", after),
            How::Endless => Answer::new(200, "application/pkcs7-mime", Content::Octets(vec![b'A'; 2_000_000])),
            How::RenewAfter(after) => self.certify(how, &body).with("retry-after", after),
            _ => self.certify(how, &body),
        }
    }
}

/// A device, and the server that it asks.
struct Scene {
    site: Site,
    how: Arc<Mutex<How>>,
    beside: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    _server: Server,
    place: common::Box_,
}

impl Scene {
    fn new(name: &str) -> Self {
        let place = common::Box_::empty(&format!("{name}-server"));
        let dir = place.dir.clone();
        for ca in ["ca", "own"] {
            let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -addext keyUsage=critical,keyCertSign";
            let line = format!("{new} -subj /CN={ca} -keyout {ca}.key -out {ca}.pem");
            // Older than any root that follows.
            let line: Vec<_> = ["-f", "-1h", "openssl"].into_iter().chain(line.split(' ')).collect();
            foreign(&dir, "faketime", &line);
        }
        let new = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -outform DER";
        openssl(&dir, &format!("{new} -subj /CN=other -keyout other.key -out other.der"));
        openssl(&dir, &format!("{new} -subj /CN=server -keyout server.key -out server.der"));
        std::fs::write(dir.join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
        std::fs::write(dir.join("for"), "extendedKeyUsage=clientAuth\n").unwrap();
        openssl(
            &dir,
            "x509 -req -inform DER -in server.der -CA ca.pem -CAkey ca.key -days 9 -extfile ext -out server.pem",
        );
        let read = |file: &str| x509::pem::decode(&std::fs::read(dir.join(file)).unwrap()).unwrap().1;
        let clients = Clients::MayShow(Arc::new(Anybody));
        let identity = Identity::new(&[read("server.pem")], &Zeroizing::new(read("server.key")), clients);
        let (how, asked) = (Arc::new(Mutex::new(How::Well)), Arc::<Mutex<Vec<String>>>::default());
        let beside = Arc::<Mutex<Vec<String>>>::default();
        let liar =
            Liar { dir: dir.clone(), how: Arc::clone(&how), beside: Arc::clone(&beside), asked: Arc::clone(&asked) };
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(address, Some(identity.unwrap()), Limits::default(), Arc::new(liar)).unwrap();
        let site = Site::of_another(name, server.address().port());
        std::fs::copy(dir.join("ca.pem"), site.b.dir.join("root.pem")).unwrap();
        site.device("SN1", "");
        site.keep("secret", "a secret");
        Self { site, how, beside, asked, _server: server, place }
    }
    fn lies(&self, how: How) {
        *self.how.lock().unwrap() = how;
        self.asked.lock().unwrap().clear();
    }
    /// The paths that were asked for since the server was told how to answer.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

const ENROL: [&str; 3] = ["enrol", "--secret", "secret"];
const IDENTITY: &str = "agent/identity/identity.pem";

#[test]
fn a_certificate_that_is_not_what_was_asked_for_is_not_taken() {
    let scene = Scene::new("liar-answers");
    let site = &scene.site;
    let wrong = [
        (How::OtherKey, "it is not for the key of this device"),
        (How::OtherAuthority, "no issuer of it is known"),
        (How::NamedAuthority, "no issuer of it is known"),
        (How::Expired, "it has expired"),
        (How::Text(200, "<html>welcome</html>"), "no message of certificates in base64"),
        (How::Text(200, ""), "no message of certificates in base64"),
        (How::Text(401, "Who are you?"), "HTTP status 401: Who are you?"),
        (How::Text(404, "Nothing here."), "HTTP status 404: Nothing here."),
        (How::Text(500, "I am \u{1b}[2J not well."), "HTTP status 500: I am"),
        (How::Text(418, "tea"), "HTTP status 418: tea"),
        (How::Endless, "it is longer than it may be"),
    ];
    for (how, why) in wrong {
        scene.lies(how);
        let (status, out, err) = site.run(&ENROL);
        assert!(status == 1 && err.contains(why) && !err.contains('\u{1b}'), "{why}: {out}{err}");
        assert!(!site.b.dir.join(IDENTITY).exists(), "{why}: it was taken");
        assert_eq!(scene.asked(), ["cacerts", "simpleenroll"]);
    }
    scene.lies(How::Well);
    site.does(&ENROL);
    let before = site.b.read(IDENTITY);
    // A renewal is for the same name.
    scene.lies(How::OtherName);
    let said = site.fails(&["renew", "--force"], "refused");
    assert!(said.contains("it has another name than the one that it renews"), "{said}");
    assert!(site.b.read(IDENTITY) == before, "what there was is not kept");
    assert_eq!(scene.asked(), ["cacerts", "simplereenroll"]);
}

#[test]
fn a_certificate_may_begin_after_it_was_asked_for() {
    let scene = Scene::new("liar-next");
    scene.lies(How::InTheNextSecond);
    scene.site.does(&ENROL);
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let scene = Scene::new("liar-later");
    let site = &scene.site;
    for (how, code) in [
        (How::Later(503, "7200"), "busy"),
        (How::Later(429, "7200"), "busy"),
        (How::Later(202, "7200"), "waits"),
        (How::Later(202, "99999999999999999999"), "waits"),
    ] {
        scene.lies(how);
        site.fails(&[&ENROL[..], &["--force"]].concat(), code);
        assert_eq!(scene.asked(), ["cacerts", "simpleenroll"]);
        scene.lies(how);
        let said = site.fails(&ENROL, "waits");
        assert!(said.contains("the server was not asked"), "{said}");
        assert_eq!(scene.asked(), Vec::<String>::new(), "it was asked");
    }
    // It says nothing of when.
    scene.lies(How::Text(503, "Not now."));
    site.fails(&[&ENROL[..], &["--force"]].concat(), "busy");
    scene.lies(How::Well);
    site.does(&ENROL);
}

#[test]
fn a_server_says_when_to_renew_within_reason() {
    const DAY: i64 = 86_400;
    let scene = Scene::new("liar-slot");
    let site = &scene.site;
    let seconds = |text: &serde_json::Value| {
        let said = foreign(&site.b.dir, "date", &["-d", text.as_str().unwrap(), "+%s"]);
        said.trim().parse::<i64>().unwrap()
    };
    let force = [&ENROL[..], &["--force"]].concat();
    let due = |how| {
        scene.lies(how);
        site.does(&force);
        let identity = site.identity();
        seconds(&identity["renew_from"]) - seconds(&identity["not_before"])
    };
    // The certificate lasts nine days. By itself the device comes between two thirds of that and three quarters.
    let by_itself = |due: i64| (6 * DAY..=6 * DAY + DAY * 3 / 4).contains(&due);
    assert!(by_itself(due(How::Well)));
    for after in ["0", "60", "350000", "770000", "777600", "99999999", "99999999999999999999", "soon"] {
        assert!(by_itself(due(How::RenewAfter(after))), "{after}");
    }
    for (after, at) in [("400000", 400_000), ("648000", 648_000)] {
        let due = due(How::RenewAfter(after));
        assert!((at..at + 600).contains(&due), "{due}");
    }
    // What was granted is for that certificate alone.
    let note = site.b.read("agent/identity/note.json");
    assert!(by_itself(due(How::Well)));
    site.b.write("agent/identity/note.json", note);
    let identity = site.identity();
    assert!(by_itself(seconds(&identity["renew_from"]) - seconds(&identity["not_before"])), "{identity}");
}
