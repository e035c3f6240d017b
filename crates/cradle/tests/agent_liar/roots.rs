//! A server, over CMP and over EST, that names a root which does not follow the one that the device has.

use crate::common::Box_;
use crate::site::Site;
use crate::{Scene, cmp};
use adapters::clock::SystemClock;
use adapters::keystore::memory::MemoryKey;
use ports::{Clock, Signer};
use wire::cmp::server::{RootUpdate, write_root_update};
use x509::certificate::TbsCertificate;
use x509::extension::{BasicConstraints, KeyUsage};
use x509::{Certificate, KeyType, Name, SerialNumber, csr, pem, sha256};

const ENROL: [&str; 3] = ["enrol", "--secret", "secret"];
const IDENTITY: &str = "agent/identity/identity.pem";
const RENEW: [&str; 2] = ["renew", "--force"];

/// What is wrong with the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    /// The old root has not signed it, nor has anybody.
    NoLink,
    /// The new root has signed it itself.
    ByItself,
    ByOther,
    /// By a root that the device has, too, and that has expired.
    ByExpired,
    OtherKey,
    NotAuthority,
    LinkNotAuthority,
    Expired,
    LinkExpired,
}

/// Who may sign, and the root that follows.
struct Roots {
    name: Name,
    old: MemoryKey,
    past: MemoryKey,
    other: MemoryKey,
    new: MemoryKey,
}

impl Roots {
    fn certificate(&self, by: &MemoryKey, key: &MemoryKey, is_ca: bool, is_over: bool) -> Certificate {
        let now = SystemClock.now().whole_second();
        // All have one issuer's name: newWithNew and newWithOld differ in nothing else.
        let number = sha256(by.public_key().spki());
        let tbs = TbsCertificate {
            serial_number: SerialNumber::new(&[&[1], &number.octets()[..9]].concat()).unwrap(),
            signature: by.algorithm(),
            issuer: self.name.clone(),
            not_before: now.minus_s(if is_over { 120 } else { 60 }),
            not_after: if is_over { now.minus_s(30) } else { now.plus_s(86_400) },
            subject: self.name.clone(),
            subject_public_key: key.public_key().clone(),
            extensions: vec![
                BasicConstraints { ca: is_ca, path_len: None }.extension(),
                KeyUsage::KEY_CERT_SIGN.extension(),
            ],
        };
        let der = tbs.write();
        Certificate::decode(&csr::write_signed(&der, by.algorithm(), &by.sign(&der).unwrap())).unwrap()
    }

    /// Those of a server, beside whose root the device gets another one, which has expired.
    fn of(place: &Box_, site: &Site) -> Self {
        let read = |file: &str| pem::decode(&place.read(file)).unwrap().1;
        let name = Certificate::decode(&read("ca.pem")).unwrap().tbs().subject.clone();
        let [past, other, new] = std::array::from_fn(|_| MemoryKey::generate(KeyType::P256));
        let roots = Self { name, old: MemoryKey::open(&read("ca.key")).unwrap(), past, other, new };
        let past = pem::encode("CERTIFICATE", roots.certificate(&roots.past, &roots.past, true, true).der());
        site.b.write("root.pem", [site.b.read("root.pem"), past.into_bytes()].concat());
        roots
    }

    /// `newWithNew`, `newWithOld`.
    fn told(&self, lie: Lie) -> (Certificate, Option<Certificate>) {
        let by = match lie {
            Lie::ByItself => &self.new,
            Lie::ByOther => &self.other,
            Lie::ByExpired => &self.past,
            _ => &self.old,
        };
        let key = if lie == Lie::OtherKey { &self.other } else { &self.new };
        let new = self.certificate(&self.new, &self.new, lie != Lie::NotAuthority, lie == Lie::Expired);
        let link = self.certificate(by, key, lie != Lie::LinkNotAuthority, lie == Lie::LinkExpired);
        (new, (lie != Lie::NoLink).then_some(link))
    }
}

const LIES: [(Lie, &str); 9] = [
    (Lie::NoLink, "(no newWithOld)"),
    (Lie::ByItself, "(newWithOld): its issuer did not sign it"),
    (Lie::ByOther, "(newWithOld): its issuer did not sign it"),
    (Lie::ByExpired, "(newWithOld): its issuer did not sign it"),
    (Lie::OtherKey, "the old root vouches for another key"),
    (Lie::NotAuthority, "(newWithNew): it is no certification authority"),
    (Lie::LinkNotAuthority, "(newWithOld): it is no certification authority"),
    (Lie::Expired, "(newWithNew): it has expired"),
    (Lie::LinkExpired, "(newWithOld): it has expired"),
];

/// Renews while the server lies. The certificate is renewed, and the roots are those that there were.
#[track_caller]
fn refused(site: &Site, why: &str, code: &str) {
    let (before, pair) = (site.identity(), site.b.read(IDENTITY));
    let (status, out, err) = site.run(&RENEW);
    assert!(status == 1 && out.starts_with("renewed\n"), "{why}: {out}{err}");
    assert!(err.contains(why) && err.contains(&format!("code: {code}\n")), "{why}: {err}");
    let identity = site.identity();
    assert_eq!(identity["roots"], before["roots"], "{why}: it was taken up");
    assert!(site.b.read(IDENTITY) != pair, "{why}");
    assert_eq!(identity["root_failed"]["code"], code, "{why}: {identity}");
    assert!(site.does(&["status"]).contains(&format!("{code} at ")));
}

/// Renews while it does not. Gives how many roots there are then.
#[track_caller]
fn taken(site: &Site) -> usize {
    assert!(site.does(&RENEW).starts_with("renewed\n"));
    let identity = site.identity();
    assert!(identity["root_failed"].is_null(), "{identity}");
    identity["roots"].as_array().unwrap().len()
}

#[test]
fn over_cmp_a_root_is_taken_up_only_if_the_old_one_vouches_for_it() {
    let scene = cmp::Scene::new("liar-cmp-root");
    let roots = Roots::of(&scene.place, &scene.site);
    let says = |value: Option<Vec<u8>>| *scene.root.lock().unwrap() = value;
    let tells = |lie| {
        let (new, link) = roots.told(lie);
        let new_with_old = link.as_ref().map(Certificate::der);
        says(Some(write_root_update(&RootUpdate { new_with_new: new.der(), new_with_old, old_with_new: None })));
    };
    scene.site.does(&ENROL);
    assert_eq!(taken(&scene.site), 2);
    for (lie, why) in LIES {
        tells(lie);
        refused(&scene.site, why, "root-refused");
    }
    says(Some(b"\x30\x02\x30\x00".to_vec()));
    refused(&scene.site, "a root that follows, and it cannot be read", "refused");
    // The old one again.
    let old = Certificate::decode(&pem::decode(&scene.place.read("ca.pem")).unwrap().1).unwrap();
    let update = RootUpdate { new_with_new: old.der(), new_with_old: None, old_with_new: None };
    says(Some(write_root_update(&update)));
    assert_eq!(taken(&scene.site), 2);
    tells(Lie::None);
    assert_eq!(taken(&scene.site), 3);
}

#[test]
fn over_est_a_root_is_taken_up_only_if_the_old_one_vouches_for_it() {
    let scene = Scene::new("liar-root");
    let roots = Roots::of(&scene.place, &scene.site);
    let tells = |lie| {
        let (new, link) = roots.told(lie);
        let files: Vec<_> = [("new.pem", Some(new)), ("link.pem", link)]
            .into_iter()
            .filter_map(|(file, certificate)| {
                scene.place.write(file, pem::encode("CERTIFICATE", certificate?.der()));
                Some(file.to_owned())
            })
            .collect();
        *scene.beside.lock().unwrap() = files;
    };
    scene.site.does(&ENROL);
    assert_eq!(taken(&scene.site), 2);
    for (lie, why) in LIES {
        tells(lie);
        // In a list nothing else says what the certificate for another key is for.
        let why = if lie == Lie::OtherKey { "(no newWithOld)" } else { why };
        refused(&scene.site, why, "root-refused");
    }
    tells(Lie::None);
    assert_eq!(taken(&scene.site), 3);
}
