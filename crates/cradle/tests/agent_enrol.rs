//! The agent of a device, in a process of its own, against a gateway of the program itself: how it comes to a certificate, keeps one,
//! and what it says if it cannot.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

mod common;
mod site;

use common::{foreign, text};
use site::{ARGUMENTS, Site};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// Not a test but the agent: other tests start this program again, and have it be what `cradle-agent` is.
#[test]
#[ignore = "it is the agent, which other tests start"]
fn the_agent() {
    let Some(arguments) = std::env::var_os(ARGUMENTS) else { return };
    let arguments = arguments.into_string().unwrap();
    let arguments: Vec<_> = arguments.split('\n').filter(|word| !word.is_empty()).map(Into::into).collect();
    std::process::exit(agent::main(arguments.into_iter()).into());
}

const IDENTITY: &str = "agent/identity/identity.pem";
/// Notes each change beside the device's other things.
const HOOK: &str =
    "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n[ ! -e unwell ] || { echo no service >&2; exit 7; }\necho \"$1\" >>changes\n";

impl Site {
    /// A device whose hook notes each change.
    fn with_hook(&self, serial: &str) {
        self.b.write("hook", HOOK);
        foreign(&self.b.dir, "chmod", &["700", "hook"]);
        self.device(serial, &format!("hook = ['{}/hook', '{{identity}}']\n", self.b.dir.display()));
    }
    fn changes(&self) -> usize {
        std::fs::read_to_string(self.b.dir.join("changes")).unwrap_or_default().lines().count()
    }
    /// The key and the certificate of the device, which must be a pair below the root. Gives the certificate's serial number.
    #[track_caller]
    fn usable(&self) -> String {
        let dir = &self.b.dir;
        let of_key = foreign(dir, "openssl", &["pkey", "-in", IDENTITY, "-pubout"]);
        let of_certificate = foreign(dir, "openssl", &["x509", "-in", IDENTITY, "-noout", "-pubkey"]);
        assert_eq!(of_key, of_certificate, "a key of one and a certificate of another");
        let verify = ["verify", "-no_check_time", "-CAfile", "root.pem", "-untrusted", IDENTITY, IDENTITY];
        foreign(dir, "openssl", &verify);
        let mode = std::fs::metadata(dir.join(IDENTITY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "others can read it");
        self.serial(IDENTITY)
    }
    fn key(&self) -> String {
        foreign(&self.b.dir, "openssl", &["pkey", "-in", IDENTITY, "-pubout"])
    }
}

#[test]
fn a_device_enrols_with_a_secret_and_renews_with_its_certificate() {
    let site = Site::new("agent-life");
    let secret = site.secret("SN000001");
    site.with_hook("SN000001");
    assert_eq!(site.identity()["standing"], "none");
    let up = site.up();
    let said = site.enrol(&format!("{secret}\n"));
    assert!(said.starts_with("enrolled\ncertificate ") && said.contains("SN000001) holds until"), "{said}");
    let first = site.usable();
    // It comes back in the second that the authority has granted.
    let note: serde_json::Value = serde_json::from_slice(&site.b.read("agent/identity/note.json")).unwrap();
    let (granted, identity) = (note["slot"]["at_s"].as_u64().unwrap(), site.identity());
    assert_eq!(identity["renew_from"], model::UnixTime::from_s(granted).to_string());
    assert!(said.contains(&format!("renewed from {} on", identity["renew_from"].as_str().unwrap())), "{said}");
    assert_eq!((site.changes(), site.key().len() > 100), (1, true));
    // It is not due, and the secret is used.
    assert!(site.does(&["renew"]).starts_with("nothing is to be done\n"));
    assert!(site.does(&["enrol", "--secret", "secret"]).starts_with("nothing is to be done\n"));
    assert_eq!((site.usable(), site.changes()), (first.clone(), 1));
    let before = site.key();
    let said = site.does(&["renew", "--force", "-o", "json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["became"], &said["identity"]["standing"]), (&"renewed".into(), &"holds".into()), "{said}");
    let second = site.usable();
    assert_eq!(said["identity"]["serial"], second.as_str());
    assert!(second != first && site.key() != before, "the key is the one before");
    assert_eq!(site.changes(), 2);
    let identity = site.identity();
    assert_eq!((&identity["key_waits"], &identity["failed"]), (&false.into(), &serde_json::Value::Null), "{identity}");
    // The next one renews in its turn, and what is kept here is what the authority has.
    site.does(&["renew", "--force"]);
    up.down();
    let told = site.b.ok(&["explain", &site.usable()]);
    assert!(told.contains(&format!("certificate {second}, which it renews")), "{told}");
    site.b.sound();
}

#[test]
fn the_secret_may_come_on_standard_input() {
    let site = Site::new("agent-stdin");
    let secret = site.secret("SN000001");
    site.device("SN000001", "key_type = 'ed25519'\n");
    let _up = site.up();
    let mut agent = site.agent(&[], &["enrol", "--secret", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut agent.stdin.take().unwrap(), secret.as_bytes()).unwrap();
    assert!(agent.wait().unwrap().success());
    site.usable();
    assert!(foreign(&site.b.dir, "openssl", &["pkey", "-in", IDENTITY, "-noout", "-text"]).contains("ED25519"));
}

#[test]
fn who_is_refused_keeps_what_there_is_and_learns_whom_to_ask() {
    let site = Site::new("agent-refused");
    let secrets = ["SN000001", "SN000002"].map(|serial| site.secret(serial));
    site.device("SN000001", "");
    let up = site.up();
    // Somebody else's secret, and one that others can read.
    site.keep("secret", &secrets[1]);
    let said = site.fails(&["enrol", "--secret", "secret"], "refused");
    assert!(said.contains("HTTP status 403: Refused. Identifier: ") && said.contains("cradle explain"), "{said}");
    let identifier = said.split("Identifier: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let identity = site.identity();
    assert_eq!((&identity["standing"], &identity["failed"]["code"]), (&"none".into(), &"refused".into()));
    foreign(&site.b.dir, "chmod", &["644", "secret"]);
    let (status, _, err) = site.run(&["enrol", "--secret", "secret"]);
    assert!(status == 1 && err.contains("others than its owner can read it"), "{err}");
    // It may be tried again with the right one.
    site.enrol(&secrets[0]);
    let first = site.usable();
    up.down();
    site.why(&identifier, "secret-unknown");
    site.b.ok(&["cert", "revoke", &first, "--reason", "key-compromise", "--yes"]);
    let _up = site.up();
    let said = site.fails(&["renew", "--force"], "refused");
    assert!(said.contains("the certificate that there is holds until"), "{said}");
    assert_eq!(site.usable(), first);
}

#[test]
fn a_server_that_is_another_one_is_shown_nothing() {
    let site = Site::new("agent-root");
    site.device("SN000001", "");
    let secret = site.secret("SN000001");
    let own = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key"];
    let subject = ["-subj", "/CN=own", "-days", "9", "-out", "own.pem", "-addext", "keyUsage=critical,keyCertSign"];
    foreign(&site.b.dir, "openssl", &[&own[..], &subject].concat());
    let _up = site.up();
    site.keep("secret", &secret);
    let configured = text(&site.b.read("agent.toml"));
    // Its TLS leads elsewhere.
    site.b.write("agent.toml", configured.replace("root.pem", "own.pem"));
    let said = site.fails(&["enrol", "--secret", "secret"], "refused");
    assert!(said.contains("the server is not believed") && said.contains("nothing was shown to it"), "{said}");
    // Its TLS is as it should be, and the authorities that it names are not those of the device.
    site.b.write("agent.toml", configured.replace("'root.pem'", "'own.pem'\nanchors = 'root.pem'"));
    let said = site.fails(&["enrol", "--secret", "secret"], "refused");
    assert!(said.contains("none of them leads to the root that came with the device"), "{said}");
    assert!(!site.b.dir.join(IDENTITY).exists());
    // The secret was not used up.
    site.b.write("agent.toml", configured);
    site.does(&["enrol", "--secret", "secret"]);
    site.usable();
}

#[test]
fn without_a_server_nothing_changes_and_the_next_run_goes_on() {
    let site = Site::new("agent-offline");
    let secret = site.secret("SN000001");
    site.device("SN000001", "patience_s = 20\n");
    site.keep("secret", &secret);
    let said = site.fails(&["enrol", "--secret", "secret"], "offline");
    assert!(said.contains("the server did not answer"), "{said}");
    assert_eq!(site.identity()["key_waits"], true);
    let up = site.up();
    site.does(&["enrol", "--secret", "secret"]);
    let first = site.usable();
    up.down();
    let said = site.fails(&["renew", "--force"], "offline");
    assert!(said.contains("the certificate that there is holds until"), "{said}");
    assert_eq!(site.usable(), first);
    let said = site.does(&["status"]);
    assert!(said.contains("a new key waits for its certificate") && said.contains("failed at "), "{said}");
    let _up = site.up();
    site.does(&["renew", "--force"]);
    assert_ne!(site.usable(), first);
}

/// Certificates of a day.
fn of_a_day(b: &common::Box_) {
    let path = b.data().join("profiles/ldevid.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, before.replace("31_536_000", "86_400")).unwrap();
}

#[test]
fn a_certificate_is_renewed_when_it_is_time_and_not_before() {
    let mut site = Site::with("agent-due", of_a_day);
    let secret = site.secret("SN000001");
    site.device("SN000001", "");
    let up = site.up();
    site.enrol(&secret);
    up.down();
    let first = site.usable();
    // Two thirds of a day are sixteen hours, three quarters are eighteen.
    for (offset, standing, is_renewed) in [("+15h", "holds", false), ("+19h", "due", true)] {
        site.offset = Some(offset);
        let up = site.up();
        assert_eq!(site.identity()["standing"], standing, "at {offset}");
        let said = site.does(&["renew"]);
        up.down();
        assert_eq!(said.starts_with("renewed\n"), is_renewed, "at {offset}: {said}");
        assert_eq!(site.usable() != first, is_renewed, "at {offset}");
    }
    site.offset = None;
}

#[test]
fn a_device_that_was_away_past_the_end_of_its_certificate_is_told_so() {
    let mut site = Site::with("agent-expired", of_a_day);
    let secret = site.secret("SN000001");
    site.device("SN000001", "");
    let up = site.up();
    site.enrol(&secret);
    up.down();
    site.offset = Some("+2d");
    let said = site.fails(&["renew"], "offline");
    assert!(said.contains("the certificate that there is has expired at"), "{said}");
    let up = site.up();
    let said = site.fails(&["renew"], "expired");
    up.down();
    assert!(said.contains("cradle device allow SERIAL --secret") && said.contains("Identifier: "), "{said}");
    let identifier = said.split("Identifier: ").nth(1).unwrap().split([';', ' ', '\n']).next().unwrap().to_owned();
    site.why(&identifier, "client-expired");
    assert_eq!((&site.identity()["standing"], site.usable().len() > 8), (&"expired".into(), true));
    // It is let in again by an operator, and by nobody else.
    let allowed =
        site.b.command_at("+2d", &["device", "allow", "SN000001", "--secret", "-o", "json"]).output().unwrap();
    let allowed: serde_json::Value = serde_json::from_slice(&allowed.stdout).unwrap();
    site.keep("secret", allowed["secret"].as_str().unwrap());
    let up = site.up();
    let said = site.does(&["enrol", "--force", "--secret", "secret"]);
    up.down();
    assert!(said.starts_with("enrolled\n") && site.identity()["standing"] == "holds", "{said}");
    site.offset = None;
}

#[test]
fn who_has_to_wait_asks_again_when_it_is_told_to_and_not_before() {
    let mut site = Site::with("agent-waits", |b| {
        let path = b.data().join("profiles/ldevid.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + "\n[enrolment]\napprovals = 1\nprotocols = [\"est\"]\n").unwrap();
    });
    let secret = site.secret("SN000001");
    site.device("SN000001", "");
    site.keep("secret", &secret);
    let up = site.up();
    let said = site.fails(&["enrol", "--secret", "secret"], "waits");
    assert!(said.contains("the request waits for approval"), "{said}");
    up.down();
    // Nobody is asked: there is nobody.
    let said = site.fails(&["enrol", "--secret", "secret"], "waits");
    assert!(said.contains("the server was not asked") && said.contains("it wants to be asked again at"), "{said}");
    assert!(site.identity()["ask_from"].is_string());
    let waiting = site.b.json(&["approve", "list"]);
    site.b.ok(&["approve", "yes", &waiting[0]["id"].to_string()]);
    site.offset = Some("+61s");
    let up = site.up();
    site.does(&["enrol", "--secret", "secret"]);
    up.down();
    site.offset = None;
    site.usable();
}

#[test]
fn a_hook_that_fails_is_run_again_and_keeps_nothing_back() {
    let site = Site::new("agent-hook");
    let secret = site.secret("SN000001");
    site.with_hook("SN000001");
    site.b.write("unwell", "");
    site.keep("secret", &secret);
    let _up = site.up();
    let (status, out, err) = site.run(&["enrol", "--secret", "secret"]);
    assert!(status == 1 && out.starts_with("enrolled\n"), "{out}{err}");
    assert!(err.contains("no service") && err.contains("code: hook\n"), "{err}");
    site.usable();
    assert!(site.does(&["status"]).contains("the hook is to be run"));
    std::fs::remove_file(site.b.dir.join("unwell")).unwrap();
    site.does(&["renew"]);
    site.does(&["renew"]);
    assert_eq!(site.changes(), 1);
    let identity = site.b.dir.canonicalize().unwrap().join(IDENTITY);
    assert_eq!(text(&site.b.read("changes")).trim(), identity.to_str().unwrap());
}

#[test]
fn two_of_them_do_not_work_at_once() {
    let site = Site::new("agent-alone");
    site.device("SN000001", "");
    std::fs::create_dir_all(site.b.dir.join("agent/identity")).unwrap();
    let held = adapters::files::DirectoryLock::take(&site.b.dir.join("agent/identity")).unwrap();
    let said = site.fails(&["renew"], "in-use");
    assert!(said.contains("another agent works with it"), "{said}");
    drop(held);
    let said = site.fails(&["renew"], "no-identity");
    assert!(said.contains("cradle-agent enrol"), "{said}");
}

#[test]
fn an_agent_that_is_killed_wherever_it_writes_has_a_pair_and_goes_on() {
    let site = Site::new("agent-kills");
    let secrets = ["SN000001", "SN000002"].map(|serial| site.secret(serial));
    let _up = site.up();
    // The program that kills counts each kind of call by itself.
    let killed_at = |call: &str, n: usize, words: &[&str]| {
        let inject = format!("inject={call}:signal=KILL:when={n}");
        let before = ["strace", "-f", "-q", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
        !site.agent(&before, words).output().unwrap().status.success()
    };
    // Enrolling with one secret, which opens for one key only: a key that is lost is a device that is lost.
    site.with_hook("SN000001");
    site.keep("secret", &secrets[0]);
    let enrol = ["enrol", "--secret", "secret"];
    let kills = (1..30).take_while(|n| killed_at("unlink", *n, &enrol)).count();
    assert!((3..29).contains(&kills), "it was killed {kills} times");
    site.does(&["renew"]);
    let mut last = site.usable();
    assert!(site.changes() >= 1, "a change that the hook does not know of");
    // Renewing, from a certificate that is renewed once: whoever loses the new key renews no more.
    for call in ["unlink", "fsync", "rename", "sendto"] {
        let mut n = 1;
        loop {
            let before = site.changes();
            let was_killed = killed_at(call, n, &["renew", "--force"]);
            let now = site.usable();
            if was_killed {
                // It has the new one already, or goes on to it.
                site.does(if now == last { &["renew", "--force"] } else { &["renew"] });
            }
            assert_ne!(site.usable(), last, "killed at {call} {n}, it did not go on");
            assert!(site.changes() > before, "killed at {call} {n}, the hook was forgotten");
            last = site.usable();
            if !was_killed {
                break;
            }
            n += 1;
        }
        assert!(n > 3, "it was killed {} times at {call}", n - 1);
    }
}
