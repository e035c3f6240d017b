//! Who is refused, each by a rule of its own. On the wire all of them look alike.

use crate::maker::Maker;
use crate::site::{shows, words};
use crate::{ask, device, expect, foreign, text, works};

#[test]
fn what_no_list_has_is_refused() {
    let (site, acme) = works("idevid-unlisted");
    let listed = device(&site, &acme, "TH000001", "listed");
    // Its number is on a list, of another maker's certificates.
    let number = acme.idevid("unlisted");
    site.b.write("zenith.csv", format!("serial,type,profile,maker,idevid\nTH000002,sensor,ldevid,zenith,{number}\n"));
    site.b.ok(&["list", "import", "zenith.csv"]);
    site.request("unlisted-next", "/");
    // A list that was taken back by another one.
    device(&site, &acme, "TH000003", "withdrawn");
    site.b.write(
        "instead.csv",
        format!("serial,type,profile,maker,idevid\nTH000004,sensor,ldevid,acme,{}\n", acme.idevid("x")),
    );
    site.b.ok(&["list", "import", "instead.csv", "--replaces", "list-withdrawn"]);
    // A list whose supplier nobody trusts was not taken at all.
    let number = acme.idevid("untaken");
    let head = "# supplier: distributor\n# sequence: 1\n# count: 1\n";
    site.b.write(
        "untaken.csv",
        format!("{head}serial,type,profile,maker,idevid\nTH000005,sensor,ldevid,acme,{number}\n"),
    );
    site.b.write("untaken.sig", "x");
    assert!(!site.b.run(&["list", "import", "untaken.csv", "--signature", "untaken.sig"]).status.success());
    site.request("untaken-next", "/");
    let up = site.up();
    let refused: Vec<_> = ["unlisted", "withdrawn", "untaken"].map(|name| ask(&up, name).refused()).into();
    assert_eq!(ask(&up, "listed").status, 200);
    up.down();
    for identifier in refused {
        site.why(&identifier, "idevid-not-listed");
        let said = site.b.ok(&["explain", &identifier]);
        assert!(said.contains("names the maker acme"), "{said}");
        assert!(!said.contains(&listed.to_lowercase()), "{said}");
    }
}

#[test]
fn the_same_name_with_another_key_is_another_maker() {
    let (site, acme) = works("idevid-forged");
    let number = device(&site, &acme, "TH000001", "thing");
    // An authority of one's own, with the maker's name, gives the same number to a key of one's own.
    let forger = Maker::new(&site.b.dir, "forger");
    assert_eq!(forger.idevid("forged"), number);
    site.request("forged-next", "/");
    let up = site.up();
    let forged = ask(&up, "forged").refused();
    up.down();
    site.why(&forged, "maker-mismatch");
    // Named as another maker, it speaks for its own devices only.
    site.b.ok(&["maker", "trust", "acme-two", &forger.certificate(), "--without-list"]);
    let up = site.up();
    let other = ask(&up, "forged").refused();
    assert_eq!(ask(&up, "thing").status, 200);
    up.down();
    site.why(&other, "idevid-not-listed");
}

#[test]
fn who_names_no_maker_is_a_stranger() {
    let (site, _acme) = works("idevid-stranger");
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Thing"];
    foreign(&site.b.dir, "openssl", &[&new[..], &["-keyout", "own.key", "-out", "own.pem"]].concat());
    site.request("own-next", "/");
    let up = site.up();
    let refused = ask(&up, "own").refused();
    up.down();
    site.why(&refused, "client-unknown");
    let said = site.b.ok(&["explain", &refused]);
    assert!(!said.contains("names the maker"), "{said}");
}

#[test]
fn a_maker_whom_nobody_trusts_any_more_proves_nothing() {
    let (site, acme) = works("idevid-distrusted");
    device(&site, &acme, "TH000001", "thing");
    site.b.ok(&["maker", "distrust", "acme"]);
    let up = site.up();
    let refused = ask(&up, "thing").refused();
    up.down();
    site.why(&refused, "client-unknown");
}

#[test]
fn what_the_maker_revoked_is_refused() {
    let (site, acme) = works("idevid-revoked");
    device(&site, &acme, "TH000001", "thing");
    device(&site, &acme, "TH000002", "other");
    acme.revoke("thing");
    acme.list("newer.crl", "30");
    site.b.ok(&["maker", "revoked", "acme", "newer.crl"]);
    let up = site.up();
    let refused = ask(&up, "thing").refused();
    assert_eq!(ask(&up, "other").status, 200);
    up.down();
    site.why(&refused, "client-revoked");
}

#[test]
fn without_a_list_in_time_nobody_enrols() {
    let (mut site, acme) = works("idevid-stale");
    device(&site, &acme, "TH000001", "thing");
    acme.list("short.crl", "2");
    site.b.ok(&["maker", "revoked", "acme", "short.crl"]);
    site.offset = Some("+3d");
    let up = site.up();
    let stale = ask(&up, "thing").refused();
    up.down();
    site.why(&stale, "maker-list-stale");
    site.offset = None;
}

#[test]
fn a_list_that_was_never_given_is_missed_unless_there_is_none() {
    let (site, acme) = works("idevid-no-list");
    // The same authority under another name: nobody gave its list.
    site.b.ok(&["maker", "distrust", "acme"]);
    site.b.ok(&["maker", "trust", "quiet", &acme.certificate()]);
    let number = acme.idevid("thing");
    site.b.write("quiet.csv", format!("serial,type,profile,maker,idevid\nTH000001,sensor,ldevid,quiet,{number}\n"));
    site.b.ok(&["list", "import", "quiet.csv"]);
    site.request("thing-next", "/");
    let up = site.up();
    let missed = ask(&up, "thing").refused();
    up.down();
    site.why(&missed, "maker-list-stale");
    site.b.fails(&["maker", "trust", "quiet", &acme.certificate(), "--without-list"], 6, "maker-known");
    site.b.ok(&["maker", "trust", "quiet", &acme.certificate(), "--without-list", "--replace"]);
    let up = site.up();
    assert_eq!(ask(&up, "thing").status, 200);
    up.down();
}

#[test]
fn what_has_ended_is_refused() {
    let (mut site, acme) = works("idevid-ended");
    let soon = foreign(&site.b.dir, "date", &["-u", "-d", "+2 days", "+%Y%m%d%H%M%SZ"]);
    let number = acme.issue("ends", "idevid", soon.trim());
    // Of a maker without lists of revoked certificates: where there is one, time is looked at once more.
    site.b.ok(&["maker", "distrust", "acme"]);
    site.b.ok(&["maker", "trust", "quiet", &acme.certificate(), "--without-list"]);
    let of_quiet = |serial: &str, number: &str| format!("{serial},sensor,ldevid,quiet,{number}\n");
    let lines = of_quiet("TH000001", &number) + &of_quiet("TH000002", &acme.idevid("endless"));
    site.b.write("quiet.csv", format!("serial,type,profile,maker,idevid\n{lines}"));
    site.b.ok(&["list", "import", "quiet.csv"]);
    site.request("endless-next", "/");
    site.request("ends-next", "/");
    site.offset = Some("+3d");
    let up = site.up();
    let ended = ask(&up, "ends").refused();
    assert_eq!(ask(&up, "endless").status, 200);
    up.down();
    site.why(&ended, "client-expired");
    site.offset = None;
}

#[test]
fn what_is_no_devices_is_refused() {
    let (site, acme) = works("idevid-purpose");
    let end = "99991231235959Z";
    let kinds = ["server", "agreement", "below"];
    let numbers = kinds.map(|kind| acme.issue(kind, kind, end));
    let devices: Vec<_> =
        ["TH000001", "TH000002", "TH000003"].into_iter().zip(numbers.iter().map(String::as_str)).collect();
    expect(&site, "kinds", &devices);
    kinds.iter().for_each(|kind| site.request(&format!("{kind}-next"), "/"));
    let up = site.up();
    let refused = kinds.map(|kind| ask(&up, kind).refused());
    // What an authority of the maker's below the one that is named signed is signed by nobody whom an operator named.
    up.down();
    for (kind, identifier) in kinds.iter().zip(refused) {
        let said = site.b.ok(&["explain", &identifier]);
        assert!(said.contains("(not-an-idevid)"), "{kind}: {said}");
    }
}

#[test]
fn who_is_marked_as_stolen_gets_nothing() {
    let (site, acme) = works("idevid-stolen");
    device(&site, &acme, "TH000001", "thing");
    site.b.ok(&["device", "stolen", "TH000001"]);
    let up = site.up();
    let refused = ask(&up, "thing").refused();
    up.down();
    site.why(&refused, "board-held");
}

#[test]
fn a_certificate_of_here_is_for_a_key_of_its_own() {
    let (site, acme) = works("idevid-same-key");
    device(&site, &acme, "TH000001", "thing");
    let dir = &site.b.dir;
    foreign(dir, "openssl", &["req", "-new", "-key", "thing.key", "-subj", "/", "-outform", "DER", "-out", "request"]);
    foreign(dir, "openssl", &["base64", "-in", "request", "-out", "same.csr"]);
    let up = site.up();
    let refused = up.ask("same", "simpleenroll", &words(&shows("thing"))).refused();
    assert_eq!(ask(&up, "thing").status, 200);
    up.down();
    site.why(&refused, "key-reused");
}

#[test]
fn a_name_comes_from_the_registration() {
    let (site, acme) = works("idevid-name");
    device(&site, &acme, "TH000001", "thing");
    // The name that the maker gave it is none of here, nor is another device's.
    site.request("own", &site.subject("thing.pem"));
    site.request("others", "/O=Example Devices/CN=sensor SN000002/serialNumber=SN000002");
    let up = site.up();
    let own = up.ask("own", "simpleenroll", &words(&shows("thing"))).refused();
    let others = up.ask("others", "simpleenroll", &words(&shows("thing"))).refused();
    let elsewhere = up.ask("own", "servers/simpleenroll", &words(&shows("thing"))).status;
    up.down();
    site.why(&own, "name-mismatch");
    site.why(&others, "name-mismatch");
    // Another label has another profile, for which nobody left a grant: there is no such path, or no.
    assert_ne!(elsewhere, 200);
    let said = text(&site.b.run(&["cert", "list", "--device", "TH000001"]).stdout);
    assert!(!said.contains("ldevid"), "{said}");
}
