//! A browser (Debian's Chromium) at what we issue: the gateway, and a device that serves TLS itself.
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

use common::{foreign, port_of_its_own, text};
use site::Site;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The page that a browser shows, as HTML; nothing where it shows a warning in its place. All of `.internal` is this machine.
fn page(site: &Site, home: &str, url: &str) -> String {
    let home = site.b.dir.join(home);
    let keeps = format!("--user-data-dir={}", home.join("chromium").display());
    let mut browser = Command::new("timeout");
    browser.args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", &keeps]);
    browser.args(["--host-resolver-rules=MAP *.internal 127.0.0.1", "--dump-dom", url]).env("HOME", &home);
    let shown = browser.current_dir(&site.b.dir).output().unwrap();
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    text(&shown.stdout)
}

/// A home in which the root of the installation is trusted for servers, or none is.
fn home(site: &Site, name: &str, trusts: bool) {
    let database = format!("{name}/.pki/nssdb");
    std::fs::create_dir_all(site.b.dir.join(&database)).unwrap();
    let database = format!("sql:{database}");
    foreign(&site.b.dir, "certutil", &["-d", &database, "-N", "--empty-password"]);
    if trusts {
        foreign(&site.b.dir, "certutil", &["-d", &database, "-A", "-t", "C,,", "-n", "root", "-i", "root.pem"]);
    }
}

/// A device that serves TLS with NAME.pem, by OpenSSL.
struct Panel(Child);

impl Panel {
    fn with(site: &Site, name: &str, port: u16) -> Self {
        let (certificate, key, accept) = (format!("{name}.pem"), format!("{name}.key"), format!("127.0.0.1:{port}"));
        let mut server = Command::new("openssl");
        server.args([
            "s_server",
            "-www",
            "-accept",
            &accept,
            "-cert",
            &certificate,
            "-key",
            &key,
            "-cert_chain",
            "chain.pem",
        ]);
        let mut child = server.current_dir(&site.b.dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.map_while(Result::ok).any(|line| line.starts_with("ACCEPT")), "it does not serve");
        Self(child)
    }
}
impl Drop for Panel {
    fn drop(&mut self) {
        let _gone = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn a_browser_that_trusts_the_root_shows_the_gateway_and_a_device_and_no_other_does() {
    let site = Site::new("browser");
    // This installation has no other authority below its root.
    site.edit("profiles/tls-server.toml", "\"issuing\"", "\"factory\"");
    home(&site, "trusts", true);
    home(&site, "stranger", false);
    let secret = site.b.json(&["device", "allow", "SN000001", "--profile", "tls-server", "--secret"]);
    let user = format!("SN000001:{}", secret["secret"].as_str().unwrap());
    let up = site.up();

    // The gateway says in plain words that there is no such path.
    let gateway = |name: &str| format!("https://{name}:{}/nothing", site.ports()[0]);
    assert!(page(&site, "trusts", &gateway("cm.internal")).contains("There is no such path."));
    assert!(!page(&site, "stranger", &gateway("cm.internal")).contains("There is no such path."));
    assert!(!page(&site, "trusts", &gateway("other.internal")).contains("There is no such path."));

    let new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "a.key"];
    let name = ["-subj", "/", "-addext", "subjectAltName=DNS:panel.internal", "-outform", "DER", "-out", "request"];
    foreign(&site.b.dir, "openssl", &[&new[..], &name].concat());
    foreign(&site.b.dir, "openssl", &["base64", "-in", "request", "-out", "a.csr"]);
    up.had("a", "servers/simpleenroll", &["-u", &user]);
    let port = port_of_its_own();
    let panel = Panel::with(&site, "a", port);
    let at = |name: &str| format!("https://{name}.internal:{port}/");
    assert!(page(&site, "trusts", &at("panel")).contains("s_server -www"));
    assert!(!page(&site, "stranger", &at("panel")).contains("s_server -www"));
    assert!(!page(&site, "trusts", &at("another")).contains("s_server -www"));
    drop(panel);
    up.down();
}
