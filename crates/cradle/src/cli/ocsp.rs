//! `cradle ocsp`: whether certificates are revoked, as others ask it.

use super::{Common, publish};
use crate::compose::Installation;
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use model::contract::authority::AnswerOcsp;
use ports::clock::random;
use ports::store::AuthorityStore;
use serde::Serialize;
use std::path::{Path, PathBuf};
use wire::ocsp::{Asked, CertStatus, HashAlgorithm, IssuerIds, Request, Response, SignedBy, request, verify};
use x509::{Certificate, SerialNumber};

/// Whether certificates are revoked, as others ask it: OCSP (RFC 6960).
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Ask after a certificate, and verify the answer as a stranger would. Needs a mode in which km is awake.
    Ask {
        /// Its serial number.
        serial: String,
        /// Ask without a nonce, so that an answer that was signed before will do.
        #[arg(long)]
        no_nonce: bool,
        /// Keep the request, DER.
        #[arg(long, value_name = "FILE")]
        request: Option<PathBuf>,
        /// Keep the answer, DER.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Answer the request of somebody else, from a file.
    Answer {
        /// `OCSPRequest`, DER.
        request: PathBuf,
        /// Where the answer goes, DER.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Longest request file, in octets.
const FILE_LEN_MAX: u64 = 64 * 1024;

/// What an answer says.
#[derive(Serialize)]
pub(crate) struct Said {
    serial: String,
    authority: String,
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    this_update: String,
    next_update: Option<String>,
    signed_by: &'static str,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Ask { serial, no_nonce, request, to } => {
            ask(common, &serial, no_nonce, request.as_deref(), to.as_deref())
        }
        Verb::Answer { request, to } => {
            let octets = files::read_bounded(&request, FILE_LEN_MAX).map_err(|e| Failure::file(&request, &e))?;
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            let answer = answer(&installation, octets)?;
            publish(&to, &answer, is_answer)?;
            let said = match Response::decode(&answer) {
                Ok(Response::Basic(_)) => "an answer",
                _ => "an error: the request is malformed, or for an authority that is not here",
            };
            common.out().one(&serde_json::json!({"to": to, "said": said}), || format!("{}: {said}\n", to.display()))
        }
    }
}

fn is_answer(octets: &[u8]) -> bool {
    Response::decode(octets).is_ok()
}

fn answer(installation: &Installation, request: Vec<u8>) -> Result<Vec<u8>> {
    let answered = installation.ask(&AnswerOcsp { requests: vec![request.into()] }, "asking for the status")?;
    let response = answered.responses.into_iter().next();
    response.map(|octets| octets.as_ref().to_vec()).ok_or_else(|| unbelievable("there is no answer"))
}

fn unbelievable(why: impl ToString) -> Failure {
    Failure::new(Exit::Failed, "ocsp", "the answer is none to be believed")
        .because(why.to_string())
        .next("see `cradle doctor`: clock, keys, and the profile `ocsp`")
}

fn ask(common: &Common, serial: &str, no_nonce: bool, keep: Option<&Path>, to: Option<&Path>) -> Result {
    let number = SerialNumber::from_hex(serial).ok_or_else(|| {
        Failure::new(Exit::Usage, "usage", "this is no serial number").next("copy one from `cradle cert list`")
    })?;
    let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
    let exchange = exchange(&installation, number, !no_nonce)?;
    if let Some(path) = keep {
        publish(path, &exchange.request, |older| Request::decode(older).is_ok())?;
    }
    if let Some(path) = to {
        publish(path, &exchange.answer, is_answer)?;
    }
    let said = exchange.said;
    common.out().one(&said, || {
        let why = said.reason.map(|why| format!(" ({why}, {})", said.revoked_at.as_deref().unwrap_or_default()));
        format!("{}: {}{}, as of {}\n", said.serial, said.status, why.unwrap_or_default(), said.this_update)
    })
}

/// A question, its answer, and what may be believed of it.
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
    pub(crate) said: Said,
}

/// Asks after a certificate, and verifies the answer with nothing but the issuer's certificate.
pub(crate) fn exchange(installation: &Installation, number: SerialNumber, with_nonce: bool) -> Result<Exchange> {
    exchange_by(installation, number, with_nonce, |request| answer(installation, request))
}

/// The same; the request is answered by `send`.
pub(crate) fn exchange_by(
    installation: &Installation,
    number: SerialNumber,
    with_nonce: bool,
    send: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
) -> Result<Exchange> {
    let store = &installation.workshop.store;
    let row = store.certificate(&number)?.ok_or_else(|| {
        Failure::new(Exit::NotFound, "serial-unknown", format!("no certificate has the serial number {number}"))
            .next("list them with `cradle cert list`")
    })?;
    let issuer = store.authorities()?.into_iter().find(|authority| authority.name == row.authority);
    let issuer = issuer.and_then(|authority| Certificate::decode(&authority.certificate).ok());
    let issuer = issuer.ok_or_else(|| unbelievable("its authority has no certificate"))?;
    let ids = IssuerIds::new(&issuer.tbs().subject, &issuer.tbs().subject_public_key);
    let nonce: [u8; 32] = random(installation.workshop.entropy.as_ref());
    let nonce = with_nonce.then_some(nonce.as_slice());
    let request = request::write(&ids, HashAlgorithm::Sha256, &[number], nonce);
    let answer = send(request.clone())?;
    let response = match Response::decode(&answer) {
        Ok(Response::Basic(response)) => response,
        Ok(other) => return Err(unbelievable(format!("{other:?}"))),
        Err(e) => return Err(unbelievable(e)),
    };
    let now = installation.workshop.clock.now();
    let asked = Asked { issuer: &issuer, serial_number: number, nonce, now, skew_s: 300 };
    let verified = verify(&response, &asked).map_err(|why| unbelievable(format!("{why:?}")))?;
    let (status, revoked) = match verified.status {
        CertStatus::Good => ("good", None),
        CertStatus::Revoked { at, reason } => ("revoked", Some((at, reason))),
        CertStatus::Unknown => ("unknown", None),
    };
    let said = Said {
        serial: number.to_string(),
        authority: row.authority.to_string(),
        status,
        revoked_at: revoked.map(|(at, _)| at.to_string()),
        reason: revoked.map(|(_, reason)| reason.name()),
        this_update: verified.this_update.to_string(),
        next_update: verified.next_update.map(|at| at.to_string()),
        signed_by: match verified.signed_by {
            SignedBy::Issuer => "the authority",
            SignedBy::Delegate => "its responder",
        },
    };
    Ok(Exchange { request, answer, said })
}
