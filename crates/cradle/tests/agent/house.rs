//! An image repository, a director, and a device with two slots, in one directory.

use crate::common::{Box_, foreign, text};
use adapters::clock::SystemClock;
use adapters::keystore::memory::MemoryKey;
use ports::{Clock, Signer};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use update::tuf::write::{Body, Custom, Draft, Key, Top};
use update::tuf::{Role, Root, Snapshot, Targets, Timestamp};
use update::{Image, Threshold};
use x509::{KeyType, sha256};

pub const ARGUMENTS: &str = "CRADLE_AGENT_ARGUMENTS";
/// If this is set, it is the program that is run, in place of the tests' own.
pub const PROGRAM: &str = "CRADLE_AGENT";
pub const DEVICE: &str = "urn:dev:ops:32473-gateway-SN%2D1";
/// One whose name is as long.
pub const SECOND: &str = "urn:dev:ops:32473-gateway-SN%2D2";
/// As much as is noted at once.
pub const PIECE: usize = 1024 * 1024;

/// Octets that nobody would guess, the same ones each time.
pub fn image(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// What an image repository says of an image.
pub struct Said<'a> {
    pub name: &'a str,
    pub octets: &'a [u8],
    pub counter: u64,
}

pub struct House {
    pub b: Box_,
    key: MemoryKey,
}

pub struct Served(Child, pub u16);
impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
impl Served {
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.1)
    }
}

fn signed<R: Role>(body: Body<R>, key: &MemoryKey) -> Vec<u8> {
    let mut draft: Draft<R> = body.draft().unwrap();
    draft.sign(&Key::new(key.public_key()).unwrap(), |message| key.sign(message)).unwrap();
    draft.write()
}

// Installs into the slot that does not run, and has the next start run it.
const INSTALL: &str = "#!/bin/sh\nset -e\ncd \"$(dirname \"$0\")\"\necho install >>did\n[ ! -e broken ] || { echo no flash >&2; exit 3; }\n\
    [ ! -e held ] || { echo $$ >pid.new; mv pid.new pid; timeout --foreground 20 cat held >/dev/null; }\nother=B; [ \"$(cat slot)\" = A ] || other=A\ncp \"$1\" slot-$other\n\
    [ ! -e at-once ] || echo $other >slot\necho $other >next\n";
const CONFIRM: &str = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho confirm \"$@\" >>did\n[ ! -e unwell ] || { echo no network >&2; exit 1; }\n";
const ACTIVE: &str = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho \"$PWD/slot-$(cat slot)\"\n";
const REVERT: &str = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho revert >>did\necho A >next\n";

pub const SLOTS: &str = "install = ['DIR/device/install', '{image}']\ncurrent = ['/bin/cat', 'DIR/device/slot']\n\
    confirm = ['DIR/device/confirm', '{component}', '{release_counter}', '{sha256}']\n";

impl House {
    /// A device that carries what the factory gave it, release counter 1, and a director who knows it.
    pub fn new(name: &str) -> Self {
        Self::with_keys(name, "EC -pkeyopt ec_paramgen_curve:P-256")
    }
    /// The same, with certificates for keys of another algorithm, as OpenSSL calls it.
    pub fn with_keys(name: &str, algorithm: &str) -> Self {
        let house = Self { b: Box_::empty(name), key: MemoryKey::generate(KeyType::Ed25519) };
        house.publish(1, &[]);
        house.certify(algorithm);
        let b = &house.b;
        b.write("pass", "a passphrase");
        b.write("device.toml", format!("device = \"{DEVICE}\"\nkey = \"device.pem\"\ngroups = [\"canary\"]\n[components.modem]\nhardware_id = \"modem.a\"\nkey = \"device.pem\"\n"));
        house.director(&[
            "init",
            "--root-keys",
            "root-keys",
            "--images-root",
            "images/metadata/1.root.json",
            "--root",
            "root.json",
        ]);
        house.director(&["device", "add", "device.toml"]);
        std::fs::create_dir_all(b.dir.join("device")).unwrap();
        for (name, script) in [("install", INSTALL), ("confirm", CONFIRM), ("revert", REVERT), ("active", ACTIVE)] {
            b.write(&format!("device/{name}"), script);
            foreign(&b.dir, "chmod", &["700", &format!("device/{name}")]);
        }
        for (name, said) in [("slot", "A"), ("next", "A"), ("boot", "1"), ("slot-A", "factory"), ("did", "")] {
            b.write(&format!("device/{name}"), said);
        }
        house
    }
    /// The device's configuration, asking at `url`.
    pub fn configure(&self, url: &str) {
        self.configure_with(url, "modem.a", 1, "");
    }
    pub fn configure_with(&self, url: &str, hardware_id: &str, counter: u64, slots: &str) {
        let tls = "[tls]\nanchors = 'ca.pem'\ncertificate = 'device.pem'\nkey = 'device.key'\npatience_s = 60\n";
        let tls = if url.starts_with("https") { tls } else { "" };
        let slots = SLOTS.to_owned() + slots;
        let slots = slots.replace("DIR", self.b.dir.to_str().unwrap());
        let factory = sha256(b"factory");
        self.b.write(
            "agent.toml",
            format!(
                "device = '{DEVICE}'\ndata = 'agent'\nkey = 'device.key'\nboot_id = 'device/boot'\n\
                 [director]\nurl = '{url}/director'\nroot = 'root.json'\n\
                 [images]\nmetadata = '{url}/images/metadata'\ntargets = '{url}/images/targets'\nroot = 'images/metadata/1.root.json'\n\
                 {tls}[components.modem]\nhardware_id = '{hardware_id}'\n\
                 carries = {{ target = 'factory.img', length = 7, sha256 = '{factory}', release_counter = {counter} }}\n\
                 [components.modem.slots]\n{slots}"
            ),
        );
    }
    /// Publishes these images for `modem.a`.
    pub fn publish(&self, version: u64, said: &[Said<'_>]) {
        self.publish_saying(version, said, "");
    }
    /// The same, and says more of each: members of `custom`.
    pub fn publish_saying(&self, version: u64, said: &[Said<'_>], more: &str) {
        let expires = SystemClock.now().plus_s(86_400);
        let write = |name: &str, octets: &[u8]| {
            let path = self.b.dir.join("images").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, octets).unwrap();
        };
        if version == 1 {
            let mut root = Body::<Root>::new(expires);
            let known = Key::new(self.key.public_key()).unwrap();
            Top::ALL.into_iter().for_each(|role| root.assign(role, std::slice::from_ref(&known), Threshold::ONE));
            write("metadata/1.root.json", &signed(root, &self.key));
        }
        let mut body = Body::<Targets>::new(expires).in_version(version);
        for Said { name, octets, counter } in said {
            let image = Image { digest: sha256(octets), length: octets.len().try_into().unwrap() };
            let custom = format!("{{\"release_counter\":{counter},\"hardware_ids\":[\"modem.a\",\"modem.b\"]{more}}}");
            body.set_target(name, image, Some(&Custom::of_json(custom.as_bytes()).unwrap())).unwrap();
            write(&format!("targets/{}.{name}", image.digest), octets);
        }
        let octets = signed(body, &self.key);
        write(&format!("metadata/{version}.targets.json"), &octets);
        let mut snapshot = Body::<Snapshot>::new(expires).in_version(version);
        snapshot.set("targets", version, Some(&octets));
        let snapshot = signed(snapshot, &self.key);
        write(&format!("metadata/{version}.snapshot.json"), &snapshot);
        let timestamp = Body::<Timestamp>::new(expires, version, &snapshot).in_version(version);
        write("metadata/timestamp.json", &signed(timestamp, &self.key));
    }
    /// Publishes an image and has the director give it to the device.
    pub fn direct(&self, version: u64, name: &str, octets: &[u8], counter: u64) {
        self.direct_saying(version, &Said { name, octets, counter }, "");
    }
    pub fn direct_saying(&self, version: u64, said: &Said<'_>, more: &str) {
        let Said { name, octets, counter } = *said;
        self.publish_saying(version, &[Said { name, octets, counter }], more);
        self.director(&["take", name, "--images", "images"]);
        self.assign(name);
    }
    pub fn assign(&self, name: &str) {
        self.director(&["assign", name, "--component", "modem", "--device", DEVICE]);
    }
    /// An authority, a server, and the certificates of three devices, by OpenSSL.
    fn certify(&self, algorithm: &str) {
        let dir = &self.b.dir;
        let openssl = |line: &str| foreign(dir, "openssl", &line.split(' ').collect::<Vec<_>>());
        let key = format!("genpkey -algorithm {algorithm} -out");
        openssl(&format!("{key} ca.key"));
        openssl(
            "req -x509 -new -key ca.key -subj /CN=ca -days 9 -out ca.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash",
        );
        let names = [
            ("server", "DNS:localhost", "serverAuth"),
            ("device", &format!("URI:{DEVICE}"), "clientAuth"),
            ("other", "URI:urn:dev:ops:32473-gateway-SN2", "clientAuth"),
            ("second", &format!("URI:{SECOND}"), "clientAuth"),
        ];
        for (n, (name, san, usage)) in names.into_iter().enumerate() {
            std::fs::write(dir.join("ext"), format!("subjectAltName={san}\nextendedKeyUsage={usage}\n")).unwrap();
            openssl(&format!("{key} {name}.key"));
            openssl(&format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
            let set = n + 2;
            openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial {set} -days 5 -extfile ext -out {name}.pem"
            ));
            foreign(dir, "chmod", &["600", &format!("{name}.key")]);
        }
    }
    fn words<'a>(words: &[&'a str]) -> Vec<&'a str> {
        [&["director", "--data", "d", "--passphrase-file", "pass"], words].concat()
    }
    pub fn director(&self, words: &[&str]) -> String {
        self.b.ok(&Self::words(words))
    }
    pub fn director_says(&self, words: &[&str]) -> Value {
        self.b.json(&Self::words(words))
    }
    pub fn serve(&self) -> Served {
        self.serve_with(&[])
    }
    /// What it logs is in `served.log`.
    pub fn serve_with(&self, more: &[&str]) -> Served {
        let words = Self::words(&[&["serve", "--listen", "127.0.0.1:0", "--images", "images"], more].concat());
        let log = std::fs::File::create(self.b.dir.join("served.log")).unwrap();
        let tls = ["--tls-certificate", "server.pem", "--tls-key", "server.key", "--device-anchors", "ca.pem"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_cradle"));
        let child = child.args(words).args(tls).current_dir(&self.b.dir).stdout(Stdio::piped()).stderr(log);
        let mut child = child.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let port = url.trim().rsplit(':').next().unwrap().parse().unwrap();
        Served(child, port)
    }
    /// A command of the agent, by the program in `before` if there is one.
    pub fn agent(&self, before: &[&str], arguments: &[&str]) -> Command {
        self.agent_of("agent.toml", before, arguments)
    }
    /// The same of another device.
    pub fn agent_of(&self, config: &str, before: &[&str], arguments: &[&str]) -> Command {
        let arguments = [arguments, &["--config", config]].concat();
        let own = std::env::current_exe().unwrap();
        let own = [own.to_str().unwrap(), "--exact", "the_agent", "--ignored", "--nocapture"];
        let other = std::env::var_os(PROGRAM).map(|program| program.into_string().unwrap());
        let words = match &other {
            Some(other) => [before, &[other.as_str()], &arguments].concat(),
            None => [before, &own].concat(),
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.b.dir).env(ARGUMENTS, arguments.join("\n"));
        command
    }
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        said(&self.agent(&[], arguments).output().unwrap())
    }
    /// One round that ends well, and what it says of the component.
    #[track_caller]
    pub fn update(&self) -> String {
        let (status, out, err) = self.run(&["update"]);
        assert_eq!(status, 0, "{out}{err}");
        out
    }
    /// One round that does not end well, and what it complains of.
    #[track_caller]
    pub fn fails(&self) -> String {
        let (status, out, err) = self.run(&["update"]);
        assert_eq!(status, 1, "{out}{err}");
        err
    }
    pub fn status(&self) -> Value {
        let (status, out, err) = self.run(&["status", "-o", "json"]);
        assert_eq!(status, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }
    /// The counter of what the modem carries, and how far something else is on its way.
    pub fn modem(&self) -> (u64, Option<String>) {
        let modem = &self.status()["components"][0];
        (modem["installed"]["release_counter"].as_u64().unwrap(), modem["pending"]["stage"].as_str().map(str::to_owned))
    }
    /// The device is started again, by its boot loader from the slot that is next.
    pub fn start(&self) {
        let next = self.b.read("device/next");
        self.start_from(text(&next).trim());
    }
    pub fn start_from(&self, slot: &str) {
        self.b.write("device/slot", slot);
        let boot = self.b.read("device/boot");
        self.b.write("device/boot", [boot.as_slice(), b"+"].concat());
    }
    /// Starts a round, and waits until it installs and goes no further.
    pub fn installing(&self) -> Child {
        foreign(&self.b.dir, "mkfifo", &["device/held"]);
        let agent = self.agent(&[], &["update"]).stderr(Stdio::null()).spawn().unwrap();
        assert!((0..10_000_000).any(|_| self.b.dir.join("device/pid").exists()), "nothing is installed");
        agent
    }
    /// Lets it go on.
    pub fn go_on(&self) {
        self.b.write("device/held", "go on\n");
        std::fs::remove_file(self.b.dir.join("device/held")).unwrap();
    }
    /// Which commands were run so far.
    pub fn did(&self) -> Vec<String> {
        text(&self.b.read("device/did")).lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }
    /// Manifests that the director has, and numbers that are missing.
    pub fn ledger(&self) -> (u64, u64) {
        let said = self.director_says(&["status"]);
        (said["manifests"].as_u64().unwrap(), said["missing_manifests"].as_u64().unwrap())
    }
}

/// Status, output and complaints of the agent, without what the harness says around it.
pub fn said(output: &Output) -> (i32, String, String) {
    let out = text(&output.stdout);
    let out = out.split_once("running 1 test\n").map_or(out.as_str(), |(_, after)| after).to_owned();
    (output.status.code().unwrap_or(-1), out, text(&output.stderr))
}
