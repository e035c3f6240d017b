//! A client's side of CMP: a secret protects the first request by a MAC, and the certificate that there is signs the next ones.
//! Source: RFC 9810, RFC 9483 §4.1.1, §4.1.3, §4.3.1, RFC 9811.
//!
//! Prevents: what [`super::server`] prevents, also on a line without TLS: what nobody vouches for changes nothing.

use super::pair::{Next, Pair};
use super::roots::Roots;
use super::server::{Certified, Denied, Proof, denied, is_same_name, leading, path_of, unheard};
use super::setting::Setting;
use crate::fault::{Failure, REFUSED, Result};
use crate::keys::Keys;
use adapters::clock::SystemEntropy;
use adapters::http::{Files, Question};
use ports::clock::random;
use ports::{Clock, Signer};
use std::sync::Arc;
use wire::cmp::client::{
    Accepted, Broken, Confirm, Credentials, Declined, Draft, Enrolment, Flaw, Fresh, Offered, Party, Received,
    RootKeyUpdate, Transaction,
};
use wire::cmp::protection::MacKind;
use wire::cmp::{MEDIA_TYPE, MESSAGE_LEN_MAX};
use x509::Certificate;
use x509::crmf::{ProofOfPossession, write_cert_request, write_only};

/// When a server is asked again that has it approved, in seconds.
const APPROVAL_WAIT_S: u64 = 60;

/// A server, and how what is said to it is protected.
struct Line<'a> {
    files: Files,
    signer: Option<Arc<dyn Signer>>,
    clock: &'a dyn Clock,
}

/// Has a key certified.
///
/// # Errors
/// [`Denied`]
pub(super) fn certify(
    setting: &Setting,
    keys: &Keys,
    next: &Next,
    proof: &Proof<'_>,
    roots: &mut Roots,
    clock: &dyn Clock,
) -> std::result::Result<Certified, Denied> {
    let known = roots.believed(clock.now());
    let signer = match proof {
        Proof::Secret(_) => None,
        Proof::Certificate(pair) => Some(keys.open(pair.key())?),
    };
    let line = Line { files: setting.files(None, &known)?, signer, clock };
    let chain = match proof {
        Proof::Secret(_) => Vec::new(),
        Proof::Certificate(pair) => chain(pair)?,
    };
    let credentials = || match (proof, &line.signer) {
        (Proof::Secret(secret), _) => {
            Credentials::Secret { reference: secret.user, secret: &secret.octets, mac: MacKind::Pbmac1 }
        }
        (Proof::Certificate(pair), signer) => Credentials::Key {
            algorithm: signer.as_ref().map_or(pair.leaf().tbs().signature, |signer| signer.algorithm()),
            certificates: &chain,
        },
    };
    // Until it says who it is, the root stands for it; for who has a certificate, whoever issued that.
    let first = chain.get(1).or(known.first());
    let first = first.ok_or_else(|| Failure::usage("enrolment.root has no certificate"))?;
    let asked = Party { credentials: credentials(), authority: first, servers: &[], roots: &known };
    let named = line.authorities(&asked)?;
    roots.follow(|old| line.root_update(&asked, old), || clock.now());
    let roots = roots.believed(clock.now());
    let named = leading(named, &roots, clock.now())?;
    let authority = issuing(&named).unwrap_or(first);
    let party = Party { credentials: credentials(), authority, servers: &[], roots: &[] };
    let request = request(next.key.as_ref(), proof)?;
    let enrolment = match proof {
        Proof::Secret(_) => Enrolment::Ir(&request),
        Proof::Certificate(_) => Enrolment::Kur(&request),
    };
    let leaf = line.enrol(&party, enrolment, |leaf| {
        if let Proof::Certificate(renewed) = proof {
            is_same_name(leaf, renewed.leaf()).map_err(str::to_owned)?;
        }
        path_of(leaf, &named, &roots, clock.now()).map(|_| ())
    })?;
    let above = path_of(&leaf, &named, &roots, clock.now()).map_err(not_taken)?;
    Ok(Certified { leaf, above, renew_after_s: None })
}

// The certificate and those above it, to sign with.
fn chain(pair: &Pair) -> Result<Vec<Certificate>> {
    let above = pair.above().iter().map(|der| Certificate::decode(der));
    let above = above.collect::<std::result::Result<Vec<_>, _>>();
    let above =
        above.map_err(|e| Failure::new("identity", "the certificates of this device cannot be used").because(e))?;
    Ok([pair.leaf().clone()].into_iter().chain(above).collect())
}

// The one that issued none of the others.
fn issuing(named: &[Certificate]) -> Option<&Certificate> {
    let issued =
        |one: &Certificate, other: &Certificate| one != other && other.tbs().issuer.matches(&one.tbs().subject);
    named.iter().find(|one| !named.iter().any(|other| issued(one, other)))
}

// The name of a device is its authority's to know; one that renews repeats its own.
fn request(key: &dyn Signer, proof: &Proof<'_>) -> Result<Vec<u8>> {
    let subject = match proof {
        Proof::Secret(_) => None,
        Proof::Certificate(pair) => Some(&pair.leaf().tbs().subject),
    };
    let cert_request = write_cert_request(0, subject, key.public_key());
    let signature = key.sign(&cert_request);
    let signature = signature.map_err(|e| Failure::new("key", "the new key does not sign").because(e))?;
    Ok(write_only(&cert_request, &ProofOfPossession::Signature { algorithm: key.algorithm(), signature }))
}

fn not_taken(why: String) -> Failure {
    Failure::new(REFUSED, "the certificate that the server sent was not taken")
        .because(why)
        .next("what the device has is kept; tell who runs the server")
}

fn fresh() -> Fresh {
    let entropy = SystemEntropy::default();
    Fresh { sender_nonce: random(&entropy), salt: random(&entropy) }
}

impl Line<'_> {
    /// The certificates of the authority, as it says them.
    fn authorities(&self, party: &Party<'_>) -> std::result::Result<Vec<Certificate>, Denied> {
        let transaction_id = random(&SystemEntropy::default());
        let (transaction, draft) = Transaction::ca_certs(party, transaction_id, &fresh(), self.clock.now());
        match self.exchange("getcacerts", transaction, draft)? {
            Received::General(certificates) => Ok(certificates),
            other => Err(unexpected(&other)),
        }
    }

    /// What follows a root, as the authority says it.
    fn root_update(&self, party: &Party<'_>, old: &Certificate) -> Result<Vec<RootKeyUpdate>> {
        let transaction_id = random(&SystemEntropy::default());
        let (transaction, draft) = Transaction::root_update(party, old, transaction_id, &fresh(), self.clock.now());
        let denied = match self.exchange("getrootupdate", transaction, draft) {
            Ok(Received::RootUpdate(update)) => return Ok(update.into_iter().map(|update| *update).collect()),
            // Not all servers know the question.
            Ok(Received::Refused(_)) => return Ok(Vec::new()),
            Ok(other) => unexpected(&other),
            Err(denied) => denied,
        };
        let Failure { what, .. } = &denied.failure;
        Err(Failure { what: format!("whether a new root follows is not known: {what}"), ..denied.failure })
    }

    /// A certificate, that is taken if `check` says nothing against it.
    fn enrol(
        &self,
        party: &Party<'_>,
        enrolment: Enrolment<'_>,
        check: impl Fn(&Certificate) -> std::result::Result<(), String>,
    ) -> std::result::Result<Certificate, Denied> {
        let transaction_id = random(&SystemEntropy::default());
        let begun =
            Transaction::enrol(party, enrolment, Confirm::Implicitly, transaction_id, &fresh(), self.clock.now());
        let (transaction, draft) =
            begun.map_err(|e| Failure::new("key", "the request cannot be written").because(e))?;
        let operation = if matches!(enrolment, Enrolment::Kur(_)) { "keyupdate" } else { "initialization" };
        let (declined, why) = match self.exchange(operation, transaction, draft)? {
            Received::Offered(offered) => match check(offered.certificate()) {
                Ok(()) => return self.take(operation, offered),
                Err(why) => (offered.decline(&fresh(), self.clock.now()), why),
            },
            Received::Flawed(flaw, pending) => {
                let why = match flaw {
                    Flaw::OtherKey => "it is not for the key of this device",
                    Flaw::NotIssued => "the authority did not issue it, or it does not hold now",
                };
                (pending.decline(&fresh(), self.clock.now()), why.to_owned())
            }
            other => return Err(unexpected(&other)),
        };
        if let Declined::Tell(transaction, draft) = declined {
            // It is not taken, whether that is heard or not.
            let _unheard = self.exchange(operation, transaction, draft);
        }
        Err(not_taken(why).into())
    }

    // RFC 9483 §6.1: what follows goes where the first message went.
    fn take(&self, operation: &str, offered: Offered<'_>) -> std::result::Result<Certificate, Denied> {
        match offered.accept(&fresh(), self.clock.now()) {
            Accepted::Done(certificate) => Ok(*certificate),
            Accepted::Tell(transaction, draft) => match self.exchange(operation, transaction, draft)? {
                Received::Confirmed(certificate) => Ok(*certificate),
                other => Err(unexpected(&other)),
            },
        }
    }

    fn exchange<'t>(
        &self,
        operation: &str,
        transaction: Transaction<'t>,
        draft: Draft,
    ) -> std::result::Result<Received<'t>, Denied> {
        let message = draft.finish(|octets| match &self.signer {
            Some(signer) => signer.sign(octets).map_err(|e| e.to_string()),
            None => Err("there is no key".to_owned()),
        });
        let message =
            message.map_err(|why| Failure::new("key", "the key of this device does not sign").because(why))?;
        let question = Question { path: operation, fields: "", sent: Some((MEDIA_TYPE, &message)) };
        let reply =
            self.files.question(&question, u64::try_from(MESSAGE_LEN_MAX).unwrap_or(u64::MAX)).map_err(unheard)?;
        if reply.status != 200 {
            return Err(denied(&reply));
        }
        transaction.receive(&reply.body, self.clock.now()).map_err(|broken| {
            let failure = match &broken {
                Broken::Unproven(_) => Failure::new(REFUSED, "the server refuses, and nobody vouches for it")
                    .next("compare the secret, the user and `url`; who runs the authority learns why: cradle explain, with the identifier"),
                _ => Failure::new(REFUSED, "what the server sent was not taken")
                    .next("what the device has is kept; compare `url` and `root` with what the server's operator says"),
            };
            failure.because(broken).into()
        })
    }
}

fn unexpected(received: &Received<'_>) -> Denied {
    match received {
        Received::Waiting(waiting) => Denied {
            failure: Failure::new("waits", "the request waits for approval")
                .because("the server says so")
                .next("the next run after that time asks again, with the same key"),
            after_s: Some(waiting.check_after_s.max(APPROVAL_WAIT_S)),
        },
        Received::Refused(refusal) => Failure::new(REFUSED, "the server refuses")
            .because(refusal)
            .next("who runs the authority learns why: cradle explain, with the identifier")
            .into(),
        _ => Failure::new(REFUSED, "what the server sent was not taken")
            .because("it is an answer to something else")
            .into(),
    }
}
