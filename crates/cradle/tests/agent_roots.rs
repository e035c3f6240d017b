//! The agent of a device whose root gets a new key: it follows, over CMP and over EST, and has what leads to the new one only.
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

mod common;
mod site;

use common::text;
use serde_json::Value;
use site::{ARGUMENTS, Site};

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
const ROOTS: &str = "agent/identity/roots.json";
const RENEW: [&str; 2] = ["renew", "--force"];

fn site(name: &str) -> Site {
    Site::with(name, |b| {
        let settings = b.data().join("cradle.toml");
        let before = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(&settings, before + "[gateway.cmp.devices]\nprofile = \"ldevid\"\n").unwrap();
    })
}

impl Site {
    fn over_cmp(&self) {
        let config = text(&self.b.read("agent.toml"));
        let url = format!("http://localhost:{}/.well-known/cmp/p/devices", self.ports()[1]);
        self.b.write("agent.toml", config.replace(&self.url(), &url));
    }
    /// Has a ceremony, with nobody to hear.
    fn ceremony(&self, commands: &[&[&str]]) {
        self.b.ok(&["mode", "set", "ceremony"]);
        for command in commands {
            self.b.ok(command);
        }
        self.b.ok(&["mode", "set", "certificate-management"]);
    }
    /// Gives the root a new key. Its certificate is in new.pem.
    fn roll_over(&self) {
        self.ceremony(&[&["ca", "rollover", "root", "--key-type", "p384", "--yes"]]);
        self.b.write("new.pem", self.b.ok(&["ca", "chain", "root"]));
    }
    /// Has devices and the gateway certified by authorities below the new root.
    fn move_below(&self) {
        self.ceremony(&[
            &["ca", "create", "later", "--profile", "factory", "--issuer", "root"],
            &["ca", "create", "issuing", "--profile", "issuing", "--issuer", "root"],
        ]);
        self.edit("profiles/ldevid.toml", "issuers = [\"factory\"]", "issuers = [\"later\"]");
    }
    /// Whether each root came with the device, and whether another followed it.
    fn roots(&self) -> Vec<(bool, bool)> {
        let identity = self.identity();
        assert!(identity["root_failed"].is_null(), "{identity}");
        let of = |root: &Value| (root["since"].is_null(), root["is_followed"].as_bool().unwrap());
        identity["roots"].as_array().unwrap().iter().map(of).collect()
    }
    /// Whether the certificate of the device leads to a root with what is between in its file.
    fn leads_to(&self, root: &str) -> bool {
        let verify = ["verify", "-no_check_time", "-CAfile", root, "-untrusted", IDENTITY, IDENTITY];
        let said = std::process::Command::new("openssl").args(verify).current_dir(&self.b.dir).output().unwrap();
        said.status.success()
    }
    #[track_caller]
    fn renews(&self) {
        let before = self.serial(IDENTITY);
        assert!(self.does(&RENEW).starts_with("renewed\n"));
        assert_ne!(self.serial(IDENTITY), before);
    }
}

const CAME: (bool, bool) = (true, false);
const FOLLOWED: [(bool, bool); 2] = [(true, true), (false, false)];

/// A device that learns of the new root while everything still leads to the old one, and then meets what does not.
#[track_caller]
fn follows(site: &Site) {
    let root = site.b.read("root.pem");
    let up = site.up();
    site.renews();
    assert_eq!(site.roots(), [CAME]);
    up.down();
    site.roll_over();
    let up = site.up();
    site.renews();
    assert_eq!(site.roots(), FOLLOWED);
    assert!(site.leads_to("root.pem") && !site.leads_to("new.pem"));
    let said = site.does(&["status"]);
    assert!(
        said.contains("came with the device, and was followed") && said.contains("followed the one before it at"),
        "{said}"
    );
    up.down();
    site.move_below();
    let up = site.up();
    site.renews();
    assert!(site.leads_to("new.pem") && !site.leads_to("root.pem"));
    site.renews();
    assert_eq!(site.roots(), FOLLOWED);
    up.down();
    assert!(site.b.read("root.pem") == root, "what came with the device was written");
    site.b.sound();
}

#[test]
fn over_est_a_device_follows_its_root_and_then_takes_servers_and_certificates_of_the_new_one() {
    let site = site("roots-est");
    let secret = site.secret("SN000001");
    site.device("SN000001", "");
    let up = site.up();
    site.enrol(&secret);
    up.down();
    follows(&site);
    // Nothing else had it believe the server.
    let kept = site.b.read(ROOTS);
    std::fs::remove_file(site.b.dir.join(ROOTS)).unwrap();
    let up = site.up();
    let said = site.fails(&RENEW, "refused");
    assert!(said.contains("the server is not believed"), "{said}");
    site.b.write(ROOTS, kept);
    site.renews();
    up.down();
}

#[test]
fn over_cmp_a_device_follows_its_root_and_then_takes_certificates_of_the_new_one() {
    let site = site("roots-cmp");
    let secret = site.secret("SN000001");
    site.device("SN000001", "");
    site.over_cmp();
    let up = site.up();
    site.enrol(&secret);
    up.down();
    follows(&site);
}

#[test]
fn over_cmp_a_device_that_was_away_meanwhile_follows_too_two_roots_at_once() {
    let site = site("roots-away");
    let secrets = ["SN000001", "SN000002"].map(|serial| site.secret(serial));
    site.device("SN000001", "");
    site.over_cmp();
    let up = site.up();
    site.enrol(&secrets[0]);
    up.down();
    site.roll_over();
    site.move_below();
    let up = site.up();
    site.renews();
    assert_eq!(site.roots(), FOLLOWED);
    assert!(site.leads_to("new.pem"));
    up.down();
    // It is away again; and one that never asked lay in store since before all that.
    std::fs::remove_file(site.b.dir.join(ROOTS)).unwrap();
    site.roll_over();
    let up = site.up();
    site.renews();
    assert_eq!(site.roots(), [(true, true), (false, true), (false, false)]);
    std::fs::rename(site.b.dir.join("agent"), site.b.dir.join("first")).unwrap();
    site.device("SN000002", "");
    site.over_cmp();
    site.enrol(&secrets[1]);
    assert_eq!(site.roots().len(), 3);
    up.down();
    site.b.sound();
}

#[test]
fn an_agent_that_is_killed_while_it_takes_up_a_root_has_it_or_not() {
    let site = site("roots-killed");
    let secret = site.secret("SN000001");
    site.device("SN000001", "");
    site.over_cmp();
    let up = site.up();
    site.enrol(&secret);
    up.down();
    site.roll_over();
    let _up = site.up();
    let mut kills = 0;
    loop {
        let _not_there = std::fs::remove_file(site.b.dir.join(ROOTS));
        let inject = format!("inject=fsync,rename:signal=KILL:when={}", kills + 1);
        let before = ["strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=fsync,rename", "-e", &inject];
        let was_killed = !site.agent(&before, &RENEW).output().unwrap().status.success();
        assert!([&[CAME][..], &FOLLOWED].contains(&site.roots().as_slice()), "after {kills}");
        if !was_killed {
            break;
        }
        kills += 1;
        site.does(&RENEW);
        assert_eq!(site.roots(), FOLLOWED);
    }
    assert!(kills >= 6, "it was killed {kills} times only");
}
