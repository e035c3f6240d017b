//! EST over HTTPS. What a client is told of a refusal is always the same, and an identifier; why, the records say.
//! Source: RFC 7030, RFC 8951.
//!
//! Prevents: telling who asks which rule refused it; work for who shows nothing.

use crate::keys::{Made, NotMade};
use crate::km::Km;
use adapters::http::serve::{Answer, BodyLimits, Channel, ClientVerifier, Content, Head, Request, Service, Taking};
use model::contract::enrolment::{CaCertificates, Enrol, Enrolled, EnrolmentKind, ShownSecret, WhichAuthority};
use model::{Base64, EstLabel, Fault, Reason, TransactionId};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use wire::est::{
    BODY_LEN_MAX, CA_CERTS, CERTS_ONLY, CSR_ATTRS, Credentials, Form, KEY_AND_CERTIFICATE, Lines, Operation, Route,
    TRANSFER_ENCODING, Told, certs_only, decode_basic, decode_body, decode_path, key_and_certificate, told,
    write_base64,
};
use x509::Certificate;

/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(20);
/// Longest certificate of a client, in octets.
const CERTIFICATE_LEN_MAX: usize = 16 * 1024;
/// When a client whose request waits for operators asks again, in seconds.
const APPROVAL_RETRY: &str = "60";
/// When a client asks again if km cannot answer, in seconds.
const TROUBLE_RETRY: &str = "30";

/// How answers under a label are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelStyle {
    /// Whether base64 is divided into lines.
    pub lines: Lines,
    /// Whether keys are made here.
    pub keys: ServerKeys,
}

/// Whether keys are made here for who asks for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerKeys {
    /// No: a device makes its own.
    #[default]
    NotOffered,
    /// Yes.
    Made,
}

/// EST.
pub struct Est {
    /// km.
    pub km: Arc<dyn Km>,
    /// How answers are written, by label; others are wrapped.
    pub styles: BTreeMap<EstLabel, LabelStyle>,
    /// The label that is taken where a path has none.
    pub default: Option<EstLabel>,
}

/// Takes any certificate that is one: TLS has it proved that the client has its key, and km decides what it is worth.
pub(crate) struct AnyCertificate;

impl ClientVerifier for AnyCertificate {
    fn is_believed(&self, leaf: &[u8], _others: &[&[u8]]) -> bool {
        leaf.len() <= CERTIFICATE_LEN_MAX && Certificate::decode(leaf).is_ok()
    }
}

impl Service for Est {
    fn limits(&self, head: &Head) -> BodyLimits {
        match decode_path(head.path()) {
            Ok(route) if head.method() == "POST" && route.operation.method() == "POST" => BodyLimits {
                len_max: u64::try_from(BODY_LEN_MAX).unwrap_or(u64::MAX),
                within: REQUEST_WITHIN,
                taking: Taking::Whole,
            },
            _ => BodyLimits::NONE,
        }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let Ok(route) = decode_path(request.head.path()) else { return Answer::text(404, "There is no such path.") };
        if request.head.method() != route.operation.method() {
            return Answer::text(405, "Another method is used for this.").with("allow", route.operation.method());
        }
        match route.operation {
            Operation::CaCerts => self.ca_certs(route),
            Operation::CsrAttrs => self.csr_attrs(route),
            Operation::SimpleEnroll => self.enrol(EnrolmentKind::New, route, request),
            Operation::SimpleReenroll => self.enrol(EnrolmentKind::Renewal, route, request),
            Operation::ServerKeyGen if self.style(route.label.as_ref()).keys == ServerKeys::Made => {
                self.make_key(route, request)
            }
            Operation::ServerKeyGen => Answer::text(404, "No keys are made here."),
        }
    }
}

impl Est {
    fn style(&self, label: Option<&EstLabel>) -> LabelStyle {
        let style = label.or(self.default.as_ref()).and_then(|label| self.styles.get(label));
        style.copied().unwrap_or_default()
    }

    fn written(&self, label: Option<&EstLabel>, media_type: &str, der: &[u8]) -> Answer {
        let text = write_base64(der, self.style(label).lines);
        Answer::new(200, media_type, Content::Octets(text.into_bytes()))
            .with("content-transfer-encoding", TRANSFER_ENCODING)
            .with("cache-control", "no-store")
    }

    fn ca_certs(&self, Route { label, .. }: Route) -> Answer {
        match self.km.ca_certificates(&CaCertificates { of: WhichAuthority::Label(label.clone()) }) {
            Ok(shown) => {
                let all: Vec<&[u8]> = shown.chain.iter().chain(&shown.links).map(AsRef::as_ref).collect();
                self.written(label.as_ref(), CA_CERTS, &certs_only(&all))
            }
            Err(fault) => untold(&fault),
        }
    }

    fn csr_attrs(&self, Route { label, .. }: Route) -> Answer {
        match self.km.ca_certificates(&CaCertificates { of: WhichAuthority::Label(label.clone()) }) {
            Ok(shown) => match shown.attributes {
                Some(attributes) => self.written(label.as_ref(), CSR_ATTRS, attributes.as_ref()),
                // RFC 7030 §4.5.2
                None => Answer::empty(204),
            },
            Err(fault) => untold(&fault),
        }
    }

    fn enrol(&self, kind: EnrolmentKind, Route { label, .. }: Route, request: &mut Request) -> Answer {
        let (der, shown) = match asked(request) {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        match self.certify(kind, label.as_ref(), der, shown) {
            // RFC 7030 §4.2.3: the certificate that was issued, and no other.
            Ok((certificate, renewal)) => {
                let answer = self.written(label.as_ref(), CERTS_ONLY, &certs_only(&[certificate.as_ref()]));
                renewed_after(answer, renewal)
            }
            Err(answer) => answer,
        }
    }

    /// Makes a key, has it certified, and gives both away; nobody has the key afterwards but who asked. The same request again asks for
    /// another key, which km refuses: so a key is given once.
    fn make_key(&self, Route { label, .. }: Route, request: &mut Request) -> Answer {
        let (der, shown) = match asked(request) {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let made = match Made::instead_of(&der, shown.certificate.as_ref().filter(|_| shown.secret.is_none())) {
            Ok(made) => made,
            Err(NotMade::Malformed) => return Answer::text(400, "The request is not well formed."),
            Err(NotMade::Encryption) => return Answer::text(400, "Keys are not encrypted again inside of TLS here."),
            Err(NotMade::Type) => {
                return Answer::text(400, "Keys of this type are not made here; ask with one of P-256.");
            }
            Err(NotMade::Trouble) => return untold(&Fault::unavailable("no key could be made")),
        };
        match self.certify(made.kind, label.as_ref(), made.request, shown) {
            Ok((certificate, renewal)) => {
                let lines = self.style(label.as_ref()).lines;
                let both = key_and_certificate(&made.key, &certs_only(&[certificate.as_ref()]), lines);
                let answer =
                    Answer::new(200, KEY_AND_CERTIFICATE, Content::Secret(both)).with("cache-control", "no-store");
                renewed_after(answer, renewal)
            }
            Err(answer) => answer,
        }
    }

    /// A certificate, and in how many seconds it is to be renewed.
    fn certify(
        &self,
        kind: EnrolmentKind,
        label: Option<&EstLabel>,
        request: Vec<u8>,
        Shown { certificate, secret, channel }: Shown,
    ) -> Result<(Base64, Option<u64>), Answer> {
        let call = Enrol { kind, label: label.cloned(), request: request.into(), certificate, secret, channel };
        match self.km.enrol(&call) {
            Ok(Enrolled { outcome: Ok(certificate), renew_after_s, .. }) => Ok((certificate, renew_after_s)),
            Ok(Enrolled { transaction_id, outcome: Err(fault), .. }) => Err(refused(&fault, transaction_id)),
            Err(fault) => Err(untold(&fault)),
        }
    }
}

/// EST has no word for when to come again; this one is taken where approval is waited for, and clients that do not know it here do
/// not mind.
fn renewed_after(answer: Answer, seconds: Option<u64>) -> Answer {
    match seconds {
        Some(seconds) => answer.with("retry-after", &seconds.to_string()),
        None => answer,
    }
}

/// What a client shows of itself.
struct Shown {
    certificate: Option<Base64>,
    secret: Option<ShownSecret>,
    channel: Option<Base64>,
}

/// The request for a certificate, in DER, and what its sender shows. Nothing is asked of km for who shows nothing.
fn asked(request: &mut Request) -> Result<(Vec<u8>, Shown), Answer> {
    let peer = request.head.peer();
    let certificate = peer.certificate.as_deref().map(|der| Base64::from(der.to_vec()));
    let channel = match peer.channel {
        Channel::Exporter(octets) => Some(Base64::from(octets.to_vec())),
        Channel::Nameless => None,
    };
    let said = request.head.field("authorization");
    let secret = said.and_then(decode_basic);
    // RFC 7030 §3.2.3
    if (certificate.is_none() && secret.is_none()) || (said.is_some() && secret.is_none()) {
        let answer = Answer::text(401, "Show a certificate in TLS, or a one-time secret.");
        return Err(answer.with("www-authenticate", "Basic realm=\"est\", charset=\"UTF-8\""));
    }
    let mut body = Vec::new();
    if request.body.read_to_end(&mut body).is_err() {
        return Err(Answer::text(400, "The request did not come."));
    }
    let Ok((der, form)) = decode_body(&body) else {
        return Err(Answer::text(400, "The body is no PKCS #10 request in base64."));
    };
    if form != Form::Base64 {
        tracing::info!(?form, "a client sent its request in another form than base64");
    }
    let secret = secret.map(|Credentials { user, secret }| ShownSecret { user, digest: secret });
    Ok((der, Shown { certificate, secret, channel }))
}

/// What a client is told that is not let in: always the same, but for what it can mend or wait for.
fn refused(fault: &Fault, transaction: TransactionId) -> Answer {
    let said = |status: u16, what: &str| Answer::text(status, &format!("{what} Identifier: {transaction}"));
    let answer = match told(fault) {
        Told::Wait => {
            said(202, "It waits for approval; send the same request again.").with("retry-after", APPROVAL_RETRY)
        }
        Told::Slower => said(429, "Too many requests.").with("retry-after", TROUBLE_RETRY),
        Told::Nowhere => said(404, "There is no such path."),
        Told::Refused => said(403, "Refused."),
        Told::Malformed => said(400, "The request is not well formed."),
        Told::Trouble => said(503, "It cannot be answered now.").with("retry-after", TROUBLE_RETRY),
    };
    answer.with("cache-control", "no-store")
}

/// What anybody is told if km does not answer.
pub(crate) fn untold(fault: &Fault) -> Answer {
    let is_nowhere = matches!(fault, Fault::Refused(Reason::IssuerUnknown | Reason::ProfileUnknown));
    match told(fault) {
        Told::Nowhere | Told::Malformed => Answer::text(404, "There is no such path."),
        _ if is_nowhere => Answer::text(404, "There is no such path."),
        Told::Wait | Told::Slower | Told::Refused | Told::Trouble => {
            tracing::warn!(%fault, "km did not answer");
            Answer::text(503, "It cannot be answered now.").with("retry-after", TROUBLE_RETRY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::UnixTime;

    /// The status, and in how many seconds the client is told to come again.
    #[track_caller]
    fn check(answer: &Answer, status: u16, again: Option<&str>) {
        assert_eq!((answer.status(), answer.field("retry-after")), (status, again));
    }
    fn no(fault: impl Into<Fault>) -> Answer {
        refused(&fault.into(), TransactionId::at(UnixTime::from_s(1), [7; 10]))
    }
    fn had(renewal: Option<u64>) -> Answer {
        renewed_after(Answer::empty(200), renewal)
    }

    #[rustfmt::skip]
    mod cases {
        use super::*;
        #[test] fn who_waits_for_operators_comes_in_a_minute()   { check(&no(Reason::AwaitingApproval), 202, Some("60")); }
        #[test] fn who_asks_too_often_comes_in_half_a_minute()   { check(&no(Reason::RateExceeded), 429, Some("30")); }
        #[test] fn what_is_our_trouble_passes()                  { check(&no(Fault::unavailable("km")), 503, Some("30")); }
        #[test] fn that_km_does_not_answer_passes()              { check(&untold(&Fault::unavailable("km")), 503, Some("30")); }
        #[test] fn who_is_refused_is_refused_again()             { check(&no(Reason::GrantSpent), 403, None); }
        #[test] fn what_is_not_there_will_not_be()               { check(&no(Reason::LabelUnknown), 404, None); }
        #[test] fn a_certificate_says_when_it_is_to_be_renewed() { check(&had(Some(648_000)), 200, Some("648000")); }
        #[test] fn one_that_has_no_time_says_nothing()           { check(&had(None), 200, None); }
    }
}
