//! What others learn of the software of a device: who watches the line, who keeps the log of a repository, who ends the line before the
//! director. Two devices with other software look the same to each of them; with what hides it switched off, they do not.

use crate::common::text;
use crate::front::{Fate, Front};
use crate::house::{DEVICE, House, SECOND, SLOTS, Said, Served, image, said};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use x509::sha256;

/// What the two are told to install: other names, lengths and counters.
const FIRST: Said<'_> = Said { name: "os.img", octets: b"", counter: 2 };
const LONG: Said<'_> =
    Said { name: "gateway/firmware-of-the-spring-release-20.01.317-rc2.img", octets: b"", counter: 31_415 };

/// What is told of a connection: how many octets each side said under TLS, handshake included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    asked: usize,
    answered: usize,
}

/// Somebody on the line, who sees connections in their order, and how much goes each way.
struct Watch {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Watch {
    fn of(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let number = {
                    let mut seen = shared.lock().unwrap();
                    seen.push(Seen::default());
                    seen.len() - 1
                };
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || pass(from, to, |len| up.lock().unwrap()[number].asked += len));
                std::thread::spawn(move || pass(server, client, |len| down.lock().unwrap()[number].answered += len));
            }
        });
        Self { port: own, seen }
    }
    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

// Passes on records of TLS, and says how much is in each: a record has its length in front, and a tag and its type behind. A record
// that only ends the connection comes or not, as the system closes it.
fn pass(mut from: TcpStream, mut to: TcpStream, say: impl Fn(usize)) {
    const ENCRYPTED: u8 = 23;
    const AROUND: usize = 17;
    const END: usize = 2;
    let mut head = [0; 5];
    while from.read_exact(&mut head).is_ok() {
        let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        if from.read_exact(&mut record).is_err() {
            break;
        }
        let len = if head[0] == ENCRYPTED { record.len() - AROUND } else { record.len() };
        if head[0] != ENCRYPTED || len != END {
            say(len);
        }
        if to.write_all(&[head.as_slice(), &record].concat()).is_err() {
            break;
        }
    }
    let _closed = to.shutdown(Shutdown::Write);
}

/// A director with two devices of one type, and both images.
fn house(name: &str) -> House {
    // Signatures of one length: those of ECDSA have now one octet more and now one less, whatever runs.
    let house = House::with_keys(name, "ED25519");
    let second = text(&house.b.read("device.toml")).replace(DEVICE, SECOND).replace("device.pem", "second.pem");
    house.b.write("second.toml", second);
    house.director(&["device", "add", "second.toml"]);
    let (first, long) = (image(300_000, 1), image(320_000, 2));
    std::fs::create_dir_all(house.b.dir.join("images/targets/gateway")).unwrap();
    house.publish(2, &[Said { octets: &first, ..FIRST }, Said { octets: &long, ..LONG }]);
    let (folder, file) = LONG.name.split_once('/').unwrap();
    let targets = house.b.dir.join("images/targets");
    std::fs::rename(
        targets.join(format!("{}.{}", sha256(&long), LONG.name)),
        targets.join(format!("{folder}/{}.{file}", sha256(&long))),
    )
    .unwrap();
    house.director(&["take", FIRST.name, LONG.name, "--images", "images"]);
    house
}

/// Has both assigned what is theirs.
fn assign(house: &House) {
    for (device, said) in [(DEVICE, FIRST), (SECOND, LONG)] {
        house.director(&["assign", said.name, "--component", "modem", "--device", device]);
    }
}

/// Two devices, which left the factory with other software.
fn equip(house: &House, urls: [&str; 2], more: &str) {
    let carries = [("a.img", 7, 1), ("what-the-factory-had-in-autumn.img", 6_543_210, 1_234)];
    for (((name, device), url), (target, length, counter)) in
        [("device", DEVICE), ("second", SECOND)].into_iter().zip(urls).zip(carries)
    {
        let dir = house.b.dir.join(format!("{name}-slots"));
        std::fs::create_dir_all(&dir).unwrap();
        for script in ["install", "confirm", "revert"] {
            std::fs::copy(house.b.dir.join("device").join(script), dir.join(script)).unwrap();
        }
        for (file, said) in [("slot", "A"), ("next", "A"), ("boot", "1"), ("at-once", "")] {
            std::fs::write(dir.join(file), said).unwrap();
        }
        let slots = SLOTS.replace("DIR/device", dir.to_str().unwrap());
        let tls = format!("[tls]\nanchors = 'ca.pem'\ncertificate = '{name}.pem'\nkey = '{name}.key'\n");
        let tls = if url.starts_with("https") { tls } else { String::new() };
        let digest = sha256(target.as_bytes());
        house.b.write(
            &format!("{name}-agent.toml"),
            format!(
                "device = '{device}'\ndata = '{name}-data'\nkey = '{name}.key'\nboot_id = '{name}-slots/boot'\n\
                 [director]\nurl = '{url}/director'\nroot = 'root.json'\n\
                 [images]\nmetadata = '{url}/images/metadata'\ntargets = '{url}/images/targets'\nroot = 'images/metadata/1.root.json'\n\
                 {tls}{more}[components.modem]\nhardware_id = 'modem.a'\n\
                 carries = {{ target = '{target}', length = {length}, sha256 = '{digest}', release_counter = {counter} }}\n\
                 [components.modem.slots]\n{slots}"
            ),
        );
    }
}

/// A round of one of the two.
#[track_caller]
fn round(house: &House, name: &str) -> String {
    let config = format!("{name}-agent.toml");
    let (status, out, err) = said(&house.agent_of(&config, &[], &["update"]).output().unwrap());
    assert_eq!(status, 0, "{out}{err}");
    out
}

/// What is seen of both in a round, by who watches the line.
#[track_caller]
fn watched(house: &House, watch: &Watch) -> [Vec<Seen>; 2] {
    ["device", "second"].map(|name| {
        round(house, name);
        watch.take()
    })
}

/// Both as they report what the factory gave them; as each installs something else; and as each carries it.
fn lives(name: &str, padding: &str) -> BTreeMap<&'static str, [Vec<Seen>; 2]> {
    let house = house(name);
    let served = house.serve_with(&["--padding", padding]);
    let watch = Watch::of(served.1);
    let url = format!("https://localhost:{}", watch.port);
    equip(&house, [&url, &url], &format!("[privacy]\npadding = '{padding}'\n"));
    let mut seen = BTreeMap::from([("report", watched(&house, &watch))]);
    assign(&house);
    seen.insert("update", watched(&house, &watch));
    seen.insert("quiet", watched(&house, &watch));
    for (device, said) in [(DEVICE, FIRST), (SECOND, LONG)] {
        assert_eq!(house.director_says(&["who-has", said.name])[0]["device"], device, "it was not installed");
    }
    // What the server logs says nothing of it either.
    let log = text(&house.b.read("served.log"));
    assert!(!log.contains("img") && !log.contains("urn:"), "{log}");
    seen
}

#[test]
fn who_watches_the_line_does_not_tell_two_devices_apart_by_their_software() {
    let seen = lives("leak-line", "steps");
    for (what, [first, second]) in &seen {
        assert_eq!(first, second, "{what}");
    }
    // It was looked at: as many connections as there are files, and pieces of images.
    assert_eq!(seen["quiet"][0].len(), 4);
    assert_eq!(seen["report"][0].len(), 10);
    assert!(seen["update"][0].iter().filter(|seen| seen.answered > 65_536).count() == 5, "{:?}", seen["update"][0]);
}
#[test]
fn a_long_image_is_fetched_in_as_many_pieces_as_longer_ones() {
    const MIB: usize = 1024 * 1024;
    let house = house("leak-long");
    let served = house.serve();
    let watch = Watch::of(served.1);
    let url = format!("https://localhost:{}", watch.port);
    equip(&house, [&url, &url], "");
    let lengths = [16 * MIB + 1, 18 * MIB];
    let pieces = [(3, "short.img"), (4, "long.img")].into_iter().zip(lengths).map(|((version, name), len)| {
        house.direct(version, name, &image(len, version), version);
        assert!(round(&house, "device").contains("is installed"));
        watch.take().iter().filter(|seen| seen.answered > MIB).count()
    });
    assert_eq!(pieces.collect::<Vec<_>>(), [18, 18]);
}
#[test]
fn without_padding_it_does() {
    let seen = lives("leak-unpadded", "none");
    for what in ["report", "update"] {
        let [first, second] = &seen[what];
        assert_ne!(first, second, "{what}");
    }
}
#[test]
fn that_a_device_updates_is_seen() {
    let house = house("leak-update");
    let served = house.serve();
    let watch = Watch::of(served.1);
    let url = format!("https://localhost:{}", watch.port);
    equip(&house, [&url, &url], "");
    watched(&house, &watch);
    house.director(&["assign", FIRST.name, "--component", "modem", "--device", DEVICE]);
    let [updates, does_not] = watched(&house, &watch);
    assert!(updates.len() > does_not.len(), "{updates:?} {does_not:?}");
    assert_eq!(does_not.len(), 4, "{does_not:?}");
}

/// What those read who end the line: of each device, what was asked, and what was sent.
fn fronted(name: &str, director: &[&str], more: &str) -> (House, Served, [Front; 2]) {
    let house = house(name);
    let served = house.serve_with(director);
    let fronts = ["device", "second"]
        .map(|name| Front::of_device(name, &house.b.dir, &served.url(), |_: &str, _| Fate::Answered));
    let urls = [fronts[0].url(), fronts[1].url()];
    equip(&house, [&urls[0], &urls[1]], more);
    (house, served, fronts)
}

fn sent(front: &Front) -> Vec<Vec<u8>> {
    let read = front.read.lock().unwrap();
    read.iter().filter(|(head, _)| head.starts_with("POST ")).map(|(_, body)| body.clone()).collect()
}

fn says(octets: &[u8], what: &str) -> bool {
    octets.windows(what.len()).any(|window| window == what.as_bytes())
}

#[test]
fn the_log_of_a_repository_is_the_same_for_two_devices_that_carry_something_else() {
    let (house, _served, fronts) = fronted("leak-log", &[], "");
    assign(&house);
    for name in ["device", "second"] {
        assert!(round(&house, name).contains("is installed"));
    }
    for front in &fronts {
        front.asked.lock().unwrap().clear();
        front.read.lock().unwrap().clear();
    }
    for name in ["device", "second"] {
        assert_eq!(round(&house, name), "nothing is to be done\n");
    }
    let logs = fronts.each_ref().map(|front| front.asked.lock().unwrap().join("\n"));
    assert_eq!(logs[0].replace(DEVICE, SECOND), logs[1]);
    assert_eq!(logs[0].lines().count(), 4);
    // Nobody says which program asks, or what it knows already.
    for front in &fronts {
        for (head, _) in front.read.lock().unwrap().iter() {
            let fields: Vec<_> = head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
            assert_eq!(fields, ["Host", "Accept", "Accept-Encoding", "Connection", "Padding"], "{head}");
        }
    }
}
#[test]
fn what_is_reported_is_read_by_the_director_alone() {
    let (house, _served, fronts) = fronted("leak-reports", &[], "");
    for name in ["device", "second"] {
        round(&house, name);
    }
    let sent = fronts.each_ref().map(sent);
    assert_eq!(sent.each_ref().map(Vec::len), [1, 1]);
    assert_eq!(sent[0][0].len(), sent[1][0].len());
    for octets in sent.iter().flatten() {
        for what in ["img", "modem", "release_counter", "sha256", "gateway", "signed"] {
            assert!(!says(octets, what), "{what}");
        }
    }
    for (device, target) in [(DEVICE, "a.img"), (SECOND, "what-the-factory-had-in-autumn.img")] {
        assert_eq!(house.director_says(&["who-has", target])[0]["device"], device);
    }
}
#[test]
fn without_sealing_others_read_it_too() {
    let (house, _served, fronts) = fronted("leak-unsealed", &["--plain-manifests"], "[privacy]\nmanifests = 'plain'\n");
    for name in ["device", "second"] {
        round(&house, name);
    }
    let sent = fronts.each_ref().map(sent);
    assert!(says(&sent[0][0], "\"a.img\"") && says(&sent[1][0], "what-the-factory-had-in-autumn.img"));
    // Padding alone makes the lengths equal, and nothing else.
    assert_eq!(sent[0][0].len(), sent[1][0].len());
}
#[test]
fn a_report_that_is_not_sealed_is_refused() {
    let (house, _served, _fronts) = fronted("leak-refused", &[], "[privacy]\nmanifests = 'plain'\n");
    let (status, _, err) = said(&house.agent_of("device-agent.toml", &[], &["update"]).output().unwrap());
    assert!(status == 1 && err.contains("not sealed to the director"), "{err}");
    assert_eq!(house.ledger().0, 0);
}
