//! `genm` with `crlStatusList`: who has a list is told of a newer one.

use crate::hand::{AS_IT_IS, Got, Shows, Talk};
use crate::newer::is_newer;
use crate::site::{Site, Up};
use model::UnixTime;
use wire::cmp::header::TypeAndValue;
use wire::cmp::{Body, Message, oids};
use x509::name::Attribute;
use x509::{Certificate, CertificateList, Name, Writer, pem};

const PATH: &str = "/.well-known/cmp";
const POINT: &str =
    "[extensions]\ncrl_distribution_point = \"http://a.example/{authority}-shard-{shard}.crl\"\nshards = 2";

fn divided(name: &str) -> Site {
    let site = Site::new(name);
    let profile = site.b.data().join("profiles/ldevid.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("[extensions]", POINT)).unwrap();
    site
}

/// Which list, and when the one is from that is known: `CRLStatusListValue`.
fn status(source: impl FnOnce(&mut Writer), known: Option<UnixTime>) -> Vec<u8> {
    let mut w = Writer::with_capacity(200);
    w.sequence(|w| {
        w.sequence(|w| {
            source(w);
            if let Some(at) = known {
                w.time(at);
            }
        });
    });
    w.finish()
}
fn of_issuer(name: &Name) -> impl FnOnce(&mut Writer) {
    move |w| {
        w.explicit(1, |w| {
            w.sequence(|w| {
                w.value(0xa4, name.der());
            });
        });
    }
}
fn at_point(uri: &str) -> impl FnOnce(&mut Writer) {
    move |w| {
        w.explicit(0, |w| {
            w.explicit(0, |w| {
                w.value(0x86, uri.as_bytes());
            });
        });
    }
}

struct Asker<'s> {
    up: &'s Up<'s>,
    secret: &'s str,
}

impl Asker<'_> {
    fn ask(&self, value: &[u8]) -> Vec<u8> {
        let shows = Shows::Secret { reference: "SN000001", secret: self.secret };
        let asked = TypeAndValue { info_type: oids::CRL_STATUS_LIST, info_value: Some(value) };
        self.up.post(PATH, &Talk::new(self.up, PATH, shows).message(&Body::Genm(vec![asked]), AS_IT_IS, None))
    }
    /// The list that is told, if it is newer than what is known.
    fn list(&self, value: &[u8]) -> Option<CertificateList> {
        let answer = self.ask(value);
        let Body::Genp(told) = Message::decode(&answer).unwrap().body else { panic!("{answer:?}") };
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(told.info_type, oids::CRLS);
        told.info_value.map(|value| {
            // A SEQUENCE of one, of some hundred octets.
            assert_eq!(value[..2], [0x30, 0x82]);
            CertificateList::decode(&value[4..]).unwrap()
        })
    }
}

#[test]
fn who_has_a_list_is_told_of_a_newer_one() {
    let site = divided("cmp-lists");
    let secret = site.secret("SN000001");
    let (_, der) = pem::decode(&site.b.read("chain.pem")).unwrap();
    let issuer = Certificate::decode(&der).unwrap().tbs().subject.clone();
    let up = site.up();
    let asker = Asker { up: &up, secret: &secret };
    let first = asker.list(&status(of_issuer(&issuer), None)).unwrap();
    assert_eq!((first.issuer.der(), first.crl_number), (issuer.der(), 1));
    let (known, older) = (first.this_update, first.this_update.minus_s(1));
    assert!(asker.list(&status(of_issuer(&issuer), Some(known))).is_none());
    assert_eq!(asker.list(&status(of_issuer(&issuer), Some(older))).unwrap().crl_number, 1);
    // By the name that certificates have of a shard.
    for (shard, number) in [(1, 2), (2, 3)] {
        let uri = format!("http://a.example/factory-shard-{shard}.crl");
        let told = asker.list(&status(at_point(&uri), None)).unwrap();
        assert_eq!((told.issuer.der(), told.crl_number), (issuer.der(), number));
    }
    // What is no list of ours, and what says none.
    let nobody = Name::write(&[Attribute { oid: x509::oids::COMMON_NAME, text: "Nobody".to_owned() }]);
    for (value, failure) in [
        (status(of_issuer(&nobody), None), "badRequest"),
        (status(at_point("http://a.example/factory-shard-3.crl"), None), "badRequest"),
        (status(at_point("http://a.example/factory-shard-0.crl"), None), "badRequest"),
        (vec![0x30, 0], "badDataFormat"),
    ] {
        let said = Got::read(&asker.ask(&value)).said;
        assert!(said.starts_with(failure), "{said}");
    }
    up.down();
    site.b.sound();
}

#[test]
#[ignore = "needs openssl 3.4: rigs/newer-openssl"]
fn openssl_is_told_of_a_newer_list_by_issuer_and_by_point() {
    assert!(is_newer());
    let site = divided("cmp-newer-lists");
    let (pass, own) = (format!("pass:{}", site.secret("SN000001")), format!("pass:{}", site.secret("SN000002")));
    site.key("own");
    let up = site.up();
    let ir = ["-cmd", "ir", "-newkey", "own.key", "-certout", "own.pem", "-subject", "/", "-ref", "SN000002"];
    up.goes(PATH, &[&ir[..], &["-secret", &own]].concat());
    let genm = |words: &[&str]| {
        let fixed = ["-cmd", "genm", "-infotype", "crlStatusList", "-ref", "SN000001", "-secret", &pass];
        up.goes(PATH, &[&fixed[..], words].concat())
    };
    // By the point that the certificate names.
    genm(&["-crlcert", "own.pem", "-crlout", "shard.crl"]);
    let said = crate::common::foreign(
        &site.b.dir,
        "openssl",
        &["crl", "-inform", "DER", "-in", "shard.crl", "-noout", "-text"],
    );
    assert!(said.contains("URI:http://a.example/factory-shard-"), "{said}");
    // That one is known now.
    let said = genm(&["-crlcert", "own.pem", "-oldcrl", "shard.crl", "-crlout", "newer.crl"]);
    assert!(said.contains("no CRL update available"), "{said}");
    // One without a point, by its issuer.
    let said = genm(&["-crlcert", "chain.pem", "-crlout", "whole.crl"]);
    assert!(site.b.dir.join("whole.crl").exists(), "{said}");
    up.down();
    site.b.sound();
}
