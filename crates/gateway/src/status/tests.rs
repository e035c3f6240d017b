#![allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]

use super::*;
use model::contract::acme::{AcmeAnswered, AnswerAcme, ReportSeen};
use model::contract::authority::{AnswerOcsp, Done, OcspAnswered};
use model::contract::enrolment::{
    AnswerCmp, CaCertificatesShown, CertifyServer, CmpAnswered, Enrol, Enrolled, SealingKeyShown, ServerCertified,
    ShowSealingKey,
};
use model::contract::scep::{AnswerScep, ScepAnswered};
use std::sync::atomic::{AtomicU64, Ordering};

/// km, with a list of this number; none if it is 0.
struct Teller {
    number: AtomicU64,
    asked: AtomicU64,
}

impl Km for Teller {
    fn enrol(&self, _: &Enrol) -> Result<Enrolled, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_cmp(&self, _: &AnswerCmp) -> Result<CmpAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_acme(&self, _: &AnswerAcme) -> Result<AcmeAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn report_seen(&self, _: &ReportSeen) -> Result<Done, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn ca_certificates(&self, _: &CaCertificates) -> Result<CaCertificatesShown, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_ocsp(&self, _: &AnswerOcsp) -> Result<OcspAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_scep(&self, _: &AnswerScep) -> Result<ScepAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn sealing_key(&self, _: &ShowSealingKey) -> Result<SealingKeyShown, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn certify_server(&self, _: &CertifyServer) -> Result<ServerCertified, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn current_crl(&self, _: &CurrentCrl) -> Result<CurrentCrlShown, Fault> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.number.load(Ordering::Relaxed) {
            0 => Err(Fault::unavailable("km is off")),
            number => Ok(CurrentCrlShown {
                crl: number.to_be_bytes().to_vec().into(),
                number,
                this_update: NOW,
                next_update: NOW.plus_s(100),
            }),
        }
    }
}

const NOW: UnixTime = UnixTime::from_s(1_790_000_000);

struct Still;
impl Clock for Still {
    fn now(&self) -> UnixTime {
        NOW
    }
}

/// One list is asked for at these seconds, while km has these; what is told, and how often km was asked.
#[track_caller]
fn check(steps: &[(u64, u64, Option<u64>)], asked: u64) {
    let km = Arc::new(Teller { number: AtomicU64::new(0), asked: AtomicU64::new(0) });
    let asked_of: Arc<dyn Km> = km.clone();
    let status = Status::new(asked_of, Arc::new(Still));
    for (s, number, expected) in steps {
        km.number.store(*number, Ordering::Relaxed);
        let told = status.kept("factory".parse().unwrap(), 0, NOW.plus_s(*s));
        assert_eq!(told.ok().map(|kept| kept.list.number), *expected, "after {s} s");
    }
    assert_eq!(km.asked.load(Ordering::Relaxed), asked);
}

#[test]
fn however_many_ask_km_is_asked_once_in_five_seconds() {
    check(&[(0, 1, Some(1)), (1, 2, Some(1)), (4, 2, Some(1)), (5, 2, Some(2)), (9, 3, Some(2))], 2);
}
#[test]
fn while_km_is_away_a_list_is_told_as_long_as_it_holds() {
    check(&[(0, 1, Some(1)), (50, 0, Some(1)), (100, 0, Some(1)), (101, 0, None)], 4);
}
#[test]
fn an_older_list_does_not_take_the_place_of_a_newer_one() {
    check(&[(0, 7, Some(7)), (10, 6, Some(7)), (20, 8, Some(8))], 3);
}
#[test]
fn under_a_clock_that_goes_back_km_is_asked() {
    check(&[(50, 1, Some(1)), (49, 2, Some(2))], 2);
}
#[test]
fn what_is_not_there_is_asked_again() {
    check(&[(0, 0, None), (0, 1, Some(1))], 2);
}

#[test]
fn while_km_is_away_it_is_not_asked_for_each_who_asks() {
    check(&[(0, 1, Some(1)), (10, 0, Some(1)), (12, 0, Some(1)), (14, 0, Some(1)), (15, 2, Some(2))], 3);
}

/// km, which tells a list when the one who asks for another has it.
struct OneAfterTheOther {
    status: std::sync::OnceLock<Arc<Status>>,
}
impl Km for OneAfterTheOther {
    fn enrol(&self, _: &Enrol) -> Result<Enrolled, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_cmp(&self, _: &AnswerCmp) -> Result<CmpAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_acme(&self, _: &AnswerAcme) -> Result<AcmeAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn report_seen(&self, _: &ReportSeen) -> Result<Done, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn ca_certificates(&self, _: &CaCertificates) -> Result<CaCertificatesShown, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_ocsp(&self, _: &AnswerOcsp) -> Result<OcspAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn answer_scep(&self, _: &AnswerScep) -> Result<ScepAnswered, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn sealing_key(&self, _: &ShowSealingKey) -> Result<SealingKeyShown, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn certify_server(&self, _: &CertifyServer) -> Result<ServerCertified, Fault> {
        Err(Fault::unavailable("not asked here"))
    }
    fn current_crl(&self, call: &CurrentCrl) -> Result<CurrentCrlShown, Fault> {
        if call.authority == name("slow") {
            let status = Arc::clone(self.status.get().unwrap());
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || tell.send(status.kept(name("factory"), 0, NOW).is_ok()));
            let has_it = told.recv_timeout(Duration::from_secs(5));
            if has_it != Ok(true) {
                return Err(Fault::unavailable("another list was waited for"));
            }
        }
        let (this_update, next_update) = (NOW, NOW.plus_s(100));
        Ok(CurrentCrlShown { crl: vec![1].into(), number: 1, this_update, next_update })
    }
}
#[test]
fn who_asks_for_one_list_waits_for_nobody_who_asks_for_another() {
    let km = Arc::new(OneAfterTheOther { status: std::sync::OnceLock::new() });
    let asked: Arc<dyn Km> = km.clone();
    let status = Arc::new(Status::new(asked, Arc::new(Still)));
    let _once = km.status.set(Arc::clone(&status));
    assert!(status.kept(name("slow"), 0, NOW).is_ok());
}
#[test]
fn names_that_are_none_take_no_room() {
    let km: Arc<dyn Km> = Arc::new(Teller { number: AtomicU64::new(0), asked: AtomicU64::new(0) });
    let status = Status::new(km, Arc::new(Still));
    for n in 0..10 {
        assert!(status.kept(name(&format!("none-{n}")), 0, NOW).is_err());
    }
    assert!(status.lists.lock().unwrap().is_empty());
}

#[test]
fn lists_that_are_there_take_no_more_room_than_so_many() {
    let km: Arc<dyn Km> = Arc::new(Teller { number: AtomicU64::new(1), asked: AtomicU64::new(0) });
    let status = Status::new(km, Arc::new(Still));
    for n in 0..2 * LISTS_MAX {
        assert!(status.kept(name(&format!("one-{n}")), 0, NOW).is_ok());
        assert!(status.lists.lock().unwrap().len() <= LISTS_MAX);
    }
}
#[test]
fn under_a_clock_that_went_back_nothing_is_told_that_km_does_not_tell_now() {
    check(&[(50, 1, Some(1)), (49, 0, None)], 2);
    check(&[(50, 7, Some(7)), (49, 6, Some(6))], 2);
}

#[track_caller]
fn path(path: &str, expected: Option<Asked<'_>>) {
    assert_eq!(asked(path), expected, "{path}");
}
fn name(text: &str) -> AuthorityName {
    text.parse().unwrap()
}

#[test]
fn lists_and_their_shards() {
    path("/crl/factory.crl", Some(Asked::List(name("factory"), 0)));
    path("/crl/factory-shard-2.crl", Some(Asked::List(name("factory"), 2)));
    path("/crl/factory-shard-02.crl", Some(Asked::List(name("factory-shard-02"), 0)));
    path("/crl/factory-shard-0.crl", Some(Asked::List(name("factory-shard-0"), 0)));
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
