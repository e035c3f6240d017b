//! A client of CMP against servers that do one thing wrong each.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]
#![allow(clippy::indexing_slicing, reason = "what cannot go on here has failed")]

mod pki;

use model::UnixTime;
use model::contract::authority::RevocationReason;
use pki::{Authority, BEGIN, Key, named, serial};
use wire::cmp::body::{
    Body, CertOrEncCert, CertRepMessage, CertResponse, CertStatus, CertifiedKeyPair, ErrorMsgContent, PollRep,
    RevRepContent,
};
use wire::cmp::client::{
    Accepted, Broken, Confirm, Credentials, Declined, Enrolment, Flaw, Fresh, Party, Received, Transaction, Waiting,
};
use wire::cmp::header::{PeerName, TypeAndValue, write_directory_name};
use wire::cmp::protection::{MacAlgorithm, MacKind, ProtectionAlgorithm};
use wire::cmp::status::FailureInfo;
use wire::cmp::{Header, Message, PkiStatus, Pvno, StatusInfo, message, oids, template};
use x509::extension::{self, KeyUsage};
use x509::{Certificate, KeyType, Name, PublicKey, Writer, crmf, signature};

const NOW: UnixTime = BEGIN.plus_s(86_400);
const ID: [u8; 16] = [7; 16];
const FIRST: Fresh = Fresh { sender_nonce: [1; 16], salt: [9; 16] };
const SECOND: Fresh = Fresh { sender_nonce: [2; 16], salt: [8; 16] };
const SECRET: &[u8] = b"a secret of both";

/// Who signs or makes the MAC of an answer.
enum By<'a> {
    Secret(&'a [u8]),
    Key(&'a Key, &'a Certificate),
    Nobody,
}

/// An answer, right unless a test changes it.
struct Reply<'a> {
    body: Body<'a>,
    by: By<'a>,
    transaction_id: Vec<u8>,
    recip_nonce: Vec<u8>,
    sender_nonce: Vec<u8>,
    sender: Name,
    implicit: bool,
    flip_protection: bool,
}

impl Reply<'_> {
    fn octets(&self) -> Vec<u8> {
        self.octets_with(&[])
    }
    /// With these certificates beside that of who signs.
    fn octets_with(&self, beside: &[Certificate]) -> Vec<u8> {
        let salt = [5; 16];
        let mac = MacAlgorithm::own(MacKind::PasswordBasedMac, &salt);
        let algorithm = match &self.by {
            By::Secret(_) => Some(mac.write()),
            By::Key(key, _) => {
                let mut w = Writer::default();
                key.algorithm().write(&mut w);
                Some(w.finish())
            }
            By::Nobody => None,
        };
        let name = write_directory_name(&self.sender);
        let name = PeerName::new(&name).unwrap();
        let header = Header {
            pvno: Pvno::V2,
            sender: name,
            recipient: name,
            message_time: None,
            protection_alg: algorithm.as_deref(),
            sender_kid: None,
            recip_kid: None,
            transaction_id: Some(&self.transaction_id),
            sender_nonce: Some(&self.sender_nonce),
            recip_nonce: Some(&self.recip_nonce),
            free_text: None,
            general_info: if self.implicit { vec![TypeAndValue::IMPLICIT_CONFIRM] } else { Vec::new() },
        };
        let part = message::protected_part(&header, &self.body);
        let (mut protection, mut extra): (Option<Vec<u8>>, Vec<&[u8]>) = match &self.by {
            By::Secret(secret) => (Some(mac.mac(secret, &part)), Vec::new()),
            By::Key(key, certificate) => (Some(key.sign(&part)), vec![certificate.der()]),
            By::Nobody => (None, Vec::new()),
        };
        if let (true, Some(octets)) = (self.flip_protection, &mut protection) {
            *octets.last_mut().unwrap() ^= 1;
        }
        extra.extend(beside.iter().map(Certificate::der));
        message::finish(&part, protection.as_deref(), &extra)
    }
}

/// The world of one transaction: an authority, its server, the RA that asks, and a device's key.
struct World {
    authority: Authority,
    server: (Key, Certificate),
    ra: (Key, Vec<Certificate>),
    device: Key,
    certificate: Certificate,
}

impl World {
    fn new() -> Self {
        Self::of(KeyType::P256)
    }
    /// The RA and the server have keys of this type.
    fn of(kind: KeyType) -> Self {
        let authority = Authority::new(KeyType::P256, "Foreign", BEGIN);
        let appointed = |name: &str, purpose| {
            let key = Key::generate(kind);
            let extensions = vec![KeyUsage::DIGITAL_SIGNATURE.extension(), extension::extended_key_usage(&[purpose])];
            let certificate = authority.issue(name, &key.public, "10", extensions);
            (key, certificate)
        };
        let (ra, certificate) = appointed("RA", oids::CMC_RA);
        let ra = (ra, vec![certificate]);
        let device = Key::generate(KeyType::P256);
        let server = appointed("Server", oids::CMC_CA);
        let certificate =
            authority.issue("device", &device.public, "77", vec![KeyUsage::DIGITAL_SIGNATURE.extension()]);
        Self { authority, server, ra, device, certificate }
    }
    fn with_secret(&self) -> Party<'_> {
        let credentials = Credentials::Secret { reference: "station-1", secret: SECRET, mac: MacKind::Pbmac1 };
        Party { credentials, authority: &self.authority.certificate, servers: &[], roots: &[] }
    }
    fn with_key(&self) -> Party<'_> {
        let credentials = Credentials::Key { algorithm: self.ra.0.algorithm(), certificates: &self.ra.1 };
        Party { credentials, authority: &self.authority.certificate, servers: &[], roots: &[] }
    }
    /// The answer that would be right, to a request.
    fn reply<'a>(&'a self, body: Body<'a>, request: &Message<'_>, by: By<'a>) -> Reply<'a> {
        let sender = match &by {
            By::Key(_, certificate) => certificate.tbs().subject.clone(),
            By::Secret(_) | By::Nobody => named("Foreign"),
        };
        Reply {
            body,
            by,
            transaction_id: request.header.transaction_id.unwrap().to_vec(),
            recip_nonce: request.header.sender_nonce.unwrap().to_vec(),
            sender_nonce: vec![0x33; 16],
            sender,
            implicit: false,
            flip_protection: false,
        }
    }
}

const ACCEPTED: StatusInfo<'_> = StatusInfo { status: PkiStatus::Accepted, status_string: None, fail_info: None };
fn status(status: PkiStatus) -> StatusInfo<'static> {
    StatusInfo { status, ..ACCEPTED }
}
fn response(certificate: &Certificate) -> CertResponse<'_> {
    let pair = CertifiedKeyPair { certificate: CertOrEncCert::Certificate(certificate.der()), rest: &[] };
    CertResponse { cert_req_id: 0, status: ACCEPTED, certified_key_pair: Some(pair), rsp_info: None }
}
fn rep(response: CertResponse<'_>) -> CertRepMessage<'_> {
    CertRepMessage { ca_pubs: Vec::new(), response: vec![response] }
}
fn request_for(key: &PublicKey) -> Vec<u8> {
    let asked = template::Template { issuer: None, subject: Some(&named("device")), public_key: key, extensions: &[] };
    crmf::write_only(&template::write_cert_request(0, &asked), &crmf::ProofOfPossession::RaVerified)
}

fn begin<'a>(party: &'a Party<'a>, world: &World, confirm: Confirm) -> (Transaction<'a>, Vec<u8>) {
    let request = request_for(&world.device.public);
    let (transaction, draft) = Transaction::enrol(party, Enrolment::Cr(&request), confirm, ID, &FIRST, NOW).unwrap();
    (transaction, draft.finish(|octets| Ok::<_, ()>(world.ra.0.sign(octets))).unwrap())
}

fn word(received: &Received<'_>) -> &'static str {
    match received {
        Received::Offered(_) => "offered",
        Received::Flawed(Flaw::OtherKey, _) => "other key",
        Received::Flawed(Flaw::NotIssued, _) => "not issued",
        Received::Waiting(_) => "waiting",
        Received::Confirmed(_) => "confirmed",
        Received::Declined => "declined",
        Received::Revoked => "revoked",
        Received::General(_) => "general",
        Received::RootUpdate(None) => "no update",
        Received::RootUpdate(Some(_)) => "update",
        Received::Refused(_) => "refused",
    }
}

/// Answers `cr` with what `change` makes of the right answer.
#[track_caller]
fn check(secret: bool, change: impl for<'a> FnOnce(&mut Reply<'a>, &'a World), expected: Result<&str, Broken>) {
    let world = World::new();
    let party = if secret { world.with_secret() } else { world.with_key() };
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    let request = Message::decode(&request).unwrap();
    let by = if secret { By::Secret(SECRET) } else { By::Key(&world.server.0, &world.server.1) };
    let mut reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, by);
    change(&mut reply, &world);
    let received = transaction.receive(&reply.octets(), NOW);
    assert_eq!(received.as_ref().map(word).map_err(Clone::clone), expected);
}

#[test]
fn a_right_answer_by_mac() {
    check(true, |_, _| {}, Ok("offered"));
}
#[test]
fn a_right_answer_by_signature() {
    check(false, |_, _| {}, Ok("offered"));
}
#[test]
fn a_right_answer_by_a_key_of_each_type() {
    for kind in [KeyType::P384, KeyType::Ed25519, KeyType::Rsa(2048), KeyType::MlDsa65] {
        let world = World::of(kind);
        let party = world.with_key();
        let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
        let request = Message::decode(&request).unwrap();
        let algorithm = request.header.protection_alg.and_then(ProtectionAlgorithm::read);
        assert_eq!(algorithm, Some(ProtectionAlgorithm::Signature(kind.signs_with())));
        let by = By::Key(&world.server.0, &world.server.1);
        let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, by);
        assert_eq!(transaction.receive(&reply.octets(), NOW).map(|r| word(&r)), Ok("offered"), "{kind}");
    }
}
#[test]
fn a_server_that_was_not_appointed_or_may_not_sign() {
    let world = World::new();
    let party = world.with_key();
    let purposes = |purposes: &[_]| extension::extended_key_usage(purposes);
    let signs = || KeyUsage::DIGITAL_SIGNATURE.extension();
    let unknown = x509::Extension::of(oids::CONFIRM_WAIT_TIME, true, |w| {
        w.small(1);
    });
    let cases = [
        (vec![signs()], Err(Broken::Signer)),
        (vec![signs(), purposes(&[x509::oids::CLIENT_AUTH])], Err(Broken::Signer)),
        (vec![signs(), purposes(&[x509::oids::ANY_EXTENDED_KEY_USAGE])], Err(Broken::Signer)),
        (vec![KeyUsage::KEY_AGREEMENT.extension(), purposes(&[oids::CMC_CA])], Err(Broken::Signer)),
        (vec![signs(), purposes(&[oids::CMC_CA]), unknown], Err(Broken::Signer)),
        (vec![signs(), purposes(&[oids::CMC_RA])], Ok("offered")),
    ];
    for (extensions, expected) in cases {
        let key = Key::generate(KeyType::P256);
        let certificate = world.authority.issue("Server", &key.public, "10", extensions);
        let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
        let request = Message::decode(&request).unwrap();
        let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, By::Key(&key, &certificate));
        assert_eq!(transaction.receive(&reply.octets(), NOW).map(|r| word(&r)), expected);
    }
}
#[test]
fn another_transaction() {
    check(true, |r, _| r.transaction_id = vec![8; 16], Err(Broken::OtherTransaction));
}
#[test]
fn a_nonce_that_is_not_ours() {
    check(true, |r, _| r.recip_nonce = vec![2; 16], Err(Broken::Nonce));
}
#[test]
fn a_nonce_of_15_octets_or_17() {
    check(true, |r, _| r.sender_nonce = vec![2; 15], Err(Broken::Nonce));
    check(true, |r, _| r.sender_nonce = vec![2; 17], Err(Broken::Nonce));
}
#[test]
fn another_secret() {
    check(true, |r, _| r.by = By::Secret(b"another"), Err(Broken::Protection));
}
#[test]
fn a_changed_mac() {
    check(true, |r, _| r.flip_protection = true, Err(Broken::Protection));
}
#[test]
fn no_protection() {
    check(true, |r, _| r.by = By::Nobody, Err(Broken::Unprotected));
    check(false, |r, _| r.by = By::Nobody, Err(Broken::Unprotected));
}
#[test]
fn a_mac_for_a_signature_and_a_signature_for_a_mac() {
    check(false, |r, _| r.by = By::Secret(SECRET), Err(Broken::OtherProtection));
    check(
        true,
        |r, world| {
            r.by = By::Key(&world.server.0, &world.server.1);
            r.sender = named("Server");
        },
        Err(Broken::OtherProtection),
    );
}
#[test]
fn signed_by_the_authority_itself() {
    check(
        false,
        |r, world| {
            r.by = By::Key(&world.authority.key, &world.authority.certificate);
            r.sender = named("Foreign");
        },
        Ok("offered"),
    );
}
#[test]
fn signed_by_a_device_of_the_same_authority() {
    check(
        false,
        |r, world| {
            r.by = By::Key(&world.device, &world.certificate);
            r.sender = named("device");
        },
        Err(Broken::Signer),
    );
}
#[test]
fn signed_under_the_name_of_somebody_else() {
    check(false, |r, _| r.sender = named("device"), Err(Broken::Protection));
}
#[test]
fn signed_by_a_server_that_was_appointed_by_another_authority_of_that_name() {
    let other = World::new();
    let (transaction, reply) = {
        let world = World::new();
        let party = world.with_key();
        let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
        let request = Message::decode(&request).unwrap();
        let by = By::Key(&other.server.0, &other.server.1);
        let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, by).octets();
        (transaction.receive(&reply, NOW).map(|r| word(&r)), reply)
    };
    assert_eq!(transaction, Err(Broken::Signer));
    assert!(Message::decode(&reply).is_ok());
}

/// Answers the question for authorities by a server for this purpose, of an authority below a root; who asks knows of another one, and the
/// root if `is_known`.
#[track_caller]
fn from_below(purpose: const_oid::ObjectIdentifier, is_known: bool, is_carried: bool, expected: Result<&str, Broken>) {
    let (world, root) = (World::new(), Authority::new(KeyType::P256, "Root", BEGIN));
    let (key, server) = (Key::generate(KeyType::P256), Key::generate(KeyType::P256));
    let usage = KeyUsage::KEY_CERT_SIGN.extension();
    let ca = extension::BasicConstraints { ca: true, path_len: None }.extension();
    let middle = root.issue("Middle", &key.public, "11", vec![ca, usage]);
    let middle = Authority { ids: wire::ocsp::IssuerIds::new(&named("Middle"), &key.public), key, certificate: middle };
    let appointed = vec![KeyUsage::DIGITAL_SIGNATURE.extension(), extension::extended_key_usage(&[purpose])];
    let appointed = middle.issue("Server", &server.public, "12", appointed);
    let roots = [root.certificate.clone()];
    let party = Party { roots: if is_known { &roots } else { &[] }, ..world.with_key() };
    let (transaction, draft) = Transaction::ca_certs(&party, ID, &FIRST, NOW);
    let octets = draft.finish(|octets| Ok::<_, ()>(world.ra.0.sign(octets))).unwrap();
    let body = Body::Genp(vec![TypeAndValue { info_type: oids::CA_CERTS, info_value: None }]);
    let reply = world.reply(body, &Message::decode(&octets).unwrap(), By::Key(&server, &appointed));
    let reply = reply.octets_with(if is_carried { std::slice::from_ref(&middle.certificate) } else { &[] });
    assert_eq!(transaction.receive(&reply, NOW).map(|r| word(&r)), expected);
}
#[test]
fn signed_by_a_server_below_a_root() {
    from_below(oids::CMC_CA, true, true, Ok("general"));
    from_below(oids::CMC_CA, true, false, Err(Broken::Signer));
    from_below(oids::CMC_CA, false, true, Err(Broken::Signer));
    // Who registers for another authority does not speak for all.
    from_below(oids::CMC_RA, true, true, Err(Broken::Signer));
    from_below(x509::oids::CLIENT_AUTH, true, true, Err(Broken::Signer));
}
#[test]
fn signed_by_a_server_that_was_named() {
    let (world, other) = (World::new(), World::new());
    let servers = [other.server.1.clone()];
    let party = Party { servers: &servers, ..world.with_key() };
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    let request = Message::decode(&request).unwrap();
    let by = By::Key(&other.server.0, &other.server.1);
    let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, by);
    assert_eq!(transaction.receive(&reply.octets(), NOW).map(|r| word(&r)), Ok("offered"));
}
#[test]
fn after_the_end_of_a_server_that_was_named() {
    let world = World::new();
    let servers = [world.server.1.clone()];
    let party = Party { servers: &servers, ..world.with_key() };
    let late = world.server.1.tbs().not_after.plus_s(1);
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    let request = Message::decode(&request).unwrap();
    let by = By::Key(&world.server.0, &world.server.1);
    let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, by);
    assert_eq!(transaction.receive(&reply.octets(), late).map(|r| word(&r)), Err(Broken::Signer));
}
#[test]
fn after_the_end_of_the_servers_certificate() {
    let world = World::new();
    let party = world.with_key();
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    let request = Message::decode(&request).unwrap();
    let by = By::Key(&world.server.0, &world.server.1);
    let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, by);
    let late = world.server.1.tbs().not_after.plus_s(1);
    assert_eq!(transaction.receive(&reply.octets(), late).map(|r| word(&r)), Err(Broken::Signer));
}
#[test]
fn an_answer_to_another_kind_of_request() {
    check(true, |r, w| r.body = Body::Ip(rep(response(&w.certificate))), Err(Broken::OtherAnswer));
    check(true, |r, _| r.body = Body::PkiConf, Err(Broken::OtherAnswer));
    check(true, |r, _| r.body = Body::Genp(Vec::new()), Err(Broken::OtherAnswer));
}
#[test]
fn an_answer_to_another_number() {
    let with = |cert_req_id| {
        move |r: &mut Reply<'_>, _: &World| {
            let Body::Cp(message) = &mut r.body else { panic!("not cp") };
            message.response[0].cert_req_id = cert_req_id;
        }
    };
    check(true, with(1), Err(Broken::OtherAnswer));
    check(true, with(-1), Err(Broken::OtherAnswer));
}
#[test]
fn two_certificates_at_once() {
    check(
        true,
        |r, _| {
            let Body::Cp(message) = &mut r.body else { panic!("not cp") };
            let twice = message.response[0].clone();
            message.response.push(twice);
        },
        Err(Broken::OtherAnswer),
    );
}
#[test]
fn accepted_without_a_certificate() {
    check(
        true,
        |r, _| {
            let Body::Cp(message) = &mut r.body else { panic!("not cp") };
            message.response[0].certified_key_pair = None;
        },
        Err(Broken::Certificate),
    );
}
#[test]
fn a_certificate_for_another_key() {
    check(true, |r, w| r.body = Body::Cp(rep(response(&w.server.1))), Ok("other key"));
}
#[test]
fn a_certificate_by_another_authority_of_that_name() {
    let other = Authority::new(KeyType::P256, "Foreign", BEGIN);
    let world = World::new();
    let party = world.with_secret();
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    let request = Message::decode(&request).unwrap();
    let certificate = other.issue("device", &world.device.public, "77", vec![KeyUsage::DIGITAL_SIGNATURE.extension()]);
    let reply = world.reply(Body::Cp(rep(response(&certificate))), &request, By::Secret(SECRET));
    assert_eq!(transaction.receive(&reply.octets(), NOW).map(|r| word(&r)), Ok("not issued"));
}
#[test]
fn a_rejection() {
    check(
        true,
        |r, _| {
            let Body::Cp(message) = &mut r.body else { panic!("not cp") };
            message.response[0].status = status(PkiStatus::Rejection);
        },
        Ok("refused"),
    );
}
const ERROR: ErrorMsgContent<'_> = ErrorMsgContent {
    status: StatusInfo { status: PkiStatus::Rejection, status_string: None, fail_info: None },
    error_code: None,
    error_details: None,
};
#[test]
fn an_error() {
    check(true, |r, _| r.body = Body::Error(ERROR), Ok("refused"));
}
#[test]
fn an_error_that_nobody_vouches_for() {
    let refusal = wire::cmp::client::Refusal { explanation: "no reason given".into() };
    check(
        true,
        |r, _| {
            r.body = Body::Error(ERROR);
            r.by = By::Nobody;
        },
        Err(Broken::Unproven(refusal)),
    );
}
#[test]
fn octets_that_are_no_message() {
    let world = World::new();
    let party = world.with_secret();
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    assert_eq!(transaction.receive(b"<html>", NOW).map(|r| word(&r)), Err(Broken::NotAMessage));
    let (transaction, _) = begin(&party, &world, Confirm::Explicitly);
    // Our own message, sent back.
    assert_eq!(transaction.receive(&request, NOW).map(|r| word(&r)), Err(Broken::Nonce));
}

/// The hash and the status in a `certConf`, and which version it has.
fn confirmed(octets: &[u8]) -> (Vec<u8>, bool, Pvno) {
    let message = Message::decode(octets).unwrap();
    assert_eq!(message.header.recip_nonce, Some([0x33; 16].as_slice()));
    assert_eq!(message.header.sender_nonce, Some(SECOND.sender_nonce.as_slice()));
    let Body::CertConf(list) = &message.body else { panic!("not certConf") };
    let CertStatus { cert_hash, cert_req_id: 0, status_info, hash_alg } = list[0] else { panic!("another") };
    assert_eq!(hash_alg.is_some(), message.header.pvno == Pvno::V3);
    (cert_hash.to_vec(), status_info.is_some_and(|s| s.status == PkiStatus::Rejection), message.header.pvno)
}

/// Takes a certificate by an authority of this type, and is confirmed.
#[track_caller]
fn confirm(kind: KeyType, hash: wire::ocsp::HashAlgorithm, pvno: Pvno) {
    let world = World::new();
    let authority = Authority::new(kind, "Foreign", BEGIN);
    let party = Party { authority: &authority.certificate, ..world.with_secret() };
    let certificate =
        authority.issue("device", &world.device.public, "77", vec![KeyUsage::DIGITAL_SIGNATURE.extension()]);
    let (transaction, request) = begin(&party, &world, Confirm::Implicitly);
    assert!(Message::decode(&request).unwrap().header.implicit_confirm());
    let reply =
        world.reply(Body::Cp(rep(response(&certificate))), &Message::decode(&request).unwrap(), By::Secret(SECRET));
    let Ok(Received::Offered(offered)) = transaction.receive(&reply.octets(), NOW) else { panic!("not offered") };
    // Asked for implicitly, and not granted: so it is confirmed.
    let Accepted::Tell(transaction, draft) = offered.accept(&SECOND, NOW) else { panic!("not told") };
    let octets = draft.finish(|_| Err(())).unwrap();
    assert_eq!(confirmed(&octets), (hash.hash(certificate.der()).octets().to_vec(), false, pvno));
    let reply = world.reply(Body::PkiConf, &Message::decode(&octets).unwrap(), By::Secret(SECRET));
    let Ok(Received::Confirmed(got)) = transaction.receive(&reply.octets(), NOW) else { panic!("not confirmed") };
    assert_eq!(*got, certificate);
}

#[test]
fn confirmed_by_the_hash_of_the_signature() {
    confirm(KeyType::P256, wire::ocsp::HashAlgorithm::Sha256, Pvno::V2);
    confirm(KeyType::P384, wire::ocsp::HashAlgorithm::Sha384, Pvno::V2);
    confirm(KeyType::Ed25519, wire::ocsp::HashAlgorithm::Sha512, Pvno::V2);
    confirm(KeyType::MlDsa65, wire::ocsp::HashAlgorithm::Sha512, Pvno::V3);
}

/// Answers with implicit confirmation or without, after asking for it or not.
fn offered<'a>(party: &'a Party<'a>, world: &World, asked: Confirm, granted: bool) -> Received<'a> {
    let (transaction, request) = begin(party, world, asked);
    let request = Message::decode(&request).unwrap();
    let mut reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, By::Secret(SECRET));
    reply.implicit = granted;
    transaction.receive(&reply.octets(), NOW).unwrap()
}
#[test]
fn what_is_granted_implicitly_is_done() {
    let world = World::new();
    let party = world.with_secret();
    let Received::Offered(taken) = offered(&party, &world, Confirm::Implicitly, true) else { panic!("not offered") };
    let Accepted::Done(got) = taken.accept(&SECOND, NOW) else { panic!("told") };
    assert_eq!(*got, world.certificate);
    let Received::Offered(taken) = offered(&party, &world, Confirm::Implicitly, true) else { panic!("not offered") };
    assert!(matches!(taken.decline(&SECOND, NOW), Declined::Revoke(got) if *got == world.certificate));
}
#[test]
fn what_is_granted_unasked_is_confirmed_all_the_same() {
    let world = World::new();
    let party = world.with_secret();
    let Received::Offered(taken) = offered(&party, &world, Confirm::Explicitly, true) else { panic!("not offered") };
    assert!(matches!(taken.accept(&SECOND, NOW), Accepted::Tell(..)));
}
#[test]
fn what_is_declined_is_told() {
    let world = World::new();
    let party = world.with_secret();
    let Received::Offered(taken) = offered(&party, &world, Confirm::Explicitly, false) else { panic!("not offered") };
    let Declined::Tell(transaction, draft) = taken.decline(&SECOND, NOW) else { panic!("not told") };
    let octets = draft.finish(|_| Err(())).unwrap();
    assert!(confirmed(&octets).1, "not a rejection");
    let reply = world.reply(Body::PkiConf, &Message::decode(&octets).unwrap(), By::Secret(SECRET));
    assert_eq!(transaction.receive(&reply.octets(), NOW).map(|r| word(&r)), Ok("declined"));
}

#[test]
fn a_certificate_that_is_not_ready_is_asked_for_again() {
    let world = World::new();
    let party = world.with_secret();
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    let mut waiting = response(&world.certificate);
    (waiting.status, waiting.certified_key_pair) = (status(PkiStatus::Waiting), None);
    let reply = world.reply(Body::Cp(rep(waiting)), &Message::decode(&request).unwrap(), By::Secret(SECRET)).octets();
    let Ok(Received::Waiting(again)) = transaction.receive(&reply, NOW) else { panic!("not waiting") };
    let (transaction, draft) = again.poll(&SECOND, NOW);
    let octets = draft.finish(|_| Err(())).unwrap();
    let request = Message::decode(&octets).unwrap();
    assert_eq!(request.body, Body::PollReq(vec![0]));
    let later = Body::PollRep(vec![PollRep { cert_req_id: 0, check_after: 42, reason: None }]);
    let reply = world.reply(later, &request, By::Secret(SECRET)).octets();
    let Ok(Received::Waiting(again)) = transaction.receive(&reply, NOW) else { panic!("not waiting") };
    assert_eq!(again.check_after_s, 42);
    let (transaction, draft) = again.poll(&FIRST, NOW);
    let octets = draft.finish(|_| Err(())).unwrap();
    let request = Message::decode(&octets).unwrap();
    let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, By::Secret(SECRET)).octets();
    assert_eq!(transaction.receive(&reply, NOW).map(|r| word(&r)), Ok("offered"));
}
#[test]
fn what_was_not_ready_is_gone_on_with_from_its_nonce() {
    let world = World::new();
    let party = world.with_secret();
    let (transaction, request) = begin(&party, &world, Confirm::Explicitly);
    let mut waiting = response(&world.certificate);
    (waiting.status, waiting.certified_key_pair) = (status(PkiStatus::Waiting), None);
    let reply = world.reply(Body::Cp(rep(waiting)), &Message::decode(&request).unwrap(), By::Secret(SECRET)).octets();
    let Ok(Received::Waiting(again)) = transaction.receive(&reply, NOW) else { panic!("not waiting") };
    let nonce = again.nonce();
    drop(again);
    let request = request_for(&world.device.public);
    let again = Waiting::resume(&party, Enrolment::Cr(&request), ID, nonce).unwrap();
    let (transaction, draft) = again.poll(&SECOND, NOW);
    let octets = draft.finish(|_| Err(())).unwrap();
    let request = Message::decode(&octets).unwrap();
    assert_eq!((&request.body, request.header.recip_nonce), (&Body::PollReq(vec![0]), Some(&nonce[..])));
    assert_eq!(request.header.transaction_id, Some(&ID[..]));
    let reply = world.reply(Body::Cp(rep(response(&world.certificate))), &request, By::Secret(SECRET)).octets();
    assert_eq!(transaction.receive(&reply, NOW).map(|r| word(&r)), Ok("offered"));
}

/// Answers the question for the authority's certificates. Gives how many were understood.
#[track_caller]
fn ca_certs(value: Option<&[u8]>, expected: usize) {
    let world = World::new();
    let party = world.with_secret();
    let (transaction, draft) = Transaction::ca_certs(&party, ID, &FIRST, NOW);
    let octets = draft.finish(|_| Err(())).unwrap();
    let request = Message::decode(&octets).unwrap();
    let item = TypeAndValue { info_type: oids::CA_CERTS, info_value: value };
    assert_eq!(request.body, Body::Genm(vec![TypeAndValue { info_value: None, ..item }]));
    let reply = world.reply(Body::Genp(vec![item]), &request, By::Secret(SECRET)).octets();
    let Ok(Received::General(found)) = transaction.receive(&reply, NOW) else { panic!("no answer") };
    assert_eq!(found.len(), expected);
}
#[test]
fn the_certificates_of_the_authority() {
    let der = World::new().certificate.der().to_vec();
    let mut w = Writer::with_capacity(2048);
    w.sequence(|w| {
        w.raw(&der).raw(&der);
    });
    ca_certs(Some(&w.finish()), 2);
    ca_certs(None, 0);
    ca_certs(Some(&[0x30, 0]), 0);
    ca_certs(Some(&[0x30, 2, 0x30, 0]), 0);
}

/// Answers the question for the root that follows.
#[track_caller]
fn root_update(told: Vec<TypeAndValue<'_>>, expected: Result<&str, Broken>) {
    let world = World::new();
    let (party, old) = (world.with_secret(), &world.authority.certificate);
    let (transaction, draft) = Transaction::root_update(&party, old, ID, &FIRST, NOW);
    let octets = draft.finish(|_| Err(())).unwrap();
    let request = Message::decode(&octets).unwrap();
    let item = TypeAndValue { info_type: oids::ROOT_CA_CERT, info_value: Some(old.der()) };
    assert_eq!(request.body, Body::Genm(vec![item]));
    let reply = world.reply(Body::Genp(told), &request, By::Secret(SECRET)).octets();
    assert_eq!(transaction.receive(&reply, NOW).map(|r| word(&r)), expected);
}
#[test]
fn the_root_that_follows() {
    let der = World::new().certificate.der().to_vec();
    let update = wire::cmp::server::RootUpdate { new_with_new: &der, new_with_old: None, old_with_new: None };
    let update = wire::cmp::server::write_root_update(&update);
    let of = |info_value| TypeAndValue { info_type: oids::ROOT_CA_KEY_UPDATE, info_value };
    root_update(vec![of(Some(&update))], Ok("update"));
    root_update(vec![of(None)], Ok("no update"));
    root_update(vec![TypeAndValue { info_type: oids::CA_CERTS, info_value: None }], Ok("no update"));
    root_update(vec![of(Some(&der))], Err(Broken::RootUpdate));
    root_update(vec![of(Some(&[0x30, 0]))], Err(Broken::RootUpdate));
}
#[test]
fn told_to_wait_unasked() {
    let later = || Body::PollRep(vec![PollRep { cert_req_id: 0, check_after: 42, reason: None }]);
    check(true, |r, _| r.body = later(), Err(Broken::OtherAnswer));
}

/// Answers `rr`.
#[track_caller]
fn revocation(answer: StatusInfo<'_>, rev_cert: Option<(&str, &str)>, expected: Result<&str, Broken>) {
    let world = World::new();
    let party = world.with_key();
    let (transaction, draft) =
        Transaction::revoke(&party, &serial("77"), RevocationReason::Superseded, ID, &FIRST, NOW);
    let octets = draft.finish(|octets| Ok::<_, ()>(world.ra.0.sign(octets))).unwrap();
    let request = Message::decode(&octets).unwrap();
    // The request is signed as it says, by the certificate that it brings first.
    let Some(ProtectionAlgorithm::Signature(algorithm)) =
        request.header.protection_alg.and_then(ProtectionAlgorithm::read)
    else {
        panic!("not signed")
    };
    assert_eq!(request.extra_certs, [world.ra.1[0].der()]);
    signature::verify(&world.ra.0.public, algorithm, &request.protected_part(), request.protection.unwrap()).unwrap();
    let Body::Rr(list) = &request.body else { panic!("not rr") };
    let (issuer, number) = template::certificate_of(list[0].cert_details).unwrap();
    assert_eq!((issuer, number), (named("Foreign"), serial("77")));
    assert_eq!(template::reason_of(list[0].crl_entry_details), Some(RevocationReason::Superseded));
    let id = rev_cert.map(|(name, number)| {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.raw(&write_directory_name(&named(name))).unsigned(serial(number).octets());
        });
        w.finish()
    });
    let content =
        RevRepContent { status: vec![answer], rev_certs: id.iter().map(Vec::as_slice).collect(), crls: vec![] };
    let reply = world.reply(Body::Rp(content), &request, By::Key(&world.server.0, &world.server.1));
    assert_eq!(transaction.receive(&reply.octets(), NOW).map(|r| word(&r)), expected);
}
#[test]
fn revoked() {
    revocation(ACCEPTED, None, Ok("revoked"));
    revocation(ACCEPTED, Some(("Foreign", "77")), Ok("revoked"));
}
#[test]
fn another_certificate_revoked() {
    revocation(ACCEPTED, Some(("Foreign", "78")), Err(Broken::OtherAnswer));
    revocation(ACCEPTED, Some(("Other", "77")), Err(Broken::OtherAnswer));
}
#[test]
fn revoked_before() {
    let before = |failure| StatusInfo { fail_info: Some(failure), ..status(PkiStatus::Rejection) };
    revocation(before(FailureInfo::CERT_REVOKED), None, Ok("revoked"));
    revocation(before(FailureInfo::INCORRECT_DATA), None, Ok("refused"));
}
#[test]
fn a_revocation_that_is_only_announced_or_refused() {
    revocation(status(PkiStatus::RevocationWarning), None, Err(Broken::OtherAnswer));
    revocation(status(PkiStatus::Rejection), None, Ok("refused"));
}
#[test]
fn a_request_that_cannot_be_read_is_not_sent() {
    let world = World::new();
    let party = world.with_secret();
    for enrolment in [Enrolment::Ir(&[0x30, 0]), Enrolment::P10cr(&[0x30, 0])] {
        assert!(Transaction::enrol(&party, enrolment, Confirm::Explicitly, ID, &FIRST, NOW).is_err());
    }
}
