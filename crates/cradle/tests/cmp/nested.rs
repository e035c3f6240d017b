//! What a registration authority hands on: it adds protection, and replaces none.

use crate::hand::{AS_IT_IS, Got, Hand, Shows, Talk};
use crate::registrar::{OTHER, PATH, Registrar, appoint, now, site, unpacked};
use crate::site::Up;
use wire::cmp::oids::{CMC_CA, CMC_RA};
use wire::cmp::server::write_messages;
use wire::cmp::{Body, Message};
use x509::extension::KeyUsage;
use x509::oids;

const DEVICES: &str = "/.well-known/cmp/p/handed";

/// What is said to a message that is sent as it is.
fn said(up: &Up<'_>, path: &str, message: &[u8]) -> Got {
    Got::read(&up.post(path, message))
}

/// The identifier that two messages share is taken from the answer to the first.
fn last(talk: &mut Talk<'_>, got: &Got) {
    talk.last = Some(got.nonce.clone());
}

#[test]
fn one_message_with_protection_added_is_answered_to_whom_it_is_from() {
    let site = site("cmp-nested-one");
    let secret = site.secret("SN000001");
    let registrar = Registrar::new(&site, "ra");
    appoint(&site, &[("handed", "ldevid", &[("ra-1", registrar.file(&site, "ra"))])]);
    let hand = Hand::new();
    let up = site.up();
    let mut talk = Talk::new(&up, DEVICES, Shows::Secret { reference: "SN000001", secret: &secret });
    let inner = talk.message(&Body::Ir(&hand.request()), AS_IT_IS, None);
    let outer = registrar.added(&up, DEVICES, &inner);
    let answer = up.post(DEVICES, &outer);
    // Protected by the device's own secret, as if it had come alone.
    let read = Message::decode(&answer).unwrap();
    assert!(matches!(read.body, Body::Ip(_)) && read.extra_certs.len() == 2, "{:?}", read.body);
    let Some(wire::cmp::ProtectionAlgorithm::Mac(mac)) =
        wire::cmp::ProtectionAlgorithm::read(read.header.protection_alg.unwrap())
    else {
        panic!("{read:?}")
    };
    assert!(mac.verify(secret.as_bytes(), &read.protected_part(), read.protection.unwrap()));
    let got = Got::read(&answer);
    let certificate = got.taken().clone();
    last(&mut talk, &got);
    // The same again counts for nothing.
    let replayed = said(&up, DEVICES, &outer).refused("transactionIdInUse");
    // The next message of the transaction, with its identifier, and one that comes without the registration authority.
    let status = x509::sha256(certificate.der());
    let status =
        wire::cmp::body::CertStatus { cert_hash: status.octets(), cert_req_id: 0, status_info: None, hash_alg: None };
    let confirmation = talk.message(&Body::CertConf(vec![status]), AS_IT_IS, None);
    assert!(said(&up, DEVICES, &registrar.added(&up, DEVICES, &confirmation)).is_confirmed());
    let twice = talk.send(confirmation).refused("certConfirmed");
    // Another identifier, or another nonce, than inside.
    let mut other = Talk::new(&up, DEVICES, Shows::Certificate(&hand, &certificate));
    let inner = other.message(&Body::Genm(Vec::new()), AS_IT_IS, None);
    said(&up, DEVICES, &registrar.batch(&up, DEVICES, std::slice::from_ref(&inner))).malformed("badRequest");
    let id: &'static [u8] = other.id.to_vec().leak();
    let only_id = registrar.talk(&up, DEVICES).message(
        &Body::Nested(&write_messages(std::slice::from_ref(&inner))),
        &|header| header.transaction_id = Some(id),
        None,
    );
    said(&up, DEVICES, &only_id).malformed("badSenderNonce");
    // What it does not protect itself, it does not make valid.
    let mut broken = inner;
    let len = broken.len();
    let at = len - 1 - certificate.der().len() - 12;
    broken[at] ^= 1;
    let broken = said(&up, DEVICES, &registrar.added(&up, DEVICES, &broken)).refused("badMessageCheck");
    assert_eq!(
        other.say(&Body::Genm(Vec::new()), AS_IT_IS).said,
        "badRequest: \"Malformed: nothing is asked for that is had here.\""
    );
    up.down();
    site.why(&replayed, "replayed");
    site.why(&twice, "already-confirmed");
    site.why(&broken, "protection-invalid");
    assert_eq!(site.standing().len(), 1);
    assert!(!site.standing()[0].1);
    site.b.sound();
}

#[test]
fn a_batch_is_answered_one_by_one_in_its_order() {
    let site = site("cmp-nested-batch");
    let secrets = ["SN000001", "SN000002", "SN000003"].map(|serial| site.secret(serial));
    let registrar = Registrar::new(&site, "ra");
    appoint(&site, &[("handed", "ldevid", &[("ra-1", registrar.file(&site, "ra"))])]);
    let hands = [Hand::new(), Hand::new(), Hand::new()];
    let up = site.up();
    let ir = |n: usize, reference: &'static str| {
        let talk = Talk::new(&up, DEVICES, Shows::Secret { reference, secret: &secrets[n] });
        (
            talk.message(
                &Body::Ir(&hands[n].request()),
                &|h| h.general_info = vec![wire::cmp::header::TypeAndValue::IMPLICIT_CONFIRM],
                None,
            ),
            talk.id,
        )
    };
    let (first, second, third) = (ir(0, "SN000001"), ir(1, "SN000002"), ir(2, "SN000003"));
    // The second was altered on its way; the last is no message at all.
    let mut altered = second.0.clone();
    let end = altered.len() - 1;
    altered[end] ^= 1;
    let batch = [first.0.clone(), altered, third.0.clone(), vec![0x30, 0]];
    let outer = registrar.batch(&up, DEVICES, &batch);
    let answers = unpacked(&site, &outer, &up.post(DEVICES, &outer));
    assert_eq!(answers.len(), 4);
    for (n, id) in [(0, first.1), (2, third.1)] {
        let read = Message::decode(&answers[n]).unwrap();
        assert_eq!(read.header.transaction_id, Some(&id[..]));
        let got = Got::read(&answers[n]);
        assert_eq!(got.taken().tbs().subject_public_key, *ports::Signer::public_key(&hands[n].key));
        assert!(got.is_protected);
    }
    let broken = Got::read(&answers[1]).refused("badMessageCheck");
    assert_eq!(site.standing().len(), 2, "nothing was issued for what was altered");
    let unread = Got::read(&answers[3]);
    assert!(unread.body == 23 && unread.said.starts_with("badDataFormat") && !unread.is_protected, "{unread:?}");
    // Octet for octet again; the same messages in another batch; twice in one.
    let replayed = said(&up, DEVICES, &outer).refused("transactionIdInUse");
    let again = [first.0.clone(), third.0.clone()];
    let again = registrar.batch(&up, DEVICES, &again);
    let again = unpacked(&site, &again, &up.post(DEVICES, &again));
    let again: Vec<_> = again.iter().map(|answer| Got::read(answer).refused("transactionIdInUse")).collect();
    let twice = registrar.batch(&up, DEVICES, &[second.0.clone(), second.0.clone()]);
    said(&up, DEVICES, &twice).malformed("transactionIdInUse");
    // The second is as good as before, by itself.
    said(&up, DEVICES, &second.0).taken();
    up.down();
    site.why(&broken, "protection-invalid");
    site.why(&replayed, "replayed");
    again.iter().for_each(|identifier| site.why(identifier, "replayed"));
    assert_eq!(site.standing().len(), 3);
    site.b.sound();
}

/// Refused for it: nonces of this octet for the batch and for two messages in it, and whether both of those have an identifier of their own.
#[track_caller]
fn twice(up: &Up<'_>, registrar: &Registrar, nonces: [u8; 3], has_own_id: bool, failure: &str) {
    let [outer, nonces @ ..] = nonces.map(|octet| -> &'static [u8] { vec![octet; 16].leak() });
    let talk = registrar.talk(up, DEVICES);
    let id: &'static [u8] = talk.id.to_vec().leak();
    let inner = nonces.map(|nonce| {
        let tweak = |header: &mut wire::cmp::Header<'_>| {
            header.sender_nonce = Some(nonce);
            if !has_own_id && nonce == nonces[0] {
                header.transaction_id = Some(id);
            }
        };
        registrar.talk(up, DEVICES).message(&Body::Genm(Vec::new()), &tweak, None)
    });
    let body = write_messages(&inner);
    let batch = talk.message(&Body::Nested(&body), &|header| header.sender_nonce = Some(outer), None);
    said(up, DEVICES, &batch).malformed(failure);
}

#[test]
fn messages_of_a_batch_have_identifiers_and_nonces_of_their_own() {
    let site = site("cmp-nested-own");
    let registrar = Registrar::new(&site, "ra");
    appoint(&site, &[("handed", "ldevid", &[("ra-1", registrar.file(&site, "ra"))])]);
    let up = site.up();
    twice(&up, &registrar, [1, 2, 2], true, "badSenderNonce");
    twice(&up, &registrar, [1, 1, 2], true, "badSenderNonce");
    twice(&up, &registrar, [1, 2, 3], false, "transactionIdInUse");
    up.down();
    site.b.sound();
}

#[test]
fn nothing_is_nested_deeper_and_no_batch_is_longer() {
    let site = site("cmp-nested-deep");
    let registrar = Registrar::new(&site, "ra");
    appoint(&site, &[("handed", "ldevid", &[("ra-1", registrar.file(&site, "ra"))])]);
    let up = site.up();
    // Fifty deep: the second is not opened.
    let mut message = registrar.talk(&up, DEVICES).message(&Body::PkiConf, AS_IT_IS, None);
    for _ in 0..50 {
        message = registrar.added(&up, DEVICES, &message);
    }
    said(&up, DEVICES, &message).malformed("badRequest");
    // Too many, none, and a batch that is longer than a message.
    said(&up, DEVICES, &registrar.batch(&up, DEVICES, &vec![vec![0x30, 0]; 65])).malformed("badDataFormat");
    said(&up, DEVICES, &registrar.batch(&up, DEVICES, &[])).malformed("badDataFormat");
    let batch = registrar.batch(&up, DEVICES, &vec![vec![0x30, 0]; 10_000]);
    assert!(batch.len() < wire::cmp::MESSAGE_LEN_MAX);
    said(&up, DEVICES, &batch).malformed("badDataFormat");
    let long = registrar.batch(&up, DEVICES, &vec![[&[0x30, 13][..], &[5; 13]].concat(); 10_000]);
    let mut line = std::net::TcpStream::connect(up.address("http")).unwrap();
    // What is too long is not read to its end, so that it may not be sent to its end either.
    let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        crate::site::exchange(&mut line, DEVICES, "application/pkixcmp", &long).0
    }));
    assert!(status.is_err() || status.is_ok_and(|status| status.contains(" 413 ")));
    // As many as may be.
    let most = registrar.batch(&up, DEVICES, &vec![vec![0x30, 0]; 64]);
    assert_eq!(unpacked(&site, &most, &up.post(DEVICES, &most)).len(), 64);
    up.down();
    site.b.sound();
}

#[test]
fn nobody_hands_on_who_was_not_appointed_for_the_label() {
    let site = site("cmp-nested-who");
    let secret = site.secret("SN000001");
    let (one, other) = (Registrar::new(&site, "ra"), Registrar::new(&site, "other"));
    let in_a_day = now().plus_s(86_400);
    let purposeless = Registrar::with(&site, "a", &[CMC_CA, oids::CLIENT_AUTH], KeyUsage::DIGITAL_SIGNATURE, in_a_day);
    let unsigning = Registrar::with(&site, "b", &[CMC_RA], KeyUsage::KEY_ENCIPHERMENT, in_a_day);
    let ended = Registrar::with(&site, "c", &[CMC_RA], KeyUsage::DIGITAL_SIGNATURE, now().minus_s(10));
    let file = |registrar: &Registrar, name: &str| registrar.file(&site, name);
    appoint(
        &site,
        &[
            (
                "handed",
                "ldevid",
                &[
                    ("ra-1", file(&one, "ra")),
                    ("ra-a", file(&purposeless, "a")),
                    ("ra-b", file(&unsigning, "b")),
                    ("ra-c", file(&ended, "c")),
                ],
            ),
            ("vouched", "idevid", &[("ra-2", file(&other, "other"))]),
            ("other", "idevid", &[]),
        ],
    );
    let hand = Hand::new();
    let up = site.up();
    let by_secret = Shows::Secret { reference: "SN000001", secret: &secret };
    let mut refusals = Vec::new();
    let mut note = |got: Got, failure: &str, code: &'static str| refusals.push((got.refused(failure), code));
    let inner = || Talk::new(&up, DEVICES, by_secret).message(&Body::Ir(&hand.request()), AS_IT_IS, None);
    let by = |registrar: &Registrar, path: &str| said(&up, path, &registrar.added(&up, path, &inner()));
    note(by(&purposeless, DEVICES), "notAuthorized", "not-appointed");
    note(by(&unsigning, DEVICES), "notAuthorized", "not-appointed");
    note(by(&ended, DEVICES), "signerNotTrusted", "client-expired");
    note(by(&other, DEVICES), "signerNotTrusted", "client-unknown");
    note(by(&one, PATH), "signerNotTrusted", "client-unknown");
    note(by(&one, OTHER), "signerNotTrusted", "client-unknown");
    // The right certificate with another's key; the right key over other octets; an old message.
    let thief = Registrar { hand: Hand::new(), certificate: one.certificate.clone() };
    note(by(&thief, DEVICES), "badMessageCheck", "protection-invalid");
    let mut altered = one.added(&up, DEVICES, &inner());
    altered[60] ^= 1;
    let got = up.post(DEVICES, &altered);
    assert!(Message::decode(&got).is_ok_and(|read| matches!(read.body, Body::Error(_))));
    let old = one.talk(&up, DEVICES).message(
        &Body::Nested(&write_messages(&[inner(), inner()])),
        &|header| header.message_time = header.message_time.map(|time| time.minus_s(4000)),
        None,
    );
    note(said(&up, DEVICES, &old), "badTime", "out-of-time");
    // Devices hand on nothing, neither with their secret nor with their certificate.
    let mut device = Talk::new(&up, DEVICES, by_secret);
    note(device.say(&Body::Nested(&write_messages(&[inner()])), AS_IT_IS), "notAuthorized", "not-appointed");
    let certificate = Talk::new(&up, DEVICES, by_secret).ir_implicitly(&hand).taken().clone();
    let mut device = Talk::new(&up, DEVICES, Shows::Certificate(&hand, &certificate));
    note(device.say(&Body::Nested(&write_messages(&[inner()])), AS_IT_IS), "notAuthorized", "not-appointed");
    up.down();
    refusals.iter().for_each(|(identifier, code)| site.why(identifier, code));
    assert_eq!(site.standing().len(), 1);
    site.b.sound();
}

#[test]
fn a_file_that_appoints_more_than_one_or_nobody_is_not_taken() {
    let site = site("cmp-nested-file");
    let registrar = Registrar::new(&site, "ra");
    let file = registrar.file(&site, "ra");
    appoint(&site, &[("handed", "ldevid", &[("ra-1", file.clone())])]);
    let one = site.b.read("ra.pem");
    for octets in [[&one[..], &one].concat(), Vec::new(), b"no certificate".to_vec()] {
        std::fs::write(&file, octets).unwrap();
        site.b.fails(&["up"], 2, "config");
    }
    std::fs::write(&file, one).unwrap();
    site.up().down();
}
