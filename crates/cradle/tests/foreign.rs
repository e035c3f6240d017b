//! A foreign authority behind the line: `openssl cmp` as the server, our client, and things that go wrong between them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on here has failed"
)]

use adapters::clock::{SystemClock, SystemEntropy};
use adapters::cmp::{Address, HttpLine, TIMEOUT};
use authority::foreign::{Foreign, Misfit, NotDone, Outcome, Revoked, Unusable};
use model::contract::authority::RevocationReason;
use ports::foreign::{DurableForeignIntent, Issuing, LineFault};
use ports::{SignFault, Signer};
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use wire::cmp::MESSAGE_LEN_MAX;
use wire::cmp::client::{Credentials, Enrolment, Party};
use wire::cmp::protection::MacKind;
use wire::cmp::template::{Template, write_cert_request};
use x509::certificate::TbsCertificate;
use x509::{Certificate, PublicKey, crmf, pem};

/// What the authority has: keys and certificates, by OpenSSL.
struct World {
    dir: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl World {
    fn new() -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let name = format!("foreign-{}-{}", std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let world = Self { dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name) };
        std::fs::create_dir_all(&world.dir).unwrap();
        for name in ["ca", "server", "ra", "device"] {
            world.openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
        }
        world.openssl(
            "req -x509 -new -key ca.key -subj /O=Foreign/CN=Issuing -days 3650 -out ca.pem \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign",
        );
        let purposes = [("server", "1.3.6.1.5.5.7.3.27"), ("ra", "1.3.6.1.5.5.7.3.28"), ("device", "clientAuth")];
        for (n, (name, purpose)) in purposes.into_iter().enumerate() {
            let extensions = format!("keyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\n");
            std::fs::write(world.path("extensions"), extensions).unwrap();
            world.openssl(&format!("req -new -key {name}.key -subj /O=Foreign/CN={name} -outform DER -out {name}.csr"));
            world.openssl(&format!(
                "x509 -req -inform DER -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial 0x7{n} -days 365 \
                 -extfile extensions -out {name}.pem"
            ));
        }
        world
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    fn openssl(&self, arguments: &str) {
        let done = openssl(&self.dir, arguments).output().unwrap();
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }
    fn certificate(&self, name: &str) -> Certificate {
        let (_, der) = pem::decode(&std::fs::read(self.path(&format!("{name}.pem"))).unwrap()).unwrap();
        Certificate::decode(&der).unwrap()
    }
    /// Starts the server, with whatever a test wants besides.
    fn serve(&self, arguments: &str) -> Server {
        let always = "cmp -port 0 -srv_cert server.pem -srv_key server.key -srv_trusted ca.pem \
                      -srv_ref foreign -srv_secret pass:shared -accept_raverified";
        let mut child = openssl(&self.dir, &format!("{always} {arguments}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let listening = line.strip_prefix("ACCEPT ")?.split(' ').next()?;
            listening.rsplit(':').next()?.parse().ok()
        });
        Server { child, port: port.expect("the server does not listen") }
    }
}

fn openssl(dir: &Path, arguments: &str) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(dir).env("OPENSSL_CONF", "/dev/null").args(arguments.split_whitespace());
    command
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn line(&self, answer_len_max: usize) -> HttpLine {
        let address = Address::parse(&format!("http://127.0.0.1:{}/pkix/", self.port)).unwrap();
        HttpLine::new(address, &[], TIMEOUT, answer_len_max).unwrap()
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The RA's key, in OpenSSL's hands.
struct RaKey<'a> {
    world: &'a World,
    public: PublicKey,
}
impl Signer for RaKey<'_> {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let (input, output) = (self.world.path("to-sign"), self.world.path("signature"));
        std::fs::write(&input, message).unwrap();
        self.world.openssl("dgst -sha256 -sign ra.key -out signature to-sign");
        Ok(std::fs::read(output).unwrap())
    }
}

/// How a test asks.
#[derive(Clone, Copy, PartialEq)]
enum As<'a> {
    Secret(&'a [u8]),
    Ra,
}
const SHARED: As<'_> = As::Secret(b"shared");

/// What a test asks for.
#[derive(Clone, Copy)]
enum Ask {
    Ir,
    Cr,
    P10cr,
}

fn with_foreign<T>(world: &World, line: &dyn Issuing, asks: As<'_>, f: impl FnOnce(&Foreign<'_>) -> T) -> T {
    let (authority, ra) = (world.certificate("ca"), [world.certificate("ra")]);
    let signer = RaKey { world, public: ra[0].tbs().subject_public_key.clone() };
    let credentials = match asks {
        As::Secret(secret) => Credentials::Secret { reference: "station-1", secret, mac: MacKind::PasswordBasedMac },
        As::Ra => Credentials::Key { algorithm: signer.algorithm(), certificates: &ra },
    };
    let foreign = Foreign {
        party: Party { credentials, authority: &authority, servers: &[], roots: &[] },
        signer: if asks == As::Ra { Some(&signer) } else { None },
        line,
        clock: &SystemClock,
        entropy: &SystemEntropy::default(),
    };
    f(&foreign)
}

/// What this installation would have signed itself for the device.
fn expected(world: &World) -> TbsCertificate {
    world.certificate("device").tbs().clone()
}

fn certify(
    world: &World,
    line: &dyn Issuing,
    asks: As<'_>,
    ask: Ask,
    expected: &TbsCertificate,
) -> Result<Certificate, NotDone> {
    let template = Template {
        issuer: None,
        subject: Some(&expected.subject),
        public_key: &expected.subject_public_key,
        extensions: &[],
    };
    let crmf = crmf::write_only(&write_cert_request(0, &template), &crmf::ProofOfPossession::RaVerified);
    let csr = std::fs::read(world.path("device.csr")).unwrap();
    let enrolment = match ask {
        Ask::Ir => Enrolment::Ir(&crmf),
        Ask::Cr => Enrolment::Cr(&crmf),
        Ask::P10cr => Enrolment::P10cr(&csr),
    };
    let intent = DurableForeignIntent::assert_durable([7; 16], expected.subject_public_key.digest());
    with_foreign(world, line, asks, |foreign| {
        let mut outcome = foreign.certify(&intent, enrolment, expected)?;
        loop {
            match outcome {
                Outcome::Offered(offered) => return foreign.accept(offered).map(|certificate| *certificate),
                Outcome::Later(waiting) => outcome = foreign.ready(waiting, expected)?,
            }
        }
    })
}

/// Asks a server that was started so.
#[track_caller]
fn check(arguments: &str, asks: As<'_>, ask: Ask) -> Result<Certificate, NotDone> {
    let world = World::new();
    let server = world.serve(&format!("-rsp_cert device.pem {arguments}"));
    let result = certify(&world, &server.line(MESSAGE_LEN_MAX), asks, ask, &expected(&world));
    if let Ok(certificate) = &result {
        assert_eq!(*certificate, world.certificate("device"));
    }
    result
}

#[test]
fn a_certificate_by_a_secret() {
    check("", SHARED, Ask::Ir).unwrap();
}
#[test]
fn a_certificate_by_a_signature() {
    check("", As::Ra, Ask::Cr).unwrap();
}
#[test]
fn a_certificate_for_a_request_of_the_device() {
    check("", As::Ra, Ask::P10cr).unwrap();
}
#[test]
fn a_certificate_that_is_not_ready_at_once() {
    check("-poll_count 2 -check_after 0", SHARED, Ask::Ir).unwrap();
}
#[test]
fn a_refusal() {
    let refused = check("-pkistatus 2 -failure 15 -statusstring no", As::Ra, Ask::Cr).unwrap_err();
    let NotDone::Refused(refusal) = refused else { panic!("{refused}") };
    assert_eq!(refusal.explanation, "unacceptedPolicy: \"no\"");
}
#[test]
fn an_error() {
    let refused = check("-send_error", As::Ra, Ask::Cr).unwrap_err();
    assert!(matches!(refused, NotDone::Refused(_)), "{refused}");
}

#[track_caller]
fn unknown(result: Result<Certificate, NotDone>, why: &str) {
    let fault = result.unwrap_err();
    assert!(matches!(&fault, NotDone::Unknown(what) if what.contains(why)), "{fault}");
}
#[test]
fn an_error_that_nobody_vouches_for() {
    unknown(check("-send_error -send_unprot_err", As::Ra, Ask::Cr), "proves nothing");
}
#[test]
fn an_answer_that_nobody_vouches_for() {
    unknown(check("-send_unprotected", SHARED, Ask::Ir), "not protected");
}
#[test]
fn another_secret() {
    let fault = check("", As::Secret(b"another"), Ask::Ir).unwrap_err();
    assert!(
        matches!(&fault, NotDone::Unknown(what) if what.contains("protection") || what.contains("proves nothing")),
        "{fault}"
    );
}
#[test]
fn a_server_that_is_only_a_device_of_that_authority() {
    unknown(check("-srv_cert device.pem -srv_key device.key", As::Ra, Ask::Cr), "who may not speak for the authority");
}
#[test]
fn an_answer_that_is_too_long() {
    let world = World::new();
    let server = world.serve("-rsp_cert device.pem");
    unknown(certify(&world, &server.line(100), SHARED, Ask::Ir, &expected(&world)), "longer than an answer may be");
}
#[test]
fn a_server_that_is_gone() {
    let world = World::new();
    let server = world.serve("-rsp_cert device.pem");
    let line = server.line(MESSAGE_LEN_MAX);
    drop(server);
    let fault = certify(&world, &line, SHARED, Ask::Ir, &expected(&world)).unwrap_err();
    assert!(matches!(&fault, NotDone::Nothing(what) if what.contains("nothing was sent")), "{fault}");
}
#[test]
fn an_intent_for_another_key_asks_for_nothing() {
    let world = World::new();
    let unreachable = Between::new(None, |_, _| panic!("it was asked"));
    let intent = DurableForeignIntent::assert_durable([7; 16], model::Digest::new([0; 32]));
    let csr = std::fs::read(world.path("device.csr")).unwrap();
    let fault = with_foreign(&world, &unreachable, SHARED, |foreign| {
        foreign.certify(&intent, Enrolment::P10cr(&csr), &expected(&world)).map(drop).unwrap_err()
    });
    assert!(matches!(fault, NotDone::Nothing(_)), "{fault}");
}

/// Somebody on the line, who changes answers. Told how many there were before.
struct Between<'a, F> {
    line: Option<&'a HttpLine>,
    change: F,
    seen: Mutex<RefCell<Vec<Vec<u8>>>>,
}
impl<'a, F: Fn(&[Vec<u8>], Vec<u8>) -> Result<Vec<u8>, LineFault> + Send + Sync> Between<'a, F> {
    fn new(line: Option<&'a HttpLine>, change: F) -> Self {
        Self { line, change, seen: Mutex::default() }
    }
}
impl<F: Fn(&[Vec<u8>], Vec<u8>) -> Result<Vec<u8>, LineFault> + Send + Sync> Issuing for Between<'_, F> {
    fn exchange(&self, message: &[u8]) -> Result<Vec<u8>, LineFault> {
        let answer = match self.line {
            Some(line) => line.exchange(message)?,
            None => Vec::new(),
        };
        let seen = self.seen.lock().unwrap();
        let before = seen.borrow().clone();
        seen.borrow_mut().push(answer.clone());
        (self.change)(&before, answer)
    }
}

/// Asks with somebody on the line.
fn between(
    change: impl Fn(&[Vec<u8>], Vec<u8>) -> Result<Vec<u8>, LineFault> + Send + Sync,
) -> (Result<Certificate, NotDone>, World) {
    let world = World::new();
    let server = world.serve("-rsp_cert device.pem");
    let line = server.line(MESSAGE_LEN_MAX);
    let result = certify(&world, &Between::new(Some(&line), change), As::Ra, Ask::Cr, &expected(&world));
    (result, world)
}

#[test]
fn a_changed_nonce_breaks_the_protection() {
    let (result, _) = between(|before, mut answer| {
        if before.is_empty() {
            let nonce = wire::cmp::Message::decode(&answer).unwrap().header.recip_nonce.unwrap().to_vec();
            let at = answer.windows(16).position(|w| w == nonce).unwrap();
            answer[at] ^= 1;
        }
        Ok(answer)
    });
    unknown(result, "the protection of the answer does not hold");
}
/// The certificate that came back is known, and revoked because nobody knows how it stands.
#[track_caller]
fn unconfirmed((result, world): (Result<Certificate, NotDone>, World), why: &str, expected: Revoked) {
    match result.unwrap_err() {
        NotDone::Unusable { why: Unusable::Unconfirmed(what), certificate, revoked } => {
            assert!(what.contains(why), "{what}");
            assert_eq!((*certificate, revoked), (world.certificate("device"), expected));
        }
        other => panic!("{other}"),
    }
}
#[test]
fn an_answer_of_before_is_not_taken_again() {
    let again = |before: &[Vec<u8>], answer| Ok(if before.len() == 1 { before[0].clone() } else { answer });
    unconfirmed(between(again), "does not repeat our nonce", Revoked::Yes);
}
#[test]
fn a_confirmation_that_is_lost() {
    let lost = |before: &[Vec<u8>], answer| {
        if before.len() == 1 { Err(LineFault::Unanswered("the line was cut".into())) } else { Ok(answer) }
    };
    unconfirmed(between(lost), "the line was cut", Revoked::Yes);
    let cut = |before: &[Vec<u8>], answer| {
        if before.is_empty() { Ok(answer) } else { Err(LineFault::Unanswered("the line was cut".into())) }
    };
    unconfirmed(between(cut), "the line was cut", Revoked::No);
}

#[track_caller]
fn unfit(certificate: &str, change: impl FnOnce(&mut TbsCertificate), misfit: Misfit, expected_revoked: Revoked) {
    let world = World::new();
    let server = world.serve(&format!("-rsp_cert {certificate}.pem"));
    let mut expected = expected(&world);
    change(&mut expected);
    match certify(&world, &server.line(MESSAGE_LEN_MAX), SHARED, Ask::Ir, &expected).unwrap_err() {
        NotDone::Unusable { why, certificate: got, revoked } => {
            assert_eq!((why, revoked), (Unusable::Misfit(misfit), expected_revoked));
            assert_eq!(*got, world.certificate(certificate));
        }
        other => panic!("{other}"),
    }
}
#[test]
fn a_certificate_for_another_key() {
    unfit("server", |_| {}, Misfit::OtherKey, Revoked::NotAsked);
}
#[test]
fn a_certificate_that_lasts_too_long() {
    unfit("device", |e| e.not_after = e.not_after.minus_s(1), Misfit::Validity, Revoked::Yes);
}
#[test]
fn a_certificate_with_another_name() {
    let other = World::new().certificate("ra").tbs().subject.clone();
    unfit("device", |e| e.subject = other, Misfit::Subject, Revoked::Yes);
}

#[test]
fn a_revocation() {
    let world = World::new();
    let server = world.serve("-rsp_cert device.pem");
    let number = world.certificate("device").tbs().serial_number;
    for asks in [SHARED, As::Ra] {
        with_foreign(&world, &server.line(MESSAGE_LEN_MAX), asks, |foreign| {
            foreign.revoke(&number, RevocationReason::KeyCompromise).unwrap();
        });
    }
}
#[test]
fn a_revocation_of_what_that_authority_did_not_issue() {
    let world = World::new();
    let server = world.serve("-rsp_cert device.pem");
    let number = x509::SerialNumber::from_hex("0123").unwrap();
    with_foreign(&world, &server.line(MESSAGE_LEN_MAX), As::Ra, |foreign| {
        let fault = foreign.revoke(&number, RevocationReason::KeyCompromise).unwrap_err();
        assert!(matches!(fault, NotDone::Refused(_)), "{fault}");
    });
}
