#![allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]

mod answers;
mod lists;

use super::*;
use model::contract::acme::{AcmeAnswered, AnswerAcme, ReportSeen};
use model::contract::authority::{AnswerOcsp, Done, OcspAnswered};
use model::contract::enrolment::{
    AnswerCmp, CaCertificatesShown, CertifyServer, CmpAnswered, CurrentCrl, CurrentCrlShown, Enrol, Enrolled,
    SealingKeyShown, ServerCertified, ShowSealingKey,
};
use model::contract::scep::{AnswerScep, ScepAnswered};

const NOT_ASKED: Fault = Fault::unavailable("not asked here");

/// What answers a call.
type Told<C, R> = Box<dyn Fn(&C) -> Result<R, Fault> + Send + Sync>;

/// km, as a test has it.
struct Double {
    list: Told<CurrentCrl, CurrentCrlShown>,
    ocsp: Told<AnswerOcsp, OcspAnswered>,
}

impl Default for Double {
    fn default() -> Self {
        Self { list: Box::new(|_| Err(NOT_ASKED)), ocsp: Box::new(|_| Err(NOT_ASKED)) }
    }
}

impl Km for Double {
    fn enrol(&self, _: &Enrol) -> Result<Enrolled, Fault> {
        Err(NOT_ASKED)
    }
    fn answer_cmp(&self, _: &AnswerCmp) -> Result<CmpAnswered, Fault> {
        Err(NOT_ASKED)
    }
    fn answer_acme(&self, _: &AnswerAcme) -> Result<AcmeAnswered, Fault> {
        Err(NOT_ASKED)
    }
    fn report_seen(&self, _: &ReportSeen) -> Result<Done, Fault> {
        Err(NOT_ASKED)
    }
    fn ca_certificates(&self, _: &CaCertificates) -> Result<CaCertificatesShown, Fault> {
        Err(NOT_ASKED)
    }
    fn answer_ocsp(&self, call: &AnswerOcsp) -> Result<OcspAnswered, Fault> {
        (self.ocsp)(call)
    }
    fn answer_scep(&self, _: &AnswerScep) -> Result<ScepAnswered, Fault> {
        Err(NOT_ASKED)
    }
    fn sealing_key(&self, _: &ShowSealingKey) -> Result<SealingKeyShown, Fault> {
        Err(NOT_ASKED)
    }
    fn certify_server(&self, _: &CertifyServer) -> Result<ServerCertified, Fault> {
        Err(NOT_ASKED)
    }
    fn current_crl(&self, call: &CurrentCrl) -> Result<CurrentCrlShown, Fault> {
        (self.list)(call)
    }
}

const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

fn name(text: &str) -> AuthorityName {
    text.parse().unwrap()
}
fn list(text: &str, shard: u32, delta: bool) -> List {
    List { authority: name(text), shard, delta }
}

#[track_caller]
fn path(path: &str, expected: Option<Asked<'_>>) {
    assert_eq!(asked(path), expected, "{path}");
}
#[test]
fn lists_and_their_shards() {
    path("/crl/factory.crl", Some(Asked::List(list("factory", 0, false))));
    path("/crl/factory-shard-2.crl", Some(Asked::List(list("factory", 2, false))));
    path("/crl/factory-shard-02.crl", Some(Asked::List(list("factory-shard-02", 0, false))));
    path("/crl/factory-delta.crl", Some(Asked::List(list("factory", 0, true))));
    path("/crl/factory-shard-7-delta.crl", Some(Asked::List(list("factory", 7, true))));
    path("/crl/factory-delta-shard-7.crl", Some(Asked::List(list("factory-delta", 7, false))));
    path("/crl/-delta.crl", None);
    path("/crl/factory-shard-0.crl", Some(Asked::List(list("factory-shard-0", 0, false))));
}
#[test]
fn certificates() {
    path("/ca/root-1.cer", Some(Asked::Certificate(name("root-1"))));
}
#[test]
fn requests_of_ocsp_as_they_are_written() {
    path("/ocsp", Some(Asked::Ocsp(None)));
    path("/ocsp/", Some(Asked::Ocsp(None)));
    path("/ocsp//MA%3D", Some(Asked::Ocsp(Some("/MA%3D"))));
}
#[test]
fn nothing_climbs() {
    for text in
        ["/", "/crl/", "/crl/.crl", "/crl/../x.crl", "/ca/%2e%2e.cer", "/ca/a/b.cer", "/CRL/a.crl", "/crl/a.cer"]
    {
        path(text, None);
    }
}
