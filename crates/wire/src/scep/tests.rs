//! Messages of foreign clients, messages made by hand, and answers.

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use x509::write::tag;
use x509::{Certificate, CertificationRequest, Writer, sha256};

const STRONGSWAN: &[u8] = include_bytes!("../../../../testdata/rfc8894/strongswan-5.9.8-pkcsreq.der");
const MICROMDM: &[u8] = include_bytes!("../../../../testdata/rfc8894/micromdm-2.1.0-pkcsreq-sha1.der");
const RA: &[u8] = include_bytes!("../../../../testdata/rfc8894/openssl-3.0.19-ra.der");
const RA_KEY: &[u8] = include_bytes!("../../../../testdata/rfc8894/openssl-3.0.19-ra-key.der");

fn ra() -> Certificate {
    Certificate::decode(RA).unwrap()
}
fn sign(octets: &[u8]) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(RA_KEY).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature).unwrap();
    signature
}
/// The key of the content, as the server finds it.
fn found(recipient: &Recipient) -> Vec<u8> {
    let key = Pkcs1PrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(RA_KEY).unwrap()).unwrap();
    let mut room = vec![0; key.min_output_size()];
    key.decrypt(&recipient.encrypted_key, &mut room).unwrap().to_vec()
}
fn attribute(oid: const_oid::ObjectIdentifier, tag: u8, value: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.sequence(|w| {
        w.oid(oid).set(|w| _ = w.value(tag, value));
    });
    w.finish()
}
fn usual(message_type: &str) -> Vec<Vec<u8>> {
    vec![
        attribute(x509::oids::CONTENT_TYPE, tag::OBJECT_IDENTIFIER, x509::oids::DATA.as_bytes()),
        attribute(x509::oids::MESSAGE_DIGEST, tag::OCTET_STRING, sha256(b"content").octets()),
        attribute(oids::MESSAGE_TYPE, tag::PRINTABLE_STRING, message_type.as_bytes()),
        attribute(oids::TRANSACTION_ID, tag::PRINTABLE_STRING, b"T-1"),
        attribute(oids::SENDER_NONCE, tag::OCTET_STRING, &[7; 16]),
    ]
}
/// A message with these attributes, around `content`, with the server's certificate as the client's.
fn message(attributes: &[Vec<u8>], content: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut to_sign = Writer::default();
    to_sign.value(tag::SET, &attributes);
    let signature = sign(&to_sign.finish());
    let mut w = Writer::default();
    w.sequence(|w| {
        w.oid(x509::oids::SIGNED_DATA).explicit(0, |w| {
            w.sequence(|w| {
                // Some leave the hashes out here.
                w.small(1).set(|_| {}).sequence(|w| {
                    w.oid(x509::oids::DATA).explicit(0, |w| _ = w.octet_string(content));
                });
                w.explicit(0, |w| _ = w.raw(RA));
                w.set(|w| {
                    w.sequence(|w| {
                        w.small(1).sequence(|w| {
                            w.raw(ra().tbs().issuer.der()).unsigned(ra().tbs().serial_number.octets());
                        });
                        w.sequence(|w| _ = w.oid(x509::oids::SHA256));
                        w.value(tag::CONTEXT_CONSTRUCTED, &attributes);
                        w.sequence(|w| _ = w.oid(x509::oids::RSA_ENCRYPTION));
                        w.octet_string(&signature);
                    });
                });
            });
        });
    });
    w.finish()
}
#[track_caller]
fn is_of_type(number: &str, expected: &MessageType) {
    assert_eq!(&PkiMessage::decode(&message(&usual(number), b"content")).unwrap().message_type, expected, "{number}");
}
#[track_caller]
fn refused(attributes: &[Vec<u8>]) {
    assert!(PkiMessage::decode(&message(attributes, b"content")).is_err());
}

#[test]
fn what_strongswan_asks_for() {
    let read = PkiMessage::decode(STRONGSWAN).unwrap();
    assert_eq!((read.message_type.clone(), read.transaction_id.as_str().len()), (MessageType::PkcsReq, 40));
    let envelope = Envelope::decode(read.verify().unwrap()).unwrap();
    let [recipient] = &envelope.recipients[..] else { panic!("{envelope:?}") };
    let tbs = ra().tbs().clone();
    assert_eq!(recipient.id, RecipientId::IssuerAndSerialNumber(tbs.issuer, tbs.serial_number));
    assert_eq!(recipient.transport, Some(Transport::Pkcs1));
    assert_eq!(envelope.cipher.unwrap().0, Cipher::Aes128);
    let request = CertificationRequest::decode(&envelope.open(&found(recipient)).unwrap()).unwrap();
    request.verify().unwrap();
    assert_eq!(request.challenge_password.as_deref(), Some(&b"one-time-secret"[..]));
    assert_eq!(request.subject.first(x509::oids::SERIAL_NUMBER), Some("SN000001"));
    assert!(request.public_key == read.signer.tbs().subject_public_key && read.takes_secrets());
}
#[test]
fn sha_1_signs_nothing() {
    let read = PkiMessage::decode(MICROMDM).unwrap();
    assert_eq!(read.message_type, MessageType::PkcsReq);
    assert_eq!(read.verify(), Err(Unverified::Algorithm));
}
#[test]
fn five_types_and_no_other() {
    is_of_type("17", &MessageType::RenewalReq);
    is_of_type("19", &MessageType::PkcsReq);
    is_of_type("20", &MessageType::CertPoll);
    is_of_type("21", &MessageType::GetCert);
    is_of_type("22", &MessageType::GetCrl);
    (0..=99u8)
        .filter(|n| ![17, 19, 20, 21, 22].contains(n))
        .for_each(|n| is_of_type(&n.to_string(), &MessageType::Other));
    for text in ["", "019", "19 ", "+19", "0x13", "19\0", "PKCSReq"] {
        is_of_type(text, &MessageType::Other);
    }
}
#[test]
fn what_every_message_has_and_has_once() {
    assert!(PkiMessage::decode(&message(&usual("19"), b"content")).is_ok());
    for left_out in 0..usual("19").len() {
        let mut attributes = usual("19");
        attributes.remove(left_out);
        refused(&attributes);
    }
    let with = |more: Vec<u8>| [usual("19"), vec![more]].concat();
    refused(&with(attribute(oids::MESSAGE_TYPE, tag::PRINTABLE_STRING, b"17")));
    refused(&with(attribute(oids::SENDER_NONCE, tag::OCTET_STRING, &[8; 16])));
}
#[test]
fn a_nonce_of_16_octets_and_a_name_of_at_most_128_letters() {
    let with = |at: usize, other: Vec<u8>| {
        let mut attributes = usual("19");
        attributes[at] = other;
        attributes
    };
    for len in [0, 15, 17] {
        refused(&with(4, attribute(oids::SENDER_NONCE, tag::OCTET_STRING, &vec![7; len])));
    }
    let named = |text: &[u8]| with(3, attribute(oids::TRANSACTION_ID, tag::PRINTABLE_STRING, text));
    let read = PkiMessage::decode(&message(&named(&[b'a'; 128]), b"content")).unwrap();
    assert_eq!(read.transaction_id.as_str().len(), 128);
    for bad in [&b""[..], &[b'a'; 129], b"a\nb", b"a\0", "ä".as_bytes(), b"<a>", b"a\x1b[31m"] {
        refused(&named(bad));
    }
}
#[test]
fn the_signature_is_over_the_content_and_the_transaction() {
    let whole = message(&usual("19"), b"content");
    assert_eq!(PkiMessage::decode(&whole).unwrap().verify(), Ok(&b"content"[..]));
    let other = PkiMessage::decode(&message(&usual("19"), b"contend")).unwrap();
    assert_eq!(other.verify(), Err(Unverified::Signature));
    let at = whole.windows(3).position(|three| three == b"T-1").unwrap();
    let mut renamed = whole;
    renamed[at + 2] = b'2';
    let renamed = PkiMessage::decode(&renamed).unwrap();
    assert_eq!(renamed.transaction_id.to_string(), "T-2");
    assert_eq!(renamed.verify(), Err(Unverified::Signature));
}
#[test]
fn lengths_that_are_not_told_before() {
    let der = message(&usual("19"), b"content");
    // The outermost two layers, and the content in two pieces.
    let inner = &der[4 + 11 + 4..];
    let mut outer = vec![0x30, 0x80];
    outer.extend_from_slice(&der[4..4 + 11]);
    outer.extend_from_slice(&[0xa0, 0x80]);
    outer.extend_from_slice(inner);
    outer.extend_from_slice(&[0; 4]);
    let read = PkiMessage::decode(&outer).unwrap();
    assert_eq!(read.verify(), Ok(&b"content"[..]));
    outer.pop();
    assert!(PkiMessage::decode(&outer).is_err());
}
#[test]
fn longer_than_messages_are() {
    let long = vec![0; MESSAGE_LEN_MAX - 3000];
    assert!(PkiMessage::decode(&message(&usual("19"), &long)).is_ok());
    let long = vec![0; MESSAGE_LEN_MAX];
    assert!(PkiMessage::decode(&message(&usual("19"), &long)).is_err());
}
#[test]
fn an_envelope_is_opened_with_its_key() {
    for (cipher, len) in [(Cipher::Aes128, 16), (Cipher::Aes192, 24), (Cipher::Aes256, 32)] {
        for transport in [Transport::Pkcs1, Transport::OaepSha1, Transport::OaepSha256] {
            let key = vec![9; len];
            let der = write_envelope(b"inside", &ra(), (cipher, &key, [5; 16]), (transport, &[1; 256])).unwrap();
            let read = Envelope::decode(&der).unwrap();
            assert_eq!((read.cipher, read.recipients[0].transport), (Some((cipher, [5; 16])), Some(transport)));
            assert_eq!(read.open(&key).unwrap().as_slice(), b"inside");
            assert!(read.open(&key[1..]).is_none() && read.open(&vec![8; len]).is_none());
        }
    }
    assert!(write_envelope(b"", &ra(), (Cipher::Aes128, &[9; 32], [5; 16]), (Transport::Pkcs1, &[])).is_none());
}
#[test]
fn no_cipher_but_aes() {
    let der = write_envelope(b"inside", &ra(), (Cipher::Aes128, &[9; 16], [5; 16]), (Transport::Pkcs1, &[1; 256]));
    let mut der = der.unwrap();
    let oid = oids::AES_128_CBC.as_bytes();
    let at = der.windows(oid.len()).position(|part| part == oid).unwrap();
    // AES-128 in CFB, a cipher that has a vector of the same length.
    der[at + oid.len() - 1] = 4;
    let read = Envelope::decode(&der).unwrap();
    assert!(read.cipher.is_none() && read.open(&[9; 16]).is_none());
}
#[test]
fn content_that_is_no_whole_number_of_blocks() {
    let der = write_envelope(b"inside", &ra(), (Cipher::Aes128, &[9; 16], [5; 16]), (Transport::Pkcs1, &[1; 256]));
    let der = der.unwrap();
    for len in [0, 1, 15] {
        // The last value is the content: shorter by so much, and everything around it.
        let mut encrypted = Envelope::decode(&der).unwrap();
        encrypted.shorten(len);
        assert!(encrypted.open(&[9; 16]).is_none());
    }
}
#[test]
fn answers_are_bound_to_their_request() {
    let request = PkiMessage::decode(STRONGSWAN).unwrap();
    for (outcome, status) in [
        (Outcome::Success(b"envelope".to_vec()), "0"),
        (Outcome::Pending, "3"),
        (Outcome::Failure(FailInfo::BadRequest, "Refused.".into()), "2"),
    ] {
        let is_success = status == "0";
        let answer = CertRep {
            transaction_id: request.transaction_id.clone(),
            recipient_nonce: request.sender_nonce,
            sender_nonce: [3; 16],
            outcome,
        };
        let signing = answer.signing();
        let der = signing.finish(&ra(), &sign(&signing.octets()));
        let read = x509::SignedData::decode(&der).unwrap();
        let [signer] = read.signers() else { panic!("one signs") };
        signer.verify(&ra().tbs().subject_public_key).unwrap();
        let value = |oid| &signer.attribute(oid).unwrap()[2..];
        assert_eq!(value(oids::PKI_STATUS), status.as_bytes());
        assert_eq!(value(oids::MESSAGE_TYPE), b"3");
        assert_eq!(value(oids::RECIPIENT_NONCE), request.sender_nonce);
        assert_eq!(value(oids::TRANSACTION_ID), request.transaction_id.as_str().as_bytes());
        assert_eq!(signer.attribute(oids::FAIL_INFO).is_some(), status == "2");
        assert_eq!(read.content(), is_success.then_some(&b"envelope"[..]));
        assert_eq!(signer.message_digest(), Some(&sha256(read.content().unwrap_or_default()).octets()[..]));
    }
}
#[test]
fn the_number_of_what_there_is() {
    let tbs = ra().tbs().clone();
    let der = |second: &[u8]| {
        let mut w = Writer::default();
        w.sequence(|w| {
            w.raw(tbs.issuer.der()).raw(second);
        });
        w.finish()
    };
    let mut number = Writer::default();
    number.unsigned(tbs.serial_number.octets());
    let whole = der(&number.finish());
    let read = IssuerAndSerialNumber::decode(&whole).unwrap();
    assert!(read.serial_number == tbs.serial_number && read.issuer.matches(&tbs.issuer));
    for other in [der(tbs.subject.der()), [&whole[..], &[0]].concat(), Vec::new()] {
        assert!(IssuerAndSerialNumber::decode(&other).is_err());
    }
}
#[test]
fn who_is_refused_learns_no_reason() {
    use model::{Fault, Reason};
    for reason in [Reason::SecretUnknown, Reason::SecretUsed, Reason::ClientRevoked, Reason::NameMismatch] {
        assert_eq!(told(&reason.into()), Told::No(FailInfo::BadRequest));
    }
    assert_eq!(told(&Reason::AwaitingApproval.into()), Told::Wait);
    assert_eq!(told(&Reason::LabelUnknown.into()), Told::Nowhere);
    assert_eq!(told(&Reason::RateExceeded.into()), Told::Slower);
    assert_eq!(told(&Fault::unavailable("x")), Told::Trouble);
}
#[test]
fn what_the_server_can_do() {
    let words: Vec<_> = CAPABILITIES.lines().collect();
    assert!(words.contains(&"SHA-256") && words.contains(&"AES") && words.contains(&"SCEPStandard"));
    assert!(!CAPABILITIES.contains('\r') && CAPABILITIES.ends_with('\n') && !words.contains(&"DES3"));
}
