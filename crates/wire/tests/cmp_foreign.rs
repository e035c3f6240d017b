//! Messages by OpenSSL are read, written the same, and believed; changed ones are not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use model::contract::authority::RevocationReason;
use wire::cmp::body::{Body, CertOrEncCert};
use wire::cmp::status::PkiStatus;
use wire::cmp::{Message, ProtectionAlgorithm, Pvno, template};
use x509::{Certificate, Writer, signature};

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rfc9810/openssl-3.0")
}
fn golden(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.der"))).unwrap()
}
fn certificate(name: &str) -> Certificate {
    Certificate::decode(&golden(&format!("{name}-certificate"))).unwrap()
}

const SECRET: &[u8] = b"shared";

/// Whether the protection of a message holds, by the secret or by whichever of the certificates.
fn holds(message: &Message<'_>) -> bool {
    let (Some(algorithm), Some(protection)) = (message.header.protection_alg, message.protection) else { return false };
    let part = message.protected_part();
    match ProtectionAlgorithm::read(algorithm) {
        Some(ProtectionAlgorithm::Mac(mac)) => mac.verify(SECRET, &part, protection),
        Some(ProtectionAlgorithm::Signature(algorithm)) => {
            let found = message.extra_certs.iter().find_map(|der| Certificate::decode(der).ok());
            found.is_some_and(|c| signature::verify(&c.tbs().subject_public_key, algorithm, &part, protection).is_ok())
        }
        None => false,
    }
}

#[test]
fn every_message_is_written_as_it_was_read() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with("-certificate.der") {
            continue;
        }
        let octets = std::fs::read(&path).unwrap();
        let message = Message::decode(&octets).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(message.encode(), octets, "{}", path.display());
        assert_eq!(message.header.pvno, Pvno::V2);
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

#[track_caller]
fn check(name: &str, number: u8) {
    let octets = golden(name);
    let message = Message::decode(&octets).unwrap();
    assert_eq!(message.body.number(), number);
    assert!(holds(&message), "the protection does not hold");
    // Any other octet of header or body breaks it, or the message.
    let part = message.protected_part().len();
    for at in 4..part {
        let mut changed = octets.clone();
        changed[at] ^= 1;
        let Ok(changed) = Message::decode(&changed) else { continue };
        assert!(!holds(&changed), "octet {at} may be changed");
    }
}

#[test]
fn ir_and_ip_by_hmac_sha256_and_sha1() {
    check("ir-mac-request-1", 0);
    check("ir-mac-response-1", 1);
}
#[test]
fn ir_by_hmac_sha1() {
    check("ir-mac-sha1-request-1", 0);
}
#[test]
fn cert_conf_and_pki_conf() {
    check("ir-mac-request-2", 24);
    check("ir-mac-response-2", 19);
}
#[test]
fn cr_and_cp_by_ecdsa() {
    check("cr-signature-request-1", 2);
    check("cr-signature-response-1", 3);
}
#[test]
fn cr_by_rsa() {
    check("cr-rsa-request-1", 2);
}
#[test]
fn kur_and_kup() {
    check("kur-request-1", 7);
    check("kur-response-1", 8);
}
#[test]
fn p10cr() {
    check("p10cr-request-1", 4);
}
#[test]
fn rr_and_rp() {
    check("rr-request-1", 11);
    check("rr-response-1", 12);
}
#[test]
fn genm_and_genp() {
    check("genm-request-1", 21);
    check("genm-response-1", 22);
}
#[test]
fn error() {
    check("error-response-1", 23);
}
#[test]
fn poll_req_and_poll_rep() {
    check("polled-request-2", 25);
}
#[test]
fn an_unprotected_error_says_so() {
    let octets = golden("error-unprotected-response-1");
    let message = Message::decode(&octets).unwrap();
    assert_eq!((message.header.protection_alg, message.protection), (None, None));
}

#[test]
fn an_answer_carries_the_certificate() {
    let octets = golden("cr-signature-response-1");
    let Body::Cp(answer) = Message::decode(&octets).unwrap().body else { panic!("not cp") };
    let [response] = answer.response.as_slice() else { panic!("not one") };
    assert_eq!((response.cert_req_id, response.status.status), (0, PkiStatus::Accepted));
    let pair = response.certified_key_pair.unwrap();
    assert_eq!(pair.certificate, CertOrEncCert::Certificate(certificate("device").der()));
}
#[test]
fn an_answer_to_p10cr_has_the_number_minus_one() {
    let octets = golden("p10cr-response-1");
    let Body::Cp(answer) = Message::decode(&octets).unwrap().body else { panic!("not cp") };
    assert_eq!(answer.response[0].cert_req_id, -1);
}
#[test]
fn an_answer_may_bring_authorities() {
    let octets = golden("ca-pubs-response-1");
    let Body::Ip(answer) = Message::decode(&octets).unwrap().body else { panic!("not ip") };
    assert_eq!(answer.ca_pubs, [certificate("ca").der()]);
}
#[test]
fn implicit_confirm_is_asked_for_and_granted() {
    for (name, expected) in
        [("ir-implicit-request-1", true), ("ir-implicit-response-1", true), ("ir-mac-request-1", false)]
    {
        assert_eq!(Message::decode(&golden(name)).unwrap().header.implicit_confirm(), expected, "{name}");
    }
}
#[test]
fn an_error_is_explained() {
    let octets = golden("error-response-1");
    let Body::Error(error) = Message::decode(&octets).unwrap().body else { panic!("not error") };
    assert_eq!(error.status.explanation(), "badRequest: \"error processing message\"");
    let octets = golden("rejected-response-1");
    let Body::Cp(answer) = Message::decode(&octets).unwrap().body else { panic!("not cp") };
    assert_eq!(answer.response[0].status.explanation(), "badAlg: \"unknown algorithm\"");
}
#[test]
fn a_revocation_names_a_certificate_as_we_write_it() {
    let octets = golden("rr-request-1");
    let Body::Rr(details) = Message::decode(&octets).unwrap().body else { panic!("not rr") };
    let device = certificate("device");
    let (issuer, serial) = template::certificate_of(details[0].cert_details).unwrap();
    assert_eq!((issuer.der(), serial), (device.tbs().issuer.der(), device.tbs().serial_number));
    assert_eq!(template::write_cert_details(&issuer, &serial), details[0].cert_details);
    assert_eq!(template::reason_of(details[0].crl_entry_details), Some(RevocationReason::KeyCompromise));
    let written = template::write_reason(RevocationReason::KeyCompromise);
    assert_eq!(Some(written.as_slice()), details[0].crl_entry_details);
    let octets = golden("rr-no-reason-request-1");
    let Body::Rr(details) = Message::decode(&octets).unwrap().body else { panic!("not rr") };
    assert_eq!(template::reason_of(details[0].crl_entry_details), Some(RevocationReason::Unspecified));
}
#[test]
fn a_request_is_written_as_openssl_writes_it() {
    let octets = golden("cr-signature-request-1");
    let Body::Cr(messages) = Message::decode(&octets).unwrap().body else { panic!("not cr") };
    let read = x509::CertReqMsg::decode_only(messages).unwrap();
    let asked = &read.cert_template;
    assert!(!asked.extensions.is_empty(), "the test has nothing to show");
    let written = template::write_cert_request(
        read.cert_req_id,
        &template::Template {
            issuer: Some(&certificate("ca").tbs().subject),
            subject: asked.subject.as_ref(),
            public_key: &asked.public_key,
            extensions: &asked.extensions,
        },
    );
    assert_eq!(written, read.cert_request);
}

// What nobody sends: one change each to a message that is well formed otherwise.
#[track_caller]
fn refused(f: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let octets = golden("rr-no-reason-request-1");
    assert!(Message::decode(&octets).is_ok());
    assert!(Message::decode(&f(octets)).is_err());
}
fn rewrapped(octets: &[u8], f: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let message = Message::decode(octets).unwrap();
    let part = message.protected_part();
    let mut w = Writer::default();
    w.sequence(|w| {
        w.raw(&part[part.len() - contents_len(&part)..]);
        f(w);
    });
    w.finish()
}
fn contents_len(der: &[u8]) -> usize {
    match der[1] {
        0x82 => usize::from(der[2]) << 8 | usize::from(der[3]),
        0x81 => usize::from(der[2]),
        short => usize::from(short),
    }
}

#[test]
fn octets_that_follow_are_refused() {
    refused(|mut octets| {
        octets.push(0);
        octets
    });
}
#[test]
fn a_field_that_follows_is_refused() {
    refused(|octets| {
        rewrapped(&octets, |w| {
            w.explicit(2, |w| {
                w.small(1);
            });
        })
    });
}
#[test]
fn no_extra_certs_at_all_are_not_an_empty_list() {
    refused(|octets| {
        rewrapped(&octets, |w| {
            w.explicit(1, |w| {
                w.sequence(|_| {});
            });
        })
    });
}
#[test]
fn seventeen_extra_certs_are_refused_and_sixteen_read() {
    let octets = golden("rr-no-reason-request-1");
    let with = |n: usize| {
        rewrapped(&octets, |w| {
            w.explicit(1, |w| {
                w.sequence(|w| {
                    for _ in 0..n {
                        w.raw(certificate("ca").der());
                    }
                });
            });
        })
    };
    assert!(Message::decode(&with(16)).is_ok());
    assert!(Message::decode(&with(17)).is_err());
}
#[test]
fn protection_that_is_not_whole_octets_is_refused() {
    refused(|octets| {
        rewrapped(&octets, |w| {
            w.explicit(0, |w| {
                w.value(3, &[1, 0x80]);
            });
        })
    });
}
#[track_caller]
fn version(number: u8, taken: bool) {
    let mut octets = golden("rr-no-reason-request-1");
    let at = octets.windows(3).position(|w| w == [2, 1, 2]).unwrap() + 2;
    octets[at] = number;
    assert_eq!(Message::decode(&octets).is_ok(), taken, "{number}");
}
#[test]
fn versions_2_and_3_are_read_and_1_and_4_not() {
    version(1, false);
    version(2, true);
    version(3, true);
    version(4, false);
}
#[test]
fn a_message_that_is_too_long_is_refused() {
    let part = |len: usize| {
        let octets = golden("rr-no-reason-request-1");
        let read = Message::decode(&octets).unwrap();
        let content = vec![0; len];
        let mut value = Writer::default();
        value.octet_string(&content);
        let content = value.finish();
        let body = Body::Other { number: 15, content: &content };
        wire::cmp::message::finish(&wire::cmp::message::protected_part(&read.header, &body), None, &[])
    };
    let room = wire::cmp::MESSAGE_LEN_MAX - 300;
    assert!(Message::decode(&part(room)).is_ok());
    assert!(Message::decode(&part(room + 300)).is_err());
}
#[test]
fn a_body_that_is_not_ours_is_carried_and_one_that_is_nobodys_refused() {
    let octets = golden("rr-no-reason-request-1");
    let read = Message::decode(&octets).unwrap();
    for (number, taken) in [(5, true), (18, true), (27, false)] {
        let body = Body::Other { number, content: &[5, 0] };
        let written = wire::cmp::message::finish(&wire::cmp::message::protected_part(&read.header, &body), None, &[]);
        assert_eq!(Message::decode(&written).map(|m| m.body).ok(), taken.then_some(body));
    }
}
