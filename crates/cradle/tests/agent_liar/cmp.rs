//! The same over CMP, without TLS: the server knows the secret, or has the key of the authority, unless it is one that only sits on the
//! line.

use crate::common::{Box_, foreign};
use crate::site::Site;
use adapters::clock::{SystemClock, SystemEntropy};
use adapters::http::serve::{Answer, BodyLimits, Content, Head, Limits, Request, Server, Service, Taking};
use adapters::keystore::memory::MemoryKey;
use ports::{Clock, Signer};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wire::cmp::body::{CertOrEncCert, CertRepMessage, CertResponse, CertifiedKeyPair, ErrorMsgContent};
use wire::cmp::header::{PeerName, TypeAndValue, write_directory_name};
use wire::cmp::message::{finish, protected_part};
use wire::cmp::protection::{MacAlgorithm, MacKind};
use wire::cmp::server::write_certificates;
use wire::cmp::{Body, Header, Message, PkiStatus, Pvno, StatusInfo, oids as cmp_oids};
use x509::certificate::TbsCertificate;
use x509::extension::extended_key_usage;
use x509::name::Attribute;
use x509::{CertReqMsg, Certificate, KeyType, Name, PublicKey, Writer, oids, pem};

const SECRET: &str = "a secret";
const ENROL: [&str; 3] = ["enrol", "--secret", "secret"];
const IDENTITY: &str = "agent/identity/identity.pem";
const GENM: u8 = 21;
const IR: u8 = 0;
const KUR: u8 = 7;
const CERT_CONF: u8 = 24;

/// How a request for a certificate is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Well, and confirmed.
    None,
    /// Well, and not to be confirmed.
    Implicit,
    // The certificate.
    OtherKey,
    OtherAuthority,
    OtherName,
    Expired,
    NoCertificate,
    OtherId,
    Two,
    OtherBody,
    // Its protection.
    NoProtection,
    OtherSecret,
    ByAuthority,
    ByDevice,
    ByStranger,
    Altered,
    // The transaction.
    OtherTransaction,
    OtherNonce,
    // Something else.
    Refused,
    RefusedByNobody,
    Waiting,
    ConfirmationUnheard,
    Text,
    Endless,
}

struct Pki {
    key: MemoryKey,
    certificate: Certificate,
}

impl Pki {
    fn issue(&self, name: &Name, key: &PublicKey, days: (u64, u64)) -> Vec<u8> {
        let now = SystemClock.now();
        let tbs = TbsCertificate {
            issuer: self.certificate.tbs().subject.clone(),
            subject: name.clone(),
            subject_public_key: key.clone(),
            signature: self.key.algorithm(),
            not_before: now.minus_s(days.0 * 86_400 + 60).whole_second(),
            not_after: now.plus_s(9 * 86_400).minus_s(days.1 * 86_400).whole_second(),
            extensions: vec![extended_key_usage(&[oids::CLIENT_AUTH])],
            ..self.certificate.tbs().clone()
        };
        let octets = tbs.write();
        let mut w = Writer::default();
        w.sequence(|w| {
            w.raw(&octets);
            tbs.signature.write(w);
            w.bit_string(&self.key.sign(&octets).unwrap());
        });
        w.finish()
    }
}

fn name(text: &str) -> Name {
    Name::write(&[Attribute { oid: oids::COMMON_NAME, text: text.to_owned() }])
}

fn fresh() -> [u8; 16] {
    ports::clock::random(&SystemEntropy::default())
}

/// A server of CMP.
struct Liar {
    ca: Pki,
    other: Pki,
    lie: Arc<Mutex<Lie>>,
    /// The value with which the question for the next root is answered.
    root: Arc<Mutex<Option<Vec<u8>>>>,
    asked: Arc<Mutex<Vec<(u8, bool)>>>,
}

/// Who protects an answer.
enum By<'a> {
    Secret(&'a str),
    Key(&'a MemoryKey, &'a Certificate),
    Nobody,
}

impl Liar {
    fn answered(&self, asked: &Message<'_>, body: &Body<'_>, by: &By<'_>, lie: Lie, implicit: bool) -> Vec<u8> {
        let (salt, nonce) = (fresh(), fresh());
        let mac = MacAlgorithm::own(MacKind::Pbmac1, &salt);
        let mut algorithm = Writer::default();
        let (algorithm, sender) = match by {
            By::Secret(_) => (mac.write(), self.ca.certificate.tbs().subject.clone()),
            By::Key(key, certificate) => {
                key.algorithm().write(&mut algorithm);
                (algorithm.finish(), certificate.tbs().subject.clone())
            }
            By::Nobody => (Vec::new(), name("nobody")),
        };
        let sender = write_directory_name(&sender);
        let other = fresh();
        let header = Header {
            pvno: Pvno::V2,
            sender: PeerName::new(&sender).unwrap(),
            recipient: asked.header.sender,
            message_time: Some(SystemClock.now()),
            protection_alg: (!algorithm.is_empty()).then_some(&algorithm),
            sender_kid: None,
            recip_kid: None,
            transaction_id: if lie == Lie::OtherTransaction { Some(&other) } else { asked.header.transaction_id },
            sender_nonce: Some(&nonce),
            recip_nonce: if lie == Lie::OtherNonce { Some(&other) } else { asked.header.sender_nonce },
            free_text: None,
            general_info: if implicit { vec![TypeAndValue::IMPLICIT_CONFIRM] } else { Vec::new() },
        };
        let part = protected_part(&header, body);
        let protection = match by {
            By::Secret(secret) => Some(mac.mac(secret.as_bytes(), &part)),
            By::Key(key, _) => Some(key.sign(&part).unwrap()),
            By::Nobody => None,
        };
        let extra: &[&[u8]] = match by {
            By::Key(_, certificate) => &[certificate.der()],
            _ => &[],
        };
        let mut whole = finish(&part, protection.as_deref(), extra);
        if lie == Lie::Altered {
            // A bit of the certificate, which stands before the protection.
            let middle = whole.len() / 2;
            whole[middle] ^= 1;
        }
        whole
    }

    fn certified(&self, message: &Message<'_>, request: &[u8], by: &By<'_>, lie: Lie) -> Vec<u8> {
        let asked = CertReqMsg::decode_only(request).unwrap();
        let is_renewal = message.body.number() == KUR;
        let own = asked.cert_template.subject.clone().filter(|_| is_renewal).unwrap_or_else(|| name("device"));
        let subject = if lie == Lie::OtherName { name("somebody") } else { own };
        let key = MemoryKey::generate(KeyType::P256);
        let key = if lie == Lie::OtherKey { key.public_key() } else { &asked.cert_template.public_key };
        let issuer = if lie == Lie::OtherAuthority { &self.other } else { &self.ca };
        // Of a month ago, for nine days.
        let days = if lie == Lie::Expired { (30, 21) } else { (0, 0) };
        let der = issuer.issue(&subject, key, days);
        let of = |status| StatusInfo { status, status_string: None, fail_info: None };
        let pair = CertifiedKeyPair { certificate: CertOrEncCert::Certificate(&der), rest: &[] };
        let one = CertResponse {
            cert_req_id: i64::from(lie == Lie::OtherId),
            status: of(match lie {
                Lie::Refused | Lie::RefusedByNobody => PkiStatus::Rejection,
                Lie::Waiting => PkiStatus::Waiting,
                _ => PkiStatus::Accepted,
            }),
            certified_key_pair: (!matches!(
                lie,
                Lie::NoCertificate | Lie::Refused | Lie::RefusedByNobody | Lie::Waiting
            ))
            .then_some(pair),
            rsp_info: None,
        };
        let response = if lie == Lie::Two { vec![one.clone(), one] } else { vec![one] };
        let answer = CertRepMessage { ca_pubs: Vec::new(), response };
        let is_kup = is_renewal != (lie == Lie::OtherBody);
        let status = of(PkiStatus::Rejection);
        let body = match lie {
            Lie::RefusedByNobody => Body::Error(ErrorMsgContent { status, error_code: None, error_details: None }),
            _ if is_kup => Body::Kup(answer),
            _ => Body::Ip(answer),
        };
        self.answered(message, &body, by, lie, lie == Lie::Implicit)
    }

    fn reply(&self, octets: &[u8], lie: Lie) -> Vec<u8> {
        let message = Message::decode(octets).unwrap();
        let declines = matches!(&message.body, Body::CertConf(list)
            if list.iter().any(|one| one.status_info.is_some_and(|info| info.status == PkiStatus::Rejection)));
        self.asked.lock().unwrap().push((message.body.number(), declines));
        let by_secret = message.extra_certs.is_empty();
        let truly = || if by_secret { By::Secret(SECRET) } else { By::Key(&self.ca.key, &self.ca.certificate) };
        let device =
            Certificate::decode(&self.ca.issue(&name("another"), self.other.key.public_key(), (0, 0))).unwrap();
        let by = match lie {
            Lie::NoProtection | Lie::RefusedByNobody => By::Nobody,
            Lie::OtherSecret => By::Secret("another secret"),
            Lie::ByAuthority => By::Key(&self.ca.key, &self.ca.certificate),
            Lie::ByDevice => By::Key(&self.other.key, &device),
            Lie::ByStranger => By::Key(&self.other.key, &self.other.certificate),
            _ => truly(),
        };
        match &message.body {
            Body::Genm(asked) if asked.iter().any(|one| one.info_type == cmp_oids::ROOT_CA_CERT) => {
                let value = self.root.lock().unwrap().clone();
                let told = TypeAndValue { info_type: cmp_oids::ROOT_CA_KEY_UPDATE, info_value: value.as_deref() };
                self.answered(&message, &Body::Genp(vec![told]), &truly(), Lie::None, false)
            }
            Body::Genm(_) => {
                let value = write_certificates(&[self.ca.certificate.der()]);
                let told = TypeAndValue { info_type: cmp_oids::CA_CERTS, info_value: Some(&value) };
                self.answered(&message, &Body::Genp(vec![told]), &truly(), Lie::None, false)
            }
            Body::Ir(request) | Body::Kur(request) => self.certified(&message, request, &by, lie),
            Body::CertConf(_) if lie == Lie::ConfirmationUnheard => b"<html>".to_vec(),
            Body::CertConf(_) => self.answered(&message, &Body::PkiConf, &truly(), Lie::None, false),
            other => panic!("{other:?}"),
        }
    }
}

impl Service for Liar {
    fn limits(&self, _head: &Head) -> BodyLimits {
        BodyLimits { len_max: 100_000, within: Duration::from_secs(20), taking: Taking::Whole }
    }
    fn answer(&self, request: &mut Request) -> Answer {
        let lie = *self.lie.lock().unwrap();
        let mut body = Vec::new();
        request.body.read_to_end(&mut body).unwrap();
        let reply = self.reply(&body, lie);
        let is_general = self.asked.lock().unwrap().last().is_some_and(|(body, _)| *body == GENM);
        let octets = match lie {
            Lie::Text if !is_general => b"<html>welcome</html>".to_vec(),
            Lie::Endless if !is_general => vec![0x30; 2_000_000],
            _ => reply,
        };
        Answer::new(200, wire::cmp::MEDIA_TYPE, Content::Octets(octets))
    }
}

/// A device, and the server that it asks.
pub struct Scene {
    pub site: Site,
    lie: Arc<Mutex<Lie>>,
    pub root: Arc<Mutex<Option<Vec<u8>>>>,
    asked: Arc<Mutex<Vec<(u8, bool)>>>,
    _server: Server,
    pub place: Box_,
}

impl Scene {
    pub fn new(name: &str) -> Self {
        let place = Box_::empty(&format!("{name}-server"));
        let dir = &place.dir;
        let pki = |ca: &str| {
            let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -addext keyUsage=critical,keyCertSign";
            let line = format!("{new} -subj /CN={ca} -keyout {ca}.key -out {ca}.pem");
            // Older than any root that follows.
            let line: Vec<_> = ["-f", "-1h", "openssl"].into_iter().chain(line.split(' ')).collect();
            foreign(dir, "faketime", &line);
            let read = |file: String| pem::decode(&std::fs::read(dir.join(file)).unwrap()).unwrap().1;
            let key = MemoryKey::open(&read(format!("{ca}.key"))).unwrap();
            Pki { key, certificate: Certificate::decode(&read(format!("{ca}.pem"))).unwrap() }
        };
        let (lie, asked) = (Arc::new(Mutex::new(Lie::None)), Arc::<Mutex<Vec<(u8, bool)>>>::default());
        let root = Arc::<Mutex<Option<Vec<u8>>>>::default();
        let (ca, other) = (pki("ca"), pki("own"));
        let liar = Liar { ca, other, lie: Arc::clone(&lie), root: Arc::clone(&root), asked: Arc::clone(&asked) };
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(address, None, Limits::default(), Arc::new(liar)).unwrap();
        let site = Site::of_another(name, server.address().port());
        std::fs::copy(dir.join("ca.pem"), site.b.dir.join("root.pem")).unwrap();
        site.device("SN1", "");
        let config = crate::common::text(&site.b.read("agent.toml"));
        let url = format!("http://localhost:{}/.well-known/cmp", server.address().port());
        site.b.write("agent.toml", config.replace(&site.url(), &url));
        site.keep("secret", SECRET);
        Self { site, lie, root, asked, _server: server, place }
    }
    fn lies(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
        self.asked.lock().unwrap().clear();
    }
    /// The numbers of the bodies that came since the server was told how to answer, and whether each declines a certificate.
    fn asked(&self) -> Vec<(u8, bool)> {
        self.asked.lock().unwrap().clone()
    }
}

/// What the agent says, and what of it goes on to the server: nothing, or that the certificate is declined.
type Case = (Lie, &'static str, bool);

const ALWAYS: [Case; 12] = [
    (Lie::OtherKey, "it is not for the key of this device", true),
    (Lie::OtherAuthority, "the authority did not issue it", true),
    (Lie::Expired, "it does not hold now", true),
    (Lie::NoCertificate, "", false),
    (Lie::OtherId, "", false),
    (Lie::Two, "", false),
    (Lie::OtherBody, "the answer is one to something else", false),
    (Lie::NoProtection, "the answer is not protected", false),
    (Lie::OtherTransaction, "the answer belongs to another transaction", false),
    (Lie::OtherNonce, "the answer does not repeat our nonce", false),
    (Lie::Altered, "", false),
    (Lie::RefusedByNobody, "nobody vouches for it", false),
];

#[track_caller]
fn check(scene: &Scene, words: &[&str], body: u8, cases: &[Case]) {
    let before = std::fs::read(scene.site.b.dir.join(IDENTITY)).ok();
    for (lie, why, declines) in cases {
        scene.lies(*lie);
        let (status, out, err) = scene.site.run(words);
        assert!(status == 1 && err.contains(why), "{lie:?}: {out}{err}");
        assert!(std::fs::read(scene.site.b.dir.join(IDENTITY)).ok() == before, "{lie:?}: it was taken");
        let mut expected = vec![(GENM, false), (GENM, false), (body, false)];
        expected.extend(declines.then_some((CERT_CONF, true)));
        assert_eq!(scene.asked(), expected, "{lie:?}");
    }
}

#[test]
fn a_first_certificate_is_taken_from_who_knows_the_secret_and_if_it_is_what_was_asked_for() {
    let scene = Scene::new("liar-cmp");
    let force = [&ENROL[..], &["--force"]].concat();
    check(&scene, &force, IR, &ALWAYS);
    check(
        &scene,
        &force,
        IR,
        &[
            (Lie::OtherSecret, "the protection of the answer does not hold", false),
            // Who has no part in the secret does not choose another protection: not even the authority.
            (Lie::ByAuthority, "the answer is protected in another way than the request", false),
            (Lie::ByStranger, "the answer is protected in another way than the request", false),
            (Lie::Refused, "the server refuses", false),
            (Lie::Waiting, "the request waits for approval", false),
            (Lie::Text, "the answer is not a CMP message", false),
            (Lie::Endless, "it is longer than it may be", false),
        ],
    );
    scene.lies(Lie::None);
    scene.site.does(&force);
    assert_eq!(scene.asked(), [(GENM, false), (GENM, false), (IR, false), (CERT_CONF, false)]);
    scene.lies(Lie::Implicit);
    scene.site.does(&force);
    assert_eq!(scene.asked(), [(GENM, false), (GENM, false), (IR, false)]);
}

#[test]
fn another_certificate_is_taken_from_the_authority_and_for_the_same_name() {
    let scene = Scene::new("liar-cmp-again");
    scene.lies(Lie::None);
    scene.site.does(&ENROL);
    let renew = ["renew", "--force"];
    check(&scene, &renew, KUR, &ALWAYS);
    check(
        &scene,
        &renew,
        KUR,
        &[
            (Lie::OtherName, "it has another name than the one that it renews", true),
            // The secret was for the first one; every device has a certificate of the authority.
            (Lie::OtherSecret, "the answer is protected in another way than the request", false),
            (Lie::ByDevice, "the answer is signed by somebody who may not speak for the authority", false),
            (Lie::ByStranger, "the answer is signed by somebody who may not speak for the authority", false),
            (Lie::Refused, "the server refuses", false),
        ],
    );
    // The last word was not heard, so nobody knows whether it counts: what there was is kept.
    let before = scene.site.b.read(IDENTITY);
    scene.lies(Lie::ConfirmationUnheard);
    scene.site.fails(&renew, "refused");
    assert_eq!(scene.asked(), [(GENM, false), (GENM, false), (KUR, false), (CERT_CONF, false)]);
    assert!(scene.site.b.read(IDENTITY) == before);
    scene.lies(Lie::None);
    scene.site.does(&renew);
    assert!(scene.site.b.read(IDENTITY) != before);
}
