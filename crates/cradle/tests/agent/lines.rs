//! Lines that break, agents that are killed, and media that alter.

use crate::front::Line;
use crate::house::{House, PIECE, Served, image};
use std::os::unix::fs::FileExt;

/// TLS, metadata and reports of a round.
const AROUND: u64 = 120_000;

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap()
}

/// A device whose servers are behind a line, told to install an image of so many octets at once.
fn behind_a_line(name: &str, len: usize) -> (House, Served, Line, Vec<u8>) {
    let house = House::new(name);
    let served = house.serve();
    let line = Line::to(served.1);
    house.configure(&format!("https://localhost:{}", line.port));
    house.b.write("device/at-once", "");
    let os = image(len, 7);
    house.direct(2, "os.img", &os, 2);
    (house, served, line, os)
}

impl House {
    /// Starts a round, and kills it when a connection has brought so much, and so many octets are noted.
    fn kill_after(&self, line: &Line, octets: usize, noted: usize) {
        line.hold(as_u64(octets));
        let mut agent = self.agent(&[], &["update"]).spawn().unwrap();
        line.wait();
        let note = self.b.dir.join("agent/incoming/modem.pieces");
        // A line that is being written counts once it has its end.
        let lines = || std::fs::read(&note).map_or(0, |note| note.iter().filter(|octet| **octet == b'\n').count());
        assert!((0..10_000_000).any(|_| lines() == 1 + noted / PIECE), "{} pieces are noted", lines());
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
    /// One round that ends well, once nobody else works there.
    #[track_caller]
    fn update_when_free(&self) -> String {
        let is_in_use = |said: &(i32, String, String)| said.2.contains("in-use");
        let said = (0..10_000).map(|_| self.run(&["update"])).find(|said| !is_in_use(said)).unwrap();
        assert_eq!(said.0, 0, "{said:?}");
        said.1
    }
    fn alter(&self, file: &str, at: u64) {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(self.b.dir.join(file)).unwrap();
        let mut octet = [0];
        file.read_exact_at(&mut octet, at).unwrap();
        file.write_all_at(&[octet[0] ^ 1], at).unwrap();
    }
}

#[test]
fn a_line_that_is_cut_ten_times_brings_each_octet_about_once() {
    let (house, _served, line, os) = behind_a_line("agent-cuts", 4 * PIECE + 500_000);
    line.cut(10, 350_000);
    assert_eq!(house.update(), "modem: os.img, release counter 2, is installed\n");
    let fetched = line.fetched();
    assert_eq!((line.cuts_left(), house.b.read("device/slot-B") == os), (0, true));
    assert!(fetched < as_u64(os.len()) * 11 / 10 + AROUND, "{fetched} octets for {}", os.len());
}
#[test]
fn a_line_that_brings_nothing_ends_the_round_and_the_next_goes_on() {
    let (house, _served, line, os) = behind_a_line("agent-idle", 3 * PIECE);
    house.kill_after(&line, 2 * PIECE + 100_000, 2 * PIECE);
    line.cut(u64::MAX, 30_000);
    let said = house.fails();
    assert!(said.contains("os.img was not taken") && said.contains("cannot be reached"), "{said}");
    assert_eq!(house.status()["components"][0]["pending"]["octets"], 2 * PIECE);
    line.cut(0, 0);
    line.fetched();
    house.update();
    assert!(line.fetched() < as_u64(PIECE) + AROUND);
    assert_eq!(house.b.read("device/slot-B"), os);
}
#[test]
fn a_line_that_brings_an_octet_now_and_then_ends_the_round_and_the_next_goes_on() {
    let (house, _served, line, os) = behind_a_line("agent-slow", 3 * PIECE);
    house.kill_after(&line, 2 * PIECE + 100_000, 2 * PIECE);
    let config = String::from_utf8(house.b.read("agent.toml")).unwrap();
    house.b.write("agent.toml", config.replace("patience_s = 60", "patience_s = 3"));
    line.drip(30_000);
    let said = house.fails();
    house.b.write("agent.toml", config);
    assert!(said.contains("os.img was not taken") && said.contains("slow retrieval"), "{said}");
    assert_eq!(house.status()["components"][0]["pending"]["octets"], 2 * PIECE);
    line.drip(0);
    line.fetched();
    house.update();
    assert!(line.fetched() < as_u64(PIECE) + AROUND);
    assert_eq!(house.b.read("device/slot-B"), os);
}
#[test]
fn an_agent_that_is_killed_goes_on_where_it_was() {
    let (house, _served, line, os) = behind_a_line("agent-killed", 4 * PIECE);
    for (octets, noted) in [(100_000, 0), (PIECE + 200_000, PIECE), (PIECE + PIECE / 2, 2 * PIECE)] {
        house.kill_after(&line, octets, noted);
    }
    house.update();
    assert_eq!(house.b.read("device/slot-B"), os);
    // What was not noted when it was killed came twice, and nothing else.
    let twice = as_u64(100_000 + 200_000 + PIECE / 2);
    let fetched = line.fetched();
    assert!(fetched < as_u64(os.len()) + twice + 4 * AROUND, "{fetched} octets for {}", os.len());
}
#[test]
fn what_the_medium_alters_meanwhile_is_fetched_again() {
    let (house, _served, line, os) = behind_a_line("agent-altered", 4 * PIECE);
    house.kill_after(&line, 3 * PIECE + 100_000, 3 * PIECE);
    house.alter("agent/incoming/modem.image", as_u64(PIECE) + 17);
    line.fetched();
    house.update();
    assert_eq!(house.b.read("device/slot-B"), os);
    let fetched = line.fetched();
    let rest = as_u64(3 * PIECE);
    assert!((rest..rest + AROUND).contains(&fetched), "{fetched} octets");
}
#[test]
fn what_is_altered_together_with_its_note_is_refused() {
    let (house, _served, line, os) = behind_a_line("agent-forged", 3 * PIECE);
    house.kill_after(&line, 2 * PIECE + 100_000, 2 * PIECE);
    let mut forged = vec![0; PIECE];
    let kept = std::fs::OpenOptions::new().read(true).write(true).open(house.b.dir.join("agent/incoming/modem.image"));
    let kept = kept.unwrap();
    kept.read_exact_at(&mut forged, 0).unwrap();
    forged[5] ^= 1;
    kept.write_all_at(&forged, 0).unwrap();
    let note = String::from_utf8(house.b.read("agent/incoming/modem.pieces")).unwrap();
    let mut lines: Vec<_> = note.lines().map(str::to_owned).collect();
    lines[1] = x509::sha256(&forged).to_string();
    house.b.write("agent/incoming/modem.pieces", lines.join("\n") + "\n");
    let said = house.fails();
    assert!(said.contains("os.img was not taken") && said.contains("arbitrary software"), "{said}");
    assert!(house.did().is_empty(), "it was installed");
    // Nothing of it is gone on from.
    house.update();
    assert_eq!(house.b.read("device/slot-B"), os);
}
#[test]
fn a_command_that_outlives_its_agent_is_waited_for() {
    let (house, _served, _line, os) = behind_a_line("agent-outlived", 1000);
    let mut agent = house.installing();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(house.modem(), (1, Some("installing".into())));
    let said = house.fails();
    assert!(said.contains("in-use") && said.contains("a command that was started"), "{said}");
    house.go_on();
    assert_eq!(house.update_when_free(), "modem: os.img, release counter 2, is installed\n");
    assert_eq!((house.did(), house.b.read("device/slot-B") == os), (vec!["install".into(), "confirm".into()], true));
}
#[test]
fn a_device_that_loses_its_power_while_it_installs_installs_again() {
    let (house, _served, _line, os) = behind_a_line("agent-installs", 1000);
    let mut agent = house.installing();
    agent.kill().unwrap();
    agent.wait().unwrap();
    let pid = String::from_utf8(house.b.read("device/pid")).unwrap();
    crate::common::foreign(&house.b.dir, "kill", &["-9", "--", &format!("-{}", pid.trim())]);
    house.start_from("A");
    // What is there is verified again before it is installed again.
    house.alter("agent/incoming/modem.image", 3);
    std::fs::remove_file(house.b.dir.join("device/held")).unwrap();
    house.update_when_free();
    assert_eq!((house.modem(), house.b.read("device/slot-B") == os), ((2, None), true));
    assert_eq!(house.did(), ["install", "install", "confirm"]);
}
#[test]
fn an_agent_that_is_killed_wherever_it_writes_ends_as_if_it_had_not_been() {
    let (house, _served, _line, os) = behind_a_line("agent-everywhere", PIECE + 5);
    let agent = house.b.dir.join("agent");
    let (mut kills, mut n) = (0, 1);
    // Each round is killed at a later call, from nothing each time; steps grow so that it takes seconds.
    loop {
        let _not_there = std::fs::remove_dir_all(&agent);
        for (name, said) in [("slot", "A"), ("next", "A"), ("did", ""), ("slot-B", "")] {
            house.b.write(&format!("device/{name}"), said);
        }
        let calls = "fsync,rename,renameat,renameat2,unlink,unlinkat";
        let inject = format!("inject={calls}:signal=KILL:when={n}");
        let before = ["strace", "-f", "-q", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject];
        let ended = house.agent(&before, &["update"]).output().unwrap();
        let was_killed = !ended.status.success();
        kills += usize::from(was_killed);
        house.update();
        assert_eq!((house.modem(), house.b.read("device/slot-B") == os), ((2, None), true), "killed at call {n}");
        assert_eq!(house.did().last().map(String::as_str), Some("confirm"), "killed at call {n}");
        if !was_killed {
            break;
        }
        n += 1 + n / 3;
    }
    assert!(kills >= 8, "it was killed {kills} times only");
}
#[test]
fn a_device_that_loses_its_power_wherever_it_writes_goes_on_from_what_is_durable() {
    let (house, _served, line, os) = behind_a_line("agent-power", 2 * PIECE + 5);
    let rig = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rigs/interrupt.py");
    let agent = house.b.dir.join("agent");
    let (mut interrupted, mut went_on) = (0, 0);
    for (kind, end, step) in [("sync", "cut", 1), ("write", "cut", 10), ("name", "undo", 1)] {
        let (mut n, mut is_over) = (1, false);
        // Each round begins from nothing, and ends at a later call; steps grow so that it takes seconds.
        while !is_over {
            let _not_there = std::fs::remove_dir_all(&agent);
            std::fs::create_dir(&agent).unwrap();
            for (name, said) in [("slot", "A"), ("next", "A"), ("did", ""), ("slot-B", "")] {
                house.b.write(&format!("device/{name}"), said);
            }
            let before = ["python3", rig, kind, end, &n.to_string(), agent.to_str().unwrap()];
            let ended = house.agent(&before, &["update"]).output().unwrap();
            is_over = ended.status.success();
            let at = format!("{kind} {end} {n}: {}", String::from_utf8_lossy(&ended.stderr));
            assert!(is_over || ended.status.code() == Some(3), "{at}");
            interrupted += usize::from(!is_over);
            let durable = std::fs::read(agent.join("incoming/modem.pieces")).unwrap_or_default();
            let durable = durable.iter().filter(|octet| **octet == b'\n').count().saturating_sub(1);
            line.fetched();
            house.update();
            assert_eq!((house.modem(), house.b.read("device/slot-B") == os), ((2, None), true), "{at}");
            assert_eq!(house.did().last().map(String::as_str), Some("confirm"), "{at}");
            // An eighth more is fetched for whoever watches.
            let (fetched, rest) = (line.fetched(), as_u64(os.len().saturating_sub(durable * PIECE) + os.len() / 8));
            assert!(fetched < rest + AROUND, "{at}: {durable} pieces were durable, and {fetched} octets were fetched");
            went_on += usize::from(durable > 0 && !is_over);
            n += step + n / 2;
        }
    }
    assert!(interrupted >= 15 && went_on >= 3, "{interrupted} interrupted, {went_on} went on in the middle");
}
