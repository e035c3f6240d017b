//! The agent of a device against a gateway of the program itself, over CMP: with a secret, with its certificate, with TLS and without.
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

use common::{foreign, text};
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

fn site(name: &str) -> Site {
    Site::with(name, |b| {
        let settings = b.data().join("cradle.toml");
        let before = std::fs::read_to_string(&settings).unwrap();
        let cmp = "[gateway.cmp.devices]\nprofile = \"ldevid\"\n[gateway.cmp.explicit]\nprofile = \"ldevid\"\nimplicit_confirm = false\n";
        std::fs::write(&settings, before + cmp).unwrap();
    })
}

impl Site {
    fn speaks_cmp(&self, serial: &str, base: &str, more: &str) {
        self.device(serial, more);
        let config = text(&self.b.read("agent.toml"));
        self.b.write("agent.toml", config.replace(&self.url(), base));
    }
    fn cmp(&self, scheme: &str, label: &str) -> String {
        let [https, http] = self.ports();
        let port = if scheme == "https" { https } else { http };
        format!("{scheme}://localhost:{port}/.well-known/cmp/p/{label}")
    }
    /// The certificate leads to the root, and the key is its own.
    #[track_caller]
    fn usable(&self) -> String {
        let dir = &self.b.dir;
        let of_key = foreign(dir, "openssl", &["pkey", "-in", IDENTITY, "-pubout"]);
        assert_eq!(of_key, foreign(dir, "openssl", &["x509", "-in", IDENTITY, "-noout", "-pubkey"]));
        let verify = ["verify", "-no_check_time", "-CAfile", "root.pem", "-untrusted", IDENTITY, IDENTITY];
        foreign(dir, "openssl", &verify);
        self.serial(IDENTITY)
    }
}

#[track_caller]
fn lives(site: &Site, base: &str, more: &str) {
    let secret = site.secret("SN000001");
    site.speaks_cmp("SN000001", base, more);
    let up = site.up();
    assert!(site.enrol(&format!("{secret}\n")).starts_with("enrolled\n"));
    let first = site.usable();
    assert!(site.does(&["renew"]).starts_with("nothing is to be done\n"));
    assert!(site.does(&["renew", "--force"]).starts_with("renewed\n"));
    let second = site.usable();
    assert!(site.does(&["renew", "--force"]).starts_with("renewed\n"));
    up.down();
    let told = site.b.ok(&["explain", &site.usable()]);
    assert!(first != second && told.contains(&format!("certificate {second}, which it renews")), "{told}");
    site.b.sound();
}

#[test]
fn a_device_enrols_and_renews_without_tls() {
    let site = site("agent-cmp");
    lives(&site, &site.cmp("http", "devices"), "");
}
#[test]
fn a_device_enrols_and_renews_with_tls_and_confirms() {
    let site = site("agent-cmp-tls");
    lives(&site, &site.cmp("https", "explicit"), "key_type = 'p384'\n");
}
#[test]
fn a_secret_that_is_wrong_or_used_gets_nothing_and_operators_learn_why() {
    let site = site("agent-cmp-secret");
    let secret = site.secret("SN000001");
    site.speaks_cmp("SN000001", &site.cmp("http", "devices"), "");
    let up = site.up();
    site.keep("secret", "not-the-secret\n");
    let said = site.fails(&["enrol", "--secret", "secret"], "refused");
    assert!(said.contains("nobody vouches for it"), "{said}");
    // Whoever has no part in the secret is another device.
    site.speaks_cmp("SN000002", &site.cmp("http", "devices"), "");
    site.keep("secret", &secret);
    site.fails(&["enrol", "--secret", "secret"], "refused");
    site.speaks_cmp("SN000001", &site.cmp("http", "devices"), "");
    site.enrol(&secret);
    std::fs::remove_dir_all(site.b.dir.join("agent")).unwrap();
    site.fails(&["enrol", "--secret", "secret"], "refused");
    assert_eq!(site.identity()["standing"], "none");
    up.down();
    site.b.sound();
}
#[test]
fn a_device_that_is_stolen_renews_no_more_and_keeps_what_it_has() {
    let site = site("agent-cmp-stolen");
    let secret = site.secret("SN000001");
    site.speaks_cmp("SN000001", &site.cmp("http", "devices"), "");
    let up = site.up();
    site.enrol(&secret);
    let before = site.b.read(IDENTITY);
    up.down();
    site.b.ok(&["device", "stolen", "SN000001"]);
    let up = site.up();
    site.fails(&["renew", "--force"], "refused");
    assert_eq!(site.b.read(IDENTITY), before);
    up.down();
}
#[test]
fn a_server_below_another_root_is_not_believed() {
    let site = site("agent-cmp-root");
    let secret = site.secret("SN000001");
    site.speaks_cmp("SN000001", &site.cmp("http", "devices"), "");
    let dir = &site.b.dir;
    foreign(
        dir,
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "other.key",
            "-subj",
            "/CN=other",
            "-days",
            "9",
            "-out",
            "other.pem",
        ],
    );
    let config = text(&site.b.read("agent.toml"));
    site.b.write("agent.toml", config.replace("'root.pem'", "'other.pem'"));
    let up = site.up();
    site.keep("secret", &secret);
    let said = site.fails(&["enrol", "--secret", "secret"], "refused");
    assert!(said.contains("none of them leads to the root"), "{said}");
    site.b.write("agent.toml", config);
    site.enrol(&secret);
    up.down();
}
#[test]
fn an_agent_that_is_killed_wherever_it_writes_or_sends_has_one_certificate() {
    let site = site("agent-cmp-killed");
    let (mut n, mut kills) = (1, 0);
    let secret = site.secret("SN000001");
    let up = site.up();
    site.speaks_cmp("SN000001", &site.cmp("http", "devices"), "");
    site.keep("secret", &secret);
    let calls = "fsync,rename,renameat,renameat2,sendto,write,unlink,unlinkat";
    // The first certificate, and then each renewal, is cut off at a later call, and comes to its end in the next run.
    loop {
        let words: &[&str] = if kills == 0 { &["enrol", "--secret", "secret"] } else { &["renew", "--force"] };
        let inject = format!("inject={calls}:signal=KILL:when={n}");
        let before = ["strace", "-f", "-q", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject];
        let ended = site.agent(&before, words).output().unwrap();
        let was_killed = !ended.status.success();
        kills += usize::from(was_killed);
        site.does(words);
        site.usable();
        if !was_killed {
            break;
        }
        n += 1;
    }
    assert!(kills >= 5, "it was killed {kills} times only");
    up.down();
    site.b.sound();
}
