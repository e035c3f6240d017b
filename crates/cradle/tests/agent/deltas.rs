//! Images that are made of the one before, by what Debian's zstd has made of both.

use crate::common::foreign;
use crate::front::Line;
use crate::house::{House, PIECE, SLOTS, Said, Served, image};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use update::delta::{BadDelta, Medium, apply};
use x509::sha256;

/// TLS, metadata and reports of a round.
const AROUND: u64 = 120_000;
const ACTIVE: &str = "active = ['DIR/device/active']\n";

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap()
}

/// What zstd makes of an image and the one before.
fn delta(house: &House, base: &[u8], image: &[u8]) -> Vec<u8> {
    delta_with(house, base, image, &["-1", "--long=31"])
}
fn delta_with(house: &House, base: &[u8], image: &[u8], more: &[&str]) -> Vec<u8> {
    let dir = &house.b.dir;
    fs::write(dir.join("before"), base).unwrap();
    fs::write(dir.join("after"), image).unwrap();
    let words = ["-q", "-f", "--patch-from=before", "after", "-o", "delta"];
    foreign(dir, "zstd", &[&words[..], more].concat());
    fs::read(dir.join("delta")).unwrap()
}

/// What is said of a delta: what lies at the server, and what it was made from.
fn said(delta: &[u8], base: &[u8]) -> String {
    let (digest, of_base) = (sha256(delta), sha256(base));
    let (len, base_len) = (delta.len(), base.len());
    format!(
        ",\"attached\":{{\"delta\":{{\"target\":\"new.img.delta.zst\",\"format\":\"zstd --patch-from\",\"length\":{len},\
         \"sha256\":\"{digest}\",\"base\":{{\"length\":{base_len},\"sha256\":\"{of_base}\"}}}}}}"
    )
}

fn put(house: &House, announced: &[u8], octets: &[u8]) {
    let path = house.b.dir.join("images/targets").join(format!("{}.new.img.delta.zst", sha256(announced)));
    fs::write(path, octets).unwrap();
}

/// Has the device carry an image since the factory, in the slot that runs.
pub fn carrying(house: &House, url: &str, base: &[u8]) {
    house.configure_with(url, "modem.a", 1, ACTIVE);
    let config = String::from_utf8(house.b.read("agent.toml")).unwrap();
    let (factory, carried) = (sha256(b"factory"), sha256(base));
    let config = config.replace("length = 7,", &format!("length = {},", base.len()));
    house.b.write("agent.toml", config.replace(&factory.to_string(), &carried.to_string()));
    fs::write(house.b.dir.join("device/slot-A"), base).unwrap();
    house.b.write("device/at-once", "");
}

/// Directs the device to an image and publishes a delta to it. Gives how long the delta is.
pub fn direct(house: &House, version: u64, base: &[u8], os: &[u8]) -> u64 {
    let delta = delta(house, base, os);
    publish(house, version, os, &said(&delta, base));
    put(house, &delta, &delta);
    as_u64(delta.len())
}

fn publish(house: &House, version: u64, os: &[u8], more: &str) {
    house.direct_saying(version, &Said { name: "new.img", octets: os, counter: 2 }, more);
}

/// An image and the one before it, of which half is new.
fn two(len: usize) -> (Vec<u8>, Vec<u8>) {
    let base = image(len, 1);
    let os = [&base[len / 2..], &image(len / 2, 2)].concat();
    (base, os)
}

struct Shop {
    house: House,
    _served: Served,
    line: Line,
    base: Vec<u8>,
    os: Vec<u8>,
}

impl Shop {
    fn new(name: &str, len: usize) -> Self {
        let house = House::new(name);
        let served = house.serve();
        let line = Line::to(served.1);
        let (base, os) = two(len);
        carrying(&house, &format!("https://localhost:{}", line.port), &base);
        Self { house, _served: served, line, base, os }
    }
    /// The image is there, and came by the delta.
    #[track_caller]
    fn came_by(&self, delta: u64) {
        let fetched = self.line.fetched();
        assert!(self.house.b.read("device/slot-B") == self.os, "another image was installed");
        assert!(fetched < delta * 11 / 10 + AROUND, "{fetched} octets came for {delta}");
        assert_eq!(self.house.modem(), (2, None));
        assert!(!self.house.b.dir.join("agent/incoming/modem.delta").exists(), "the delta is kept for nothing");
    }
    /// The image comes as a whole in one round that ends well, and the operator is told why.
    #[track_caller]
    fn whole(&self, why: &str) {
        let (status, out, err) = self.house.run(&["update"]);
        assert_eq!((status, out.as_str()), (0, "modem: new.img, release counter 2, is installed\n"), "{err}");
        assert!(err.contains("note: ") && err.contains(why), "{err}");
        assert!(self.house.b.read("device/slot-B") == self.os, "another image was installed");
        assert!(self.line.fetched() > as_u64(self.os.len()), "it did not come as a whole");
        let passed = &self.house.status()["components"][0]["delta_passed_over"];
        assert!(passed["why"].as_str().unwrap().contains(why), "{passed}");
        assert!(!self.house.b.dir.join("agent/incoming/modem.delta").exists(), "the delta is kept for nothing");
        // It is told once.
        assert_eq!(self.house.update(), "nothing is to be done\n");
    }
}

#[test]
fn an_image_is_made_of_the_one_before() {
    let shop = Shop::new("delta-right", 1_500_000);
    let delta = direct(&shop.house, 2, &shop.base, &shop.os);
    assert!(delta < 800_000);
    assert_eq!(shop.house.update(), "modem: new.img, release counter 2, is installed\n");
    shop.came_by(delta);
    assert_eq!(shop.house.status()["components"][0]["delta_passed_over"], serde_json::Value::Null);
}
#[test]
fn without_a_way_to_the_image_before_it_comes_as_a_whole_and_nobody_wonders() {
    let shop = Shop::new("delta-not-wanted", 300_000);
    let config = String::from_utf8(shop.house.b.read("agent.toml")).unwrap();
    let active = ACTIVE.replace("DIR", shop.house.b.dir.to_str().unwrap());
    assert!(config.contains(&active) && SLOTS.len() < config.len());
    shop.house.b.write("agent.toml", config.replace(&active, ""));
    direct(&shop.house, 2, &shop.base, &shop.os);
    let (status, _, err) = shop.house.run(&["update"]);
    assert_eq!((status, err.contains("note")), (0, false), "{err}");
    assert!(shop.house.b.read("device/slot-B") == shop.os);
    assert!(shop.line.fetched() > as_u64(shop.os.len()));
}
#[test]
fn a_delta_that_was_made_from_another_image() {
    let shop = Shop::new("delta-other-base", 300_000);
    let delta = delta(&shop.house, &shop.base, &shop.os);
    publish(&shop.house, 2, &shop.os, &said(&delta, b"another"));
    put(&shop.house, &delta, &delta);
    shop.whole("from another image than the one that is carried");
}
#[test]
fn an_image_before_that_the_medium_has_altered() {
    let shop = Shop::new("delta-altered-base", 300_000);
    let file = OpenOptions::new().write(true).open(shop.house.b.dir.join("device/slot-A")).unwrap();
    file.write_all_at(&[shop.base[7] ^ 1], 7).unwrap();
    direct(&shop.house, 2, &shop.base, &shop.os);
    shop.whole("does not begin with the image that is carried");
}
#[test]
fn an_image_before_that_is_gone() {
    let shop = Shop::new("delta-no-base", 300_000);
    fs::remove_file(shop.house.b.dir.join("device/slot-A")).unwrap();
    direct(&shop.house, 2, &shop.base, &shop.os);
    shop.whole("No such file");
}
#[test]
fn an_image_before_that_is_where_the_next_one_goes() {
    let shop = Shop::new("delta-same-place", 300_000);
    let config = String::from_utf8(shop.house.b.read("agent.toml")).unwrap();
    // The slot that runs is named twice: so a delta would be applied to what it overwrites.
    let inactive = ACTIVE.replace("active", "inactive").replace("device/inactive", "device/active");
    let inactive = inactive.replace("DIR", shop.house.b.dir.to_str().unwrap());
    shop.house.b.write("agent.toml", config + &inactive);
    direct(&shop.house, 2, &shop.base, &shop.os);
    shop.whole("would be written where the one lies that is carried");
}
#[test]
fn a_delta_that_is_damaged_at_the_server() {
    let shop = Shop::new("delta-damaged", 300_000);
    let delta = delta(&shop.house, &shop.base, &shop.os);
    publish(&shop.house, 2, &shop.os, &said(&delta, &shop.base));
    let mut damaged = delta.clone();
    damaged[1000] ^= 1;
    put(&shop.house, &delta, &damaged);
    shop.whole("is not the one that was announced");
}
#[test]
fn a_delta_that_was_passed_over_is_not_tried_again_and_told_of_once() {
    let shop = Shop::new("delta-once", 300_000);
    let delta = delta(&shop.house, &shop.base, &shop.os);
    publish(&shop.house, 2, &shop.os, &said(&delta, &shop.base));
    put(&shop.house, &delta, b"damaged");
    let image = shop.house.b.dir.join("images/targets").join(format!("{}.new.img", sha256(&shop.os)));
    let away = shop.house.b.dir.join("away");
    fs::rename(&image, &away).unwrap();
    let said = shop.house.fails();
    assert!(said.contains("note: new.img.delta.zst was not taken") && said.contains("new.img was not taken"), "{said}");
    fs::rename(&away, &image).unwrap();
    let (status, out, err) = shop.house.run(&["update"]);
    let installed = "modem: new.img, release counter 2, is installed\n";
    assert_eq!((status, out.as_str(), err.as_str()), (0, installed, ""));
}
#[test]
fn a_delta_that_is_not_there() {
    let shop = Shop::new("delta-not-there", 300_000);
    let delta = delta(&shop.house, &shop.base, &shop.os);
    publish(&shop.house, 2, &shop.os, &said(&delta, &shop.base));
    shop.whole("it is not there");
}
#[test]
fn a_delta_of_which_too_little_is_said() {
    let shop = Shop::new("delta-half-said", 300_000);
    publish(&shop.house, 2, &shop.os, ",\"attached\":{\"delta\":{\"target\":\"new.img.delta.zst\"}}");
    shop.whole("base in the release metadata");
}
#[test]
fn a_delta_that_is_signed_and_makes_something_else() {
    let shop = Shop::new("delta-signed", 300_000);
    // As long as the image, and one octet of it is another.
    let mut other = shop.os.clone();
    other[17] ^= 1;
    let delta = delta(&shop.house, &shop.base, &other);
    publish(&shop.house, 2, &shop.os, &said(&delta, &shop.base));
    put(&shop.house, &delta, &delta);
    shop.whole("arbitrary software");
}
#[test]
fn a_delta_that_never_ends() {
    let shop = Shop::new("delta-bomb", 300_000);
    // Thousands of times the image, and it does not say how long it is.
    let dir = &shop.house.b.dir;
    foreign(dir, "sh", &["-c", "head -c 1000000000 /dev/zero | zstd -q -1 -c >bomb"]);
    let bomb = shop.house.b.read("bomb");
    publish(&shop.house, 2, &shop.os, &said(&bomb, &shop.base));
    put(&shop.house, &bomb, &bomb);
    shop.whole("more octets than the image has");
}
#[test]
fn a_delta_over_a_line_that_is_cut() {
    let shop = Shop::new("delta-cuts", 6 * PIECE);
    let delta = direct(&shop.house, 2, &shop.base, &shop.os);
    shop.line.cut(5, 500_000);
    assert_eq!(shop.house.update(), "modem: new.img, release counter 2, is installed\n");
    assert_eq!(shop.line.cuts_left(), 0);
    shop.came_by(delta);
}
#[test]
fn a_line_that_brings_nothing_is_no_reason_to_fetch_the_whole() {
    let shop = Shop::new("delta-idle", 6 * PIECE);
    let delta = direct(&shop.house, 2, &shop.base, &shop.os);
    shop.line.cut(u64::MAX, 30_000);
    let said = shop.house.fails();
    assert!(said.contains("new.img.delta.zst was not taken") && said.contains("cannot be reached"), "{said}");
    shop.line.cut(0, 0);
    shop.line.fetched();
    shop.house.update();
    shop.came_by(delta);
}
#[test]
fn an_agent_that_is_killed_wherever_it_writes_makes_the_image_all_the_same() {
    let shop = Shop::new("delta-everywhere", 2 * PIECE + 10);
    direct(&shop.house, 2, &shop.base, &shop.os);
    let agent = shop.house.b.dir.join("agent");
    let (mut kills, mut n) = (0, 1);
    loop {
        let _not_there = fs::remove_dir_all(&agent);
        for (name, said) in [("slot", "A"), ("next", "A"), ("did", ""), ("slot-B", "")] {
            shop.house.b.write(&format!("device/{name}"), said);
        }
        let calls = "fsync,rename,renameat,renameat2,unlink,unlinkat,pwrite64";
        let inject = format!("inject={calls}:signal=KILL:when={n}");
        let before = ["strace", "-f", "-q", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject];
        let was_killed = !shop.house.agent(&before, &["update"]).output().unwrap().status.success();
        kills += usize::from(was_killed);
        shop.house.update();
        assert!(shop.house.b.read("device/slot-B") == shop.os, "killed at call {n}");
        let modem = shop.house.status()["components"][0].clone();
        assert_eq!(modem["delta_passed_over"], serde_json::Value::Null, "killed at call {n}");
        if !was_killed {
            break;
        }
        n += 1 + n / 3;
    }
    assert!(kills >= 8, "it was killed {kills} times only");
}

// Two files, and one that is made.
struct Files {
    base: File,
    made: File,
    len: u64,
}

impl Medium for Files {
    fn read_base(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.base.read_exact_at(into, at)
    }
    fn read_made(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.made.read_exact_at(into, at)
    }
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.made.write_all_at(octets, self.len)?;
        self.len += as_u64(octets.len());
        Ok(())
    }
}

/// All that zstd writes is read: at each level, with windows of all sizes.
#[test]
fn what_zstd_writes_is_read() {
    let house = House::new("delta-zstd");
    let dir = &house.b.dir;
    let bash = fs::read("/bin/bash").unwrap();
    let zstd = fs::read("/usr/bin/zstd").unwrap();
    let noise = image(3_000_000, 1);
    let far = [&noise[2_000_000..], &vec![0; 1_000_000], &image(700_000, 3), &noise[..]].concat();
    let pairs: [(&[u8], &[u8]); 6] =
        [(&bash, &zstd), (b"factory", &bash), (&bash, b"x"), (&noise, &far), (&far, &far), (&far, &noise[..700_000])];
    let ways: [&[&str]; 7] = [
        &["-1"],
        &["-9"],
        &["-19", "--no-check"],
        &["--ultra", "-22"],
        &["--fast=5"],
        &["-3", "--long=31"],
        &["-15", "--zstd=wlog=10,strategy=7"],
    ];
    for ((base, image), way) in pairs.into_iter().flat_map(|pair| ways.map(|way| (pair, way))) {
        let delta = delta_with(&house, base, image, way);
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(dir.join("made"));
        let mut files = Files { base: File::open(dir.join("before")).unwrap(), made: made.unwrap(), len: 0 };
        let (base_len, len) = (as_u64(base.len()), as_u64(image.len()));
        apply(&mut delta.as_slice(), base_len, len, &mut files).unwrap();
        assert!(house.b.read("made") == image, "{way:?}");
        // And nothing of it beyond what was announced.
        files.len = 0;
        let bad = apply(&mut delta.as_slice(), base_len, len - 1, &mut files);
        assert!(matches!(bad, Err(BadDelta::TooLong)) && files.len < len, "{way:?}: {bad:?}");
    }
}
