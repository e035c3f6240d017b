//! `raVerified`: what a registration authority may have on its word alone.

use crate::common::foreign;
use crate::hand::{AS_IT_IS, Got, Hand, Shows, Talk};
use crate::newer::is_newer;
use crate::registrar::{OTHER, PATH, Registrar, appoint, cert_request, entitle, made, now, site, unpacked, vouched};
use crate::site::{Site, Up};
use wire::cmp::header::TypeAndValue;
use wire::cmp::server::RequestTemplate;
use wire::cmp::template::{Template, write_cert_details, write_cert_request};
use wire::cmp::{Body, Message, oids as cmp_oids};
use x509::crmf::{ProofOfPossession, write_only};
use x509::extension::KeyUsage;
use x509::name::Attribute;
use x509::{Certificate, KeyType, Name, oids, pem};

/// Refusals, with what the operator must learn of each.
#[derive(Default)]
struct Refusals(Vec<(String, &'static str)>);

impl Refusals {
    #[track_caller]
    fn note(&mut self, got: &Got, failure: &str, code: &'static str) {
        self.0.push((got.refused(failure), code));
    }
    fn check(&self, site: &Site) {
        self.0.iter().for_each(|(identifier, code)| site.why(identifier, code));
    }
}

fn used(site: &Site, name: &str) -> u64 {
    let rights = site.b.json(&["station", "rights"]);
    let rights = rights.as_array().unwrap();
    rights.iter().filter(|right| right["station"] == name).map(|right| right["used"].as_u64().unwrap()).sum()
}

#[test]
fn openssl_asks_for_devices_as_a_registration_authority_within_its_right() {
    let site = site("cmp-vouched");
    let make = |words: &[&str]| {
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
        foreign(&site.b.dir, "openssl", &[&new[..], &["-config", "/dev/null"], words].concat());
    };
    // An authority of its own, because OpenSSL leaves self-signed certificates out of what it sends.
    make(&["-subj", "/CN=Site 7 CA", "-keyout", "ra-ca.key", "-out", "ra-ca.pem"]);
    let by =
        ["-CA", "ra-ca.pem", "-CAkey", "ra-ca.key", "-subj", "/CN=Site 7 RA", "-keyout", "ra.key", "-out", "ra.pem"];
    let purpose = ["-addext", "extendedKeyUsage=1.3.6.1.5.5.7.3.28", "-addext", "keyUsage=digitalSignature"];
    make(&[&by[..], &purpose].concat());
    appoint(&site, &[("vouched", "idevid", &[("ra-1", site.b.dir.join("ra.pem"))])]);
    entitle(&site, "ra-1", "sensor", "3");
    ["a", "b", "c", "d"].into_iter().for_each(|name| site.key(name));
    let up = site.up();
    // It would ask for its own issuer otherwise.
    let ir = |serial: &'static str, key: &'static str, out: &'static str| {
        [
            "-cmd", "ir", "-popo", "0", "-cert", "ra.pem", "-key", "ra.key", "-subject", serial, "-newkey", key,
            "-certout", out, "-issuer", "/",
        ]
    };
    let said = up.goes(PATH, &ir("/serialNumber=SN000011", "a.key", "a.pem"));
    assert!(said.contains("received PKICONF"), "{said}");
    foreign(&site.b.dir, "openssl", &["verify", "-CAfile", "chain.pem", "a.pem"]);
    let name = foreign(&site.b.dir, "openssl", &["x509", "-in", "a.pem", "-noout", "-subject"]);
    assert!(name.contains("SN000011") && !name.contains("RA"), "{name}");
    // Asked again for the same key it is the same, and nothing more is used; for another key there is no leave.
    up.goes(PATH, &ir("/serialNumber=SN000011", "a.key", "again.pem"));
    assert_eq!(site.b.read("a.pem"), site.b.read("again.pem"));
    let more = up.refused(PATH, &ir("/serialNumber=SN000011", "b.key", "b.pem"), "notAuthorized");
    up.goes(PATH, &[&ir("/serialNumber=SN000012", "b.key", "b.pem")[..], &["-implicit_confirm"]].concat());
    // The device's own proof, which the registration authority left as it was: it is counted as its word is.
    let proved = ir("/serialNumber=SN000013", "c.key", "c.pem").map(|word| if word == "0" { "1" } else { word });
    up.goes(PATH, &proved);
    let spent = up.refused(PATH, &ir("/serialNumber=SN000014", "d.key", "d.pem"), "notAuthorized");
    up.down();
    site.why(&more, "grant-spent");
    site.why(&spent, "right-spent");
    assert_eq!((used(&site, "ra-1"), made(&site)), (3, 3));
    let told = site.b.ok(&["explain", &site.serial("c.pem")]);
    assert!(told.contains("the word of the registration authority ra-1, and a proof by the key itself"), "{told}");
    let told = site.b.ok(&["explain", &site.serial("a.pem")]);
    assert!(
        told.contains("the word of the registration authority ra-1") && told.contains("it came over CMP"),
        "{told}"
    );
    assert!(told.contains("The registration authority ra-1 vouched for the device, under its right"), "{told}");
    assert!(!told.contains("station ra-1") && !told.contains("a proof by the key itself"), "{told}");
    site.b.sound();
}

#[test]
fn nobody_but_the_appointed_vouches() {
    let site = site("cmp-vouched-who");
    let secret = site.secret("SN000001");
    let (one, other) = (Registrar::new(&site, "ra"), Registrar::new(&site, "other"));
    let in_a_day = now().plus_s(86_400);
    let sign = KeyUsage::DIGITAL_SIGNATURE;
    let purposeless = Registrar::with(&site, "a", &[cmp_oids::CMC_CA, oids::CLIENT_AUTH], sign, in_a_day);
    let ended = Registrar::with(&site, "c", &[cmp_oids::CMC_RA], sign, now().minus_s(10));
    let file = |registrar: &Registrar, name: &str| registrar.file(&site, name);
    let appointed = [("ra-1", file(&one, "ra")), ("ra-a", file(&purposeless, "a")), ("ra-c", file(&ended, "c"))];
    appoint(
        &site,
        &[
            ("vouched", "idevid", &appointed),
            ("other", "idevid", &[("ra-2", file(&other, "other"))]),
            ("strict", "ldevid", &[("ra-1", file(&one, "ra"))]),
        ],
    );
    for name in ["ra-1", "ra-2", "ra-a", "ra-c"] {
        entitle(&site, name, "sensor", "9");
    }
    let hand = Hand::new();
    let mut refusals = Refusals::default();
    let up = site.up();
    // An end entity: with its secret, with its certificate, and in a message that the registration authority hands on.
    let mut device = Talk::new(&up, "/.well-known/cmp", Shows::Secret { reference: "SN000001", secret: &secret });
    let request = vouched(&hand, "SN000001");
    refusals.note(&device.say(&Body::Ir(&request), AS_IT_IS), "notAuthorized", "right-missing");
    let mut device = Talk::new(&up, "/.well-known/cmp", Shows::Secret { reference: "SN000001", secret: &secret });
    let certificate = device.ir_implicitly(&hand).taken().clone();
    let by_own = Shows::Certificate(&hand, &certificate);
    let request = vouched(&Hand::new(), "SN000001");
    let cr = |path: &'static str, request: &[u8]| Talk::new(&up, path, by_own).say(&Body::Cr(request), AS_IT_IS);
    refusals.note(&cr(PATH, &request), "notAuthorized", "right-missing");
    let inner = Talk::new(&up, PATH, by_own).message(&Body::Cr(&request), AS_IT_IS, None);
    let handed_on = Got::read(&up.post(PATH, &one.added(&up, PATH, &inner)));
    refusals.note(&handed_on, "notAuthorized", "right-missing");
    // Without cmcRA, behind its end, of another label, and where the profile lets nobody vouch.
    let vouch = |by: &Registrar, path: &str, serial: &str| by.vouch(&up, path, &Hand::new(), serial);
    refusals.note(&vouch(&purposeless, PATH, "SN000011"), "notAuthorized", "not-appointed");
    refusals.note(&vouch(&ended, PATH, "SN000011"), "signerNotTrusted", "client-expired");
    refusals.note(&vouch(&other, PATH, "SN000011"), "signerNotTrusted", "client-unknown");
    refusals.note(&vouch(&one, OTHER, "SN000011"), "signerNotTrusted", "client-unknown");
    refusals.note(&vouch(&one, "/.well-known/cmp/p/strict", "SN000002"), "notAuthorized", "right-missing");
    // A certificate that was only copied.
    let thief = Registrar { hand: Hand::new(), certificate: one.certificate.clone() };
    refusals.note(&vouch(&thief, PATH, "SN000011"), "badMessageCheck", "protection-invalid");
    up.down();
    refusals.check(&site);
    assert_eq!((made(&site), used(&site, "ra-1")), (0, 0));
    site.b.sound();
}

#[test]
fn in_a_batch_a_word_counts_in_the_message_that_the_registration_authority_protects_itself() {
    let site = site("cmp-vouched-batch");
    let registrar = Registrar::new(&site, "ra");
    appoint(&site, &[("vouched", "idevid", &[("ra-1", registrar.file(&site, "ra"))])]);
    entitle(&site, "ra-1", "sensor", "9");
    let allowed = site.b.json(&["device", "allow", "SN000011", "--profile", "idevid", "--secret"]);
    let secret = allowed["secret"].as_str().unwrap();
    let up = site.up();
    let device = Shows::Secret { reference: "SN000011", secret };
    let ir = |shows: Shows<'_>, request: &[u8]| Talk::new(&up, PATH, shows).message(&Body::Ir(request), AS_IT_IS, None);
    // A device for itself, and for another; the registration authority; and the device with a proof of its own.
    let own = Hand::new();
    let batch = [
        ir(device, &vouched(&Hand::new(), "SN000011")),
        ir(device, &vouched(&Hand::new(), "SN000012")),
        ir(registrar.shows(), &vouched(&Hand::new(), "SN000013")),
        ir(device, &own.request()),
    ];
    let outer = registrar.batch(&up, PATH, &batch);
    let answers = unpacked(&site, &outer, &up.post(PATH, &outer));
    let got: Vec<_> = answers.iter().map(|answer| Got::read(answer)).collect();
    let mut refusals = Refusals::default();
    refusals.note(&got[0], "notAuthorized", "right-missing");
    refusals.note(&got[1], "notAuthorized", "right-missing");
    got[2].taken();
    assert_eq!(&got[3].taken().tbs().subject_public_key, ports::Signer::public_key(&own.key));
    assert_eq!((made(&site), used(&site, "ra-1")), (2, 1));
    up.down();
    refusals.check(&site);
    site.b.sound();
}

#[test]
fn it_vouches_for_what_is_registered_and_within_its_right_and_nothing_else() {
    let site = site("cmp-vouched-what");
    let secret = site.secret("SN000001");
    let (one, rightless) = (Registrar::new(&site, "ra"), Registrar::new(&site, "none"));
    let appointed = [("ra-1", one.file(&site, "ra")), ("ra-0", rightless.file(&site, "none"))];
    appoint(&site, &[("vouched", "idevid", &appointed), ("handed", "ldevid", &appointed)]);
    entitle(&site, "ra-1", "sensor", "1");
    let hand = Hand::new();
    let mut refusals = Refusals::default();
    let up = site.up();
    let ir = |request: &[u8]| one.talk(&up, PATH).say(&Body::Ir(request), AS_IT_IS);
    // Nobody who is registered; no name; another's name beside the number; nobody with leave for this profile.
    refusals.note(&ir(&vouched(&hand, "SN999999")), "notAuthorized", "not-on-list");
    let nameless = write_only(&cert_request(&hand, None), &ProofOfPossession::RaVerified);
    refusals.note(&ir(&nameless), "notAuthorized", "not-on-list");
    let attribute = |oid, text: &str| Attribute { oid, text: text.to_owned() };
    let two = [attribute(oids::SERIAL_NUMBER, "SN000011"), attribute(oids::COMMON_NAME, "sensor SN000012")];
    let renamed = write_only(&cert_request(&hand, Some(&Name::write(&two))), &ProofOfPossession::RaVerified);
    refusals.note(&ir(&renamed), "badCertTemplate", "name-mismatch");
    refusals.note(&ir(&vouched(&hand, "SN000002")), "notAuthorized", "no-grant");
    // Another type of device, and who has no right at all.
    refusals.note(&ir(&vouched(&hand, "SN000019")), "notAuthorized", "right-missing");
    refusals.note(&rightless.vouch(&up, PATH, &hand, "SN000011"), "notAuthorized", "right-missing");
    let name = Name::write(&[attribute(oids::SERIAL_NUMBER, "SN000011")]);
    let absent = write_only(&cert_request(&hand, Some(&name)), &ProofOfPossession::Absent);
    refusals.note(&ir(&absent), "badPOP", "proof-missing");
    // It renews for nobody, and revokes for nobody.
    let mut device = Talk::new(&up, "/.well-known/cmp", Shows::Secret { reference: "SN000001", secret: &secret });
    let certificate = device.ir_implicitly(&hand).taken().clone();
    let kur = one.talk(&up, "/.well-known/cmp/p/handed").say(&Body::Kur(&vouched(&hand, "SN000001")), AS_IT_IS);
    refusals.note(&kur, "wrongIntegrity", "client-unproved");
    let details = write_cert_details(&certificate.tbs().issuer, &certificate.tbs().serial_number);
    refusals.note(&one.talk(&up, "/.well-known/cmp/p/handed").rr(&details, None), "wrongIntegrity", "client-unproved");
    // Once within its right, and confirmed by nobody else; then the right is spent. Declined, it is given back.
    let mut talk = one.talk(&up, PATH);
    let declined = talk.say(&Body::Ir(&vouched(&Hand::new(), "SN000011")), AS_IT_IS).taken().clone();
    refusals.note(&talk.by(rightless.shows()).confirm(&declined, 0), "badCertId", "transaction-unknown");
    let other = Hand::new();
    refusals.note(&ir(&vouched(&other, "SN000012")), "notAuthorized", "right-spent");
    assert!(talk.say(&Body::CertConf(Vec::new()), AS_IT_IS).is_confirmed());
    let mut talk = one.talk(&up, PATH);
    let taken = talk.say(&Body::Ir(&vouched(&other, "SN000012")), AS_IT_IS).taken().clone();
    assert!(talk.confirm(&taken, 0).is_confirmed());
    refusals.note(&ir(&vouched(&Hand::new(), "SN000013")), "notAuthorized", "right-spent");
    up.down();
    refusals.check(&site);
    assert_eq!((made(&site), used(&site, "ra-1")), (2, 1));
    assert_eq!(site.standing().iter().filter(|(_, revoked)| *revoked).count(), 0);
    site.b.sound();
}

#[test]
fn a_device_proves_its_own_key_and_a_registration_authority_speaks_for_it_within_its_right() {
    let site = site("cmp-vouched-proof");
    let (one, rightless) = (Registrar::new(&site, "ra"), Registrar::new(&site, "none"));
    let appointed = [("ra-1", one.file(&site, "ra")), ("ra-0", rightless.file(&site, "none"))];
    // Where nobody vouches for keys: `ra_verified` is false in this profile.
    appoint(&site, &[("strict", "ldevid", &appointed), ("vouched", "idevid", &appointed)]);
    entitle(&site, "ra-1", "sensor", "2");
    let path = "/.well-known/cmp/p/strict";
    let name = |serial: &str| Name::write(&[Attribute { oid: oids::SERIAL_NUMBER, text: serial.to_owned() }]);
    let hand = Hand::new();
    let request = hand.request_for(Some(&name("SN000001")), &[]);
    let mut refusals = Refusals::default();
    let up = site.up();
    let ir = |by: &Registrar, path: &str, request: &[u8]| by.talk(&up, path).say(&Body::Ir(request), AS_IT_IS);
    // Without a right, for another type of device, or for nobody who is registered, a proof helps nothing.
    refusals.note(&ir(&rightless, path, &request), "notAuthorized", "right-missing");
    let relay = hand.request_for(Some(&name("SN000019")), &[]);
    refusals.note(&ir(&one, PATH, &relay), "notAuthorized", "right-missing");
    let nobody = hand.request_for(Some(&name("SN999999")), &[]);
    refusals.note(&ir(&one, path, &nobody), "notAuthorized", "not-on-list");
    // A proof by another key, and one over another request: it was for another device.
    let thief = Hand::new().proved(&cert_request(&hand, Some(&name("SN000001"))));
    refusals.note(&ir(&one, path, &thief), "badPOP", "proof-of-possession");
    let proof = x509::CertReqMsg::decode_only(&request).unwrap().proof_of_possession;
    let altered = write_only(&cert_request(&hand, Some(&name("SN000002"))), &proof);
    refusals.note(&ir(&one, path, &altered), "badPOP", "proof-of-possession");
    site.key("p");
    let csr = ["req", "-new", "-key", "p.key", "-subj", "/serialNumber=SN000002", "-outform", "DER", "-out", "p.csr"];
    foreign(&site.b.dir, "openssl", &csr);
    let (csr, mut broken) = (site.b.read("p.csr"), site.b.read("p.csr"));
    *broken.last_mut().unwrap() ^= 1;
    let p10cr = |request: &[u8]| one.talk(&up, path).say(&Body::P10cr(request), AS_IT_IS);
    refusals.note(&p10cr(&broken), "badPOP", "proof-of-possession");
    assert_eq!(used(&site, "ra-1"), 0);
    // In both forms, each counted; the same again is the same.
    let mut talk = one.talk(&up, path);
    let certificate = talk.say(&Body::Ir(&request), AS_IT_IS).taken().clone();
    assert!(talk.confirm(&certificate, 0).is_confirmed());
    assert_eq!(&certificate.tbs().subject_public_key, ports::Signer::public_key(&hand.key));
    assert_eq!(ir(&one, path, &request).taken(), &certificate);
    assert_eq!(used(&site, "ra-1"), 1);
    let mut talk = one.talk(&up, path);
    let second = talk.say(&Body::P10cr(&csr), AS_IT_IS).taken().clone();
    assert!(talk.confirm(&second, -1).is_confirmed());
    let third = Hand::new().request_for(Some(&name("SN000003")), &[]);
    refusals.note(&ir(&one, path, &third), "notAuthorized", "right-spent");
    up.down();
    refusals.check(&site);
    assert_eq!(used(&site, "ra-1"), 2);
    assert_eq!(site.standing().len(), 2);
    for one in [&certificate, &second] {
        let told = site.b.ok(&["explain", &one.tbs().serial_number.to_string()]);
        assert!(told.contains("the word of the registration authority ra-1, and a proof by the key itself"), "{told}");
    }
    site.b.sound();
}

const RANGER: &str = r#"description = "A registration authority that is certified here."
subject_kind = "device"
issuers = ["factory"]
key_types = ["p256"]
ra_verified = false
subject = [{ type = "O", value = "{organization}" }, { type = "CN", value = "RA {serial}" }]

[validity]
lifetime_s = 31_536_000
backdate_s = 300
issuer_expiry = "shorten"

[extensions]
key_usage = ["digital-signature"]
extended_key_usage = ["cmc-ra"]
"#;

#[test]
fn one_that_is_certified_here_vouches_until_it_is_revoked() {
    let site = site("cmp-vouched-ours");
    std::fs::write(site.b.data().join("profiles/ranger.toml"), RANGER).unwrap();
    let allowed = site.b.json(&["device", "allow", "SN000009", "--profile", "ranger", "--secret"]);
    let secret = allowed["secret"].as_str().unwrap().to_owned();
    appoint(&site, &[("rangers", "ranger", &[])]);
    let hand = Hand::new();
    let up = site.up();
    let path = "/.well-known/cmp/p/rangers";
    let certificate = Talk::new(&up, path, Shows::Secret { reference: "SN000009", secret: &secret });
    let certificate = { certificate }.ir_implicitly(&hand).taken().clone();
    up.down();
    let registrar = Registrar { hand, certificate };
    appoint(&site, &[("vouched", "idevid", &[("ra-1", registrar.file(&site, "ranger"))])]);
    entitle(&site, "ra-1", "sensor", "9");
    let up = site.up();
    registrar.vouch(&up, PATH, &Hand::new(), "SN000011").taken();
    up.down();
    site.b.ok(&["cert", "revoke", &site.serial("ranger.pem"), "--reason", "key-compromise", "--yes"]);
    let up = site.up();
    let revoked = registrar.vouch(&up, PATH, &Hand::new(), "SN000012").refused("certRevoked");
    let inner = registrar.talk(&up, PATH).message(&Body::PkiConf, AS_IT_IS, None);
    let handed = Got::read(&up.post(PATH, &registrar.added(&up, PATH, &inner))).refused("certRevoked");
    up.down();
    site.why(&revoked, "client-revoked");
    site.why(&handed, "client-revoked");
    assert_eq!((made(&site), used(&site, "ra-1")), (1, 1));
    site.b.sound();
}

/// What who asks is told of requests.
fn template(up: &Up<'_>, path: &str, shows: Shows<'_>) -> RequestTemplate {
    let asked = TypeAndValue { info_type: cmp_oids::CERT_REQ_TEMPLATE, info_value: None };
    let message = Talk::new(up, path, shows).message(&Body::Genm(vec![asked]), AS_IT_IS, None);
    let answer = up.post(path, &message);
    let Body::Genp(told) = Message::decode(&answer).unwrap().body else { panic!("{answer:?}") };
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(told.info_type, cmp_oids::CERT_REQ_TEMPLATE);
    let value = told.info_value.unwrap();
    up.site.b.write("template.der", value);
    RequestTemplate::read(value).unwrap()
}

#[test]
fn who_asks_learns_what_a_request_must_look_like_and_has_one_like_that() {
    let site = site("cmp-template");
    let secret = site.secret("SN000001");
    let registrar = Registrar::new(&site, "ra");
    appoint(&site, &[("vouched", "idevid", &[("ra-1", registrar.file(&site, "ra"))])]);
    site.key("a");
    let up = site.up();
    let by = Shows::Secret { reference: "SN000001", secret: &secret };
    let told = template(&up, "/.well-known/cmp", by);
    let named = |oid| told.subject.as_ref().unwrap().first(oid).map(str::to_owned);
    assert_eq!(named(oids::COMMON_NAME).as_deref(), Some("sensor SN000001"));
    assert_eq!(named(oids::SERIAL_NUMBER).as_deref(), Some("SN000001"));
    assert_eq!(told.keys, [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa(2048), KeyType::Rsa(3072)]);
    assert!(told.extensions.is_empty());
    // Somebody else reads it, too.
    let parsed = foreign(&site.b.dir, "openssl", &["asn1parse", "-inform", "DER", "-in", "template.der"]);
    assert!(
        parsed.contains("sensor SN000001") && parsed.contains("prime256v1") && parsed.contains(":0C00"),
        "{parsed}"
    );
    // A registration authority has no name of its own here.
    let of_registrar = template(&up, PATH, registrar.shows());
    assert_eq!((of_registrar.subject, of_registrar.keys.len()), (None, 5));
    let openssl = ["-cmd", "genm", "-infotype", "certReqTemplate", "-ref", "SN000001", "-secret"];
    let pass = format!("pass:{secret}");
    // From 3.5 on it wants to keep what it is told.
    let kept: &[&str] = if is_newer() { &["-template", "told.der", "-keyspec", "keys.txt"] } else { &[] };
    let said = up.goes("/.well-known/cmp", &[&openssl[..], &[&pass], kept].concat());
    assert!(
        said.contains("received GENP") && said.contains(if is_newer() { "certTemplate" } else { "certReqTemplate" }),
        "{said}"
    );
    // A request like that is answered.
    let hand = Hand::new();
    let public_key = ports::Signer::public_key(&hand.key);
    let filled = Template { issuer: None, subject: told.subject.as_ref(), public_key, extensions: &told.extensions };
    let mut talk = Talk::new(&up, "/.well-known/cmp", by);
    let certificate = talk.say(&Body::Ir(&hand.proved(&write_cert_request(0, &filled))), AS_IT_IS).taken().clone();
    assert!(talk.confirm(&certificate, 0).is_confirmed());
    up.down();
    let factory = Certificate::decode(&pem::blocks(&site.b.read("chain.pem")).unwrap()[0]).unwrap();
    certificate.verify_issued_by(&factory, now()).unwrap();
    site.b.sound();
}
