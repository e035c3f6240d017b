//! A client's side of EST: what is asked, and what is believed of the answer.
//! Source: RFC 7030, RFC 8951.
//!
//! Prevents: a certificate that does not lead to a root of the device, is for another key, or for another name than
//! the one that it renews; a secret in the hands of a server that is another one.

use super::pair::Pair;
use super::roots::Roots;
use super::setting::Setting;
use crate::fault::{Failure, REFUSED, Result};
use crate::keys::Keys;
use adapters::http::{Files, NotFetched, Question, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::UnixTime;
use ports::{Clock, Signer};
use wire::cmp::client::RootKeyUpdate;
use x509::path::{Demands, Evidence, validate};
use x509::{Certificate, Name, certs_only, csr, oids};
use zeroize::Zeroizing;

/// Longest answer, in octets: what may be in it, in base64.
const ANSWER_LEN_MAX: u64 = 512 * 1024;
/// Longest text of a server that is passed on, in octets.
const SAID_LEN_MAX: usize = 400;
/// When a server is asked again that has it approved and does not say when, in seconds.
const APPROVAL_WAIT_S: u64 = 60;

/// Why there is no certificate, and after how many seconds the server wants to be asked again.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) failure: Failure,
    pub(crate) after_s: Option<u64>,
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Self { failure, after_s: None }
    }
}

/// A one-time secret, and who shows it.
pub(crate) struct Secret<'a> {
    pub(crate) user: &'a str,
    pub(crate) octets: Zeroizing<Vec<u8>>,
}

/// A server of EST.
pub(crate) struct Server {
    files: Files,
    roots: Vec<Certificate>,
    authorities: Vec<Certificate>,
}

impl Server {
    /// The server, to which a certificate is shown, or nothing; and the authorities that it names and that lead to a root of ours, now. What
    /// it says of a new root is looked at before.
    ///
    /// # Errors
    /// [`Denied`], also if there is no such authority.
    pub(crate) fn ask(
        setting: &Setting,
        keys: &Keys,
        shown: Option<&Pair>,
        roots: &mut Roots,
        clock: &dyn Clock,
    ) -> std::result::Result<Self, Denied> {
        let shown = shown.map(|pair| pair.shown(keys)).transpose()?;
        let files = setting.files(shown.as_ref(), &roots.believed(clock.now()))?;
        let reply = answer(&files, "cacerts", "", None)?;
        // Others may stand beside them, of other labels and of times to come.
        let named: Vec<_> = certificates(&reply.body)?.iter().filter_map(|der| Certificate::decode(der).ok()).collect();
        roots.follow(|old| Ok(RootKeyUpdate::among(&named, old)), || clock.now());
        let roots = roots.believed(clock.now());
        let authorities = leading(named, &roots, clock.now())?;
        Ok(Self { files, roots, authorities })
    }

    /// Asks for a certificate for a key: the first one for a secret, or one in the place of `renewed`.
    ///
    /// # Errors
    /// [`Denied`]
    pub(crate) fn certify(
        &self,
        key: &dyn Signer,
        proof: &Proof<'_>,
        clock: &dyn Clock,
    ) -> std::result::Result<Certified, Denied> {
        let (operation, fields) = match proof {
            Proof::Secret(secret) => ("simpleenroll", authorization(secret)),
            Proof::Certificate(_) => ("simplereenroll", Zeroizing::default()),
        };
        let request = request(key, proof)?;
        let reply = answer(&self.files, operation, &fields, Some(&request))?;
        let sent = certificates(&reply.body)?;
        let sent: Vec<_> = sent.iter().filter_map(|der| Certificate::decode(der).ok()).collect();
        let not = |why: String| {
            let next = "what the device has is kept; tell who runs the server";
            Failure::new(REFUSED, "the certificate that the server sent was not taken").because(why).next(next)
        };
        let mine = sent.iter().find(|one| one.tbs().subject_public_key == *key.public_key());
        let leaf = mine.ok_or_else(|| not("it is not for the key of this device".into()))?;
        if let Proof::Certificate(renewed) = proof {
            is_same_name(leaf, renewed.leaf()).map_err(|why| not(why.to_owned()))?;
        }
        // The time of the answer, not of the question: it may begin in between.
        let above = path_of(leaf, &self.authorities, &self.roots, clock.now()).map_err(not)?;
        Ok(Certified { leaf: leaf.clone(), above, renew_after_s: reply.retry_after_s })
    }
}

fn answer(files: &Files, path: &str, fields: &str, request: Option<&str>) -> std::result::Result<Reply, Denied> {
    // RFC 8951 §3.1: it says nothing, and some look for it.
    let fields = match request {
        Some(_) => Zeroizing::new(format!("Content-Transfer-Encoding: base64\r\n{fields}")),
        None => Zeroizing::new(fields.to_owned()),
    };
    let sent = request.map(|request| ("application/pkcs10", request.as_bytes()));
    let question = Question { path, fields: &fields, sent };
    let reply = files.question(&question, ANSWER_LEN_MAX).map_err(unheard)?;
    if reply.status == 200 { Ok(reply) } else { Err(denied(&reply)) }
}

/// A certificate that was taken.
pub(crate) struct Certified {
    pub(crate) leaf: Certificate,
    /// Those between it and its root, in their order.
    pub(crate) above: Vec<Vec<u8>>,
    /// In how many seconds the server wants it to be renewed, if it has said so.
    pub(crate) renew_after_s: Option<u64>,
}

/// By what a device is believed.
pub(crate) enum Proof<'a> {
    /// A secret that somebody gave it.
    Secret(Secret<'a>),
    /// The certificate that it has, whose key TLS has it prove.
    Certificate(&'a Pair),
}

/// RFC 7617 §2.
fn authorization(secret: &Secret<'_>) -> Zeroizing<String> {
    let credentials = Zeroizing::new([secret.user.as_bytes(), b":", &secret.octets].concat());
    let encoded = Zeroizing::new(STANDARD.encode(credentials.as_slice()));
    Zeroizing::new(format!("Authorization: Basic {}\r\n", encoded.as_str()))
}

/// A PKCS #10 request in base64. The name of a device is its authority's to know; RFC 7030 §4.2.2 wants the same one in a renewal.
fn request(key: &dyn Signer, proof: &Proof<'_>) -> Result<String> {
    let (name, names) = match proof {
        Proof::Secret(_) => (Name::write(&[]), None),
        Proof::Certificate(pair) => {
            let tbs = pair.leaf().tbs();
            (tbs.subject.clone(), tbs.extension(oids::SUBJECT_ALT_NAME).cloned())
        }
    };
    let info = csr::write_info(&name, key.public_key(), names.as_slice());
    let signature = key.sign(&info).map_err(|e| Failure::new("key", "the new key does not sign").because(e))?;
    let mut text = STANDARD.encode(csr::write_signed(&info, key.algorithm(), &signature));
    text.push('\n');
    Ok(text)
}

/// Those of the authorities which a server names that lead to a root.
///
/// # Errors
/// If there is none.
pub(super) fn leading(named: Vec<Certificate>, roots: &[Certificate], now: UnixTime) -> Result<Vec<Certificate>> {
    let leads = |one: &Certificate| {
        let evidence = Evidence { leaf: one, pool: &named, anchors: roots, crls: &[] };
        roots.iter().any(|root| root.der() == one.der()) || validate(&evidence, &Demands::default(), now).is_ok()
    };
    let believed: Vec<_> = named.iter().filter(|one| leads(one)).cloned().collect();
    if believed.is_empty() {
        return Err(Failure::new(REFUSED, "the authorities that the server names were not taken")
            .because("none of them leads to the root that came with the device, or to one that followed it")
            .next("nothing was shown to the server; compare `root` with the root of the authority"));
    }
    Ok(believed)
}

/// What is between a certificate and its root; or why it does not lead to one.
pub(super) fn path_of(
    leaf: &Certificate,
    authorities: &[Certificate],
    roots: &[Certificate],
    now: UnixTime,
) -> std::result::Result<Vec<Vec<u8>>, String> {
    let evidence = Evidence { leaf, pool: authorities, anchors: roots, crls: &[] };
    let path = validate(&evidence, &Demands::default(), now).map_err(|e| format!("{e} (it is {now} here)"))?;
    // The last is the root, which everybody has.
    let above = path.certificates().split_last().map_or(&[][..], |(_, path)| path).iter().skip(1);
    Ok(above.map(|one| one.der().to_vec()).collect())
}

pub(super) fn is_same_name(one: &Certificate, other: &Certificate) -> std::result::Result<(), &'static str> {
    let names = |of: &Certificate| of.tbs().extension(oids::SUBJECT_ALT_NAME).map(|names| names.value.clone());
    if one.tbs().subject.matches(&other.tbs().subject) && names(one) == names(other) {
        return Ok(());
    }
    Err("it has another name than the one that it renews")
}

/// The certificates of an answer.
fn certificates(body: &[u8]) -> Result<Vec<Vec<u8>>> {
    let text: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(text).ok();
    let read =
        der.as_deref().and_then(|der| Some(certs_only::decode(der).ok()?.into_iter().map(<[u8]>::to_vec).collect()));
    read.ok_or_else(|| {
        Failure::new(REFUSED, "what the server sent was not taken")
            .because("it is no message of certificates in base64 (RFC 7030 §4.1.3)")
            .next("compare `url` with what the server's operator says")
    })
}

/// There is no answer.
pub(super) fn unheard(why: NotFetched) -> Denied {
    let failure = match &why {
        // What rustls says of a server that is not believed. The handshake comes first: nothing was asked, and nothing shown.
        NotFetched::Unreachable(what) if what.contains("invalid peer certificate") => {
            Failure::new(REFUSED, "the server is not believed")
                .next("nothing was shown to it; compare `root`, or `anchors`, with the authority of the server, and the clock with the time")
        }
        NotFetched::NotThere | NotFetched::TooLong | NotFetched::TooShort | NotFetched::TooSlow | NotFetched::Unreachable(_) => {
            Failure::new("offline", "the server did not answer").next("the next run asks again: nothing is to be repaired")
        }
    };
    failure.because(why).into()
}

/// The answer is no.
pub(super) fn denied(reply: &Reply) -> Denied {
    let said = String::from_utf8_lossy(reply.body.get(..SAID_LEN_MAX).unwrap_or(&reply.body)).trim().to_owned();
    let why = format!("HTTP status {}: {said}", reply.status);
    let (code, what, next, after_s) = match reply.status {
        202 => (
            "waits",
            "the request waits for approval",
            "the next run after that time asks again, with the same key",
            Some(reply.retry_after_s.unwrap_or(APPROVAL_WAIT_S)),
        ),
        429 | 500..=599 => (
            "busy",
            "the server cannot answer now",
            "the next run after that time asks again: nothing is to be repaired",
            reply.retry_after_s,
        ),
        404 => (REFUSED, "the server does not know what is asked for", "compare `url`, and the label in it", None),
        _ => (
            REFUSED,
            "the server refuses",
            "who runs the authority learns why: cradle explain, with the identifier",
            reply.retry_after_s,
        ),
    };
    Denied { failure: Failure::new(code, what).because(why).next(next), after_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adapters::keystore::memory::MemoryKey;
    use x509::{CertificationRequest, KeyType};

    #[track_caller]
    fn check(status: u16, retry_after_s: Option<u64>, code: &str, after_s: Option<u64>) {
        let denied = denied(&Reply { status, retry_after_s, body: b"No. \x1b[2J".to_vec() });
        assert_eq!((denied.failure.code, denied.after_s), (code, after_s));
        assert!(!denied.failure.to_string().contains('\x1b') && denied.failure.why.contains("No."));
    }
    #[test]
    fn what_a_server_says_instead_of_a_certificate() {
        check(202, Some(600), "waits", Some(600));
        check(202, None, "waits", Some(60));
        check(503, Some(30), "busy", Some(30));
        check(503, None, "busy", None);
        check(429, Some(30), "busy", Some(30));
        check(401, None, REFUSED, None);
        check(403, None, REFUSED, None);
        check(404, None, REFUSED, None);
    }
    #[test]
    fn a_long_answer_is_cut() {
        let reply = Reply { status: 403, retry_after_s: None, body: vec![b'x'; 100_000] };
        assert!(denied(&reply).failure.why.len() < 500);
    }
    #[test]
    fn a_secret_is_shown_as_rfc_7617_has_it() {
        let secret = Secret { user: "Aladdin", octets: Zeroizing::new(b"open sesame".to_vec()) };
        assert_eq!(authorization(&secret).as_str(), "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    }
    #[test]
    fn certificates_come_in_one_line_or_many() {
        let path = format!("{}/../../testdata/rfc5652/openssl-3.0.19-two-certificates.der", env!("CARGO_MANIFEST_DIR"));
        let text = STANDARD.encode(std::fs::read(path).unwrap());
        let wrapped: String =
            text.as_bytes().chunks(64).flat_map(|line| [std::str::from_utf8(line).unwrap(), "\r\n"]).collect();
        for body in [&text, &wrapped] {
            assert_eq!(certificates(body.as_bytes()).unwrap().len(), 2);
        }
        for other in ["", "<html>", "MIID", "{}"] {
            assert_eq!(certificates(other.as_bytes()).err().map(|failure| failure.code), Some(REFUSED), "{other}");
        }
    }
    #[test]
    fn a_first_request_has_no_name_and_proves_its_key() {
        let key = MemoryKey::generate(KeyType::P256);
        let secret = Secret { user: "x", octets: Zeroizing::new(b"y".to_vec()) };
        let text = request(&key, &Proof::Secret(secret)).unwrap();
        let read = CertificationRequest::decode(&STANDARD.decode(text.trim()).unwrap()).unwrap();
        assert!(read.subject.is_empty() && read.extensions.is_empty() && read.verify().is_ok());
    }
    #[test]
    fn a_server_that_is_not_believed_is_not_one_that_is_away() {
        let of = |what: &str| unheard(NotFetched::Unreachable(what.into())).failure.code;
        assert_eq!(of("TLS: invalid peer certificate: UnknownIssuer"), REFUSED);
        assert_eq!(of("Connection refused"), "offline");
    }
}
