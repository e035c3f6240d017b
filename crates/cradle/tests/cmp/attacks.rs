//! Messages of others than who they say, and requests for more than there is leave for. Each is refused for its own reason.

use crate::hand::{AS_IT_IS, Got, Hand, Shows, Talk, bare, common_name};
use crate::site::Site;
use pkcs8::spki::ObjectIdentifier;
use ports::Signer;
use wire::cmp::template::{Template, write_cert_details, write_cert_request, write_reason};
use wire::cmp::{Body, oids as cmp_oids};
use x509::crmf::{ProofOfPossession, write_only};
use x509::extension::{BasicConstraints, KeyUsage};
use x509::write::tag;
use x509::{Certificate, Extension, SerialNumber, Writer, oids};

const PATH: &str = "/.well-known/cmp";

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

/// `PBMParameter` of one's own. Source: RFC 4211 §4.4.
fn pbm(owf: ObjectIdentifier, iterations: u64) -> Vec<u8> {
    let mut w = Writer::default();
    w.sequence(|w| {
        w.oid(cmp_oids::PASSWORD_BASED_MAC).sequence(|w| {
            w.octet_string(&[7; 16]).sequence(|w| {
                w.oid(owf).value(tag::NULL, &[]);
            });
            w.small(iterations).sequence(|w| {
                w.oid(cmp_oids::HMAC_WITH_SHA256).value(tag::NULL, &[]);
            });
        });
    });
    w.finish()
}

/// PBMAC1 with so many iterations. Source: RFC 8018 appendix A.5.
fn pbkdf2(iterations: u64) -> Vec<u8> {
    let hash = |w: &mut Writer| {
        w.sequence(|w| {
            w.oid(cmp_oids::HMAC_WITH_SHA256).value(tag::NULL, &[]);
        });
    };
    let mut w = Writer::default();
    w.sequence(|w| {
        w.oid(cmp_oids::PBMAC1).sequence(|w| {
            w.sequence(|w| {
                w.oid(cmp_oids::PBKDF2).sequence(|w| {
                    w.octet_string(&[7; 16]).small(iterations).small(32);
                    hash(w);
                });
            });
            hash(w);
        });
    });
    w.finish()
}

#[test]
fn a_mac_is_made_with_the_devices_own_secret_and_nothing_weak() {
    let site = Site::new("cmp-macs");
    let (secret, other) = (site.secret("SN000001"), site.secret("SN000002"));
    let hand = Hand::new();
    let mut refusals = Refusals::default();
    let up = site.up();
    let talk =
        |reference: &'static str, secret: &'static str| Talk::new(&up, PATH, Shows::Secret { reference, secret });
    let secret: &'static str = secret.leak();
    let other: &'static str = other.leak();
    // Another's, nobody's, none.
    refusals.note(&talk("SN000001", other).ir(&hand), "badMessageCheck", "protection-invalid");
    refusals.note(&talk("SN000009", secret).ir(&hand), "badMessageCheck", "secret-unknown");
    refusals.note(&talk("SN999999", secret).ir(&hand), "badMessageCheck", "secret-unknown");
    let mut elsewhere = Talk::new(&up, "/.well-known/cmp/p/identity", Shows::Secret { reference: "SN000001", secret });
    refusals.note(&elsewhere.ir(&hand), "badMessageCheck", "secret-unknown");
    let unknown =
        Talk::new(&up, "/.well-known/cmp/p/nothing", Shows::Secret { reference: "SN000001", secret }).ir(&hand);
    refusals.note(&unknown, "badRequest", "label-unknown");
    // One bit of the protection, and one of what it covers.
    let mut turned = talk("SN000001", secret);
    for from_end in [1, 60] {
        let mut message = turned.message(&Body::Ir(&hand.request()), AS_IT_IS, None);
        let len = message.len();
        message[len - from_end] ^= 1;
        refusals.note(&turned.send(message), "badMessageCheck", "protection-invalid");
    }
    // Without protection, and with a certificate that nobody signed with.
    let whole = turned.message(&Body::Ir(&hand.request()), AS_IT_IS, None);
    refusals.note(&turned.send(bare(&whole)), "wrongIntegrity", "client-unproved");
    // Weak, or too much work for who is not proved to be anybody.
    const MD5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.5");
    const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
    const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
    let weak = [pbm(MD5, 500), pbm(SHA1, 500), pbm(SHA256, 1 << 31), pbm(SHA256, 99), pbkdf2(1 << 31)];
    for algorithm in weak {
        let message = turned.message(&Body::Ir(&hand.request()), AS_IT_IS, Some(&algorithm));
        refusals.note(&turned.send(message), "badAlg", "protection-weak");
    }
    // Nonces and identifiers of another length; a first message that answers something; clocks that are far apart.
    let mut odd = |tweak: &dyn Fn(&mut wire::cmp::Header<'_>)| turned.say(&Body::Ir(&hand.request()), tweak);
    odd(&|header| header.sender_nonce = Some(&[7; 15])).malformed("badSenderNonce");
    odd(&|header| header.sender_nonce = None).malformed("badSenderNonce");
    odd(&|header| header.transaction_id = Some(&[7; 17])).malformed("badDataFormat");
    odd(&|header| header.recip_nonce = Some(&[7; 16])).malformed("badRecipientNonce");
    let late = odd(&|header| header.message_time = header.message_time.map(|time| time.minus_s(4000)));
    refusals.note(&late, "badTime", "out-of-time");
    // What nobody answers.
    odd_body(&mut turned, &Body::PkiConf);
    // After all that the secret is as good as before; by its name alone, with the newer MAC.
    let mut talk = Talk::new(&up, PATH, Shows::Pbmac1 { reference: "SN000001", secret });
    let certificate = talk.ir(&hand).taken().clone();
    assert!(talk.confirm(&certificate, 0).is_confirmed());
    up.down();
    refusals.check(&site);
    assert_eq!(site.standing().len(), 1);
    site.b.sound();
}

fn odd_body(talk: &mut Talk<'_>, body: &Body<'_>) {
    let got = talk.say(body, AS_IT_IS);
    got.malformed("badRequest");
    assert!(got.is_protected, "who is proved to ask gets a protected error");
}

/// A template with fields of one's own, in front of the key.
fn reserved(hand: &Hand, f: impl Fn(&mut Writer)) -> Vec<u8> {
    let plain = Template { issuer: None, subject: None, public_key: hand.key.public_key(), extensions: &[] };
    let written = write_cert_request(0, &plain);
    // certReqId, then the template: its contents behind ours.
    let start = written.windows(2).position(|w| w[0] == 0xa6).unwrap();
    let mut w = Writer::default();
    w.sequence(|w| {
        w.small(0).sequence(|w| {
            f(w);
            w.raw(&written[start..]);
        });
    });
    hand.proved(&w.finish())
}

#[test]
fn a_request_asks_for_nothing_but_a_key_and_proves_that_it_has_it() {
    let site = Site::new("cmp-requests");
    let secret = site.secret("SN000001");
    let (hand, other) = (Hand::new(), Hand::new());
    let mut refusals = Refusals::default();
    let up = site.up();
    let shows = Shows::Secret { reference: "SN000001", secret: &secret };
    let ir = |request: &[u8]| Talk::new(&up, PATH, shows).say(&Body::Ir(request), AS_IT_IS);
    let plain = Template { issuer: None, subject: None, public_key: hand.key.public_key(), extensions: &[] };
    let plain = write_cert_request(0, &plain);
    // Proof of possession.
    refusals.note(&ir(&write_only(&plain, &ProofOfPossession::RaVerified)), "notAuthorized", "right-missing");
    refusals.note(&ir(&write_only(&plain, &ProofOfPossession::Absent)), "badPOP", "proof-missing");
    refusals.note(&ir(&other.proved(&plain)), "badPOP", "proof-of-possession");
    // Fields that only the authority sets.
    let number = |w: &mut Writer| {
        w.value(tag::CONTEXT | 1, &[7]);
    };
    let issuer = |w: &mut Writer| {
        w.explicit(3, |w| {
            w.raw(common_name("Another").der());
        });
    };
    let validity = |w: &mut Writer| {
        w.explicit(4, |w| {
            w.explicit(1, |w| {
                w.value(tag::GENERALIZED_TIME, b"99991231235959Z");
            });
        });
    };
    for request in [reserved(&hand, number), reserved(&hand, issuer), reserved(&hand, validity)] {
        refusals.note(&ir(&request), "badCertTemplate", "template-not-allowed");
    }
    // Extensions of an authority, and one that nobody knows; another's name.
    let ca = BasicConstraints { ca: true, path_len: None }.extension();
    let sign = KeyUsage::DIGITAL_SIGNATURE.with(KeyUsage::KEY_CERT_SIGN).extension();
    for extension in [ca, sign] {
        refusals.note(&ir(&hand.request_for(None, &[extension])), "badCertTemplate", "ca-requested");
    }
    let unknown = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1");
    let unknown = Extension::of(unknown, true, |w| {
        w.value(tag::NULL, &[]);
    });
    refusals.note(&ir(&hand.request_for(None, &[unknown])), "unacceptedExtension", "extension-not-allowed");
    let name = common_name("sensor SN000002");
    refusals.note(&ir(&hand.request_for(Some(&name), &[])), "badCertTemplate", "name-mismatch");
    // What is no request at all.
    ir(&[0x30, 0]).malformed("badDataFormat");
    // After all that it is had, once.
    let mut talk = Talk::new(&up, PATH, shows);
    talk.ir_implicitly(&hand).taken();
    up.down();
    refusals.check(&site);
    assert_eq!(site.standing().len(), 1);
    site.b.sound();
}

/// A device that has a certificate.
fn with_certificate(up: &crate::site::Up<'_>, serial: &str, secret: &str) -> (Hand, Certificate) {
    let hand = Hand::new();
    let mut talk = Talk::new(up, PATH, Shows::Secret { reference: serial, secret });
    let certificate = talk.ir_implicitly(&hand).taken().clone();
    (hand, certificate)
}

#[test]
fn a_certificate_is_renewed_by_who_has_its_key_once_while_it_holds() {
    let site = Site::new("cmp-kur");
    let secrets = ["SN000001", "SN000002"].map(|serial| site.secret(serial));
    let mut refusals = Refusals::default();
    let up = site.up();
    let (hand, own) = with_certificate(&up, "SN000001", &secrets[0]);
    let (thief, theirs) = with_certificate(&up, "SN000002", &secrets[1]);
    let kur = |shows: Shows<'_>, request: &[u8]| Talk::new(&up, PATH, shows).say(&Body::Kur(request), AS_IT_IS);
    let next = Hand::new();
    // Another's certificate with one's own key; another's name; another's certificate in the control; a MAC.
    let stolen = Shows::Certificate(&thief, &own);
    refusals.note(&kur(stolen, &next.request()), "badMessageCheck", "protection-invalid");
    let mine = Shows::Certificate(&thief, &theirs);
    let renamed = next.request_for(Some(&own.tbs().subject), &[]);
    refusals.note(&kur(mine, &renamed), "badCertTemplate", "name-mismatch");
    let named = |certificate: &Certificate| {
        let template = Template { issuer: None, subject: None, public_key: next.key.public_key(), extensions: &[] };
        let plain = write_cert_request(0, &template);
        let mut w = Writer::default();
        w.sequence(|w| {
            w.raw(inside(&plain)).sequence(|w| {
                w.sequence(|w| {
                    w.oid(cmp_oids::OLD_CERT_ID).sequence(|w| {
                        w.explicit(4, |w| {
                            w.raw(certificate.tbs().issuer.der());
                        });
                        w.unsigned(certificate.tbs().serial_number.octets());
                    });
                });
            });
        });
        next.proved(&w.finish())
    };
    refusals.note(&kur(mine, &named(&own)), "badCertId", "other-certificate");
    let by_mac = Shows::Secret { reference: "SN000002", secret: &secrets[1] };
    refusals.note(&kur(by_mac, &next.request()), "wrongIntegrity", "client-unproved");
    // A certificate of the same name by somebody's own authority.
    let forged = forged(&own);
    refusals.note(
        &kur(Shows::Certificate(&forged.0, &forged.1), &next.request()),
        "signerNotTrusted",
        "client-unknown",
    );
    // A sender that is not the one of the certificate.
    let sender = wire::cmp::header::write_directory_name(&common_name("another"));
    let sender: &'static [u8] = sender.leak();
    let as_another = Talk::new(&up, PATH, mine).say(&Body::Kur(&next.request()), &|header| {
        header.sender = wire::cmp::header::PeerName::new(sender).unwrap();
    });
    refusals.note(&as_another, "badMessageCheck", "protection-invalid");
    // It is renewed, once.
    let renewed = kur(mine, &named(&theirs));
    assert!(renewed.is_protected);
    let renewed = renewed.taken().clone();
    refusals.note(&kur(mine, &Hand::new().request()), "notAuthorized", "already-renewed");
    assert_eq!(renewed.tbs().subject, theirs.tbs().subject);
    // Revoked by the device itself, it renews nothing any more.
    let me = Shows::Certificate(&hand, &own);
    let details = write_cert_details(&own.tbs().issuer, &own.tbs().serial_number);
    assert_eq!(Talk::new(&up, PATH, me).rr(&details, None).said, "no reason given");
    refusals.note(&kur(me, &Hand::new().request()), "certRevoked", "client-revoked");
    up.down();
    refusals.check(&site);
    assert_eq!(site.standing().len(), 3);
    site.b.sound();
}

#[test]
fn a_device_revokes_what_is_its_own_and_releases_what_is_on_hold() {
    let site = Site::new("cmp-rr");
    let secrets = ["SN000001", "SN000002"].map(|serial| site.secret(serial));
    let mut refusals = Refusals::default();
    let up = site.up();
    let (hand, own) = with_certificate(&up, "SN000001", &secrets[0]);
    let (_, theirs) = with_certificate(&up, "SN000002", &secrets[1]);
    let next = Hand::new();
    let mut talk = Talk::new(&up, PATH, Shows::Certificate(&hand, &own));
    let newer = talk.kur(&next).taken().clone();
    assert!(talk.confirm(&newer, 0).is_confirmed());
    let me = Shows::Certificate(&next, &newer);
    let rr = |shows: Shows<'_>, issuer: &x509::Name, serial: &SerialNumber, entry: Option<&[u8]>| {
        Talk::new(&up, PATH, shows).rr(&write_cert_details(issuer, serial), entry)
    };
    let (issuer, number) = (&own.tbs().issuer, &own.tbs().serial_number);
    let other = &theirs.tbs().serial_number;
    refusals.note(&rr(me, issuer, other, None), "badCertId", "other-certificate");
    refusals.note(&rr(me, &common_name("Another"), number, None), "wrongAuthority", "issuer-unknown");
    refusals.note(&rr(me, &own.tbs().subject, number, None), "wrongAuthority", "issuer-unknown");
    refusals.note(&rr(me, issuer, &SerialNumber::new(&[1, 2, 3]).unwrap(), None), "badCertId", "serial-unknown");
    let by_mac = Shows::Secret { reference: "SN000002", secret: &secrets[1] };
    refusals.note(&rr(by_mac, issuer, other, None), "wrongIntegrity", "client-unproved");
    let reason = |code: u8| {
        let extension = Extension::of(oids::REASON_CODE, false, |w| {
            w.value(tag::ENUMERATED, &[code]);
        });
        let mut w = Writer::default();
        Extension::write_all(&[extension], &mut w);
        w.finish()
    };
    // The authority's key is none of a device's business, and there is no reason 7.
    rr(me, issuer, number, Some(&reason(2))).malformed("badRequest");
    rr(me, issuer, number, Some(&reason(7))).malformed("badRequest");
    // Released is what was on hold, and nothing else.
    refusals.note(&rr(me, issuer, number, Some(&reason(8))), "badCertId", "not-held");
    let hold = write_reason(model::contract::authority::RevocationReason::CertificateHold);
    let mut held = Talk::new(&up, PATH, me);
    let details = write_cert_details(issuer, number);
    assert_eq!(held.rr(&details, Some(&hold)).body, 12);
    let sent = held.sent.clone();
    assert_eq!(rr(me, issuer, number, Some(&reason(8))).said, "no reason given");
    // What put it on hold does not do so again.
    refusals.note(&held.by(me).send(sent), "transactionIdInUse", "replayed");
    assert_eq!(rr(me, issuer, number, Some(&reason(1))).said, "no reason given");
    refusals.note(&rr(me, issuer, number, Some(&reason(8))), "badCertId", "not-held");
    up.down();
    refusals.check(&site);
    let standing: Vec<bool> = site.standing().iter().map(|(_, revoked)| *revoked).collect();
    assert_eq!(standing, [true, false, false]);
    site.b.sound();
}

/// The contents of a SEQUENCE.
fn inside(der: &[u8]) -> &[u8] {
    match der[1] {
        len @ 0..=0x7f => &der[2..2 + usize::from(len)],
        0x81 => &der[3..],
        _ => &der[4..],
    }
}

/// A certificate that says the same as another, by an authority of somebody's own.
fn forged(like: &Certificate) -> (Hand, Certificate) {
    let hand = Hand::new();
    let tbs = like.tbs().clone();
    let tbs = x509::certificate::TbsCertificate { subject_public_key: hand.key.public_key().clone(), ..tbs };
    let octets = tbs.write();
    let mut w = Writer::default();
    w.sequence(|w| {
        w.raw(&octets);
        tbs.signature.write(w);
        w.bit_string(&hand.key.sign(&octets).unwrap());
    });
    (hand, Certificate::decode(&w.finish()).unwrap())
}
