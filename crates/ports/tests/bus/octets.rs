//! How a sealed message may be written, octet by octet.

use crate::support::{Draft, NOW, STRANGER, everybody, home, key};
use model::contract::MESSAGE_LEN_MAX;
use model::octets::base64url;
use model::{Module, Reason};
use ports::envelope::{ANSWER, CALL, Opened, SEAL_LEN_MAX};
use ports::{Directory, Signer};
use proptest::prelude::*;

/// The parts of a message before they are sealed and put together.
struct Raw {
    protected: String,
    payload: String,
    /// What the digest is made of, and what is sent.
    body: String,
    seal: fn(&str, &str, &str) -> String,
    message: fn(&str, &str) -> Vec<u8>,
}

fn flattened(protected: &str, payload: &str, signature: &str) -> String {
    format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
}
fn message(seal: &str, body: &str) -> Vec<u8> {
    format!(r#"{{"seal":{seal},"body":{body}}}"#).into_bytes()
}

impl Raw {
    fn due() -> Self {
        let kid = ports::jws::key_id(key(home(Module::Console)).public_key());
        let claims = Draft::mark().claims;
        Self {
            protected: format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"cradle-call"}}"#),
            payload: serde_json::to_string(&claims).unwrap(),
            body: r#"{"a":[1, 2],"b":"\u0063"}"#.to_owned(),
            seal: flattened,
            message,
        }
    }
    fn octets(&self) -> Vec<u8> {
        let digest = x509::sha256(self.body.as_bytes()).to_string();
        let payload = self.payload.replace(&"0".repeat(64), &digest);
        let (protected, payload) = (base64url(self.protected.as_bytes()), base64url(payload.as_bytes()));
        let signed = key(home(Module::Console)).sign(format!("{protected}.{payload}").as_bytes()).unwrap();
        (self.message)(&(self.seal)(&protected, &payload, &base64url(&signed)), &self.body)
    }
}

fn open(octets: &[u8]) -> Result<(), Reason> {
    Opened::open(CALL, octets, &everybody(), NOW).map(|_| ()).map_err(|unopened| unopened.reason)
}

const BAD: Result<(), Reason> = Err(Reason::SignatureInvalid);

#[track_caller]
fn check(change: impl FnOnce(&mut Raw), expected: Result<(), Reason>) {
    let mut raw = Raw::due();
    change(&mut raw);
    assert_eq!(open(&raw.octets()), expected);
}
/// Another header, well signed.
#[track_caller]
fn check_header(from: &str, to: &str, expected: Result<(), Reason>) {
    let raw = Raw::due();
    assert!(raw.protected.contains(from));
    check(|raw| raw.protected = raw.protected.replacen(from, to, 1), expected);
}
/// Other claims, well signed.
#[track_caller]
fn check_claims(from: &str, to: &str, expected: Result<(), Reason>) {
    assert!(Raw::due().payload.contains(from));
    check(|raw| raw.payload = raw.payload.replacen(from, to, 1), expected);
}
#[track_caller]
fn check_seal(seal: fn(&str, &str, &str) -> String, expected: Result<(), Reason>) {
    check(|raw| raw.seal = seal, expected);
}
#[track_caller]
fn check_message(message: fn(&str, &str) -> Vec<u8>, expected: Result<(), Reason>) {
    check(|raw| raw.message = message, expected);
}

#[test]
fn a_plain_message_is_opened() {
    check(|_| {}, Ok(()));
}
#[test]
fn what_is_sealed_is_written_so() {
    let raw = Raw { body: crate::support::MARK.to_owned(), ..Raw::due() };
    assert_eq!(raw.octets(), Draft::mark().seal());
}

// ---- The header ----

#[test]
fn other_algorithms() {
    for alg in ["none", "HS256", "ES256", "eddsa", "EdDSA ", "Ed25519", ""] {
        check_header("EdDSA", alg, BAD);
    }
}
#[test]
fn other_types() {
    for typ in ["cradle-answer", "cradle-mode", "cradle-release", "JWT", "", "cradle-call ", "Cradle-Call"] {
        check_header("cradle-call", typ, BAD);
    }
}
#[test]
fn a_key_that_nobody_has() {
    let kid = |n| ports::jws::key_id(key(n).public_key());
    check_header(&kid(home(Module::Console)), &kid(STRANGER), Err(Reason::UnknownCaller));
    check_header(&kid(home(Module::Console)), "", Err(Reason::UnknownCaller));
    check_header(&kid(home(Module::Console)), "module:console:box", Err(Reason::UnknownCaller));
}
#[test]
fn a_header_that_says_more() {
    for more in [r#""crit":["exp"],"#, r#""jwk":{},"#, r#""x5c":[],"#, r#""b64":false,"#, r#""alg":"EdDSA","#] {
        check_header("{", &format!("{{{more}"), BAD);
    }
}
#[test]
fn a_header_that_says_less() {
    check_header(r#""alg":"EdDSA","#, "", BAD);
    check_header(r#","typ":"cradle-call""#, "", BAD);
}
#[test]
fn a_header_that_is_no_object() {
    check(|raw| raw.protected = r#"["EdDSA","kid","cradle-call"]"#.into(), BAD);
    check(|raw| raw.protected = String::new(), BAD);
    check_header("{", " {", BAD);
    check_header("EdDSA", "EdD\\u0053A", BAD);
}

// ---- The claims ----

#[test]
fn a_claim_twice() {
    check_claims(r#"{"from""#, r#"{"from":"identity","from""#, BAD);
    check_claims(r#""epoch":7"#, r#""epoch":7,"epoch":8"#, BAD);
}
#[test]
fn an_unknown_claim() {
    check_claims(r#"{"from""#, r#"{"exp":1,"from""#, BAD);
}
#[test]
fn a_claim_that_is_missing() {
    check_claims(r#""epoch":7,"#, "", BAD);
    check_claims(r#""nonce":"09090909090909090909090909090909","#, "", BAD);
}
#[test]
fn a_claim_of_another_type() {
    for epoch in ["-7", "7.0", "7e0", "\"7\"", "null", "18446744073709551616", "07", "+7"] {
        check_claims(r#""epoch":7"#, &format!(r#""epoch":{epoch}"#), BAD);
    }
}
#[test]
fn a_name_that_is_none() {
    for name in ["", "../box", "Box", "box\\u0000", "b\\u00f6x"] {
        check_claims(r#""instance":"box""#, &format!(r#""instance":"{name}""#), BAD);
    }
}
#[test]
fn a_subject_or_mode_that_nobody_knows() {
    check_claims("identity.mark", "identity.burn", BAD);
    check_claims("provision-certificate", "provision-everything", BAD);
}
#[test]
fn claims_that_are_no_object() {
    check(|raw| raw.payload = "[]".into(), BAD);
    check(|raw| raw.payload = "[".repeat(1000), BAD);
    check_claims("{", " {", BAD);
}
#[test]
fn the_longest_seal() {
    let padded = |len: usize| {
        let short = Opened::open(CALL, &Raw::due().octets(), &everybody(), NOW).is_ok();
        assert!(short);
        move |raw: &mut Raw| raw.payload = raw.payload.replacen('{', &format!("{{{}", " ".repeat(len)), 1)
    };
    let seal_len = |len: usize| {
        let mut raw = Raw::due();
        padded(len)(&mut raw);
        raw.octets().len() - r#"{"seal":,"body":}"#.len() - raw.body.len()
    };
    // base64 grows in steps, so the limit itself may lie between two of them.
    let longest = (0..SEAL_LEN_MAX).rev().find(|len| seal_len(*len) <= SEAL_LEN_MAX).unwrap();
    check(padded(longest), Ok(()));
    check(padded(longest + 1), BAD);
}

// ---- The seal ----

#[test]
fn a_seal_that_says_more() {
    check_seal(|p, c, s| flattened(p, c, s).replacen('{', r#"{"header":{},"#, 1), BAD);
    check_seal(|p, c, s| flattened(p, c, s).replacen('{', r#"{"signatures":[],"#, 1), BAD);
    check_seal(|p, c, s| flattened(p, c, s).replacen('{', &format!(r#"{{"payload":"{c}","#), 1), BAD);
}
#[test]
fn a_seal_that_is_no_object() {
    check_seal(|p, c, s| format!(r#"["{p}","{c}","{s}"]"#), BAD);
    check_seal(|p, c, s| format!(r#""{p}.{c}.{s}""#), BAD);
    check_seal(|_, _, _| "null".into(), BAD);
}
#[test]
fn a_seal_without_a_signature() {
    check_seal(|p, c, _| flattened(p, c, ""), BAD);
    check_seal(|p, c, _| format!(r#"{{"protected":"{p}","payload":"{c}"}}"#), BAD);
    check_seal(|p, c, _| flattened(p, c, &base64url(&[0; 64])), BAD);
}
#[test]
fn a_signature_of_another_length() {
    check_seal(|p, c, s| flattened(p, c, &s[..84]), BAD);
    check_seal(|p, c, s| flattened(p, c, &format!("{s}AA")), BAD);
}
#[test]
fn base64_in_another_spelling() {
    check_seal(|p, c, s| flattened(p, c, &format!("{s}==")), BAD);
    check_seal(|p, c, s| flattened(p, c, &format!("{}\\n{}", &s[..4], &s[4..])), BAD);
    // The last character carries two bits; the other four must be zero.
    let other_end = |p: &str, c: &str, s: &str| {
        let last = s.chars().last().unwrap();
        let next = char::from(u8::try_from(last).unwrap() + 1);
        flattened(p, c, &format!("{}{next}", &s[..85]))
    };
    check_seal(other_end, BAD);
}
#[test]
fn an_escape_in_a_seal() {
    check_seal(|p, c, s| flattened(p, c, s).replacen("\"ey", "\"\\u0065y", 1), BAD);
}

// ---- The message ----

#[test]
fn a_message_that_says_more() {
    check_message(|s, b| format!(r#"{{"seal":{s},"body":{b},"to":"x"}}"#).into(), BAD);
    check_message(|s, b| format!(r#"{{"body":{{}},"seal":{s},"body":{b}}}"#).into(), BAD);
    check_message(|s, b| format!(r#"{{"seal":{s},"body":{b},"body":{{}}}}"#).into(), BAD);
    check_message(|s, b| format!(r#"{{"seal":{{}},"seal":{s},"body":{b}}}"#).into(), BAD);
}
#[test]
fn a_message_that_says_less() {
    check_message(|s, _| format!(r#"{{"seal":{s}}}"#).into(), BAD);
    check_message(|_, b| format!(r#"{{"body":{b}}}"#).into(), BAD);
    check_message(|_, _| Vec::new(), BAD);
}
#[test]
fn a_message_that_is_no_object() {
    check_message(|s, b| format!("[{s},{b}]").into(), BAD);
    check_message(|s, b| format!("\u{feff}{{\"seal\":{s},\"body\":{b}}}").into(), BAD);
}
#[test]
fn something_behind_a_message() {
    check_message(|s, b| [message(s, b), b"{}".to_vec()].concat(), BAD);
    check_message(|s, b| [message(s, b), vec![0]].concat(), BAD);
}
#[test]
fn space_around_the_parts_changes_nothing() {
    check_message(|s, b| format!("{{\r\n\t\"body\" : {b} ,\n\"seal\":{s}}}\n").into(), Ok(()));
}
#[test]
fn space_inside_the_body_is_the_bodys() {
    check_message(|s, b| message(s, &b.replace("[1, 2]", "[1,2]")), BAD);
    check_message(|s, b| message(s, &b.replace("\\u0063", "c")), BAD);
}
#[test]
fn another_body() {
    check_message(|s, _| message(s, "{}"), BAD);
}
#[test]
fn octets_that_are_no_text() {
    check_message(|s, _| [br#"{"seal":"#, s.as_bytes(), b",\"body\":\"\xff\"}"].concat(), BAD);
    check_message(|s, _| [br#"{"seal":"#, s.as_bytes(), b",\"body\":\"\xed\xa0\x80\"}"].concat(), BAD);
    check_message(|_, _| vec![0xff; 100], BAD);
}
#[test]
fn levels_without_end() {
    check_message(|s, _| message(s, &"[".repeat(1_000_000)), BAD);
    check_message(|_, b| message(&"[".repeat(1_000_000), b), BAD);
    check_message(|_, _| "{\"seal\":".repeat(500_000).into_bytes(), BAD);
}
#[test]
fn more_octets_than_a_message_has() {
    let padded = |len: usize| {
        let mut octets = Raw::due().octets();
        octets.resize(len, b' ');
        open(&octets)
    };
    assert_eq!(padded(MESSAGE_LEN_MAX), Ok(()));
    assert_eq!(padded(MESSAGE_LEN_MAX + 1), BAD);
}

// ---- Any octet ----

/// A changed message is refused, or it is the same message.
#[track_caller]
fn check_changed(directory: &Directory, octets: &[u8], original: &[u8], typ: &'static str) {
    let Ok(changed) = Opened::open(typ, octets, directory, NOW) else { return };
    let opened = Opened::open(typ, original, directory, NOW).unwrap();
    assert_eq!(changed.digest(), opened.digest(), "other claims");
    assert_eq!(changed.body().get(), opened.body().get(), "another body");
    assert_eq!(changed.caller(), opened.caller(), "another caller");
}

fn call_and_answer() -> [(&'static str, Vec<u8>); 2] {
    let mut answer = Draft::mark();
    answer.claims.answers = Some(x509::sha256(b"the call"));
    [(CALL, Draft::mark().seal()), (ANSWER, Draft { typ: ANSWER, ..answer }.seal())]
}

#[test]
fn no_bit_can_be_changed() {
    let directory = everybody();
    for (typ, original) in call_and_answer() {
        let mut octets = original.clone();
        for at in 0..octets.len() {
            for bit in 0..8 {
                octets[at] ^= 1 << bit;
                check_changed(&directory, &octets, &original, typ);
                octets[at] ^= 1 << bit;
            }
        }
    }
}

proptest! {
    #[test]
    fn no_octet_can_be_changed(at in 0_usize..1200, octet in any::<u8>(), how in 0_u8..3) {
        let directory = everybody();
        for (typ, original) in call_and_answer() {
            let mut octets = original.clone();
            let at = at % octets.len();
            match how {
                0 => octets[at] = octet,
                1 => octets.insert(at, octet),
                _ => drop(octets.remove(at)),
            }
            check_changed(&directory, &octets, &original, typ);
        }
    }
}
