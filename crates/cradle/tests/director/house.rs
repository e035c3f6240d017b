//! A director in a process of its own, its devices, and what they send.

use crate::common::{Box_, foreign, text};
use adapters::clock::SystemClock;
use adapters::keystore::memory::MemoryKey;
use adapters::sealing::seal;
use ports::{Clock, Signer};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use update::tuf::write::{Body, Custom, Draft, Key, Top};
use update::tuf::{Role, Root, Snapshot, Targets, Timestamp};
use update::uptane::{ManifestKey, Report, SealedManifest, write_manifest, write_report};
use update::{Image, Threshold};
use x509::{KeyType, pem, sha256};

pub const IMAGE: &[u8] = b"what a modem runs";
pub const DEVICE: &str = "urn:dev:ops:32473-gateway-SN%2D1";
pub const OTHER: &str = "urn:dev:ops:32473-gateway-SN2";

/// An image repository with these targets for `modem.a`, in `images`.
pub fn publish(dir: &Path, targets: &[(&str, u64)]) {
    let key = MemoryKey::generate(KeyType::Ed25519);
    let expires = SystemClock.now().plus_s(86_400);
    let known = Key::new(key.public_key()).unwrap();
    let write = |name: &str, octets: &[u8]| {
        let path = dir.join("images").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, octets).unwrap();
    };
    pub fn signed<R: Role>(body: Body<R>, key: &MemoryKey, known: &Key) -> Vec<u8> {
        let mut draft: Draft<R> = body.draft().unwrap();
        draft.sign(known, |message| key.sign(message)).unwrap();
        draft.write()
    }
    let mut root = Body::<Root>::new(expires);
    Top::ALL.into_iter().for_each(|role| root.assign(role, std::slice::from_ref(&known), Threshold::ONE));
    write("metadata/1.root.json", &signed(root, &key, &known));
    let image = Image { digest: sha256(IMAGE), length: IMAGE.len().try_into().unwrap() };
    let mut body = Body::<Targets>::new(expires);
    for (target, counter) in targets {
        let custom = format!("{{\"release_counter\":{counter},\"hardware_ids\":[\"modem.a\"]}}");
        body.set_target(target, image, Some(&Custom::of_json(custom.as_bytes()).unwrap())).unwrap();
        write(&format!("targets/{}.{target}", sha256(IMAGE)), IMAGE);
    }
    body.set_target("plain.img", image, None).unwrap();
    let octets = signed(body, &key, &known);
    write("metadata/1.targets.json", &octets);
    let mut snapshot = Body::<Snapshot>::new(expires);
    snapshot.set("targets", 1, Some(&octets));
    let snapshot = signed(snapshot, &key, &known);
    write("metadata/1.snapshot.json", &snapshot);
    write("metadata/timestamp.json", &signed(Body::<Timestamp>::new(expires, 1, &snapshot), &key, &known));
}

const NEW_KEY: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out";
const CA: &str = "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\ncrlnumber=crlnumber\ndefault_md=sha256\n\
    default_crl_days=9\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";

/// An authority, in NAME.key and NAME.pem. All of them have the same name.
pub fn authority(dir: &Path, name: &str) {
    let openssl = |line: &str| foreign(dir, "openssl", &line.split(' ').collect::<Vec<_>>());
    openssl(&format!("{NEW_KEY} {name}.key"));
    openssl(&format!(
        "req -x509 -new -key {name}.key -subj /CN=ca -days 9 -out {name}.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash"
    ));
}

/// What a certificate says: a name, and what it is for.
pub type Says<'a> = (&'a str, &'a str);

/// A key and a certificate for five days, in NAME.key and NAME.pem, of an authority, and with this number. `before` runs OpenSSL.
pub fn certificate(dir: &Path, name: &str, (san, usage): Says<'_>, (by, number): (&str, usize), before: &[&str]) {
    let openssl = |line: &str| {
        let words = [before, &["openssl"], &line.split(' ').collect::<Vec<_>>()].concat();
        foreign(dir, words[0], &words[1..])
    };
    std::fs::write(dir.join("ext"), format!("subjectAltName={san}\nextendedKeyUsage={usage}\n")).unwrap();
    openssl(&format!("{NEW_KEY} {name}.key"));
    openssl(&format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
    openssl(&format!(
        "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -set_serial {number} -days 5 -extfile ext -out {name}.pem"
    ));
}

/// Revokes a certificate; the list does not say so yet.
pub fn revoke(dir: &Path, name: &str) {
    let certificate = format!("{name}.pem");
    let by = ["ca", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.pem"];
    foreign(dir, "openssl", &[&by[..], &["-revoke", &certificate]].concat());
}

/// Makes the list of what is revoked.
pub fn list_revoked(dir: &Path) {
    let by = ["ca", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.pem"];
    foreign(dir, "openssl", &[&by[..], &["-gencrl", "-out", "ca.crl"]].concat());
}

/// An authority, a server, and the certificates of two devices, by OpenSSL.
pub fn certify(dir: &Path) {
    authority(dir, "ca");
    certificate(dir, "server", ("DNS:localhost", "serverAuth"), ("ca", 2), &[]);
    certificate(dir, "device", (&format!("URI:{DEVICE}"), "clientAuth"), ("ca", 3), &[]);
    certificate(dir, "other", (&format!("URI:{OTHER}"), "clientAuth"), ("ca", 4), &[]);
    certificate(dir, "module", ("URI:cradle:module:software:line-1", "clientAuth"), ("ca", 5), &[]);
    foreign(dir, "chmod", &["600", "server.key"]);
    for (name, text) in [("ca.cnf", CA), ("index", ""), ("crlnumber", "01\n")] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    list_revoked(dir);
}

pub struct Served(pub Child, pub String);
impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// What the device sends, sealed to this key.
pub fn sealed(key: ManifestKey, octets: &[u8]) -> Vec<u8> {
    let info = SealedManifest::info(key.name(), &DEVICE.parse().unwrap());
    SealedManifest { key: key.name(), sealed: seal(octets, &info, key.octets()).unwrap() }.encode()
}

/// A director with one device that is registered, in the directory of a box.
pub struct House {
    pub b: Box_,
    pub keys: [MemoryKey; 2],
}

impl House {
    pub fn new(name: &str) -> Self {
        let b = Box_::empty(name);
        publish(&b.dir, &[("os.img", 2), ("newer.img", 3)]);
        certify(&b.dir);
        b.write("pass", "a passphrase");
        let keys = [MemoryKey::generate(KeyType::Ed25519), MemoryKey::generate(KeyType::Ed25519)];
        for (key, name) in keys.iter().zip(["unit.pub", "modem.pub"]) {
            b.write(name, pem::encode("PUBLIC KEY", key.public_key().spki()));
        }
        b.write("device.toml", format!("device = \"{DEVICE}\"\nkey = \"unit.pub\"\ngroups = [\"canary\"]\n[components.modem]\nhardware_id = \"modem.a\"\nkey = \"modem.pub\"\n"));
        b.write(
            "inventory.toml",
            format!("device = \"{DEVICE}\"\n[components.modem]\nhardware_id = \"modem.a\"\nrelease_counter = 1\n"),
        );
        let house = Self { b, keys };
        house.ok(&[
            "init",
            "--root-keys",
            "root-keys",
            "--images-root",
            "images/metadata/1.root.json",
            "--root",
            "root.json",
        ]);
        house.ok(&["device", "add", "device.toml"]);
        house
    }
    pub fn words<'a>(&self, words: &[&'a str]) -> Vec<&'a str> {
        [&["director", "--data", "d", "--passphrase-file", "pass"], words].concat()
    }
    pub fn ok(&self, words: &[&str]) -> String {
        self.b.ok(&self.words(words))
    }
    pub fn json(&self, words: &[&str]) -> serde_json::Value {
        self.b.json(&self.words(words))
    }
    #[track_caller]
    pub fn refused(&self, words: &[&str], status: i32, why: &str) {
        let output = self.b.run(&self.words(words));
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(status) && said.contains(why), "{:?}: {said}", output.status);
    }
    pub fn serve(&self) -> Served {
        self.serve_with(&[])
    }
    pub fn serve_with(&self, more: &[&str]) -> Served {
        self.serve_alone(&[["--images", "images"].as_slice(), more].concat())
    }
    pub fn serve_alone(&self, more: &[&str]) -> Served {
        let words = self.words(&["serve", "--listen", "127.0.0.1:0", "--tls-certificate", "server.pem"]);
        let words = [words.as_slice(), &["--tls-key", "server.key", "--device-anchors", "ca.pem"], more].concat();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cradle"));
        let mut child = child.args(words).current_dir(&self.b.dir).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let port = url.trim().rsplit(':').next().unwrap().to_owned();
        Served(child, format!("https://localhost:{port}"))
    }
    /// What the client of a device says, and its status.
    pub fn follow(&self, served: &Served, as_: &str, verb: &str) -> (i32, String) {
        let root = self.b.dir.join("md").exists();
        if !root {
            self.b.ok(&["uptane-client", "--metadata-dir", "md", "init", "root.json", "images/metadata/1.root.json"]);
        }
        let (director, images) = (format!("{}/director/{DEVICE}/metadata", served.1), format!("{}/images", served.1));
        let (metadata, targets) = (format!("{images}/metadata"), format!("{images}/targets"));
        let (certificate, key) = (format!("{as_}.pem"), format!("{as_}.key"));
        let words = [
            "uptane-client",
            "-o",
            "json",
            "--metadata-dir",
            "md",
            "--director-url",
            &director,
            "--images-url",
            &metadata,
        ];
        let words = [
            words.as_slice(),
            &["--target-base-url", &targets, "--target-dir", "kept", "--inventory", "inventory.toml"],
        ]
        .concat();
        let words = [
            words.as_slice(),
            &["--tls-anchors", "ca.pem", "--tls-certificate", &certificate, "--tls-key", &key, verb],
        ]
        .concat();
        let output = self.b.run(&words);
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }
    /// What curl is answered, and with which status at the end; as nobody if `as_` is empty.
    pub fn curl(&self, served: &Served, as_: &str, path: &str, more: &[&str]) -> (String, String) {
        let (url, certificate, key) = (format!("{}/{path}", served.1), format!("{as_}.pem"), format!("{as_}.key"));
        let shown = ["--cert", &certificate, "--key", &key];
        let shown = if as_.is_empty() { &shown[..0] } else { &shown };
        let mut curl = Command::new("curl");
        curl.current_dir(&self.b.dir).args(["-s", "--path-as-is", "-w", "\n%{http_code}", "--cacert", "ca.pem"]);
        let said = text(&curl.args(shown).args(more).arg(&url).output().unwrap().stdout);
        let (body, status) = said.rsplit_once('\n').unwrap();
        (body.to_owned(), status.to_owned())
    }
    /// Writes a manifest, sealed to this key.
    pub fn manifest(&self, key: ManifestKey, nonce: &str, image: &str, counter: u64) {
        let nonce = nonce.parse().unwrap();
        let report = Report {
            component: "modem".parse().unwrap(),
            hardware_id: "modem.a".parse().unwrap(),
            target: image.into(),
            image: Image { digest: sha256(IMAGE), length: IMAGE.len().try_into().unwrap() },
            counter,
        };
        let report = write_report(&report, nonce, |message| self.keys[1].sign(message)).unwrap();
        let device = DEVICE.parse().unwrap();
        let manifest = write_manifest(&device, nonce, &[report], |message| self.keys[0].sign(message));
        self.b.write("manifest", sealed(key, &manifest.unwrap()));
    }
    /// The keys that the director has: the first is announced.
    pub fn sealing_keys(&self, words: &[&str]) -> (ManifestKey, Option<ManifestKey>) {
        let said = self.json(&[&["manifest-key"], words].concat());
        let key = |name: &str| said[name].as_str().map(|key| key.to_owned().try_into().unwrap());
        (key("manifest_key").unwrap(), key("before"))
    }
    /// A nonce for the next manifest.
    pub fn nonce(&self, served: &Served) -> String {
        let (said, _) = self.curl(served, "device", &format!("director/{DEVICE}/nonce"), &[]);
        // Whatever the number is.
        assert_eq!(said.len(), 128);
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["nonce"].as_str().unwrap().to_owned()
    }
    /// The device reports what it carries.
    pub fn report(&self, served: &Served, image: &str, counter: u64) {
        self.manifest(self.sealing_keys(&[]).0, &self.nonce(served), image, counter);
        let (said, status) = self.send(served);
        assert_eq!((status.as_str(), said.len()), ("200", 128), "{said}");
    }
    pub fn send(&self, served: &Served) -> (String, String) {
        self.curl(served, "device", &format!("director/{DEVICE}/manifest"), &["--data-binary", "@manifest"])
    }
}

/// The path of a device over hawkBit's interface, for itself.
pub fn ddi(rest: &str) -> String {
    format!("default/controller/v1/{DEVICE}{rest}")
}
pub fn said(execution: &str, finished: &str) -> String {
    format!(
        "{{\"id\":\"1\",\"status\":{{\"execution\":\"{execution}\",\"result\":{{\"finished\":\"{finished}\"}},\
         \"details\":[\"ERROR: \\u001b[31mno room\"]}}}}"
    )
}

impl House {
    /// One whose gateways are served over DDI, and whose device is to get this.
    pub fn with_ddi(name: &str, image: &str) -> Self {
        let house = Self::new(name);
        house.ok(&["type", "gateway", "--over", "ddi"]);
        house.ok(&["take", "os.img", "newer.img", "--images", "images"]);
        house.ok(&["assign", image, "--component", "modem", "--device", DEVICE]);
        house
    }
    /// What a device is answered over DDI, which must be JSON.
    #[track_caller]
    pub fn asks(&self, served: &Served, path: &str) -> serde_json::Value {
        let (body, status) = self.curl(served, "device", path, &[]);
        assert_eq!(status, "200", "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
    /// The path behind a link of an answer.
    #[track_caller]
    pub fn link(&self, served: &Served, answer: &serde_json::Value, name: &str) -> String {
        let href = answer["_links"][name]["href"].as_str().unwrap_or_else(|| panic!("no {name} in {answer}"));
        href.strip_prefix(&format!("{}/", served.1)).unwrap().to_owned()
    }
    #[track_caller]
    pub fn tells(&self, served: &Served, method: &str, path: &str, text: &str, expected: &str) -> String {
        self.b.write("said.json", text);
        let more = ["-X", method, "-H", "content-type: application/json", "--data-binary", "@said.json"];
        let (body, status) = self.curl(served, "device", path, &more);
        assert_eq!(status, expected, "{method} {path}: {body}");
        body
    }
}
