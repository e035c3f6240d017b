//! What the gateway asks of km.

use model::Fault;
use model::contract::acme::{AcmeAnswered, AnswerAcme, ReportSeen};
use model::contract::authority::{AnswerOcsp, Done, OcspAnswered};
use model::contract::enrolment::{
    AnswerCmp, CaCertificates, CaCertificatesShown, CertifyServer, CmpAnswered, CurrentCrl, CurrentCrlShown, Enrol,
    Enrolled, SealingKeyShown, ServerCertified, ShowSealingKey,
};
use model::contract::scep::{AnswerScep, ScepAnswered};
use ports::Link;
use std::sync::Arc;

/// km, as the gateway knows it.
pub trait Km: Send + Sync + 'static {
    /// Has somebody certified who came over EST.
    ///
    /// # Errors
    /// [`Fault`]
    fn enrol(&self, call: &Enrol) -> Result<Enrolled, Fault>;
    /// Has a message of CMP answered.
    ///
    /// # Errors
    /// [`Fault`]
    fn answer_cmp(&self, call: &AnswerCmp) -> Result<CmpAnswered, Fault>;
    /// Has a message of ACME answered.
    ///
    /// # Errors
    /// [`Fault`]
    fn answer_acme(&self, call: &AnswerAcme) -> Result<AcmeAnswered, Fault>;
    /// Has what a message of SCEP asks for answered.
    ///
    /// # Errors
    /// [`Fault`]
    fn answer_scep(&self, call: &AnswerScep) -> Result<ScepAnswered, Fault>;
    /// The key to which goes what only km may read.
    ///
    /// # Errors
    /// [`Fault`]
    fn sealing_key(&self, call: &ShowSealingKey) -> Result<SealingKeyShown, Fault>;
    /// Tells what was seen where a name is to be proved.
    ///
    /// # Errors
    /// [`Fault`]
    fn report_seen(&self, call: &ReportSeen) -> Result<Done, Fault>;
    /// The certificates of an authority.
    ///
    /// # Errors
    /// [`Fault`]
    fn ca_certificates(&self, call: &CaCertificates) -> Result<CaCertificatesShown, Fault>;
    /// The list of revoked certificates in force.
    ///
    /// # Errors
    /// [`Fault`]
    fn current_crl(&self, call: &CurrentCrl) -> Result<CurrentCrlShown, Fault>;
    /// What is said of certificates over OCSP.
    ///
    /// # Errors
    /// [`Fault`]
    fn answer_ocsp(&self, call: &AnswerOcsp) -> Result<OcspAnswered, Fault>;
    /// Has the gateway's own key certified.
    ///
    /// # Errors
    /// [`Fault`]
    fn certify_server(&self, call: &CertifyServer) -> Result<ServerCertified, Fault>;
}

/// km behind the bus.
pub struct OverTheBus(pub Arc<Link>);

impl Km for OverTheBus {
    fn enrol(&self, call: &Enrol) -> Result<Enrolled, Fault> {
        self.0.call(call)
    }
    fn answer_cmp(&self, call: &AnswerCmp) -> Result<CmpAnswered, Fault> {
        self.0.call(call)
    }
    fn answer_acme(&self, call: &AnswerAcme) -> Result<AcmeAnswered, Fault> {
        self.0.call(call)
    }
    fn answer_scep(&self, call: &AnswerScep) -> Result<ScepAnswered, Fault> {
        self.0.call(call)
    }
    fn sealing_key(&self, call: &ShowSealingKey) -> Result<SealingKeyShown, Fault> {
        self.0.call(call)
    }
    fn report_seen(&self, call: &ReportSeen) -> Result<Done, Fault> {
        self.0.call(call)
    }
    fn ca_certificates(&self, call: &CaCertificates) -> Result<CaCertificatesShown, Fault> {
        self.0.call(call)
    }
    fn current_crl(&self, call: &CurrentCrl) -> Result<CurrentCrlShown, Fault> {
        self.0.call(call)
    }
    fn answer_ocsp(&self, call: &AnswerOcsp) -> Result<OcspAnswered, Fault> {
        self.0.call(call)
    }
    fn certify_server(&self, call: &CertifyServer) -> Result<ServerCertified, Fault> {
        self.0.call(call)
    }
}
