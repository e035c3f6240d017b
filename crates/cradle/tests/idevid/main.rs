//! Devices that come with a certificate from who made them (IDevID), and get one of here (LDevID): over EST with curl, and over CMP with
//! openssl. A test here fails when its defence is taken out.
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

#[path = "../common/mod.rs"]
mod common;
#[path = "../site/mod.rs"]
mod site;

mod attacks;
mod life;
mod lists;
mod maker;

use common::{foreign, text};
use maker::Maker;
use site::{Site, shows, words};

/// A box that trusts the maker `acme`, and has its list of this moment.
pub fn works(name: &str) -> (Site, Maker) {
    let site = Site::with(name, |b| {
        let path = b.data().join("cradle.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, settings + "[gateway.cmp.devices]\nprofile = \"ldevid\"\n").unwrap();
    });
    let acme = Maker::new(&site.b.dir, "acme");
    site.b.ok(&["maker", "trust", "acme", &acme.certificate()]);
    acme.list("acme.crl", "30");
    site.b.ok(&["maker", "revoked", "acme", "acme.crl"]);
    (site, acme)
}

/// Has devices expected with the certificates of these numbers.
pub fn expect(site: &Site, list: &str, devices: &[(&str, &str)]) {
    let line = |(serial, number): &(&str, &str)| format!("{serial},sensor,ldevid,acme,{number}\n");
    let lines: String = devices.iter().map(line).collect();
    site.b.write(&format!("{list}.csv"), format!("serial,type,profile,maker,idevid\n{lines}"));
    site.b.ok(&["list", "import", &format!("{list}.csv")]);
}

/// One device that is expected with a certificate of the maker's, in NAME.pem and NAME.key. Its request is in NAME-next.csr.
pub fn device(site: &Site, acme: &Maker, serial: &str, name: &str) -> String {
    let number = acme.idevid(name);
    expect(site, &format!("list-{name}"), &[(serial, &number)]);
    site.request(&format!("{name}-next"), "/");
    number
}

/// Asks with NAME's certificate for one for the request in NAME-next.csr.
pub fn ask(up: &site::Up<'_>, name: &str) -> site::Got {
    up.ask(&format!("{name}-next"), "simpleenroll", &words(&shows(name)))
}
