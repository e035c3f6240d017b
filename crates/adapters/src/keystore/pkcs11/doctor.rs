//! Probes a module and its token, and says by name what is wrong.

use crate::keystore::pkcs11::fault::TokenFault;
use crate::keystore::pkcs11::keystore::{Lifetime, generate, sign};
use crate::keystore::pkcs11::module::{Calling, Module};
use crate::keystore::pkcs11::object::{self, Facts, KEYS_MAX};
use crate::keystore::pkcs11::pin::Pin;
use crate::keystore::pkcs11::report::{Finding, Key, Library, Report, Severity, Slot, Speed};
use crate::keystore::pkcs11::scheme::Scheme;
use crate::keystore::pkcs11::session::{find_token, fits, log_in, pin_state};
use crate::keystore::pkcs11::uri::Pkcs11Uri;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use cryptoki::slot::TokenInfo;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use x509::KeyType;

/// Longest time that one type of key is measured, unless a single signature takes longer.
const MEASURE_MAX: Duration = Duration::from_secs(5);
/// Most slots that are reported.
const SLOTS_MAX: usize = 100;
/// Fewer sessions than this keep the cores of a small station waiting.
const SESSIONS_FEW: u64 = 4;

/// Mechanisms that are used here: name, and what does not work without.
const MECHANISMS: [(MechanismType, &str, &str); 7] = [
    (MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", "p256 and p384 keys cannot be made"),
    (MechanismType::ECDSA, "CKM_ECDSA", "p256 and p384 keys cannot sign"),
    (MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, "CKM_EC_EDWARDS_KEY_PAIR_GEN", "ed25519 keys cannot be made"),
    (MechanismType::EDDSA, "CKM_EDDSA", "ed25519 keys cannot sign"),
    (MechanismType::RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", "RSA keys cannot be made"),
    (MechanismType::RSA_PKCS, "CKM_RSA_PKCS", "RSA keys cannot sign by PKCS#1 v1.5"),
    (MechanismType::RSA_PKCS_PSS, "CKM_RSA_PKCS_PSS", "RSA keys cannot sign by PSS"),
];

/// What is to be measured.
pub struct Measure<'a> {
    /// Types of keys. Large RSA keys take seconds to make.
    pub key_types: &'a [KeyType],
    /// Most signatures by each.
    pub signatures: u32,
    /// Time since some moment; it never goes back.
    pub elapsed: &'a dyn Fn() -> Duration,
}

/// Probes a module, the token that a URI names, and its keys.
///
/// Nothing in the token is changed: keys to measure with live in a session. The PIN is tried at most once, and not at all
/// if a wrong one was given since the last login: doctors do not lock tokens. Without a PIN, only what everybody may see
/// is looked at.
#[must_use]
pub fn doctor(module: &Path, uri: &Pkcs11Uri, pin: Option<&Pin>, measure: &Measure<'_>) -> Report {
    let mut report = Report { module: shown(&module.display().to_string()), ..Report::default() };
    if let Err(fault) = probe(&mut report, module, uri, pin, measure) {
        report.fault(fault);
    }
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    report
}

fn probe(
    report: &mut Report,
    path: &Path,
    uri: &Pkcs11Uri,
    pin: Option<&Pin>,
    measure: &Measure<'_>,
) -> Result<(), TokenFault> {
    let module = Module::load(path)?;
    if path.metadata().is_ok_and(|file| file.mode() & 0o022 != 0) {
        let what = "others than its owner may change the module, and so see every PIN".to_owned();
        report.add(Severity::Warning, "module-writable", what, "run chmod go-w on it");
    }
    if !module.is_named_by(uri) {
        return Err(TokenFault::ModuleDiffers);
    }
    let calling = module.call()?;
    // Some modules fill this in badly; it is only shown.
    report.library = calling.pkcs11().get_library_info().ok().map(|info| Library {
        description: shown(info.library_description()),
        manufacturer: shown(info.manufacturer_id()),
        version: info.library_version().to_string(),
        pkcs11: info.cryptoki_version().to_string(),
    });
    report.slots(&calling, uri)?;
    let (slot, info) = find_token(calling.pkcs11(), uri)?;
    report.slot = Some(slot.id());
    report.token(&info);
    let present = calling.pkcs11().get_mechanism_list(slot)?;
    report.mechanisms(&present);
    let session = calling.pkcs11().open_ro_session(slot)?;
    report.log_in(&session, &info, pin)?;
    report.keys(&session)?;
    if report.logged_in {
        for key_type in measure.key_types {
            report.speed(&session, *key_type, measure)?;
        }
    }
    Ok(())
}

impl Report {
    fn add(&mut self, severity: Severity, code: &'static str, what: String, next: &'static str) {
        self.findings.push(Finding { severity, code, what, next });
    }

    fn fault(&mut self, fault: TokenFault) {
        let (code, next) = name(fault);
        self.add(Severity::Error, code, fault.text().to_owned(), next);
    }

    fn slots(&mut self, calling: &Calling<'_>, uri: &Pkcs11Uri) -> Result<(), TokenFault> {
        for slot in calling.pkcs11().get_slots_with_token()?.into_iter().take(SLOTS_MAX) {
            let info = match calling.pkcs11().get_token_info(slot) {
                Ok(info) => info,
                Err(error) => {
                    let what = format!("the token in slot {} does not answer: {}", slot.id(), TokenFault::from(error));
                    self.add(Severity::Warning, "slot-silent", what, "insert the token again, or start its service");
                    continue;
                }
            };
            self.slots.push(Slot {
                id: slot.id(),
                label: shown(info.label()),
                manufacturer: shown(info.manufacturer_id()),
                model: shown(info.model()),
                serial: shown(info.serial_number()),
                initialised: info.token_initialized(),
                pin: pin_state(&info),
                chosen: info.token_initialized() && fits(uri, slot, &info),
            });
        }
        Ok(())
    }

    fn token(&mut self, info: &TokenInfo) {
        if info.error_state() {
            let what = "the token has failed its own tests (CKF_ERROR_STATE)".to_owned();
            self.add(Severity::Error, "token-error-state", what, "ask its maker; do not use it");
        }
        if info.write_protected() {
            let what = "the token is write-protected; no keys can be made in it".to_owned();
            self.add(Severity::Warning, "token-write-protected", what, "lift the protection to make keys");
        }
        if pin_state(info).to_be_changed {
            let what = "the PIN must be changed (CKF_USER_PIN_TO_BE_CHANGED)".to_owned();
            self.add(Severity::Warning, "pin-to-be-changed", what, "change it with the tool of the token's maker");
        }
        if let Some(few) = Option::<u64>::from(info.max_session_count()).filter(|max| (1..SESSIONS_FEW).contains(max)) {
            let what = format!("the token allows {few} sessions; more threads than that wait");
            self.add(Severity::Note, "sessions-few", what, "set the number of workers to it");
        }
    }

    fn mechanisms(&mut self, present: &[MechanismType]) {
        for (mechanism, name, without) in MECHANISMS {
            if present.contains(&mechanism) {
                self.mechanisms.push(name);
            } else {
                let what = format!("the token has no {name}: {without}");
                self.add(Severity::Warning, "mechanism-missing", what, "use other keys, or newer firmware");
            }
        }
    }

    fn log_in(&mut self, session: &Session, info: &TokenInfo, pin: Option<&Pin>) -> Result<(), TokenFault> {
        let Some(pin) = pin else {
            let what = "no PIN was given; private keys are not seen, and nothing is measured".to_owned();
            self.add(Severity::Note, "pin-not-given", what, "give the PIN to see all");
            return Ok(());
        };
        let state = pin_state(info);
        if state.count_low && !state.locked && !state.last_try {
            let what =
                "a wrong PIN was given since the last login (CKF_USER_PIN_COUNT_LOW); no PIN is tried".to_owned();
            self.add(Severity::Error, "pin-count-low", what, "log in by hand with the right PIN, then ask again");
            return Ok(());
        }
        match log_in(session, info, || pin.ask()) {
            Ok(()) => self.logged_in = true,
            Err(refusal) if refusal.fault.sessions_survive() => self.fault(refusal.fault),
            Err(refusal) => return Err(refusal.fault),
        }
        Ok(())
    }

    fn keys(&mut self, session: &Session) -> Result<(), TokenFault> {
        let found = object::find(session, &[Attribute::Class(ObjectClass::PRIVATE_KEY)], KEYS_MAX)?;
        let mut names = BTreeMap::<(Vec<u8>, Vec<u8>), usize>::new();
        for handle in found {
            let facts = Facts::read(session, handle)?;
            *names.entry((facts.label.clone(), facts.id.clone())).or_default() += 1;
            let public_key = facts.inspect().and_then(|()| facts.public_key(session, handle));
            let (label, id) = (shown(&String::from_utf8_lossy(&facts.label)), hexadecimal(&facts.id));
            if let Err(fault) = &public_key {
                let (code, next) = name(*fault);
                self.add(Severity::Error, code, format!("{label:?} (id {id}): {fault}"), next);
            }
            if facts.never_extractable == Some(false) && facts.extractable == Some(false) {
                let what = format!("{label:?} (id {id}): the key was brought into the token, or could once leave it");
                self.add(Severity::Warning, "key-not-born-here", what, "see that no copy of it is left anywhere");
            }
            if facts.id.is_empty() {
                let what = format!("{label:?}: the key has no id, so only its label finds it");
                self.add(Severity::Note, "key-without-id", what, "give both halves the same id");
            }
            self.keys.push(Key {
                label,
                id,
                key_type: public_key.as_ref().ok().map(|key| key.key_type().to_string()),
                sensitive: facts.sensitive,
                extractable: facts.extractable,
                never_extractable: facts.never_extractable,
                usable: public_key.is_ok(),
            });
        }
        for ((label, id), _) in names.into_iter().filter(|(_, count)| *count > 1) {
            let label = shown(&String::from_utf8_lossy(&label));
            let what = format!("more than one key is called {label:?} (id {})", hexadecimal(&id));
            self.add(Severity::Error, "key-ambiguous", what, "give them different ids");
        }
        Ok(())
    }

    fn speed(&mut self, session: &Session, key_type: KeyType, measure: &Measure<'_>) -> Result<(), TokenFault> {
        match rate(session, key_type, measure) {
            Ok(speed) => self.speeds.push(speed),
            Err(fault) if fault.sessions_survive() => {
                let what = format!("{key_type} could not be measured: {fault}");
                self.add(Severity::Warning, "not-measured", what, "use other keys, or newer firmware");
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}

fn rate(session: &Session, key_type: KeyType, measure: &Measure<'_>) -> Result<Speed, TokenFault> {
    let scheme = Scheme::for_key(key_type, key_type.signs_with())?;
    let (public, private) = generate(session, key_type, Lifetime::Session)?;
    let public_key = object::public_key_of(session, public)?;
    let begin = (measure.elapsed)();
    let mut signatures = 0;
    while signatures < measure.signatures && (measure.elapsed)().saturating_sub(begin) < MEASURE_MAX {
        sign(session, private, &public_key, scheme, &signatures.to_be_bytes())?;
        signatures += 1;
    }
    let seconds = (measure.elapsed)().saturating_sub(begin).as_secs_f64();
    // They end with the session too, but large keys are many octets.
    drop((session.destroy_object(private), session.destroy_object(public)));
    let signatures_per_s = if seconds > 0.0 { f64::from(signatures) / seconds } else { 0.0 };
    Ok(Speed { key_type: key_type.to_string(), signatures, signatures_per_s })
}

/// The name of a fault, which stays, and what to do next.
fn name(fault: TokenFault) -> (&'static str, &'static str) {
    use TokenFault as F;
    match fault {
        F::ModuleMissing => ("module-missing", "install the module, or correct its path; it begins with /"),
        F::ModuleNoFile => ("module-no-file", "name the module's file: it ends in .so"),
        F::ModuleNotLoaded => ("module-not-loaded", "run ldd on it, and install it for this machine"),
        F::ModuleNotPkcs11 => ("module-not-pkcs11", "name the module that the token's maker provides"),
        F::ModuleDiffers => ("module-differs", "correct module-path or module-name in the URI"),
        F::ModuleBroken => ("module-broken", "use a newer version of the module"),
        F::TokenMissing => ("token-missing", "compare the URI with the slots; insert the token or start its service"),
        F::TokenAmbiguous => ("token-ambiguous", "add the serial number to the URI"),
        F::PinUnset => ("pin-unset", "set the user's PIN with the tool of the token's maker"),
        F::PinNotFound => ("pin-not-found", "see that the file is there, and chmod 600"),
        F::PinRefused => ("pin-refused", "correct the PIN before anything tries it again"),
        F::PinLocked => ("pin-locked", "let the security officer set a new PIN"),
        F::PinLastTry => ("pin-last-try", "log in by hand with the right PIN"),
        F::KeyMissing => ("key-missing", "compare the URI with the keys"),
        F::KeyAmbiguous => ("key-ambiguous", "give the keys different ids"),
        F::KeyExists | F::KeyBadName => ("key-name", "choose another name"),
        F::KeyExtractable => ("key-extractable", "make a new key in the token; copies of this one may exist"),
        F::KeyNotSensitive => ("key-not-sensitive", "make a new key in the token; copies of this one may exist"),
        F::KeyAsksEachTime => ("key-asks-each-time", "make a key without CKA_ALWAYS_AUTHENTICATE"),
        F::KeyMayNotSign => ("key-may-not-sign", "use another key"),
        F::KeyUnsupported => ("key-unsupported", "use another key"),
        F::PublicKeyMissing => ("public-key-missing", "put its public key beside it, with the same id"),
        F::PublicKeyDiffers => ("public-key-differs", "remove the wrong public key; find out who put it there"),
        F::BadSignature => ("bad-signature", "do not use the token; it may be failing"),
        F::Busy => ("sessions-busy", "end what else uses the token"),
        F::Restarted => ("module-restarted", "ask again"),
        F::Returned(_) => ("token-failed", "insert the token again, or start its service"),
    }
}

/// Text of a token as it may be shown: it decides what is in it, not what a terminal does.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
