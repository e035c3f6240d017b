//! One message after the other: identifiers, nonces and confirmations count once, and in their turn.

use crate::hand::{AS_IT_IS, Hand, Shows, Talk};
use crate::site::Site;
use wire::cmp::Body;
use wire::cmp::body::CertStatus;
use wire::cmp::status::FailureInfo;
use wire::cmp::{PkiStatus, StatusInfo};
use x509::sha256;

const PATH: &str = "/.well-known/cmp";
const EXPLICIT: &str = "/.well-known/cmp/p/explicit";

#[test]
fn a_message_counts_once_and_an_identifier_too() {
    let site = Site::new("cmp-replay");
    let secret = site.secret("SN000001");
    let (one, two) = (Hand::new(), Hand::new());
    let by = Shows::Secret { reference: "SN000001", secret: &secret };
    let up = site.up();
    let mut talk = Talk::new(&up, PATH, by);
    let certificate = talk.ir(&one).taken().clone();
    let sent = talk.sent.clone();
    // Octet for octet, while it waits for its confirmation, and behind that.
    let replayed = talk.by(by).send(sent.clone()).refused("transactionIdInUse");
    let other = talk.by(by).say(&Body::Ir(&two.request()), &|header| header.recip_nonce = None);
    let other = other.refused("transactionIdInUse");
    assert!(talk.confirm(&certificate, 0).is_confirmed());
    let confirmed = talk.sent.clone();
    let twice = talk.by(by).send(confirmed).refused("certConfirmed");
    let again = talk.by(by).send(sent).refused("transactionIdInUse");
    // A new transaction for the same key has the same certificate: the answer may have been lost.
    let mut next = Talk::new(&up, PATH, by);
    assert_eq!(next.ir(&one).taken(), &certificate);
    assert!(next.confirm(&certificate, 0).is_confirmed());
    up.down();
    site.why(&replayed, "replayed");
    site.why(&other, "transaction-conflict");
    site.why(&twice, "already-confirmed");
    site.why(&again, "replayed");
    assert_eq!(site.standing().len(), 1);
    assert!(!site.standing()[0].1);
    site.b.sound();
}

#[test]
fn nobody_confirms_or_polls_for_another() {
    let site = Site::new("cmp-another");
    let (secret, other) = (site.secret("SN000001"), site.secret("SN000002"));
    let hand = Hand::new();
    let up = site.up();
    let mut talk = Talk::new(&up, PATH, Shows::Secret { reference: "SN000001", secret: &secret });
    let certificate = talk.ir(&hand).taken().clone();
    let theirs = Shows::Secret { reference: "SN000002", secret: &other };
    let confirmed = talk.by(theirs).confirm(&certificate, 0).refused("badCertId");
    let declined = talk.by(theirs).say(&Body::CertConf(Vec::new()), AS_IT_IS).refused("badCertId");
    let polled = talk.by(theirs).poll(0).refused("badCertId");
    // Nor with the certificate itself, before it is confirmed with what it was asked with.
    let own = Shows::Certificate(&hand, &certificate);
    let early = talk.by(own).confirm(&certificate, 0).refused("badCertId");
    // Under another label it is another transaction.
    let mut elsewhere = Talk::new(&up, EXPLICIT, Shows::Secret { reference: "SN000001", secret: &secret });
    (elsewhere.id, elsewhere.last) = (talk.id, talk.last.clone());
    let elsewhere = elsewhere.confirm(&certificate, 0).refused("badCertId");
    assert!(talk.confirm(&certificate, 0).is_confirmed());
    up.down();
    for identifier in [confirmed, declined, polled, early, elsewhere] {
        site.why(&identifier, "transaction-unknown");
    }
    assert!(!site.standing()[0].1);
}

#[test]
fn a_certificate_that_is_declined_or_confirmed_as_another_is_revoked() {
    let site = Site::new("cmp-declined");
    let secret = site.secret("SN000001");
    let hands = [Hand::new(), Hand::new(), Hand::new(), Hand::new()];
    let by = Shows::Secret { reference: "SN000001", secret: &secret };
    let up = site.up();
    let begun = |hand: &Hand| {
        let mut talk = Talk::new(&up, PATH, by);
        let certificate = talk.ir(hand).taken().clone();
        (talk, certificate)
    };
    // Another certificate: whoever took it has none.
    let (mut talk, certificate) = begun(&hands[0]);
    let wrong = talk.confirm_hash(sha256(b"another").octets(), 0).refused("badCertId");
    let behind = talk.confirm(&certificate, 0).refused("notAuthorized");
    // Declined by a status, and by an empty list.
    let (mut talk, certificate) = begun(&hands[1]);
    let no =
        StatusInfo { status: PkiStatus::Rejection, status_string: None, fail_info: Some(FailureInfo::INCORRECT_DATA) };
    let hash = sha256(certificate.der());
    let status = CertStatus { cert_hash: hash.octets(), cert_req_id: 0, status_info: Some(no), hash_alg: None };
    assert!(talk.say(&Body::CertConf(vec![status]), AS_IT_IS).is_confirmed());
    let (mut talk, _) = begun(&hands[2]);
    assert!(talk.say(&Body::CertConf(Vec::new()), AS_IT_IS).is_confirmed());
    // Each gave the secret back. What does not repeat our nonce changes nothing.
    let (mut talk, certificate) = begun(&hands[3]);
    let last = talk.last.replace(vec![7; 16]);
    talk.confirm(&certificate, 0).malformed("badRecipientNonce");
    talk.last = last;
    assert!(talk.confirm(&certificate, 0).is_confirmed());
    up.down();
    site.why(&wrong, "confirmation-wrong");
    site.why(&behind, "transaction-closed");
    let revoked: Vec<bool> = site.standing().iter().map(|(_, revoked)| *revoked).collect();
    assert_eq!(revoked, [true, true, true, false]);
    site.b.sound();
}

#[test]
fn what_nobody_confirms_in_time_is_revoked() {
    let site = Site::new("cmp-late");
    let (secret, second) = (site.secret("SN000001"), site.secret("SN000002"));
    let (hand, other) = (Hand::new(), Hand::new());
    let up = site.up();
    let mut talk = Talk::new(&up, EXPLICIT, Shows::Secret { reference: "SN000001", secret: &secret });
    // Asked for without a confirmation, which this label does not grant.
    let certificate = talk.ir_implicitly(&hand).taken().clone();
    let mut dead = Talk::new(&up, EXPLICIT, Shows::Secret { reference: "SN000002", secret: &second });
    let forgotten = dead.ir(&other).taken().clone();
    wait(3);
    let late = talk.confirm(&certificate, 0).refused("notAuthorized");
    let lists = crate::common::foreign(
        &site.b.dir,
        "curl",
        &["-sS", "-o", "list", &format!("http://{}/crl/factory.crl", up.address("http"))],
    );
    up.down();
    assert_eq!(lists, "");
    let list =
        crate::common::foreign(&site.b.dir, "openssl", &["crl", "-inform", "DER", "-in", "list", "-noout", "-text"]);
    let number = forgotten.tbs().serial_number.to_string().to_uppercase();
    assert!(list.contains(&number), "{number}: {list}");
    site.why(&late, "transaction-closed");
    assert_eq!(site.standing().iter().filter(|(_, revoked)| *revoked).count(), 2);
    site.b.sound();
}

#[test]
fn what_a_box_that_went_down_left_unconfirmed_is_revoked_when_it_is_up_again() {
    let site = Site::new("cmp-down");
    let secret = site.secret("SN000001");
    let hand = Hand::new();
    let up = site.up();
    let mut talk = Talk::new(&up, EXPLICIT, Shows::Secret { reference: "SN000001", secret: &secret });
    talk.ir(&hand).taken();
    up.down();
    wait(3);
    assert!(site.standing().iter().all(|(_, revoked)| !revoked));
    site.up().down();
    assert_eq!(site.standing().iter().map(|(_, revoked)| *revoked).collect::<Vec<_>>(), [true]);
}

/// Lets the clock of the box go on.
fn wait(s: u64) {
    #[expect(clippy::disallowed_methods, reason = "the box under test has a clock of its own")]
    std::thread::sleep(std::time::Duration::from_secs(s));
}
