//! SCEP over HTTP and HTTPS. What clients send is encrypted for a key of the gateway's own, which opens it, sees whose signature is around it,
//! and tells km what was in it. What km says is encrypted for whoever signed, and signed with the same key.
//! Source: RFC 8894.
//!
//! Prevents: work for what is of no type that is answered; an answer that tells how an envelope did not open; a key of km's that opens
//! what strangers send.

mod inside;
mod place;

use crate::est::untold;
use crate::identity::certified_for_scep;
use crate::km::Km;
use adapters::http::serve::{Answer, BodyLimits, Content, Head, Request, Service, Taking};
use adapters::keystore::FileKeystore;
use adapters::keystore::transport::encrypt_content_key;
use inside::{Inside, Sealing};
use model::contract::scep::{AnswerScep, ScepAnswered};
use model::{EstLabel, Fault, TransactionId};
use place::{Desk, Identity, Place};
use ports::clock::random;
use ports::{Clock, Entropy, Signer};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use wire::est::certs_only;
use wire::scep::{
    BadPath, CA_RA_CERT, CAPABILITIES, CertRep, Cipher, Envelope, FailInfo, MESSAGE_LEN_MAX, MessageType, Operation,
    Outcome, PKI_MESSAGE, PkiMessage, Signing, Told, Transport, Unverified, crl_only, decode_message, decode_path,
    decode_query, told, write_envelope,
};
use x509::Certificate;
use zeroize::Zeroizing;

/// How long a client may take to send its message.
const MESSAGE_WITHIN: Duration = Duration::from_secs(20);
/// When a client asks again if it asked too often, or km does not answer, in seconds.
const RETRY: &str = "30";
/// SCEP.
pub struct Scep {
    km: Arc<dyn Km>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keystore: Arc<FileKeystore>,
    sealing: Sealing,
    labels: BTreeMap<EstLabel, Place>,
}

/// SCEP beside what else is answered at an address.
pub struct WithScep {
    /// SCEP.
    pub scep: Arc<Scep>,
    /// What has all other paths.
    pub other: Arc<dyn Service>,
}

fn is_scep(head: &Head) -> bool {
    decode_path(head.path()) != Err(BadPath::NotScep)
}

impl Service for WithScep {
    fn limits(&self, head: &Head) -> BodyLimits {
        if is_scep(head) { self.scep.limits(head) } else { self.other.limits(head) }
    }
    fn answer(&self, request: &mut Request) -> Answer {
        if is_scep(&request.head) { self.scep.answer(request) } else { self.other.answer(request) }
    }
}

impl Service for Scep {
    fn limits(&self, head: &Head) -> BodyLimits {
        let operation = decode_query(head.query().unwrap_or_default()).map(|(operation, _)| operation);
        if head.method() == "POST" && decode_path(head.path()).is_ok() && operation == Ok(Operation::PkiOperation) {
            let len_max = u64::try_from(MESSAGE_LEN_MAX).unwrap_or(u64::MAX);
            return BodyLimits { len_max, within: MESSAGE_WITHIN, taking: Taking::Whole };
        }
        BodyLimits::NONE
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let nowhere = || Answer::text(404, "There is no such path.");
        let Ok(label) = decode_path(request.head.path()) else { return nowhere() };
        let Some(place) = self.labels.get(&label) else { return nowhere() };
        let Ok((operation, text)) = decode_query(request.head.query().unwrap_or_default()) else {
            return Answer::text(400, "There is no such operation.");
        };
        let message = match (request.head.method(), operation) {
            ("GET", Operation::GetCaCaps) => {
                return Answer::new(200, "text/plain", Content::Octets(CAPABILITIES.as_bytes().to_vec()));
            }
            ("GET", Operation::GetCaCert) => None,
            ("GET", Operation::PkiOperation) => match decode_message(text.unwrap_or_default()) {
                Some(message) => Some(message),
                None => return Answer::text(400, "The message is no base64."),
            },
            ("POST", Operation::PkiOperation) => {
                let mut message = Vec::new();
                if request.body.read_to_end(&mut message).is_err() {
                    return Answer::text(400, "The message did not come.");
                }
                Some(message)
            }
            (_, Operation::PkiOperation) => return not_so("GET, POST"),
            (_, Operation::GetCaCaps | Operation::GetCaCert) => return not_so("GET"),
        };
        let certified = |key| certified_for_scep(self.km.as_ref(), &label, key);
        let desk = Desk { certified: &certified, keystore: &self.keystore, label: &label, now: self.clock.now() };
        let held = match place.identities(&desk) {
            Ok(held) => held,
            Err(fault) => return untold(&fault),
        };
        let Some(newest) = held.first() else { return untold(&Fault::unavailable("the gateway has no certificate")) };
        match message {
            None => {
                let chain: Vec<&[u8]> = newest.chain.iter().map(Vec::as_slice).collect();
                Answer::new(200, CA_RA_CERT, Content::Octets(certs_only(&chain))).with("cache-control", "no-store")
            }
            Some(octets) => self.operate(label, &held, &octets),
        }
    }
}

fn not_so(allowed: &str) -> Answer {
    Answer::text(405, "Another method is used for this.").with("allow", allowed)
}

/// Why nothing is asked of km, and what the client is told.
type No = (FailInfo, &'static str);

/// One for whatever is wrong inside of a message: what exactly nobody learns.
const UNOPENED: No = (FailInfo::BadMessageCheck, "The message is not signed or encrypted as it should be.");

/// How a client encrypts, which it can read then, too.
type Ways = (Cipher, Transport);

impl Scep {
    /// SCEP before this km, under these labels. Its keys are in this keystore.
    #[must_use]
    pub fn new(
        km: Arc<dyn Km>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keystore: Arc<FileKeystore>,
        labels: impl IntoIterator<Item = EstLabel>,
    ) -> Self {
        let labels = labels.into_iter().map(|label| (label, Place::default())).collect();
        Self { km, clock, entropy, keystore, sealing: Sealing::default(), labels }
    }

    /// Answers a message. What is refused is answered by one, too; what is our trouble, by HTTP.
    fn operate(&self, label: EstLabel, held: &[Arc<Identity>], octets: &[u8]) -> Answer {
        let Ok(message) = PkiMessage::decode(octets) else {
            return Answer::text(400, "This is no message of SCEP.");
        };
        // Whom the client knows answers.
        let Some(own) = Identity::named(held, message.content()) else {
            return untold(&Fault::unavailable("the gateway has no certificate"));
        };
        let (inside, ways) = match self.opened(own, &message) {
            Ok(opened) => opened,
            Err((fail_info, why)) => {
                return self.reply(own, &message, Outcome::Failure(fail_info, why.to_owned()));
            }
        };
        let is_list = matches!(inside, Inside::Crl { .. });
        let outcome = match self.asked(label, &message, inside) {
            Ok(ScepAnswered { outcome: Ok(der), .. }) => {
                let der = der.as_ref();
                let content = if is_list { crl_only(der) } else { certs_only(&[der]) };
                match self.sealed(&content, &message.signer, ways) {
                    Some(envelope) => Outcome::Success(envelope),
                    None => return untold(&Fault::unavailable("an answer could not be encrypted")),
                }
            }
            Ok(ScepAnswered { transaction_id, outcome: Err(fault) }) => match refused(&fault, transaction_id) {
                Ok(outcome) => outcome,
                Err(answer) => return answer,
            },
            Err(fault) => return untold(&fault),
        };
        self.reply(own, &message, outcome)
    }

    /// What km says of it.
    fn asked(&self, label: EstLabel, message: &PkiMessage, inside: Inside) -> Result<ScepAnswered, Fault> {
        let transaction = message.transaction_id.as_str().to_owned();
        let signer = message.signer.der().to_vec().into();
        let wish = inside.for_km(&self.sealing.key(self.km.as_ref())?, &label, &transaction)?;
        let answered = self.km.answer_scep(&AnswerScep { label, transaction, signer, wish })?;
        if let Err(Fault::Unavailable(_)) = &answered.outcome {
            self.sealing.forget();
        }
        Ok(answered)
    }

    /// What a message asks for, if it is one that is answered, and its signature and its envelope are as they should be.
    fn opened(&self, own: &Identity, message: &PkiMessage) -> Result<(Inside, Ways), No> {
        // Before anything of it is opened or read.
        match message.message_type {
            MessageType::RenewalReq
            | MessageType::PkcsReq
            | MessageType::CertPoll
            | MessageType::GetCert
            | MessageType::GetCrl => {}
            MessageType::Other => {
                return Err((FailInfo::BadRequest, "Messages of this type are not answered."));
            }
        }
        if !message.takes_secrets() {
            return Err((
                FailInfo::BadAlg,
                "Answers are encrypted for keys of RSA only; come over EST with other keys.",
            ));
        }
        let content = message.verify().map_err(|unverified| match unverified {
            Unverified::Algorithm => {
                (FailInfo::BadAlg, "Sign with RSA of 2048 bits or more and SHA-256, SHA-384 or SHA-512.")
            }
            Unverified::Signature => UNOPENED,
        })?;
        let envelope = Envelope::decode(content).map_err(|_| UNOPENED)?;
        let recipient = envelope.recipients.iter().find(|one| own.is_named(&one.id)).ok_or(UNOPENED)?;
        let (Some((cipher, _)), Some(transport)) = (envelope.cipher, recipient.transport) else {
            return Err((FailInfo::BadAlg, "Encrypt with AES in CBC, and its key with RSA."));
        };
        let otherwise = self.content_key(cipher);
        let key = own.transport.content_key(transport, &recipient.encrypted_key, otherwise);
        let content = envelope.open(&key).unwrap_or_default();
        Ok((Inside::read(&message.message_type, content).ok_or(UNOPENED)?, (cipher, transport)))
    }

    fn content_key(&self, cipher: Cipher) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(vec![0; cipher.key_len()]);
        self.entropy.fill(&mut key);
        key
    }

    fn sealed(&self, content: &[u8], to: &Certificate, (cipher, transport): Ways) -> Option<Vec<u8>> {
        let key = self.content_key(cipher);
        let encrypted = encrypt_content_key(&to.tbs().subject_public_key, transport, &key)?;
        write_envelope(content, to, (cipher, &key, random(self.entropy.as_ref())), (transport, &encrypted))
    }

    fn reply(&self, own: &Identity, message: &PkiMessage, outcome: Outcome) -> Answer {
        let answer = CertRep {
            transaction_id: message.transaction_id.clone(),
            recipient_nonce: message.sender_nonce,
            sender_nonce: random(self.entropy.as_ref()),
            outcome,
        };
        let signing: Signing = answer.signing();
        match own.signer.sign(&signing.octets()) {
            Ok(signature) => {
                let octets = signing.finish(&own.certificate, &signature);
                Answer::new(200, PKI_MESSAGE, Content::Octets(octets)).with("cache-control", "no-store")
            }
            Err(_) => untold(&Fault::unavailable("the key that signs answers does not sign")),
        }
    }
}

/// What a client is told that is not let in: always the same, but for what it can mend or wait for.
fn refused(fault: &Fault, transaction: TransactionId) -> Result<Outcome, Answer> {
    let said = |fail_info, what: &str| Outcome::Failure(fail_info, format!("{what} Identifier: {transaction}"));
    match told(fault) {
        Told::Wait => Ok(Outcome::Pending),
        Told::No(fail_info) => Ok(said(fail_info, "Refused.")),
        Told::Slower => Err(Answer::text(429, "Too many requests.").with("retry-after", RETRY)),
        Told::Nowhere => Err(Answer::text(404, "There is no such path.")),
        Told::Trouble => Err(Answer::text(503, "It cannot be answered now.").with("retry-after", RETRY)),
    }
}
