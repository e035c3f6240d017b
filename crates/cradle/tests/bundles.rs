//! A box that follows repositories: what comes onto its boards, and what does not, whoever's key is in other hands.
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
#[path = "../../update/tests/repository/mod.rs"]
mod repository;

use adapters::clock::SystemEntropy;
use adapters::keystore::FileKeystore;
use adapters::vault::{DirectoryVault, VaultPrivateKey, VaultPublicKey};
use common::{Box_, text};
use model::Digest;
use ports::keystore::KeyUri;
use ports::store::SoftwareStore;
use ports::store::software::BundleRow;
use ports::vault::Vault;
use ports::{Keystore, jws};
use repository::{Repository, announced};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use update::bundle::{BUNDLE_COUNTERSIGNATURE, Bundle, Statement};

/// After the end of any machine that runs this.
const EXPIRES: &str = "2199-01-01T00:00:00Z";

fn image(counter: u8) -> Vec<u8> {
    vec![counter; 100_000]
}

/// A maker with an image repository, and a director if the box follows one.
struct Maker {
    images: Repository,
    director: Option<Repository>,
}

fn repository() -> Repository {
    let mut repository = Repository::new();
    for role in repository::ROLES {
        repository.of(role)["expires"] = json!(EXPIRES);
        repository.put(role);
    }
    repository
}

impl Maker {
    fn new() -> Self {
        let mut maker = Self { images: repository(), director: None };
        maker.release(1);
        maker
    }
    fn directed(device: &str) -> Self {
        let mut director = repository();
        director.of("root")["custom"] = json!("what makes it another root");
        director.put("root");
        director.kept.insert("root.json".into(), director.published["1.root.json"].clone());
        director.of("targets")["custom"] = json!({"device": device});
        let mut maker = Self { director: Some(director), ..Self::new() };
        maker.direct(1);
        maker
    }
    fn release(&mut self, counter: u8) {
        let mut target = announced(&image(counter));
        target["custom"] = json!({"release": "app", "release_version": counter.to_string(), "release_counter": counter, "hardware_ids": ["sensor"]});
        self.images.of("targets")["targets"][format!("app-{counter}.img")] = target;
        self.images.publish_targets();
    }
    fn direct(&mut self, counter: u8) {
        let director = self.director.as_mut().unwrap();
        let mut target = announced(&image(counter));
        target["custom"] = json!({"release_counter": counter, "components": {"sensor": {"hardware_id": "sensor"}}});
        director.of("targets")["targets"] = json!({});
        director.of("targets")["targets"][format!("app-{counter}.img")] = target;
        director.publish_targets();
    }
    /// Writes all that is published to a stick.
    fn stick(&self, b: &Box_, name: &str) {
        let put = |path: String, octets: &[u8]| {
            let path = b.dir.join(name).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, octets).unwrap();
        };
        for (repository, below) in [(Some(&self.images), "images"), (self.director.as_ref(), "director")] {
            for (file, octets) in repository.iter().flat_map(|repository| &repository.published) {
                put(format!("{below}/metadata/{file}"), octets);
            }
        }
        for name in self.images.says["targets"]["targets"].as_object().unwrap().keys() {
            let counter = name.trim_start_matches("app-").trim_end_matches(".img").parse().unwrap();
            put(format!("images/targets/{}.{name}", x509::sha256(&image(counter))), &image(counter));
        }
    }
    fn followed_by(&self, b: &Box_) {
        b.write("images-root.json", &self.images.published["1.root.json"]);
        let mut words = vec!["release", "follow", "--images", "images-root.json"];
        if let Some(director) = &self.director {
            b.write("director-root.json", &director.published["1.root.json"]);
            words.extend(["--director", "director-root.json"]);
        }
        b.ok(&words);
    }
}

/// A box that expects sensors and follows a maker, with the mode in which sticks are read.
fn following(name: &str, maker: &Maker) -> Box_ {
    let b = Box_::new(name);
    b.device_type("sensor", "");
    let list: String = (1..=20).map(|n| format!("SN{n:06},sensor\n")).collect();
    b.write("devices.csv", format!("serial,type\n{list}"));
    b.ok(&["list", "import", "devices.csv"]);
    maker.followed_by(&b);
    b.ok(&["mode", "set", "software-import"]);
    b
}
/// The same, with the first release imported and the line ready.
fn supplied(name: &str, maker: &Maker) -> Box_ {
    let b = following(name, maker);
    maker.stick(&b, "stick");
    b.ok(&["release", "import", "stick"]);
    b.ok(&["mode", "set", "provision"]);
    b
}
fn mode(b: &Box_) -> Value {
    b.json(&["mode", "show"])["mode"].clone()
}

/// What sm holds, in the attacker's hands: its key, the vault, the records.
struct Stolen {
    keystore: FileKeystore,
    vault: DirectoryVault,
}
type Files = BTreeMap<String, Vec<u8>>;

impl Stolen {
    fn of(b: &Box_) -> Self {
        let entropy = Arc::new(SystemEntropy::default());
        let passphrase = std::fs::read(b.data().join("secrets/passphrase")).unwrap();
        let keystore = FileKeystore::new(b.data().join("keys"), passphrase.into(), entropy.clone());
        let config: toml::Table = std::fs::read_to_string(b.data().join("cradle.toml")).unwrap().parse().unwrap();
        let reader = |name: &str| config["vault"][name].as_str().unwrap().parse::<Digest>().unwrap();
        let readers = ["software", "provisioning"].map(|name| VaultPublicKey::new(*reader(name).octets()));
        let key = VaultPrivateKey::from_pkcs8(&keystore.kept("vault.software").unwrap()).unwrap();
        let vault = DirectoryVault::open(&b.data().join("vault"), readers.to_vec(), Some(key), entropy).unwrap();
        Self { keystore, vault }
    }
    fn octets(&self, row: &BundleRow) -> Vec<u8> {
        let mut octets = Vec::new();
        self.vault.open(&row.blob).unwrap().read_to_end(&mut octets).unwrap();
        octets
    }
    /// Puts another bundle in the place of the last one: signed with sm's key, as if it had been verified now.
    fn forge(&self, b: &Box_, change: impl FnOnce(&mut Files)) {
        self.forge_as("module.software", b, change);
    }
    /// The same, signed with the key of another module.
    fn forge_as(&self, label: &str, b: &Box_, change: impl FnOnce(&mut Files)) {
        let store = b.store();
        let row = store.last_bundle().unwrap().unwrap();
        let bundle = Bundle::decode(&self.octets(&row)).unwrap();
        let mut files = bundle.files().clone();
        change(&mut files);
        let entry = |(name, octets): (&String, &Vec<u8>)| json!({"name": name, "length": octets.len(), "sha256": x509::sha256(octets)});
        let mut manifest = serde_json::to_value(bundle.manifest()).unwrap();
        manifest["files"] = files.iter().map(entry).collect();
        let line = serde_json::to_vec(&manifest).unwrap();
        let octets = [line.clone(), b"\n".to_vec(), files.values().flatten().copied().collect()].concat();
        let at = adapters_now();
        let device = "urn:dev:ops:32473-box-line%2D1".parse().unwrap();
        let statement = Statement { bundle: x509::sha256(&line), device, verified_at: at }.encode();
        let key = self.keystore.open(&KeyUri(format!("file:{label}"))).unwrap();
        let countersignature = jws::sign(BUNDLE_COUNTERSIGNATURE, &statement, key.as_ref()).unwrap();
        let blob = self.vault.put(&mut octets.as_slice(), u64::MAX).unwrap();
        let forged = BundleRow { digest: x509::sha256(&line), blob, countersignature, at, ..row };
        store.store_bundle(&forged).unwrap();
    }
}
fn adapters_now() -> model::UnixTime {
    ports::Clock::now(&adapters::clock::SystemClock)
}

#[test]
fn what_the_repository_says_comes_onto_the_boards() {
    let mut maker = Maker::new();
    let b = supplied("bundles-line", &maker);
    assert_eq!(b.count("sensor")["provisioned"], 6);
    let rows = b.json(&["release", "list"]);
    let row = &rows.as_array().unwrap()[0];
    assert_eq!((&row["release"], &row["device_type"], &row["counter"]), (&json!("app 1"), &json!("sensor"), &json!(1)));
    maker.release(2);
    maker.stick(&b, "stick");
    b.ok(&["mode", "set", "software-import"]);
    let imported = b.json(&["release", "import", "stick"]);
    let [release] = imported["releases"].as_array().unwrap().as_slice() else { panic!("{imported}") };
    assert_eq!((&release["release"], &release["fetched"]), (&json!("app 2"), &json!(true)));
    assert_eq!(b.json(&["release", "import", "stick"])["releases"][0]["fetched"], json!(false));
    assert!(b.ok(&["release", "scrub"]).contains("whole"));
    assert_eq!(b.json(&["release", "list"]).as_array().unwrap().len(), 2);
    let log = b.ok(&["audit", "list", "-o", "jsonl"]);
    assert!(log.contains("\"repositories-followed\"") && log.contains("\"bundle-stored\""), "{log}");
    assert_eq!(b.sound()["devices_provisioned"], json!(6));
    b.sql("DELETE FROM bundle_release; DELETE FROM bundle");
    b.fails(&["verify", "--deep"], 1, "records-disagree");
}
#[test]
fn a_director_says_what_this_box_gets() {
    let mut maker = Maker::directed("urn:dev:ops:32473-box-line%2D1");
    maker.release(2);
    let b = supplied("bundles-director", &maker);
    assert_eq!(
        b.json(&["release", "list"])[0]["counter"],
        json!(1),
        "there is a newer one, and it is not for this box"
    );
    assert_eq!(b.count("sensor")["provisioned"], 6);
    b.ok(&["mode", "set", "software-import"]);
    maker.direct(2);
    maker.stick(&b, "stick");
    assert_eq!(b.json(&["release", "import", "stick"])["releases"][0]["counter"], json!(2));
    let mut another = Maker::directed("urn:dev:ops:32473-box-another");
    (0..3).for_each(|_| another.direct(1));
    another.followed_by(&b);
    another.stick(&b, "another");
    let said = b.fails(&["release", "import", "another"], 7, "upstream-signature");
    assert!(said.contains("for another device") && said.contains("mix-and-match"), "{said}");
}
#[test]
fn a_box_that_follows_nothing_says_so() {
    let b = Box_::new("bundles-nothing");
    Maker::new().stick(&b, "stick");
    b.ok(&["mode", "set", "software-import"]);
    b.fails(&["release", "import", "stick"], 7, "nothing-followed");
    b.fails(&["release", "export", "out"], 5, "release-unknown");
    b.write("no-root.json", "{}");
    b.fails(&["release", "follow", "--images", "no-root.json"], 1, "root");
}
#[test]
fn sticks_that_are_older_or_altered_are_refused() {
    let mut maker = Maker::new();
    let b = following("bundles-sticks", &maker);
    maker.stick(&b, "old");
    maker.release(2);
    maker.stick(&b, "new");
    b.ok(&["release", "import", "new"]);
    let said = b.fails(&["release", "import", "old"], 7, "release-rolled-back");
    assert!(said.contains("images/timestamp.json") && said.contains("what was imported before stands"), "{said}");
    maker.release(3);
    maker.stick(&b, "altered");
    let path = b.dir.join(format!("altered/images/targets/{}.app-3.img", x509::sha256(&image(3))));
    std::fs::write(&path, image(4)).unwrap();
    b.fails(&["release", "import", "altered"], 7, "image-mismatch");
    std::fs::write(&path, [image(3), vec![3]].concat()).unwrap();
    b.fails(&["release", "import", "altered"], 7, "image-too-long");
    std::fs::remove_file(&path).unwrap();
    b.fails(&["release", "import", "altered"], 3, "unavailable");
    b.fails(&["release", "import", "nowhere"], 5, "file");
    let log = b.json(&["audit", "list"]);
    let refused =
        log.as_array().unwrap().iter().filter_map(|entry| entry["event"]["bundle-refused"]["reason"].as_str());
    assert_eq!(refused.collect::<Vec<_>>(), ["release-rolled-back", "image-mismatch", "image-too-long"]);
    assert_eq!(b.json(&["release", "list"])[0]["counter"], json!(2));
}
#[test]
fn what_is_altered_at_rest_stops_the_line_and_is_mended() {
    let maker = Maker::new();
    let b = supplied("bundles-altered", &maker);
    for entry in std::fs::read_dir(b.data().join("vault")).unwrap() {
        let path = entry.unwrap().path();
        let mut octets = std::fs::read(&path).unwrap();
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        std::fs::write(&path, octets).unwrap();
    }
    b.fails(&["station", "run", "sensor"], 7, "image-mismatch");
    let row = b.store().last_bundle().unwrap().unwrap();
    for blob in [&row.blob, &row.releases[0].image] {
        std::fs::remove_file(b.data().join("vault").join(&blob.0)).unwrap();
    }
    let said = text(&b.run(&["doctor"]).stdout);
    assert!(said.contains(&format!("bundle {}: vault/", row.digest)) && said.contains("app 1 for sensor"), "{said}");
    b.ok(&["mode", "set", "certificate-management"]);
    b.fails(&["release", "scrub"], 3, "module-off");
    b.ok(&["mode", "set", "software-import"]);
    b.fails(&["release", "scrub"], 1, "damaged");
    b.ok(&["release", "import", "stick"]);
    b.ok(&["release", "scrub"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
}
#[test]
fn a_bundle_goes_to_another_box_on_a_stick() {
    let maker = Maker::directed("urn:dev:ops:32473-box-line%2D1");
    let b = supplied("bundles-export", &maker);
    b.ok(&["release", "export", "out"]);
    b.fails(&["release", "export", "out"], 6, "exists");
    assert!(!b.dir.join("out/images/metadata/1.root.json").exists(), "nobody gets his first root from a stick");
    let shown = b.json(&["inspect", "out/bundle.json"]);
    assert_eq!((&shown["kind"], &shown["images"][0]["counter"]), (&json!("bundle"), &json!(1)));
    let other = following("bundles-export-other", &maker);
    let stick = b.dir.join("out");
    other.ok(&["release", "import", stick.to_str().unwrap()]);
    other.ok(&["mode", "set", "provision"]);
    assert_eq!(other.count("sensor")["provisioned"], 6);
}
#[test]
fn a_station_has_an_age_beyond_which_it_wants_a_fresh_word() {
    let maker = Maker::new();
    let b = supplied("bundles-age", &maker);
    let path = b.data().join("device-types/sensor.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("bundle_age_max_s = 0\n{text}")).unwrap();
    b.fails(&["station", "run", "sensor"], 7, "release-expired");
    std::fs::write(&path, text).unwrap();
    assert_eq!(b.count("sensor")["provisioned"], 6);
}
#[test]
fn a_station_may_demand_that_two_roles_sign() {
    let mut maker = Maker::directed("urn:dev:ops:32473-box-line%2D1");
    let b = supplied("bundles-two-roles", &maker);
    let path = b.data().join("device-types/sensor.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("signing_roles_min = 2\n{text}")).unwrap();
    b.fails(&["station", "run", "sensor"], 7, "second-signature-missing");
    // Supplier and integrator say the same of the next release, each with a key of its own.
    let role = |name: &str, key: u8| json!({"rolename": name, "keyids": [repository::id(key)], "threshold": 1});
    maker.release(2);
    let about = maker.images.of("targets")["targets"].as_object_mut().unwrap().remove("app-2.img").unwrap();
    maker.images.of("targets")["delegations"] = json!({"keys": repository::keys(&[5, 6]), "roles": [{
        "name": "both", "paths": ["app-2.img"], "terminating": true, "min_roles_in_agreement": 2,
        "roles": [role("supplier", 5), role("integrator", 6)],
    }]});
    for (name, key) in [("supplier", 5), ("integrator", 6)] {
        maker.images.role(name, key);
        maker.images.of(name)["expires"] = json!(EXPIRES);
        maker.images.of(name)["targets"]["app-2.img"] = about.clone();
    }
    maker.images.publish_targets();
    maker.direct(2);
    maker.stick(&b, "next");
    let to = b.dir.join(format!("next/images/targets/{}.app-2.img", x509::sha256(&image(2))));
    std::fs::write(to, image(2)).unwrap();
    b.ok(&["mode", "set", "software-import"]);
    b.ok(&["release", "import", "next"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
}
#[test]
fn roots_in_the_data_directory_are_those_that_the_settings_name() {
    let (maker, other) = (Maker::new(), repository());
    let b = supplied("bundles-roots", &maker);
    let mut octets = other.published["1.root.json"].clone();
    octets.push(b'\n');
    std::fs::write(b.data().join("roots/images.json"), octets).unwrap();
    b.fails(&["station", "run", "sensor"], 1, "root");
    std::fs::remove_file(b.data().join("roots/images.json")).unwrap();
    b.fails(&["station", "run", "sensor"], 5, "file");
    maker.followed_by(&b);
    assert_eq!(b.count("sensor")["provisioned"], 6);
}
#[test]
fn a_network_is_reached_in_its_mode_only() {
    let maker = Maker::directed("urn:dev:ops:32473-box-line%2D1");
    let b = following("bundles-http", &maker);
    maker.stick(&b, "www");
    let (listener, root) = (TcpListener::bind("127.0.0.1:0").unwrap(), b.dir.join("www"));
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(&root, stream.unwrap())));
    let images = format!("http://127.0.0.1:{port}/images");
    let director = format!("http://127.0.0.1:{port}/director/");
    let import = ["release", "import", &images, "--director", &director];
    let said = b.fails(&import, 3, "wrong-mode");
    assert!(said.contains("cradle mode set software-management"), "{said}");
    b.ok(&["mode", "set", "software-management"]);
    b.ok(&import);
    b.fails(&["release", "import", &images], 3, "unavailable");
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
}
fn serve(root: &Path, mut stream: std::net::TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        head.push(octet[0]);
    }
    let path = text(&head).split(' ').nth(1).unwrap().to_owned();
    let answer = match std::fs::read(root.join(path.trim_start_matches('/'))) {
        Ok(octets) => {
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", octets.len()).into_bytes(), octets].concat()
        }
        Err(_) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    };
    let _closed = stream.write_all(&answer);
}

// sm's key is in the attacker's hands, with its records and its vault.

#[test]
fn whoever_has_sms_key_cannot_flash_what_upstream_did_not_sign() {
    let mut maker = Maker::new();
    let b = supplied("bundles-sm", &maker);
    let stolen = Stolen::of(&b);
    // Targets that the attacker has signed with keys of his own, in the place of the real ones.
    let version = maker.images.version("targets");
    maker.images.of("targets")["targets"]["app-1.img"]["hashes"]["sha256"] = json!(x509::sha256(&image(9)));
    maker.images.signers.insert("targets".into(), vec![99]);
    maker.images.put("targets");
    let file = format!("{version}.targets.json");
    let hostile = maker.images.published[&file].clone();
    stolen.forge(&b, |files| drop(files.insert(format!("images/{file}"), hostile)));
    b.fails(&["station", "run", "sensor"], 7, "upstream-signature");
    assert_eq!(mode(&b), "provision-software", "one of the two signatures holds: the box is not sealed");
}
#[test]
fn whoever_has_sms_key_cannot_exchange_an_image() {
    let b = supplied("bundles-image", &Maker::new());
    let (stolen, store) = (Stolen::of(&b), b.store());
    let mut row = store.last_bundle().unwrap().unwrap();
    row.releases[0].image = stolen.vault.put(&mut image(9).as_slice(), u64::MAX).unwrap();
    store.store_bundle(&row).unwrap();
    drop(store);
    b.fails(&["station", "run", "sensor"], 7, "image-mismatch");
}
#[test]
fn whoever_has_sms_key_cannot_go_back() {
    let mut maker = Maker::new();
    let b = supplied("bundles-back", &maker);
    let stolen = Stolen::of(&b);
    let row = b.store().last_bundle().unwrap().unwrap();
    let old = Bundle::decode(&stolen.octets(&row)).unwrap().files().clone();
    maker.release(2);
    maker.stick(&b, "stick");
    b.ok(&["mode", "set", "software-import"]);
    b.ok(&["release", "import", "stick"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
    b.ok(&["mode", "set", "provision"]);
    // All that was genuine once, countersigned as if it had been verified now.
    {
        let store = b.store();
        let first = store.bundles().unwrap().pop().unwrap();
        assert_eq!(first.releases[0].counter, 1);
        store.store_bundle(&first).unwrap();
    }
    stolen.forge(&b, |files| *files = old);
    b.fails(&["station", "run", "sensor"], 7, "release-rolled-back");
    // With what the station has seen taken away, its floor still stands.
    b.sql("DELETE FROM trusted_file WHERE module = 'provisioning'");
    b.fails(&["station", "run", "sensor"], 7, "release-rolled-back");
    assert_eq!(mode(&b), "provision-software");
}
#[test]
fn a_countersignature_that_is_none_stops_the_line() {
    let b = supplied("bundles-counter", &Maker::new());
    b.sql("UPDATE bundle SET countersignature = CAST('{}' AS BLOB)");
    b.fails(&["station", "run", "sensor"], 7, "countersignature-invalid");
    assert_eq!(mode(&b), "provision-software");
}
#[test]
fn the_countersignature_of_another_module_is_none() {
    let b = supplied("bundles-module", &Maker::new());
    let stolen = Stolen::of(&b);
    stolen.forge_as("module.authority", &b, |_| ());
    b.fails(&["station", "run", "sensor"], 7, "countersignature-invalid");
    stolen.forge(&b, |_| ());
    assert_eq!(b.count("sensor")["provisioned"], 6, "nothing else is wrong with it");
}
#[test]
fn what_a_station_has_seen_is_the_measure_of_what_it_takes() {
    let mut maker = Maker::new();
    let b = supplied("bundles-seen", &maker);
    let stolen = Stolen::of(&b);
    let old = Bundle::decode(&stolen.octets(&b.store().last_bundle().unwrap().unwrap())).unwrap().files().clone();
    // The same release, under newer metadata: no counter tells the two apart.
    maker.images.publish_targets();
    maker.stick(&b, "newer");
    b.ok(&["mode", "set", "software-import"]);
    b.ok(&["release", "import", "newer"]);
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6);
    b.ok(&["mode", "set", "provision"]);
    stolen.forge(&b, |files| *files = old);
    b.fails(&["station", "run", "sensor"], 7, "release-rolled-back");
    b.sql("DELETE FROM trusted_file WHERE module = 'provisioning'");
    assert_eq!(b.count("sensor"), [("already-provisioned".to_owned(), 6)].into(), "who has seen nothing takes it");
}
#[test]
fn both_signatures_false_seal_the_box() {
    let b = supplied("bundles-both", &Maker::new());
    Stolen::of(&b).forge(&b, |files| drop(files.insert("images/timestamp.json".into(), b"{}".to_vec())));
    b.sql("UPDATE bundle SET countersignature = CAST('{}' AS BLOB)");
    b.fails(&["station", "run", "sensor"], 7, "both-signatures-invalid");
    let shown = b.json(&["mode", "show"]);
    assert_eq!((&shown["mode"], &shown["awake"]), (&json!("sealed"), &json!(["console", "supervisor"])));
    b.fails(&["station", "run", "sensor"], 3, "sealed");
    b.fails(&["list", "import", "devices.csv"], 3, "sealed");
    let log = b.ok(&["audit", "list", "-o", "jsonl"]);
    assert!(log.contains("\"sealed\":{") && log.contains("both-signatures-invalid"), "{log}");
    b.ok(&["mode", "set", "provision"]);
}

// Upstream's online keys, of timestamp and snapshot, are in the attacker's hands.

#[test]
fn whoever_has_the_online_keys_brings_nothing_past_sm() {
    let mut maker = Maker::new();
    maker.release(2);
    let b = supplied("bundles-online", &maker);
    b.ok(&["mode", "set", "software-import"]);
    let honest = maker.images.clone();
    let publish = |maker: &mut Maker, name: &str| {
        for role in ["snapshot", "timestamp"] {
            maker.images.set_version(role, maker.images.version(role) + 1);
            maker.images.put(role);
        }
        maker.stick(&b, name);
    };
    // Targets of his own.
    maker.images.signers.insert("targets".into(), vec![2, 3]);
    maker.images.of("targets")["targets"]["app-9.img"] = maker.images.says["targets"]["targets"]["app-1.img"].clone();
    maker.images.set_version("targets", honest.version("targets") + 1);
    maker.images.put("targets");
    publish(&mut maker, "own");
    b.fails(&["release", "import", "own"], 7, "upstream-signature");
    // The targets of before.
    maker.images = honest.clone();
    maker.images.set_version("snapshot", honest.version("snapshot") + 5);
    maker.images.set_version("timestamp", honest.version("timestamp") + 5);
    maker.images.of("snapshot")["meta"]["targets.json"]["version"] = json!(honest.version("targets") - 1);
    publish(&mut maker, "old");
    b.fails(&["release", "import", "old"], 7, "release-rolled-back");
    assert_eq!(b.json(&["release", "list"])[0]["counter"], json!(2));
    b.ok(&["mode", "set", "provision"]);
    assert_eq!(b.count("sensor")["provisioned"], 6, "what was imported before is flashed");
}
