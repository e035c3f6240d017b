//! Every call and answer in `contracts/messages.json` is read, and written the same again: who has read them once can
//! go on reading them. A field that is new is optional; one that is old stays, and this file changes with it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on here has failed"
)]

use model::Fault;
use model::contract::acme::{AnswerAcme, ReportSeen};
use model::contract::authority::{
    AnswerOcsp, Certify, Confirm, Deposit, Entitle, IssueCrl, IssueFilter, Release, Revoke,
};
use model::contract::enrolment::{
    AllowEnrolment, AnswerCmp, CaCertificates, CertifyServer, CurrentCrl, Enrol, ShowSealingKey,
};
use model::contract::hierarchy::{
    CreateAuthority, ImportAuthority, InstallAuthority, LimitAuthority, RequestAuthority, RolloverAuthority,
    SignAuthority,
};
use model::contract::identity::{Admit, DepositPending, ImportList, Mark, Record, TrustSupplier};
use model::contract::maker::SetMaker;
use model::contract::provisioning::{RunLine, WatchLine};
use model::contract::scep::AnswerScep;
use model::contract::software::{HearNotice, Update};
use model::contract::supervisor::{AskLease, EnterMode, Lease, OrderMode, Seal, ShowMode};
use model::contract::{Call, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Messages {
    calls: Vec<Value>,
    answers: Vec<Value>,
}

fn golden() -> BTreeMap<String, Messages> {
    serde_json::from_str(include_str!("../../../contracts/messages.json")).unwrap()
}

#[track_caller]
fn same_again<T: Serialize + DeserializeOwned>(values: &[Value]) {
    assert!(!values.is_empty());
    for value in values {
        let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{value}: {e}"));
        assert_eq!(&serde_json::to_value(read).unwrap(), value);
    }
}

#[track_caller]
fn check<C: Call>() {
    let messages = &golden()[C::SUBJECT.as_str()];
    same_again::<C>(&messages.calls);
    same_again::<Result<C::Reply, Fault>>(&messages.answers);
    // What a call does not know, it does not take: a caller learns that it is ahead, and nothing is left out in silence.
    let mut more = messages.calls[0].clone();
    more.as_object_mut().unwrap().insert("unknown".into(), Value::Null);
    assert!(serde_json::from_value::<C>(more).is_err());
}

#[test]
fn every_subject_has_its_messages() {
    let subjects: Vec<&str> = golden().into_keys().map(|key| &*key.leak()).collect();
    let mut all: Vec<&str> = Subject::ALL.iter().map(|subject| subject.as_str()).collect();
    all.sort_unstable();
    assert_eq!(subjects, all);
}
#[test]
fn authority_certify() {
    check::<Certify>();
}
#[test]
fn authority_confirm() {
    check::<Confirm>();
}
#[test]
fn authority_deposit() {
    check::<Deposit>();
}
#[test]
fn authority_entitle() {
    check::<Entitle>();
}
#[test]
fn authority_create() {
    check::<CreateAuthority>();
}
#[test]
fn authority_revoke() {
    check::<Revoke>();
}
#[test]
fn authority_import() {
    check::<ImportAuthority>();
}
#[test]
fn authority_request() {
    check::<RequestAuthority>();
}
#[test]
fn authority_install() {
    check::<InstallAuthority>();
}
#[test]
fn authority_sign() {
    check::<SignAuthority>();
}
#[test]
fn authority_limit() {
    check::<LimitAuthority>();
}
#[test]
fn authority_maker() {
    check::<SetMaker>();
}
#[test]
fn authority_rollover() {
    check::<RolloverAuthority>();
}
#[test]
fn authority_release() {
    check::<Release>();
}
#[test]
fn authority_ocsp() {
    check::<AnswerOcsp>();
}
#[test]
fn authority_filter() {
    check::<IssueFilter>();
}
#[test]
fn authority_enrol() {
    check::<Enrol>();
}
#[test]
fn authority_allow_enrolment() {
    check::<AllowEnrolment>();
}
#[test]
fn authority_ca_certificates() {
    check::<CaCertificates>();
}
#[test]
fn authority_current_crl() {
    check::<CurrentCrl>();
}
#[test]
fn authority_cmp() {
    check::<AnswerCmp>();
}
#[test]
fn authority_sealing_key() {
    check::<ShowSealingKey>();
}
#[test]
fn authority_acme() {
    check::<AnswerAcme>();
}
#[test]
fn authority_acme_seen() {
    check::<ReportSeen>();
}
#[test]
fn authority_scep() {
    check::<AnswerScep>();
}
#[test]
fn authority_certify_server() {
    check::<CertifyServer>();
}
#[test]
fn authority_crl() {
    check::<IssueCrl>();
}
#[test]
fn identity_import_list() {
    check::<ImportList>();
}
#[test]
fn identity_trust() {
    check::<TrustSupplier>();
}
#[test]
fn identity_deposit() {
    check::<DepositPending>();
}
#[test]
fn identity_admit() {
    check::<Admit>();
}
#[test]
fn identity_record() {
    check::<Record>();
}
#[test]
fn identity_mark() {
    check::<Mark>();
}
#[test]
fn software_update() {
    check::<Update>();
}
#[test]
fn software_notice() {
    check::<HearNotice>();
}
#[test]
fn mode_lease() {
    check::<Lease>();
}
#[test]
fn provisioning_run() {
    check::<RunLine>();
}
#[test]
fn provisioning_watch() {
    check::<WatchLine>();
}
#[test]
fn mode_ask() {
    check::<AskLease>();
}
#[test]
fn mode_show() {
    check::<ShowMode>();
}
#[test]
fn mode_order() {
    check::<OrderMode>();
}
#[test]
fn mode_enter() {
    check::<EnterMode>();
}
#[test]
fn mode_seal() {
    check::<Seal>();
}
